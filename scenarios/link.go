// SPDX-License-Identifier: GPL-2.0-only

package scenarios

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/scenarios/asm"
)

// linked is a program being put together from the units of its functions.
type linked struct {
	b      *builder
	file   *Program
	name   string
	prog   bpf.Program
	pos    []Pos
	starts map[string]int // function name -> slot
	broken bool           // a unit is missing because of earlier mistakes
}

// program translates program i and appends it to the result.
func (b *builder) program(i int) {
	e := &b.sc.Programs[i]
	d := decoder{b.source}
	d.checkName("program", e.Name, e.Pos)
	for _, f := range e.Value.Functions {
		if d.checkName("function", f.Name, f.Pos); f.Name == e.Name {
			b.failf(f.Pos, "%q is the program itself", f.Name)
		}
	}
	l := &linked{b: b, file: &e.Value, name: e.Name, starts: map[string]int{}}
	l.prog = bpf.Program{Name: e.Name, Type: b.sc.Type.Number(), Maps: b.out.Maps}
	if b.inTracing = b.tracing[e.Name]; b.inTracing {
		l.prog.Type = bpf.Tracing
	}
	units := map[string]*asm.Unit{e.Name: b.function(e.Name, &e.Value.Function)}
	b.jited(e.Value.Jited)
	for j := range e.Value.Functions {
		f := &e.Value.Functions[j]
		units[f.Name] = b.function(f.Name, &f.Value)
		b.jited(f.Value.Jited)
	}
	e.Value.arguments(b)
	l.place(units)
	if l.broken {
		l.namedCalls()
	} else {
		l.boundaries()
		l.cycles()
	}
	b.out.Programs = append(b.out.Programs, l.prog)
	b.out.Lines, b.out.Places = b.lines, append(b.out.Places, l.pos)
}

// function translates one function; the unit is nil if it has mistakes.
func (b *builder) function(name string, f *Function) *asm.Unit {
	pos := f.Pos
	switch {
	case f.Asm.Text != "" && len(f.Steps) > 0:
		b.failf(pos, "%s has both steps and asm: expected one of them", name)
	case f.Asm.Text != "" && (f.Stack != 0 || len(f.Saved) > 0):
		b.failf(pos, "%s: stack and saved belong to steps; asm uses its own", name)
	case f.Asm.Text != "":
		u, errs := asm.Assemble(f.Asm.Text, f.Asm.Pos)
		for _, e := range errs {
			b.failf(e.Pos, "%s", e.Msg)
		}
		return u
	case len(f.Steps) > 0:
		return b.compileSteps(name, f)
	default:
		b.failf(pos, "%s has neither steps nor asm", name)
	}
	return nil
}

// place puts the units one after the other and resolves their names.
func (l *linked) place(units map[string]*asm.Unit) {
	order := []string{l.name}
	for _, f := range l.file.Functions {
		order = append(order, f.Name)
	}
	var calls []asm.Ref
	called := map[string]bool{l.name: true}
	for _, name := range order {
		u := units[name]
		if u == nil {
			l.broken = true
			continue
		}
		base := len(l.prog.Insns)
		l.starts[name] = base
		for _, at := range u.LocalFuncs() {
			fn := name
			if at != 0 {
				if fn = u.LabelAt(at); fn == "" {
					fn = fmt.Sprintf("%s_%d", name, at)
				}
			}
			l.prog.Funcs = append(l.prog.Funcs, bpf.Func{Name: fn, Start: bpf.InsnIndex(base + at)})
			if f := l.file.Functions.Find(fn); f != nil && f.Value.Global {
				out := &l.prog.Funcs[len(l.prog.Funcs)-1]
				out.Global, out.Params = true, []bpf.Param{{Kind: bpf.ParamContext}}
			}
		}
		l.prog.Insns = append(l.prog.Insns, u.Insns...)
		l.pos = append(l.pos, u.Pos...)
		for _, r := range u.Maps {
			r.Slot += base
			l.mapRef(r)
		}
		for _, r := range u.Calls {
			if called[r.Name] = true; r.Name != "" {
				r.Slot += base
				calls = append(calls, r)
			}
		}
	}
	for _, r := range calls {
		l.call(r, order)
	}
	if l.broken {
		return
	}
	l.exceptions(called)
}

// exceptions makes the function that nothing calls the exception callback of a program that throws,
// and reports others.
func (l *linked) exceptions(called map[string]bool) {
	second := asm.SecondHalves(l.prog.Insns)
	for i, in := range l.prog.Insns {
		if in.Op == bpf.OpCall && in.Src == bpf.PseudoKfunc && !second[i] {
			l.prog.Kfuncs = asm.Kfuncs
		}
	}
	callback := l.prog.Kfuncs != nil
	for _, f := range l.file.Functions {
		switch {
		case called[f.Name]:
		case callback:
			at := slices.IndexFunc(l.prog.Funcs, func(g bpf.Func) bool { return int(g.Start) == l.starts[f.Name] })
			l.prog.Funcs[at].ExceptionCB, callback = true, false
		default:
			l.b.failf(f.Pos, "function %q of %s is never called", f.Name, l.name)
		}
	}
}

// call resolves a call by name.
func (l *linked) call(r asm.Ref, functions []string) {
	at, ok := l.starts[r.Name]
	switch {
	case ok:
		l.prog.Insns[r.Slot].Imm = int32(at - r.Slot - 1)
	case !slices.Contains(functions, r.Name):
		l.broken = true
		l.noFunction(r)
	}
}

// noFunction reports a call of a function that the program does not have.
func (l *linked) noFunction(r asm.Ref) {
	if strings.HasPrefix(r.Name, "bpf_") {
		l.b.failf(r.Pos, "no helper %q and no function of that name in %s", r.Name, l.name)
		return
	}
	l.b.failf(r.Pos, "no function %q in %s: expected %s", r.Name, l.name, expected(r.Name, entryNames(l.file.Functions)))
}

// mapRef resolves the name of a map in an ld_imm64.
func (l *linked) mapRef(r asm.Ref) {
	i := l.b.sc.Maps.Index(r.Name)
	if n, err := asm.ParseInt(r.Name); err == nil && n < int64(len(l.b.sc.Maps)) {
		i = int(n) // listings name maps by index
	}
	if i < 0 {
		l.b.failf(r.Pos, "no map %q: expected %s", r.Name, expected(r.Name, entryNames(l.b.sc.Maps)))
		return
	}
	in := &l.prog.Insns[r.Slot]
	in.Imm = int32(i)
	if in.Src != bpf.PseudoMapValue {
		return
	}
	m := &l.b.sc.Maps[i].Value
	off := l.prog.Insns[r.Slot+1].Imm
	switch {
	case !m.direct():
		l.b.failf(r.Pos, "%s: only values of an array with one entry have a fixed address", r.Name)
	case uint32(off) >= m.valueSize():
		l.b.failf(r.Pos, "offset %d lies outside the %d bytes of a value of %s", off, m.valueSize(), r.Name)
	}
}

// direct reports whether programs can name the address of the map's value (kernel/bpf/arraymap.c,
// array_map_direct_value_addr).
func (m *Map) direct() bool {
	return (m.Type == Array || m.Type == "") && m.entries() == 1
}

// funcAt returns the index of the function that slot belongs to.
func (l *linked) funcAt(slot int) int {
	n := 0
	for i, f := range l.prog.Funcs {
		if int(f.Start) <= slot {
			n = i
		}
	}
	return n
}

// boundaries checks that no function runs or jumps into another one (kernel/bpf/verifier.c,
// check_subprogs).
func (l *linked) boundaries() {
	second := asm.SecondHalves(l.prog.Insns)
	for i, in := range l.prog.Insns {
		f := l.funcAt(i)
		target := -1
		switch {
		case second[i]:
			continue
		case asm.IsJump(in):
			target = i + 1 + int(in.Off)
		case in.Op == bpf.OpJA32:
			target = i + 1 + int(in.Imm)
		}
		if target >= 0 && l.funcAt(target) != f {
			l.b.failf(l.pos[i], "jump from function %s into %s", l.prog.Funcs[f].Name, l.prog.Funcs[l.funcAt(target)].Name)
		}
		end := i+1 == len(l.prog.Insns) || l.funcAt(i+1) != f
		if end && in.Op != bpf.OpExit && in.Op != bpf.OpJA && in.Op != bpf.OpJA32 {
			l.b.failf(l.pos[i], "function %s ends here: expected exit or goto", l.prog.Funcs[f].Name)
		}
	}
}

// callEdge is a call from one function to another.
type callEdge struct {
	to  int
	pos Pos
}

// namedCalls looks for missing functions and cycles among calls in steps, for programs whose
// mistakes prevent them from being put together.
func (l *linked) namedCalls() {
	names := []string{l.name}
	bodies := []*Function{&l.file.Function}
	for i := range l.file.Functions {
		names = append(names, l.file.Functions[i].Name)
		bodies = append(bodies, &l.file.Functions[i].Value)
	}
	calls := make([][]callEdge, len(names))
	for i, f := range bodies {
		walk(f.Steps, func(s *Step) {
			if s.Call == nil || s.Call.Text == "" {
				return
			}
			if to := slices.Index(names, s.Call.Text); to >= 0 {
				calls[i] = append(calls[i], callEdge{to, s.Call.Pos})
			} else {
				l.noFunction(asm.Ref{Name: s.Call.Text, Pos: s.Call.Pos})
			}
		})
	}
	l.b.findCycles(names, calls)
}

// cycles looks for cycles of calls in a program that was put together.
func (l *linked) cycles() {
	second := asm.SecondHalves(l.prog.Insns)
	calls := make([][]callEdge, len(l.prog.Funcs))
	for i, in := range l.prog.Insns {
		if asm.IsPseudoCall(in) && !second[i] {
			f := l.funcAt(i)
			calls[f] = append(calls[f], callEdge{l.funcAt(i + 1 + int(in.Imm)), l.pos[i]})
		}
	}
	l.b.findCycles(funcNames(l.prog.Funcs), calls)
}

func funcNames(funcs []bpf.Func) []string {
	var out []string
	for _, f := range funcs {
		out = append(out, f.Name)
	}
	return out
}

// findCycles reports each call that closes a cycle: BPF has no recursion.
func (s *source) findCycles(names []string, calls [][]callEdge) {
	const (
		fresh = iota
		open
		done
	)
	state := make([]int, len(names))
	var path []string
	var visit func(f int)
	visit = func(f int) {
		state[f] = open
		path = append(path, names[f])
		for _, c := range calls[f] {
			switch state[c.to] {
			case fresh:
				visit(c.to)
			case open:
				ring := append(slices.Clone(path[slices.Index(path, names[c.to]):]), names[c.to])
				s.failf(c.pos, "cycle of calls: %s", strings.Join(ring, " → "))
			}
		}
		state[f] = done
		path = path[:len(path)-1]
	}
	for f := range names {
		if state[f] == fresh {
			visit(f)
		}
	}
}
