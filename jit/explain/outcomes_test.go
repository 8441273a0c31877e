// SPDX-License-Identifier: GPL-2.0-only

package explain_test

import (
	"testing"

	"github.com/tcsim/tcsim/jit/explain"
	"github.com/tcsim/tcsim/jit/image"
)

// TestRare: what only one value in many shows is found, whatever the value comes from: a register, memory, or arithmetic on
// either; and what comes before may still show that a difference is none.
func TestRare(t *testing.T) {
	const rest = "e8f0ffff7f" + "c9c3"
	from := map[string]string{
		"a register": "", "memory": "8b45f8", "memory of 64 bits": "488b45f8", "other memory": "8b4710", "a sum": "8b45f8" + "83c003", "a difference": "8b45f8" + "83e811",
		"a byte": "0fb645f8",
	}
	for name, load := range from {
		for _, tc := range []struct{ what, want, got string }{
			{"another number", "83f807" + "7503" + "4889f7", "83f809" + "7503" + "4889f7"},
			{"no comparison with zero", "85c0" + "7403" + "4889f7", "85c0" + "6690" + "4889f7"},
			{"below for below or equal", "83f821" + "7203" + "4889f7", "83f821" + "7603" + "4889f7"},
			{"one less", "83f821" + "7303" + "4889f7", "83f820" + "7303" + "4889f7"},
			{"equal for below or equal", "83f821" + "7603" + "4889f7", "83f821" + "7403" + "4889f7"},
		} {
			want, got := load+tc.want+rest, load+tc.got+moved(t, rest, len(tc.want)/2, len(tc.got)/2)
			r, err := explain.Compare(&image.FuncImage{Addr: 0x1000, Code: unhex(t, want)}, unhex(t, got))
			if err != nil || len(r.Differences) == 0 {
				t.Errorf("%s, of %s: no difference: %v", tc.what, name, err)
			}
		}
	}
	for name, tc := range map[string][2]string{
		"the same is loaded already":  {"488b45f8" + "4889c7", "488b45f8" + "488b45f8" + "4889c7"},
		"the upper half is clear":     {"8b45f8" + "4801c7", "8b45f8" + "89c0" + "4801c7"},
		"compared twice":              {"83f807" + "7503" + "4889f7", "83f807" + "83f807" + "7503" + "4889f7"},
		"compared in another way":     {"83f800" + "7503" + "4889f7", "85c0" + "7503" + "4889f7"},
		"the limit and the condition": {"8b45f8" + "83f821" + "7303" + "4889f7", "8b45f8" + "83f820" + "7703" + "4889f7"},
	} {
		want, got := tc[0]+rest, tc[1]+moved(t, rest, len(tc[0])/2, len(tc[1])/2)
		r, err := explain.Compare(&image.FuncImage{Addr: 0x1000, Code: unhex(t, want)}, unhex(t, got))
		if err != nil || len(r.Differences) > 0 {
			t.Errorf("%s: %+v, %v", name, r.Differences, err)
		}
	}
}
