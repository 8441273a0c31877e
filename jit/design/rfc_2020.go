// SPDX-License-Identifier: GPL-2.0-only

package design

import (
	"github.com/tcsim/tcsim/jit/emit"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// rfc2020 is the patch "bpf, x64: rework pro/epilogue and tailcall handling in JIT" as it was first
// sent (2 July 2020): the frame is taken down before a tail call, by variable pops. The designs made
// of it differ in the direct tail call only.
//
//	rbp+8     return address
//	rbp       saved rbp
//	rbp-sd    stack of the program, sd bytes rounded up to 8
//	rbp-sd-8  tail_call_cnt: pushed rax, used as the dword at rbp-sd-4   (if it has a tail call)
//	          rbx, r13, r14, r15 as used                                 <- rsp
//
// Every function that has a tail call itself begins to count at 0: the listing has no load of rax
// before a call, and the text clears eax "if bpf_tail_call() is used in this function". The stack
// pointer is moved even if there is no program stack.
//
// Derived from the mail of 10 July 2020 that quotes the patch, with two listings; the tests of the
// indirect tail call, which it does not show, are those of 5.10.
type rfc2020 struct{}

func (rfc2020) Landing(*emit.Config) image.CodeOff { return 11 }

func (rfc2020) Prologue(e *emit.Writer) {
	f := e.Func
	// The place that a trampoline patches, then the initial count or filler.
	e.Nop(5) // 0f 1f 44 00 00
	if f.HasTailCall() {
		e.Xor32MR(x86.R(x86.RAX), x86.RAX) // 31 c0
	} else {
		e.Nop(2) // 66 90
	}
	e.Push64O(x86.RBP)                 // 55
	e.Mov64MR(x86.R(x86.RBP), x86.RSP) // 48 89 e5

	// Tail calls land here.
	e.Sub64MI32(x86.R(x86.RSP), f.Depth) // 48 81 ec sd
	if f.HasTailCall() {
		e.Push64O(x86.RAX) // 50
	}
	e.PushSaved()
}

func (rfc2020) Reload(*emit.Writer) {}

// count jumps to out if the count has reached the limit, and adds one to it.
func (rfc2020) count(e *emit.Writer, s *image.TailCallSite) {
	e.Mov32RM(x86.RAX, x86.M32(x86.RBP, -4-e.Func.Depth))   // 8b 85 disp32
	e.Cmp32MI8(x86.R(x86.RAX), int8(e.Func.Config.Limit)-1) // 83 f8 20
	s.Limit = e.JumpOut(x86.FormJaD8)                       // 77 xx
	e.Add32MI8(x86.R(x86.RAX), 1)                           // 83 c0 01
	s.Bump = image.CodeOff(e.Len())
	e.Mov32MR(x86.M32(x86.RBP, -4-e.Func.Depth), x86.RAX) // 89 85 disp32
}

// unwind takes the frame down to the saved rbp.
func (rfc2020) unwind(e *emit.Writer, s *image.TailCallSite) {
	s.Unwind = image.CodeOff(e.Len())
	e.PopSaved()
	e.Pop64O(x86.RAX)                         // 58
	e.Add64MI32(x86.R(x86.RSP), e.Func.Depth) // 48 81 c4 sd
}

func (r rfc2020) Indirect(e *emit.Writer, s *image.TailCallSite) error {
	e.Bounds(s)
	r.count(e, s)
	e.LoadProg(s)
	r.unwind(e, s)
	return e.LeaveIndirect(s, r.Landing(e.Func.Config))
}

func (rfc2020) Epilogue(e *emit.Writer) {
	e.PopSaved()
	if e.Func.HasTailCall() {
		e.Pop64O(x86.RCX) // 59, tail_call_cnt; d207929d97ea dropped it
	}
	e.Leave() // c9
}

func (r rfc2020) Frame(f *emit.Func) image.Frame {
	b := emit.NewFrame(f)
	b.Landing = r.Landing(f.Config)
	if f.HasTailCall() {
		b.Push(image.SlotTailCallCnt)
		b.Frame.Counter = image.Counter{Form: image.CounterValue, Off: -f.Depth - 4, Size: 4}
	}
	return b.Done()
}
