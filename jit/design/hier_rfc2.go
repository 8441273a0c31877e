// SPDX-License-Identifier: GPL-2.0-only

package design

import (
	"github.com/tcsim/tcsim/jit/emit"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// hierRFC2 is the second proposal against the hierarchy (October 2023, resent in January 2024): a
// main program that can reach a tail call calls its own body, so that the counter lies above a
// return address that every tail call inherits; a pointer to it travels in rax.
//
//	rbp+24    return address of the caller                           (reachable main)
//	rbp+16    tail_call_cnt, a pushed qword, used as a dword         (reachable main)
//	rbp+8     return address: into the prologue of a reachable main, else that of the caller
//	rbp       saved rbp
//	rbp-sd    stack of the program, sd bytes rounded up to 8
//	rbp-sd-8  tail_call_cnt_ptr                                      (if reachable)
//	          rbx, r13, r14, r15 as used                             <- rsp
//
// A main program that is entered by a tail call has the three words above rbp of the program that
// was entered first, or the one of the subprogram whose frame it took over.
//
// Derived from the patch "bpf, x64: Fix tailcall hierarchy" (RFC v2 2/4, 11 October 2023) on
// 6.6: emit_prologue, emit_bpf_tail_call_indirect, emit_bpf_tail_call_direct.
type hierRFC2 struct{}

func (hierRFC2) traits() Traits {
	return Traits{
		Name: "hier-rfc2", Source: "RFC v2 of 11 October 2023, the patch", Evidence: ByOwnSource,
		Counting: CountInvocation, Empty: EmptyCounts, Handover: HandPointer, Boundary: BoundaryNone,
		Shape: Shape{Reused: No, Hook: Yes, Counter: CounterPlace{CounterStack, image.CounterPtr, 4, -8}, Returns: 2},
	}
}

func (hierRFC2) Landing(t *emit.Config) image.CodeOff { return emit.WithENDBR(t, 22) }

func (hierRFC2) Prologue(e *emit.Writer) {
	f := e.Func
	// The place that a trampoline patches.
	e.Nop(5) // 0f 1f 44 00 00
	if f.Reachable && !f.Sub {
		// The counter, and rax as the pointer to it.
		e.Xor32MR(x86.R(x86.RAX), x86.RAX) // 31 c0
		e.Push64O(x86.RAX)                 // 50
		e.Mov64MR(x86.R(x86.RAX), x86.RSP) // 48 89 e0

		// Call the body, which follows the next two instructions; drop the counter; return.
		e.CallD32(2)      // e8 02 00 00 00
		e.Pop64O(x86.RCX) // 59
		e.Ret()           // c3
	} else {
		// Filler of the same size, in the chunks of emit_nops.
		e.Nop(11) // 66 66 2e 0f 1f 84 00 00 00 00 00
		e.Nop(2)  // 66 90
	}
	e.Push64O(x86.RBP)                 // 55
	e.Mov64MR(x86.R(x86.RBP), x86.RSP) // 48 89 e5

	// Tail calls land here.
	e.EndBR()
	e.TakeStack()
	if f.Reachable {
		e.Push64O(x86.RAX) // 50
	}
	e.PushSaved()
}

func (hierRFC2) Reload(e *emit.Writer) {
	e.Mov64RM(x86.RAX, x86.M32(x86.RBP, -8-e.Func.Depth)) // 48 8b 85 disp32
}

// count jumps to out if the counter has reached the limit, and adds one to it.
func (h hierRFC2) count(e *emit.Writer, s *image.TailCallSite) {
	h.Reload(e)
	e.Cmp32MI8(x86.M0(x86.RAX), int8(e.Func.Config.Limit)) // 83 38 21
	s.Limit = e.JumpOut(x86.FormJaeD8)
	s.Bump = image.CodeOff(e.Len())
	e.Add32MI8(x86.M0(x86.RAX), 1) // 83 00 01
}

// unwind takes the frame down to the saved rbp and leaves the pointer in rax.
func (hierRFC2) unwind(e *emit.Writer, s *image.TailCallSite) {
	s.Unwind = image.CodeOff(e.Len())
	e.PopSaved()
	e.Pop64O(x86.RAX) // 58
	e.GiveStack()
}

func (h hierRFC2) Indirect(e *emit.Writer, s *image.TailCallSite) error {
	e.Bounds(s)
	h.count(e, s)
	e.LoadProg(s)
	h.unwind(e, s)
	return e.LeaveIndirect(s, h.Landing(e.Func.Config))
}

func (h hierRFC2) Direct(e *emit.Writer, s *image.TailCallSite) error {
	h.count(e, s)
	e.Bypass(s)
	h.unwind(e, s)
	e.LeaveDirect(s)
	return nil
}

func (hierRFC2) Epilogue(e *emit.Writer) {
	e.PopSaved()
	e.Leave() // c9
}

func (hierRFC2) Poke(p *emit.PokePlan, s image.PokeSite, old, new image.Addr) {
	emit.PokeBypass(p, s, old, new)
}

func (h hierRFC2) Frame(f *emit.Func) image.Frame {
	b := emit.NewFrame(f)
	b.Landing = h.Landing(f.Config)
	if f.Reachable && !f.Sub {
		b.Frame.Slots = append([]image.FrameSlot{
			{Off: 24, Size: 8, Kind: image.SlotReturn}, {Off: 16, Size: 8, Kind: image.SlotTailCallCnt},
		}, b.Frame.Slots...)
	}
	if f.Reachable {
		b.Push(image.SlotTailCallPtr)
		b.Frame.Counter = image.Counter{Form: image.CounterPtr, Off: -f.Depth - 8, Size: 4}
	}
	return b.Done()
}
