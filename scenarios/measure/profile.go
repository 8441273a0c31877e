// SPDX-License-Identifier: GPL-2.0-only

package measure

import (
	"slices"

	"github.com/tcsim/tcsim/emu/timing"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
)

// Profile says where the cycles of one run go.
type Profile struct {
	Core  string
	Warm  bool
	Total timing.Cycle
	Costs timing.Costs
	// Funcs are the functions by cost, the most expensive first, code outside the images last.
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

// Stamps hands each instruction's stamps to visit, with its number in the stream, from 0; -1 is the call that a warm
// run begins with. Warm is one of many runs in a row, otherwise the first after loading.
func (r *Invocation) Stamps(core *timing.Core, warm bool, visit func(int, timing.Stamp)) error {
	if warm {
		w, err := r.warm(core, r.Stream, r.Entry)
		if err != nil {
			return err
		}
		_, err = w.trip(visit)
		return err
	}
	cold := timing.New(core, r.timedCode)
	stream, at := r.timed(r.Stream)
	for i, in := range stream {
		next := image.Addr(0)
		if i+1 < len(stream) {
			next = stream[i+1].RIP
		}
		if err := cold.Step(in, next); err != nil {
			return err
		}
		visit(at[i], cold.Last())
	}
	return nil
}

// Profile attributes the cycles of an invocation.
func (r *Invocation) Profile(core *timing.Core, warm bool) (*Profile, error) {
	p := &profiler{code: r.Code, funcs: map[*trace.Fn]*funcCost{}}
	if err := r.Stamps(core, warm, p.visit); err != nil {
		return nil, err
	}
	return p.profile(core, warm), nil
}

// profiler sums up stamps.
type profiler struct {
	code  *trace.Code
	funcs map[*trace.Fn]*funcCost
	total timing.Costs
}

type funcCost struct {
	FuncCost
	insns map[bpf.InsnIndex]*InsnCost
}

func (p *profiler) visit(_ int, st timing.Stamp) {
	fn := p.code.Lookup(st.RIP)
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
				in.Text = p.code.InsnText(f.Fn, in.Insn)
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

// Pipeline returns the stamps of count instructions of an invocation, from number first on, from 0.
func (r *Invocation) Pipeline(core *timing.Core, warm bool, first, count int) ([]timing.PipelineRow, error) {
	var rows []timing.PipelineRow
	err := r.Stamps(core, warm, func(i int, st timing.Stamp) {
		if i >= first && i < first+count {
			rows = append(rows, timing.PipelineRow{Stamp: st, Text: r.textAt(st.RIP)})
		}
	})
	return rows, err
}
