// SPDX-License-Identifier: GPL-2.0-only

package jit_test

import (
	"errors"
	"testing"

	"github.com/tcsim/tcsim/jit"
)

// TestReleaseSpellings: tags of git and candidates name the releases that uname names, too.
func TestReleaseSpellings(t *testing.T) {
	for name, want := range map[string]string{
		"v6.8": "6.8", "v6.8.12": "6.8.12", "v6.12.107": "6.12.107", "6.8-rc3": "6.8.0-rc3", "linux-6.8.y": "6.8", "6.8.y": "6.8", "v7.1-rc2": "7.1.0-rc2", "v6.12-retpoline": "6.12-retpoline",
	} {
		a, err := jit.TargetByName(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		b, err := jit.TargetByName(want)
		if err != nil || a.Name != b.Name || a.Note != b.Note {
			t.Errorf("%s is %s (%q), %s is %s (%q), %v", name, a.Name, a.Note, want, b.Name, b.Note, err)
		}
	}
	for _, name := range []string{"v", "vv6.8", "v4.3", "v6", "-rc1"} {
		if _, err := jit.TargetByName(name); err == nil || errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%q is a target", name)
		}
	}
}
