// SPDX-License-Identifier: GPL-2.0-only

package runner

import (
	"context"
	"errors"
	"fmt"

	"github.com/tcsim/tcsim/emu/timing"
	"github.com/tcsim/tcsim/scenarios/measure"
)

// ErrEndless is returned where a run that ends is needed.
var ErrEndless = errors.New("the run does not return")

// Invocation plays up to run number n, from 1, and returns what it recorded of it up to where it ended or
// broke an invariant. A warm one must have ended.
func (s *Session) Invocation(ctx context.Context, n int, core *timing.Core, warm bool) (*Run, *measure.Invocation, error) {
	run, err := s.playTo(ctx, n, core)
	if err != nil {
		return nil, nil, err
	}
	if warm && (run.Violation != nil || run.Killed != "") {
		return nil, nil, fmt.Errorf("%w: %s: it has no warm cost", ErrEndless, run.Ending())
	}
	inv, err := s.m.feed.clock.Invocation(s.m.begins(s.m.now.Run), warm)
	if err != nil {
		return nil, nil, err
	}
	if v := run.Violation; v != nil && v.Seq < uint64(len(inv.Stream)) {
		inv.Stream = inv.Stream[:v.Seq+1]
	}
	return run, inv, nil
}

// Profile attributes the cycles of run number n, from 1. Warm is one of many runs in a row, otherwise the
// first after loading.
func (s *Session) Profile(ctx context.Context, n int, core *timing.Core, warm bool) (*measure.Profile, error) {
	_, inv, err := s.Invocation(ctx, n, core, warm)
	if err != nil {
		return nil, err
	}
	return inv.Profile(core, warm)
}

// Pipeline returns the stamps of count instructions of run number n, from event number event on.
func (s *Session) Pipeline(ctx context.Context, n int, core *timing.Core, warm bool, event, count int) ([]timing.PipelineRow, error) {
	run, inv, err := s.Invocation(ctx, n, core, warm)
	if err != nil {
		return nil, err
	}
	if event < 1 || event > len(run.Events) {
		return nil, fmt.Errorf("the run has events 1 to %d, not %d", len(run.Events), event)
	}
	return inv.Pipeline(core, warm, int(run.Events[event-1].Seq), count)
}
