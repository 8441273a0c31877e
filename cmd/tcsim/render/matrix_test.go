// SPDX-License-Identifier: GPL-2.0-only

package render

import (
	"testing"

	"github.com/tcsim/tcsim/emu/check"
	"github.com/tcsim/tcsim/scenarios/campaign"
)

// TestVerdictCodes: every invariant has a code of its own in the table.
func TestVerdictCodes(t *testing.T) {
	seen := map[string]bool{}
	for _, inv := range check.Invariants() {
		code := verdictCode(&campaign.Cell{Verdict: campaign.Verdict(inv), Expected: true})
		if len(code) != 3 || seen[code] {
			t.Errorf("%s: code %q", inv, code)
		}
		seen[code] = true
	}
}
