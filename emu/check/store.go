// SPDX-License-Identifier: GPL-2.0-only

package check

import (
	"fmt"

	"github.com/tcsim/tcsim/emu/record"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/jit/image"
)

// refresh takes over the innermost activation.
func (c *Checker) refresh() {
	c.cur, c.known = frame{}, false
	a, ok := c.innermost()
	if !ok {
		return
	}
	c.cur, c.known = frameOf(a)
	if c.counter-c.cur.lo < c.cur.hi-c.cur.lo {
		c.cur.hi = c.cur.lo // the counter lies in the BPF stack: look at each store
	}
}

// frameOf returns the addresses of an activation's frame: ok is false if it is not described.
func frameOf(a *trace.Activation) (f frame, ok bool) {
	f.act = *a
	if len(a.Frame().Slots) == 0 {
		return f, false
	}
	f.low = a.RBP + image.Addr(int64(a.FrameLow()))
	for _, s := range a.Frame().Slots {
		if s.Kind == image.SlotBPFStack {
			f.lo = a.RBP + image.Addr(int64(s.Off))
			f.hi = f.lo + image.Addr(s.Size)
		}
	}
	// What the design keeps inside the BPF stack is not the program's.
	for _, s := range a.Frame().Slots {
		at := a.RBP + image.Addr(int64(s.Off))
		if s.Kind != image.SlotBPFStack && at >= f.lo && at < f.hi {
			f.hi = at
		}
	}
	return f, true
}

// store checks a store that is not plainly in the function's own BPF stack.
func (c *Checker) store(seq uint64, f *trace.Fn, op trace.Op, r record.Retired) {
	if op&trace.OpPush != 0 {
		if c.known && (r.EA+8 == c.cur.act.Top || r.EA == c.cur.act.RBP) && f.Code[r.RIP-f.Addr] == pushRBP {
			c.link(len(c.rec.Stack()), true)
		}
		c.budget(seq, r.RIP)
	}
	if !c.known || c.over() {
		return
	}
	size := image.Addr(op.Size())
	var good bool
	switch {
	case f.Unwinding(image.CodeOff(r.RIP - f.Addr)):
		good = r.EA < c.cur.act.Top-8 // a thunk inside the sequence uses the stack below the frame
	case op&trace.OpPush != 0:
		good = r.EA <= c.cur.act.Top && !overlaps(r.EA, size, c.cur.lo, c.cur.hi) || c.scratch(f, r, size)
	case op&trace.OpDesign != 0:
		good = c.designMay(r.EA, size)
	default:
		good = c.programMay(r.EA, size)
	}
	if good {
		return
	}
	who := "the program"
	if op&trace.OpDesign != 0 {
		who = "code of the design"
	}
	c.Report(c.violation(Frame, seq, r.RIP, fmt.Sprintf("%s writes %d bytes at %#x: %s", who, uint64(size), uint64(r.EA), c.what(r.EA))))
}

// scratch reports whether a push of the prologue goes where the program's stack will be and hits
// nothing that is in use.
func (c *Checker) scratch(f *trace.Fn, r record.Retired, size image.Addr) bool {
	return f.Frame.Scratch && image.CodeOff(r.RIP-f.Addr) < f.Frame.Body && within(r.EA, size, c.cur.lo, c.cur.hi) &&
		!overlaps(c.counter, 4, r.EA, r.EA+size)
}

// pushRBP is the opcode of push rbp (Intel SDM vol. 2B, PUSH, 50+rd).
const pushRBP = 0x55

func overlaps(a, n, lo, hi image.Addr) bool { return a < hi && a+n > lo }

func within(a, n, lo, hi image.Addr) bool { return a >= lo && a+n <= hi }

// designMay reports whether code of the design may write n bytes at a: its own frame but for the
// BPF stack, and the counter wherever it lives.
func (c *Checker) designMay(a, n image.Addr) bool {
	if within(a, n, c.cur.low, c.cur.act.Top) && !overlaps(a, n, c.cur.lo, c.cur.hi) {
		return true
	}
	for i := range c.cfg.DesignWritable {
		if r := &c.cfg.DesignWritable[i]; within(a, n, r.Lo, r.End) {
			return true
		}
	}
	for _, r := range c.allowed {
		if within(a, n, r.Lo, r.End) {
			return true
		}
	}
	s := c.rec.Stack()
	for i := range s {
		k := slotKind(&s[i], a)
		if k == image.SlotTailCallCnt || k == image.SlotTailCallCntOrPtr {
			return true
		}
	}
	return false
}

// programMay reports whether a program may write n bytes at a.
func (c *Checker) programMay(a, n image.Addr) bool {
	if within(a, n, c.last.Lo, c.last.End) {
		return true
	}
	for _, r := range c.cfg.Writable {
		if within(a, n, r.Lo, r.End) {
			c.last = r
			return true
		}
	}
	if overlaps(c.counter, 1, a, a+n) {
		return false
	}
	s := c.rec.Stack()
	for i := len(s) - 1; i >= 0; i-- {
		f, ok := frameOf(&s[i])
		if !ok && i > 0 && a > s[i].Top-image.Addr(c.cfg.StackBudget) && a <= s[i].Top {
			return true // nothing is known of this frame
		}
		if ok && within(a, n, f.lo, f.hi) {
			return true
		}
	}
	return false
}

// slotKind returns what an activation's frame has at a.
func slotKind(a *trace.Activation, at image.Addr) image.SlotKind {
	if at-a.Top < 8 {
		return image.SlotReturn
	}
	off := int64(at - a.RBP)
	kind := image.SlotUnknown
	for _, s := range a.Frame().Slots {
		if off >= int64(s.Off) && off < int64(s.Off)+int64(s.Size) && (kind == image.SlotUnknown || s.Kind != image.SlotBPFStack) {
			kind = s.Kind
		}
	}
	return kind
}

var slotWords = map[image.SlotKind]string{
	image.SlotReturn:           "the return address of %s",
	image.SlotSavedReg:         "a register that %s has saved",
	image.SlotBPFStack:         "the BPF stack of %s",
	image.SlotTailCallCnt:      "tail_call_cnt in the frame of %s",
	image.SlotTailCallPtr:      "tail_call_cnt_ptr in the frame of %s",
	image.SlotTailCallCntOrPtr: "tail_call_cnt in the frame of %s",
	image.SlotPad:              "a reserved slot of %s",
	image.SlotFrameLink:        "the second frame pointer of %s",
	image.SlotTraceReturn:      "the return value that %s keeps",
	image.SlotTraceArgs:        "the arguments that %s keeps",
	image.SlotTraceCount:       "the argument count of %s",
	image.SlotTraceCtx:         "the run context of %s",
}

// what says what lies at a.
func (c *Checker) what(a image.Addr) string {
	if c.counter != 0 && a-c.counter < 8 {
		return "tail_call_cnt lives there"
	}
	s := c.rec.Stack()
	for i := len(s) - 1; i >= 0; i-- {
		if w, ok := slotWords[slotKind(&s[i], a)]; ok {
			return fmt.Sprintf(w, s[i].Fn) + fmt.Sprintf(" #%d", s[i].N)
		}
	}
	switch {
	case a < c.cur.act.Top && a >= c.bottom():
		return "the stack below the frame of " + c.cur.act.Fn.String()
	case a < s[0].Top+8 && a >= c.cur.act.Top:
		return "between the frames of the stack"
	case a >= s[0].Top+8 && a < max(c.top, s[0].Top)+guard:
		return "the outside caller's stack"
	}
	return "memory that the program was not given"
}
