// SPDX-License-Identifier: GPL-2.0-only

package runner

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"sort"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/check"
	"github.com/tcsim/tcsim/emu/helper"
	"github.com/tcsim/tcsim/emu/interp"
	"github.com/tcsim/tcsim/emu/record"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/jit/image"
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

func (s *siteStates) sites(batch []record.Site) {
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

// stateLog keeps the state of a function after each of its calls in the interpreter. Of calls of
// helpers it keeps the registers only.
type stateLog struct {
	m       *interp.Machine
	states  []state
	helpers []helperState
	more    bool // there were more than maxStates
}

// helperState is what is kept of a call of a helper. next is the number of states before it.
type helperState struct {
	next, prog, fn int
	saved          [4]uint64
	pointers       uint64 // as in state
}

// state is a Snapshot that is kept. pointers has a bit for each of R6 to R9, and for each word of
// the stack, that is an address.
type state struct {
	interp.Snapshot
	stack    [interp.StackSize]byte
	pointers [1 + interp.StackSize/512]uint64
}

func (l *stateLog) reset() { l.states, l.helpers, l.more = l.states[:0], l.helpers[:0], false }

// TailCall implements interp.Observer.
func (l *stateLog) TailCall(interp.TailCall) {}

// Returned implements interp.Observer.
func (l *stateLog) Returned(s interp.Snapshot) {
	if s.Inner || l.more || s.Kind == interp.CallHelper && callsBack(helper.NameOf(s.Helper)) {
		return
	}
	if l.more = len(l.states)+len(l.helpers) == maxStates; l.more {
		return
	}
	var foreign uint64
	for i, v := range s.Saved {
		if l.foreign(v) {
			foreign |= 1 << i
		}
	}
	if s.Kind == interp.CallHelper {
		l.helpers = append(l.helpers, helperState{len(l.states), s.Prog, s.Func, s.Saved, foreign})
		return
	}
	l.states = append(l.states, state{Snapshot: s, stack: *s.Stack})
	x := &l.states[len(l.states)-1]
	x.Stack = nil // belongs to the machine
	x.pointers[0] = foreign
	for w := range interp.StackSize / 8 {
		v := binary.LittleEndian.Uint64(x.stack[8*w:])
		if v>>32 != 0 && x.written(w) != 0 && l.foreign(v) {
			x.pointers[1] |= 1 << w
		}
	}
}

// callsBack reports whether a helper calls functions of the program, which come back before it does.
func callsBack(name string) bool { return helper.ByName(name).CallsBack() }

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
	var helpers []*trace.Event // since the last state
	for i := range out.Events {
		e := &out.Events[i]
		var f *trace.Fn // whose state it is
		kind := interp.CallSubprogram
		switch {
		case e.Kind == trace.KindHelper && !e.Inner && e.Fn != nil && !e.Fn.Trampoline:
			if !callsBack(e.Name) {
				helpers = append(helpers, e)
			}
			continue
		case e.Kind == trace.KindReturn && !e.Inner && callsBack(e.Name): // to the helper, whose registers and stack are its own
			kind = interp.CallCallback
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
			return
		}
		if r.helpers(v, helpers, n, got); v.Text != "" {
			return
		}
		helpers = helpers[:0]
		s := &r.log.states[n]
		n++
		if text := r.differs(s, kind, f, got, int(e.Site)-1); text != "" {
			v.Event, v.Seq, v.Site, v.RIP, v.Text = e.No, e.Seq, e.Site, trace.Hex(e.RIP), text
			return
		}
	}
	r.helpers(v, helpers, n, got)
}

// helpers compares R6 to R9 at the calls of helpers before state n, if there are as many as in BPF: the
// kernel replaces some by code.
func (r *reference) helpers(v *check.Violation, calls []*trace.Event, n int, got *siteStates) {
	all := r.log.helpers
	from := sort.Search(len(all), func(i int) bool { return all[i].next >= n })
	want := all[from : from+sort.Search(len(all)-from, func(i int) bool { return all[from+i].next > n })]
	if r.log.more || len(calls) != len(want) {
		return
	}
	for i, e := range calls {
		if h := &want[i]; !is(e.Fn, r.name(h.prog), h.fn) || e.Site == 0 || int(e.Site) > len(got.regs) {
			return
		}
	}
	for i, e := range calls {
		for k, w := range want[i].saved {
			if have := got.regs[e.Site-1][k]; have != w && want[i].pointers&(1<<k) == 0 {
				v.Event, v.Seq, v.Site, v.RIP = e.No, e.Seq, e.Site, trace.Hex(e.RIP)
				v.Text = fmt.Sprintf("%s is %#x in %s at a call of %s; BPF has %#x there", calleeSaved[k], have, e.Fn, e.Name, w)
				return
			}
		}
	}
}

// differs says how a state differs from that at a site, "" if it does not.
func (r *reference) differs(s *state, kind interp.CallKind, f *trace.Fn, got *siteStates, site int) string {
	callback := s.Kind == interp.CallCallback
	if callback && kind == interp.CallCallback {
		return ""
	}
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
	for _, s := range f.Frame.Slots {
		if s.Kind == image.SlotBPFStack {
			return s.Off+int32(s.Size) == 0
		}
	}
	return false
}
