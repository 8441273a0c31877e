// SPDX-License-Identifier: GPL-2.0-only

package campaign_test

import (
	"context"
	"testing"

	"github.com/tcsim/tcsim/scenarios/campaign"
)

// TestWorstArena: with a limit of 20, a program with an arena goes deeper than one that may throw, which reaches 14,952
// bytes: not only its entry function saves r12. Counters of may_goto and loops add to that.
func TestWorstArena(t *testing.T) {
	if testing.Short() {
		t.Skip("only in full runs")
	}
	tg := *target(t, "6.12")
	tg.Limit = 20
	w, err := campaign.WorstStack(context.Background(), &tg)
	if err != nil {
		t.Fatal(err)
	}
	if w.Alone != 21_808 || !w.AloneShape.Arena || w.AloneShape.Traced || w.Taken != 20 {
		t.Errorf("%+v", w)
	}
	if !w.Shape.Traced || w.Deepest <= w.Alone || w.Bound < w.Deepest {
		t.Errorf("traced: %+v", w)
	}
}
