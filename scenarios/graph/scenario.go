// SPDX-License-Identifier: GPL-2.0-only

package graph

import (
	"fmt"

	"github.com/tcsim/tcsim/scenarios"
)

// Names of the maps of a graph.
const (
	hitsMap      = "hits"  // one word for each function that counts
	tableMap     = "table" // words that are looked up
	tableEntries = 2
	keptValue    = 0x5a00 // in the buffers on the stack, plus the function's number
)

// helperInfo is a helper by the name that scenarios use and its number.
type helperInfo struct {
	name string
	id   int32
}

// helperNames are what OpHelper calls, by Op.Value.
var helperNames = []helperInfo{{"get_smp_processor_id", 8}, {"ktime_get_ns", 5}, {"get_prandom_u32", 7}}

func programName(i int) string  { return fmt.Sprintf("p%d", i) }
func arrayName(i int) string    { return fmt.Sprintf("jmp%d", i) }
func selectorName(i int) string { return fmt.Sprintf("sel%d", i) }

func funcName(p, f int) string {
	if f == 0 {
		return programName(p)
	}
	return fmt.Sprintf("p%d_f%d", p, f)
}

// writer turns a graph into a scenario or text.
type writer struct {
	g      *Graph
	number map[[2]int]int // function -> number in the graph, from 0
	hits   map[[2]int]int // function that counts -> word in hitsMap
	table  bool           // tableMap is used
	atoms  bool           // atomsMap is used
}

func newWriter(g *Graph) *writer {
	w := &writer{g: g, number: map[[2]int]int{}, hits: map[[2]int]int{}}
	for i := range g.Programs {
		for j := range g.Programs[i].Funcs {
			w.number[[2]int{i, j}] = len(w.number)
			for _, op := range g.Programs[i].Funcs[j].Ops {
				if op.Kind == OpCount {
					if _, ok := w.hits[[2]int{i, j}]; !ok {
						w.hits[[2]int{i, j}] = len(w.hits)
					}
				}
				w.table = w.table || op.Kind == OpLookup
				w.atoms = w.atoms || op.Kind == OpAtomic
			}
		}
	}
	return w
}

// Scenario returns the graph as a scenario without expectations.
func (g *Graph) Scenario(name string) *scenarios.Scenario {
	w := newWriter(g)
	sc := &scenarios.Scenario{File: name, Version: scenarios.Version, Name: name, Limit: g.Limit}
	for i, a := range g.Arrays {
		m := scenarios.Map{Type: scenarios.ProgArray, MaxEntries: uint32(len(a.Slots))}
		for k, p := range a.Slots {
			if p >= 0 {
				m.Slots = append(m.Slots, scenarios.Entry[scenarios.Name]{
					Name: fmt.Sprint(k), Value: scenarios.Name{Text: programName(p)},
				})
			}
		}
		sc.Maps = append(sc.Maps, scenarios.Entry[scenarios.Map]{Name: arrayName(i), Value: m})
	}
	for i, v := range g.Selectors {
		m := scenarios.Map{Type: scenarios.Array, MaxEntries: 1}
		if v != 0 {
			m.Values = scenarios.Named[scenarios.Int]{{Name: "0", Value: scenarios.Int{V: int64(v)}}}
		}
		sc.Maps = append(sc.Maps, scenarios.Entry[scenarios.Map]{Name: selectorName(i), Value: m})
	}
	if len(w.hits) > 0 {
		sc.Maps = append(sc.Maps, scenarios.Entry[scenarios.Map]{Name: hitsMap, Value: scenarios.Map{
			Type: scenarios.Array, ValueSize: uint32(4 * len(w.hits)), MaxEntries: 1,
		}})
	}
	if w.table {
		sc.Maps = append(sc.Maps, scenarios.Entry[scenarios.Map]{Name: tableMap, Value: scenarios.Map{
			Type: scenarios.Array, MaxEntries: tableEntries,
		}})
	}
	if w.atoms {
		sc.Maps = append(sc.Maps, scenarios.Entry[scenarios.Map]{Name: atomsMap, Value: scenarios.Map{
			Type: scenarios.Array, ValueSize: 16, MaxEntries: 1,
		}})
	}
	for i := range g.Programs {
		sc.Programs = append(sc.Programs, w.program(i))
	}
	sc.Runs = w.events()
	return sc
}

func (w *writer) program(i int) scenarios.Entry[scenarios.Program] {
	out := scenarios.Entry[scenarios.Program]{Name: programName(i)}
	for j := range w.g.Programs[i].Funcs {
		f := w.function(i, j)
		if j == 0 {
			out.Value.Function = f
			continue
		}
		out.Value.Functions = append(out.Value.Functions, scenarios.Entry[scenarios.Function]{Name: funcName(i, j), Value: f})
	}
	return out
}

func (w *writer) function(i, j int) scenarios.Function {
	f := &w.g.Programs[i].Funcs[j]
	out := scenarios.Function{Stack: f.Stack}
	for r := range 4 {
		if f.Saved&(1<<r) != 0 {
			out.Saved = append(out.Saved, scenarios.Register(6+r))
		}
	}
	kept := w.kept(i, j)
	hands := w.g.Programs[i].hands(j)
	for _, k := range kept {
		out.Steps = append(out.Steps, step("set", scenarios.Step{Set: k.place, To: k.value}))
	}
	for _, op := range f.Ops {
		steps := w.op(i, j, op)
		if op.Mark != 0 {
			steps = []scenarios.Step{step("if", scenarios.Step{If: mark(), Is: number(int64(op.Mark)), Then: steps})}
		}
		out.Steps = append(out.Steps, steps...)
	}
	for _, k := range kept {
		if hands && k.place.Off == -argWord {
			continue // callees count there
		}
		out.Steps = append(out.Steps, step("check", scenarios.Step{Check: k.place, Is: k.value}))
	}
	ret := number(int64(w.number[[2]int{i, j}] + 1))
	if f.Result {
		ret = &scenarios.Value{Text: "result", Kind: scenarios.ValueResult}
	}
	out.Steps = append(out.Steps, step("return", scenarios.Step{Return: ret}))
	return out
}

// keptWord is a value on the stack that is compared before the end.
type keptWord struct{ place, value *scenarios.Value }

// kept returns what a function keeps at the ends of its buffer: words, or the last byte of a buffer
// that words do not fill.
func (w *writer) kept(i, j int) []keptWord {
	n := int64(w.number[[2]int{i, j}])
	switch size := w.g.Programs[i].Funcs[j].Stack; {
	case size == 0:
		return nil
	case size%8 != 0:
		return []keptWord{{stackValue(size, 1), number(n + 1)}}
	case size == 8:
		return []keptWord{{stackValue(8, 8), number(keptValue + n)}}
	default:
		return []keptWord{{stackValue(8, 8), number(keptValue + n)}, {stackValue(size, 8), number(keptValue + n)}}
	}
}

func (w *writer) op(i, j int, op Op) []scenarios.Step {
	if op.Kind == OpAtomic {
		return w.atomic(op)
	}
	return []scenarios.Step{w.oneStep(i, j, op)}
}

func (w *writer) oneStep(i, j int, op Op) scenarios.Step {
	switch op.Kind {
	case OpCount:
		return step("count", scenarios.Step{Count: word(hitsMap, w.hits[[2]int{i, j}])})
	case OpTailCall:
		return step("tail_call", scenarios.Step{TailCall: element(arrayName(op.Array), w.key(op.Key))})
	case OpCall:
		s := scenarios.Step{Call: &scenarios.Name{Text: funcName(i, op.Func)}}
		if w.g.Programs[i].Funcs[op.Func].takesArg() {
			s.With = stackValue(argWord, 8)
		}
		return step("call", s)
	case OpLookup:
		return step("count", scenarios.Step{Count: element(tableMap, number(int64(op.Value)))})
	case OpSelect:
		return step("set", scenarios.Step{Set: word(selectorName(op.To), 0), To: number(int64(op.Value))})
	case OpClobber:
		n := int(op.Value)
		return step("clobber", scenarios.Step{Clobber: &n})
	case OpArg:
		return step("count", scenarios.Step{Count: &scenarios.Value{Text: "arg", Kind: scenarios.ValueArg}})
	case OpHelper:
		return step("helper", scenarios.Step{Helper: &scenarios.Helper{ID: helperNames[op.Value].id}})
	}
	panic(fmt.Sprintf("BUG: operation of kind %d", op.Kind))
}

func (w *writer) key(k Key) *scenarios.Value {
	switch k.Kind {
	case KeyConst:
		return number(int64(k.Value))
	case KeySelector:
		return word(selectorName(int(k.Value)), 0)
	case KeyMark:
		return mark()
	}
	panic(fmt.Sprintf("BUG: key of kind %d", k.Kind))
}

func step(verb string, s scenarios.Step) scenarios.Step {
	s.Verb = verb
	return s
}

func number(n int64) *scenarios.Value { return &scenarios.Value{Text: fmt.Sprint(n), Int: n} }

func mark() *scenarios.Value {
	return &scenarios.Value{Text: "ctx.mark", Kind: scenarios.ValueCtx, Field: "mark"}
}

// stackValue is size bytes at fp-off; 8 is what they are by default.
func stackValue(off, size int) *scenarios.Value {
	v := &scenarios.Value{Text: fmt.Sprintf("fp-%d", off), Kind: scenarios.ValueStack, Off: int32(-off)}
	if size != 8 {
		v.Size, v.Text = size, fmt.Sprintf("u%d %s", 8*size, v.Text)
	}
	return v
}

// word is 4 bytes of the first value of a map.
func word(m string, n int) *scenarios.Value {
	v := &scenarios.Value{Text: m, Kind: scenarios.ValueMap, Map: m, Key: &scenarios.Value{Text: "0"}}
	if m == hitsMap {
		v.Size = 4
		v.Text = "u32 " + m
	}
	if n > 0 {
		v.Off = int32(4 * n)
		v.Text += fmt.Sprintf("+%d", v.Off)
	}
	return v
}

// element is a slot or value of a map.
func element(m string, key *scenarios.Value) *scenarios.Value {
	return &scenarios.Value{Text: m + "[" + key.Text + "]", Kind: scenarios.ValueMap, Map: m, Key: key}
}

// events writes the history. Emptying an empty slot must fail.
func (w *writer) events() []scenarios.Event {
	full := map[[2]int]bool{}
	for i, a := range w.g.Arrays {
		for k, p := range a.Slots {
			full[[2]int{i, k}] = p >= 0
		}
	}
	var out []scenarios.Event
	for _, e := range w.g.Events {
		var ev scenarios.Event
		slot := [2]int{e.Array, e.Key}
		switch e.Kind {
		case EventRun:
			ev.Run = &scenarios.Name{Text: programName(e.Program)}
			if e.Mark != 0 {
				ev.Context = scenarios.Named[scenarios.Int]{{Name: "mark", Value: scenarios.Int{V: int64(e.Mark)}}}
			}
		case EventInsert:
			ev.Update = update(element(arrayName(e.Array), number(int64(e.Key))).Text, programName(e.Program))
			full[slot] = true
		case EventSelect:
			ev.Update = update(selectorName(e.Key), fmt.Sprint(e.Value))
		case EventDelete:
			ev.Delete = element(arrayName(e.Array), number(int64(e.Key)))
			if !full[slot] {
				ev.Errno = "ENOENT"
			}
			full[slot] = false
		}
		out = append(out, ev)
	}
	return out
}

func update(place, what string) scenarios.Named[scenarios.Scalar] {
	return scenarios.Named[scenarios.Scalar]{{Name: place, Value: scenarios.Scalar{Text: what}}}
}
