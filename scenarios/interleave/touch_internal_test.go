// SPDX-License-Identifier: GPL-2.0-only

package interleave

import (
	"testing"

	"github.com/tcsim/tcsim/emu/explore"
	"github.com/tcsim/tcsim/emu/record"
	"github.com/tcsim/tcsim/jit/image"
)

// TestTouch says which instructions see what an update stores: those that have a byte of a patched instruction in
// them, wherever they begin, and those that load a byte of the pointer.
func TestTouch(t *testing.T) {
	const at image.Addr = 0xffffffffc0000100
	code := &explore.Place{Addr: at, Bytes: make([]byte, image.PokeSize), Code: true}
	word := &explore.Place{Addr: at, Bytes: make([]byte, 8)}
	for _, row := range []struct {
		p     *explore.Place
		a     image.Addr
		size  int
		touch bool
	}{
		{code, at, 5, true}, {code, at + 4, 1, true}, {code, at + 5, 1, false},
		{code, at - 1, 2, true}, {code, at - 1, 1, false}, {code, at - 14, 15, true}, {code, at - 15, 15, false},
		{word, at, 8, true}, {word, at - 7, 8, true}, {word, at - 8, 8, false}, {word, at + 7, 8, true}, {word, at + 8, 8, false},
	} {
		x := &schedules{near: map[image.Addr]int{row.a: row.size}}
		r := record.Retired{RIP: row.a}
		if row.p == word {
			r = record.Retired{RIP: 0xffffffffc0008000, EA: row.a}
		}
		if a, ok := x.touch(row.p, r); ok != row.touch || ok && a != row.a {
			t.Errorf("%d bytes at %+d of code %v: %#x, %v", row.size, int64(row.a-at), row.p.Code, uint64(a), ok)
		}
	}
}
