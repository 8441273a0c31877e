// SPDX-License-Identifier: GPL-2.0-only

package learn

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/tcsim/tcsim/emu/record"
	"github.com/tcsim/tcsim/emu/timing"
	"github.com/tcsim/tcsim/emu/timing/measured"
)

// Case is a measured sequence with the stream of its instructions.
type Case struct {
	Sequence *measured.Sequence
	Stream   []record.Retired
}

// Split divides cases into those that parameters may be fitted to and those held out, by name alone.
func Split(all []Case) (fitted, held []Case) {
	for _, c := range all {
		if measured.HeldOut(c.Sequence.Name) {
			held = append(held, c)
		} else {
			fitted = append(fitted, c)
		}
	}
	return fitted, held
}

// errorCap bounds what one sequence counts, in percent: one that nothing explains must not steer the rest.
const errorCap = 60

// Judge predicts all cases on a core. A case that the core has no data for has an infinite error.
func Judge(core *timing.Core, cases []Case) []measured.Result {
	out := make([]measured.Result, len(cases))
	var next sync.Mutex
	at := 0
	var all sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(cases)) {
		all.Go(func() {
			for {
				next.Lock()
				n := at
				at++
				next.Unlock()
				if n >= len(cases) {
					return
				}
				s := cases[n].Sequence
				p, err := s.Predict(core, cases[n].Stream)
				if out[n] = s.Judge(p); err != nil {
					out[n].Error = math.Inf(1)
				}
			}
		})
	}
	all.Wait()
	return out
}

// mean is the mean error of results, each up to errorCap.
func mean(rs []measured.Result) float64 {
	sum := 0.0
	for _, r := range rs {
		sum += min(math.Abs(r.Error), errorCap)
	}
	return sum / float64(max(len(rs), 1))
}

// Step is one change that the search made.
type Step struct {
	Path, From, To string
	Error          float64 // after it, in percent
}

// searchRounds bounds the passes over all parameters; searchGain is the least gain of a change, in
// percent: below it the value that is there stays.
const (
	searchRounds = 4
	searchGain   = 0.02
)

// Search fits the parameters that no experiment decided: one after the other, in the order of the core
// file, each is given the values next to its own, and keeps the best; again and again until a pass gains
// nothing. The same figures give the same core.
func Search(ctx context.Context, d *Deduced, fitted []Case, progress func(done, total int)) (*timing.Core, []Step, error) {
	core := d.Core
	best := mean(Judge(core, fitted))
	var steps []Step
	idle := map[string]bool{} // moves nothing
	for round := range searchRounds {
		before := best
		params := core.Params()
		for n := range params {
			progress(round*len(params)+n, searchRounds*len(params))
			p := core.Params()[n]
			if d.Fixed[p.Path] || idle[p.Path] || strings.HasSuffix(p.Path, "_ports") || p.Path == "back.taken" || p.Path == "back.not_taken" {
				continue
			}
			moved := false
			for _, v := range p.Near() {
				if v == p.Value {
					continue
				}
				if ctx.Err() != nil {
					return nil, nil, ctx.Err()
				}
				c, err := core.With(p.Path, v)
				if err != nil {
					continue
				}
				e := mean(Judge(c, fitted))
				moved = moved || e != best
				if e < best-searchGain {
					steps = append(steps, Step{p.Path, p.Value, v, e})
					c.SetSource(p.Path, "F")
					core, best = c, e
				}
			}
			idle[p.Path] = !moved
		}
		if before-best < searchGain {
			break
		}
	}
	progress(1, 1)
	return core, steps, nil
}

// Nearest deduces a core from each of the built-in ones, and returns the one with the smallest error.
func Nearest(name, title string, fig Figures, fitted []Case) (*Deduced, string, error) {
	var best *Deduced
	from, least := "", math.Inf(1)
	for _, base := range timing.Cores() {
		d, err := Deduce(base, name, title, fig)
		if err != nil {
			return nil, "", fmt.Errorf("from %s: %w", base.Name, err)
		}
		if e := mean(Judge(d.Core, fitted)); e < least {
			best, from, least = d, base.Name, e
		}
	}
	return best, from, nil
}

// Mechanism is a mechanism of a learned core, and what the error would be without it.
type Mechanism struct {
	Path, Value string
	Without     float64 // percent
}

// mechanismGain is by how much the error must grow without a mechanism for it to be reported.
const mechanismGain = 0.1

// Mechanisms returns the optional parameters without which the error on the cases is larger, the most
// important first.
func Mechanisms(core *timing.Core, cases []Case) []Mechanism {
	now := mean(Judge(core, cases))
	var out []Mechanism
	for _, p := range core.Params() {
		off := "0"
		if p.Value == "true" || p.Value == "false" {
			off = "false"
		}
		if !p.Optional || p.Value == off {
			continue
		}
		c, err := core.With(p.Path, off)
		if err != nil {
			continue
		}
		if e := mean(Judge(c, cases)); e > now+mechanismGain {
			out = append(out, Mechanism{p.Path, p.Value, e})
		}
	}
	slices.SortStableFunc(out, func(a, b Mechanism) int {
		switch {
		case a.Without > b.Without:
			return -1
		case a.Without < b.Without:
			return 1
		}
		return 0
	})
	return out
}
