// SPDX-License-Identifier: GPL-2.0-only

package count

import (
	"context"
	"testing"

	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// TestComposeElsewhere: where a caller has put rsp somewhere else, what its callee does there is at the same distance from the
// caller's entry only if rsp and what it was put to are what they were.
func TestComposeElsewhere(t *testing.T) {
	const e = stackAt + 16
	for _, c := range []struct {
		name   string
		base   form
		callee bool // pins rsp
		rsp    bool // the caller does
		pins   int
	}{
		{"at a distance", form{kind: formRSP, c: ^uint64(15)}, false, false, 0},
		{"at a distance, and the callee pins it", form{kind: formRSP, c: ^uint64(15)}, true, true, 0},
		{"at a constant", form{}, false, true, 0},
		{"at an input", input(regLoc(x86.RCX)), false, true, 1},
	} {
		m := &bench{}
		m.r.R[x86.RSP], m.r.R[x86.RCX] = e, e
		k := &counter{ctx: context.Background(), cpu: m, code: newCode(m, nil), r: m.r}
		k.mem = memory{cpu: m, lo: stackAt, hi: stackAt + 64}
		fr := k.newFrame(nil)
		fr.regs[x86.RSP] = c.base
		fr.compose(&summary{pinRSP: c.callee, t: tally{}}, nil, e)
		if fr.pinRSP != c.rsp || len(fr.pins) != c.pins {
			t.Errorf("%s: rsp is pinned: %v, and so are %v", c.name, fr.pinRSP, fr.pins)
		}
	}
}

// TestLandings: a direct tail call enters where its design says, which may be after the landing of others.
func TestLandings(t *testing.T) {
	f := image.FuncImage{Name: "f", Addr: 0x1000, Entry: 2, Frame: image.Frame{Landing: 5}, TailCalls: []image.TailCallSite{{Enter: 4}, {}}}
	sub := image.FuncImage{Name: "sub", Addr: 0x2000, Frame: image.Frame{Landing: -1}}
	c := newCode(&bench{}, []*image.Image{{Funcs: []image.FuncImage{f, sub}}})
	if len(c.landings) != 2 || c.landings[0x1005] != c.fns[0] || c.landings[0x1009] != c.fns[0] || c.entries[0x1002] != c.fns[0] || c.fns[1].name != "f:sub" {
		t.Errorf("%v, %v", c.landings, c.entries)
	}
}
