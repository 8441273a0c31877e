// SPDX-License-Identifier: GPL-2.0-only

package check

import (
	"bytes"
	"fmt"
	"math"

	"github.com/tcsim/tcsim/emu/record"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/jit/image"
)

func overBudget(used image.Addr, budget uint64, frames int) string {
	return fmt.Sprintf("the stack is %d bytes deep in %d frames; the kernel stack has %d", uint64(used), frames, budget)
}

// innermost returns the innermost activation: ok is false if there is none.
func (c *Checker) innermost() (a *trace.Activation, ok bool) {
	s := c.rec.Stack()
	if len(s) == 0 {
		return nil, false
	}
	return &s[len(s)-1], true
}

// caller names the function that a frame returns to.
func (c *Checker) caller(a *trace.Activation) string {
	s := c.rec.Stack()
	for i := range s {
		if &s[i] == a && i > 0 {
			return s[i-1].Fn.String()
		}
	}
	return "the outside caller"
}

// stackAlign is what functions of the kernel take rsp to be a multiple of: it is built with -mpreferred-stack-boundary=3
// (arch/x86/Makefile).
const stackAlign = 8

// frameEnd checks that rsp is aligned at a call, that the whole frame is above rsp at a call, and that nothing else is below it
// at the start of a tail call. Around a call, registers may have been pushed.
func (c *Checker) frameEnd(k trace.MarkKind, f *trace.Fn, s *record.Site) {
	if k&trace.MarkCall != 0 && s.RSP%stackAlign != 0 {
		c.Report(c.violation(Balance, s.Seq, s.RIP, fmt.Sprintf("rsp is %#x at a call; what is called takes it to be a multiple of %d", uint64(s.RSP), stackAlign)))
		return
	}
	a, ok := c.innermost()
	if !ok || a.Fn != f || len(a.Frame().Slots) == 0 || s.RBP != a.RBP {
		return
	}
	end := a.RBP + image.Addr(int64(a.FrameLow()))
	if s.RSP > end || s.RSP < end && k&trace.MarkTailStart != 0 {
		c.Report(c.violation(Balance, s.Seq, s.RIP, fmt.Sprintf("rsp is %#x, but the frame of %s goes down to %#x",
			uint64(s.RSP), f, uint64(end))))
	}
}

// call checks a call instruction: the frame chain, and what is handed over.
func (c *Checker) call(e *trace.Event) {
	a, ok := c.innermost()
	if !ok {
		c.broken(Balance, e, "call from %s, which nothing has entered", e.Fn)
		return
	}
	c.keepCounter(e)
	if e.Kind == trace.KindCall {
		if off := image.CodeOff(e.TargetAddr - e.Target.Addr); !begins(e.Fn, e.Target, off) {
			c.broken(FaultFree, e, "the call goes into the middle of %s, to +%#x; it begins at +%#x", e.Target, int(off), int(e.Target.Entry))
		}
		c.link(e.Depth+1, false)
		if wantsRAX(e.Target) && c.isJunk(uint64(e.RAX)) {
			c.broken(HelperClobber, e, "%s is called with rax %#x, which a helper left there, instead of tail_call_cnt",
				e.Target, uint64(e.RAX))
		}
	}
	switch {
	case c.over():
	case !chained(a, e.RBP):
		c.broken(Backtrace, e, "rbp is %#x at a call; the return address of %s lies at %#x, so the frame chain must go through %#x",
			uint64(e.RBP), e.Fn, uint64(a.Top), uint64(a.Top-8))
	case c.rec.Counts().Retired > 0 && !c.linked[e.Depth-1]:
		c.broken(Backtrace, e, "%s has not pushed rbp of %s below its return address", e.Fn, c.caller(a))
	}
}

// begins reports whether a function may be called at an offset: where it begins, and by a trampoline also
// after the five bytes there, and an endbr64, that lead to the trampoline.
func begins(from, f *trace.Fn, off image.CodeOff) bool {
	const patched, endbr = 5, 4
	switch off - f.Entry {
	case 0:
		return true
	case patched, endbr + patched:
		return from.Trampoline
	}
	return false
}

// wantsRAX reports whether a function gets the counter, or the pointer to it, in rax.
func wantsRAX(f *trace.Fn) bool {
	form := f.Frame.Counter.Form
	return form == image.CounterValue || form == image.CounterPtr
}

// chained reports whether rbp leads to the saved rbp directly below the return address: at once or,
// in a design with a second frame, through the word that this frame begins with. In a design that
// calls its own body there is a return address of its own below the other.
func chained(a *trace.Activation, rbp image.Addr) bool {
	return rbp+8 == a.Top ||
		rbp == a.RBP && (slotKind(a, rbp) == image.SlotFrameLink || slotKind(a, rbp+8) == image.SlotReturn)
}

// keepCounter notes where the counter lives as long as a pointer says so.
func (c *Checker) keepCounter(e *trace.Event) {
	counter := image.Addr(0)
	if e.CounterPtrAt != 0 {
		counter = e.CounterAddr
	}
	if counter != c.counter {
		c.counter = counter
		c.gen = 0
	}
}

// returns checks a return instruction against the call that it answers.
func (c *Checker) returns(e *trace.Event, s *record.Site) {
	a, ok := c.innermost()
	if !ok {
		c.broken(Balance, e, "return from %s, which nothing has entered", e.Fn)
		return
	}
	switch {
	case s.RSP != a.Top:
		c.broken(Balance, e, "%s returns with rsp %#x; its return address was pushed at %#x, %s",
			e.Fn, uint64(s.RSP), uint64(a.Top), apart(s.RSP, a.Top))
	case image.Addr(s.Stack[0]) != a.ReturnTo:
		c.broken(Balance, e, "%s returns to %s; the call pushed %s", e.Fn,
			c.rec.Code().Where(image.Addr(s.Stack[0])), c.rec.Code().Where(a.ReturnTo))
	default:
		if reg, got, want, bad := differ(savedOf(s), a.Caller); bad {
			c.broken(CalleeSaved, e, "%s is %#x when %s returns; %s had %#x in it", reg, got, e.Fn, c.caller(a), want)
		}
	}
}

func apart(rsp, want image.Addr) string {
	if rsp < want {
		return fmt.Sprintf("%d bytes higher", uint64(want-rsp))
	}
	return fmt.Sprintf("%d bytes lower", uint64(rsp-want))
}

func savedOf(s *record.Site) trace.Saved {
	return trace.Saved{RBX: s.RBX, RBP: uint64(s.RBP), R12: s.R12, R13: s.R13, R14: s.R14, R15: s.R15}
}

// differ returns the first register in which two sets differ, with its BPF name if it has one.
func differ(got, want trace.Saved) (reg string, g, w uint64, bad bool) {
	switch {
	case got == want:
		return "", 0, 0, false
	case got.RBX != want.RBX:
		return "rbx (R6)", got.RBX, want.RBX, true
	case got.RBP != want.RBP:
		return "rbp", got.RBP, want.RBP, true
	case got.R12 != want.R12:
		return "r12", got.R12, want.R12, true
	case got.R13 != want.R13:
		return "r13 (R7)", got.R13, want.R13, true
	case got.R14 != want.R14:
		return "r14 (R8)", got.R14, want.R14, true
	}
	return "r15 (R9)", got.R15, want.R15, true
}

// tailCall checks a taken tail call: the limit, how the frame is left, where it landed.
func (c *Checker) tailCall(e *trace.Event, s *record.Site) {
	if l := c.limitFor(e.Fn); l != 0 && e.Taken > l {
		c.broken(Limit, e, "the %s tail call was taken; the limit is %d", ordinal(e.Taken), l)
		return
	}
	a, ok := c.innermost()
	if !ok {
		c.broken(Balance, e, "tail call from %s, which nothing has entered", e.Fn)
		return
	}
	c.landing(e, s, a)
	if !c.over() && e.Target != nil && wantsRAX(e.Target) && c.isJunk(uint64(e.RAX)) {
		c.broken(HelperClobber, e, "%s is tail-called with rax %#x, which a helper left there, instead of tail_call_cnt",
			e.Target, uint64(e.RAX))
	}
	// A pointer stays in use only if it is handed over: a frame may give its counter by value.
	if uint64(e.RAX) == uint64(e.CounterAddr) {
		c.keepCounter(e)
	} else {
		c.counter = 0
	}
}

// landing checks the state in which control leaves for the target, and the target itself.
func (c *Checker) landing(e *trace.Event, s *record.Site, a *trace.Activation) {
	to := e.Target.String()
	enter, kept := image.CodeOff(0), image.Addr(e.Fn.Frame.Kept)
	if e.Tail != nil {
		enter = e.Tail.Enter
	}
	if e.Target != nil {
		kept = image.Addr(e.Target.Frame.Kept)
	}
	switch {
	case e.Target == nil && e.TargetAddr != 0:
		c.broken(Balance, e, "the tail call goes to %s, which is no program", c.rec.Code().Where(e.TargetAddr))
	case e.Target != nil && e.Target.Frame.Landing >= 0 && e.TargetAddr != e.Target.Addr+image.Addr(e.Target.Frame.Landing+enter):
		c.broken(Balance, e, "the tail call lands at %s; tail calls enter %s at +%#x",
			c.rec.Code().Where(e.TargetAddr), to, int(e.Target.Frame.Landing))
	case noEndbr(e):
		c.broken(FaultFree, e, "the indirect tail call lands at %s, where is no endbr64", c.rec.Code().Where(e.TargetAddr))
	case e.Fn.Frame.Reused:
		if end := a.RBP + image.Addr(int64(e.Fn.FrameLow())); len(e.Fn.Frame.Slots) > 0 && (s.RSP != end || s.RBP != a.RBP) {
			c.broken(Balance, e, "the tail call to %s leaves with rsp %#x and rbp %#x; the frame it hands over has %#x and %#x",
				to, uint64(s.RSP), uint64(s.RBP), uint64(end), uint64(a.RBP))
		}
	case s.RSP != a.RBP-kept || s.RBP != a.RBP:
		where := "where the saved rbp lies"
		if kept != 0 {
			where = fmt.Sprintf("%d bytes below the saved rbp and there", uint64(kept))
		}
		c.broken(Balance, e, "the tail call to %s leaves with rsp %#x and rbp %#x; they must be %#x and %#x, %s",
			to, uint64(s.RSP), uint64(s.RBP), uint64(a.RBP-kept), uint64(a.RBP), where)
	case kept != 0:
		// What lies at rbp is not at hand; nothing but a push has written there.
	case s.Stack[0] != a.Caller.RBP:
		c.broken(Balance, e, "the tail call to %s leaves %#x at [rbp]; rbp of %s is %#x", to, s.Stack[0], c.caller(a), a.Caller.RBP)
	case image.Addr(s.Stack[1]) != a.ReturnTo && a.RBP+8 == a.Top:
		c.broken(Balance, e, "the tail call to %s leaves %s at [rbp+8]; the return address is %s", to,
			c.rec.Code().Where(image.Addr(s.Stack[1])), c.rec.Code().Where(a.ReturnTo))
	default:
		caller := a.Caller
		caller.RBP = uint64(s.RBP) // still on the stack
		if reg, got, want, bad := differ(savedOf(s), caller); bad {
			c.broken(CalleeSaved, e, "%s is %#x when %s tail-calls %s; %s had %#x in it", reg, got, e.Fn, to, c.caller(a), want)
		}
	}
}

// noEndbr reports whether the CPU of a kernel with IBT, which has endbr64 where functions begin, would stop
// an indirect tail call (#CP): a jump through a register must find one, too. Thunks are not looked at.
func noEndbr(e *trace.Event) bool {
	if e.Target == nil || e.TargetAddr == 0 || e.Tail == nil || e.Tail.Direct || e.Tail.Jump < 0 {
		return false
	}
	endbr := []byte{0xf3, 0x0f, 0x1e, 0xfa}
	f := e.Target
	ibt := bytes.HasPrefix(f.Code, endbr) || bytes.HasPrefix(f.Code[f.Entry:], endbr)
	jump := e.Fn.Code[e.Tail.Jump:]
	return ibt && len(jump) > 1 && jump[0] == 0xff && jump[1]&^7 == 0xe0 && !bytes.HasPrefix(f.Code[e.TargetAddr-f.Addr:], endbr)
}

// refused checks where a refused tail call goes on.
func (c *Checker) refused(e *trace.Event, s *record.Site) {
	c.keepCounter(e)
	if e.FellThrough {
		c.broken(Pokes, e, "the tail call falls through after its frame was taken down: the bypass is open and the target is a nop")
		return
	}
	c.uncounted(e)
	start, ok := c.rec.StartSite()
	if !ok {
		c.refusedInBody(e, s)
		return
	}
	if s.RSP != start.RSP {
		c.broken(Balance, e, "rsp is %#x after a refused tail call, %#x before it", uint64(s.RSP), uint64(start.RSP))
		return
	}
	if reg, got, want, bad := differ(savedOf(s), savedOf(start)); bad {
		c.broken(CalleeSaved, e, "%s is %#x after a refused tail call, %#x before it", reg, got, want)
	}
}

// uncounted looks at a refusal by the limit before as many tail calls were tried as the limit allows,
// those into empty slots included, which some designs count: the counter does not hold what was counted.
// Where BPF refuses the tail call as well, for an empty slot, nothing else tells, so it is latent.
func (c *Checker) uncounted(e *trace.Event) {
	l := min(c.limitFor(e.Fn), uint64(e.Fn.Limit)) // what the code was made for, even if that is not to be checked
	if l == math.MaxUint32 {
		return
	}
	n := c.rec.Counts()
	if tried := n.Taken + n.Refused[trace.ReasonEmpty]; e.Reason == trace.ReasonLimit && tried < l && !c.over() && c.latent == nil {
		v := c.violation(Limit, e.Seq, e.RIP, fmt.Sprintf("the limit of %d refuses a tail call, and %d were tried before: tail_call_cnt is %d", l, tried, e.Counter))
		v.Event, v.Site = e.No, e.Site
		c.latent = &v
	}
}

// refusedInBody is refused without the registers at the start: rsp and rbp follow from the frame.
func (c *Checker) refusedInBody(e *trace.Event, s *record.Site) {
	a, ok := c.innermost()
	if !ok || len(a.Frame().Slots) == 0 {
		return
	}
	switch want := a.RBP + image.Addr(int64(a.FrameLow())); {
	case s.RBP != a.RBP:
		c.broken(CalleeSaved, e, "rbp is %#x after a refused tail call; that of %s is %#x", uint64(s.RBP), e.Fn, uint64(a.RBP))
	case s.RSP != want:
		c.broken(Balance, e, "rsp is %#x after a refused tail call; the frame of %s ends at %#x", uint64(s.RSP), e.Fn, uint64(want))
	}
}
