// SPDX-License-Identifier: GPL-2.0-only

package runner

import (
	"context"
	"errors"
	"fmt"

	"github.com/tcsim/tcsim/emu/check"
	"github.com/tcsim/tcsim/emu/timing"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/scenarios"
)

// Timeline is where a scenario stands: before one of its events, at its end, or at what stopped it. It
// advances event by event, in the order of the scenario's file; there is no other way to come to a run.
// A session has one timeline at a time: Begin ends the one before.
type Timeline struct {
	s       *Session
	holds   *holdings
	next    int          // index into Built.Actions
	leftOut int          // the event that is passed over, -1 for none
	core    *timing.Core // whose cycles runs are given, nil for none
	res     *Result
	stopped *Stopped
	lost    bool // something broke and the timeline goes on: the reference does not know what the maps hold
}

// Stopped is what ended a scenario before its end: whatever came next would start from nowhere.
type Stopped struct {
	What      string           // that did not go well, such as "run 2" or "delete jmp_table[0]"
	Violation *check.Violation // nil if a budget ended a run
	Killed    string           // the budget, "" for a violation
	Foreseen  bool             // the scenario's file expects it
}

func (s *Stopped) String() string {
	if s.Violation != nil {
		return fmt.Sprintf("%s ends with %v", s.What, s.Violation)
	}
	return fmt.Sprintf("%s ends with %s", s.What, s.Killed)
}

// NotReached is the error of asking for a run that the scenario does not come to.
type NotReached struct {
	Scenario, Target string
	Run              int // from 1
	Stopped          Stopped
}

// Error says which run is not reached, and why.
func (e *NotReached) Error() string {
	return fmt.Sprintf("scenario %s on %s: run %d is not reached: %v", e.Scenario, e.Target, e.Run, &e.Stopped)
}

// Begin goes back to where the scenario begins: its programs are loaded, maps and prog arrays filled, and
// nothing has happened. If loading broke an invariant, the timeline is stopped there.
func (s *Session) Begin() (*Timeline, error) {
	if err := s.reset(); err != nil {
		return nil, err
	}
	t := &Timeline{s: s, holds: s.first.clone(), leftOut: -1, core: s.m.opt.Core, res: &Result{Scenario: s.c.Built.Scenario.Name, Target: s.c.Target.Name}}
	var err error
	if t.res.Code, err = s.checkCode(); err != nil {
		return nil, err
	}
	if s.broken != nil {
		t.res.Updates = append(t.res.Updates, Update{What: "loading", Violation: s.broken})
		t.stopped = &Stopped{What: "loading", Violation: s.broken}
	}
	return t, nil
}

// LeaveOut makes the timeline pass over an event, given by its index, as if the scenario did not have it.
func (t *Timeline) LeaveOut(event int) { t.leftOut = event }

// Result is what has happened so far.
func (t *Timeline) Result() *Result { return t.res }

// Stopped returns what ended the scenario before its end, nil if nothing has.
func (t *Timeline) Stopped() *Stopped { return t.stopped }

// Next returns the event that comes next and its index; nil at the end, or where the scenario stopped.
func (t *Timeline) Next() (event *scenarios.Action, index int) {
	if t.next == t.leftOut {
		t.next++
	}
	if t.stopped != nil || t.next >= len(t.s.c.Built.Actions) {
		return nil, t.next
	}
	return &t.s.c.Built.Actions[t.next], t.next
}

// Step performs the event that comes next. The error is a failure of ours or of the context; what the
// code does wrong is in the result.
func (t *Timeline) Step(ctx context.Context) error {
	a, _ := t.Next()
	switch {
	case a == nil:
		return errors.New("BUG: the scenario goes no further")
	case a.Kind != scenarios.ActRun:
		return t.update(a)
	}
	return t.run(ctx, a)
}

// ToEvent performs what comes before an event, given by its index. The timeline stands before the
// event, or where the scenario stopped.
func (t *Timeline) ToEvent(ctx context.Context, index int) error {
	for {
		if a, at := t.Next(); a == nil || at >= index {
			return nil
		}
		if err := t.Step(ctx); err != nil {
			return err
		}
	}
}

// ToEnd performs everything.
func (t *Timeline) ToEnd(ctx context.Context) error { return t.ToEvent(ctx, len(t.s.c.Built.Actions)) }

// ToRun performs what comes before run number n, from 1. The error is a NotReached if something stops
// the scenario before.
func (t *Timeline) ToRun(ctx context.Context, n int) error {
	index, err := t.s.c.RunAt(n)
	if err != nil {
		return fmt.Errorf("scenario %s: %w", t.res.Scenario, err)
	}
	if err := t.ToEvent(ctx, index); err != nil {
		return err
	}
	if t.stopped != nil {
		return &NotReached{Scenario: t.res.Scenario, Target: t.res.Target, Run: n, Stopped: *t.stopped}
	}
	return nil
}

// enter prepares the run that comes next, for somebody else to perform: the state is used up.
func (t *Timeline) enter(ctx context.Context) (entry, error) {
	a, _ := t.Next()
	if a == nil || a.Kind != scenarios.ActRun {
		return entry{}, errors.New("BUG: what comes next is no run")
	}
	if err := t.findCut(ctx, a); err != nil {
		return entry{}, err
	}
	return t.s.enter(a, t.cut(a))
}

// Prepare prepares a run of the scenario as it would be here for somebody else to perform: the state is used up. It
// is interrupted where Learn has found out that it is.
func (t *Timeline) Prepare(run *scenarios.Action) (*Prepared, error) {
	e, err := t.s.enter(run, t.cut(run))
	return &Prepared{e}, err
}

// Learn finds out where a run of the scenario would be interrupted here, if it is to be. What was done with SetSlot is
// undone.
func (t *Timeline) Learn(ctx context.Context, run *scenarios.Action) error {
	return t.findCut(ctx, run)
}

// Holds returns what a slot holds here, -1 for nothing.
func (t *Timeline) Holds(at Slot) int { return t.holds.held(at) }

// Change plans an update of a slot that the scenario does not have; prog is -1 to empty it.
func (t *Timeline) Change(at Slot, prog int) (Change, error) { return t.holds.change(at, prog) }

// SetSlot performs an update of a slot that the scenario does not have, in the machine alone: runs that
// follow cannot be judged by BPF. What breaks is the violation.
func (t *Timeline) SetSlot(at Slot, prog int) (*check.Violation, error) {
	_, err := t.holds.setSlot(at, prog)
	var broken *check.PokeError
	if errors.As(err, &broken) {
		return broken.Violation(t.s.m.Code), nil
	}
	return nil, err
}

// update performs an update of the scenario.
func (t *Timeline) update(a *scenarios.Action) error {
	u, err := t.updated(a)
	if err != nil {
		return err
	}
	t.res.Updates = append(t.res.Updates, *u)
	if u.Violation != nil { // a BUG in the kernel
		t.stopped = &Stopped{What: u.What, Violation: u.Violation, Foreseen: u.Foreseen}
	}
	t.next++
	return nil
}

// run performs a run of the scenario.
func (t *Timeline) run(ctx context.Context, a *scenarios.Action) error {
	n := len(t.res.Runs) + 1
	r, err := t.judged(ctx, a)
	if err != nil {
		return fmt.Errorf("scenario %s on %s: run %d: %w", t.res.Scenario, t.res.Target, n, err)
	}
	t.res.Runs = append(t.res.Runs, *r)
	if goesOn := t.s.m.opt.KeepGoing && !r.Faulted && r.Killed == ""; goesOn {
		t.lost = t.lost || r.Violation != nil
	} else if r.Violation != nil || r.Killed != "" {
		t.stopped = &Stopped{
			What: fmt.Sprintf("run %d", n), Violation: r.Violation, Killed: r.Killed, Foreseen: len(r.Mismatches) == 0,
		}
	}
	t.next++
	return nil
}

// judged performs a run and judges it by every invariant and by what the scenario expects.
func (t *Timeline) judged(ctx context.Context, a *scenarios.Action) (*Run, error) {
	if err := t.findCut(ctx, a); err != nil {
		return nil, err
	}
	s := t.s
	e, err := s.enter(a, t.cut(a))
	if err != nil {
		return nil, err
	}
	return s.m.Hand(len(t.res.Runs)+1, s.c.Built.Programs[a.Program].Name, func() (*Run, error) { return t.entered(ctx, a, e) })
}

// entered performs a run that is prepared and judges it.
func (t *Timeline) entered(ctx context.Context, a *scenarios.Action, e entry) (*Run, error) {
	s := t.s
	r, err := s.m.perform(ctx, e, t.core)
	if err != nil {
		return nil, err
	}
	r.Program = s.c.Built.Programs[a.Program].Name
	if !t.lost {
		differs, err := s.ref.judge(a, e.cut, r, s.m)
		if err != nil {
			return nil, err
		}
		s.m.report(r, differs)
	}
	s.m.Latent(r)
	r.Mismatches = s.c.Built.Check(a, t.outcome(r), scenarios.TargetNames(s.c.Target)...)
	return r, nil
}

// outcome is what the scenario's expectations are compared with.
func (t *Timeline) outcome(r *Run) *scenarios.Outcome {
	o := &scenarios.Outcome{
		Return: r.Return, Taken: r.Counts.Taken, DeepestStack: r.Deepest,
		Refused: scenarios.RefusedCount{
			Limit: r.Counts.Refused[trace.ReasonLimit], Bounds: r.Counts.Refused[trace.ReasonBounds],
			Empty: r.Counts.Refused[trace.ReasonEmpty], Unknown: r.Counts.Refused[trace.ReasonUnknown],
		},
		Lookup: func(m int, key []byte) ([]byte, bool) {
			v, err := t.s.m.LookupElem(m, key)
			return v, err == nil
		},
	}
	switch {
	case r.Violation != nil:
		o.Violation = string(r.Violation.Invariant)
	case r.Killed != "":
		o.Violation = "budget"
	}
	return o
}

// cutKey is a run with a history.
type cutKey struct {
	run     *scenarios.Action
	leftOut int
}

// cut returns where a run is interrupted, nil if it is not.
func (t *Timeline) cut(a *scenarios.Action) *cut { return t.s.cuts[cutKey{a, t.leftOut}] }

// findCut learns where the run that comes next is interrupted, if it is: by performing it without the
// interrupt, which uses up the state, so that what comes before is then done again.
func (t *Timeline) findCut(ctx context.Context, a *scenarios.Action) error {
	if a.Interrupt == nil || t.cut(a) != nil {
		return nil
	}
	c, err := t.s.findCut(ctx, a)
	if err != nil {
		return err
	}
	t.s.cuts[cutKey{a, t.leftOut}] = c
	again, err := t.s.Begin()
	if err != nil {
		return err
	}
	again.LeaveOut(t.leftOut)
	if err := again.ToEvent(ctx, t.next); err != nil {
		return err
	}
	*t = *again
	return nil
}
