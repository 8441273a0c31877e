// SPDX-License-Identifier: GPL-2.0-only

package runner

import (
	"maps"
	"slices"

	"github.com/tcsim/tcsim/emu/check"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/scenarios/owner"
)

// Slot is a slot of a prog array.
type Slot struct {
	Map int // index into Built.Maps
	Key uint32
}

// holdings are what a kernel holds of a loaded scenario, besides the code in the machine: the programs
// that are loaded, what prog arrays lead to, and which functions are replaced. Its methods do what the
// kernel does when one of these changes.
type holdings struct {
	c        *Compiled
	m        *Machine
	live     int // programs loaded, the first of Compiled.Images
	slots    map[Slot]int
	sites    map[Slot][]image.PokeSite // direct tail calls of the loaded programs, in their order
	replaced map[replaced]int          // with the programs that replace
	owners   *owner.Owners
}

func newHoldings(c *Compiled, m *Machine) *holdings {
	owners, _ := owner.New(c.Built, c.Target.Policy) // Compile has refused what the kernel would
	return &holdings{c: c, m: m, slots: map[Slot]int{}, sites: map[Slot][]image.PokeSite{}, replaced: map[replaced]int{}, owners: owners}
}

// clone returns holdings that can be changed apart from these.
func (h *holdings) clone() *holdings {
	out := *h
	out.slots, out.sites, out.replaced = maps.Clone(h.slots), maps.Clone(h.sites), maps.Clone(h.replaced)
	out.owners = h.owners.Clone()
	return &out
}

// Change is an update of a prog array slot with what the kernel does for it.
type Change struct {
	Slot
	Old, New int              // programs, -1 for none
	Sites    []image.PokeSite // the direct tail calls to the slot
	Plan     []image.Patch
}

// change plans an update: the pointer first, then every direct tail call to the slot in the programs
// that are loaded, in their order. prog is -1 to empty the slot.
func (h *holdings) change(at Slot, prog int) (Change, error) {
	c := Change{Slot: at, Old: h.held(at), New: prog, Sites: h.sites[at]}
	var err error
	c.Plan, err = h.c.Target.UpdatePlan(c.Sites, h.c.Landing(c.Old), h.c.Landing(prog))
	return c, err
}

// setSlot changes a prog array slot as the kernel does. had says whether it held a program before.
func (h *holdings) setSlot(at Slot, prog int) (had bool, err error) {
	c, err := h.change(at, prog)
	had = c.Old >= 0
	if err != nil {
		return had, err
	}
	for i := range c.Plan {
		if err := h.apply(&c.Plan[i], at, prog); err != nil {
			return had, err
		}
	}
	h.hold(at, prog)
	return had, h.legal(c.Sites, h.c.Landing(prog))
}

// held returns what a slot holds, -1 for nothing.
func (h *holdings) held(at Slot) int {
	if p, ok := h.slots[at]; ok {
		return p
	}
	return -1
}

// hold notes what a slot holds.
func (h *holdings) hold(at Slot, prog int) {
	if prog < 0 {
		delete(h.slots, at)
		return
	}
	h.slots[at] = prog
}

// goLive counts the programs up to number i among those that are loaded. Those of frozen code are poked by nobody.
func (h *holdings) goLive(i int) {
	for ; h.live <= i; h.live++ {
		if h.c.frozen {
			continue
		}
		for f := range h.c.Images[h.live].Funcs {
			fn := &h.c.Images[h.live].Funcs[f]
			for j := range fn.TailCalls {
				if t := &fn.TailCalls[j]; t.Direct {
					at := Slot{t.Map, t.Key}
					h.sites[at] = append(slices.Clip(h.sites[at]), fn.PokeSite(t)) // a clone may have the list, too
				}
			}
		}
	}
}

// load makes program i live: its direct tail calls to slots that are filled already are patched
// (bpf_tail_call_direct_fixup).
func (h *holdings) load(i int) error {
	h.goLive(i)
	if h.c.frozen {
		return nil
	}
	var sites []image.PokeSite
	var targets []image.Addr
	img := h.c.Images[i]
	for f := range img.Funcs {
		fn := &img.Funcs[f]
		for j := range fn.TailCalls {
			t := &fn.TailCalls[j]
			if !t.Direct {
				continue
			}
			sites = append(sites, fn.PokeSite(t))
			targets = append(targets, h.c.Landing(h.held(Slot{t.Map, t.Key})))
		}
	}
	plan, err := h.c.Target.LoadPlan(sites, targets)
	if err != nil {
		return err
	}
	for k := range plan {
		if err := h.apply(&plan[k], Slot{}, 0); err != nil {
			return err
		}
	}
	for k := range sites {
		if err := h.legal(sites[k:k+1], targets[k]); err != nil {
			return err
		}
	}
	return nil
}

// apply does one step of the plan of a change. Nothing runs meanwhile, so there is nothing to wait for.
func (h *holdings) apply(p *image.Patch, at Slot, prog int) error {
	switch p.Kind {
	case image.PatchPointer:
		return h.m.SetSlot(at.Map, at.Key, prog)
	case image.PatchWait:
		return nil
	}
	return h.poke(p)
}

// poke patches text.
func (h *holdings) poke(p *image.Patch) error {
	if p.Addr == 0 {
		return &check.PokeError{Text: "the code of a direct tail call has no place for what the kernel patches into it"}
	}
	code := make([]byte, image.PokeSize)
	if err := h.m.ReadMemory(p.Addr, code); err != nil {
		return err
	}
	switch r := p.Apply(code); {
	case r < 0:
		return check.PokeRefused(p, r, code)
	case r == image.PokeChanged:
		return h.m.WriteText(p.Addr, code)
	}
	return nil
}

// legal checks that each of the sites is in a state that the design allows and leads to an address, 0
// meaning that it must fall through with its frame as it was.
func (h *holdings) legal(sites []image.PokeSite, to image.Addr) error {
	for _, site := range sites {
		st, err := check.ReadSite(site, h.m.Bytes)
		if err != nil {
			return err
		}
		if e := st.Fault(); e != nil {
			return e
		}
		if e := st.Leads(to); e != nil {
			return e
		}
	}
	return nil
}
