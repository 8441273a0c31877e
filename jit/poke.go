// SPDX-License-Identifier: GPL-2.0-only

package jit

import (
	"errors"
	"fmt"
	"github.com/tcsim/tcsim/jit/image"
)

// pokePlan collects steps; the first error stays.
type pokePlan struct {
	steps []image.Patch
	site  int
	err   error
}

// text appends a change from a jump to old to a jump to new, 0 meaning a nop, and returns the
// index of the step.
func (p *pokePlan) text(part image.PokePart, at, old, new image.Addr) int {
	a, err := image.PokeInsn(at, old)
	b, err2 := image.PokeInsn(at, new)
	p.err = errors.Join(p.err, err, err2)
	p.steps = append(p.steps, image.Patch{Kind: image.PatchText, Site: p.site, Part: part, Addr: at, Old: a, New: b})
	return len(p.steps) - 1
}

func (p *pokePlan) wait(after int) {
	p.steps = append(p.steps, image.Patch{Kind: image.PatchWait, Site: p.site, After: after})
}

// LoadPlan returns what loading a program does to its direct tail calls whose slots are filled
// already (bpf_tail_call_direct_fixup): targets[i] is the landing of the program in the slot of
// sites[i], 0 if it is empty. The code is not live yet, and no pointer changes.
func (t *Target) LoadPlan(sites []image.PokeSite, targets []image.Addr) ([]image.Patch, error) {
	if len(sites) != len(targets) {
		return nil, fmt.Errorf("load plan: %d sites but %d targets", len(sites), len(targets))
	}
	if t.Emitter != nil {
		return t.Emitter.LoadPlan(t, sites, targets)
	}
	code, err := t.code()
	if err != nil {
		return nil, err
	}
	p := &pokePlan{}
	for i, s := range sites {
		if targets[i] != 0 {
			p.site = i
			t.poke(p, code, s, 0, targets[i])
		}
	}
	return p.steps, p.err
}

// UpdatePlan returns what a change of a prog array slot does: the pointer is exchanged first, then
// all direct tail calls to the slot are poked one after the other in the order of sites
// (bpf_fd_array_map_update_elem, prog_array_map_poke_run in kernel/bpf/arraymap.c). old and new are
// the landings of the programs, 0 for none: insert, replace, delete, and delete of an empty slot.
func (t *Target) UpdatePlan(sites []image.PokeSite, old, new image.Addr) ([]image.Patch, error) {
	if t.Emitter != nil {
		return t.Emitter.UpdatePlan(t, sites, old, new)
	}
	code, err := t.code()
	if err != nil {
		return nil, err
	}
	p := &pokePlan{steps: []image.Patch{{Kind: image.PatchPointer}}}
	for i, s := range sites {
		p.site = i
		t.poke(p, code, s, old, new)
	}
	return p.steps, p.err
}

// pokeBypass is bpf_arch_poke_desc_update (until 6.6 the body of prog_array_map_poke_run): the
// protocol of the designs with a bypass. The pairs of bypass and jump are (jump, nop), (jump, jump)
// and (nop, jump), never (nop, nop).
func pokeBypass(p *pokePlan, s image.PokeSite, old, new image.Addr) {
	if new != 0 {
		p.text(image.PartJump, s.Jump, old, new)
		if old == 0 {
			p.text(image.PartBypass, s.Bypass, s.Out, 0)
		}
		return
	}
	oldBypass := s.Out
	if old != 0 {
		oldBypass = 0
	}
	p.wait(p.text(image.PartBypass, s.Bypass, oldBypass, s.Out))
	p.text(image.PartJump, s.Jump, old, 0)
}
