// SPDX-License-Identifier: GPL-2.0-only

package replay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/scenarios"
)

// Unsafe says why the programs of a captured scenario must not run in a real kernel, "" if they may:
// the emulator ran them first, and whoever breaks an invariant or a budget there does not run.
func (r *Replayer) Unsafe(ctx context.Context, captured Captured) (string, error) {
	k := captured.Known()
	if why := cmp.Or(k.skip(), k.broken); why != "" {
		return why, nil
	}
	c, ok := captured.(*Sourced)
	if !ok {
		return "the capture has no source of this scenario", nil
	}
	if slices.ContainsFunc(c.compiled.Built.Actions, func(a scenarios.Action) bool { return a.Interrupt != nil }) {
		return "a test run cannot be interrupted at a given moment", nil
	}
	for i := range c.compiled.Built.Actions {
		a := &c.compiled.Built.Actions[i]
		if a.Kind != scenarios.ActRun {
			continue
		}
		if t := c.compiled.Built.Programs[a.Program].Type; !t.SKB() && t != bpf.XDP {
			return fmt.Sprintf("programs of type %d have no test run", t), nil
		}
	}
	s, err := r.rig.Open(c.compiled, r.opt)
	if err != nil {
		return "", err
	}
	res, err := s.Play(ctx)
	if errors.Is(err, kernels.ErrUnsupported) {
		return err.Error(), nil
	}
	if err != nil {
		return "", err
	}
	if v := res.Violation(); v != nil {
		return "in the emulator it violates " + v.String(), nil
	}
	for i := range res.Runs {
		if k := res.Runs[i].Killed; k != "" {
			return "in the emulator it is ended by " + k, nil
		}
	}
	return "", nil
}
