// SPDX-License-Identifier: GPL-2.0-only

package interp

import (
	"fmt"
	"slices"
)

// maxArgs is the number of arguments a traced function can have.
const maxArgs = 6

// TraceKind is the way a tracing program is attached.
type TraceKind uint8

// The trace kinds. fmod_ret is not among them: BPF functions cannot be traced that way.
const (
	Fentry TraceKind = iota
	Fexit
)

// Trace is a tracing program attached to a function of a program. It runs when the function is
// called, or returns to such a call; a tail call lands after the hook. Each run is an invocation
// with its own counter. Counts in Result include what tracing programs do.
type Trace struct {
	Kind TraceKind
	By   int // the tracing program
	Prog int // the traced function: program and index in its Funcs
	Func int
	// Args is the number of arguments of the traced function, 1 to 5. The tracing program gets
	// a pointer to them, 8 bytes each; for Fexit the return value follows.
	Args int
}

// Attach attaches a tracing program between runs. Of the programs that trace a function in one way, the
// one attached last runs first, unlike those of Config.Traces.
func (m *Machine) Attach(tr Trace) error {
	if err := m.attach(tr); err != nil {
		return err
	}
	m.cfg.Traces = append(slices.Clone(m.cfg.Traces), tr)
	for _, p := range m.progs {
		for i := range p.funcs {
			if t := p.funcs[i].traces; len(t) > 1 && t[len(t)-1] == tr {
				copy(t[1:], t)
				t[0] = tr
			}
		}
	}
	return nil
}

// DetachAll detaches all tracing programs.
func (m *Machine) DetachAll() {
	m.cfg.Traces = nil
	for _, p := range m.progs {
		for i := range p.funcs {
			p.funcs[i].traces = nil
		}
	}
}

// attach checks a Trace and puts it to its function.
func (m *Machine) attach(tr Trace) error {
	if tr.By < 0 || tr.By >= len(m.progs) || tr.Prog < 0 || tr.Prog >= len(m.progs) {
		return fmt.Errorf("trace of program %d by %d: there are %d programs", tr.Prog, tr.By, len(m.progs))
	}
	if tr.Kind > Fexit || tr.Args < 1 || tr.Args > 5 {
		return fmt.Errorf("trace of program %d by %d: kind %d, %d arguments", tr.Prog, tr.By, tr.Kind, tr.Args)
	}
	for _, other := range m.cfg.Traces {
		if other.By == tr.Prog {
			return fmt.Errorf("trace of program %d by %d: it is a tracing program itself, which is not modelled", tr.Prog, tr.By)
		}
	}
	p := m.progs[tr.Prog]
	for i := range p.funcs {
		if p.funcs[i].id == tr.Func || i == 0 && tr.Func == 0 {
			p.funcs[i].traces = append(p.funcs[i].traces, tr)
			return nil
		}
	}
	return fmt.Errorf("trace of program %d by %d: function %d does not exist", tr.Prog, tr.By, tr.Func)
}

// traceEntry runs what traces the function that was just entered by a call.
func (m *Machine) traceEntry() error {
	f := m.mem.top()
	fn := &f.prog.funcs[f.fn]
	if len(fn.traces) == 0 {
		return nil
	}
	f.traced, f.by = true, fn
	f.args = [maxArgs]uint64(m.regs[1:7])
	if err := m.trace(Fentry, f, 0); err != nil {
		return err
	}
	if m.cfg.Rules.TraceDropsCounter {
		m.count = 0
	}
	return nil
}

// traceExit runs what traces the end of the function in the top frame. R0 is its return value.
func (m *Machine) traceExit() error {
	f := m.mem.top()
	return m.trace(Fexit, f, m.regs[0])
}

// trace runs the tracing programs of one kind on top of frame f. Registers and counter of the
// traced function are as before afterwards.
func (m *Machine) trace(kind TraceKind, f *frame, ret uint64) error {
	regs, cur, pc, count := m.regs, m.cur, m.pc, m.count
	for _, tr := range f.by.traces {
		if tr.Kind != kind {
			continue
		}
		for i := range tr.Args {
			put(m.mem.args[8*i:8*i+8], f.args[i])
		}
		put(m.mem.args[8*tr.Args:8*tr.Args+8], ret)
		m.suspend()
		m.cur, m.count = m.progs[tr.By], 0
		m.regs[1] = m.cfg.Layout.TraceArgs
		m.trash(2)
		if !m.push(0) {
			m.cur = cur
			return m.fault("more than %d frames", m.mem.maxDepth)
		}
		if err := m.exec(m.mem.depth); err != nil {
			return err
		}
		m.regs, m.cur, m.pc, m.count = regs, cur, pc, count
	}
	return nil
}
