// SPDX-License-Identifier: GPL-2.0-only

package design

import (
	"github.com/tcsim/tcsim/jit/emit"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// hidden16 is what Maciej Fijalkowski tried in December 2023 instead of the call in the prologue:
// 16 bytes at the beginning of the frame for the counter and a pointer to it, the program's stack
// below them. But BPF_REG_FP still is rbp, so that a program that uses its stack overwrites both.
//
//	rbp+8       return address
//	rbp         saved rbp
//	rbp-8       tail_call_cnt_ptr                               (if reachable)
//	rbp-16      tail_call_cnt as a qword, used as a dword; nothing in subprograms (if reachable)
//	rbp-24      tail_call_cnt_ptr once more                     (if reachable)
//	rbp-sd-24   the bytes that are reserved for the program's stack; it uses those from rbp to rbp-sd
//	            rbx, r13, r14, r15 as used                      <- rsp
//
// Prologue and reload of a main program follow the listing in the mail of 21 December 2023. It has
// no landing and neither tail call nor subprogram. Ours: tail calls land at the push of rax, 29 bytes
// after the entry, so that the callee inherits the hidden bytes and pushes the pointer below them, and
// a main program that reaches no tail call has filler of the same size;
// a subprogram reserves the same 16 bytes and stores the pointer that it got in rax; the tests are
// those of the proposal that the mail reviews.
type hidden16 struct{}

func (hidden16) traits() Traits {
	return Traits{
		Name: "maciej-hidden16", Source: "mail of 21 December 2023, listing of a main program; subprograms and tail calls are ours", Evidence: ByListing, Listings: []string{""},
		Counting: CountInvocation, Empty: EmptyCounts, Handover: HandPointer, Boundary: BoundaryNone,
		Faults: []Fault{{"frame", ShownByGraphs, "the pointer to the counter lies on the stack of the program"}},
		Shape:  Shape{Reused: No, Hook: Yes, Counter: CounterPlace{Base: CounterAnywhere, Form: image.CounterPtr, Size: 4}, Returns: 1, Setup: SetupPlace},
	}
}

func (hidden16) Landing(t *emit.Config) image.CodeOff { return emit.WithENDBR(t, 29) }

// hidden is the number of bytes that a tail call leaves in place below the saved rbp.
const hidden = 16

func (h hidden16) Prologue(e *emit.Writer) {
	f := e.Func
	// The place that a trampoline patches.
	e.Nop(5) // 0f 1f 44 00 00

	e.Push64O(x86.RBP)                 // 55
	e.Mov64MR(x86.R(x86.RBP), x86.RSP) // 48 89 e5
	switch {
	case f.Reachable && !f.Sub:
		e.Sub64MI8(x86.R(x86.RSP), hidden) // 48 83 ec 10

		// The pointer, and the counter that it points to.
		e.Mov64MR(x86.M8(x86.RBP, -8), x86.RSP) // 48 89 65 f8
		e.Mov64MI32(x86.M0(x86.RSP), 0)         // 48 c7 04 24 00 00 00 00
		e.Mov64RM(x86.RAX, x86.M8(x86.RBP, -8)) // 48 8b 45 f8
	case !f.Sub:
		// Nothing to count, but a tail call leaves the hidden bytes here too.
		e.Sub64MI8(x86.R(x86.RSP), hidden) // 48 83 ec 10
		e.Nop(8)                           // 0f 1f 84 00 00 00 00 00
		e.Nop(8)                           // 0f 1f 84 00 00 00 00 00
	case f.Reachable:
		e.Sub64MI8(x86.R(x86.RSP), hidden)      // 48 83 ec 10
		e.Mov64MR(x86.M8(x86.RBP, -8), x86.RAX) // 48 89 45 f8
	}

	// Tail calls land here, with the hidden bytes in place.
	e.EndBR()
	if f.Reachable {
		e.Push64O(x86.RAX) // 50
	}
	e.TakeStack()
	e.PushSaved()
}

func (hidden16) Reload(e *emit.Writer) {
	e.Mov64RM(x86.RAX, x86.M32(x86.RBP, -8)) // 48 8b 85 f8 ff ff ff
}

// count jumps to out if the counter has reached the limit, and adds one to it.
func (h hidden16) count(e *emit.Writer, s *image.TailCallSite) {
	h.Reload(e)
	e.Cmp32MI8(x86.M0(x86.RAX), int8(e.Func.Config.Limit)) // 83 38 21
	s.Limit = e.JumpOut(x86.FormJaeD8)
	s.Bump = image.CodeOff(e.Len())
	e.Add32MI8(x86.M0(x86.RAX), 1) // 83 00 01
}

// unwind takes the frame down to the hidden bytes and leaves the pointer in rax.
func (hidden16) unwind(e *emit.Writer, s *image.TailCallSite) {
	s.Unwind = image.CodeOff(e.Len())
	e.PopSaved()
	e.GiveStack()
	e.Pop64O(x86.RAX) // 58
}

func (h hidden16) Indirect(e *emit.Writer, s *image.TailCallSite) error {
	e.Bounds(s)
	h.count(e, s)
	e.LoadProg(s)
	h.unwind(e, s)
	return e.LeaveIndirect(s, h.Landing(e.Func.Config))
}

func (h hidden16) Direct(e *emit.Writer, s *image.TailCallSite) error {
	h.count(e, s)
	e.Bypass(s)
	h.unwind(e, s)
	e.LeaveDirect(s)
	return nil
}

func (hidden16) Epilogue(e *emit.Writer) {
	e.PopSaved()
	e.Leave() // c9
}

func (hidden16) Poke(p *emit.PokePlan, s image.PokeSite, old, new image.Addr) {
	emit.PokeBypass(p, s, old, new)
}

func (h hidden16) Frame(f *emit.Func) image.Frame {
	b := emit.NewBareFrame(f)
	b.Landing = h.Landing(f.Config)
	b.Frame.Kept = hidden
	b.PushReg(x86.RBP)
	switch {
	case f.Reachable:
		b.Push(image.SlotTailCallPtr)
		if f.Sub {
			b.Push(image.SlotPad)
		} else {
			b.Push(image.SlotTailCallCnt)
		}
		b.Push(image.SlotTailCallPtr)
		b.Stack(f.Depth)
		b.Frame.FP = 0
		b.Frame.Counter = image.Counter{Form: image.CounterPtr, Off: -8, Size: 4}
	case f.Sub:
		b.Stack(f.Depth)
	default:
		// The program's stack covers the hidden bytes, which nothing needs here.
		b.Stack(f.Depth)
		b.Push(image.SlotPad)
		b.Push(image.SlotPad)
	}
	return b.Done()
}
