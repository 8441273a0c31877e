// SPDX-License-Identifier: GPL-2.0-only

package capture

import "testing"

// TestUnblindStarts: of a blinded program of several functions the places of instructions are left out, as they are of others
// than the capture has; those of functions alone are kept.
func TestUnblindStarts(t *testing.T) {
	for name, c := range map[string]struct {
		at   []InsnPos
		want int
	}{
		"functions":    {[]InsnPos{{Func: 0}, {Insn: 3, Xlated: 3, Func: 1}}, 2},
		"instructions": {[]InsnPos{{Func: 0}, {Insn: 1, Xlated: 4, Off: 9}, {Insn: 3, Xlated: 9, Func: 1}}, 0},
	} {
		s := &Scenario{Progs: []Prog{{Funcs: []Func{{Name: "main"}, {Name: "sub", Start: 3}}, InsnMap: c.at, TailCalls: []TailCall{{}}, MapsAt: []MapAt{{}}}}}
		s.unblind()
		if p := &s.Progs[0]; len(p.InsnMap) != c.want || p.TailCalls != nil || p.MapsAt != nil {
			t.Errorf("%s: %+v", name, p)
		}
	}
}
