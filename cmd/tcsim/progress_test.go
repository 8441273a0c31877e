// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"regexp"
	"testing"
)

// TestProgress: lines if they are asked for, nothing where there is no terminal, else an error.
func TestProgress(t *testing.T) {
	// It is done before a second line would come.
	for name, want := range map[string]string{"plain": `^explore: 4/4, [0-9.e+]+/s, 0s left\n$`, "auto": `^$`, "none": `^$`} {
		code, _, errs := tcsim(t, "", "explore", "poke_one_site", "--target", "6.12", "--update", "all", "--progress", name)
		if code != exitOK || !regexp.MustCompile(want).MatchString(errs) {
			t.Errorf("%s: exit code %d: %q", name, code, errs)
		}
	}
	if code, _, errs := tcsim(t, "", "explore", "poke_one_site", "--progress", "much"); code != exitUsage {
		t.Errorf("exit code %d: %s", code, errs)
	}
}
