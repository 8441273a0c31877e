// SPDX-License-Identifier: GPL-2.0-only

package verify

import (
	"errors"
	"fmt"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/verify/agreed"
	"github.com/tcsim/tcsim/jit/verify/form"
	"github.com/tcsim/tcsim/jit/verify/holds"
	"github.com/tcsim/tcsim/jit/verify/live"
	"github.com/tcsim/tcsim/jit/verify/origin"
	"github.com/tcsim/tcsim/jit/verify/ranges"
	"github.com/tcsim/tcsim/jit/verify/rights"
	"github.com/tcsim/tcsim/jit/verify/shape"
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
	divisions map[bpf.InsnIndex]form.Guard

	visited   []bool
	sync      map[bpf.InsnIndex]bool // functions, by slot, that helpers call before they return
	base      []holds.Kind           // what each load and store goes through
	met       []uint32               // Verified.Met
	guarded   []bool                 // loads through addresses that may be bad
	arenas    []bool                 // accesses to the arena
	arena     bool                   // the program has one
	narrow    []bool                 // 64-bit arithmetic on an address in the arena
	visitedAs []uint8                // how such arithmetic was met: 1 with numbers, 2 with an address in the arena
	calls     map[bpf.InsnIndex]*agreed.TailCall
	lookups   map[bpf.InsnIndex]*agreed.Map
	loops     map[bpf.InsnIndex]*agreed.Loop
	joins     shape.Joins
	registers []shape.Registers
	callees   []*shape.Callee
	seen      []checkpoints
	live      *live.Stacks // nil for kernels that do not have it
	work      []*state
	links     uint32
	// checkedCalls are the calls of helpers of which it is known that the program may call them; iterKinds are the kinds of
	// iterators that were met.
	checkedCalls []bool
	// fast are the calls of each function whose spills and fills may go; nil where that is not known or not done.
	fast      []shape.Fastcalls
	effects   []shape.Effects         // of each function
	contexts  map[bpf.InsnIndex]uint8 // whether callers of global functions, by slot, may sleep: bit 1 if some may, bit 0 if others may not
	waiting   []int                   // twice such a function's index, plus one for callers that may sleep
	async     map[bpf.InsnIndex]bool  // functions, by slot, that timers and work queues call
	slow      map[bpf.InsnIndex]bool  // of them, those that may sleep
	iterKinds []string
	structs   []string // structures of kernel objects that were met

	// Counts of instructions and jumps followed, and what they were at the last checkpoint.
	steps, jumps, lastSteps, lastJumps int
	stats                              Stats
	now                                origin.Step // the instruction that is being followed
	origins                            origin.Walk
	news                               bool // a mark was new
	tooMany                            bool // more paths wait than a kernel keeps

	mask  origin.Marks
	pairs rights.Pairs
	mem   *memories
	room  holds.Value // what was read, if that is not there already
	// operands are the constants of instructions, by slot, as far as they were met; constants are the same by value.
	operands  []*holds.Value
	constants map[int32]*holds.Value
}

// Bits of Verified.Met after those of the kinds of addresses.
const (
	metOutcome = 1 << 24 // and the next two bits, by ranges.Outcome
	metCovered = 1 << 27 // a path ended there, as a checkpoint covers it
)

// recycle ends the exploration.
func (x *explorer) recycle() {
	x.seen = nil
	x.mem.states.Reset()
	x.mem.values.Reset()
	x.mem.pages.Reset()
	x.origins.Begin(nil)
	x.mem.walk = x.origins
	spares.Put(x.mem)
}

func newExplorer(p *bpf.Program, t *kernels.Kernel, funcs []FuncInfo) *explorer {
	n := len(p.Insns)
	bools := make([]bool, 5*n)
	marks := func(i int) []bool { return bools[i*n : (i+1)*n : (i+1)*n] }
	x := &explorer{
		p: p, rules: &t.Verifier, funcs: funcs, mem: spares.Get().(*memories),
		fnAt:      make([]int32, n),
		visited:   marks(0),
		sync:      map[bpf.InsnIndex]bool{},
		base:      make([]holds.Kind, n),
		met:       make([]uint32, n),
		guarded:   marks(1),
		arenas:    marks(2),
		narrow:    marks(3),
		visitedAs: make([]uint8, n),
		calls:     map[bpf.InsnIndex]*agreed.TailCall{},
		lookups:   map[bpf.InsnIndex]*agreed.Map{},
		loops:     map[bpf.InsnIndex]*agreed.Loop{},
		seen:      make([]checkpoints, n),
		operands:  make([]*holds.Value, n),
		constants: map[int32]*holds.Value{},

		checkedCalls: marks(4),
		contexts:     map[bpf.InsnIndex]uint8{},
		async:        map[bpf.InsnIndex]bool{},
		slow:         map[bpf.InsnIndex]bool{},
	}
	for i, f := range funcs {
		for j := f.Start; j < f.End; j++ {
			x.fnAt[j] = int32(i)
		}
	}
	x.origins = x.mem.walk
	x.origins.Begin(p.Insns)
	arena, err := p.Arena()
	x.arena = err == nil && arena >= 0
	x.divisions = form.FindGuards(p.Insns, t.Emit.AX)
	x.callees = shape.FindCallees(p)
	x.effects = shape.FindEffects(p, x.rules, x.callees, x.fnAt, len(funcs))
	x.registers = shape.FindLive(p, x.callees)
	x.joins = shape.FindJoins(p, funcs, x.callees)
	if x.rules.StackFlow {
		x.live = live.New(p.Insns, funcs)
	}
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
		for ; len(x.waiting) > 0; again = true {
			w := x.waiting[0]
			x.waiting = x.waiting[1:]
			if err := x.rootIn(w/2, w%2 == 1, true); err != nil {
				return err
			}
		}
		for i := bpf.InsnIndex(0); int(i) < len(x.visited); i += x.p.Insns[i].Width() {
			to, ok := x.p.Insns[i].Callee(i)
			if !ok || !x.visited[i] || x.visited[to] || x.neverCalled(to) || x.contexts[to] != 0 {
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

// neverCalled reports whether helpers call the function at a slot, and none of them does so even once: bpf_loop with no rounds.
// Verifiers do not look at such a function (check_helper_call, since 6.7).
func (x *explorer) neverCalled(to bpf.InsnIndex) bool {
	return x.judges() && !x.rules.CallbackOnce && x.sync[to] && !x.visited[to]
}

// lost refuses functions that are never called if there are others that are: the first are removed, and then what refers to
// them leads nowhere (jit_subprogs).
func (x *explorer) lost() error {
	seen, lost := 0, -1
	for i := range x.funcs {
		switch at := x.funcs[i].Start; {
		case x.visited[at]:
			seen++
		case x.neverCalled(at):
			lost = i
		}
	}
	if seen > 1 && lost >= 0 {
		return fmt.Errorf("function %s is handed to bpf_loop with no rounds: the kernel removes it and then misses it (EFAULT)", x.funcs[lost].Name)
	}
	return nil
}

// root explores from the start of a function that no instruction calls.
func (x *explorer) root(fn int) error {
	return x.rootIn(fn, x.slow[x.funcs[fn].Start], x.async[x.funcs[fn].Start])
}

// rootIn is root where functions that sleep may be called or not, whatever the program may if own is set.
func (x *explorer) rootIn(fn int, sleeps, own bool) error {
	f := &x.p.Funcs[fn]
	first := x.mem.frame(fn)
	first.ret, first.callback, first.call = -1, fn != 0 && !f.ExceptionCB && !f.Global, x.live.Root(fn)
	s := &state{pc: x.funcs[fn].Start, frames: []frameState{first}}
	s.held.Sleeps, s.held.Later = sleeps, own
	s.top().set(10, holds.Value{Kind: holds.Stack, Num: ranges.ConstScalar(0)})
	for r := uint8(1); r <= 5 && (fn != 0 || !x.strict); r++ {
		v := holds.AnyNumber()
		if x.judges() {
			v.Typed = holds.Unsure // a helper hands it over
		}
		s.top().set(r, v)
	}
	if fn != 0 && f.Global {
		if err := shape.MayBeGlobal(f, x.rules); err != nil && x.judges() {
			return err
		}
		x.params(s, f)
	}
	switch {
	case fn == 0 && x.p.Type == bpf.Extension && x.submitted:
		x.params(s, f)
		for r := range f.Params {
			v := s.top().own(uint8(r + 1))
			v.OrNull, v.Link, v.Typed = false, 0, holds.Unsure // as the caller of the replaced function has it
		}
	case fn == 0:
		s.top().set(1, holds.To(holds.Context))
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
		first := x.mem.frame(int(x.fnAt[i]))
		first.ret, first.call = -1, x.live.Root(first.fn)
		s := &state{pc: i, frames: []frameState{first}}
		for r := range uint8(10) {
			s.top().set(r, holds.AnyNumber())
		}
		s.top().set(10, holds.Value{Kind: holds.Stack, Num: ranges.ConstScalar(0)})
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
		if err := x.follow(s); err != nil {
			return err
		}
		s.top().call.Update()
		x.ended(s)
		x.mem.release(s)
	}
	return nil
}

// follow follows a path to its end, or to a checkpoint that covers it.
func (x *explorer) follow(s *state) error {
	for {
		if x.steps++; x.steps > maxSteps {
			return shape.TooComplex("program is too complex: more than %d instructions followed", maxSteps)
		}
		if x.joins.Compare[s.pc] {
			if done, err := x.prune(s); done || err != nil {
				return err
			}
		}
		at := s.pc
		if !x.visited[at] && x.judges() {
			if err := form.Operands(x.p.Insns[at]); err != nil {
				return bpf.ErrorAt(x.p.Insns, at, err)
			}
		}
		x.visited[at] = true
		x.now = origin.Step{PC: int32(at), Depth: uint8(len(s.frames) - 1), Slot: -1}
		if g, ok := x.guard(at); ok {
			x.now.PC = int32(g.Div)
			x.alu(s.top(), x.p.Insns[g.Div])
			for ; s.pc < g.End; s.pc++ {
				x.visited[s.pc] = true
			}
		} else {
			call := s.top().call
			stores := form.Stores(x.p.Insns[at])
			if stores {
				call.Forget()
			}
			on, err := x.step(s)
			if err != nil {
				return bpf.ErrorAt(x.p.Insns, at, err)
			}
			if stores && s.top().call == call {
				call.Commit(at)
			}
			if !on {
				return nil
			}
		}
		s.at, s.history = x.origins.Add(&x.now, s.at), s.history+x.recorded()
		if x.tooMany && x.strict {
			return bpf.ErrorAt(x.p.Insns, at, shape.TooComplex("more than %d paths wait to be followed (The sequence of jumps is too complex)", maxWaiting))
		}
	}
}

// guard returns the division with the verifier's checks around it that begins at a slot.
func (x *explorer) guard(at bpf.InsnIndex) (form.Guard, bool) {
	if len(x.divisions) == 0 {
		return form.Guard{}, false
	}
	g, ok := x.divisions[at]
	return g, ok
}

var errStack = errors.New("access outside the stack")

// touch notes that a function's stack is used from offset lo to hi, from r10.
func (x *explorer) touch(fn int, lo, hi int64) error {
	x.keepFast(fn, lo)
	if x.strict && (lo < -maxStack || hi > 0) {
		return fmt.Errorf("%w: r10%+d to r10%+d", errStack, lo, hi)
	}
	limit := int64(maxStack)
	if !x.submitted {
		limit += extraStack
	}
	if lo = max(lo, -limit); lo < 0 {
		x.funcs[fn].StackDepth = max(x.funcs[fn].StackDepth, int32(-lo))
	}
	return nil
}

// keepFast keeps the spills and fills of a function where something else accesses their slots, from offset lo on
// (check_fastcall_stack_contract).
func (x *explorer) keepFast(fn int, lo int64) {
	if x.fast == nil || lo >= x.fast[fn].From || x.fast[fn].Has(bpf.InsnIndex(x.now.PC)) {
		return
	}
	x.fast[fn] = shape.Fastcalls{From: -1 << 63}
}

// dropFast is what remains of the stack of functions whose spills and fills go (remove_fastcall_spills_fills).
func (x *explorer) dropFast() {
	for fn := range x.fast {
		if f := &x.fast[fn]; f.Removes() && !f.Keeps {
			x.funcs[fn].StackDepth = int32(-f.From)
		}
	}
}

// ErrComplex says that a verification takes more than kernels allow, whatever the program does.
var ErrComplex = shape.ErrComplex

// newLink returns an identity for values that are copies of each other.
func (x *explorer) newLink() uint32 {
	x.links++
	return x.links
}
