// SPDX-License-Identifier: GPL-2.0-only

package interp

import "fmt"

// Interrupt is a program that runs in the middle of another one, as in an interrupt on the same
// processor. It is an invocation of its own: it has its own counter, and maps are what both share.
type Interrupt struct {
	// Before says when: directly before call of a subprogram or tail call number Before, counted
	// together from 0 and refused ones included; at the latest before the last instruction.
	Before uint64
	Prog   int
}

// RunInterrupted is Run with an interrupt, which gets the same context. Result.Interrupt is what the
// program did that it ran; a fault in it is one of the run.
func (m *Machine) RunInterrupted(prog int, ctx Ctx, in Interrupt) (Result, error) {
	if in.Prog < 0 || in.Prog >= len(m.progs) {
		return Result{}, fmt.Errorf("interrupt by program %d: there are %d programs", in.Prog, len(m.progs))
	}
	m.pending, m.points = &in, 0
	defer func() { m.pending, m.inner = nil, false }()
	return m.Run(prog, ctx)
}

// point is where an interrupt can come. last says that there will be no other.
func (m *Machine) point(last bool) error {
	in := m.pending
	if in == nil {
		return nil
	}
	m.points++
	if m.points-1 < in.Before && !last {
		return nil
	}
	m.pending = nil
	return m.interrupt(in.Prog)
}

// interrupt runs a program on top of the stack. Everything but maps and context is as before afterwards.
func (m *Machine) interrupt(prog int) error {
	regs, cur, pc, count, res := m.regs, m.cur, m.pc, m.count, m.res
	m.suspend()
	m.cur, m.count, m.res = m.progs[prog], 0, Result{Insns: res.Insns}
	m.regs[1] = m.cfg.Layout.Ctx
	m.trash(2)
	if !m.push(0) {
		m.cur = cur
		return m.fault("more than %d frames", m.mem.maxDepth)
	}
	m.inner = true
	err := m.traceEntry()
	if err == nil {
		err = m.exec(m.mem.depth)
	}
	if err != nil {
		return err
	}
	m.inner = false
	inner := m.res
	inner.Return = m.regs[0]
	before := res.Insns
	res.Insns, res.Frames = inner.Insns, max(res.Frames, inner.Frames)
	inner.Insns -= before
	res.Interrupt = &inner
	m.regs, m.cur, m.pc, m.count, m.res = regs, cur, pc, count, res
	return nil
}

// Replace makes calls of a function of program prog, index fn in its Funcs and not 0, calls of the entry
// of program by, as an attached freplace program does; by -1 and Reset end that.
func (m *Machine) Replace(prog, fn, by int) error {
	if prog < 0 || prog >= len(m.progs) || by < -1 || by >= len(m.progs) {
		return fmt.Errorf("replace function of program %d by %d: there are %d programs", prog, by, len(m.progs))
	}
	for i := range m.progs[prog].funcs {
		f := &m.progs[prog].funcs[i]
		if i == 0 || f.id != fn {
			continue
		}
		if f.by = nil; by >= 0 {
			f.by = m.progs[by]
		}
		return nil
	}
	return fmt.Errorf("replace function %d of program %d: there is no such subprogram", fn, prog)
}
