// SPDX-License-Identifier: GPL-2.0-only

package calibrate

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/timing"
	"github.com/tcsim/tcsim/emu/timing/learn"
	"github.com/tcsim/tcsim/emu/timing/measured"
	"github.com/tcsim/tcsim/scenarios/measure"
)

// Pass runs a sequence so many times in a process of its own and returns the ticks of each.
type Pass func(ctx context.Context, s *measured.Sequence, reps int) ([]measured.HostRep, error)

// Options says what to measure with, and where to keep what was measured.
type Options struct {
	Pass    Pass
	Machine string // what the processor calls itself
	// Nops is how many nops a cycle a quiet core executes, 0 if that is not known: then it is the best
	// that was seen.
	Nops    float64
	Name    string // of the core
	Journal string // path of the file of what was measured so far
	// Progress is told of every stage; Stopped says that an error is one of the machine, not of a sequence.
	Progress func(stage string, done, total int)
	Stopped  func(error) bool
}

// Result is a learned core.
type Result struct {
	Core *timing.Core
	File []byte
	From string // the built-in core that it was made from
	// Told is what experiments say that the core has; Steps what the search changed; Mechanisms what the
	// sequences say that it has.
	Told       []string
	Steps      []learn.Step
	Mechanisms []learn.Mechanism
	// Fitted and Held are the predictions for the sequences that parameters were fitted to, and for the others.
	Fitted, Held []measured.Result
	// Cycles are what the sequences took here; Failed the experiments and sequences without a figure.
	Cycles map[string]measured.HostCycles
	Failed []string
}

// How often an experiment and a sequence are measured; a pass is a process.
const (
	learnPasses, learnReps       = 5, 60
	sequencePasses, sequenceReps = 8, 200
	retries                      = 2 // of what was disturbed too much
)

// ErrBusy says that the machine is too busy for its figures to be trusted.
var ErrBusy = errors.New("most experiments were disturbed: another program, or a neighbour on the same physical core, is busy")

// bench measures, and remembers.
type bench struct {
	Options
	journal *learn.Journal
	best    float64 // core cycles of the nops of a quiet repetition
	failed  []string
	again   string // what the names of stages end with
}

// Learn makes the core file of this machine, judged by the sequences of file.
func Learn(ctx context.Context, m *emu.Machine, file *measured.File, opt Options) (*Result, error) {
	journal, err := learn.OpenJournal(opt.Journal)
	if err != nil {
		return nil, err
	}
	defer journal.Close()
	b := &bench{Options: opt, journal: journal}
	if err := b.quiet(ctx); err != nil {
		return nil, err
	}
	r := &Result{}
	var figures learn.Figures
	var cases []learn.Case
	for _, again := range []string{"", " again"} { // what was disturbed is measured once more: what is in the journal is not
		if b.again = again; again != "" && len(b.failed) == 0 {
			break
		}
		b.failed, r.Cycles = nil, map[string]measured.HostCycles{}
		if figures, err = b.experiments(ctx); err != nil {
			return nil, err
		}
		if cases, err = b.cases(ctx, m, file, r.Cycles); err != nil {
			return nil, err
		}
	}
	if err := b.fit(ctx, figures, cases, r); err != nil {
		return nil, err
	}
	r.Failed = b.failed
	r.File = r.Core.File(learn.Letters())
	return r, journal.Remove()
}

// quiet finds out how fast the nops of a repetition are on a quiet core.
func (b *bench) quiet(ctx context.Context) error {
	if b.Nops > 0 {
		b.best = measured.HostNops / b.Nops
		return nil
	}
	e := learn.Plan()[0]
	var passes [][]measured.HostRep
	const tries = 20
	for n := range tries {
		b.Progress("nops", n, tries)
		reps, err := b.Pass(ctx, &e.Sequence, learnReps)
		if err != nil {
			return err
		}
		passes = append(passes, reps)
	}
	b.Progress("nops", tries, tries)
	b.best = measured.BestNops(passes)
	return nil
}

// one measures a sequence, or takes what was measured before the run was ended.
func (b *bench) one(ctx context.Context, s *measured.Sequence, passes, reps int) (measured.HostCycles, bool, error) {
	if c, why, ok := b.journal.Get(b.Machine, s); ok {
		if why != "" {
			b.failed = append(b.failed, why)
		}
		return c, why == "", nil
	}
	var all [][]measured.HostRep
	var c measured.HostCycles
	var err error
	for range 1 + retries {
		for range passes {
			var r []measured.HostRep
			if r, err = b.Pass(ctx, s, reps); err != nil {
				break
			}
			all = append(all, r)
		}
		if ctx.Err() != nil {
			return c, false, ctx.Err()
		}
		if err != nil && b.Stopped(err) {
			return c, false, err
		}
		if err == nil {
			if c, err = s.Host(b.usable(s, all), b.best); err == nil {
				return c, true, b.journal.Put(b.Machine, s, c, "")
			}
		}
	}
	b.failed = append(b.failed, err.Error())
	return c, false, nil // not kept: the machine may be quiet when the run goes on
}

// usable returns the passes in which enough repetitions were undisturbed, or all if there are none.
func (b *bench) usable(s *measured.Sequence, all [][]measured.HostRep) [][]measured.HostRep {
	var out [][]measured.HostRep
	for _, p := range all {
		if _, err := s.Host([][]measured.HostRep{p}, b.best); err == nil {
			out = append(out, p)
		}
	}
	if len(out) == 0 {
		return all
	}
	return out
}

// fastest returns the cycles of the fastest process. Predictors that took another way in some processes, as that of
// the stores that a load waits for does, and other programs only add to what a structure costs.
func fastest(c measured.HostCycles) float64 { return slices.Min(c.PassMedians) }

// experiments measures the experiments of package learn: cycles of one copy each.
func (b *bench) experiments(ctx context.Context) (learn.Figures, error) {
	plan := learn.Plan()
	fig := learn.Figures{}
	for n := range plan {
		b.Progress("experiments"+b.again, n, len(plan))
		e := &plan[n]
		c, ok, err := b.one(ctx, &e.Sequence, learnPasses, learnReps)
		if err != nil {
			return nil, err
		}
		if ok {
			fig[e.Name] = fastest(c) / float64(e.Copies)
		}
		if n >= 20 && 2*len(fig) < n {
			return nil, ErrBusy
		}
	}
	b.Progress("experiments"+b.again, len(plan), len(plan))
	return fig, nil
}

// cases measures the sequences of a file, and records their instructions.
func (b *bench) cases(ctx context.Context, m *emu.Machine, file *measured.File, cycles map[string]measured.HostCycles) ([]learn.Case, error) {
	var out []learn.Case
	n := len(file.Sequences)
	for i := range file.Sequences {
		b.Progress("sequences"+b.again, i, n)
		s := file.Sequences[i] // a copy, which gets the figures of this machine
		stream, err := measure.Stream(ctx, m, &s)
		if err != nil {
			return nil, err
		}
		c, ok, err := b.one(ctx, &s, sequencePasses, sequenceReps)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		cycles[s.Name] = c
		s.Median, s.P10, s.P90, s.States = c.Median, c.P10, c.P90, measured.StatesOf(c.PassMedians)
		out = append(out, learn.Case{Sequence: &s, Stream: stream})
	}
	b.Progress("sequences"+b.again, n, n)
	if 2*len(out) < n {
		return nil, ErrBusy
	}
	return out, nil
}

// fit makes the core, and judges it.
func (b *bench) fit(ctx context.Context, fig learn.Figures, cases []learn.Case, r *Result) error {
	fitted, held := learn.Split(cases)
	if len(fitted) == 0 || len(held) == 0 {
		return fmt.Errorf("%d sequences to fit to and %d to judge by: expected some of both", len(fitted), len(held))
	}
	d, from, err := learn.Nearest(b.Name, b.Machine, fig, fitted)
	if err != nil {
		return err
	}
	r.From, r.Told = from, d.Told
	r.Core, r.Steps, err = learn.Search(ctx, d, fitted, func(done, total int) { b.Progress("search", done, total) })
	if err != nil {
		return err
	}
	r.Fitted, r.Held = learn.Judge(r.Core, fitted), learn.Judge(r.Core, held)
	r.Mechanisms = learn.Mechanisms(r.Core, slices.Concat(fitted, held))
	return nil
}
