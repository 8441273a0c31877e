// SPDX-License-Identifier: GPL-2.0-only

package measured

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
)

// HostRep is one repetition of a sequence on real hardware, in ticks of the time stamp counter:
// HostChain dependent register adds and a block of nops before and after it, a part of the trips
// (HostPart) and all of them.
type HostRep struct {
	Chain, Nops [2]uint64
	Part, Full  uint64
}

// HostChain is the number of adds in a chain; each takes one core cycle.
const HostChain = 20000

// HostPart is how many of all trips the shorter run of a repetition makes.
func HostPart(trips int) int { return max(1, trips/8) }

// HostCycles are core cycles per trip as measured.json states them: medians over the passes, but Min.
type HostCycles struct {
	Median, Min, P10, P90 float64
	PassMedians           []float64 // one per pass that could be used, in order
	Kept, Reps            int       // repetitions used and made
}

// Limits of a repetition that is used (fixtures/uarch/README.md): how far its two chains may differ,
// how far its ratio may be off the usual one, how much slower than the best of the machine its nops
// may be, before it and after it. A pass counts if one repetition of hostKeep is left, a sequence if
// half of its passes count.
const (
	hostChains     = 0.01
	hostRatio      = 0.04
	hostNopsBefore = 0.06
	hostNopsAfter  = 0.14
	hostKeep       = 4
)

// hostBest is the part of all repetitions, the fastest ones, whose nops are taken to have run alone.
const hostBest = 0.01

// BestNops returns how many core cycles the block of nops takes on a core that does nothing else, from
// the repetitions of all sequences: a neighbour on the same physical core slows them by 10 to 50 %,
// which one process cannot see if the neighbour stays busy. 0 if there is no repetition.
func BestNops(sequences ...[][]HostRep) float64 {
	var all []float64
	for _, passes := range sequences {
		for _, reps := range passes {
			for _, r := range reps {
				if r.steady() && r.Nops[0] > 0 {
					all = append(all, float64(r.Nops[0])*r.ratio())
				}
			}
		}
	}
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return quantile(all, hostBest)
}

// steady reports whether the two chains agree on the frequency.
func (r HostRep) steady() bool {
	a, b := float64(r.Chain[0]), float64(r.Chain[1])
	return a > 0 && b > 0 && math.Abs(a-b) <= hostChains*min(a, b)
}

// Host turns repetitions on hardware, a list per pass, into cycles per trip; nops is BestNops of all that
// were made on the machine. It is an error if disturbances left too few of them.
func (s *Sequence) Host(passes [][]HostRep, nops float64) (HostCycles, error) {
	var h HostCycles
	var p10, p90 []float64
	h.Min = math.Inf(1)
	for _, reps := range passes {
		cycles := s.hostPass(reps, nops)
		h.Reps += len(reps)
		h.Kept += len(cycles)
		if hostKeep*len(cycles) < len(reps) || len(cycles) == 0 {
			continue
		}
		slices.Sort(cycles)
		h.Min = min(h.Min, cycles[0])
		p10 = append(p10, quantile(cycles, 0.1))
		p90 = append(p90, quantile(cycles, 0.9))
		h.PassMedians = append(h.PassMedians, quantile(cycles, 0.5))
	}
	if 2*len(p10) < len(passes) || len(p10) == 0 {
		return HostCycles{}, fmt.Errorf("sequence %s: calibration unstable: %d of %d repetitions can be used, in %d of %d passes enough",
			s.Name, h.Kept, h.Reps, len(p10), len(passes))
	}
	medians := slices.Sorted(slices.Values(h.PassMedians))
	slices.Sort(p10)
	slices.Sort(p90)
	h.Median, h.P10, h.P90 = quantile(medians, 0.5), quantile(p10, 0.5), quantile(p90, 0.5)
	if h.P10 <= 0 {
		return HostCycles{}, fmt.Errorf("sequence %s: too short for the clock: %v cycles per trip", s.Name, h.P10)
	}
	return h, nil
}

// hostPass returns the cycles per trip of the repetitions that can be used.
func (s *Sequence) hostPass(reps []HostRep, nops float64) []float64 {
	var ratios []float64
	for _, r := range reps {
		ratios = append(ratios, r.ratio())
	}
	slices.Sort(ratios)
	var cycles []float64
	for _, r := range reps {
		usual := quantile(ratios, 0.5)
		slow := float64(r.Nops[0])*r.ratio() > (1+hostNopsBefore)*nops || float64(r.Nops[1])*r.ratio() > (1+hostNopsAfter)*nops
		if slow || !r.steady() || math.Abs(r.ratio()-usual) > hostRatio*usual || r.Full <= r.Part {
			continue
		}
		cycles = append(cycles, float64(r.Full-r.Part)*r.ratio()/float64(s.Trips-HostPart(s.Trips)))
	}
	return cycles
}

// ratio returns core cycles per tick.
func (r HostRep) ratio() float64 {
	return 2 * HostChain / max(float64(r.Chain[0])+float64(r.Chain[1]), 1)
}

// quantile interpolates in sorted values; there is at least one.
func quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	n := int(at)
	if n+1 == len(sorted) {
		return sorted[n]
	}
	return sorted[n] + (at-float64(n))*(sorted[n+1]-sorted[n])
}

// Rewritten returns a file of measured sequences, which Read accepts, with the cycles of
// another machine, and its description and date. Sequences without new cycles are left out.
func Rewritten(file []byte, core, date string, cycles map[string]HostCycles) ([]byte, error) {
	var f measuredFile
	if err := json.Unmarshal(file, &f); err != nil {
		return nil, err
	}
	f.Core, f.Date = core, date
	f.Method = fmt.Sprintf("tcsim cycles --host: two runs per repetition, calibrated by chains of %d dependent adds", HostChain)
	all := f.Sequences
	f.Sequences = nil
	for _, s := range all {
		h, ok := cycles[s.Name]
		if !ok {
			continue
		}
		s.Cycles.Median, s.Cycles.Min, s.Cycles.P10, s.Cycles.P90 = milli(h.Median), milli(h.Min), milli(h.P10), milli(h.P90)
		s.Cycles.PassMedians = nil
		for _, m := range h.PassMedians {
			s.Cycles.PassMedians = append(s.Cycles.PassMedians, milli(m))
		}
		s.CyclesPerCopy = milli(h.Median / float64(max(s.Loop.Copies, 1)))
		s.RepsKept, s.Reps = h.Kept, h.Reps
		f.Sequences = append(f.Sequences, s)
	}
	out, err := json.MarshalIndent(f, "", " ")
	return append(out, '\n'), err
}

// milli rounds to thousandths, as measured.json does.
func milli(v float64) float64 { return math.Round(v*1000) / 1000 }

// HostNops is how many nops the block before and after a repetition has.
const HostNops = 20000
