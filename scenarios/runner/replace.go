// SPDX-License-Identifier: GPL-2.0-only

package runner

import (
	"slices"

	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/jit/emit"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/scenarios"
)

// replaced is a function that another program has replaced.
type replaced struct{ prog, fn int }

// errInval and errBusy are what the kernel answers.
const (
	errInval = guest.EINVAL
	errBusy  = guest.EBUSY
)

// guarded reports whether replaced functions and prog arrays are kept apart.
func (h *holdings) guarded() bool {
	return h.c.Target.Policy.GuardsReplaced && h.c.Built.Scenario.Policy != scenarios.IfAllowed
}

// mayInsert asks whether a program may be put into a slot of a prog array (fd_array_map_update_elem,
// prog_fd_array_get_ptr).
func (h *holdings) mayInsert(at Slot, prog int) error {
	if at.Key >= h.c.Built.Maps[at.Map].MaxEntries {
		return guest.E2BIG // fd_array_map_update_elem
	}
	if err := h.owners.Enter(at.Map, prog); err != nil {
		return errInval
	}
	if !h.guarded() {
		return nil
	}
	if slices.Contains(h.c.Built.Extensions, prog) {
		return errInval // its type is BPF_PROG_TYPE_EXT
	}
	for r := range h.replaced {
		if r.prog == prog {
			return errBusy
		}
	}
	return nil
}

// replace attaches a program in place of a function, or detaches it (bpf_tracing_prog_attach,
// __bpf_trampoline_link_prog and __bpf_trampoline_unlink_prog).
func (h *holdings) replace(a *scenarios.Action) error {
	at := replaced{a.Replaced, a.Func}
	by, attached := h.replaced[at]
	if attached == (a.Program >= 0) {
		if attached {
			return errBusy
		}
		return guest.ENOENT
	}
	if !attached && h.guarded() {
		for _, p := range h.slots {
			if p == a.Replaced {
				return errBusy
			}
		}
	}
	if attached {
		delete(h.replaced, at)
	} else {
		by = a.Program
		h.replaced[at] = by
	}
	f := &h.c.Images[by].Funcs[0]
	p, err := emit.ReplacePatch(&h.c.Images[a.Replaced].Funcs[a.Func], h.c.Target.Emit.ENDBR, f.Addr+image.Addr(f.Entry))
	if err != nil {
		return err
	}
	if attached {
		p.Old, p.New = p.New, p.Old
	}
	return h.poke(&p)
}
