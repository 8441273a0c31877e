// SPDX-License-Identifier: GPL-2.0-only

package emu_test

import (
	"context"
	"testing"

	"github.com/tcsim/tcsim/emu"
)

func TestDoctor(t *testing.T) {
	checks := emu.Doctor(context.Background())
	if len(checks) < 7 {
		t.Errorf("only %d checks", len(checks))
	}
	for _, c := range checks {
		if c.Err != nil || c.Detail == "" {
			t.Errorf("%s: %q, %v", c.Name, c.Detail, c.Err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	failed := 0
	for _, c := range emu.Doctor(ctx) {
		if c.Err != nil {
			failed++
		}
	}
	if failed == 0 {
		t.Error("nothing fails without a run")
	}
}
