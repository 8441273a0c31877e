// SPDX-License-Identifier: GPL-2.0-only

package campaign

import (
	"context"
	"errors"
	"fmt"

	"github.com/tcsim/tcsim/emu/timing"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/parts"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/runner"
	"github.com/tcsim/tcsim/scenarios/worker"
)

// Cost is what one thing costs on a target.
type Cost struct {
	Bytes int `json:"bytes"` // of code
	Insns int `json:"instructions"`
	// Cycles is what the core model needs for it in the long run; 0 if it is not known.
	Cycles float64 `json:"cycles,omitempty"`
	// Cause is what most of the cycles of a tail call are due to, and CauseCycles how many; "" if
	// they are not known.
	Cause       string  `json:"cause,omitempty"`
	CauseCycles float64 `json:"cause_cycles,omitempty"`
}

// Costs are the costs of a target's design; nil where the design has no such thing. Each class is
// measured on probes (see probes.go), from code that was compiled and run:
//
//   - Plain, Main and Sub are the frame of a function that does nothing but return 0: a program
//     without tail calls, one with a tail call in it, and a subprogram with one. Bytes and
//     instructions are those of prologue, r0 = 0 and exit.
//   - Call is the BPF instruction that calls a subprogram, with what is put before it.
//   - Direct and Indirect are a tail call that is taken, and what the callee executes from its
//     landing to its first instruction.
//
// Cycles of Plain are those of one invocation out of a loop that calls the program; of Main the
// same with what a tail call in the program adds. Cycles of Call are those of a call with the
// subprogram, which loads a word and tests it; those of tail calls contain the two instructions
// that load map and key. Sub has none of its own.
type Costs struct {
	Target   string `json:"target"`
	Plain    *Cost  `json:"plain,omitempty"`
	Main     *Cost  `json:"main,omitempty"`
	Sub      *Cost  `json:"subprogram,omitempty"`
	Call     *Cost  `json:"call,omitempty"`
	Direct   *Cost  `json:"direct_tail_call,omitempty"`
	Indirect *Cost  `json:"indirect_tail_call,omitempty"`
	// Notes say what could not be measured, and why.
	Notes []string `json:"notes,omitempty"`
	// JITFails says that the target's JIT failed on a program that measures, as Notes tell.
	JITFails bool `json:"jit_fails,omitempty"`
}

// MeasureCosts fills the cost sheet of every target, in order. core is that of the cycles; nil
// leaves them out. The error is only that of the context.
func MeasureCosts(ctx context.Context, ts []*jit.Target, core *timing.Core, opt MatrixOptions) ([]Costs, error) {
	out := make([]Costs, len(ts))
	first := opt.Work.Reserve(len(ts))
	err := parallel(ctx, len(ts), opt, func(w *player, i int) {
		out[i], _ = parts.Do(opt.Work, first+i, func() (c Costs) {
			if w.remote == nil {
				return w.costs(ctx, ts[i], core)
			}
			if err := worker.Ask(ctx, w.remote, question{i, -1}, func(got *Costs) { c = *got }); err != nil {
				return Costs{Target: ts[i].Name, Notes: []string{err.Error()}}
			}
			return c
		})
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// costs measures one target.
func (w *player) costs(ctx context.Context, t *jit.Target, core *timing.Core) Costs {
	c := Costs{Target: t.Name}
	m := &meter{w: w, ctx: ctx, t: t, core: core, samples: map[probeKey]*sample{}}
	for _, class := range []struct {
		to      **Cost
		measure func(*meter) (Cost, error)
	}{
		{&c.Plain, (*meter).plain}, {&c.Main, (*meter).main}, {&c.Sub, (*meter).sub}, {&c.Call, (*meter).call},
		{&c.Direct, (*meter).direct}, {&c.Indirect, (*meter).indirect},
	} {
		got, err := measured(m, class.measure)
		switch {
		case errors.Is(err, kernels.ErrUnsupported), errors.Is(err, errNotDirect):
		case err != nil:
			c.Notes = append(c.Notes, err.Error())
			c.JITFails = c.JITFails || errors.Is(err, jit.ErrEmitter)
			w.drop()
		default:
			*class.to = &got
		}
	}
	c.Notes = append(c.Notes, m.notes...)
	return c
}

func measured(m *meter, measure func(*meter) (Cost, error)) (c Cost, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
	}()
	return measure(m)
}

// errNotDirect says that the target's verifier marks no tail call as direct.
var errNotDirect = errors.New("tail calls are never direct")

// meter measures one target.
type meter struct {
	w       *player
	ctx     context.Context
	t       *jit.Target
	core    *timing.Core
	notes   []string
	samples map[probeKey]*sample // taken so far
}

// spot is where instructions belong: a BPF instruction of a function, -1 its prologue.
type spot struct {
	fn   int
	insn bpf.InsnIndex
}

const prologue = bpf.InsnIndex(-1)

// sample is one run of a probe.
type sample struct {
	image  *image.Image
	counts map[spot]int // executed instructions; those of thunks and helpers belong to who went there
	cycles float64      // per run, 0 if unknown
	why    timing.Costs // of one run
}

// probeKey is a probe with a limit.
type probeKey struct {
	text  string
	limit int
}

// probe returns the sample of a probe, which is run once; limit 0 is the target's.
func (m *meter) probe(text string, limit int) (*sample, error) {
	k := probeKey{text, limit}
	if s := m.samples[k]; s != nil {
		return s, nil
	}
	s, err := m.run(probe(text, limit))
	if err == nil {
		m.samples[k] = s
	}
	return s, err
}

// run compiles a probe, runs it and counts.
func (m *meter) run(b *scenarios.Built) (*sample, error) {
	c, err := runner.Compile(b, m.t)
	if err != nil {
		return nil, err
	}
	if err := m.w.open(c, runner.Options{MaxInsns: matrixInsns}); err != nil {
		return nil, err
	}
	inv, err := m.w.s.Record(m.ctx, 1)
	if err != nil {
		return nil, err
	}
	s := &sample{image: c.Images[0], counts: map[spot]int{}}
	at := spot{0, prologue}
	for _, r := range inv.Stream {
		for i := range s.image.Funcs {
			if f := &s.image.Funcs[i]; r.RIP >= f.Addr && r.RIP < f.End() {
				at = spot{i, prologue}
				if n, ok := f.InsnAt(image.CodeOff(r.RIP - f.Addr)); ok {
					at.insn = n
				}
			}
		}
		s.counts[at]++
	}
	if m.core != nil {
		if s.cycles, s.why, err = inv.Loop(m.core); err != nil {
			m.core = nil // one note is enough
			m.notes = append(m.notes, "no cycles: "+err.Error())
		}
	}
	return s, nil
}

// bytes returns the size of the code of BPF instructions of a function.
func (s *sample) bytes(fn int, insns ...bpf.InsnIndex) int {
	f, n := &s.image.Funcs[fn], 0
	for _, i := range insns {
		k := i - f.FirstInsn
		if i == prologue {
			n += int(f.InsnOff[0])
			continue
		}
		n += int(f.InsnOff[k+1] - f.InsnOff[k])
	}
	return n
}

// insns returns how many instructions were executed for BPF instructions of a function.
func (s *sample) insns(fn int, insns ...bpf.InsnIndex) int {
	n := 0
	for _, i := range insns {
		n += s.counts[spot{fn, i}]
	}
	return n
}

// of sums up the cost of BPF instructions of a function.
func (s *sample) of(fn int, insns ...bpf.InsnIndex) Cost {
	return Cost{Bytes: s.bytes(fn, insns...), Insns: s.insns(fn, insns...)}
}

func (m *meter) plain() (Cost, error) {
	s, err := m.probe(probePlain, 0)
	if err != nil {
		return Cost{}, err
	}
	c := s.of(0, prologue, plainZero, plainExit)
	c.Cycles = s.cycles
	return c, nil
}

func (m *meter) main() (Cost, error) {
	with, err := m.probe(probeMain, 0)
	if err != nil {
		return Cost{}, err
	}
	without, err := m.probe(probeBranch, 0)
	if err != nil {
		return Cost{}, err
	}
	plain, err := m.probe(probePlain, 0)
	if err != nil {
		return Cost{}, err
	}
	c := with.of(0, prologue, mainZero, mainExit)
	if m.core != nil {
		c.Cycles = plain.cycles + with.cycles - without.cycles
	}
	return c, nil
}

func (m *meter) sub() (Cost, error) {
	s, err := m.probe(probeCall, 0)
	if err != nil {
		return Cost{}, err
	}
	return s.of(1, prologue, subZero, subExit), nil
}

func (m *meter) call() (Cost, error) {
	once, err := m.probe(probeCall, 0)
	if err != nil {
		return Cost{}, err
	}
	twice, err := m.probe(probeCalls, 0)
	if err != nil {
		return Cost{}, err
	}
	c := once.of(0, callSlot)
	if m.core != nil {
		c.Cycles = twice.cycles - once.cycles
	}
	return c, nil
}

func (m *meter) direct() (Cost, error)   { return m.chain(probeDirect, directSlot, true) }
func (m *meter) indirect() (Cost, error) { return m.chain(probeIndirect, indirectSlot, false) }

// chain measures chains of two lengths.
func (m *meter) chain(text string, site bpf.InsnIndex, direct bool) (Cost, error) {
	short, err := m.probe(text, chainShort)
	if err != nil {
		return Cost{}, err
	}
	if tc := short.image.Funcs[0].TailCalls; len(tc) != 1 || tc[0].Direct != direct {
		return Cost{}, errNotDirect
	}
	long, err := m.probe(text, chainShort+chainDiff)
	if err != nil {
		return Cost{}, err
	}
	n := long.insns(0, prologue, site) - short.insns(0, prologue, site)
	if n%chainDiff != 0 {
		return Cost{}, fmt.Errorf("%d more tail calls execute %d more instructions: not the same number each", chainDiff, n)
	}
	c := Cost{Bytes: short.bytes(0, site), Insns: n / chainDiff}
	if m.core != nil {
		c.Cycles = (long.cycles - short.cycles) / chainDiff
		for cause, n := range long.why.All {
			if more := float64(n-short.why[cause]) / chainDiff; more > c.CauseCycles {
				c.Cause, c.CauseCycles = cause.String(), more
			}
		}
	}
	return c, nil
}
