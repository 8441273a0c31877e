// SPDX-License-Identifier: GPL-2.0-only

package graph

// Bounds of random graphs.
const (
	maxPrograms  = 4
	maxFuncs     = 4
	maxOps       = 5
	maxArrays    = 2
	maxSlots     = 4
	maxSelectors = 2
	maxEvents    = 7
	maxMark      = 2
)

// Random makes the graph that a stream of choices stands for. Every stream makes a valid one.
func Random(c *Choices) *Graph {
	g := &Graph{Limit: one(c, uint32(0), 0, 1, 2, 3, 5, 0, 8)}
	more := len(c.Used())
	programs := 1
	for programs < maxPrograms && c.more(3) {
		programs++
	}
	arrays := 1 + c.pick(maxArrays)
	for range arrays {
		g.Arrays = append(g.Arrays, array(c, programs))
	}
	for range maxSelectors {
		g.Selectors = append(g.Selectors, uint32(c.pick(maxSlots+1)))
	}
	for range programs {
		from := len(c.Used())
		g.Programs = append(g.Programs, program(c, g))
		c.programs = append(c.programs, part{more, from, len(c.Used())})
	}
	g.Events = []Event{{Kind: EventRun}}
	for len(g.Events) < maxEvents && c.more(3) {
		g.Events = append(g.Events, event(c, g, programs))
	}
	if c.more(2) {
		g.Events[0] = run(c, programs)
	}
	g.tidy()
	return g
}

func array(c *Choices, programs int) Array {
	a := Array{Slots: []int{c.programOrNone(programs)}}
	for len(a.Slots) < maxSlots && c.more(3) {
		a.Slots = append(a.Slots, c.programOrNone(programs))
	}
	return a
}

func program(c *Choices, g *Graph) Program {
	var p Program
	funcs := 1
	for funcs < maxFuncs && c.more(4) {
		funcs++
	}
	for i := range funcs {
		f := Func{}
		for len(f.Ops) < maxOps && c.more(5) {
			f.Ops = append(f.Ops, op(c, g, i, funcs))
		}
		if c.more(2) {
			f.Stack = one(c, 0, 8, 1, 16, 13, 24, 3, 40, 64, 112, 200, 320, 440)
		}
		if c.more(2) {
			f.Saved = uint8(c.pick(16))
		}
		f.Result = c.more(2)
		p.Funcs = append(p.Funcs, f)
	}
	return p
}

// op makes an operation of function i of n.
func op(c *Choices, g *Graph, i, n int) Op {
	o := Op{Kind: one(c, OpCount, OpTailCall, OpCall, OpTailCall, OpCall, OpLookup, OpSelect, OpClobber, OpHelper, OpTailCall, OpCall, OpArg, OpTailCall, OpCall)}
	switch o.Kind {
	case OpTailCall:
		o.Array = c.pick(len(g.Arrays))
		o.Key = key(c, len(g.Arrays[o.Array].Slots))
	case OpCall:
		if o.Func = i + 1 + c.pick(max(n-i-1, 1)); o.Func >= n {
			o = Op{Kind: OpCount}
		}
	case OpLookup:
		o.Value = uint32(c.pick(tableEntries))
	case OpSelect:
		o.To, o.Value = c.pick(maxSelectors), uint32(c.pick(maxSlots+1))
	case OpClobber:
		o.Value = one[uint32](c, 8, 16, 24, 40)
	case OpArg:
		if i == 0 { // nothing calls it
			o.Kind = OpCount
		}
	case OpHelper:
		if o.Value = uint32(c.pick(len(helperNames) + 1)); int(o.Value) == len(helperNames) {
			o = Op{Kind: OpAtomic, Value: uint32(c.pick(len(atomicOps)))}
		}
	}
	if c.pick(6) == 5 {
		o.Mark = 1 + c.pick(maxMark)
	}
	return o
}

// key chooses the key of a tail call through an array of n slots; one after them is possible.
func key(c *Choices, n int) Key {
	k := Key{Kind: one(c, KeyConst, KeySelector, KeyConst, KeyConst, KeyMark)}
	switch k.Kind {
	case KeyConst:
		k.Value = uint32(c.pick(n + c.pick(8)/7)) // rarely out of bounds
	case KeySelector:
		k.Value = uint32(c.pick(maxSelectors))
	}
	return k
}

func event(c *Choices, g *Graph, programs int) Event {
	switch one(c, EventRun, EventInsert, EventDelete, EventSelect, EventRun, EventInsert) {
	case EventInsert:
		a := c.pick(len(g.Arrays))
		return Event{Kind: EventInsert, Array: a, Key: c.pick(len(g.Arrays[a].Slots)), Program: c.program(programs)}
	case EventDelete:
		a := c.pick(len(g.Arrays))
		return Event{Kind: EventDelete, Array: a, Key: c.pick(len(g.Arrays[a].Slots))}
	case EventSelect:
		return Event{Kind: EventSelect, Key: c.pick(maxSelectors), Value: uint32(c.pick(maxSlots + 1))}
	}
	return run(c, programs)
}

func run(c *Choices, programs int) Event {
	return Event{Kind: EventRun, Program: c.program(programs), Mark: uint32(c.pick(maxMark + 1))}
}
