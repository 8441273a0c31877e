// SPDX-License-Identifier: GPL-2.0-only

package verify

import (
	"errors"
	"math/bits"
	"slices"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/verify/holds"
	"github.com/tcsim/tcsim/jit/verify/origin"
	"github.com/tcsim/tcsim/jit/verify/shape"
)

// A path leaves checkpoints: copies of its state, which later paths to the same instruction are compared
// with. A path ends where everything that can happen from there has been followed from a checkpoint
// (is_state_visited). What matters of a checkpoint is found out by following it: stack slots that are read,
// and numbers on which a decision depends. So a checkpoint counts the paths from it that have not ended,
// and each path remembers its instructions since its last checkpoint, to be walked back (precise.go).

// path is what a state is besides registers and stack.
type path struct {
	branches int32 // of checkpoints: paths from here that have not ended
	// rounds counts loops that were entered once more although nothing may have changed: by may_goto, by an
	// iterator or by a helper that calls a function.
	rounds int32
	// loop is, of a checkpoint, the one at the head of a loop that leads here again, while that is being followed: till
	// then it is not known what matters. It is the one of that number.
	loop   *state
	loopID int

	parent *state // the checkpoint that the path passed last
	shared int    // how many frames are the same calls as in parent
	// at is where the path is, from where it was at parent: the instructions since then lie between.
	at, from origin.Place
	depth    int // checkpoints on the path
	// history is how many instructions since parent a kernel keeps (jmp_history_cnt).
	history int

	// The others are of checkpoints.

	clean  bool // it is known what may be read of the stacks
	listed bool // it is in the list of its instruction
	users  int  // checkpoints and paths that come from here, and ends of paths that were covered
	id     int
	// back are the ends of paths that led to this head of a loop, or into its loop.
	back []backEdge
}

// checkpoints are those of an instruction.
type checkpoints struct {
	list   []kept
	unread int // of them, those from which all paths have ended and of which it is not known yet what may be read
}

// kept is a checkpoint with what is looked at first, which most often is enough.
type kept struct {
	state        *state
	pc           bpf.InsnIndex
	hits, misses int32
	differs      [2]difference // where it differed from states that it did not cover, the last first
}

// head is the head of the loop that leads here again, nil if there is none or it has been followed.
func (s *state) head() *state {
	if h := s.loop; h != nil && h.id == s.loopID && h.branches > 0 {
		return h
	}
	return nil
}

// backEdge is a path that ended because a checkpoint covers its last state, while that is being followed.
type backEdge struct{ last, covered *state }

// Numbers of is_state_visited: a checkpoint is made after so many jumps and instructions, in a loop after
// more, and where the past has grown to some length.
const (
	checkJumps, checkInsns = 2, 8
	loopJumps, loopSteps   = 20, 100
	maxHistory             = 40
	// manyMisses and someMisses bound how often a checkpoint may be compared in vain.
	manyMisses, someMisses = 64, 3
)

// maxSeen is how many checkpoints an instruction of a program has that is not to be refused: beyond it
// numbers are forgotten, so that the exploration ends soon.
const maxSeen = 200

// maxWaiting is BPF_COMPLEXITY_LIMIT_JMP_SEQ: how many paths may wait to be followed.
const maxWaiting = 8192

var errEndless = errors.New("infinite loop detected")

// prune reports whether s need not be followed, and may leave a checkpoint of it.
func (x *explorer) prune(s *state) (bool, error) {
	force := x.joins.Forced[s.pc] != shape.NoReason || !x.strict || s.history > maxHistory && x.rules.ShortHistory
	add := force || x.jumps-x.lastJumps >= checkJumps && x.steps-x.lastSteps >= checkInsns
	x.dropSingleLinks(s)
	seen := x.explored(s)
	if seen.unread > 0 {
		x.clean(seen, s)
	}
	for i := len(seen.list) - 1; i >= 0; i-- {
		old := &seen.list[i]
		if old.pc != s.pc {
			continue
		}
		hit, err := x.meets(old, s)
		if err != nil {
			return false, err
		}
		if hit {
			old.hits++
			x.covered(old.state, s)
			return true, nil
		}
		if add && !force && x.jumps-x.lastJumps < loopJumps && x.steps-x.lastSteps < loopSteps && old.state.branches > 0 {
			add = false
		}
		if add {
			old.misses++
		}
		if most := old.hits*someMisses + someMisses; old.misses <= most || !x.strict {
			continue
		}
		if x.joins.Forced[s.pc] == shape.NoReason || old.state.branches == 0 || old.misses > old.hits*manyMisses+manyMisses {
			x.giveUp(seen, i)
		}
	}
	if add {
		if !x.strict && len(seen.list) >= maxSeen {
			s.widen()
		}
		seen.list = append(seen.list, kept{state: x.checkpoint(s), pc: s.pc})
	}
	return false, nil
}

// giveUp forgets a checkpoint.
func (x *explorer) giveUp(seen *checkpoints, i int) {
	c := seen.list[i].state
	seen.list = slices.Delete(seen.list, i, i+1)
	x.stats.Alive--
	if x.live != nil && c.branches == 0 && !c.clean {
		seen.unread--
	}
	if c.listed = false; c.users == 0 {
		x.mem.free(c)
	}
}

// explored are the checkpoints of an instruction that a path is compared with: those of calls from elsewhere are not
// (explored_state).
func (x *explorer) explored(s *state) *checkpoints {
	site := uint32(0)
	if f := s.top(); f.again {
		site = uint32(f.ret) + 1
	} else if f.ret >= 0 {
		site = uint32(f.ret)
	}
	return &x.seen[(uint32(s.pc)^(site-1))%uint32(len(x.seen))]
}

// recorded is 1 if a kernel keeps the instruction that is being followed in the path's history (push_insn_history).
func (x *explorer) recorded() int {
	if x.joins.Jumped[x.now.PC] || x.now.Slot >= 0 || x.now.Linked != 0 {
		return 1
	}
	return 0
}

// meets reports whether a checkpoint covers s.
func (x *explorer) meets(c *kept, s *state) (bool, error) {
	if x.stillDiffers(c, s) {
		return false, nil
	}
	old := c.state
	if old.branches == 0 {
		how := holds.Enough
		if old.head() != nil {
			how = holds.Within
		}
		return x.covers(c, s, how), nil
	}
	if why := x.joins.Forced[s.pc]; why != shape.NoReason {
		return (why == shape.Calling || old.rounds != s.rounds) && x.covers(c, s, holds.Within), nil
	}
	if !x.strict {
		return x.covers(c, s, holds.Within), nil
	}
	if old.rounds == s.rounds && x.covers(c, s, holds.Same) {
		return false, bpf.ErrorAt(x.p.Insns, s.pc, errEndless)
	}
	return false, nil
}

// checkpoint leaves a copy of s, which goes on from it.
func (x *explorer) checkpoint(s *state) *state {
	c := x.mem.clone(s)
	x.mem.last++
	c.branches, c.listed, c.id = 1, true, x.mem.last
	for i := range s.frames {
		s.frames[i].written = 0
	}
	s.history = 0
	x.mem.done(s.parent)
	s.parent, s.from, s.shared, s.depth = c.use(), s.at, len(s.frames), c.depth+1
	x.lastJumps, x.lastSteps = x.jumps, x.steps
	x.stats.States++
	x.stats.Alive++
	x.stats.PeakStates = max(x.stats.PeakStates, x.stats.Alive)
	return c
}

// clean finds out what matters of the stacks of checkpoints to which s may be compared and from which all paths have
// ended (clean_live_states).
func (x *explorer) clean(seen *checkpoints, s *state) {
	for i := range seen.list {
		c := seen.list[i].state
		if c.pc != s.pc || c.branches > 0 || c.clean || c.top().call != s.top().call {
			continue
		}
		c.clean = true
		seen.unread--
		var back [origin.MaxDepth]bpf.InsnIndex
		for i := range c.frames[1:] {
			back[i] = c.frames[i+1].ret
		}
		for i := range c.frames {
			c.frames[i].read = c.top().call.Before(i, c.pc, back[:])
		}
	}
}

// covered ends s, which old covers: what matters of old matters of s.
func (x *explorer) covered(old, s *state) {
	x.met[s.pc] |= metCovered
	head := old
	if old.branches == 0 {
		head = old.head()
		x.inherit(old, s)
	}
	if head == nil {
		return
	}
	for c := s.parent; c != nil && c != head.parent; c = c.parent {
		if h := c.head(); c != head && (h == nil || h.depth > head.depth) {
			c.loop, c.loopID = head, head.id
		}
	}
	head.back = append(head.back, backEdge{x.mem.clone(s), old.use()})
}

// inherit makes what matters of old matter of the path to s. It reports whether that was news.
func (x *explorer) inherit(old, s *state) bool {
	x.news = false
	m := &x.mask
	m.Reset()
	for i := range old.frames {
		f := &old.frames[i]
		if x.live == nil {
			x.reads(s, i, f.read)
		}
		m.AddAll(i, f.precise)
	}
	x.walkBack(s, m)
	return x.news
}

// ended notes that a path is over (update_branch_counts).
func (x *explorer) ended(s *state) {
	for c := s.parent; c != nil; c = c.parent {
		if c.branches--; c.branches > 0 {
			return
		}
		x.complete(c)
	}
}

// complete: all paths from c have ended.
func (x *explorer) complete(c *state) {
	if x.live != nil && c.listed {
		x.explored(c).unread++
	}
	if h := c.head(); len(c.back) > 0 && h != nil {
		h.back = append(h.back, c.back...)
		c.back = nil
	}
	for again := true; again; { // propagate_backedges
		again = false
		for _, b := range c.back {
			again = x.inherit(b.covered, b.last) || again
		}
	}
	for _, b := range c.back {
		x.mem.release(b.last)
		x.mem.done(b.covered)
	}
	c.back = nil
}

// fork is a copy of s to be followed later, after the instruction at hand.
func (x *explorer) fork(s *state, to bpf.InsnIndex) *state {
	c := x.mem.clone(s)
	c.at, c.history = x.origins.Add(&x.now, s.at), s.history+x.recorded()
	c.pc = to
	if c.parent != nil {
		c.parent.branches++
	}
	x.work = append(x.work, c)
	x.tooMany = x.tooMany || len(x.work) > maxWaiting
	return c
}

// previous finds the last checkpoint of the loop that leads to slot at again (find_prev_entry).
func (x *explorer) previous(s *state, at bpf.InsnIndex) *state {
	list := x.explored(s).list
next:
	for i := len(list) - 1; i >= 0; i-- {
		c := list[i].state
		if c.pc != at || c.branches == 0 || len(c.frames) != len(s.frames) || c == s.parent && s.at == s.from {
			continue
		}
		for j := range c.frames {
			if c.frames[j].ret != s.frames[j].ret || c.frames[j].fn != s.frames[j].fn {
				continue next
			}
		}
		return c
	}
	return nil
}

// forget makes numbers unknown that changed since the last round of a loop and on which nothing has depended
// so far (widen_imprecise_scalars).
func (x *explorer) forget(old, s *state) {
	if old == nil {
		return
	}
	changed := func(v, n *holds.Value) bool {
		return v.Kind == holds.Number && n.Kind == holds.Number && v.Typed == n.Typed && (v.Num != n.Num || v.Link != n.Link)
	}
	loosen := func(n *holds.Value) {
		typed := n.Typed
		*n = holds.AnyNumber()
		n.Typed = typed
	}
	for i := range s.frames {
		f, g := &old.frames[i], &s.frames[i]
		for r := range 10 {
			if f.precise.Regs&(1<<r) == 0 && changed(f.regs[r], g.regs[r]) {
				loosen(g.own(uint8(r)))
			}
		}
		for j := range min(f.stack.n, g.stack.n) {
			a, b := f.stack.at(j), g.stack.at(j)
			if a.Bytes[0] == holds.ByteSpill && b.Bytes[0] == holds.ByteSpill && f.precise.Slots&(1<<j) == 0 && changed(a.Spill, b.Spill) {
				v := x.mem.value(b.Spill)
				loosen(v)
				g.stack.own(j).Spill = v
			}
		}
	}
}

// widen forgets all numbers, so that exploration ends on any program. The verifier never needs it:
// it refuses what it cannot follow in full.
func (s *state) widen() {
	s.change(func(v *holds.Value) bool { return v.Kind == holds.Number }, func(v *holds.Value) { *v = holds.AnyNumber() })
}

// dropSingleLinks removes links of values that nothing else is linked to.
func (x *explorer) dropSingleLinks(s *state) {
	if x.links == 0 {
		return
	}
	var found [64]struct{ n, frame, at uint8 } // by the lowest bits of links: how many there are and where the first is, slots after registers
	singles := 0
	note := func(v *holds.Value, frame, at int) {
		if v.Link == 0 || v.Kind != holds.Number {
			return
		}
		switch o := &found[v.Link%64]; o.n {
		case 0:
			o.n, o.frame, o.at = 1, uint8(frame), uint8(at)
			singles++
		case 1:
			o.n = 2
			singles--
		}
	}
	for i := range s.frames {
		f := &s.frames[i]
		for regs := f.linked; regs != 0; regs &= regs - 1 {
			r := bits.TrailingZeros16(regs)
			note(f.regs[r], i, r)
		}
		for p := 0; p*pageSlots < f.stack.n; p++ {
			for ids := f.stack.identified(p); ids != 0; ids &= ids - 1 {
				j := p*pageSlots + bits.TrailingZeros8(ids)
				if sl := f.stack.at(j); sl.Bytes[0] == holds.ByteSpill {
					note(sl.Spill, i, numRegs+j)
				}
			}
		}
	}
	for i := 0; singles > 0; i++ {
		o := &found[i]
		if o.n != 1 {
			continue
		}
		singles--
		f := &s.frames[o.frame]
		if o.at < numRegs {
			v := f.own(o.at)
			v.Link, v.Delta, v.Plus = 0, 0, 0
			f.notes(o.at)
			continue
		}
		v := x.mem.value(f.stack.at(int(o.at) - numRegs).Spill)
		v.Link, v.Delta, v.Plus = 0, 0, 0
		f.stack.own(int(o.at) - numRegs).Spill = v
	}
}
