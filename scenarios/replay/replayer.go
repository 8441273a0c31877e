// SPDX-License-Identifier: GPL-2.0-only

package replay

import (
	"context"
	"fmt"
	"strings"

	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// Replayer runs captured scenarios one after the other in one machine. It must be closed.
type Replayer struct {
	opt runner.Options
	rig *runner.Rig
}

// New makes a machine.
func New(opt runner.Options) (*Replayer, error) {
	rig, err := runner.NewRig(opt)
	if err != nil {
		return nil, err
	}
	return &Replayer{opt, rig}, nil
}

// Close releases the machine.
func (r *Replayer) Close() error { return r.rig.Close() }

// Replay is what the bytes of a captured scenario did.
type Replay struct {
	runner.Run
	Scenario string
	Design   string
	// Result is that of playing the scenario's own source; nil for scenarios without one, of which Run
	// is the one run.
	Result    *runner.Result
	KernelRan bool // the kernel itself ran it, and the results were compared
	Traced    bool // with all tracing programs attached
	// Wrong lists where the result differs from what the kernel itself returned.
	Wrong []string
	// Skipped says why the scenario was not run: the kernel did not run it either.
	Skipped string
	// Unchecked says of which code nothing is known, so that only the run has judged it.
	Unchecked []string
}

// begin is a replay in which nothing has happened.
func (c *Facts) begin() *Replay {
	return &Replay{Scenario: c.Scenario.Name, Design: c.Design(), Unchecked: c.Unchecked}
}

// Run executes the kernel's bytes and compares return values and maps with what the kernel got. The error
// is a failure of ours.
func (r *Replayer) Run(ctx context.Context, c Captured) (*Replay, error) {
	k := c.Known()
	out := k.begin()
	if b, ok := c.(*Bare); ok {
		out.Traced = b.Traced
	}
	if out.Skipped = k.skip(); out.Skipped != "" {
		return out, nil
	}
	if k.broken != "" {
		out.Wrong = []string{k.broken}
		return out, nil
	}
	return c.replay(ctx, r)
}

// Select returns the numbers of the scenarios of a capture whose name is pattern, or begins with it
// if it ends in a star; all for "".
func Select(src *capture.Source, pattern string) ([]int, error) {
	var out []int
	prefix, star := strings.CutSuffix(pattern, "*")
	for i := range src.Len() {
		if pattern == "" { // no name has to be read
			out = append(out, i)
			continue
		}
		sc, err := src.Scenario(i)
		if err != nil {
			continue // what it is called is not known
		}
		if sc.Name == pattern || star && strings.HasPrefix(sc.Name, prefix) {
			out = append(out, i)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s: no scenario %q", src.Name, pattern)
	}
	return out, nil
}
