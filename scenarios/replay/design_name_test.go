// SPDX-License-Identifier: GPL-2.0-only

package replay_test

import (
	"testing"

	"github.com/tcsim/tcsim/scenarios/replay"
)

// TestDesignNames: the code of a known kernel has the name of that kernel's design, although it could be
// of another one; without a known kernel it has all names that it could have.
func TestDesignNames(t *testing.T) {
	for _, tc := range []struct{ file, scenario, known, unknown string }{
		{"5.10-off", "tail/loop/var/sub/3-2", "rework-5.10", "rework-5.10 or rework-6.7"},
		{"6.1-off", "tail/main/var/callee1111/stack8", "rework-6.7", "rework-5.10 or rework-6.7"},
		{"6.12-off", "hier/self/var/n2/r6", "hier-6.12", "hier-6.12"},
	} {
		src := captureText(t, tc.file, tc.scenario).read(t)
		target, err := replay.TargetOf(src)
		must(t, err)
		for _, decoded := range []bool{false, true} {
			tg, want := *target, tc.known
			if tg.Decoded = decoded; decoded {
				want = tc.unknown
			}
			c, err := replay.Capture(src, &tg, 0)
			must(t, err)
			if c.Known().Design() != want {
				t.Errorf("%s, decoded %v: %s, want %s", tc.file, decoded, c.Known().Design(), want)
			}
		}
	}
}
