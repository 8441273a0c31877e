// SPDX-License-Identifier: GPL-2.0-only

package trace_test

import (
	"strings"
	"testing"

	"github.com/tcsim/tcsim/emu/trace"
)

// TestRestoreBounds takes what an outline may say at its edges, and refuses what is next to that.
func TestRestoreBounds(t *testing.T) {
	const most = 1 << 24 // bytes of a function
	for _, c := range []struct {
		name string
		f    trace.OutlineFunction
		want string
	}{
		{"the largest function", trace.OutlineFunction{Program: -1, Size: most}, ""},
		{"a larger one", trace.OutlineFunction{Program: -1, Size: most + 1}, "expected 0 to"},
		{"less than nothing", trace.OutlineFunction{Program: -1, Size: -1}, "expected 0 to"},
		{"no map", trace.OutlineFunction{Program: -1, Size: 8, Tails: []trace.OutlineTail{{Map: -1}}}, ""},
		{"a map of no program", trace.OutlineFunction{Program: -1, Size: 8, Tails: []trace.OutlineTail{{Map: 0}}}, "through map 0"},
		{"the last map", trace.OutlineFunction{Program: 0, Size: 8, Tails: []trace.OutlineTail{{Map: 1}}}, ""},
		{"one after it", trace.OutlineFunction{Program: 0, Size: 8, Tails: []trace.OutlineTail{{Map: 2}}}, "through map 2"},
		{"less than none", trace.OutlineFunction{Program: 0, Size: 8, Tails: []trace.OutlineTail{{Map: -2}}}, "through map -2"},
		{"no such program", trace.OutlineFunction{Program: 1, Size: 8}, "is of program 1"},
	} {
		c.f.Name, c.f.Addr = "f", 0x1000
		o := trace.Outline{Maps: [][]string{{"a", "b"}}, Programs: []trace.OutlineProgram{{Name: "p", Maps: 0, Insns: []string{"exit"}}}, Functions: []trace.OutlineFunction{c.f}}
		_, err := o.Restore()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}
