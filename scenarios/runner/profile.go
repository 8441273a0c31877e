// SPDX-License-Identifier: GPL-2.0-only

package runner

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/tcsim/tcsim/emu/timing"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// Profile says where the cycles of one run go.
type Profile struct {
	Core  string
	Warm  bool
	Total timing.Cycle
	Costs timing.Costs
	// Funcs are the functions by cost, the dearest first, code outside the images last.
	Funcs []FuncCost
}

// FuncCost is the cost of one function.
type FuncCost struct {
	Fn       *trace.Fn // nil for thunks and helpers
	Executed int       // instructions
	Costs    timing.Costs
	Insns    []InsnCost // in order of the program; prologue, epilogue and what has no BPF instruction first
}

// InsnCost is the cost of one BPF instruction.
type InsnCost struct {
	Insn     bpf.InsnIndex // -1: prologue and epilogue
	Text     string
	Executed int
	Costs    timing.Costs
}

// ErrEndless is returned where a run that ends is needed.
var ErrEndless = errors.New("the run does not return")

// stamps runs up to run number n, from 1, and hands each instruction's stamps to visit, with its
// number from 0. Warm is one of many runs in a row, otherwise the first after loading.
func (s *Session) stamps(ctx context.Context, n int, core *timing.Core, warm bool, visit func(int, timing.Stamp)) (*Run, error) {
	opt := s.m.opt
	defer func() { s.m.opt = opt }()
	s.m.opt.Core = core
	run, err := s.PlayTo(ctx, n)
	if err != nil {
		return nil, err
	}
	c := s.m.feed.clock
	switch {
	case c.err != nil:
		return nil, c.err
	case !c.keep:
		return nil, fmt.Errorf("the run has more than %d instructions", maxWarm)
	case warm && (run.Violation != nil || run.Killed != ""):
		return nil, fmt.Errorf("%w: %s: it has no warm cost", ErrEndless, run.ending())
	}
	if warm {
		w, err := s.m.warm(core, c.stream, s.m.started)
		if err != nil {
			return nil, err
		}
		_, err = w.trip(visit)
		return run, err
	}
	cold := timing.New(core, s.m.timedCode)
	stream := c.stream
	if v := run.Violation; v != nil && v.Seq < uint64(len(stream)) {
		stream = stream[:v.Seq+1]
	}
	stream, at := s.m.timed(stream)
	for i, r := range stream {
		next := image.Addr(0)
		if i+1 < len(stream) {
			next = stream[i+1].RIP
		}
		if err := cold.Step(r, next); err != nil {
			return nil, err
		}
		visit(at[i], cold.Last())
	}
	return run, nil
}

// Profile attributes the cycles of run number n, from 1.
func (s *Session) Profile(ctx context.Context, n int, core *timing.Core, warm bool) (*Profile, error) {
	p := &profiler{s: s, funcs: map[*trace.Fn]*funcCost{}}
	_, err := s.stamps(ctx, n, core, warm, p.visit)
	if err != nil {
		return nil, err
	}
	return p.profile(core, warm), nil
}

// profiler sums up stamps.
type profiler struct {
	s     *Session
	funcs map[*trace.Fn]*funcCost
	total timing.Costs
}

type funcCost struct {
	FuncCost
	insns map[bpf.InsnIndex]*InsnCost
}

func (p *profiler) visit(_ int, st timing.Stamp) {
	fn := p.s.m.code.Lookup(st.RIP)
	f := p.funcs[fn]
	if f == nil {
		f = &funcCost{FuncCost: FuncCost{Fn: fn}, insns: map[bpf.InsnIndex]*InsnCost{}}
		p.funcs[fn] = f
	}
	at := bpf.InsnIndex(-1)
	if fn != nil {
		if i, ok := fn.InsnAt(image.CodeOff(st.RIP - fn.Addr)); ok {
			at = i
		}
	}
	in := f.insns[at]
	if in == nil {
		in = &InsnCost{Insn: at}
		f.insns[at] = in
	}
	for _, c := range []*timing.Costs{&p.total, &f.Costs, &in.Costs} {
		c.Add(st)
	}
	f.Executed++
	in.Executed++
}

func (p *profiler) profile(core *timing.Core, warm bool) *Profile {
	out := &Profile{Core: core.Title, Warm: warm, Total: p.total.Total(), Costs: p.total}
	for _, f := range p.funcs {
		for _, in := range f.insns {
			if in.Insn >= 0 {
				in.Text = p.s.m.code.InsnText(f.Fn, in.Insn)
			}
			f.Insns = append(f.Insns, *in)
		}
		slices.SortFunc(f.Insns, func(a, b InsnCost) int { return int(a.Insn - b.Insn) })
		out.Funcs = append(out.Funcs, f.FuncCost)
	}
	slices.SortFunc(out.Funcs, func(a, b FuncCost) int {
		switch {
		case a.Fn == nil || b.Fn == nil:
			return boolInt(a.Fn == nil) - boolInt(b.Fn == nil)
		case a.Costs.Total() != b.Costs.Total():
			return int(b.Costs.Total() - a.Costs.Total())
		}
		return int(int64(a.Fn.Addr) - int64(b.Fn.Addr))
	})
	return out
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Pipeline returns the stamps of count instructions of run number n, from event number event on.
func (s *Session) Pipeline(ctx context.Context, n int, core *timing.Core, warm bool, event, count int) ([]timing.PipelineRow, error) {
	run, err := s.PlayTo(ctx, n)
	if err != nil {
		return nil, err
	}
	if event < 1 || event > len(run.Events) {
		return nil, fmt.Errorf("the run has events 1 to %d, not %d", len(run.Events), event)
	}
	first := int(run.Events[event-1].Seq)
	var rows []timing.PipelineRow
	_, err = s.stamps(ctx, n, core, warm, func(i int, st timing.Stamp) {
		if i >= first && i < first+count {
			rows = append(rows, timing.PipelineRow{Stamp: st, Text: s.textAt(st.RIP)})
		}
	})
	return rows, err
}

// textAt disassembles one instruction.
func (s *Session) textAt(pc image.Addr) string {
	b, err := s.m.codeAt(pc)
	if err != nil {
		return fmt.Sprintf("%#x", uint64(pc))
	}
	in, err := x86.Decode(b, pc)
	if err != nil {
		return fmt.Sprintf("%#x", uint64(pc))
	}
	return in.String()
}
