// SPDX-License-Identifier: GPL-2.0-only

package verify

import (
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/verify/shape"
)

// past is an instruction that a path has followed.
type past struct {
	pc    int32
	depth uint8 // frame that it was in
	// slot is the slot of frame's stack that it loads from or stores to, -1 if none.
	frame uint8
	slot  int8
	// linked are values that learnt from each other there: an index into explorer.linked plus one.
	linked int32
}

// maxDepth is how many frames there can be.
const maxDepth = 2 * shape.MaxFrames

// marks are registers and slots of every frame.
type marks struct {
	at   [maxDepth]struct{ regs, slots uint64 }
	used uint32 // frames that may have some
}

func (m *marks) add(frame, reg int) {
	m.at[frame].regs |= 1 << reg
	m.used |= 1 << frame
}

func (m *marks) has(frame, reg int) bool { return m.at[frame].regs&(1<<reg) != 0 }

func (m *marks) take(frame, reg int) bool {
	had := m.has(frame, reg)
	m.at[frame].regs &^= 1 << reg
	return had
}

func (m *marks) empty() bool {
	for i := 0; m.used>>i != 0; i++ {
		if m.used>>i&1 == 0 {
			continue
		}
		if a := &m.at[i]; a.regs|a.slots != 0 {
			return false
		}
		m.used &^= 1 << i
	}
	return true
}

// needs notes that what is found out depends on the number in a register of the top frame: the number, and
// all that it comes from, count when states are compared (mark_chain_precision).
func (x *explorer) needs(s *state, reg uint8) {
	if f := s.top(); f.regs[reg].kind != kindNumber || s.parent == nil {
		return
	}
	x.mask = marks{}
	x.mask.add(len(s.frames)-1, int(reg))
	x.walkBack(s, &x.mask)
}

// walkBack follows marks from the end of a path to where their numbers come from.
func (x *explorer) walkBack(s *state, m *marks) {
	depth := len(s.frames) - 1
	for past := s.past; ; past = s.past {
		for i := len(past) - 1; i >= 0; i-- {
			if m.empty() {
				return
			}
			if x.rules.CoarsePrecision && depth != int(past[i].depth) {
				x.markAll(s)
				return
			}
			x.back(&past[i], depth, m)
			depth = int(past[i].depth)
		}
		if s = s.parent; s == nil {
			return
		}
		if x.mark(s, m); m.empty() {
			return
		}
	}
}

// mark marks what is a number in a checkpoint; what is not a number, or is marked already, has no other origin.
func (x *explorer) mark(s *state, m *marks) {
	for i := range m.at {
		a := &m.at[i]
		if a.regs|a.slots == 0 {
			continue
		}
		if i >= len(s.frames) {
			a.regs, a.slots = 0, 0
			continue
		}
		f := &s.frames[i]
		for r := range f.regs {
			if a.regs&(1<<r) != 0 && !x.markValue(&f.regs[r]) {
				a.regs &^= 1 << r
			}
		}
		for j := 0; a.slots>>j != 0; j++ {
			if a.slots>>j&1 != 0 && (j >= len(f.stack) || f.stack[j].bytes[0] != byteSpill || !x.markValue(&f.stack[j].spill)) {
				a.slots &^= 1 << j
			}
		}
	}
}

// markAll marks every number in all checkpoints that a path has passed.
func (x *explorer) markAll(s *state) {
	for s = s.parent; s != nil; s = s.parent {
		s.everyValue(func(v *value) { x.markValue(v) })
	}
}

func (x *explorer) markValue(v *value) bool {
	if v.kind != kindNumber || v.precise {
		return false
	}
	v.precise, x.news = true, true
	return true
}

// back turns the marks after an instruction into those before it; after is the frame of the instruction that
// came next (backtrack_insn).
func (x *explorer) back(p *past, after int, m *marks) {
	at := int(p.depth)
	if p.linked != 0 {
		x.spreadMarks(p, m)
	}
	in := x.p.Insns[p.pc]
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
			m.add(at, src)
		}
	case bpf.ClassLDX:
		if m.take(at, dst) {
			m.slot(p)
		}
	case bpf.ClassST, bpf.ClassSTX:
		x.backStore(p, in, m)
	case bpf.ClassLD:
		m.take(at, dst)
		if !in.IsLdImm64() {
			m.take(at, 0)
		}
	default:
		x.backJump(at, after, in, m)
	}
	if p.linked != 0 {
		x.spreadMarks(p, m)
	}
}

// slot marks the slot that an instruction loads from.
func (m *marks) slot(p *past) {
	if p.slot >= 0 {
		m.at[p.frame].slots |= 1 << p.slot
		m.used |= 1 << p.frame
	}
}

func (x *explorer) backStore(p *past, in bpf.Insn, m *marks) {
	at := int(p.depth)
	if mode := in.Op & 0xe0; in.Class() == bpf.ClassSTX && (mode == bpf.ModeAtomic || mode == bpf.ModeProbeAtomic) && in.Imm != bpf.AtomicStRel {
		_, writes := in.RegUse()
		for r := range 11 {
			if writes&(1<<r) != 0 && m.take(at, r) {
				m.slot(p)
			}
		}
		return
	}
	if p.slot < 0 || m.at[p.frame].slots&(1<<p.slot) == 0 {
		return
	}
	m.at[p.frame].slots &^= 1 << p.slot
	if in.Class() == bpf.ClassSTX {
		m.add(at, int(in.Src))
	}
}

func (x *explorer) backJump(at, after int, in bpf.Insn, m *marks) {
	switch {
	case after > at: // a call: arguments come from the caller
		args := m.at[after].regs & argMask
		m.at[after].regs, m.at[after].slots = 0, 0
		if args != 0 {
			m.at[at].regs |= argMask
			if in.IsSubCall() {
				m.at[at].regs = m.at[at].regs&^argMask | args
			}
			m.used |= 1 << at
		}
	case after < at: // a return
		result := m.take(after, 0)
		m.at[after].regs &^= argMask
		if result && in.Op == bpf.OpExit {
			m.add(at, 0)
		}
	case in.Op == bpf.OpExit:
	case in.Op == bpf.OpCall || in.Op == bpf.OpTailCall || in.Op == bpf.OpCallX:
		m.at[at].regs &^= argMask | 1
	case in.Op&bpf.SrcReg != 0:
		if d, s := int(in.Dst), int(in.Src); m.has(at, d) || m.has(at, s) {
			m.add(at, d)
			m.add(at, s)
		}
	}
}

// argMask are r1 to r5.
const argMask = 1<<6 - 2

// linkedValues are values of one link, by frame.
type linkedValues struct {
	frame       uint8
	regs, slots uint64
}

// spreadMarks marks all values that learnt from each other if one is.
func (x *explorer) spreadMarks(p *past, m *marks) {
	group := x.linked[p.linked-1]
	for _, g := range group {
		if a := &m.at[g.frame]; a.regs&g.regs|a.slots&g.slots != 0 {
			for _, h := range group {
				m.at[h.frame].regs |= h.regs
				m.at[h.frame].slots |= h.slots
				m.used |= 1 << h.frame
			}
			return
		}
	}
}

// noteLinks notes which values learn from the two operands of a jump (collect_linked_regs).
func (x *explorer) noteLinks(s *state, a, b *value) {
	l, k := a.link, b.link
	if a.kind != kindNumber {
		l = 0
	}
	if b.kind != kindNumber {
		k = 0
	}
	if l == 0 && k == 0 {
		return
	}
	var group []linkedValues
	n := 0
	for i := range s.frames {
		f := &s.frames[i]
		g := linkedValues{frame: uint8(i)}
		for r := range f.regs {
			if v := &f.regs[r]; v.link != 0 && v.kind == kindNumber && (v.link == l || v.link == k) {
				g.regs |= 1 << r
				n++
			}
		}
		for j := range f.stack {
			if v := &f.stack[j]; v.bytes[0] == byteSpill && v.spill.link != 0 && v.spill.kind == kindNumber && (v.spill.link == l || v.spill.link == k) {
				g.slots |= 1 << j
				n++
			}
		}
		if g.regs|g.slots != 0 {
			group = append(group, g)
		}
	}
	if n > 1 {
		x.linked = append(x.linked, group)
		x.now.linked = int32(len(x.linked))
	}
}

// reads notes that slots of a frame are read, by bit: they matter in the checkpoints up to where they were
// written (mark_reg_read).
func (x *explorer) reads(s *state, frame int, slots uint64) {
	for {
		if slots &^= s.frames[frame].written; slots == 0 || frame >= s.shared || s.parent == nil {
			return
		}
		s = s.parent
		f := &s.frames[frame]
		if slots &^= f.read; slots == 0 {
			return
		}
		f.read |= slots
		x.news = true
	}
}

// slotBits are the slots that the bytes from and below to, counted from r10, lie in.
func slotBits(from, to int64) uint64 {
	from, to = max(from, -maxStack), min(to, 0)
	if from >= to {
		return 0
	}
	first, last := uint((-to)/8), uint((-from-1)/8)
	return (^uint64(0) >> (63 - (last - first))) << first
}
