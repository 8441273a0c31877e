// SPDX-License-Identifier: GPL-2.0-only

package campaign

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"

	"github.com/tcsim/tcsim/emu/check"
	"github.com/tcsim/tcsim/emu/stack"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// The verifier's estimate of the deepest stack that tail calls in subprograms can lead to: 32 tail
// calls over 256 bytes of callers each (check_max_stack_depth, kernel/bpf/verifier.c, Linux 6.12; the
// mails of the hierarchy argue with it). It counts no return addresses and no saved registers.
const VerifierEstimate = 32 * 256

// worstStack is room for whatever is measured, in bytes.
const worstStack = 1 << 18

// mostCallers bounds the search: no verifier allows more than 16 frames.
const mostCallers = 15

// bpfStack is MAX_BPF_STACK, what all frames of a chain of calls may have together.
const bpfStack = 512

// Worst is the deepest stack found on a target.
type Worst struct {
	Target string `json:"target"`
	Shape  Shape  `json:"shape"`
	Taken  uint64 `json:"taken"`
	// Deepest is in bytes below the outside caller; PerTailCall is what one tail call adds.
	Deepest     uint64 `json:"deepest"`
	PerTailCall uint64 `json:"per_tail_call"`
	// Alone is the deepest of programs that nothing traces, with its shape.
	Alone      uint64 `json:"alone"`
	AloneShape Shape  `json:"alone_shape"`
	// Bound is what no program can exceed that is made of these frames: the largest frame of each level, summed
	// over all levels. Where Deepest is Bound, the search has found the worst.
	Bound uint64 `json:"bound"`
	// OneCaller is the deepest of programs with one caller only, as the verifier's estimate has it.
	OneCaller uint64 `json:"one_caller,omitempty"`
	// Tried is how many shapes were run.
	Tried int `json:"tried"`
	// Endless is the invariant that every shape with callers breaks, on a design without a limit
	// there: then the stack has no bound, and Deepest is that of the other shapes. "" for none.
	Endless check.Invariant `json:"endless,omitempty"`
	// EndlessTraced is the same of programs that are traced, where trampolines lose the counter.
	EndlessTraced check.Invariant `json:"endless_traced,omitempty"`

	// Broken is how many shapes break another invariant and are left out; FirstBroken is how the first does. A
	// design that is right has none.
	Broken      int    `json:"broken,omitempty"`
	FirstBroken string `json:"first_broken,omitempty"`

	Scenario string `json:"scenario"` // text of the scenario
}

// Margin returns how much of a stack of so many bytes is left; it is negative if it overflows.
func (w *Worst) Margin(size int64) int64 { return size - int64(w.Deepest) }

// WorstStack searches, among programs that tail call themselves from a chain of calls and that the
// target's verifier accepts, the one that reaches deepest: for every number of callers, with and without
// callee-saved registers, the largest stacks that are accepted, and then with what comes on top (onTop). Each is run on the
// machine.
func WorstStack(ctx context.Context, t *jit.Target) (*Worst, error) {
	w := &worstSearch{ctx: ctx, t: t, best: Worst{Target: t.Name}, deepest: map[int]Shape{}, depth: map[int]uint64{}}
	defer w.drop()
	for callers := 0; callers <= mostCallers; callers++ {
		for _, saved := range []int{0, 4} {
			for _, other := range []int{0, 8, 16, 24, 32} {
				if callers < 2 && other > 0 {
					continue
				}
				if _, err := w.try(Shape{Callers: callers, Other: other, Saved: saved}); err != nil {
					return nil, fmt.Errorf("worst stack on %s: %w", t.Name, err)
				}
			}
		}
	}
	for _, callers := range slices.Sorted(maps.Keys(w.deepest)) {
		if err := w.onTop(w.deepest[callers]); err != nil {
			return nil, fmt.Errorf("worst stack on %s: %w", t.Name, err)
		}
	}
	w.bound()
	switch {
	case w.best.Tried > 0:
	case w.best.Broken > 0:
		return nil, fmt.Errorf("worst stack on %s: %w: no program works: %s", t.Name, jit.ErrEmitter, w.best.FirstBroken)
	case errors.Is(w.failed, jit.ErrEmitter), errors.Is(w.failed, kernels.ErrUnsupported):
		return nil, fmt.Errorf("worst stack on %s: %w", t.Name, w.failed)
	default:
		return nil, fmt.Errorf("worst stack on %s: no program is accepted: %w", t.Name, kernels.ErrUnsupported)
	}
	_, text, err := w.best.Shape.Scenario()
	w.best.Scenario = text
	return &w.best, err
}

type worstSearch struct {
	player
	ctx  context.Context
	t    *jit.Target
	best Worst
	// deepest is, by number of callers, the shape that goes deepest without what comes on top.
	deepest map[int]Shape
	depth   map[int]uint64
	failed  error // why the first program was not compiled, nil if all were
	// What bounds every program: of one level at most.
	callers, last, taken uint64
}

// accepted compiles a shape: nil if the verifier refuses it.
func (w *worstSearch) accepted(s Shape) *runner.Compiled {
	b, _, err := s.Scenario()
	if err != nil {
		return nil
	}
	c, err := runner.Compile(b, w.t)
	if err != nil {
		if w.failed == nil {
			w.failed = err
		}
		return nil
	}
	return c
}

// largest returns the largest multiple of 8, at most the size of a BPF stack, that is accepted; -1 if none is.
func (w *worstSearch) largest(with func(n int) Shape) int {
	n := sort.Search(bpfStack/8+1, func(i int) bool { return w.accepted(with(8*i)) == nil })
	return 8 * (n - 1)
}

// onTop adds to a shape what comes on top of frames whatever is in them, each as far as it makes the stack deeper: an
// arena and an entry function that may throw (r12), counters of may_goto and loops of bpf_loop, which the verifier puts
// below the stack after it has measured it, another program's frames above it, and last trampolines.
func (w *worstSearch) onTop(s Shape) error {
	most := w.depth[s.Callers]
	for _, add := range []func(*Shape){
		func(s *Shape) { s.Arena = true }, func(s *Shape) { s.Throws = true }, func(s *Shape) { s.Counted = true },
		func(s *Shape) { s.Looped = true }, func(s *Shape) { s.Replaces = s.Callers > 0 },
	} {
		more := s
		add(&more)
		depth, err := w.try(more)
		if err != nil {
			return err
		}
		if depth > most {
			most, s = depth, more
		}
	}
	s.Traced = true
	_, err := w.try(s)
	return err
}

// try makes the stacks of a shape as large as they can be, the callers' first, and runs it. It returns how deep the
// stack is, 0 if no such program is accepted or works.
func (w *worstSearch) try(s Shape) (uint64, error) {
	if s.Callers > 0 {
		if s.First = w.largest(func(n int) Shape { s.First = n; return s }); s.First < 0 {
			return 0, nil
		}
	}
	if s.Last = w.largest(func(n int) Shape { s.Last = n; return s }); s.Last < 0 {
		return 0, nil
	}
	if s.Replaces {
		if s.Above = w.largest(func(n int) Shape { s.Above = n; return s }); s.Above < 0 {
			return 0, nil
		}
	}
	c := w.accepted(s)
	if err := w.open(c, runner.Options{StackSize: worstStack}); err != nil {
		return 0, err
	}
	res, err := w.s.Play(w.ctx)
	if err != nil {
		return 0, err
	}
	if len(res.Runs) == 0 {
		if v := res.Violation(); v != nil {
			w.broken(v.String())
		}
		return 0, nil // what comes before the run is not allowed there
	}
	r := &res.Runs[0]
	switch v := r.Violation; {
	case v != nil && v.Invariant == check.Limit && s.Callers > 0 && s.Traced:
		w.best.EndlessTraced = v.Invariant
		return 0, nil
	case v != nil && v.Invariant == check.Limit && s.Callers > 0:
		w.best.Endless = v.Invariant
		return 0, nil
	case v != nil && v.Invariant != check.BelowRSP:
		w.broken(v.String())
		return 0, nil // the program does not work there
	case r.Killed != "":
		w.broken(r.Killed)
		return 0, nil
	}
	if s.Callers == 1 && s.plain() {
		w.best.OneCaller = max(w.best.OneCaller, r.Deepest)
	}
	w.best.Tried++
	w.level(r)
	if s.plain() && r.Deepest > w.depth[s.Callers] {
		w.depth[s.Callers], w.deepest[s.Callers] = r.Deepest, s
	}
	if !s.Traced && r.Deepest > w.best.Alone {
		w.best.Alone, w.best.AloneShape = r.Deepest, s
	}
	if r.Deepest <= w.best.Deepest {
		return r.Deepest, nil
	}
	w.best.Shape, w.best.Taken, w.best.Deepest = s, r.Counts.Taken, r.Deepest
	w.best.PerTailCall = perTailCall(r)
	return r.Deepest, nil
}

// broken notes that a shape does not work.
func (w *worstSearch) broken(how string) {
	if w.best.Broken++; w.best.Broken == 1 {
		w.best.FirstBroken = how
	}
}

// level keeps the most that one level has cost in any run: what a tail call leaves, and what comes after the last
// one.
func (w *worstSearch) level(r *runner.Run) {
	per, taken := perTailCall(r), r.Counts.Taken
	w.callers = max(w.callers, per)
	w.last = max(w.last, r.Deepest-min(r.Deepest, per*taken))
	w.taken = max(w.taken, taken)
}

// bound sums up what each level can cost at most.
func (w *worstSearch) bound() { w.best.Bound = w.callers*w.taken + w.last }

// perTailCall returns how much deeper the second tail call is than the first.
func perTailCall(r *runner.Run) uint64 {
	var at []image.Addr
	for i := range r.Events {
		if e := &r.Events[i]; e.Taken > 0 && e.Tail != nil && len(at) < 2 {
			at = append(at, e.RSP)
		}
	}
	if len(at) < 2 {
		return 0
	}
	return uint64(at[0] - at[1])
}

// WorstDrawing draws the deepest stack of a search.
func WorstDrawing(ctx context.Context, w *Worst, t *jit.Target) (d runner.Drawing, err error) {
	b, _, err := w.Shape.Scenario()
	if err != nil {
		return d, err
	}
	c, err := runner.Compile(b, t)
	if err != nil {
		return d, err
	}
	s, err := runner.Open(c, runner.Options{StackSize: worstStack})
	if err != nil {
		return d, err
	}
	at, err := stack.ParseAt("deepest")
	var ds []runner.Drawing
	if err == nil {
		ds, err = s.Stack(ctx, 1, at)
	}
	if err = errors.Join(err, s.Close()); err != nil {
		return d, err
	}
	return ds[0], nil
}
