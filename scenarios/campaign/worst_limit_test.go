// SPDX-License-Identifier: GPL-2.0-only

package campaign_test

import (
	"context"
	"testing"

	"github.com/tcsim/tcsim/scenarios/campaign"
)

// TestWorstExceptions: with a limit of 20, a program that may throw goes 168 bytes deeper than any that may not, as
// its entry function saves r12 on each level.
func TestWorstExceptions(t *testing.T) {
	if testing.Short() {
		t.Skip("only in full runs")
	}
	tg := *target(t, "6.12")
	tg.Limit = 20
	w, err := campaign.WorstStack(context.Background(), &tg)
	if err != nil {
		t.Fatal(err)
	}
	if w.Alone != 14_952 || !w.AloneShape.Throws || w.AloneShape.Traced || w.Taken != 20 {
		t.Errorf("%+v", w)
	}
	if !w.Shape.Traced || w.Deepest <= w.Alone || w.Bound < w.Deepest {
		t.Errorf("traced: %+v", w)
	}
}
