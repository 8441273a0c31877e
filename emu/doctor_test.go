// SPDX-License-Identifier: GPL-2.0-only

package emu_test

import (
	"context"
	"testing"

	"github.com/tcsim/tcsim/emu"
)

func TestDoctor(t *testing.T) {
	told := 0
	checks := emu.Doctor(context.Background(), func(done, total int) {
		if told++; done != told+1 || total < done {
			t.Errorf("after %d: %d of %d", told, done, total)
		}
	})
	if len(checks) < 8 || told != len(checks)-1 {
		t.Errorf("only %d checks, told of %d", len(checks), told)
	}
	for _, c := range checks {
		if c.Err != nil || c.Detail == "" {
			t.Errorf("%s: %q, %v", c.Name, c.Detail, c.Err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if got := emu.Doctor(ctx, func(int, int) { t.Error("told of a check") }); len(got) != 1 { // the version needs no run
		t.Errorf("without a run: %v", got)
	}
}
