// SPDX-License-Identifier: GPL-2.0-only

package trace

var kindAbouts = [...]string{
	KindEntry:    "the kernel entered a program from outside",
	KindCall:     "one BPF function called another",
	KindHelper:   "a helper was called, or anything else outside the programs",
	KindReturn:   "a function returned",
	KindTailCall: "a tail call was taken: the program in the slot was entered",
	KindRefused:  "a tail call fell through: limit reached, key out of bounds, or slot empty",
	KindPoke:     "text was patched while the program ran",
	KindHook:     "a traced function came to its trampoline",
}

// About says in a line what an event of the kind is.
func (k Kind) About() string { return kindAbouts[k] }

// Kinds returns the kinds of events, in the order in which they are documented.
func Kinds() []Kind {
	var out []Kind
	for k := KindEntry; k <= KindHook; k++ {
		out = append(out, k)
	}
	return out
}
