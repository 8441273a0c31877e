// SPDX-License-Identifier: GPL-2.0-only

package design

import (
	"github.com/tcsim/tcsim/jit/emit"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// popNopPush is what Alexei Starovoitov asked for first in July 2020: take the frame down, a nop that
// is poked to the jump, put the frame up again. While the slot is empty R6 to R9 are lost: the pops
// load what the caller had in these registers, and the pushes save that.
//
//	rbp+8     return address
//	rbp       saved rbp
//	rbp-sd    stack of the program, sd bytes rounded up to 8
//	rbp-sd-8  tail_call_cnt: pushed rax, used as the dword at rbp-sd-4   (if it has a tail call)
//	          rbx, r13, r14, r15 as used                                 <- rsp
//
// Derived from the mail of 10 July 2020: its second listing and what follows it.
type popNopPush struct{ rfc2020 }

func (popNopPush) traits() Traits {
	return Traits{
		Name: "pop-nop-push", Source: "mail of 10 July 2020, second listing", Evidence: ByListing, Listings: []string{""},
		Counting: CountByFunction, Empty: EmptyCounts, Handover: HandCount, Boundary: BoundaryNone,
		Faults: []Fault{{"callee-saved", ShownByGraphs, "loses R6 to R9 where a tail call is refused"}},
		Shape:  Shape{Reused: No, Hook: Yes, Counter: CounterPlace{CounterStack, image.CounterValue, 4, -4}, Setup: SetupReserves, Exit: ExitPopsRCX, Rebuilt: Yes},
	}
}

func (p popNopPush) Direct(e *emit.Writer, s *image.TailCallSite) error {
	p.count(e, s)
	p.unwind(e, s)

	// Poked to a jump to the landing of the program in the slot.
	s.Jump = image.CodeOff(e.Len())
	e.Nop(5) // 0f 1f 44 00 00

	// While the slot is empty: the frame again.
	e.Sub64MI32(x86.R(x86.RSP), e.Func.Depth) // 48 81 ec sd
	e.Push64O(x86.RAX)                        // 50
	e.PushSaved()
	e.Out()
	return nil
}

func (popNopPush) Poke(p *emit.PokePlan, s image.PokeSite, old, new image.Addr) {
	emit.PokeJump(p, s, old, new)
}
