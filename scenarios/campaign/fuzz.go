// SPDX-License-Identifier: GPL-2.0-only

package campaign

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/tcsim/tcsim/emu/check"
	"github.com/tcsim/tcsim/emu/explore"
	"github.com/tcsim/tcsim/emu/interp"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/design"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/graph"
	"github.com/tcsim/tcsim/scenarios/interleave"
	"github.com/tcsim/tcsim/scenarios/lockstep"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// Verdicts of fuzzing in addition to those of a matrix.
const (
	// VerdictForeseen is a graph that takes more tail calls than the limit, or others than it
	// should, exactly as a counter that each frame holds by value predicts. That kernels up to 6.11
	// do so is known. So is that some designs keep the counter below rsp for a moment.
	VerdictForeseen Verdict = "foreseen"
	// VerdictUpdate is a map update that gave another error than the kernel does.
	VerdictUpdate Verdict = "update"
	// VerdictDuring is an update of a slot that breaks an invariant while a run next to it in the
	// history goes on: tcsim explore shows the schedule.
	VerdictDuring Verdict = "during"
	// VerdictCrash is a graph at which the worker process ended, or did not come back.
	VerdictCrash Verdict = "crash"
)

// Budgets of one run of a graph: many times what 33 passes through the largest program need.
const (
	fuzzInsns  = 1_000_000
	fuzzEvents = 100_000
	// maxForeseen is how many tail calls a run may take in which the limit is not checked because
	// each frame has its own counter. Beyond it, only the violation of the limit is foreseen.
	maxForeseen = 2000
)

// Judgement is what came out of a graph on a target.
type Judgement struct {
	Verdict Verdict
	Why     string // what broke, or what is not supported
}

// Failed reports whether something is wrong that was not known.
func (j *Judgement) Failed() bool {
	return j.Verdict != VerdictOK && j.Verdict != VerdictForeseen && j.Verdict != VerdictUnsupported
}

// Fuzzer plays graphs on targets, all in one machine. It is not safe for concurrent use and must
// be closed.
type Fuzzer struct {
	// Schedules is how many schedules of each update of a slot against the runs next to it are
	// executed, 0 for none.
	Schedules int

	targets  []*jit.Target
	w        player
	programs *lockstep.Player
	reach    *reaching // nil if what is reached is not asked for
}

// NewFuzzer returns a fuzzer for targets.
func NewFuzzer(ts []*jit.Target) *Fuzzer { return &Fuzzer{targets: ts, programs: lockstep.New()} }

// Close releases the machine.
func (f *Fuzzer) Close() {
	f.w.drop()
	_ = f.programs.Close() // nothing is lost
}

// Play plays a graph on every target; the judgements are in their order. The error is that of the
// context, or of a graph that does not build.
func (f *Fuzzer) Play(ctx context.Context, g *graph.Graph) ([]Judgement, error) {
	return f.playOn(ctx, g, f.targets)
}

func (f *Fuzzer) playOn(ctx context.Context, g *graph.Graph, ts []*jit.Target) ([]Judgement, error) {
	b, err := scenarios.Build(g.Scenario("graph"))
	if err != nil {
		return nil, err
	}
	predictions := map[interp.Rules]int{}
	out := make([]Judgement, len(ts))
	for i, t := range ts {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		out[i] = f.play(ctx, b, t, predictions)
	}
	return out, nil
}

// play plays a graph on one target. After a failure of the engine the machine is not used again.
func (f *Fuzzer) play(ctx context.Context, b *scenarios.Built, t *jit.Target, known map[interp.Rules]int) (j Judgement) {
	defer func() {
		if p := recover(); p != nil {
			j = Judgement{VerdictError, fmt.Sprint(p)}
		}
		if j.Verdict == VerdictError {
			f.w.drop()
		}
	}()
	if f.reach != nil {
		f.reach.set.On(t.Name)
		own := *t
		own.Ways = f.reach.set.Way
		t = &own
	}
	c, err := runner.Compile(b, t)
	if err != nil {
		return failedJudgement(err)
	}
	taken := -1
	if byValue(c.Target) {
		if taken, err = predict(b, c.Target, known); err != nil {
			return failedJudgement(err)
		}
	}
	opt := runner.Options{MaxInsns: fuzzInsns, MaxEvents: fuzzEvents, PerFrame: taken >= 0}
	if opt.PerFrame && taken <= maxForeseen {
		opt.Limit = math.MaxUint32
	}
	if err := f.w.open(c, opt); err != nil {
		return failedJudgement(err)
	}
	res, err := f.playRuns(ctx, c)
	if err != nil {
		return failedJudgement(err)
	}
	j = judge(res)
	switch {
	case j.Verdict == Verdict(check.BelowRSP) && check.Invariant(c.Target.Design.Traits().Always()) == check.BelowRSP:
		j.Verdict = VerdictForeseen
	case taken < 0:
		if j.Verdict == VerdictOK && f.Schedules > 0 {
			j = f.explore(ctx, c)
		}
	case taken <= maxForeseen && j.Verdict == VerdictOK:
		j = Judgement{VerdictForeseen, fmt.Sprintf("taken: %d, as one counter per frame has it", taken)}
	case taken > maxForeseen && j.Verdict == "limit":
		j.Verdict = VerdictForeseen
	case taken > maxForeseen && j.Verdict == VerdictOK:
		j = Judgement{"limit", "one counter per frame exceeds the limit, but the run did not"}
	}
	return j
}

// playRuns plays what is open from its beginning to its end.
func (f *Fuzzer) playRuns(ctx context.Context, c *runner.Compiled) (*runner.Result, error) {
	if f.reach == nil {
		return f.w.s.Play(ctx)
	}
	c.Reach(f.reach.set)
	t, err := f.w.s.Begin()
	if err != nil {
		return nil, err
	}
	for {
		a, _ := t.Next()
		if a == nil {
			return t.Result(), nil
		}
		if err := t.Step(ctx); err != nil {
			return nil, err
		}
		if n := len(t.Result().Runs); a.Kind == scenarios.ActRun && n > 0 {
			f.reach.set.Events(t.Result().Runs[n-1].Events)
		}
	}
}

// explore plays the updates of slots while the runs before and after them go on. The same code
// runs again and again, so a few schedules of each, the most telling first, are worth most.
func (f *Fuzzer) explore(ctx context.Context, c *runner.Compiled) Judgement {
	o := interleave.Options{Max: f.Schedules}
	if !slices.ContainsFunc(c.Built.Actions, func(a scenarios.Action) bool { return changesSlot(c.Built, &a) }) {
		return Judgement{Verdict: VerdictOK}
	}
	open := func() (*runner.Session, error) {
		err := f.w.open(c, runner.Options{MaxInsns: fuzzInsns, MaxEvents: fuzzEvents})
		return f.w.s, err
	}
	for x, err := range interleave.Each(ctx, c, o, open) {
		switch {
		case errors.Is(err, explore.ErrUnbounded), errors.Is(err, interleave.ErrCannotExplore):
			continue
		case err != nil:
			return failedJudgement(err)
		case x.Failure != nil && x.Failure.Violation.Invariant == check.Limit && byValue(c.Target):
			// The update completes a ring in which each frame counts for itself.
			return Judgement{VerdictForeseen, x.Failure.Violation.String()}
		case x.Failure != nil:
			return Judgement{VerdictDuring, fmt.Sprintf("%s of %s during run %d: %s", x.Kind, x.Slot, x.Run, x.Failure.Violation)}
		case x.Wrong():
			return Judgement{VerdictDuring, fmt.Sprintf("%s of %s at run %d", x.Kind, x.Slot, x.Run)}
		}
	}
	return Judgement{Verdict: VerdictOK}
}

// changesSlot reports whether an action updates a prog array, with success.
func changesSlot(b *scenarios.Built, a *scenarios.Action) bool {
	return (a.Kind == scenarios.ActInsert || a.Kind == scenarios.ActDelete && b.Maps[a.Map].Type == bpf.ProgArray) && a.Event.Errno == ""
}

func failedJudgement(err error) Judgement {
	c := failedCell(err)
	return Judgement{c.Verdict, c.Why}
}

func judge(res *runner.Result) Judgement {
	c := resultCell(res)
	j := Judgement{c.Verdict, c.Why}
	if m := res.Mismatches(); j.Verdict == VerdictOK && len(m) > 0 {
		j = Judgement{VerdictUpdate, m[0].String()} // runs expect nothing but that no invariant breaks
	}
	return j
}

// byValue reports whether each frame has a copy of the counter that begins with its caller's.
func byValue(t *jit.Target) bool {
	return t.Design.Traits().Counting == design.CountByValue
}

// predictInsns ends a run that is predicted: one with so many instructions is far beyond the limit.
const predictInsns = 1 << 16

// predict returns how many tail calls a graph takes in which each frame has its own counter, -1 if
// nothing differs from one counter for all. Runs that go on and on count as MaxInt32.
func predict(b *scenarios.Built, t *jit.Target, known map[interp.Rules]int) (int, error) {
	r := runner.RulesOf(t)
	if n, ok := known[r]; ok {
		return n, nil
	}
	var own []interp.Result // of each run, with a counter for each frame
	n, differs := 0, false
	perFrame := r
	perFrame.PerFrame = true
	for got, err := range runner.Reference(b, perFrame, predictInsns) {
		if err != nil {
			return 0, err
		}
		if own = append(own, got); got.Verdict != interp.Done {
			n, differs = math.MaxInt32, true
			break
		}
		n += int(got.TakenTotal)
	}
	i := 0
	for want, err := range runner.Reference(b, r, predictInsns) {
		if err != nil {
			return 0, err
		}
		if differs || i == len(own) {
			break
		}
		differs = own[i].Refused != want.Refused || !slices.EqualFunc(own[i].Taken, want.Taken, sameTailCall)
		i++
	}
	if !differs {
		n = -1
	}
	known[r] = n
	return n, nil
}

// sameTailCall compares what happened, not the counters.
func sameTailCall(a, b interp.TailCall) bool {
	a.Count, b.Count = 0, 0
	return a == b
}
