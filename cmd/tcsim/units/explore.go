// SPDX-License-Identifier: GPL-2.0-only

package units

import (
	"context"
	"errors"
	"fmt"

	"github.com/tcsim/tcsim/cmd/tcsim/inputs"
	"github.com/tcsim/tcsim/cmd/tcsim/render"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/parts"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/interleave"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// Explore explores a scenario on every target; each update on each is a unit. What one of several targets cannot have is
// left out. After an interrupt comes what was done before it, with the error.
func Explore(ctx context.Context, w *parts.Work, b *scenarios.Built, ts []*jit.Target, o interleave.Options, progress func(done, total int)) ([]render.ExploredOn, error) {
	var list []render.ExploredOn
	for n, t := range ts {
		o.Progress = func(done, total int) { progress(n*total+done, len(ts)*total) }
		x := render.ExploredOn{Scenario: b.Scenario.Name, Target: t.Name}
		var err error
		x.Found, err = exploreOn(ctx, w, b, t, o)
		if len(ts) > 1 && errors.Is(err, kernels.ErrUnsupported) {
			x.Unsupported, err = err, nil
		}
		if err != nil && ctx.Err() != nil && len(x.Found) > 0 {
			return append(list, x), err
		}
		if err != nil {
			return list, err
		}
		list = append(list, x)
	}
	return list, nil
}

// explored is what is kept of an update.
type explored struct {
	Row         *render.ExploredRow `json:"row,omitempty"`
	Unsupported string              `json:"unsupported,omitempty"` // why there is none
}

// unsupported is an error that another machine found.
type unsupported string

func (u unsupported) Error() string     { return string(u) }
func (u unsupported) Is(err error) bool { return err == kernels.ErrUnsupported }

// exploreOn explores a scenario on one target.
func exploreOn(ctx context.Context, w *parts.Work, b *scenarios.Built, t *jit.Target, o interleave.Options) (rows []render.ExploredRow, err error) {
	c, err := runner.Compile(b, t)
	if err != nil {
		return nil, inputs.Bad(err)
	}
	total, err := interleave.Count(c, o)
	switch {
	case errors.Is(err, interleave.ErrCannotExplore):
		return nil, inputs.Bad(err)
	case err != nil:
		return nil, err
	}
	first := w.Reserve(total)
	if w.Sum() {
		return explorations(w, first, total)
	}
	o.Mine = func(i int) bool { return w.Mine(first + i) }
	found, err := interleave.Explore(ctx, c, runner.Options{}, o)
	for i := range found {
		rows = append(rows, render.ExploredRowOf(&found[i]))
	}
	if errors.Is(err, interleave.ErrCannotExplore) {
		err = inputs.Bad(err)
	}
	if err != nil && !errors.Is(err, kernels.ErrUnsupported) {
		return rows, err
	}
	if w == nil {
		return rows, err
	}
	have := 0
	for i := range total {
		parts.Do(w, first+i, func() explored {
			if have == len(rows) { // this one ended it, or one before
				return explored{Unsupported: fmt.Sprint(err)}
			}
			have++
			return explored{Row: &rows[have-1]}
		})
	}
	return rows, err
}

// explorations are the rows that parts have, up to an update that a target cannot have.
func explorations(w *parts.Work, first, total int) (rows []render.ExploredRow, err error) {
	for i := range total {
		x, _ := parts.Given[explored](w, first+i)
		switch {
		case x.Row != nil && err == nil:
			rows = append(rows, *x.Row)
		case x.Unsupported != "" && err == nil:
			err = unsupported(x.Unsupported)
		}
	}
	return rows, err
}
