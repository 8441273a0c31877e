// SPDX-License-Identifier: GPL-2.0-only

// Package live says which slots of stacks may be read from an instruction on, as kernels know it while they follow
// a program: from the accesses that they have met so far, along all edges of the control flow, for each chain of
// calls on its own (kernel/bpf/liveness.c, 6.18). It knows nothing of values.
//
// A set of slots is a mask: bit i is the slot at r10-8*(i+1). Methods of a nil *Stacks or *Call do nothing.
package live

import (
	"slices"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/verify/form"
	"github.com/tcsim/tcsim/jit/verify/shape"
)

// Stacks is what is known of a program.
type Stacks struct {
	insns []bpf.Insn
	funcs []shape.FuncInfo
	order [][]bpf.InsnIndex // of each function, successors before predecessors where there is no loop
	roots map[int]*Call
	// writes are the slots of each frame, from the outermost, that the instruction at hand has written in full.
	writes []uint64
	wrote  bool
}

// Call is a function in a chain of calls. Paths that came there by the same calls share one.
type Call struct {
	in      *Stacks
	outer   *Call // nil of a function that nothing calls
	site    bpf.InsnIndex
	fn      int
	depth   int
	inner   []*Call
	frames  [][]marks // by frame, from the outermost; nil as long as nothing accesses one, else by instruction
	met     []bool    // by instruction: its writes are known from one visit
	changed bool
	dropped bool // writes that were taken for certain are not
}

// marks are of one instruction.
type marks struct {
	reads, writes uint64 // slots that it may read, and that it writes in full on every path
	before        uint64 // slots that may be read from here on before they are written
	certain       uint64 // slots that are written from here on, on every path
}

// New knows no accesses.
func New(insns []bpf.Insn, funcs []shape.FuncInfo) *Stacks {
	return &Stacks{insns: insns, funcs: funcs, order: make([][]bpf.InsnIndex, len(funcs)), roots: map[int]*Call{}}
}

// Root is a function that nothing calls.
func (s *Stacks) Root(fn int) *Call {
	if s == nil {
		return nil
	}
	c := s.roots[fn]
	if c == nil {
		c = s.call(nil, fn, 0)
		s.roots[fn] = c
	}
	return c
}

// Inner is a function that the instruction at site calls from c.
func (c *Call) Inner(fn int, site bpf.InsnIndex) *Call {
	if c == nil {
		return nil
	}
	for _, in := range c.inner {
		if in.fn == fn && in.site == site {
			return in
		}
	}
	in := c.in.call(c, fn, c.depth+1)
	in.site = site
	c.inner = append(c.inner, in)
	return in
}

func (s *Stacks) call(outer *Call, fn, depth int) *Call {
	f := &s.funcs[fn]
	return &Call{in: s, outer: outer, fn: fn, depth: depth, frames: make([][]marks, depth+1), met: make([]bool, f.End-f.Start)}
}

// at are the marks of an instruction for a frame, which has some from then on.
func (c *Call) at(frame int, i bpf.InsnIndex) *marks {
	if c.frames[frame] == nil {
		c.frames[frame] = make([]marks, len(c.met))
	}
	return &c.frames[frame][i-c.in.funcs[c.fn].Start]
}

// Read notes that the instruction at i, of c, may read slots of a frame (bpf_mark_stack_read).
func (c *Call) Read(frame int, i bpf.InsnIndex, slots uint64) {
	if m := c.at(frame, i); slots&^m.reads != 0 {
		m.reads |= slots
		c.changed = true
	}
}

// Write notes that the instruction at hand writes slots of a frame in full (bpf_mark_stack_write).
func (c *Call) Write(frame int, slots uint64) {
	if c == nil {
		return
	}
	s := c.in
	for len(s.writes) <= frame {
		s.writes = append(s.writes, 0)
	}
	s.writes[frame] |= slots
	s.wrote = true
}

// Forget drops what was noted of the instruction at hand.
func (c *Call) Forget() {
	if c == nil {
		return
	}
	if s := c.in; s.wrote {
		clear(s.writes)
		s.wrote = false
	}
}

// Commit ends the instruction at i, of c: it always writes what it has written on every visit
// (bpf_commit_stack_write_marks).
func (c *Call) Commit(i bpf.InsnIndex) {
	if c == nil {
		return
	}
	s := c.in
	if k := s.insns[i].Class(); k != bpf.ClassST && k != bpf.ClassSTX && s.insns[i].Op != bpf.OpCall {
		return // it writes no memory
	}
	met := &c.met[i-s.funcs[c.fn].Start]
	for f := range c.frames {
		var now uint64
		if f < len(s.writes) {
			now = s.writes[f]
		}
		if now == 0 && (!*met || c.frames[f] == nil) {
			continue
		}
		m := c.at(f, i)
		if *met {
			now &= m.writes
		}
		if now != m.writes {
			c.dropped = c.dropped || m.writes&^now != 0
			m.writes, c.changed = now, true
		}
	}
	*met = true
	c.Forget()
}

// Update computes anew what may be read from each instruction of c and of what called it, at the end of a path
// (bpf_update_live_stack).
func (c *Call) Update() {
	for ; c != nil; c = c.outer {
		if c.changed {
			c.solve()
			c.report()
		}
	}
}

// solve follows the edges till nothing changes (update_instance). What was found before is kept.
func (c *Call) solve() {
	s := c.in
	order := s.postorder(c.fn)
	start := s.funcs[c.fn].Start
	for _, ms := range c.frames {
		if ms == nil {
			continue
		}
		if c.dropped {
			for i := range ms {
				ms[i].certain = 0
			}
		}
		for changed := true; changed; {
			changed = false
			for _, i := range order {
				fall, to, jumps := s.flow(c.fn, i)
				if !fall && !jumps {
					continue
				}
				after, certain := uint64(0), ^uint64(0)
				if fall {
					n := &ms[i+s.insns[i].Width()-start]
					after, certain = n.before, n.certain
				}
				if jumps {
					n := &ms[to-start]
					after, certain = after|n.before, certain&n.certain
				}
				m := &ms[i-start]
				certain |= m.writes
				if before := after&^m.writes | m.reads; before != m.before || certain != m.certain {
					m.before, m.certain, changed = before, certain, true
				}
			}
		}
	}
	c.changed, c.dropped = false, false
}

// report makes what c does with the frames of its callers what the instruction that calls it does
// (propagate_to_outer_instance).
func (c *Call) report() {
	o := c.outer
	if o == nil {
		return
	}
	c.Forget()
	for f, ms := range c.frames[:c.depth] {
		if ms != nil {
			c.Write(f, ms[0].certain)
			o.Read(f, c.site, ms[0].before)
		}
	}
	o.Commit(c.site)
}

// flow is form.Flow within a function, whose end nothing falls off but a call that does not return.
func (s *Stacks) flow(fn int, i bpf.InsnIndex) (fall bool, to bpf.InsnIndex, jumps bool) {
	fall, to, jumps = form.Flow(s.insns, i)
	f := &s.funcs[fn]
	return fall && i+s.insns[i].Width() < f.End, to, jumps && to >= f.Start && to < f.End
}

// postorder are the instructions of a function (compute_postorder).
func (s *Stacks) postorder(fn int) []bpf.InsnIndex {
	if s.order[fn] != nil {
		return s.order[fn]
	}
	start := s.funcs[fn].Start
	const discovered, explored = 1, 2
	state := make([]uint8, s.funcs[fn].End-start)
	var order []bpf.InsnIndex
	waiting := []bpf.InsnIndex{start}
	state[0] = discovered
	visit := func(i bpf.InsnIndex) {
		if state[i-start] == 0 {
			state[i-start] = discovered
			waiting = append(waiting, i)
		}
	}
	for len(waiting) > 0 {
		i := waiting[len(waiting)-1]
		if state[i-start] == explored {
			order = append(order, i)
			waiting = waiting[:len(waiting)-1]
			continue
		}
		fall, to, jumps := s.flow(fn, i)
		if fall {
			visit(i + s.insns[i].Width())
		}
		if jumps {
			visit(to)
		}
		state[i-start] = explored
	}
	s.order[fn] = slices.Clip(order)
	return order
}

// Before are the slots of a frame that may be read from the instruction at on, which is in c, or from where the callers
// of c go on: the last of back is where c returns to (bpf_stack_slot_alive).
func (c *Call) Before(frame int, at bpf.InsnIndex, back []bpf.InsnIndex) (slots uint64) {
	for ; c != nil && c.depth >= frame; c = c.outer {
		if ms, i := c.frames[frame], int(at-c.in.funcs[c.fn].Start); i < len(ms) {
			slots |= ms[i].before
		}
		if c.depth > 0 {
			at = back[c.depth-1]
		}
	}
	return slots
}
