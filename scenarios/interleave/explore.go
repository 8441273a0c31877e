// SPDX-License-Identifier: GPL-2.0-only

package interleave

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/big"
	"slices"
	"time"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/check"
	"github.com/tcsim/tcsim/emu/explore"
	"github.com/tcsim/tcsim/emu/stack"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// UpdateKind is a kind of update of a prog array slot.
type UpdateKind string

// The kinds of updates.
const (
	UpdateInsert      UpdateKind = "insert"       // into an empty slot
	UpdateReplace     UpdateKind = "replace"      // another program for the one in the slot
	UpdateDelete      UpdateKind = "delete"       // of the program in the slot
	UpdateDeleteEmpty UpdateKind = "delete-empty" // of none
)

// UpdateKinds returns all kinds.
func UpdateKinds() []UpdateKind {
	return []UpdateKind{UpdateInsert, UpdateReplace, UpdateDelete, UpdateDeleteEmpty}
}

// Options say which updates are explored against which runs. The zero value explores the
// updates of the scenario, each against the run before and after it, or every kind of update of every
// slot against the first run if it has none.
type Options struct {
	// Run is the number of the run, from 1; 0 is any for the scenario's own updates, else the first.
	Run int
	// Kinds are tried on every slot that some program tail-calls through or that holds a program.
	Kinds []UpdateKind
	// Slot, if not "", is the only slot, as in jmp_table[0]. To is what it is updated to, from what it
	// holds in the scenario before the run: a program or "empty", or several in a row, separated by commas; "" leaves
	// it to Kinds.
	Slot, To string
	// Sequence takes updates of the scenario that follow each other as one, in their order: another processor does all
	// of them during one run.
	Sequence bool
	// Mine, if not nil, says which of the updates are explored, by their number from 0: the others are somebody else's.
	Mine func(n int) bool
	// Progress, if not nil, is told how many of the updates are explored.
	Progress func(done, total int)
	// NoRCU leaves out the wait for a grace period, which no kernel does.
	NoRCU bool
	// Max is how many schedules are executed for each update; 0 means explore.DefaultMax.
	Max int
	// BruteForce executes every schedule instead of one of each class.
	BruteForce bool
}

// SlotUpdate is an update of a prog array slot.
type SlotUpdate struct {
	Kind UpdateKind
	Slot string // as in jmp_table[0]
	From string // the program in the slot, or "empty"
	To   string
}

// Explored is an update explored against a run.
type Explored struct {
	SlotUpdate
	Then    []SlotUpdate // that follow it in the same run
	Run     int          // number in the scenario
	Program string       // that is run
	Steps   []string     // of the update, in order

	*explore.Result
	Took time.Duration

	// Alone is what is wrong with the run without any update; nil if nothing is.
	Alone *check.Violation
	// Before is what broke in the scenario before the update, which is then not explored. Update is
	// what is wrong with the update whatever runs meanwhile, Later what is wrong with one that comes
	// after it. Each is nil if nothing is.
	Before, Update, Later *check.Violation
	// Failure is the shortest failing schedule; nil if none fails.
	Failure *FailedSchedule
}

// OK reports that every schedule was seen and nothing is wrong.
func (e *Explored) OK() bool { return !e.Wrong() && e.Exhaustive }

// Wrong reports that something is wrong.
func (e *Explored) Wrong() bool {
	return e.Before != nil || e.Update != nil || e.Later != nil || e.Failure != nil
}

// FailedSchedule is a schedule that breaks an invariant.
type FailedSchedule struct {
	Violation *check.Violation
	Insns     uint64          // executed, the one at which it broke included
	Steps     []ScheduledStep // in order; the update's other steps come later
	Events    []trace.Event
	Code      *trace.Code
	Layout    *stack.Layout // at the violation
}

// ScheduledStep is a step of an update with its place in a run.
type ScheduledStep struct {
	After uint64    `json:"after"` // instructions executed before it
	RIP   trace.Hex `json:"rip"`   // of the last of them, 0 if there is none
	Where string    `json:"where"` // function+offset of it
	Step  string    `json:"step"`
}

// exploreCase is an update to explore against a run.
type exploreCase struct {
	upTo    int  // what comes before this event of the scenario happens first,
	leftOut int  // but this event does not; -1 for none
	setup   *int // what the slot is then given: a program, or -1
	run     *scenarios.Action
	number  int
	runner.Slot
	to   int
	then []slotTo // what is updated after that, one after the other
}

// slotTo is an update of a slot to a program, -1 for none.
type slotTo struct {
	runner.Slot
	to int
}

// Explore explores updates of a scenario on its target. The error is ErrCannotExplore, a failure of
// ours, or that of the context; what was explored before is returned with it, also of an update that is not finished.
func Explore(ctx context.Context, c *runner.Compiled, opt runner.Options, o Options) (out []Explored, err error) {
	if opt.Level != emu.LevelNone && opt.Level != emu.LevelRetired {
		return nil, errors.New("explore: needs the retired level")
	}
	if opt.MaxInsns == 0 {
		opt.MaxInsns = 1 << 20
	}
	if opt.MaxEvents == 0 {
		opt.MaxEvents = trace.DefaultKeep // all of them are looked at
	}
	if err := explorable(c); err != nil {
		return nil, err
	}
	var s *runner.Session
	defer func() {
		if s != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	open := func() (*runner.Session, error) {
		next, err := s.OpenNext(c, opt)
		if err == nil {
			s = next
		}
		return next, err
	}
	for x, err := range Each(ctx, c, o, open) {
		if x != nil {
			out = append(out, *x)
		}
		if err != nil {
			return out, err
		}
	}
	return out, nil
}

// Count returns how many updates there are to explore. The error is that of exploring them.
func Count(c *runner.Compiled, o Options) (int, error) {
	if err := explorable(c); err != nil {
		return 0, err
	}
	cases, err := exploreCases(c, o)
	return len(cases), err
}

func explorable(c *runner.Compiled) error {
	if c.Attaches() {
		return fmt.Errorf("explore scenario %s: %w: it traces functions", c.Built.Scenario.Name, ErrCannotExplore)
	}
	return nil
}

// Each explores updates one after the other, each in a session of c that open returns and that is used
// up by it, and yields what it finds or what kept it from that, both if the context is done meanwhile. After
// ErrCannotExplore there is no more.
func Each(ctx context.Context, c *runner.Compiled, o Options, open func() (*runner.Session, error)) iter.Seq2[*Explored, error] {
	return func(yield func(*Explored, error) bool) {
		cases, err := exploreCases(c, o)
		if err != nil {
			yield(nil, err)
			return
		}
		for i := range cases {
			if o.Mine != nil && !o.Mine(i) {
				continue
			}
			s, err := open()
			var x *Explored
			if err == nil {
				if x, err = cases[i].explore(ctx, s, o); err != nil {
					err = fmt.Errorf("scenario %s on %s: %w", c.Built.Scenario.Name, c.Target.Name, err)
				}
			}
			if o.Progress != nil {
				o.Progress(i+1, len(cases))
			}
			if !yield(x, err) {
				return
			}
		}
	}
}

// explore brings the session to where a case begins and explores it. The session is used up.
func (k *exploreCase) explore(ctx context.Context, s *runner.Session, o Options) (*Explored, error) {
	x, broken, err := k.begin(ctx, s)
	if err != nil {
		return nil, err
	}
	out := &Explored{SlotUpdate: x.update(0), Run: k.number, Program: x.c.ProgName(k.run.Program), Before: broken}
	for i := range x.changes[1:] {
		out.Then = append(out.Then, x.update(i+1))
	}
	if broken != nil {
		out.Result = &explore.Result{All: explore.Count{Schedules: new(big.Int)}}
		return out, nil
	}
	w := &scripter{m: x.m, c: x.c, changes: x.changes, noRCU: o.NoRCU}
	if x.script, out.Update, err = w.script(); err != nil {
		return nil, err
	}
	for i := range x.script.Steps {
		out.Steps = append(out.Steps, x.script.Steps[i].Text)
	}
	if out.Later, err = w.follow(); err != nil {
		return nil, err
	}
	start := time.Now()
	var ended error
	out.Result, ended = explore.Explore(ctx, x, x.script, explore.Options{Max: o.Max, BruteForce: o.BruteForce})
	out.Took = time.Since(start)
	if out.Result == nil || ended != nil && out.All.Classes == 0 {
		return nil, ended
	}
	if out.Shortest == nil {
		return out, ended
	}
	ctx = context.WithoutCancel(ctx) // what failed before an interrupt is shown
	if _, err := x.Execute(ctx, nil); err == nil {
		out.Alone = x.verdict()
	} else if !errors.Is(err, explore.ErrUnbounded) {
		return nil, err
	}
	if out.Failure, err = x.failure(ctx, out.Shortest); err != nil {
		return nil, err
	}
	return out, ended
}

func kindOf(from, to int) UpdateKind {
	switch {
	case from < 0 && to < 0:
		return UpdateDeleteEmpty
	case from < 0:
		return UpdateInsert
	case to < 0:
		return UpdateDelete
	}
	return UpdateReplace
}

// update says what update number i of the case is about.
func (x *schedules) update(i int) SlotUpdate {
	c := &x.changes[i]
	return SlotUpdate{kindOf(c.Old, c.New), x.c.SlotName(c.Slot), x.c.ProgName(c.Old), x.c.ProgName(c.New)}
}

// begin plays what comes before a case, prepares the run and makes that the machine's checkpoint. What
// breaks before is the violation.
func (k *exploreCase) begin(ctx context.Context, s *runner.Session) (*schedules, *check.Violation, error) {
	t, err := s.Begin()
	if err != nil {
		return nil, nil, err
	}
	t.LeaveOut(k.leftOut)
	if err := t.ToEvent(ctx, k.upTo); err != nil {
		return nil, nil, err
	}
	st := t.Stopped()
	if st != nil && st.Violation == nil {
		return nil, nil, fmt.Errorf("the update is not reached: %v", st)
	}
	var broken *check.Violation
	if st != nil {
		broken = st.Violation
	} else if broken, err = k.prepare(ctx, t); err != nil {
		return nil, nil, err
	}
	x := &schedules{c: s.Compiled(), m: s.Machine(), near: map[image.Addr]int{}, oneOf: k.oneOf(s.Compiled())}
	if broken != nil {
		x.changes = []runner.Change{{Slot: k.Slot, Old: t.Holds(k.Slot), New: k.to}}
		return x, broken, nil
	}
	if x.changes, err = k.plan(t, x.c); err != nil {
		return nil, nil, err
	}
	if x.run, err = t.Prepare(k.run); err != nil {
		return nil, nil, err
	}
	return x, nil, x.m.Checkpoint()
}

// prepare gives the slot what it is to hold first, and finds out where the run is interrupted.
func (k *exploreCase) prepare(ctx context.Context, t *runner.Timeline) (broken *check.Violation, err error) {
	set := func() error {
		if k.setup != nil && err == nil {
			broken, err = t.SetSlot(k.Slot, *k.setup)
		}
		return err
	}
	if set() != nil || broken != nil || k.run.Interrupt == nil {
		return broken, err
	}
	if err := t.Learn(ctx, k.run); err != nil {
		return nil, err
	}
	err = set() // which has been undone
	return broken, err
}

// oneOf are the results of which the run must have one, as its file says; nil if it does not.
func (k *exploreCase) oneOf(c *runner.Compiled) []scenarios.Int {
	if k.run.Event == nil || k.run.Event.Expect == nil {
		return nil
	}
	x := k.run.Event.Expect.For(scenarios.TargetNames(c.Target)...)
	return x.ReturnOneOf
}

// plan makes plans of all updates of the case, each from what the ones before it leave.
func (k *exploreCase) plan(t *runner.Timeline, c *runner.Compiled) ([]runner.Change, error) {
	var out []runner.Change
	for _, to := range append([]slotTo{{k.Slot, k.to}}, k.then...) {
		next, err := t.Change(to.Slot, to.to)
		if err != nil {
			return nil, err
		}
		for i := range out {
			if out[i].Slot == to.Slot {
				next.Old = out[i].New
				if next.Plan, err = c.Target.UpdatePlan(next.Sites, c.Landing(next.Old), c.Landing(to.to)); err != nil {
					return nil, err
				}
			}
		}
		out = append(out, next)
	}
	return out, nil
}

// failure executes the failing schedule once more for everything that can be shown of it, and then up
// to where it failed.
func (x *schedules) failure(ctx context.Context, f *explore.Failed) (*FailedSchedule, error) {
	x.keep = true
	if _, err := x.Execute(ctx, f.Placement); err != nil {
		return nil, err
	}
	v := x.verdict()
	if v == nil || v.Seq+1 != f.Insns {
		return nil, errors.New("BUG: a failing schedule does not fail again")
	}
	out := &FailedSchedule{Violation: v, Insns: f.Insns, Code: x.m.Code}
	for _, e := range x.m.Recorder().Events() {
		if e.Seq <= v.Seq {
			out.Events = append(out.Events, e)
		}
	}
	done := 0
	for _, p := range f.Placement {
		for ; done < p.Version; done++ {
			st := ScheduledStep{After: p.Before, Step: x.script.Steps[done].Text}
			if p.Before > 0 {
				rip := x.rips[p.Before-1]
				st.RIP, st.Where = trace.Hex(rip), x.m.Code.Where(rip)
			}
			out.Steps = append(out.Steps, st)
		}
	}
	x.keep = false
	var err error
	out.Layout, err = x.draw(ctx, f.Placement, v.Moment())
	return out, err
}

// ErrCannotExplore is a mistake in Options, or a scenario without anything to update.
var ErrCannotExplore = errors.New("cannot explore")

// exploreCases makes cases of the options.
func exploreCases(c *runner.Compiled, o Options) ([]exploreCase, error) {
	e := &caseMaker{b: c.Built, c: c, o: o}
	if err := e.options(); err != nil {
		return nil, fmt.Errorf("%w: scenario %s: %w", ErrCannotExplore, c.Built.Scenario.Name, err)
	}
	return e.out, nil
}

// sorted orders slots.
func sorted(slots []runner.Slot) []runner.Slot {
	slices.SortFunc(slots, func(a, b runner.Slot) int {
		if a.Map != b.Map {
			return a.Map - b.Map
		}
		return int(a.Key) - int(b.Key)
	})
	return slices.Compact(slots)
}
