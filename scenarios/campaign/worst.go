// SPDX-License-Identifier: GPL-2.0-only

package campaign

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strings"

	"github.com/tcsim/tcsim/emu/check"
	"github.com/tcsim/tcsim/emu/stack"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/scenarios"
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

// Shape is a program that tail calls itself from the end of a chain of calls: what its callers use of
// the stack stays at each tail call.
type Shape struct {
	// Callers is the number of functions above the one that makes the tail call, which stay.
	Callers int `json:"callers"`
	// First is the BPF stack of the entry function, Other that of each other caller, Last that of the
	// function with the tail call, in bytes. Last is the entry's if there are no callers.
	First int `json:"first"`
	Other int `json:"other"`
	Last  int `json:"last"`
	// Saved is how many of r6 to r9 each function uses.
	Saved int `json:"saved"`
}

// text is the shape as a scenario.
func (s Shape) text() string {
	var b strings.Builder
	b.WriteString("version: 1\nname: worst_stack\nabout: Made by tcsim worst.\n")
	b.WriteString("maps:\n  jmp_table: {type: prog_array, slots: {0: p}}\nprograms:\n  p: |\n")
	for i := 0; i <= s.Callers; i++ {
		if i > 0 {
			fmt.Fprintf(&b, "    f%d:\n", i)
		}
		size := s.Other
		switch {
		case i == s.Callers:
			size = s.Last
		case i == 0:
			size = s.First
		}
		if size > 0 {
			fmt.Fprintf(&b, "    *(u64 *)(r10 - %d) = 0\n", size)
		}
		for r := range s.Saved {
			fmt.Fprintf(&b, "    r%d = %d\n", 6+r, i)
		}
		if i < s.Callers {
			fmt.Fprintf(&b, "    call f%d\n", i+1)
		} else {
			b.WriteString("    r2 = jmp_table ll\n    r3 = 0\n    call 12\n")
		}
		b.WriteString("    r0 = 0\n    exit\n")
	}
	b.WriteString("runs:\n  - {run: p, packet: 64}\n")
	return b.String()
}

// Scenario returns the shape as a scenario and its text.
func (s Shape) Scenario() (*scenarios.Built, string, error) {
	text := s.text()
	sc, err := scenarios.Load("worst_stack.yaml", []byte(text))
	if err != nil {
		return nil, "", fmt.Errorf("BUG: shape %+v: %w", s, err)
	}
	b, err := scenarios.Build(sc)
	return b, text, err
}

// Worst is the deepest stack found on a target.
type Worst struct {
	Target string `json:"target"`
	Shape  Shape  `json:"shape"`
	Taken  uint64 `json:"taken"`
	// Deepest is in bytes below the outside caller; PerTailCall is what one tail call adds.
	Deepest     uint64 `json:"deepest"`
	PerTailCall uint64 `json:"per_tail_call"`
	// OneCaller is the deepest of programs with one caller only, as the verifier's estimate has it.
	OneCaller uint64 `json:"one_caller,omitempty"`
	// Tried is how many shapes were run.
	Tried int `json:"tried"`
	// Endless is the invariant that every shape with callers breaks, on a design without a limit
	// there: then the stack has no bound, and Deepest is that of the other shapes. "" for none.
	Endless check.Invariant `json:"endless,omitempty"`

	Scenario string `json:"scenario"` // text of the scenario
}

// Margin returns how much of a stack of so many bytes is left; it is negative if it overflows.
func (w *Worst) Margin(size int64) int64 { return size - int64(w.Deepest) }

// WorstStack searches, among programs that tail call themselves from a chain of calls and that the
// target's verifier accepts, the one that reaches deepest: for every number of callers, with and without
// callee-saved registers, the largest stacks that are accepted. Each is run on the machine.
func WorstStack(ctx context.Context, t *jit.Target) (*Worst, error) {
	w := &worstSearch{ctx: ctx, t: t, best: Worst{Target: t.Name}}
	defer w.drop()
	for callers := 0; callers <= mostCallers; callers++ {
		for _, saved := range []int{0, 4} {
			for _, other := range []int{0, 8, 16, 24, 32} {
				if callers < 2 && other > 0 {
					continue
				}
				if err := w.try(Shape{Callers: callers, Other: other, Saved: saved}); err != nil {
					return nil, fmt.Errorf("worst stack on %s: %w", t.Name, err)
				}
			}
		}
	}
	if w.best.Tried == 0 {
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
}

// accepted compiles a shape: nil if the verifier refuses it.
func (w *worstSearch) accepted(s Shape) *runner.Compiled {
	b, _, err := s.Scenario()
	if err != nil {
		return nil
	}
	c, err := runner.Compile(b, w.t)
	if err != nil {
		return nil
	}
	return c
}

// largest returns the largest multiple of 8, at most the size of a BPF stack, that is accepted; -1 if none is.
func (w *worstSearch) largest(with func(n int) Shape) int {
	n := sort.Search(bpfStack/8+1, func(i int) bool { return w.accepted(with(8*i)) == nil })
	return 8 * (n - 1)
}

// try makes the stacks of a shape as large as they can be, the callers' first, and runs it.
func (w *worstSearch) try(s Shape) error {
	if s.Callers > 0 {
		if s.First = w.largest(func(n int) Shape { s.First = n; return s }); s.First < 0 {
			return nil
		}
	}
	if s.Last = w.largest(func(n int) Shape { s.Last = n; return s }); s.Last < 0 {
		return nil
	}
	c := w.accepted(s)
	if err := w.open(c, runner.Options{StackSize: worstStack}); err != nil {
		return err
	}
	res, err := w.s.Play(w.ctx)
	if err != nil {
		return err
	}
	r := &res.Runs[0]
	switch v := r.Violation; {
	case v != nil && v.Invariant == check.Limit && s.Callers > 0:
		w.best.Endless = v.Invariant
		return nil
	case v != nil && v.Invariant != check.BelowRSP, r.Killed != "":
		return nil // the program does not work there
	}
	if s.Callers == 1 {
		w.best.OneCaller = max(w.best.OneCaller, r.Deepest)
	}
	if w.best.Tried++; r.Deepest <= w.best.Deepest {
		return nil
	}
	w.best.Shape, w.best.Taken, w.best.Deepest = s, r.Counts.Taken, r.Deepest
	w.best.PerTailCall = perTailCall(r)
	return nil
}

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
