// SPDX-License-Identifier: GPL-2.0-only

package design

import (
	"github.com/tcsim/tcsim/jit/emit"
	"github.com/tcsim/tcsim/jit/image"
)

// ipAux is the direct tail call of the series of July 2020 as it was first sent: a second place that
// is poked, ip_aux, jumps over the pops while the slot is empty. The two are poked one after the other
// and nothing waits in between, so that there is a moment in which both are nops: a CPU then takes the
// frame down and falls through.
//
//	rbp+8     return address
//	rbp       saved rbp
//	rbp-sd    stack of the program, sd bytes rounded up to 8
//	rbp-sd-8  tail_call_cnt: pushed rax, used as the dword at rbp-sd-4   (if it has a tail call)
//	          rbx, r13, r14, r15 as used                                 <- rsp
//
// Derived from the mail of 10 July 2020: its first listing.
type ipAux struct{ rfc2020 }

func (ipAux) traits() Traits {
	return Traits{
		Name: "ip-aux", Source: "RFC of 2 July 2020, first listing of the mail of 10 July", Evidence: ByListing, Listings: []string{""},
		Counting: CountByFunction, Empty: EmptyCounts, Handover: HandCount, Boundary: BoundaryNone,
		Faults: []Fault{{"pokes", ShownDuringUpdate, "has a window in which an emptied slot is fallen through"}},
		Shape:  Shape{Reused: No, Hook: Yes, Counter: CounterPlace{CounterStack, image.CounterValue, 4, -4}, Setup: SetupReserves, Exit: ExitPopsRCX, Rebuilt: No},
	}
}

func (a ipAux) Direct(e *emit.Writer, s *image.TailCallSite) error {
	a.count(e, s)

	// poke->ip_aux: while the slot is empty this jumps to out; poked to a nop when it is filled.
	e.Bypass(s) // e9 rel32

	a.unwind(e, s)

	// poke->ip.
	e.LeaveDirect(s)
	return nil
}

// Poke changes ip, then ip_aux, whichever way. The mail does not show the order; with the other one
// the moment comes when a program is inserted.
func (ipAux) Poke(p *emit.PokePlan, s image.PokeSite, old, new image.Addr) {
	p.Text(image.PartJump, s.Jump, old, new)
	aux := func(prog image.Addr) image.Addr {
		if prog != 0 {
			return 0
		}
		return s.Out
	}
	p.Text(image.PartBypass, s.Bypass, aux(old), aux(new))
}
