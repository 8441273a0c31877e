// SPDX-License-Identifier: GPL-2.0-only

package jit

import (
	"fmt"

	"github.com/tcsim/tcsim/jit/emit"
	"github.com/tcsim/tcsim/jit/image"
)

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
	d, err := t.emission()
	if err != nil {
		return nil, err
	}
	return emit.LoadPlan(&t.Config, d, sites, targets)
}

// UpdatePlan returns what a change of a prog array slot does: the pointer is exchanged first, then
// all direct tail calls to the slot are poked one after the other in the order of sites
// (bpf_fd_array_map_update_elem, prog_array_map_poke_run in kernel/bpf/arraymap.c). old and new are
// the landings of the programs, 0 for none: insert, replace, delete, and delete of an empty slot.
func (t *Target) UpdatePlan(sites []image.PokeSite, old, new image.Addr) ([]image.Patch, error) {
	if t.Emitter != nil {
		return t.Emitter.UpdatePlan(t, sites, old, new)
	}
	d, err := t.emission()
	if err != nil {
		return nil, err
	}
	return emit.UpdatePlan(&t.Config, d, sites, old, new)
}
