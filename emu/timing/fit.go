// SPDX-License-Identifier: GPL-2.0-only

package timing

import (
	"context"
	"fmt"
	"math"

	"github.com/tcsim/tcsim/emu/record"
)

// Trial is a measured sequence with its recorded stream.
type Trial struct {
	Sequence *Sequence
	Stream   []record.Retired
}

// Errors returns the absolute error of a core on each trial in percent.
func Errors(core *Core, trials []Trial) ([]float64, error) {
	out := make([]float64, len(trials))
	for i, t := range trials {
		p, err := t.Sequence.Predict(core, t.Stream)
		if err != nil {
			return nil, fmt.Errorf("sequence %s: %w", t.Sequence.Name, err)
		}
		out[i] = math.Abs(t.Sequence.Judge(p).Error)
	}
	return out, nil
}

// loss is what a fit makes small: the mean of the errors, none of which counts for more than a
// hundred percent, in thousandths of a percent, rounded, so that it is the same on every machine.
func loss(errors []float64) int64 {
	var sum int64
	for _, e := range errors {
		sum += int64(math.Round(1000 * min(e, 100)))
	}
	return sum / int64(max(1, len(errors)))
}

// Step is one improvement that a fit found.
type Step struct {
	Path, From, To string
	// Before and After are the mean error in thousandths of a percent.
	Before, After int64
}

// fitGain is the smallest gain, in thousandths of a percent, for which a fit changes a parameter or
// keeps a mechanism on.
const fitGain = 20

// Fit searches values of parameters on trials, which must not be held out. It goes through the
// parameters in the order of paths, tries the values near the present one and takes the best if it
// gains enough, until a round changes nothing, or rounds are over. Each round ends with an attempt to
// take each mechanism away: it stays only if it gains enough.
func Fit(ctx context.Context, core *Core, paths []string, trials []Trial, rounds int, progress func(done, total int)) (*Core, []Step, error) {
	f := &fit{ctx: ctx, core: core, trials: trials}
	errs, err := Errors(core, trials)
	if err != nil {
		return nil, nil, err
	}
	f.best = loss(errs)
	for round := range rounds {
		changed := false
		for n, path := range paths {
			if progress != nil {
				progress(round*len(paths)+n, rounds*len(paths))
			}
			moved, err := f.improve(path)
			if err != nil {
				return nil, nil, err
			}
			changed = changed || moved
		}
		if !changed {
			break
		}
	}
	return f.core, f.steps, nil
}

type fit struct {
	ctx    context.Context
	core   *Core
	trials []Trial
	best   int64
	steps  []Step
}

// improve tries the values near the present one of a parameter.
func (f *fit) improve(path string) (changed bool, err error) {
	var p *Param
	for _, q := range f.core.Params() {
		if q.Path == path {
			p = &q
		}
	}
	if p == nil {
		return false, fmt.Errorf("parameter %q: not known", path)
	}
	was, from := f.best, p.Value
	best := f.core
	least := f.best - fitGain + 1
	for _, value := range p.Near() {
		if value == from {
			continue
		}
		if err := f.ctx.Err(); err != nil {
			return false, err
		}
		c, err := f.core.With(path, value)
		if err != nil {
			continue // out of its range
		}
		errs, err := Errors(c, f.trials)
		if err != nil {
			return false, err
		}
		off := p.Optional && (value == "0" || value == "false")
		switch l := loss(errs); {
		case l < least, off && l < f.best+fitGain && best == f.core:
			best, least = c, l
		}
	}
	if best == f.core {
		return false, nil
	}
	f.core, f.best = best, least
	to := ""
	for _, q := range best.Params() {
		if q.Path == path {
			to = q.Value
		}
	}
	f.steps = append(f.steps, Step{path, from, to, was, least})
	return true, nil
}
