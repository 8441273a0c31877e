// SPDX-License-Identifier: GPL-2.0-only

package campaign

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/parts"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/inspect"
	"github.com/tcsim/tcsim/scenarios/runner"
	"github.com/tcsim/tcsim/scenarios/worker"
)

// Verdict is what came out of a scenario on a target: one of the constants below, or the name of
// the first broken invariant.
type Verdict string

// The verdicts that are no invariants.
const (
	VerdictOK          Verdict = "ok"
	VerdictBudget      Verdict = "budget"      // ended because it executed too much
	VerdictUnsupported Verdict = "unsupported" // the design has no code for the scenario
	VerdictError       Verdict = "error"       // a failure of ours, see Cell.Why
	VerdictUnplayed    Verdict = "unplayed"    // the matrix was interrupted before
)

// Cell is one scenario on one target.
type Cell struct {
	Verdict Verdict `json:"verdict"`
	// Expected says that everything was as the scenario's file says for this target. It is true for
	// VerdictUnsupported and false for VerdictError.
	Expected bool `json:"expected"`
	// Run is the number of the run that broke an invariant, from 1; 0 if none did, or an update.
	Run   int    `json:"run,omitempty"`
	Taken uint64 `json:"taken"` // tail calls of all runs
	// Why says what broke, or what is not supported.
	Why        string   `json:"why,omitempty"`
	Mismatches []string `json:"mismatches,omitempty"`
}

// Matrix is every scenario on every target. It holds no zero value that means something: Play
// fills every cell.
type Matrix struct {
	Scenarios []string
	Targets   []string
	Cells     [][]Cell // by target, then by scenario
}

// Budgets of one run in a matrix: several times what the longest scenario of the library needs, so
// that a run without end is over at once.
const (
	matrixInsns  = 2_000_000
	matrixEvents = 200_000
)

// MatrixOptions say how a matrix is played. The zero value is usable.
type MatrixOptions struct {
	// Workers is how many machines run at the same time; 0 means two.
	Workers int
	// Progress, if not nil, is called after each cell, by one goroutine at a time.
	Progress func(done, total int)
	// Start, if not nil, starts a process that knows the job MatrixJob and makes the same scenarios and
	// targets of Setup: each worker has one, so that a crash of the engine costs one cell.
	Start worker.Start
	Setup any
	// Timeout is how long a process may take to answer; 0 means worker.DefaultLimit.
	Timeout time.Duration
	// Work, if not nil, is what cells and the costs of targets are units of. What another part has stays VerdictUnplayed.
	Work *parts.Work
}

// PlayMatrix plays every scenario on every target. What goes wrong in one cell stays in it: the
// error is only that of the context, and then the matrix has what was played before.
func PlayMatrix(ctx context.Context, bs []*scenarios.Built, ts []*jit.Target, opt MatrixOptions) (*Matrix, error) {
	m := &Matrix{}
	for _, b := range bs {
		m.Scenarios = append(m.Scenarios, b.Scenario.Name)
	}
	for _, t := range ts {
		m.Targets = append(m.Targets, t.Name)
		m.Cells = append(m.Cells, make([]Cell, len(bs)))
	}
	first := opt.Work.Reserve(len(ts) * len(bs))
	err := parallel(ctx, len(ts)*len(bs), opt, func(w *player, i int) {
		t, b := i/len(bs), i%len(bs)
		m.Cells[t][b], _ = parts.Do(opt.Work, first+i, func() (c Cell) {
			if w.remote == nil {
				return w.cell(ctx, bs[b], ts[t])
			}
			if err := worker.Ask(ctx, w.remote, question{t, b}, func(got *Cell) { c = *got }); err != nil {
				return failedCell(err)
			}
			return c
		})
	})
	for t := range m.Cells {
		for b := range m.Cells[t] {
			if c := &m.Cells[t][b]; c.Verdict == "" || err != nil && c.Verdict == VerdictError {
				*c = Cell{Verdict: VerdictUnplayed, Expected: true}
			}
		}
	}
	return m, err
}

// parallel calls do with each number below n, in several workers, each with a machine of its own.
func parallel(ctx context.Context, n int, opt MatrixOptions, do func(w *player, i int)) error {
	workers := opt.Workers
	if workers <= 0 {
		workers = 2
	}
	jobs := make(chan int)
	var wg sync.WaitGroup
	var mu sync.Mutex
	finished := 0
	for range workers {
		wg.Go(func() {
			w := &player{}
			if opt.Start != nil {
				w.remote = &worker.Client{Start: opt.Start, Job: MatrixJob, Setup: opt.Setup, Limit: opt.Timeout}
				defer w.remote.Close()
			}
			defer w.drop()
			for i := range jobs {
				do(w, i)
				mu.Lock()
				finished++
				if opt.Progress != nil {
					opt.Progress(finished, n)
				}
				mu.Unlock()
			}
		})
	}
	for i := 0; i < n && ctx.Err() == nil; i++ {
		select {
		case jobs <- i:
		case <-ctx.Done():
		}
	}
	close(jobs)
	wg.Wait()
	return ctx.Err()
}

// player keeps one machine for one cell after the other, or a process that does.
type player struct {
	s      *runner.Session
	remote *worker.Client
}

// drop closes the machine: the next cell gets a new one.
func (w *player) drop() {
	if w.s != nil {
		_ = w.s.Close() // nothing of it is used any more
		w.s = nil
	}
}

// open loads a compiled scenario into the player's machine.
func (w *player) open(c *runner.Compiled, opt runner.Options) error {
	s, err := w.s.OpenNext(c, opt)
	if err == nil {
		w.s = s // else there may be an old one, to be dropped
	}
	return err
}

// cell plays one scenario, and looks at its code if that is of a kernel's source. After a failure of the engine the machine is not used again.
func (w *player) cell(ctx context.Context, b *scenarios.Built, t *jit.Target) (c Cell) {
	defer func() {
		if p := recover(); p != nil {
			c = Cell{Verdict: VerdictError, Why: fmt.Sprint(p)}
		}
		if c.Verdict == VerdictError {
			w.drop()
		}
	}()
	compiled, err := runner.Compile(b, t)
	if err != nil {
		return failedCell(err)
	}
	if err := w.open(compiled, runner.Options{MaxInsns: matrixInsns, MaxEvents: matrixEvents}); err != nil {
		return failedCell(err)
	}
	res, err := w.s.Play(ctx)
	if err != nil {
		return failedCell(err)
	}
	c = resultCell(res)
	if c.Expected && t.Emitter != nil { // what tcsim emits itself is looked at by its tests
		rep, err := inspect.Code(compiled)
		if err != nil {
			return failedCell(err)
		}
		for _, f := range rep.Flaws {
			c.Expected, c.Mismatches = false, append(c.Mismatches, "FLAW: "+f)
		}
	}
	return c
}

func failedCell(err error) Cell {
	if errors.Is(err, kernels.ErrUnsupported) {
		return Cell{Verdict: VerdictUnsupported, Expected: true, Why: err.Error()}
	}
	return Cell{Verdict: VerdictError, Why: err.Error()}
}

func resultCell(res *runner.Result) Cell {
	c := Cell{Verdict: VerdictOK, Expected: res.OK()}
	for i := range res.Runs {
		r := &res.Runs[i]
		c.Taken += r.Counts.Taken
		switch {
		case r.Violation != nil:
			c.Run = i + 1
		case r.Killed != "":
			c.Verdict, c.Run, c.Why = VerdictBudget, i+1, r.Killed
		}
	}
	if v := res.Violation(); v != nil {
		c.Verdict, c.Why = Verdict(v.Invariant), v.String()
	}
	for _, m := range res.Mismatches() {
		c.Mismatches = append(c.Mismatches, m.String())
	}
	return c
}

// Unexpected counts the cells that are not as the scenarios' files say.
func (m *Matrix) Unexpected() int {
	n := 0
	for _, row := range m.Cells {
		for i := range row {
			if !row[i].Expected {
				n++
			}
		}
	}
	return n
}

// MatrixTargets returns one target for each kernel and design, and the kernels with a bug of their
// own: variants of mitigations behave alike.
func MatrixTargets() []string {
	out := jit.KernelNames()
	for _, n := range jit.TargetNames() {
		t, err := jit.TargetByName(n)
		if err != nil {
			panic("BUG: " + err.Error()) // it is listed
		}
		if kernel := t.Version != (kernels.Version{}) && t.Name == t.Base; t.Unmitigated() && !kernel {
			out = append(out, n)
		}
	}
	return out
}
