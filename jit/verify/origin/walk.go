// SPDX-License-Identifier: GPL-2.0-only

package origin

import "github.com/tcsim/tcsim/jit/bpf"

// Step is an instruction that a path has followed.
type Step struct {
	PC     int32
	before Place
	// Linked are values that learnt from each other there: an index into Walk.Groups plus one, 0 if none did.
	Linked int32
	Depth  uint8 // frame that it was in
	// Slot is the slot of Frame's stack that it loads from or stores to, -1 if none.
	Frame uint8
	Slot  int8
}

// Place is a place in the past of a path: after a step, or before all of them where it is 0.
type Place int32

// Linked are values of one link in a frame.
type Linked struct {
	Frame uint8
	Places
}

// Walk is a program with the steps of all its paths, and what they tell of values that learn from each other.
type Walk struct {
	Insns  []bpf.Insn
	Groups [][]Linked
	steps  [][]Step // perPart each
	n      int      // of all
	// touches are the registers, by bit, of each instruction whose marks it may change.
	touches []uint16
}

const (
	// perPart is how many steps are kept together.
	perPart = 1 << 12
	// keptParts is how many parts the next program takes.
	keptParts = 128
)

// Begin begins with another program, in the memory of the last one.
func (w *Walk) Begin(insns []bpf.Insn) {
	clear(w.Groups)
	*w = Walk{Insns: insns, Groups: w.Groups[:0], steps: w.steps[:min(len(w.steps), keptParts)], touches: w.touches[:0]}
	for _, in := range insns {
		w.touches = append(w.touches, touches(in))
	}
}

func touches(in bpf.Insn) uint16 {
	switch in.Class() {
	case bpf.ClassALU, bpf.ClassALU64, bpf.ClassLDX:
		return 1 << in.Dst
	case bpf.ClassLD:
		return 1<<in.Dst | 1
	case bpf.ClassST:
		return 0
	case bpf.ClassSTX:
		_, writes := in.RegUse()
		return writes
	}
	switch {
	case in.Op == bpf.OpCall || in.Op == bpf.OpTailCall || in.Op == bpf.OpCallX:
		return argMask | 1
	case in.Op&bpf.SrcReg != 0:
		return 1<<in.Dst | 1<<in.Src
	}
	return 0
}

// Skip goes back from a place, in a frame, over the steps that change no marks; not beyond from.
func (w *Walk) Skip(at, from Place, frame int, m *Marks) Place {
	regs := m.at[frame].Regs
	for at != from {
		s, before := w.Before(at)
		if int(s.Depth) != frame || s.Linked != 0 || regs&uint64(w.touches[s.PC]) != 0 || s.Slot >= 0 && m.at[s.Frame].Slots>>s.Slot&1 != 0 {
			break
		}
		at = before
	}
	return at
}

// Add adds a step to the path that has come to a place, and returns where it is then.
func (w *Walk) Add(s *Step, at Place) Place {
	if w.n == len(w.steps)*perPart {
		w.steps = append(w.steps, make([]Step, perPart))
	}
	// What was just written in parts is not to be read as a whole: that would wait.
	p := &w.steps[uint32(w.n)/perPart][uint32(w.n)%perPart]
	p.PC, p.before, p.Linked, p.Depth, p.Frame, p.Slot = s.PC, at, s.Linked, s.Depth, s.Frame, s.Slot
	w.n++
	return Place(w.n)
}

// Before is the step that ends at a place, and where it began.
func (w *Walk) Before(at Place) (*Step, Place) {
	s := &w.steps[uint32(at-1)/perPart][uint32(at-1)%perPart]
	return s, s.before
}

// Back turns the marks after an instruction into those before it; after is the frame of the instruction that
// came next (backtrack_insn).
func (w *Walk) Back(p *Step, after int, m *Marks) {
	at := int(p.Depth)
	if p.Linked != 0 {
		w.spread(p, m)
	}
	in := w.Insns[p.PC]
	dst, src := int(in.Dst), int(in.Src)
	switch in.Class() {
	case bpf.ClassALU, bpf.ClassALU64:
		if !m.has(at, dst) {
			break
		}
		op := in.Op & 0xf0
		if op == bpf.ALUMov {
			m.take(at, dst)
		}
		if in.Op&bpf.SrcReg != 0 && op != bpf.ALUEnd {
			m.Add(at, src)
		}
	case bpf.ClassLDX:
		if m.take(at, dst) {
			m.slot(p)
		}
	case bpf.ClassST, bpf.ClassSTX:
		backStore(p, in, m)
	case bpf.ClassLD:
		m.take(at, dst)
		if !in.IsLdImm64() {
			m.take(at, 0)
		}
	default:
		backJump(at, after, in, m)
	}
	if p.Linked != 0 {
		w.spread(p, m)
	}
}

func backStore(p *Step, in bpf.Insn, m *Marks) {
	at := int(p.Depth)
	if mode := in.Op & 0xe0; in.Class() == bpf.ClassSTX && (mode == bpf.ModeAtomic || mode == bpf.ModeProbeAtomic) && in.Imm != bpf.AtomicStRel {
		_, writes := in.RegUse()
		for r := range 11 {
			if writes&(1<<r) != 0 && m.take(at, r) {
				m.slot(p)
			}
		}
		return
	}
	if p.Slot < 0 || m.at[p.Frame].Slots&(1<<p.Slot) == 0 {
		return
	}
	m.at[p.Frame].Slots &^= 1 << p.Slot
	if in.Class() == bpf.ClassSTX {
		m.Add(at, int(in.Src))
	}
}

func backJump(at, after int, in bpf.Insn, m *Marks) {
	switch {
	case after > at: // a call: arguments come from the caller
		args := m.at[after].Regs & argMask
		m.at[after].Regs, m.at[after].Slots = 0, 0
		if args != 0 {
			m.at[at].Regs |= argMask
			if in.IsSubCall() {
				m.at[at].Regs = m.at[at].Regs&^argMask | args
			}
			m.used |= 1 << at
		}
	case after < at: // a return
		result := m.take(after, 0)
		m.at[after].Regs &^= argMask
		if result && in.Op == bpf.OpExit {
			m.Add(at, 0)
		}
	case in.Op == bpf.OpExit:
	case in.Op == bpf.OpCall || in.Op == bpf.OpTailCall || in.Op == bpf.OpCallX:
		m.at[at].Regs &^= argMask | 1
	case in.Op&bpf.SrcReg != 0:
		if d, s := int(in.Dst), int(in.Src); m.has(at, d) || m.has(at, s) {
			m.Add(at, d)
			m.Add(at, s)
		}
	}
}

// argMask are r1 to r5.
const argMask = 1<<6 - 2

// spread marks all values that learnt from each other if one is.
func (w *Walk) spread(p *Step, m *Marks) {
	group := w.Groups[p.Linked-1]
	for _, g := range group {
		if a := &m.at[g.Frame]; a.Regs&g.Regs|a.Slots&g.Slots != 0 {
			for _, h := range group {
				m.at[h.Frame].Regs |= h.Regs
				m.at[h.Frame].Slots |= h.Slots
				m.used |= 1 << h.Frame
			}
			return
		}
	}
}
