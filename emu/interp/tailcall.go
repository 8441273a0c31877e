// SPDX-License-Identifier: GPL-2.0-only

package interp

import (
	"fmt"

	"github.com/tcsim/tcsim/jit/bpf"
)

// tailCall executes helper 12: R1 context, R2 prog array, R3 index (kernel/bpf/core.c,
// ___bpf_prog_run, JMP_TAIL_CALL). The order of tests is that of every kernel: bounds, limit, slot.
func (m *Machine) tailCall() error {
	if err := m.point(false); err != nil {
		return err
	}
	r := &m.regs
	s := m.mapByHandle(r[2])
	if s == nil || s.def.Type != bpf.ProgArray {
		return m.fault("tail call through %#x (%s), which is not a prog array", r[2], m.Locate(r[2]))
	}
	slot := m.pc - 1
	tc := TailCall{
		Prog: m.cur.index, Func: m.cur.funcAt(slot), Insn: bpf.InsnIndex(slot),
		Map: s.index, Key: uint32(r[3]), Target: -1, Depth: m.mem.depth,
	}
	tc.Outcome = m.attempt(s, &tc)
	tc.Count = m.count
	if tc.Outcome == Taken {
		if m.res.TakenTotal++; len(m.res.Taken) < m.cfg.MaxTaken {
			m.res.Taken = append(m.res.Taken, tc)
		}
	} else {
		m.res.Refused[tc.Outcome]++
	}
	if m.cfg.Observer != nil {
		m.cfg.Observer.TailCall(tc)
	}
	if tc.Outcome != Taken {
		m.trash(0)
		m.returned(CallTail)
		return nil
	}
	ctx := r[1]
	for i := range 10 {
		r[i] = junk + uint64(i)
	}
	r[1] = ctx
	m.cur = m.progs[tc.Target]
	m.enter(0)
	return nil
}

// attempt makes the tests, moves the counter and fills in the target.
func (m *Machine) attempt(s *mapState, tc *TailCall) Outcome {
	if tc.Key >= s.def.MaxEntries {
		return RefusedBounds
	}
	if m.count >= m.cfg.Rules.Limit {
		return RefusedLimit
	}
	if m.cfg.Rules.BurnEmpty {
		m.count++
	}
	prog := s.progs[tc.Key]
	if prog < 0 {
		return RefusedEmpty
	}
	if !m.cfg.Rules.BurnEmpty {
		m.count++
	}
	tc.Target = prog
	return Taken
}

// kfunc calls a kernel function by name.
func (m *Machine) kfunc(o *op) error {
	if name := m.cur.def.Kfuncs[o.off]; name != "bpf_throw" {
		return m.fault("kernel function %q is not modelled", name)
	}
	return m.throw(m.regs[1])
}

// throw ends all frames up to the nearest one that runs a program's entry, which is the exception
// boundary (kernel/bpf/helpers.c, bpf_throw). A tail-called program is a boundary of its own: what
// it throws comes back to the caller of the function that it replaced. The callback runs in the
// boundary's frame and gives its return value. What traces the frames that are skipped does not
// learn of their end.
func (m *Machine) throw(cookie uint64) error {
	m.res.Throws++
	for m.mem.top().fn != 0 {
		m.mem.depth--
	}
	m.cur = m.mem.top().prog
	m.regs[0] = cookie
	if m.cur.onThr == 0 {
		return m.exit()
	}
	m.trash(2)
	m.regs[1] = cookie
	m.enter(m.cur.onThr)
	return nil
}

// SetProg puts program prog into a prog array; prog -1 empties the slot. It may be called between
// runs and by an Observer.
func (m *Machine) SetProg(mp int, key uint32, prog int) error {
	switch {
	case mp < 0 || mp >= len(m.maps) || m.maps[mp].def.Type != bpf.ProgArray:
		return fmt.Errorf("prog array entry: map %d is not a prog array", mp)
	case key >= m.maps[mp].def.MaxEntries:
		return fmt.Errorf("prog array entry: key %d of map %d, which has %d entries", key, mp, m.maps[mp].def.MaxEntries)
	case prog < -1 || prog >= len(m.progs):
		return fmt.Errorf("prog array entry: program %d of %d", prog, len(m.progs))
	}
	m.maps[mp].progs[key] = prog
	return nil
}
