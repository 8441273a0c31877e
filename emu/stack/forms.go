// SPDX-License-Identifier: GPL-2.0-only

package stack

// Form is a way to name a moment.
type Form struct{ Name, About string }

// Forms returns what ParseAt reads, each form by an example.
func Forms() []Form {
	return []Form{
		{"17", "directly before the instruction of event 17, as trace numbers them"},
		{"tailcall:33", "after the 33rd tail call taken, when the target's prologue has run"},
		{"call:2", "after the second call, when the callee's prologue has run"},
		{"entry:1", "after the first entry from outside, likewise"},
		{"return:3", "directly before the third return; refused:3, helper:3 and hook:3 likewise"},
		{"each:tailcall", "each of a kind"},
		{"deepest", "where the stack is deepest"},
		{"violation", "where the first invariant was broken"},
	}
}
