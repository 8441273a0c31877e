// SPDX-License-Identifier: GPL-2.0-only

package campaign_test

import (
	"testing"

	"github.com/tcsim/tcsim/scenarios/campaign"
)

// TestFailureName: targets can be paths, names of scenarios and files cannot.
func TestFailureName(t *testing.T) {
	for target, want := range map[string]string{
		"6.12-retpoline":         "fuzz_seed5_3_6.12-retpoline_limit",
		"src:/home/me/linux@v6":  "fuzz_seed5_3_src_home_me_linux_v6_limit",
		"src:../a b/jit.c+stuff": "fuzz_seed5_3_src_.._a_b_jit.c_stuff_limit",
	} {
		f := campaign.FuzzFailure{Target: target, First: 3, Verdict: "limit"}
		if got := f.Name(campaign.FuzzSource{Seed: 5}); got != want {
			t.Errorf("%s: %s, want %s", target, got, want)
		}
	}
}
