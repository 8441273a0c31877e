// SPDX-License-Identifier: GPL-2.0-only

package runner

import (
	"fmt"

	"github.com/tcsim/tcsim/emu/check"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/jit"
)

// pokeError is a text poke that found other bytes than the protocol expects: a BUG in the kernel.
type pokeError struct {
	patch  jit.Patch
	result jit.PokeResult
	found  []byte
}

func (e *pokeError) Error() string {
	return fmt.Sprintf("text poke at %#x: %s: found % x, expected % x", uint64(e.patch.Addr), e.result, e.found, e.patch.Old)
}

func (e *pokeError) violation(code *trace.Code) *check.Violation {
	return violationAt(code, check.Pokes, e.patch.Addr, e.Error())
}

// setSlot changes a prog array slot as the kernel does: the pointer first, then every direct tail
// call to it, in the order of the programs. prog is -1 to empty it. had says whether the slot held
// a program before.
func (s *Session) setSlot(m int, key uint32, prog int) (had bool, err error) {
	old, had := s.slots[slotKey{m, key}]
	if !had {
		old = -1
	}
	var sites []jit.PokeSite
	for _, img := range s.c.Images {
		sites = append(sites, img.PokeSites(m, key)...)
	}
	plan, err := s.c.Target.UpdatePlan(sites, s.landing(old), s.landing(prog))
	if err != nil {
		return had, err
	}
	for i := range plan {
		if err := s.apply(&plan[i], m, key, prog); err != nil {
			return had, err
		}
	}
	if prog < 0 {
		delete(s.slots, slotKey{m, key})
	} else {
		s.slots[slotKey{m, key}] = prog
	}
	return had, nil
}

// landing is where tail calls enter a program, 0 for none.
func (s *Session) landing(prog int) jit.Addr {
	if prog < 0 {
		return 0
	}
	a, _ := s.c.Images[prog].Landing()
	return a
}

// apply does one step of a plan. Nothing runs meanwhile, so there is nothing to wait for.
func (s *Session) apply(p *jit.Patch, m int, key uint32, prog int) error {
	switch p.Kind {
	case jit.PatchPointer:
		return s.m.SetSlot(m, key, prog)
	case jit.PatchWait:
		return nil
	}
	code := make([]byte, jit.PokeSize)
	if err := s.m.ReadMemory(p.Addr, code); err != nil {
		return err
	}
	found := append([]byte(nil), code...)
	r := p.Apply(code)
	if r < 0 {
		return &pokeError{*p, r, found}
	}
	if r == jit.PokeChanged {
		s.pokes++
		return s.m.WriteText(p.Addr, code)
	}
	return nil
}
