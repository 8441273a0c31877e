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
	// Throws says that the entry function may throw an exception, so that it saves all registers, r12 too.
	Throws bool `json:"throws,omitempty"`
	// Arena says that the program has an arena, so that each frame saves r12 (6.9 and later).
	Arena bool `json:"arena,omitempty"`
	// Traced says that a program is attached to the end of every function, so that each call goes through a
	// trampoline with a frame of its own.
	Traced bool `json:"traced,omitempty"`
}

// text is the shape as a scenario.
func (s Shape) text() string {
	var b strings.Builder
	b.WriteString("version: 1\nname: worst_stack\nabout: Made by tcsim worst.\n")
	b.WriteString("maps:\n  jmp_table: {type: prog_array, slots: {0: p}}\n")
	if s.Arena {
		b.WriteString("  pages: {type: arena, max_entries: 1}\n")
	}
	b.WriteString("programs:\n  p: |\n")
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
		if i == 0 && s.Arena {
			b.WriteString("    r2 = pages ll\n")
		}
		if i == 0 && s.Throws { // never: the packet has another size
			b.WriteString("    r7 = *(u32 *)(r1 + 0)\n    if r7 == 4711 goto thr\n")
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
		if i == 0 && s.Throws {
			b.WriteString("    thr:\n    r1 = 3\n    call bpf_throw\n    r0 = 0\n    exit\n")
		}
	}
	tracers := 0
	if s.Traced {
		tracers = s.Callers + 1
	}
	for i := range tracers {
		fmt.Fprintf(&b, "  after%d: |\n    r0 = 0\n    exit\n", i)
	}
	b.WriteString("runs:\n")
	for i := range tracers {
		function := ""
		if i > 0 {
			function = fmt.Sprintf("function: f%d, ", i)
		}
		fmt.Fprintf(&b, "  - attach: {fexit: p, %sby: after%d}\n", function, i)
	}
	b.WriteString("  - {run: p, packet: 64}\n")
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

	Scenario string `json:"scenario"` // text of the scenario
}

// Margin returns how much of a stack of so many bytes is left; it is negative if it overflows.
func (w *Worst) Margin(size int64) int64 { return size - int64(w.Deepest) }

// WorstStack searches, among programs that tail call themselves from a chain of calls and that the
// target's verifier accepts, the one that reaches deepest: for every number of callers, with and without
// callee-saved registers, the largest stacks that are accepted, and then with an entry function that may throw, with an arena and
// with a program attached to the end of every function. Each is run on the machine.
func WorstStack(ctx context.Context, t *jit.Target) (*Worst, error) {
	w := &worstSearch{ctx: ctx, t: t, best: Worst{Target: t.Name}, deepest: map[int]Shape{}, depth: map[int]uint64{}}
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
	// What comes on top of a frame whatever is in it.
	for _, s := range w.deepest {
		for _, more := range []Shape{{Throws: true}, {Arena: true}, {Traced: true}, {Throws: true, Traced: true}, {Arena: true, Traced: true}} {
			s.Throws, s.Arena, s.Traced = more.Throws, more.Arena, more.Traced
			if err := w.try(s); err != nil {
				return nil, fmt.Errorf("worst stack on %s: %w", t.Name, err)
			}
		}
	}
	w.bound()
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
	// deepest is, by number of callers, the shape that goes deepest without what comes on top.
	deepest map[int]Shape
	depth   map[int]uint64
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
	case v != nil && v.Invariant == check.Limit && s.Callers > 0 && s.Traced:
		w.best.EndlessTraced = v.Invariant
		return nil
	case v != nil && v.Invariant == check.Limit && s.Callers > 0:
		w.best.Endless = v.Invariant
		return nil
	case v != nil && v.Invariant != check.BelowRSP, r.Killed != "":
		return nil // the program does not work there
	}
	if s.Callers == 1 && !s.Traced && !s.Throws && !s.Arena {
		w.best.OneCaller = max(w.best.OneCaller, r.Deepest)
	}
	w.best.Tried++
	w.level(r)
	if !s.Traced && !s.Throws && !s.Arena && r.Deepest > w.depth[s.Callers] {
		w.depth[s.Callers], w.deepest[s.Callers] = r.Deepest, s
	}
	if !s.Traced && r.Deepest > w.best.Alone {
		w.best.Alone, w.best.AloneShape = r.Deepest, s
	}
	if r.Deepest <= w.best.Deepest {
		return nil
	}
	w.best.Shape, w.best.Taken, w.best.Deepest = s, r.Counts.Taken, r.Deepest
	w.best.PerTailCall = perTailCall(r)
	return nil
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
