// SPDX-License-Identifier: GPL-2.0-only

package helper_test

import (
	"testing"

	"github.com/tcsim/tcsim/emu/helper"
)

// TestOutside has clocks that go on and numbers that differ, the same each time; what depends on
// arguments is not answered.
func TestOutside(t *testing.T) {
	const ktime, prandom, hash, boot = 5, 7, 34, 125
	a, b := helper.NewOutside(3), helper.NewOutside(3)
	last := uint64(0)
	for i, n := range []int32{ktime, boot, ktime} {
		x, y := a.Value(n, 0), b.Value(n, 9)
		if x != y || x <= last {
			t.Errorf("clock, call %d: %d and %d, before %d", i, x, y, last)
		}
		last = x
	}
	if x, y := a.Value(prandom, 0), a.Value(prandom, 0); x == y || x>>32 != 0 {
		t.Errorf("random numbers %#x and %#x", x, y)
	}
	if a.Value(hash, 0) != 0 || a.Answers("bpf_get_hash_recalc") || !a.Answers("bpf_ktime_get_ns") || a.Answers("bpf_map_lookup_elem") {
		t.Error("answers what it cannot know, or not what it can")
	}
}
