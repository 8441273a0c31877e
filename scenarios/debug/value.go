// SPDX-License-Identifier: GPL-2.0-only

package debug

import (
	"encoding/binary"

	"github.com/tcsim/tcsim/emu/gdb"
	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// Extra implements gdb.Machine.
func (s *Session) Extra() []gdb.Register {
	return []gdb.Register{
		{Name: "tail_call_cnt"},                // of the innermost frame that holds one
		{Name: "tail_call_cnt_at", Data: true}, // where that lives
		{Name: "bpf_pc", Signed: true},         // number of the BPF instruction
		{Name: "cycles", Signed: true},
		{Name: "retired", Signed: true}, // instructions since the beginning
		{Name: "events", Signed: true},  // events of the trace so far
	}
}

// Selectors of the kernel (arch/x86/include/asm/segment.h).
const (
	kernelCS = 0x10
	kernelDS = 0x18
)

// general are the general registers by name.
var general = func() map[string]x86.Reg {
	out := map[string]x86.Reg{}
	for r := x86.RAX; r <= x86.R15; r++ {
		out[r.String()] = r
	}
	return out
}()

// Value implements gdb.Machine.
func (s *Session) Value(name string) (uint64, bool) {
	if r, ok := general[name]; ok {
		return s.regs[r], true
	}
	switch name {
	case "rip":
		return uint64(s.rip), true
	case "eflags":
		return s.flags, true
	case "cs":
		return kernelCS, true
	case "ss":
		return kernelDS, true
	case "ds", "es", "fs", "gs", "fs_base":
		return 0, true
	case "gs_base":
		return uint64(guest.GSBase), true
	case "tail_call_cnt", "tail_call_cnt_at":
		c, ok := s.counter()
		if name == "tail_call_cnt" {
			return c.value, ok
		}
		return uint64(c.at), ok
	case "bpf_pc":
		n, ok := s.insn()
		return uint64(n), ok
	case "cycles":
		if v, at := s.violation(); v != nil && s.at > at {
			return 0, false // the timing model has not seen that
		}
		n, ok := s.w.Clock.At(s.at)
		return uint64(n), ok
	case "retired":
		return s.at, true
	case "events":
		return s.events(), true
	}
	return 0, false
}

// events returns how many events have happened.
func (s *Session) events() uint64 {
	c := s.rec.Counts()
	return c.Entries + c.Calls + c.Helpers + c.Returns + c.Taken + c.RefusedTotal() + c.Pokes
}

// insn returns the number of the BPF instruction whose code is next.
func (s *Session) insn() (int64, bool) {
	f := s.code.Lookup(s.rip)
	if f == nil {
		return 0, false
	}
	n, ok := f.InsnAt(image.CodeOff(s.rip - f.Addr))
	return int64(n), ok
}

// counter is tail_call_cnt as a frame holds it.
type counter struct {
	value uint64
	at    image.Addr
	size  uint8
	ptr   image.Addr // where the pointer to it lives, 0 for none
}

// counter returns that of the innermost frame, if it is complete and holds one.
func (s *Session) counter() (counter, bool) {
	acts := s.acts()
	if len(acts) == 0 {
		return counter{}, false
	}
	return s.counterOf(&acts[len(acts)-1], true)
}

// counterOf returns the counter of a frame. Of the innermost one it is known only while the frame is whole:
// not in prologue and epilogue, nor where a tail call has begun to take it down.
func (s *Session) counterOf(a *trace.Activation, innermost bool) (c counter, ok bool) {
	if a.Hooked || a.Fn == nil || a.Fn.Trampoline {
		return c, false
	}
	k := a.Fn.Frame.Counter
	if innermost && k.Form != image.CounterGS && !s.whole(a) {
		return c, false
	}
	c.at, c.size = a.RBP+image.Addr(int64(k.Off)), k.Size
	switch k.Form {
	case image.CounterNone:
		return c, false
	case image.CounterGS:
		c.at = guest.GSBase + image.Addr(int64(k.Off))
	case image.CounterPtr:
		c.ptr = c.at
		p, known := s.word(c.ptr, 8)
		if !known {
			return c, false
		}
		c.at = image.Addr(p)
	}
	c.value, ok = s.word(c.at, int(k.Size))
	return c, ok
}

// whole reports whether the innermost frame is as its function describes it.
func (s *Session) whole(a *trace.Activation) bool {
	if image.Addr(s.regs[x86.RBP]) != a.RBP || image.Addr(s.regs[x86.RSP]) > a.RBP+image.Addr(int64(a.FrameLow())) {
		return false
	}
	return !a.Fn.Contains(s.rip) || image.CodeOff(s.rip-a.Fn.Addr) >= a.Frame().Body
}

// word reads a little-endian number of size bytes.
func (s *Session) word(a image.Addr, size int) (uint64, bool) {
	var b [8]byte
	if size > len(b) || s.ReadMemory(uint64(a), b[:size]) != size {
		return 0, false
	}
	return binary.LittleEndian.Uint64(b[:]), true
}

// ReadMemory implements gdb.Machine.
func (s *Session) ReadMemory(addr uint64, p []byte) int {
	n := 0
	for n < len(p) {
		part := min(len(p)-n, guest.PageSize-int((addr+uint64(n))%guest.PageSize))
		if s.m.ReadMemory(image.Addr(addr+uint64(n)), p[n:n+part]) != nil {
			return n
		}
		n += part
	}
	return n
}
