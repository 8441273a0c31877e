// SPDX-License-Identifier: GPL-2.0-only

package runner

import (
	"math"
	"slices"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/check"
	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/measure"
)

// Result is what a scenario did on one target.
type Result struct {
	Scenario string
	Target   string
	Runs     []Run
	Updates  []Update // map updates between the runs, in order
	// Code is what differs from the machine code that the scenario expects after loading.
	Code []scenarios.Mismatch
}

// Update is the outcome of a map update.
type Update struct {
	What       string // such as "delete jmp_table[0]"
	Errno      string // "" for success
	Violation  *check.Violation
	Foreseen   bool // the scenario expects the violation
	Mismatches []scenarios.Mismatch
}

// Run is one run of a program.
type Run struct {
	Program string
	Return  uint64 // rax at the end; meaningless after a violation
	Counts  trace.Counts
	Retired uint64
	// Deepest is the deepest stack in bytes below the outside caller's rsp.
	Deepest uint64
	// DeepestAt is where that was.
	DeepestAt trace.Deepest
	// Cycles is nil if no core was given.
	Cycles *measure.Cycles
	// Violation is the first broken invariant; nil if none is.
	Violation *check.Violation
	// More are those after the first, if the run was to keep going.
	More    []check.Again
	Faulted bool // the code ended by a fault, which is a violation
	// Killed says which budget ended the run, "" if none did.
	Killed     string
	Mismatches []scenarios.Mismatch
	// World names the helpers called whose result depends on the outside world.
	World []string

	// Events and Code describe what happened. They belong to the session and are valid until the
	// next run.
	Events []trace.Event
	Code   *trace.Code
}

// OK reports whether everything was as the scenario expects.
func (r *Result) OK() bool {
	if len(r.Code) != 0 {
		return false
	}
	for i := range r.Runs {
		if len(r.Runs[i].Mismatches) != 0 {
			return false
		}
	}
	for i := range r.Updates {
		if u := &r.Updates[i]; len(u.Mismatches) != 0 || u.Violation != nil && !u.Foreseen {
			return false
		}
	}
	return true
}

// Violation returns the first broken invariant of any run or update, nil if none is.
func (r *Result) Violation() *check.Violation {
	for i := range r.Updates {
		if v := r.Updates[i].Violation; v != nil {
			return v
		}
	}
	for i := range r.Runs {
		if v := r.Runs[i].Violation; v != nil {
			return v
		}
	}
	return nil
}

// Mismatches returns every expectation that was not met.
func (r *Result) Mismatches() []scenarios.Mismatch {
	out := slices.Clone(r.Code)
	for i := range r.Updates {
		out = append(out, r.Updates[i].Mismatches...)
	}
	for i := range r.Runs {
		out = append(out, r.Runs[i].Mismatches...)
	}
	return out
}

// describe makes a Run of what the machine and the checker saw; killed is the budget that ended it.
func (m *Machine) describe(res *emu.Result, killed string) *Run {
	rec := m.feed.chk.Recorder()
	r := &Run{
		Return: res.Return(), Counts: rec.Counts(), Retired: res.Retired, Violation: m.feed.chk.Violation(),
		More: m.feed.chk.More(), DeepestAt: rec.Deepest(), Killed: killed, Events: rec.Events(), Code: m.Code,
	}
	r.Counts.Taken -= r.Counts.InnerTaken
	for i, n := range r.Counts.InnerRefused {
		r.Counts.Refused[i] -= n
	}
	if d := rec.Deepest().RSP; d != 0 && d < guest.EntryRSP+8 {
		r.Deepest = uint64(guest.EntryRSP + 8 - d)
	}
	if m.feed.clock != nil {
		seq := uint64(math.MaxUint64)
		if r.Violation != nil {
			seq = r.Violation.Seq
		}
		r.Cycles = m.feed.clock.Cycles(r.Violation == nil && r.Killed == "", seq, m.begins(m.now.Run))
	}
	for _, h := range res.Helpers {
		if h.World {
			r.World = append(r.World, h.Name)
		}
	}
	return r
}

// Ending says what broke the run off, "" if it returned.
func (r *Run) Ending() string {
	if r.Violation != nil {
		return r.Violation.String()
	}
	return r.Killed
}
