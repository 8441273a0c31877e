// SPDX-License-Identifier: GPL-2.0-only

package verify

import (
	"errors"
	"fmt"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/kernels"
)

// maxSteps is BPF_COMPLEXITY_LIMIT_INSNS: how many instructions a verification may follow.
const maxSteps = 1_000_000

// explorer follows every path through a program as the verifier does and notes what it sees. A
// path ends where everything that can happen from there was already followed with less knowledge.
type explorer struct {
	p     *bpf.Program
	rules *kernels.Verifier
	funcs []FuncInfo // Name, Start and End are set; StackDepth is found
	fnAt  []int32    // function of each slot
	// submitted is set for programs before the verifier's rewrites: context accesses have their
	// user-visible form.
	submitted bool
	// strict makes errors of what the verifier refuses. Without it exploration always ends.
	strict bool

	// divisions are those with the verifier's checks around them, by first slot: they are followed
	// as the verifier did before it inserted the checks.
	divisions map[bpf.InsnIndex]guard

	visited []bool
	base    []valueKind // what each load and store goes through
	guarded []bool      // loads through addresses that may be bad
	arenas  []bool      // accesses to the arena
	arena   bool        // the program has one
	narrow  []bool      // 64-bit arithmetic on an address in the arena
	calls   map[bpf.InsnIndex]*tailCallFacts
	lookups map[bpf.InsnIndex]*mapFacts
	loops   map[bpf.InsnIndex]*loopFacts
	join    []bool // slots at which states are compared
	liveIn  []uint16
	seen    [][]*state
	work    []*state
	steps   int
	links   uint32
}

// tailCallFacts are what all paths to a tail call agree on (bpf_insn_aux_data.map_key_state).
type tailCallFacts struct {
	mapFacts
	key         uint32
	keySeen     bool
	keyPoisoned bool
	ways        []TailCallWay // what each path brings, without repetitions; see TailCalls
}

// mapFacts are the map that all paths to a call pass (bpf_insn_aux_data.map_ptr_state).
type mapFacts struct {
	mapIdx   int32
	seen     bool
	poisoned bool
}

func (m *mapFacts) note(v *value) {
	switch {
	case v.kind != kindMap:
		m.poisoned = true
	case m.seen && m.mapIdx != v.mapIdx:
		m.poisoned = true
	default:
		m.mapIdx = v.mapIdx
	}
	m.seen = true
}

func newExplorer(p *bpf.Program, t *kernels.Kernel, funcs []FuncInfo) *explorer {
	x := &explorer{
		p: p, rules: &t.Verifier, funcs: funcs,
		fnAt:    make([]int32, len(p.Insns)),
		visited: make([]bool, len(p.Insns)),
		base:    make([]valueKind, len(p.Insns)),
		guarded: make([]bool, len(p.Insns)),
		arenas:  make([]bool, len(p.Insns)),
		narrow:  make([]bool, len(p.Insns)),
		calls:   map[bpf.InsnIndex]*tailCallFacts{},
		lookups: map[bpf.InsnIndex]*mapFacts{},
		loops:   map[bpf.InsnIndex]*loopFacts{},
		join:    make([]bool, len(p.Insns)),
		seen:    make([][]*state, len(p.Insns)),
	}
	for i, f := range funcs {
		for j := f.Start; j < f.End; j++ {
			x.fnAt[j] = int32(i)
		}
	}
	arena, err := p.Arena()
	x.arena = err == nil && arena >= 0
	x.divisions = findGuards(p.Insns, t.Emit.AX)
	x.findJoins()
	x.findLive()
	return x
}

// run explores from the entry, then from every function whose address a followed instruction loads,
// as helpers call it, and from every global function that one calls (do_check_subprogs).
func (x *explorer) run() error {
	if err := x.root(0); err != nil {
		return err
	}
	if err := x.called(); err != nil {
		return err
	}
	for i, f := range x.p.Funcs {
		if !f.ExceptionCB || x.visited[f.Start] {
			continue
		}
		if err := x.root(i); err != nil {
			return err
		}
		if err := x.called(); err != nil {
			return err
		}
	}
	if x.submitted {
		return nil
	}
	return x.rest()
}

// called explores the functions that followed instructions refer to and that were not followed from there.
func (x *explorer) called() error {
	for again := true; again; {
		again = false
		for i := bpf.InsnIndex(0); int(i) < len(x.visited); i += x.p.Insns[i].Width() {
			to, ok := x.p.Insns[i].Callee(i)
			if !ok || !x.visited[i] || x.visited[to] {
				continue
			}
			if err := x.root(int(x.fnAt[to])); err != nil {
				return err
			}
			again = true
		}
	}
	return nil
}

// root explores from the start of a function that no instruction calls.
func (x *explorer) root(fn int) error {
	f := &x.p.Funcs[fn]
	s := &state{pc: x.funcs[fn].Start, frames: []frameState{{fn: fn, ret: -1, callback: fn != 0 && !f.ExceptionCB && !f.Global}}}
	s.top().regs[10] = value{kind: kindStack, num: constScalar(0)}
	for r := 1; r <= 5 && (fn != 0 || !x.strict); r++ {
		s.top().regs[r] = unknownNumber()
	}
	if fn != 0 && f.Global {
		x.params(s, f)
	}
	if fn == 0 {
		s.top().regs[1] = pointer(kindContext)
	}
	x.work = append(x.work, s)
	return x.drain()
}

// rest explores the code that no path led to. The verifier has left no dead code, so what it knew
// there was less than what is known here: after a rewrite that hides where a number came from.
func (x *explorer) rest() error {
	for i := bpf.InsnIndex(0); int(i) < len(x.visited); i += x.p.Insns[i].Width() {
		if x.visited[i] {
			continue
		}
		s := &state{pc: i, frames: []frameState{{fn: int(x.fnAt[i]), ret: -1}}}
		for r := range 10 {
			s.top().regs[r] = unknownNumber()
		}
		s.top().regs[10] = value{kind: kindStack, num: constScalar(0)}
		x.work = append(x.work, s)
		if err := x.drain(); err != nil {
			return err
		}
	}
	return nil
}

func (x *explorer) drain() error {
	for len(x.work) > 0 {
		s := x.work[len(x.work)-1]
		x.work = x.work[:len(x.work)-1]
		for s != nil {
			if x.join[s.pc] && x.prune(s) {
				break
			}
			if x.steps++; x.steps > maxSteps {
				return fmt.Errorf("program is too complex: more than %d instructions followed", maxSteps)
			}
			x.visited[s.pc] = true
			if g, ok := x.divisions[s.pc]; ok {
				err := x.alu(s.top(), x.p.Insns[g.div])
				for ; s.pc < g.end; s.pc++ {
					x.visited[s.pc] = true
				}
				if err != nil {
					return err
				}
				continue
			}
			at := s.pc
			next, err := x.step(s)
			if err != nil {
				return fmt.Errorf("insn %d (%s): %w", at, bpf.TextAt(x.p.Insns, at), err)
			}
			s = next
		}
	}
	return nil
}

// Bounds of the states kept at one slot. Programs that the verifier has accepted are widened beyond
// maxSeen, so that their exploration ends soon; of submitted ones the states are dropped that have
// not covered another for the longest time, and the number of steps ends it.
const (
	maxSeen = 200
	maxKept = 128
)

// prune reports whether s need not be followed, and remembers s if it must be.
func (x *explorer) prune(s *state) bool {
	x.dropSingleLinks(s)
	list := x.seen[s.pc]
	live := func(pc bpf.InsnIndex) uint16 { return x.liveIn[pc] }
	for i := len(list) - 1; i >= 0; i-- {
		if old := list[i]; old.covers(s, live) {
			copy(list[i:], list[i+1:])
			list[len(list)-1] = old
			return true
		}
	}
	switch {
	case x.strict && len(list) >= maxKept:
		copy(list, list[1:])
		list[len(list)-1] = s.clone()
		return false
	case !x.strict && len(list) >= maxSeen:
		s.widen()
	}
	x.seen[s.pc] = append(list, s.clone())
	return false
}

// widen forgets all numbers, so that exploration ends on any program. The verifier never needs it:
// it refuses what it cannot follow in full.
func (s *state) widen() {
	s.everyValue(func(v *value) {
		if v.kind == kindNumber {
			*v = unknownNumber()
		}
	})
}

// dropSingleLinks removes links of values that nothing else is linked to.
func (x *explorer) dropSingleLinks(s *state) {
	var count [64]uint8
	s.everyValue(func(v *value) {
		if v.link != 0 {
			if n := &count[v.link%64]; *n < 255 {
				*n++
			}
		}
	})
	s.everyValue(func(v *value) {
		if v.link != 0 && count[v.link%64] == 1 {
			v.link, v.delta, v.plus = 0, 0, false
		}
	})
}

// findJoins marks the slots that more than one path can reach.
func (x *explorer) findJoins() {
	in := make([]uint8, len(x.p.Insns))
	edge := func(to bpf.InsnIndex) {
		if int(to) < len(in) && in[to] < 2 {
			in[to]++
		}
	}
	for _, f := range x.funcs {
		x.join[f.Start] = true
	}
	for i := bpf.InsnIndex(0); int(i) < len(x.p.Insns); i++ {
		fall, to, ok := flow(x.p.Insns, i)
		if ok {
			edge(to)
		}
		if fall {
			edge(i + x.p.Insns[i].Width())
		}
		if in := x.p.Insns[i]; in.IsSubCall() {
			x.join[i+1+bpf.InsnIndex(in.Imm)] = true
			if int(i)+1 < len(x.join) {
				x.join[i+1] = true
			}
		}
		i += x.p.Insns[i].Width() - 1
	}
	for i, n := range in {
		if n > 1 {
			x.join[i] = true
		}
	}
}

// findLive computes which registers are read before they are written, per slot.
func (x *explorer) findLive() {
	x.liveIn = make([]uint16, len(x.p.Insns))
	for changed := true; changed; {
		changed = false
		for i := bpf.InsnIndex(len(x.p.Insns)) - 1; i >= 0; i-- {
			in := x.p.Insns[i]
			if i > 0 && x.p.Insns[i-1].IsLdImm64() && in.Op == 0 {
				continue
			}
			fall, to, ok := flow(x.p.Insns, i)
			var out uint16
			if ok {
				out |= x.liveIn[to]
			}
			if n := i + in.Width(); fall && int(n) < len(x.liveIn) {
				out |= x.liveIn[n]
			}
			reads, writes := in.RegUse()
			if l := out&^writes | reads; l != x.liveIn[i] {
				x.liveIn[i] = l
				changed = true
			}
		}
	}
}

// flow returns where control goes from a slot: on to the next instruction, to a target, or both.
func flow(insns []bpf.Insn, i bpf.InsnIndex) (fall bool, to bpf.InsnIndex, jumps bool) {
	in := insns[i]
	switch c := in.Class(); {
	case c != bpf.ClassJmp && c != bpf.ClassJmp32:
		return true, 0, false
	case in.Op == bpf.OpExit:
		return false, 0, false
	case in.Op == bpf.OpCall || in.Op == bpf.OpTailCall || in.Op == bpf.OpCallX:
		return true, 0, false
	case in.Op&0xf0 == bpf.JmpJA && c == bpf.ClassJmp32:
		return false, i + 1 + bpf.InsnIndex(in.Imm), true
	case in.Op&0xf0 == bpf.JmpJA:
		return false, i + 1 + bpf.InsnIndex(in.Off), true
	}
	return true, i + 1 + bpf.InsnIndex(in.Off), true
}

var errStack = errors.New("access outside the stack")

// touch notes that a function's stack is used from offset lo to hi, from r10.
func (x *explorer) touch(fn int, lo, hi int64) error {
	if x.strict && (lo < -maxStack || hi > 0) {
		return fmt.Errorf("%w: r10%+d to r10%+d", errStack, lo, hi)
	}
	if lo = max(lo, -maxStack); lo < 0 {
		x.funcs[fn].StackDepth = max(x.funcs[fn].StackDepth, int32(-lo))
	}
	return nil
}

// newLink returns an identity for values that are copies of each other.
func (x *explorer) newLink() uint32 {
	x.links++
	return x.links
}
