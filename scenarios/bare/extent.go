// SPDX-License-Identifier: GPL-2.0-only

package bare

import (
	"cmp"
	"slices"

	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/jit/image"
)

// extent is a range of pages that is moved as a whole.
type extent struct {
	from, end, to image.Addr
}

// extents are all that is moved.
type extents []extent

// at returns where an address is moved to: ok is false if nothing there is moved.
func (x extents) at(a image.Addr) (to image.Addr, ok bool) {
	for _, e := range x {
		if a >= e.from && a < e.end {
			return e.to + (a - e.from), true
		}
	}
	return 0, false
}

// moved is at for an address, and the value itself for all else.
func (x extents) moved(v uint64) uint64 {
	if to, ok := x.at(image.Addr(v)); ok {
		return uint64(to)
	}
	return v
}

// pages collects the pages that a run touches.
type pages map[image.Addr]bool

// add adds those of n bytes at a.
func (p pages) add(a image.Addr, n uint16) {
	for at := a &^ (guest.PageSize - 1); at < a+image.Addr(max(n, 1)); at += guest.PageSize {
		p[at] = true
	}
}

// place lays the pages out from an address on: neighbours stay neighbours, others get a page between them.
// It returns the end.
func (p pages) place(to image.Addr) (extents, image.Addr) {
	var all []image.Addr
	for a := range p {
		all = append(all, a)
	}
	slices.SortFunc(all, func(a, b image.Addr) int { return cmp.Compare(a, b) })
	var out extents
	for i, a := range all {
		if i > 0 && a == all[i-1]+guest.PageSize {
			out[len(out)-1].end += guest.PageSize
		} else {
			to += guest.PageSize
			out = append(out, extent{from: a, end: a + guest.PageSize, to: to})
		}
		to += guest.PageSize
	}
	return out, to
}
