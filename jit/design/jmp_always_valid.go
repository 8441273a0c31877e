// SPDX-License-Identifier: GPL-2.0-only

package design

import (
	"github.com/tcsim/tcsim/jit/emit"
	"github.com/tcsim/tcsim/jit/image"
)

// jmpAlwaysValid is the answer to ip-aux in the same mail: once a program was in the slot the jump to
// it stays, and only the bypass before the pops is poked when the slot is emptied. The next insert
// then finds the old jump where it expects a nop (-EBUSY), and the old jump can lead to a program that
// is gone.
//
//	rbp+8     return address
//	rbp       saved rbp
//	rbp-sd    stack of the program, sd bytes rounded up to 8
//	rbp-sd-8  tail_call_cnt: pushed rax, used as the dword at rbp-sd-4   (if it has a tail call)
//	          rbx, r13, r14, r15 as used                                 <- rsp
//
// Derived from the sketch in the mail of 10 July 2020, on the code of the series that it answers. The
// sketch pokes the bypass at each change; here, when the slot is filled or emptied.
type jmpAlwaysValid struct{ rfc2020 }

func (jmpAlwaysValid) traits() Traits {
	return Traits{
		Name: "jmp-always-valid", Source: "sketch in the mail of 10 July 2020", Evidence: BySource,
		Counting: CountByFunction, Empty: EmptyCounts, Handover: HandCount, Boundary: BoundaryNone,
		Faults: []Fault{{"pokes", ShownByUpdate, "an emptied slot cannot be filled again"}},
		Shape:  Shape{Reused: No, Hook: Yes, Counter: CounterPlace{CounterStack, image.CounterValue, 4, -4}, Setup: SetupReserves, Exit: ExitPopsRCX, Rebuilt: No},
	}
}

func (j jmpAlwaysValid) Direct(e *emit.Writer, s *image.TailCallSite) error {
	j.count(e, s)

	// poke->tailcall_bypass: jumps to out while the slot is empty.
	e.Bypass(s) // e9 rel32

	j.unwind(e, s)

	// poke->tailcall_target: a nop only until the first program is inserted.
	e.LeaveDirect(s)
	return nil
}

func (jmpAlwaysValid) Poke(p *emit.PokePlan, s image.PokeSite, old, new image.Addr) {
	if new != 0 {
		p.Text(image.PartJump, s.Jump, old, new)
		if old == 0 {
			p.Text(image.PartBypass, s.Bypass, s.Out, 0)
		}
		return
	}
	if old != 0 {
		p.Text(image.PartBypass, s.Bypass, 0, s.Out)
	}
}
