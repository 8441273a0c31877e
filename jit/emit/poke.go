// SPDX-License-Identifier: GPL-2.0-only

package emit

import (
	"errors"

	"github.com/tcsim/tcsim/jit/image"
)

// PokePlan collects steps; the first error stays.
type PokePlan struct {
	steps []image.Patch
	site  int
	err   error
}

// Text appends a change from a jump to old to a jump to new, 0 meaning a nop, and returns the
// index of the step.
func (p *PokePlan) Text(part image.PokePart, at, old, new image.Addr) int {
	a, err := image.PokeInsn(at, old)
	b, err2 := image.PokeInsn(at, new)
	p.err = errors.Join(p.err, err, err2)
	p.steps = append(p.steps, image.Patch{Kind: image.PatchText, Site: p.site, Part: part, Addr: at, Old: a, New: b})
	return len(p.steps) - 1
}

func (p *PokePlan) wait(after int) {
	p.steps = append(p.steps, image.Patch{Kind: image.PatchWait, Site: p.site, After: after})
}

// LoadPlan is what loading a program does to its direct tail calls: see LoadPlan of jit.Target.
func LoadPlan(t *Config, code Code, sites []image.PokeSite, targets []image.Addr) ([]image.Patch, error) {
	p := &PokePlan{}
	for i, s := range sites {
		if targets[i] != 0 {
			p.site = i
			t.poke(p, code, s, 0, targets[i])
		}
	}
	return p.steps, p.err
}

// UpdatePlan is what a change of a prog array slot does: see UpdatePlan of jit.Target.
func UpdatePlan(t *Config, code Code, sites []image.PokeSite, old, new image.Addr) ([]image.Patch, error) {
	p := &PokePlan{steps: []image.Patch{{Kind: image.PatchPointer}}}
	for i, s := range sites {
		p.site = i
		t.poke(p, code, s, old, new)
	}
	return p.steps, p.err
}

// PokeBypass is bpf_arch_poke_desc_update (until 6.6 the body of prog_array_map_poke_run): the
// protocol of the designs with a bypass. The pairs of bypass and jump are (jump, nop), (jump, jump)
// and (nop, jump), never (nop, nop).
func PokeBypass(p *PokePlan, s image.PokeSite, old, new image.Addr) {
	if new != 0 {
		p.Text(image.PartJump, s.Jump, old, new)
		if old == 0 {
			p.Text(image.PartBypass, s.Bypass, s.Out, 0)
		}
		return
	}
	oldBypass := s.Out
	if old != 0 {
		oldBypass = 0
	}
	p.wait(p.Text(image.PartBypass, s.Bypass, oldBypass, s.Out))
	p.Text(image.PartJump, s.Jump, old, 0)
}

// PokeJump pokes the one place of a design in which no other instruction depends on it.
func PokeJump(p *PokePlan, s image.PokeSite, old, new image.Addr) {
	p.Text(image.PartJump, s.Jump, old, new)
}
