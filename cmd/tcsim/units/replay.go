// SPDX-License-Identifier: GPL-2.0-only

package units

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/tcsim/tcsim/cmd/tcsim/inputs"
	"github.com/tcsim/tcsim/cmd/tcsim/render"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/parts"
	"github.com/tcsim/tcsim/scenarios/replay"
)

// Replay replays scenarios of an open capture, each a unit, and compares its code with what the JIT of its kernel
// emits, which is one more. With an error comes what was done before it.
func Replay(ctx context.Context, w *parts.Work, r *replay.Replayer, src *capture.Source, t *jit.Target, pattern string, progress func(done, total int)) (*render.ReplayRow, error) {
	picked, err := replay.Select(src, pattern)
	if err != nil {
		return nil, inputs.Bad(err)
	}
	row := render.NewReplayRow(src.Name)
	first := w.Reserve(len(picked))
	var mine []int
	for i := range picked {
		if w.Mine(first + i) {
			mine = append(mine, picked[i])
		}
	}
	next, stop := iter.Pull2(replay.Captures(src, t, mine))
	defer stop()
	for i := range picked {
		one, ok, err := parts.Try(w, first+i, func() (*render.ReplayRow, error) {
			c, err, _ := next()
			return replayScenario(ctx, r, src.Name, c, err)
		})
		if ok || err != nil {
			row.Join(one)
		}
		if err != nil {
			return row, err
		}
		progress(i+1, len(picked))
	}
	if t.Name == replay.DecodedTarget {
		row.Kernel = t.Source
	}
	if pattern != "" || w == nil && len(row.Bad) > 0 {
		return row, nil
	}
	type oddCode struct {
		Lines []string `json:"lines,omitempty"`
		Wrong string   `json:"wrong,omitempty"`
	}
	odd, _ := parts.Do(w, w.Reserve(1), func() (o oddCode) {
		if o.Lines, err = replay.OddCode(src, t); err != nil {
			o.Wrong = err.Error()
		}
		return o
	})
	switch {
	case w != nil && len(row.Bad) > 0: // then it is not asked for
		return row, nil
	case odd.Wrong != "":
		return nil, inputs.Bad(errors.New(odd.Wrong))
	}
	for _, text := range odd.Lines {
		name, what, _ := strings.Cut(text, ": ")
		row.Wrong = append(row.Wrong, render.ReplayLine{Scenario: name, Notes: []string{what}})
	}
	return row, nil
}

// replayScenario runs one scenario, and once more with its tracing programs if it has any.
func replayScenario(ctx context.Context, r *replay.Replayer, file string, c replay.Captured, bad error) (*render.ReplayRow, error) {
	row := render.NewReplayRow(file)
	if bad != nil { // the others are judged all the same
		row.Bad = append(row.Bad, bad.Error())
		return row, nil
	}
	err := replayOnce(ctx, r, c, row)
	if traced, ok := replay.WithTracing(c); ok && err == nil {
		err = replayOnce(ctx, r, traced, row)
	}
	return row, err
}

func replayOnce(ctx context.Context, r *replay.Replayer, c replay.Captured, row *render.ReplayRow) error {
	res, err := r.Run(ctx, c)
	switch {
	case errors.Is(err, kernels.ErrUnsupported):
		row.Missing[err.Error()]++
	case errors.Is(err, replay.ErrBadCapture):
		row.Bad = append(row.Bad, fmt.Sprintf("%s:%d: %v", row.File, c.Known().Scenario.Line, err))
	case err != nil:
		return err
	default:
		row.Take(res)
	}
	return nil
}
