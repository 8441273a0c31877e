// SPDX-License-Identifier: GPL-2.0-only

package check

import (
	"fmt"

	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/jit/image"
)

// PokeError is a direct tail call in a state that its design does not allow, or a text poke that found
// other bytes than its protocol expects, which is a BUG in the kernel: what breaks Pokes between runs.
type PokeError struct {
	At   image.Addr
	Text string
}

// Error returns the text.
func (e *PokeError) Error() string { return e.Text }

// Violation is the error as a broken invariant.
func (e *PokeError) Violation(code *trace.Code) *Violation {
	v := At(code, Pokes, e.At, e.Text)
	return &v
}

// PokeRefused describes a text poke that found other bytes than it expects.
func PokeRefused(p *image.Patch, r image.PokeResult, found []byte) *PokeError {
	return &PokeError{p.Addr, fmt.Sprintf("text poke at %#x: %s: found % x, expected % x", uint64(p.Addr), r, found, p.Old)}
}

// PokedSite is what the patched instructions of a direct tail call do.
type PokedSite struct {
	Site         image.PokeSite
	Bypass, Jump image.Addr // where they jump, 0 for a nop
}

// ReadSite looks at the patched instructions of a site.
func ReadSite(site image.PokeSite, read func(image.Addr, int) ([]byte, error)) (st PokedSite, err error) {
	st.Site = site
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
		st.Bypass = target(site.Bypass)
	}
	st.Jump = target(site.Jump)
	return st, err
}

// Fault says why the pair of bypass and target is not legal: both nops let control fall through a frame
// that has been taken down. Designs without a bypass have no pair.
func (st *PokedSite) Fault() *PokeError {
	if st.Site.Bypass != 0 && st.Bypass == 0 && st.Jump == 0 {
		return &PokeError{st.Site.Jump, "bypass and target are both nops: a tail call falls through a frame that was taken down"}
	}
	return nil
}

// Leads says why the site does not do what a slot asks for that leads to a landing; 0 means that it must
// fall through with its frame as it was.
func (st *PokedSite) Leads(to image.Addr) *PokeError {
	got, to := st.Jump, st.Site.Target(to)
	if st.Bypass != 0 {
		got = 0
	}
	switch {
	case st.Bypass != 0 && st.Bypass != st.Site.Out:
		return &PokeError{st.Site.Bypass, fmt.Sprintf("the bypass jumps to %#x; the tail call ends at %#x",
			uint64(st.Bypass), uint64(st.Site.Out))}
	case got != to:
		return &PokeError{st.Site.Jump, fmt.Sprintf("the tail call leads to %s, the slot to %s", hexOr(got), hexOr(to))}
	}
	return nil
}

func hexOr(a image.Addr) string {
	if a == 0 {
		return "nothing"
	}
	return fmt.Sprintf("%#x", uint64(a))
}
