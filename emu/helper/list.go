// SPDX-License-Identifier: GPL-2.0-only

package helper

import "slices"

// Listed is what lists say of a helper.
type Listed struct {
	Name   string
	Number int32 // as programs call it, 0 if they do so by name or not at all
	World  bool  // the result depends on the world outside the program
	Writes bool  // it stores to memory of the program or to a map
}

// List returns what is modelled: by number, then what has none by name.
func List() []Listed {
	var out []Listed
	for _, h := range helpers {
		out = append(out, Listed{h.name, h.number, h.world, h.writes})
	}
	slices.SortStableFunc(out, func(a, b Listed) int {
		switch {
		case a.Number != 0 && b.Number != 0:
			return int(a.Number - b.Number)
		case a.Number != 0:
			return -1
		case b.Number != 0:
			return 1
		case a.Name < b.Name:
			return -1
		}
		return 1
	})
	return out
}
