// SPDX-License-Identifier: GPL-2.0-only

package runner

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/check"
	"github.com/tcsim/tcsim/emu/interp"
	"github.com/tcsim/tcsim/emu/timing"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/jit"
)

// maxStates is how many calls of a run are compared in what they leave, and how many sites are kept
// for that: runs that are longer repeat themselves.
const maxStates = 4096

// siteStates are R6 to R9 and the memory below rbp at the first sites of a run.
type siteStates struct {
	regs   [][4]uint64
	frames [][emu.FrameSize]byte
}

func (s *siteStates) reset() { s.regs, s.frames = s.regs[:0], s.frames[:0] }

func (s *siteStates) sites(batch []timing.Site) {
	for i := range batch[:min(len(batch), maxStates-len(s.regs))] {
		x := &batch[i]
		s.regs = append(s.regs, [4]uint64{x.RBX, x.R13, x.R14, x.R15})
	}
}

func (s *siteStates) memory(batch [][emu.FrameSize]byte) {
	s.frames = append(s.frames, batch[:min(len(batch), maxStates-len(s.frames))]...)
}

// calleeSaved are the registers of siteStates.
var calleeSaved = [4]string{"rbx (R6)", "r13 (R7)", "r14 (R8)", "r15 (R9)"}

// stateLog keeps the state of a function after each of its calls in the interpreter. Calls of
// helpers are left out: the kernel replaces some of them by code, and what they leave is seen at
// the next call that comes back.
type stateLog struct {
	m      *interp.Machine
	states []state
	more   bool // there were more than maxStates
}

// state is a Snapshot that is kept. pointers has a bit for each of R6 to R9, and for each word of
// the stack, that is an address.
type state struct {
	interp.Snapshot
	stack    [interp.StackSize]byte
	pointers [1 + interp.StackSize/512]uint64
}

func (l *stateLog) reset() { l.states, l.more = l.states[:0], false }

// TailCall implements interp.Observer.
func (l *stateLog) TailCall(interp.TailCall) {}

// Returned implements interp.Observer.
func (l *stateLog) Returned(s interp.Snapshot) {
	if s.Kind == interp.CallHelper || s.Inner {
		return
	}
	if l.more = len(l.states) == maxStates; l.more {
		return
	}
	l.states = append(l.states, state{Snapshot: s, stack: *s.Stack})
	x := &l.states[len(l.states)-1]
	x.Stack = nil // belongs to the machine
	for i, v := range x.Saved {
		if l.foreign(v) {
			x.pointers[0] |= 1 << i
		}
	}
	for w := range interp.StackSize / 8 {
		v := binary.LittleEndian.Uint64(x.stack[8*w:])
		if v>>32 != 0 && x.written(w) != 0 && l.foreign(v) {
			x.pointers[1] |= 1 << w
		}
	}
}

// foreign reports whether a value is an address or junk, which every engine has its own of.
func (l *stateLog) foreign(v uint64) bool {
	return interp.IsJunk(v) || l.m.OnStack(v) || l.m.Locate(v).Place != interp.Nowhere
}

// written returns which bytes of a word of the stack were written, as bits.
func (s *state) written(word int) uint8 { return uint8(s.Written[word/8] >> (word % 8 * 8)) }

// states compares what each call left: of a function of the program, and of a tail call that was
// refused.
func (r *reference) states(v *check.Violation, out *Run, want *interp.Result, got *siteStates) {
	if want.Throws != 0 || len(out.Events) == 0 || out.Events[0].No != 1 {
		return // frames are skipped, or the first events are not kept
	}
	n := 0
	for i := range out.Events {
		e := &out.Events[i]
		var f *trace.Fn // whose state it is
		kind := interp.CallSubprogram
		switch {
		case e.Inner, e.Kind == trace.KindReturn && e.Target != nil && betweenHooks(e):
			continue
		case e.Kind == trace.KindReturn && e.Target != nil:
			f = e.Target
		case e.Kind == trace.KindRefused:
			f, kind = e.Fn, interp.CallTail
		default:
			continue
		}
		if n == len(r.log.states) || e.Site == 0 || int(e.Site) > len(got.frames) {
			break
		}
		s := &r.log.states[n]
		n++
		if text := r.differs(s, kind, f, got, int(e.Site)-1); text != "" {
			v.Event, v.Seq, v.Site, v.RIP, v.Text = e.No, e.Seq, e.Site, trace.Hex(e.RIP), text
			return
		}
	}
}

// differs says how a state differs from that at a site, "" if it does not.
func (r *reference) differs(s *state, kind interp.CallKind, f *trace.Fn, got *siteStates, site int) string {
	callback := s.Kind == interp.CallCallback
	if callback {
		s.Kind = interp.CallSubprogram // the verifier makes bpf_loop a loop around a call
	}
	if s.Kind != kind || !is(f, r.name(s.Prog), s.Func) {
		return fmt.Sprintf("a %s comes back to %s; BPF has a %s come back to function %d of %s", kind, f, s.Kind, s.Func, r.name(s.Prog))
	}
	for i, want := range s.Saved {
		if callback && i < 3 {
			continue // the loop has R6 to R8 for itself
		}
		if have := got.regs[site][i]; have != want && s.pointers[0]&(1<<i) == 0 {
			return fmt.Sprintf("%s is %#x in %s after a %s; BPF has %#x there", calleeSaved[i], have, f, kind, want)
		}
	}
	if !stackBelowRBP(f) {
		return ""
	}
	have := &got.frames[site]
	for w := range interp.StackSize / 8 {
		written := s.written(w)
		if written == 0 || s.pointers[1]&(1<<w) != 0 || bytes.Equal(have[8*w:8*w+8], s.stack[8*w:8*w+8]) {
			continue
		}
		for b := range 8 {
			at := 8*w + b
			if written&(1<<b) != 0 && have[at] != s.stack[at] {
				return fmt.Sprintf("the byte at fp-%d of %s is %#02x after a %s; BPF has %#02x there",
					interp.StackSize-at, f, have[at], kind, s.stack[at])
			}
		}
	}
	return ""
}

// stackBelowRBP reports whether R10 is rbp in a function, as in every kernel since 5.10 but for
// programs whose BPF stack is not on the kernel's.
func stackBelowRBP(f *trace.Fn) bool {
	if f.Frame.Reused {
		return false // the frame is that of another function
	}
	for _, s := range f.Frame.Slots {
		if s.Kind == jit.SlotBPFStack {
			return s.Off+int32(s.Size) == 0
		}
	}
	return false
}
