// SPDX-License-Identifier: GPL-2.0-only

// Package locate finds the moment of a kernel's report in a run of a scenario: which functions of the scenario those of
// the report are, and, by counting, how many tail calls the run has made when the same calls are active and control is
// at the same instruction.
package locate

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/tcsim/tcsim/emu/count"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/recognise"
	"github.com/tcsim/tcsim/jit/splat"
	"github.com/tcsim/tcsim/jit/x86"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/measure"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// ErrElsewhere says that a report is not of the scenario on the target: its functions or their code are not there, or
// the run never comes to that moment.
var ErrElsewhere = errors.New("the report is not of this scenario on this target")

// Match is a function of the report and the one that it is in the scenario.
type Match struct {
	Symbol, Program, Function string
	Size, LogSize             int // in bytes; that of the log is 0 if unknown
}

// Found is a moment in a run.
type Found struct {
	Scenario, Target, Program string
	Matches                   []Match
	// No is the number of the tail call, from 1, and Total how many the run makes; Inside says that No is under way.
	No, Total *big.Int
	Inside    bool
	Counter   bool // the counter agrees
	Several   bool // the run is at such a moment again later
	// Insns and Whole are the instructions until then and in all. Seconds and WholeSeconds are how long they take, 0
	// if NoTiming says why that is not known.
	Insns, Whole          *big.Int
	Seconds, WholeSeconds float64
	Core                  string
	GHz                   float64
	NoTiming              string
	Endless               bool
}

// Percent is how much of the run's tail calls are done.
func (f *Found) Percent() float64 { return percent(f.No, f.Total) }

func percent(a, b *big.Int) float64 {
	if b.Sign() == 0 {
		return 0
	}
	q, _ := new(big.Rat).SetFrac(a, b).Float64()
	return 100 * q
}

// Find finds the moment of a report in run number n of a session, from 1.
func Find(ctx context.Context, s *runner.Session, n int, a *splat.Analysis, o measure.CountOptions, ghz float64) (*Found, error) {
	if a.Ctx == nil {
		return nil, fmt.Errorf("%w: no BPF function is in it", ErrElsewhere)
	}
	m := &matcher{c: s.Compiled(), a: a}
	if err := m.match(); err != nil {
		return nil, err
	}
	moment, err := m.moment()
	if err != nil {
		return nil, err
	}
	whole, err := s.Count(ctx, n, o)
	if err != nil {
		return nil, err
	}
	o.Find = moment
	at, err := s.CountTo(ctx, n, o)
	switch {
	case err != nil:
		return nil, err
	case !at.Found:
		return nil, fmt.Errorf("%w: run %d is never at %v with these calls active%s", ErrElsewhere, n, m.where(), m.counterText())
	}
	f := &Found{
		Scenario: whole.Scenario, Target: whole.Target, Program: whole.Program, Matches: m.matches,
		No: at.TailCalls, Total: whole.TailCalls, Insns: at.Insns, Whole: whole.Insns, GHz: ghz, Endless: whole.Endless != nil,
		Counter: moment.Accept != nil,
	}
	later := *moment
	later.Skip = 1
	o.Find = &later
	again, err := s.CountTo(ctx, n, o)
	if err != nil {
		return nil, err
	}
	f.Several = again.Found
	if _, passed, _ := counted(a); passed {
		f.No, f.Inside = new(big.Int).Add(f.No, big.NewInt(1)), true
	}
	switch t := whole.Timing; {
	case f.Endless:
		f.NoTiming = "the run never ends"
	case t == nil:
		f.NoTiming = whole.NoTiming
	default:
		f.Core, f.WholeSeconds = t.Core, t.Seconds(ghz)
		f.Seconds = f.WholeSeconds * percent(f.Insns, f.Whole) / 100
	}
	return f, nil
}

// Search is Find on the first of the targets on which the scenario has the report's code. The error says why there is none
// of them.
func Search(ctx context.Context, b *scenarios.Built, targets []*jit.Target, n int, a *splat.Analysis, o measure.CountOptions, ghz float64) (*Found, error) {
	var errs []error
	for _, t := range targets {
		f, err := search(ctx, b, t, n, a, o, ghz)
		if err == nil || !errors.Is(err, ErrElsewhere) && !errors.Is(err, kernels.ErrUnsupported) {
			return f, err
		}
		errs = append(errs, fmt.Errorf("%s: %w", t.Name, err))
	}
	if len(errs) == 0 {
		return nil, fmt.Errorf("%w: the code shows none of the listed targets; give one with --target", ErrElsewhere)
	}
	return nil, errors.Join(errs...)
}

func search(ctx context.Context, b *scenarios.Built, t *jit.Target, n int, a *splat.Analysis, o measure.CountOptions, ghz float64) (*Found, error) {
	c, err := runner.Compile(b, t)
	if err != nil {
		return nil, err
	}
	s, err := runner.Open(c, runner.Options{})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	return Find(ctx, s, n, a, o, ghz)
}

// counted says of the tail call that RIP is in whether it is counted and past the limit.
func counted(a *splat.Analysis) (counted, passed, ok bool) {
	if a.Site == nil {
		return false, false, false
	}
	counted, passed, ok = a.Code.Counted()
	if !ok { // the code is cut after the comparison
		step := a.Code.Steps[a.Code.At]
		passed = step == recognise.StepTarget || step == recognise.StepJump || step == recognise.StepUnwind
	}
	return counted, passed, ok
}

// matcher finds functions.
type matcher struct {
	c       *runner.Compiled
	a       *splat.Analysis
	funcs   map[string]*image.FuncImage // by symbol
	matches []Match
}

// match finds every function of the report. The error names those that are not there.
func (m *matcher) match() error {
	m.funcs = map[string]*image.FuncImage{}
	var wrong []string
	add := func(p *splat.Place, fits func(*image.FuncImage) string) {
		if _, ok := m.funcs[p.Func]; ok && fits(m.funcs[p.Func]) == "" {
			return
		}
		if err := m.find(p, fits); err != "" && !slices.Contains(wrong, err) {
			wrong = append(wrong, err)
		}
	}
	if m.a.Inside {
		add(&m.a.Ctx.RIP, func(f *image.FuncImage) string { return sameCode(m.a, f) })
	}
	for i := range m.a.Frames {
		off := m.a.Frames[i].Off
		add(&m.a.Frames[i], func(f *image.FuncImage) string { return callBefore(f, off) })
	}
	if len(wrong) > 0 {
		return fmt.Errorf("%w:\n  %s", ErrElsewhere, strings.Join(wrong, "\n  "))
	}
	return nil
}

// find finds one function: of those that fit, the one of the same name, or the only one. It returns what is wrong.
func (m *matcher) find(p *splat.Place, fits func(*image.FuncImage) string) string {
	sym, _ := p.BPF()
	var fitting []*image.FuncImage
	var owners []string
	var named string // why the one of that name does not fit
	for i, img := range m.c.Images {
		for k := range img.Funcs {
			f := &img.Funcs[k]
			why := fits(f)
			if f.Name == sym.Name && why != "" {
				named = why
			}
			if why == "" {
				fitting, owners = append(fitting, f), append(owners, m.c.ProgName(i))
			}
		}
	}
	pick := -1
	for i, f := range fitting {
		if f.Name == sym.Name || len(fitting) == 1 {
			pick = i
		}
	}
	switch {
	case pick < 0 && len(fitting) > 1:
		return fmt.Sprintf("%s: %d functions fit and none has that name", p, len(fitting))
	case pick < 0 && named != "":
		return fmt.Sprintf("%s: %s", p, named)
	case pick < 0:
		return fmt.Sprintf("%s: no function fits", p)
	}
	if _, again := m.funcs[p.Func]; again && m.funcs[p.Func] != fitting[pick] {
		return fmt.Sprintf("%s: %s does not fit all of its places", p, m.funcs[p.Func].Name)
	}
	f := fitting[pick]
	m.funcs[p.Func] = f
	m.matches = append(m.matches, Match{sym.String(), owners[pick], f.Name, len(f.Code), p.Size})
	return ""
}

// callBefore returns why off cannot be a return address in f, "" if it can.
func callBefore(f *image.FuncImage, off image.CodeOff) string {
	for _, c := range f.Calls {
		if in, err := x86.Decode(f.Code[c.Off:], f.Addr+image.Addr(c.Off)); err == nil && c.Off+image.CodeOff(in.Len) == off {
			return ""
		}
	}
	return fmt.Sprintf("no call of %s returns to %+#x", f.Name, int(off))
}

// sameCode returns how the code around RIP differs from that of f, "" if it does not. Addresses may.
func sameCode(a *splat.Analysis, f *image.FuncImage) string {
	rip := a.Ctx.RIP
	if int(rip.Off) >= len(f.Code) {
		return fmt.Sprintf("%s has %d bytes", f.Name, len(f.Code))
	}
	if a.Code == nil || rip.Func == "" {
		return ""
	}
	for i := range a.Code.Insns {
		in := &a.Code.Insns[i]
		off := int(a.Offset(i))
		if off >= len(f.Code) {
			if in.Op == "int3" {
				return "" // between functions
			}
			return fmt.Sprintf("%s has %d bytes", f.Name, len(f.Code))
		}
		have, err := x86.Decode(f.Code[off:], in.PC)
		if err != nil || !same(in, &have) {
			if i < a.Code.Sure && i < a.Code.At {
				continue // perhaps no instruction begins there
			}
			return fmt.Sprintf("at %+#x %s has %q, the report %q", off, f.Name, have.String(), in.String())
		}
	}
	return ""
}

// same reports whether two instructions do the same, addresses aside.
func same(a, b *x86.Inst) bool {
	if a.Op != b.Op || a.N != b.N || a.Branch != b.Branch || a.HasMem != b.HasMem || a.HasMem && a.Mem != b.Mem {
		return a.Len == 5 && b.Len == 5 && patchable(a) && patchable(b)
	}
	if a.Branch.Direct() {
		return a.Target == b.Target || a.Len == 5
	}
	for i := range a.Ops() {
		x, y := a.Operands[i], b.Operands[i]
		if x.Kind != y.Kind || x.Reg != y.Reg || x.Bits != y.Bits {
			return false
		}
		if x.Kind == x86.OpImm && x.Imm != y.Imm && a.Len < 7 {
			return false
		}
	}
	return true
}

// patchable reports whether an update of a slot may have put the instruction there.
func patchable(in *x86.Inst) bool { return in.IsNop || in.Branch == x86.BranchJump }

// moment is what the count looks for.
func (m *matcher) moment() (*count.Moment, error) {
	out := &count.Moment{}
	for i := range m.a.Frames {
		p := &m.a.Frames[i]
		out.Path = append(out.Path, m.funcs[p.Func].Addr+image.Addr(p.Off))
	}
	if m.a.Inside {
		f := m.funcs[m.a.Ctx.RIP.Func]
		out.At = f.Addr + image.Addr(m.a.Ctx.RIP.Off)
		out.Accept = m.accept()
		return out, nil
	}
	n := len(out.Path) - 1
	if n < 0 {
		return nil, fmt.Errorf("%w: no function of a program is active", ErrElsewhere)
	}
	p := &m.a.Frames[n] // which has called something outside
	f := m.funcs[p.Func]
	for _, c := range f.Calls {
		if in, err := x86.Decode(f.Code[c.Off:], f.Addr+image.Addr(c.Off)); err == nil && c.Off+image.CodeOff(in.Len) == p.Off {
			out.At, out.Path = f.Addr+image.Addr(c.Off), out.Path[:n]
		}
	}
	return out, nil
}

// accept compares the counter, where the report has it.
func (m *matcher) accept() func(*count.Regs, func(image.Addr, uint8) uint64) bool {
	a := m.a
	if a.Site == nil || !a.Counter.Known {
		return nil
	}
	v, c := a.Counter.Value, a.Site.Counter
	at := func(base uint64) image.Addr { return image.Addr(base) + image.Addr(int64(c.Off)) }
	held := a.Code.Held()
	return func(r *count.Regs, load func(image.Addr, uint8) uint64) bool {
		switch rax := r.R[x86.RAX]; held {
		case recognise.HeldInEAX:
			return uint64(uint32(rax)) == v
		case recognise.HeldInUpper:
			return rax>>32 == v
		case recognise.HeldAtRAX:
			return load(image.Addr(rax), c.Size) == v
		case recognise.HeldPopped:
			return rax == v || rax > uint64(splat.LimitOf(a.Site)) && load(image.Addr(rax), c.Size) == v
		}
		if c.Form == image.CounterPtr {
			return load(image.Addr(load(at(r.R[x86.RBP]), 8)), c.Size) == v
		}
		return load(at(r.R[x86.RBP]), c.Size) == v
	}
}

func (m *matcher) where() string {
	if m.a.Inside {
		return m.a.Ctx.RIP.String()
	}
	return m.a.Frames[len(m.a.Frames)-1].String()
}

func (m *matcher) counterText() string {
	if m.accept() == nil {
		return ""
	}
	return fmt.Sprintf(" and tail_call_cnt %d", m.a.Counter.Value)
}
