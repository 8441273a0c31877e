// SPDX-License-Identifier: GPL-2.0-only

package runner

import (
	"fmt"

	"github.com/tcsim/tcsim/emu/check"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/jit/image"
)

// pokeError is a direct tail call in a state that the design does not allow, or a text poke that found
// other bytes than its protocol expects, which is a BUG in the kernel.
type pokeError struct {
	at   image.Addr
	text string
}

func (e *pokeError) Error() string { return e.text }

func (e *pokeError) violation(code *trace.Code) *check.Violation {
	v := check.At(code, check.Pokes, e.at, e.text)
	return &v
}

// busy describes a patch that was refused.
func busy(p *image.Patch, r image.PokeResult, found []byte) *pokeError {
	return &pokeError{p.Addr, fmt.Sprintf("text poke at %#x: %s: found % x, expected % x", uint64(p.Addr), r, found, p.Old)}
}

// change is an update of a prog array slot with what the kernel does for it.
type change struct {
	slotKey
	old, new int // programs, -1 for none
	sites    []image.PokeSite
	plan     []image.Patch
}

// change plans an update: the pointer first, then every direct tail call to the slot in the programs
// that are loaded, in their order. prog is -1 to empty the slot.
func (s *Session) change(m int, key uint32, prog int) (change, error) {
	c := change{slotKey: slotKey{m, key}, new: prog}
	c.old = s.held(c.slotKey)
	for _, img := range s.c.Images[:s.live] {
		if s.c.frozen {
			break
		}
		c.sites = append(c.sites, img.PokeSites(m, key)...)
	}
	var err error
	c.plan, err = s.c.Target.UpdatePlan(c.sites, s.landing(c.old), s.landing(prog))
	return c, err
}

// setSlot changes a prog array slot as the kernel does. had says whether it held a program before.
func (s *Session) setSlot(m int, key uint32, prog int) (had bool, err error) {
	c, err := s.change(m, key, prog)
	had = c.old >= 0
	if err != nil {
		return had, err
	}
	for i := range c.plan {
		if err := s.apply(&c.plan[i], m, key, prog); err != nil {
			return had, err
		}
	}
	s.hold(c.slotKey, prog)
	return had, s.legal(c.sites, s.landing(prog))
}

// held returns what a slot holds, -1 for nothing.
func (s *Session) held(k slotKey) int {
	if p, ok := s.slots[k]; ok {
		return p
	}
	return -1
}

// hold notes what a slot holds.
func (s *Session) hold(k slotKey, prog int) {
	if prog < 0 {
		delete(s.slots, k)
		return
	}
	s.slots[k] = prog
}

// load makes program i live: its direct tail calls to slots that are filled already are patched
// (bpf_tail_call_direct_fixup).
func (s *Session) load(i int) error {
	s.live = i + 1
	if s.c.frozen {
		return nil
	}
	var sites []image.PokeSite
	var targets []image.Addr
	img := s.c.Images[i]
	for f := range img.Funcs {
		fn := &img.Funcs[f]
		for j := range fn.TailCalls {
			t := &fn.TailCalls[j]
			if !t.Direct {
				continue
			}
			sites = append(sites, fn.PokeSite(t))
			targets = append(targets, s.landing(s.held(slotKey{t.Map, t.Key})))
		}
	}
	plan, err := s.c.Target.LoadPlan(sites, targets)
	if err != nil {
		return err
	}
	for k := range plan {
		if err := s.apply(&plan[k], 0, 0, 0); err != nil {
			return err
		}
	}
	for k := range sites {
		if err := s.legal(sites[k:k+1], targets[k]); err != nil {
			return err
		}
	}
	return nil
}

// landing is where tail calls enter a program, 0 for none.
func (s *Session) landing(prog int) image.Addr {
	if prog < 0 {
		return 0
	}
	a, _ := s.c.Images[prog].Landing()
	return a
}

// apply does one step of a plan. Nothing runs meanwhile, so there is nothing to wait for.
func (s *Session) apply(p *image.Patch, m int, key uint32, prog int) error {
	switch p.Kind {
	case image.PatchPointer:
		return s.m.SetSlot(m, key, prog)
	case image.PatchWait:
		return nil
	}
	if p.Addr == 0 {
		return &pokeError{0, "the code of a direct tail call has no place for what the kernel patches into it"}
	}
	code := make([]byte, image.PokeSize)
	if err := s.m.ReadMemory(p.Addr, code); err != nil {
		return err
	}
	r := p.Apply(code)
	if r < 0 {
		return busy(p, r, code)
	}
	if r == image.PokeChanged {
		return s.m.WriteText(p.Addr, code)
	}
	return nil
}

// legal checks that each of the sites is in a state that the design allows and leads to an address, 0
// meaning that it must fall through with its frame as it was.
func (s *Session) legal(sites []image.PokeSite, to image.Addr) error {
	for _, site := range sites {
		st, err := readSite(site, s.m.bytes)
		if err != nil {
			return err
		}
		if e := st.fault(); e != nil {
			return e
		}
		if e := st.leads(to); e != nil {
			return e
		}
	}
	return nil
}

// siteState is what the patched instructions of a direct tail call do.
type siteState struct {
	site         image.PokeSite
	bypass, jump image.Addr // where they jump, 0 for a nop
}

// readSite looks at the patched instructions of a site.
func readSite(site image.PokeSite, read func(image.Addr, int) ([]byte, error)) (st siteState, err error) {
	st.site = site
	target := func(at image.Addr) image.Addr {
		b, e := read(at, image.PokeSize)
		if e != nil {
			err = e
			return 0
		}
		p := image.Patch{Addr: at, New: [image.PokeSize]byte(b)}
		if p.Trap() == at+image.PokeSize {
			return 0
		}
		return p.Trap()
	}
	if site.Bypass != 0 {
		st.bypass = target(site.Bypass)
	}
	st.jump = target(site.Jump)
	return st, err
}

// fault says why the pair of bypass and target is not legal: both nops let control fall through a frame
// that has been taken down. Designs without a bypass have no pair.
func (st *siteState) fault() *pokeError {
	if st.site.Bypass != 0 && st.bypass == 0 && st.jump == 0 {
		return &pokeError{st.site.Jump, "bypass and target are both nops: a tail call falls through a frame that was taken down"}
	}
	return nil
}

// leads says why the site does not do what a slot that leads to an address asks for.
func (st *siteState) leads(to image.Addr) *pokeError {
	got := st.jump
	if st.bypass != 0 {
		got = 0
	}
	switch {
	case st.bypass != 0 && st.bypass != st.site.Out:
		return &pokeError{st.site.Bypass, fmt.Sprintf("the bypass jumps to %#x; the tail call ends at %#x",
			uint64(st.bypass), uint64(st.site.Out))}
	case got != to:
		return &pokeError{st.site.Jump, fmt.Sprintf("the tail call leads to %s, the slot to %s", hexOr(got), hexOr(to))}
	}
	return nil
}

func hexOr(a image.Addr) string {
	if a == 0 {
		return "nothing"
	}
	return fmt.Sprintf("%#x", uint64(a))
}
