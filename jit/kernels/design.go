// SPDX-License-Identifier: GPL-2.0-only

package kernels

// Design says which tail-call design a release has. What is true of one, and its code, is in package design, whose
// designs say which of these they are.
type Design uint8

// The designs that releases had, oldest first.
const (
	NoDesign Design = iota
	Classic44
	FPShift413
	FP53
	DirectPoke
	Rework510
	Rework67
	Hier612

	designCount
)

// Designs returns all of them.
func Designs() []Design {
	var all []Design
	for d := NoDesign + 1; d < designCount; d++ {
		all = append(all, d)
	}
	return all
}
