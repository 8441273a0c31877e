// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/tcsim/tcsim/jit"
)

// TestExploreAll explores every target.
func TestExploreAll(t *testing.T) {
	code, out, errs := tcsim(t, "", "explore", "poke_one_site", "--target", "all", "--update", "replace", "--json")
	var got struct {
		Targets []struct {
			Target, Error string
			Updates       []json.RawMessage
		}
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil || code == exitUsage || code == exitInternal {
		t.Fatalf("exit code %d, %v: %s", code, err, errs)
	}
	var names []string
	for _, x := range got.Targets {
		names = append(names, x.Target)
		if (len(x.Updates) == 0) == (x.Error == "") {
			t.Errorf("%s: %d updates, error %q", x.Target, len(x.Updates), x.Error)
		}
	}
	if !slices.Equal(names, jit.TargetNames()) {
		t.Errorf("targets %q", names)
	}
}
