// SPDX-License-Identifier: GPL-2.0-only

package live

import (
	"slices"
	"testing"
)

// TestFromPreamble has the records of a program of two functions on a kernel with kCFI: the first of each
// function is right.
func TestFromPreamble(t *testing.T) {
	lines := []uint64{0x1004, 0x1049, 0x104e, 0x11a4, 0x11f9}
	fromPreamble([]uint64{0x1004, 0x11a4}, lines)
	if want := []uint64{0x1004, 0x1039, 0x103e, 0x11a4, 0x11e9}; !slices.Equal(lines, want) {
		t.Errorf("lines are at %#x, expected %#x", lines, want)
	}
}
