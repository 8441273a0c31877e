// SPDX-License-Identifier: GPL-2.0-only

package replay

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// replay plays the file and compares with what the kernel did.
func (c *Sourced) replay(ctx context.Context, r *Replayer) (*Replay, error) {
	out := c.begin()
	s, err := r.rig.Open(c.compiled, r.opt)
	if err != nil && !errors.Is(err, kernels.ErrUnsupported) {
		out.Wrong = []string{"what the capture says cannot be set up: " + err.Error()}
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	out.KernelRan = len(c.Scenario.Played) > 0
	if c.frozen && updates(c.compiled.Built) {
		if out.Wrong = c.flaws; len(out.Wrong) == 0 {
			out.Skipped = UnlikeSites
		}
		return out, nil
	}
	if out.Wrong, err = c.filledAs(s); err != nil {
		return nil, err
	}
	out.Wrong = append(out.Wrong, c.flaws...)
	var values []string
	if out.Result, values, err = c.play(ctx, s); err != nil {
		if ctx.Err() != nil || errors.Is(err, kernels.ErrUnsupported) {
			return nil, err
		}
		out.Wrong = append(out.Wrong, "what the capture says cannot be played: "+err.Error())
		return out, nil
	}
	if c.header.Format >= updatesFormat && out.KernelRan {
		out.Wrong = append(out.Wrong, c.compareUpdates(out.Result)...)
	}
	if len(c.Target.Features) > 0 {
		out.Result.Code = nil // what scenarios say of machine code is for kernels without mitigations
	}
	for _, m := range out.Result.Mismatches() {
		out.Wrong = append(out.Wrong, m.String())
	}
	for i := range out.Result.Updates {
		if u := &out.Result.Updates[i]; u.Violation != nil && !u.Foreseen {
			out.Wrong = append(out.Wrong, u.Violation.String())
		}
	}
	for i := range out.Result.Runs {
		out.Counts.Taken += out.Result.Runs[i].Counts.Taken
	}
	out.Wrong = append(out.Wrong, c.compareRuns(out.Result)...)
	out.Wrong = append(out.Wrong, values...)
	return out, nil
}

// play plays the scenario and compares maps after each run with what they held in the kernel.
func (c *Sourced) play(ctx context.Context, s *runner.Session) (res *runner.Result, wrong []string, err error) {
	t, err := s.Begin()
	if err != nil {
		return nil, nil, err
	}
	for {
		a, at := t.Next()
		if a == nil {
			return t.Result(), wrong, nil
		}
		if err := t.Step(ctx); err != nil {
			return nil, nil, err
		}
		if n := len(t.Result().Runs); a.Kind == scenarios.ActRun {
			wrong = append(wrong, c.compareValues(s.Machine(), n-1, at, &t.Result().Runs[n-1])...)
		}
	}
}

// updatesFormat is the format from which on captures say which updates the kernel refused.
const updatesFormat = 3

// compareUpdates compares what updates and attaching gave with what the kernel said.
func (c *Sourced) compareUpdates(res *runner.Result) []string {
	sc := c.Scenario
	var wrong []string
	n := 0
	for i := range c.compiled.Built.Actions {
		if c.compiled.Built.Actions[i].Kind == scenarios.ActRun {
			continue
		}
		if n >= len(res.Updates) {
			break
		}
		u, want := &res.Updates[n], ""
		n++
		if at := playedAt(sc, i); at >= 0 {
			want = sc.Played[at].Error
		}
		if u.Violation == nil && u.Errno != want {
			wrong = append(wrong, fmt.Sprintf("update %d: %s, the kernel: %s", n, orSuccess(u.Errno), orSuccess(want)))
		}
	}
	return wrong
}

// playedAt returns what the kernel made of an action, as an index; -1 for nothing.
func playedAt(sc *capture.Scenario, action int) int {
	return slices.IndexFunc(sc.Played, func(p capture.Played) bool { return p.Action == action })
}

// compareValues compares maps after run n, from 0, with what they held in the kernel.
func (c *Sourced) compareValues(m *runner.Machine, n, action int, r *runner.Run) []string {
	sc := c.Scenario
	at := playedAt(sc, action)
	if at < 0 || r.Violation != nil || r.Killed != "" {
		return nil
	}
	var wrong []string
	for _, v := range sc.Played[at].Values {
		got, err := m.LookupElem(v.Map, v.Key)
		if err != nil || !bytes.Equal(got, v.Value) {
			wrong = append(wrong, fmt.Sprintf("run %d: %s[%x] is %x, the kernel's %x", n+1, sc.Maps[v.Map].Name, v.Key, got, v.Value))
		}
	}
	return wrong
}

// filledAs compares the code after filling the prog arrays by the target's poke protocol with what
// the kernel had in that state.
func (c *Sourced) filledAs(s *runner.Session) ([]string, error) {
	t, err := s.Begin()
	if err != nil || t.Stopped() != nil {
		return nil, err // a violation is in the result of playing
	}
	var wrong []string
	sc := c.Scenario
	for i := range sc.Progs {
		for j := range sc.Progs[i].Funcs {
			f := &sc.Progs[i].Funcs[j]
			got, err := s.Machine().Bytes(f.Addr, int(f.Len))
			if err != nil {
				return nil, err
			}
			want := f.Code(capture.Populated)
			if bytes.Equal(got, want) {
				continue
			}
			at := 0
			for got[at] == want[at] {
				at++
			}
			wrong = append(wrong, fmt.Sprintf("with the prog arrays filled, %s of program %s differs at offset %#x: the kernel poked it otherwise",
				f.Name, sc.Progs[i].Name, at))
		}
	}
	return wrong, nil
}

// compareRuns compares runs with those of the kernel itself, as far as it ran them.
func (c *Sourced) compareRuns(res *runner.Result) []string {
	sc := c.Scenario
	var wrong []string
	runs := c.runActions()
	for n := range res.Runs {
		r := &res.Runs[n]
		at := playedAt(sc, runs[n])
		if at < 0 || r.Violation != nil || r.Killed != "" {
			continue
		}
		p := &sc.Played[at]
		if p.Error != "" {
			wrong = append(wrong, fmt.Sprintf("run %d: the kernel's run failed: %s", n+1, p.Error))
			continue
		}
		if uint32(r.Return) != p.Retval {
			wrong = append(wrong, fmt.Sprintf("run %d: returned %d, the kernel %d", n+1, uint32(r.Return), p.Retval))
		}
	}
	return wrong
}

// runActions returns the indexes of the actions that are runs.
func (c *Sourced) runActions() []int {
	var out []int
	for i := range c.compiled.Built.Actions {
		if c.compiled.Built.Actions[i].Kind == scenarios.ActRun {
			out = append(out, i)
		}
	}
	return out
}

// Session opens a session of a captured scenario that has its file, in the replayer's machine: it must not be
// closed, and nothing else may be replayed meanwhile.
func (r *Replayer) Session(c *Sourced) (*runner.Session, error) {
	if why := cmp.Or(c.skip(), c.broken); why != "" {
		return nil, errors.New(why)
	}
	return r.rig.Open(c.compiled, r.opt)
}

func orSuccess(errno string) string { return cmp.Or(errno, "success") }
