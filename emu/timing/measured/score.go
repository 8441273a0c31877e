// SPDX-License-Identifier: GPL-2.0-only

package measured

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sort"

	"github.com/tcsim/tcsim/emu/record"
	"github.com/tcsim/tcsim/emu/timing"
	"github.com/tcsim/tcsim/jit/x86"
)

// Predict runs the recorded stream of a sequence through a core and returns the cycles of one trip
// in the steady state: the first eighth of the trips only warms the predictors, as in the
// measurement. The stream starts at the entry of the block and holds at least two whole trips; it
// may end anywhere.
func (s *Sequence) Predict(core *timing.Core, stream []record.Retired) (float64, error) {
	return s.Repeat(timing.New(core, s.CodeAt), stream)
}

// Repeat is Predict on a model of the sequence's code that has run it before.
func (s *Sequence) Repeat(m *timing.Model, stream []record.Retired) (float64, error) {
	start := s.At + x86.Addr(s.Start)
	trips := 0
	for n := range stream {
		if stream[n].RIP == start {
			trips++
		}
	}
	warm := 1 + trips/8
	if trips < warm+1 {
		return 0, fmt.Errorf("%d trips are too few", trips)
	}
	var first, last timing.Cycle
	trip := 0
	for n := range stream {
		if stream[n].RIP == start {
			trip++
			last = m.Cycle()
			if trip == warm {
				first = last
			}
		}
		next := x86.Addr(0)
		if n+1 < len(stream) {
			next = stream[n+1].RIP
		}
		if err := m.Step(stream[n], next); err != nil {
			return 0, err
		}
	}
	return float64(last-first) / float64(trips-warm), nil
}

// RecordTrips is how many trips a recording for Predict should have: enough for the predictors to
// settle and for random outcomes to average out, and no more than were measured. Set r12 to it.
func (s *Sequence) RecordTrips() int {
	const instructions = 40000
	return min(s.Trips, max(64, instructions/max(s.InstructionsPerTrip, 1)))
}

// CodeAt is the Code of the sequence.
func (s *Sequence) CodeAt(pc x86.Addr) ([]byte, error) {
	if off := int64(pc) - int64(s.At); off >= 0 && off < int64(len(s.Code)) {
		return s.Code[off:], nil
	}
	return nil, errors.New("outside of the block")
}

// Result is a prediction beside its measurement, in cycles per trip.
type Result struct {
	Name      string  `json:"name"`
	Kind      string  `json:"kind"`
	Predicted float64 `json:"predicted"`
	P10       float64 `json:"p10"`
	Median    float64 `json:"median"`
	P90       float64 `json:"p90"`
	// Error is (predicted-median)/median in percent, 0 if the prediction lies in P10 to P90. A sequence
	// of several states is judged by the state that is nearest.
	Error float64 `json:"error_percent"`
	// States is how many states the passes of the measurement were in, for other reasons than chance.
	States int `json:"states"`
}

// State is a state of the hardware that a part of the passes of a measurement were in: the lowest,
// median and highest of their medians.
type State struct{ Low, Median, High float64 }

// stateGap is how far states are apart, as a part of the lower one; stateShare the smallest part of
// the passes that makes a state.
const (
	stateGap   = 0.03
	stateShare = 0.1
)

// StatesOf groups the medians of passes by states; passes that belong to none are disturbed ones.
func StatesOf(passes []float64) []State {
	sorted := slices.Sorted(slices.Values(passes))
	var out []State
	for first, n := 0, 1; n <= len(sorted); n++ {
		if n < len(sorted) && sorted[n] <= sorted[n-1]*(1+stateGap) {
			continue
		}
		if k := n - first; k > 1 && float64(k) >= stateShare*float64(len(sorted)) {
			out = append(out, State{sorted[first], quantile(sorted[first:n], 0.5), sorted[n-1]})
		}
		first = n
	}
	return out
}

// Judge compares a prediction with the measurement of the sequence.
func (s *Sequence) Judge(predicted float64) Result {
	r := Result{
		Name: s.Name, Kind: s.Kind, Predicted: predicted,
		P10: s.P10, Median: s.Median, P90: s.P90, States: max(1, len(s.States)),
	}
	if predicted >= s.P10 && predicted <= s.P90 {
		return r
	}
	r.Error = 100 * (predicted - s.Median) / s.Median
	if len(s.States) < 2 {
		return r
	}
	for _, st := range s.States {
		e := 100 * (predicted - st.Median) / st.Median
		if predicted >= st.Low && predicted <= st.High {
			e = 0
		}
		if math.Abs(e) < math.Abs(r.Error) {
			r.Error = e
		}
	}
	return r
}

// Score sums up the errors of a group of results; errors are absolute, in percent.
type Score struct {
	Kind        string  `json:"kind"`
	N           int     `json:"n"`
	MAPE        float64 `json:"mape"`
	MedianError float64 `json:"median_error"`
	Worst       float64 `json:"worst"`
	WorstName   string  `json:"worst_sequence"`
	// Total compares the sums of all predicted and all median cycles, signed.
	Total float64 `json:"sum_error_percent"`
}

// The groups of Scores that are no kinds of sequences.
const (
	kindStates  = "states"   // sequences of several states
	kindFitted  = "fitted"   // those that parameters may be fitted to
	kindHeldOut = "held out" // the others: see HeldOut
)

// Scores returns the scores per kind in alphabetical order, then those of the sequences of several
// states, of those that parameters may be fitted to, of those held out, and of all (kind "all").
func Scores(rs []Result) []Score {
	groups := map[string][]Result{}
	var kinds []string
	for _, r := range rs {
		if groups[r.Kind] == nil {
			kinds = append(kinds, r.Kind)
		}
		groups[r.Kind] = append(groups[r.Kind], r)
	}
	sort.Strings(kinds)
	var out []Score
	for _, k := range kinds {
		out = append(out, scoreOf(k, groups[k]))
	}
	for _, g := range []struct {
		kind string
		in   func(Result) bool
	}{
		{kindStates, func(r Result) bool { return r.States > 1 }},
		{kindFitted, func(r Result) bool { return !HeldOut(r.Name) }},
		{kindHeldOut, func(r Result) bool { return HeldOut(r.Name) }},
		{"all", func(Result) bool { return true }},
	} {
		var in []Result
		for _, r := range rs {
			if g.in(r) {
				in = append(in, r)
			}
		}
		if len(in) != 0 {
			out = append(out, scoreOf(g.kind, in))
		}
	}
	return out
}

func scoreOf(kind string, rs []Result) Score {
	s := Score{Kind: kind, N: len(rs)}
	abs := make([]float64, 0, len(rs))
	var predicted, median float64
	for _, r := range rs {
		e := math.Abs(r.Error)
		abs = append(abs, e)
		s.MAPE += e / float64(len(rs))
		if e > s.Worst || s.WorstName == "" {
			s.Worst, s.WorstName = e, r.Name
		}
		predicted += r.Predicted
		median += r.Median
	}
	sort.Float64s(abs)
	s.MedianError = (abs[(len(abs)-1)/2] + abs[len(abs)/2]) / 2
	s.Total = 100 * (predicted - median) / median
	return s
}
