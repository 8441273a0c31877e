// SPDX-License-Identifier: GPL-2.0-only

package graph

import "slices"

// Graph is programs that call and tail call, the prog arrays that they go through, and what happens
// to them. The graphs that this package returns are valid: see tidy.
type Graph struct {
	// Limit replaces the number of tail calls that an invocation may take; 0 keeps the target's.
	Limit     uint32
	Arrays    []Array
	Selectors []uint32 // initial values of the map values that keys are read from
	Programs  []Program
	Events    []Event
}

// Array is a prog array.
type Array struct {
	Slots []int // program by key, -1 for none
}

// Program is a program. Funcs[0] is its entry; functions call only functions after them.
type Program struct{ Funcs []Func }

// Func is one function.
type Func struct {
	Stack int   // bytes of buffer on the BPF stack, which are compared before the end
	Saved uint8 // bit i: r6+i holds a value that is compared before the end
	Ops   []Op
	// Result returns what the call in front returned; else the function returns a number of its own.
	Result bool
}

// OpKind says what an Op does.
type OpKind uint8

// The kinds.
const (
	OpCount    OpKind = iota // count in the function's own map value
	OpTailCall               // tail call through Array at Key
	OpCall                   // call function Func
	OpLookup                 // count in a map value found by bpf_map_lookup_elem
	OpSelect                 // selector To = Value
	OpClobber                // overwrite Value bytes of stack and call a helper
	OpHelper                 // call a helper that is no map's
	OpArg                    // count in the word on its caller's stack that every call of the function hands over
	OpAtomic                 // atomic operation Value on a word that all share; what it fetches is kept in another
	opKinds
)

// Op is one thing that a function does. Fields that Kind does not name mean nothing.
type Op struct {
	Kind  OpKind
	Array int
	Key   Key
	Func  int
	To    int // selector
	Value uint32
	Mark  int // only in runs with this mark; 0 means in all
}

// KeyKind says where the key of a tail call comes from.
type KeyKind uint8

// The kinds.
const (
	KeyConst    KeyKind = iota // Value
	KeySelector                // selector Value
	KeyMark                    // the mark of the run
	keyKinds
)

// Key is the key of a tail call. A constant one makes a direct tail call if it is in the array.
type Key struct {
	Kind  KeyKind
	Value uint32
}

// EventKind says what an Event does.
type EventKind uint8

// The kinds.
const (
	EventRun    EventKind = iota // run Program with Mark
	EventInsert                  // put Program into slot Key of Array
	EventDelete                  // empty slot Key of Array
	EventSelect                  // selector Key = Value
	eventKinds
)

// Event is something that happens from outside.
type Event struct {
	Kind    EventKind
	Program int
	Mark    uint32
	Array   int
	Key     int
	Value   uint32
}

// Sites returns how many calls of functions and tail calls the graph has.
func (g *Graph) Sites() int {
	n := 0
	for i := range g.Programs {
		for j := range g.Programs[i].Funcs {
			for _, op := range g.Programs[i].Funcs[j].Ops {
				if op.Kind == OpCall || op.Kind == OpTailCall {
					n++
				}
			}
		}
	}
	return n
}

// tidy removes what is never reached and brings the rest within the bounds of the kernel.
func (g *Graph) tidy() {
	for i := range g.Programs {
		p := &g.Programs[i]
		p.callTree()
		p.dropUncalled()
		p.handOver()
		p.keepOver()
		p.shrinkStacks()
	}
	for before := -1; before != len(g.Programs); { // what was dropped may have been all that reached others
		before = len(g.Programs)
		g.dropUnread()
		g.dropUnused()
	}
	g.dropUnread()
}

// maxTree is how many functions one pass through a program may enter. Each of up to 33 tail calls
// begins such a pass.
const maxTree = 12

// maxCalls is how many calls deep a function may be: with more the kernel stack does not suffice
// for 33 frames of each, see shrinkStacks.
const maxCalls = 3

// callTree drops calls that would make a pass through the program too long or too deep.
func (p *Program) callTree() {
	size := make([]int, len(p.Funcs))
	deep := make([]int, len(p.Funcs)) // calls below
	for i := len(p.Funcs) - 1; i >= 0; i-- {
		size[i] = 1
		f := &p.Funcs[i]
		f.Ops = slices.DeleteFunc(f.Ops, func(op Op) bool {
			if op.Kind != OpCall {
				return false
			}
			if op.Func <= i || op.Func >= len(p.Funcs) || size[i]+size[op.Func] > maxTree || deep[op.Func] >= maxCalls {
				return true
			}
			size[i] += size[op.Func]
			deep[i] = max(deep[i], deep[op.Func]+1)
			return false
		})
		if n := len(f.Ops); n == 0 || f.Ops[n-1].Kind != OpCall || f.Ops[n-1].Mark != 0 {
			f.Result = false
		}
	}
}

// dropUncalled removes functions that nothing calls; the verifier refuses them.
func (p *Program) dropUncalled() {
	called := make([]bool, len(p.Funcs))
	called[0] = true
	for i := range p.Funcs {
		for _, op := range p.Funcs[i].Ops {
			if op.Kind == OpCall && called[i] {
				called[op.Func] = true
			}
		}
	}
	number := renumber(called)
	p.Funcs = keep(p.Funcs, called)
	for i := range p.Funcs {
		for j := range p.Funcs[i].Ops {
			if op := &p.Funcs[i].Ops[j]; op.Kind == OpCall {
				op.Func = number[op.Func]
			}
		}
	}
}

// renumber returns the new numbers of what is kept.
func renumber(kept []bool) []int {
	number := make([]int, len(kept))
	n := 0
	for i, k := range kept {
		if number[i] = n; k {
			n++
		}
	}
	return number
}

func keep[T any](s []T, kept []bool) []T {
	var out []T
	for i := range s {
		if kept[i] {
			out = append(out, s[i])
		}
	}
	return out
}

// Bounds of stacks in bytes: what the verifier accepts above a function with a tail call and in a
// chain of calls (kernel/bpf/verifier.c, check_max_stack_depth), and what may lie on the kernel
// stack below each of 33 tail calls so that it suffices: this package looks for wrong code, not for
// the deepest stack that the verifier lets through.
const (
	maxAbove  = 255
	maxChain  = 512
	maxKernel = 440
	overhead  = 80 // return address, rbp, counters, saved registers
)

// shrinkStacks halves buffers until everything is within its bounds.
func (p *Program) shrinkStacks() {
	for !p.stacksFit() {
		for i := range p.Funcs {
			p.Funcs[i].Stack = p.Funcs[i].Stack / 2 &^ 7
		}
		p.keepOver()
	}
}

func (p *Program) stacksFit() bool {
	above := make([]int, len(p.Funcs)) // bytes of BPF stack in the deepest chain of callers
	frames := make([]int, len(p.Funcs))
	for i := range p.Funcs {
		f := &p.Funcs[i]
		own := f.frame()
		if above[i]+own > maxChain {
			return false
		}
		for _, op := range f.Ops {
			switch op.Kind {
			case OpTailCall:
				if above[i] > maxAbove || above[i]+frames[i]*overhead > maxKernel {
					return false
				}
			case OpCall:
				above[op.Func] = max(above[op.Func], above[i]+own)
				frames[op.Func] = max(frames[op.Func], frames[i]+1)
			}
		}
	}
	return true
}

// frame is at least what the function has on the BPF stack: its buffer, what is clobbered below
// it, and room for ctx, a pointer, a key and an operand, rounded as the kernels before 6.8 do.
func (f *Func) frame() int {
	clobbered := 0
	for _, op := range f.Ops {
		if op.Kind == OpClobber {
			clobbered = max(clobbered, int(op.Value))
		}
	}
	own := 24
	if f.takesArg() {
		own += 8
	}
	return (f.Stack + clobbered + own + 31) &^ 31
}

// dropUnused removes programs that are never run or reached through a slot.
func (g *Graph) dropUnused() {
	used := make([]bool, len(g.Programs))
	for _, e := range g.Events {
		if e.Kind == EventRun || e.Kind == EventInsert {
			used[e.Program] = true
		}
	}
	for _, a := range g.Arrays {
		for _, p := range a.Slots {
			if p >= 0 {
				used[p] = true
			}
		}
	}
	number := renumber(used)
	g.Programs = keep(g.Programs, used)
	for i := range g.Events {
		g.Events[i].Program = number[min(g.Events[i].Program, len(number)-1)]
	}
	for _, a := range g.Arrays {
		for i, p := range a.Slots {
			if p >= 0 {
				a.Slots[i] = number[p]
			}
		}
	}
}

// dropUnread removes arrays that no tail call goes through and selectors that no key comes from,
// with what is done to them.
func (g *Graph) dropUnread() {
	arrays, selectors := make([]bool, len(g.Arrays)), make([]bool, len(g.Selectors))
	g.eachOp(func(op *Op) {
		if op.Kind != OpTailCall {
			return
		}
		arrays[op.Array] = true
		if op.Key.Kind == KeySelector {
			selectors[op.Key.Value] = true
		}
	})
	g.Events = slices.DeleteFunc(g.Events, func(e Event) bool {
		switch e.Kind {
		case EventInsert, EventDelete:
			return !arrays[e.Array]
		case EventSelect:
			return !selectors[e.Key]
		}
		return false
	})
	for i := range g.Programs {
		for j := range g.Programs[i].Funcs {
			f := &g.Programs[i].Funcs[j]
			f.Ops = slices.DeleteFunc(f.Ops, func(op Op) bool { return op.Kind == OpSelect && !selectors[op.To] })
		}
	}
	array, selector := renumber(arrays), renumber(selectors)
	g.Arrays, g.Selectors = keep(g.Arrays, arrays), keep(g.Selectors, selectors)
	for i := range g.Events {
		switch e := &g.Events[i]; e.Kind {
		case EventInsert, EventDelete:
			e.Array = array[e.Array]
		case EventSelect:
			e.Key = selector[e.Key]
		}
	}
	g.eachOp(func(op *Op) {
		if op.Kind == OpSelect {
			op.To = selector[op.To]
		}
		if op.Kind == OpTailCall {
			op.Array = array[op.Array]
			if op.Key.Kind == KeySelector {
				op.Key.Value = uint32(selector[op.Key.Value])
			}
		}
	})
}

func (g *Graph) eachOp(f func(*Op)) {
	for i := range g.Programs {
		for j := range g.Programs[i].Funcs {
			for k := range g.Programs[i].Funcs[j].Ops {
				f(&g.Programs[i].Funcs[j].Ops[k])
			}
		}
	}
}
