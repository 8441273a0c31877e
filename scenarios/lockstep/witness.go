// SPDX-License-Identifier: GPL-2.0-only

package lockstep

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/emu/helper"
	"github.com/tcsim/tcsim/emu/interp"
	"github.com/tcsim/tcsim/emu/record"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
	"github.com/tcsim/tcsim/scenarios/progen"
	"github.com/tcsim/tcsim/scenarios/reach"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// film is what a run of the machine leaves: registers and stack before the first instructions of BPF.
type film struct {
	sites  []record.Site
	frames [][emu.FrameSize]byte
}

func (f *film) reset() { f.sites, f.frames = f.sites[:0], f.frames[:0] }

// Retired implements emu.Observer.
func (f *film) Retired([]record.Retired) bool { return false }

// Sites implements emu.Observer.
func (f *film) Sites(batch []record.Site) bool {
	f.sites = append(f.sites, batch[:min(len(batch), maxProbes-len(f.sites))]...)
	return false
}

// Frames implements emu.FrameObserver.
func (f *film) Frames(batch [][emu.FrameSize]byte) {
	f.frames = append(f.frames, batch[:min(len(batch), maxProbes-len(f.frames))]...)
}

// witness is the interpreter, which compares before each instruction.
type witness struct {
	m      *interp.Machine
	c      *compiled
	film   *film
	at     int // site that comes next
	enough bool
	found  Verdict
	// fps are r10 of the machine's frames by depth.
	fps []uint64

	reach *reach.Set // nil if it is not asked for
	jump  int        // the slot before, if that is a conditional jump, else -1
}

func newWitness(p *Player, l *load, c *compiled) (*witness, error) {
	w := &witness{c: c, film: &p.film, reach: p.Reach, jump: -1}
	layout := interp.Layout{Ctx: uint64(guest.ContextAddr), Packet: uint64(guest.PacketAddr), Arena: uint64(arenaKernel)}
	for i := range progen.Maps {
		addr, at := p.m.Kernel.MapAddr(i)
		layout.Handle = append(layout.Handle, uint64(addr))
		if progen.Maps[i].Type != bpf.ArrayMap {
			at = 0
		}
		layout.Values = append(layout.Values, uint64(at))
	}
	var err error
	w.m, err = reference(c.prog, l.t, layout, w)
	return w, err
}

// reference is the interpreter with a program.
func reference(p *progen.Program, t *jit.Target, layout interp.Layout, s interp.Stepper) (*interp.Machine, error) {
	m, err := interp.New(interp.Config{
		Programs: []interp.Program{{Program: p.BPF, Kfuncs: p.BPF.Kfuncs, ProbeMem: p.BPF.Type == bpf.Kprobe}},
		Maps:     progen.Maps, Rules: runner.RulesOf(t), Layout: layout, Outside: helper.NewOutside(0), Stepper: s, MaxInsns: maxSteps,
	})
	if err != nil {
		return nil, err
	}
	return m, m.Update(progen.MapIn, make([]byte, 4), p.In[:], interp.Any)
}

// Expect returns what BPF has a program return.
func Expect(p *progen.Program, t *jit.Target) (uint64, error) {
	m, err := reference(p, t, interp.Layout{}, nil)
	if err != nil {
		return 0, err
	}
	res, err := m.Run(0, interp.ForType(p.BPF.Type, progen.Packet))
	return res.Return, err
}

// machineRegs are the registers of a site in the order of R0 to R9.
func machineRegs(s *record.Site) [10]uint64 {
	return [10]uint64{uint64(s.RAX), s.RDI, s.RSI, s.RDX, s.RCX, s.R8, s.RBX, s.R13, s.R14, s.R15}
}

// Step implements interp.Stepper.
func (w *witness) Step(s *interp.Step) {
	if w.reach != nil {
		w.reaches(s)
	}
	at := w.c.at[s.Slot]
	if at == 0 || w.found.Kind != "" || w.enough {
		return
	}
	if w.at == len(w.film.sites) {
		if w.enough = w.at == maxProbes; !w.enough {
			w.wrong(Path, s, "is not executed")
		}
		return
	}
	site := &w.film.sites[w.at]
	w.at++
	if site.RIP != at {
		w.wrong(Path, s, "comes next in BPF; the machine executes "+w.c.where(site))
		return
	}
	f := w.c.function(at)
	fp := uint64(site.RBP) + uint64(int64(f.Frame.FP))
	if f.Frame.PrivateFP != 0 {
		fp = uint64(guest.GSBase + f.Frame.PrivateFP)
	}
	w.fps = append(w.fps[:min(s.Depth, len(w.fps))], fp)
	w.registers(s, site)
	if w.found.Kind == "" && f.Frame.PrivateFP == 0 && f.Frame.FP == 0 {
		w.stack(s, &w.film.frames[w.at-1])
	}
}

// reaches notes what an instruction reaches.
func (w *witness) reaches(s *interp.Step) {
	slot := int(s.Slot)
	if w.jump >= 0 {
		w.reach.Jumped(w.c.shape[w.jump], slot != w.jump+1)
		w.jump = -1
	}
	if w.c.shape[slot] == 0 {
		return
	}
	w.reach.Executed(w.c.shape[slot])
	in := w.c.prog.BPF.Insns[slot]
	switch in.Class() {
	case bpf.ClassJmp, bpf.ClassJmp32:
		if op := in.Op & 0xf0; op == bpf.JmpJA || op == bpf.OpCall&0xf0 || op == bpf.OpExit&0xf0 {
			return
		}
		w.jump = slot
	case bpf.ClassALU, bpf.ClassALU64:
	default:
		return
	}
	numbers := w.c.prog.Defined[slot]
	src := uint64(int64(in.Imm))
	if in.Op&bpf.SrcReg != 0 {
		src = s.Regs[in.Src]
		if !numbers.Has(int(in.Src)) {
			return
		}
	}
	if numbers.Has(int(in.Dst)) {
		w.reach.Operands(in, s.Regs[in.Dst], src)
	}
}

// wrong notes what differs before an instruction.
func (w *witness) wrong(k Kind, s *interp.Step, text string) {
	w.found = Verdict{k, fmt.Sprintf("BPF instruction %d (%s) %s", s.Slot, bpf.TextAt(w.c.prog.BPF.Insns, bpf.InsnIndex(s.Slot)), text)}
}

func (w *witness) registers(s *interp.Step, site *record.Site) {
	have := machineRegs(site)
	numbers, addresses := w.c.prog.Defined[s.Slot], w.c.prog.Addresses[s.Slot]
	for r, v := range have {
		want := s.Regs[r]
		if w.c.prog.Halves[s.Slot].Has(r) {
			v, want = uint64(uint32(v)), uint64(uint32(want))
		}
		if v != want && (numbers.Has(r) || addresses.Has(r) && !w.same(v, want)) {
			w.wrong(Registers, s, fmt.Sprintf("begins with %#x in r%d; BPF has %#x there", v, r, want))
			return
		}
	}
}

// same reports whether two addresses mean the same, or nothing that can be compared.
func (w *witness) same(have, want uint64) bool {
	switch l := w.m.Locate(want); l.Place {
	case interp.Stack:
		return l.Index >= len(w.fps) || have == w.fps[l.Index]+uint64(l.Off)
	case interp.Context, interp.Packet:
		return false // both have them in one place
	case interp.MapValue:
		return progen.Maps[l.Index].Type != bpf.ArrayMap
	default:
		return true
	}
}

// stack compares the bytes that were written.
func (w *witness) stack(s *interp.Step, have *[emu.FrameSize]byte) {
	for word := range interp.StackSize / 8 {
		written := uint8(s.Written[word/8] >> (word % 8 * 8))
		if written == 0 {
			continue
		}
		a, b := have[8*word:8*word+8], s.Stack[8*word:8*word+8]
		if bytes.Equal(a, b) {
			continue
		}
		if v := binary.LittleEndian.Uint64(b); v>>32 != 0 && w.m.Locate(v).Place != interp.Nowhere && w.same(binary.LittleEndian.Uint64(a), v) {
			continue
		}
		for i := range 8 {
			if written>>i&1 != 0 && a[i] != b[i] {
				w.wrong(Stack, s, fmt.Sprintf("begins with %#02x at r10%+d; BPF has %#02x there", a[i], 8*word+i-interp.StackSize, b[i]))
				return
			}
		}
	}
}

// end compares what is left after a run.
func (p *Player) end(l *load, c *compiled, w *witness, want *interp.Result, res *emu.Result) (Verdict, error) {
	if got := res.Return(); got != want.Return {
		return Verdict{Result, fmt.Sprintf("returns %#x; BPF returns %#x", got, want.Return)}, nil
	}
	junk, _ := guest.EntryJunk(0)
	for _, r := range []x86.Reg{x86.RBX, x86.R12, x86.R13, x86.R14, x86.R15} {
		if res.Regs[r] != junk[r] {
			return Verdict{Balance, fmt.Sprintf("%s is %#x at the end, and was %#x", r, res.Regs[r], junk[r])}, nil
		}
	}
	if v := image.Addr(res.Regs[x86.RBP]); v != guest.OutsideRBP {
		return Verdict{Balance, fmt.Sprintf("rbp is %#x at the end, and was %#x", uint64(v), uint64(guest.OutsideRBP))}, nil
	}
	if v := image.Addr(res.Regs[x86.RSP]); v != guest.EntryRSP+8 {
		return Verdict{Balance, fmt.Sprintf("rsp is %#x at the end, and was %#x", uint64(v), uint64(guest.EntryRSP+8))}, nil
	}
	if at, ok := l.accounting(); ok {
		have := make([]byte, len(around))
		if err := p.m.ReadMemory(at, have); err != nil {
			return Verdict{}, err
		}
		if i := differs(have, around); i >= 0 {
			return Verdict{Result, fmt.Sprintf("memory %d bytes after the word in which calls are accounted is changed", 8+i)}, nil
		}
	}
	for _, i := range c.prog.BPF.MapsUsed() {
		if d := w.mapDiffers(p, i); d != "" {
			return Verdict{Result, d}, nil
		}
	}
	return Verdict{Kind: OK}, nil
}

// mapDiffers says how the contents of a map differ, "" if they do not.
func (w *witness) mapDiffers(p *Player, i int) string {
	def := &progen.Maps[i]
	if def.Type == bpf.ProgArray || def.Type == bpf.ArenaMap {
		return ""
	}
	for k := range def.MaxEntries + 8 {
		key := binary.LittleEndian.AppendUint32(nil, k)
		var want []byte
		if k < def.MaxEntries || def.Type == bpf.HashMap {
			want = w.m.Lookup(i, key)
		}
		have, err := p.m.LookupElem(i, key)
		if _, no := err.(guest.Errno); err != nil && !no {
			return err.Error()
		}
		if at := differs(have, want); at >= 0 {
			return fmt.Sprintf("map %s, key %d, offset %d: % x; BPF stores % x", def.Name, k, at, tail(have, at), tail(want, at))
		}
	}
	return ""
}

// differs returns the first offset at which two values differ, -1 if they do not.
func differs(a, b []byte) int {
	for i := range max(len(a), len(b)) {
		if i >= len(a) || i >= len(b) || a[i] != b[i] {
			return i
		}
	}
	return -1
}

func tail(b []byte, at int) []byte { return b[min(at, len(b)):min(at+8, len(b))] }
