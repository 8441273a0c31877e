// SPDX-License-Identifier: GPL-2.0-only

// Package live says which slots of stacks may be read from an instruction on, as kernels know it while they follow
// a program: from the accesses that they have met so far, along all edges of the control flow, for each chain of
// calls on its own (kernel/bpf/liveness.c, 6.18). It knows nothing of values.
//
// A set of slots is a mask: bit i is the slot at r10-8*(i+1). Methods of a nil *Stacks or *Call do nothing.
package live

import (
	"math/bits"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/verify/shape"
)

// Stacks is what is known of a program.
type Stacks struct {
	insns []bpf.Insn
	funcs []shape.FuncInfo
	flows []*flow // of each function, nil as long as nothing was asked of it
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
	flow    *flow
	frames  []*frame // from the outermost; nil as long as nothing accesses one
	met     []bool   // by instruction: its writes are known from one visit
	changed bool
	dropped bool // writes that were taken for certain are not
}

// frame is what the instructions of a function do with one stack.
type frame struct {
	marks []marks
	stale []uint64 // of what the flow has, by bit: what is to be computed anew
}

// marks are of one instruction.
type marks struct {
	reads, writes uint64 // slots that it may read, and that it writes in full on every path
	before        uint64 // slots that may be read from here on before they are written
	certain       uint64 // slots that are written from here on, on every path
}

// New knows no accesses.
func New(insns []bpf.Insn, funcs []shape.FuncInfo) *Stacks {
	return &Stacks{insns: insns, funcs: funcs, flows: make([]*flow, len(funcs)), roots: map[int]*Call{}}
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
	if s.flows[fn] == nil {
		s.flows[fn] = newFlow(s.insns[f.Start:f.End])
	}
	return &Call{in: s, outer: outer, fn: fn, depth: depth, flow: s.flows[fn], frames: make([]*frame, depth+1), met: make([]bool, f.End-f.Start)}
}

// at are the marks of an instruction for a frame, which has some from then on. They are about to change.
func (c *Call) at(n int, i bpf.InsnIndex) *marks {
	f := c.frames[n]
	if f == nil {
		f = &frame{make([]marks, len(c.met)), make([]uint64, (len(c.flow.nodes)+63)/64)}
		c.frames[n] = f
	}
	i -= c.in.funcs[c.fn].Start
	if at := c.flow.at[i]; at >= 0 {
		f.stale[at/64] |= 1 << (at % 64)
	}
	return &f.marks[i]
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

// Commit ends the instruction at i, of c, which may write memory: it always writes what it has written on every visit
// (bpf_commit_stack_write_marks).
func (c *Call) Commit(i bpf.InsnIndex) {
	if c == nil {
		return
	}
	s := c.in
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
	for _, f := range c.frames {
		if f == nil {
			continue
		}
		if c.dropped {
			for i := range f.marks {
				f.marks[i].certain = 0
			}
			for i := range c.flow.nodes {
				f.stale[i/64] |= 1 << (i % 64)
			}
		}
		f.solve(c.flow)
	}
	c.changed, c.dropped = false, false
}

// solve goes through what is stale from first to last, again and again: the order decides what loops keep.
func (f *frame) solve(g *flow) {
	for changed := true; changed; {
		changed = false
		for w := range f.stale {
			for f.stale[w] != 0 {
				i := bits.TrailingZeros64(f.stale[w])
				f.stale[w] &^= 1 << i
				at := w*64 + i
				n := &g.nodes[at]
				if n.next[0] < 0 && n.next[1] < 0 {
					continue
				}
				after, certain := uint64(0), ^uint64(0)
				for _, to := range n.next {
					if to >= 0 {
						after |= f.marks[to].before
						certain &= f.marks[to].certain
					}
				}
				m := &f.marks[n.insn]
				certain |= m.writes
				before := after&^m.writes | m.reads
				if before == m.before && certain == m.certain {
					continue
				}
				m.before, m.certain = before, certain
				for _, from := range g.before[g.first[at]:g.first[at+1]] {
					f.stale[from/64] |= 1 << (from % 64)
					changed = changed || int(from) <= at
				}
			}
		}
	}
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
			c.Write(f, ms.marks[0].certain)
			o.Read(f, c.site, ms.marks[0].before)
		}
	}
	o.Commit(c.site)
}

// Before are the slots of a frame that may be read from the instruction at on, which is in c, or from where the callers
// of c go on: the last of back is where c returns to (bpf_stack_slot_alive).
func (c *Call) Before(frame int, at bpf.InsnIndex, back []bpf.InsnIndex) (slots uint64) {
	for ; c != nil && c.depth >= frame; c = c.outer {
		if f, i := c.frames[frame], int(at-c.in.funcs[c.fn].Start); f != nil && i < len(f.marks) {
			slots |= f.marks[i].before
		}
		if c.depth > 0 {
			at = back[c.depth-1]
		}
	}
	return slots
}
