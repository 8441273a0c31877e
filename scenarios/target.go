// SPDX-License-Identifier: GPL-2.0-only

package scenarios

import (
	"strings"

	"github.com/tcsim/tcsim/jit"
)

// Classes of targets that scenario files can name in "on".
const (
	// ClassByValue are designs in which each frame holds the counter by value: what a subprogram
	// counts never reaches its caller.
	ClassByValue = "by-value"
	// ClassBurnsEmpty are designs that write the incremented counter before they look at the slot,
	// so that a tail call to an empty one uses up budget.
	ClassBurnsEmpty = "burns-empty"
)

// TargetNames returns the names by which "on" can mean a target: its own name, the kernel without
// features ("6.1" of "6.1-retpoline"), its scheme and the classes of that.
func TargetNames(t *jit.Target) []string {
	kernel, _, _ := strings.Cut(t.Name, "-")
	names := []string{t.Name, kernel, t.Scheme}
	if strings.HasPrefix(t.Scheme, "rework") {
		names = append(names, ClassByValue, ClassBurnsEmpty)
	}
	return names
}
