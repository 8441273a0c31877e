// SPDX-License-Identifier: GPL-2.0-only

package report

import (
	"context"
	"errors"
	"fmt"

	"github.com/tcsim/tcsim/cmd/tcsim/render"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/scenarios/replay"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// MostCaptured is how many scenarios of a capture a report takes.
const MostCaptured = 40

// AddCapture replays those scenarios of a capture that pattern selects, each as a scenario on the kernel that made its code.
func (r *Report) AddCapture(ctx context.Context, src *capture.Source, t *jit.Target, pattern string) error {
	picked, err := replay.Select(src, pattern)
	if err != nil {
		return err
	}
	if len(picked) > MostCaptured {
		return fmt.Errorf("%s: %d scenarios are too many for a report, which takes %d: choose with --scenario", src.Name, len(picked), MostCaptured)
	}
	rp, err := replay.New(runner.Options{Core: r.opt.Core, KeepEvents: r.opt.Most + 1, Window: r.opt.Window})
	if err != nil {
		return err
	}
	defer rp.Close()
	for _, i := range picked {
		c, err := replay.Capture(src, t, i)
		if err != nil {
			return err
		}
		p := &play{Row: render.RunRow{Scenario: render.Plain(c.Known().Scenario.Name), Target: render.Plain(c.Known().Design())}}
		err = r.replay(ctx, p, rp, c)
		switch {
		case errors.Is(err, kernels.ErrUnsupported):
			p.Row.Error = err.Error()
		case err != nil:
			return fmt.Errorf("%s:%d: %s: %w", src.Name, c.Known().Scenario.Line, p.Row.Scenario, err)
		}
		about := "Machine code that kernel " + render.Plain(src.Header.Kernel.Release) + " made, at the addresses that it had."
		r.subjects = append(r.subjects, &subject{Name: p.Row.Scenario, About: about, Plays: []*play{p}})
	}
	return nil
}

// replay films a captured scenario.
func (r *Report) replay(ctx context.Context, p *play, rp *replay.Replayer, c replay.Captured) error {
	res, err := rp.Run(ctx, c)
	if err != nil {
		return err
	}
	if res.Skipped != "" {
		p.Row.Error = res.Skipped
		return nil
	}
	p.words = newWords()
	if c, ok := c.(*replay.Sourced); ok && res.Result != nil {
		p.Row.Fill(res.Result)
		p.Row.OK, p.Row.Failed = len(res.Wrong) == 0, res.Wrong
		s, err := rp.Session(c)
		if err != nil {
			return err
		}
		p.text = newText(p.words, s.Machine().Code, s.Machine().Bytes)
		return r.filmAll(ctx, p, s, len(res.Result.Runs))
	}
	p.Row.OK, p.Row.Failed = len(res.Wrong) == 0 || len(res.World) != 0, res.Wrong
	bare, ok := c.(*replay.Bare)
	if !ok || len(res.Events) == 0 {
		return nil // what is wrong is all that there is to say
	}
	roll := &reel{words: p.words, stale: true, page: r.opt.PageSize}
	run, err := rp.Film(ctx, bare, r.opt.Most, func(m *runner.Machine) func(runner.Still) error {
		p.text = newText(p.words, m.Code, m.Bytes)
		roll.text, roll.code = p.text, m.Code
		return roll.add
	})
	if err != nil {
		return err
	}
	run.Program = res.Program
	p.take(run, 1, roll)
	p.Row.Runs = append(p.Row.Runs, render.Summarise(&run.Run))
	return nil
}
