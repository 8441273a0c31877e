// SPDX-License-Identifier: GPL-2.0-only

// Package callgraph draws which programs of a scenario or object file call and tail call which, and
// finds tail calls that can never be taken. It reads programs and runs nothing.
//
//	g := callgraph.New(built, target)
//	fmt.Print(g.Text())
//	for _, f := range g.Findings { ... }
package callgraph

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/verify"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/owner"
)

// Graph is what New found. It is plain data.
type Graph struct {
	Name     string    `json:"name"`
	Programs []Program `json:"programs"`
	Arrays   []Array   `json:"prog_arrays"`
	// Findings are tail calls that can never be taken, Notes what may go wrong for some keys.
	Findings []string `json:"findings"`
	Notes    []string `json:"notes"`
	// Refused are programs that the target's kernel refuses, and what it keeps out of prog arrays, each
	// with the reason. They have no entry in Programs.
	Refused []string `json:"refused,omitempty"`
}

// Program is a program with what its functions call.
type Program struct {
	Name      string `json:"name"`
	Entry     bool   `json:"entry"` // the scenario runs it
	Functions []Func `json:"functions"`
}

// Func is a function of a program; the first is the program itself.
type Func struct {
	Name      string     `json:"name"`
	Calls     []string   `json:"calls,omitempty"` // names, once each
	TailCalls []TailCall `json:"tail_calls,omitempty"`
}

// TailCall is one tail call with a map and a range of keys that it uses.
type TailCall struct {
	Insn  bpf.InsnIndex `json:"insn"`
	Array string        `json:"prog_array"` // "" if it is not known
	Min   uint32        `json:"min_key"`
	Max   uint32        `json:"max_key"` // as Min for a constant
	// Targets are the programs that the keys lead to.
	Targets []string `json:"targets,omitempty"`
}

// Array is a prog array. Slots that later updates of a scenario fill count as filled.
type Array struct {
	Name    string `json:"name"`
	Entries uint32 `json:"entries"`
	Slots   []Slot `json:"slots"` // filled ones by key
}

// Slot is a filled slot.
type Slot struct {
	Key      uint32   `json:"key"`
	Programs []string `json:"programs"`
}

// builder collects the graph of a scenario.
type builder struct {
	*Graph
	b      *scenarios.Built
	t      *jit.Target
	filled map[int]map[uint32][]string // by map and key: programs
	keys   map[int][]uint32            // of filled, in order
}

// New reads the graph of a scenario. The target says what its verifier follows: dead code counts
// for nothing. A program that it refuses is a finding (Refused), and so is one that it keeps out of a
// prog array.
func New(b *scenarios.Built, t *jit.Target) *Graph {
	b = b.For(t)
	g := &builder{Graph: &Graph{Name: b.Scenario.Name, Findings: []string{}, Notes: []string{}}, b: b, t: t, filled: map[int]map[uint32][]string{}, keys: map[int][]uint32{}}
	g.arrays()
	entries := map[int]bool{}
	for i := range b.Actions {
		if a := &b.Actions[i]; a.Kind == scenarios.ActRun {
			entries[a.Program] = true
		}
	}
	if _, err := owner.New(b, t.Policy); err != nil {
		g.Refused = append(g.Refused, strings.Split(err.Error(), "\n")...)
	}
	for i := range b.Programs {
		p, err := g.program(&b.Programs[i])
		if err != nil {
			g.Refused = append(g.Refused, err.Error())
			continue
		}
		p.Entry = entries[i]
		g.Programs = append(g.Programs, p)
	}
	g.unreached()
	return g.Graph
}

// unreached notes programs that no tail call of the programs that run leads to. Through an array that is
// not known everything may be reached.
func (g *builder) unreached() {
	index, seen := map[string]int{}, map[string]bool{}
	var work []string
	for i := range g.Programs {
		index[g.Programs[i].Name] = i
		if g.Programs[i].Entry {
			work = append(work, g.Programs[i].Name)
		}
	}
	if len(work) == 0 {
		return
	}
	for len(work) > 0 {
		name := work[len(work)-1]
		work = work[:len(work)-1]
		if seen[name] {
			continue
		}
		seen[name] = true
		for _, f := range g.Programs[index[name]].Functions {
			for _, c := range f.TailCalls {
				if c.Array == "" {
					return
				}
				work = append(work, c.Targets...)
			}
		}
	}
	for i := range g.Programs {
		if p := &g.Programs[i]; !seen[p.Name] && !g.loaded(p.Name) {
			g.Notes = append(g.Notes, p.Name+": no tail call leads to this program")
		}
	}
}

// loaded reports whether a scenario attaches or replaces with a program, so that it runs without being
// in a prog array.
func (g *builder) loaded(name string) bool {
	return slices.ContainsFunc(g.b.Actions, func(a scenarios.Action) bool {
		return a.Kind == scenarios.ActAttach && g.b.Programs[a.By].Name == name ||
			a.Kind == scenarios.ActReplace && a.Program >= 0 && g.b.Programs[a.Program].Name == name
	})
}

// arrays notes what prog arrays hold at any time.
func (g *builder) arrays() {
	put := func(m int, key uint32, prog int) {
		if g.filled[m] == nil {
			g.filled[m] = map[uint32][]string{}
		}
		name := g.b.Programs[prog].Name
		if !slices.Contains(g.filled[m][key], name) {
			g.filled[m][key] = append(g.filled[m][key], name)
		}
	}
	for _, s := range g.b.Slots {
		put(s.Map, s.Key, s.Program)
	}
	for i := range g.b.Actions {
		if a := &g.b.Actions[i]; a.Kind == scenarios.ActInsert {
			put(a.Map, le32(a.Key), a.Program)
		}
	}
	for i := range g.b.Maps {
		m := &g.b.Maps[i]
		if m.Type != bpf.ProgArray {
			continue
		}
		a := Array{Name: m.Name, Entries: m.MaxEntries, Slots: []Slot{}}
		g.keys[i] = slices.Sorted(maps.Keys(g.filled[i]))
		for _, k := range g.keys[i] {
			a.Slots = append(a.Slots, Slot{k, g.filled[i][k]})
		}
		g.Arrays = append(g.Arrays, a)
	}
}

func le32(b []byte) uint32 {
	return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
}

// within returns the keys of a map, of those that are ever filled, from one to another.
func (g *builder) within(m int, from, to uint32) []uint32 {
	all := g.keys[m]
	first, _ := slices.BinarySearch(all, from)
	end, last := slices.BinarySearch(all, to)
	if last {
		end++
	}
	return all[first:max(first, end)]
}

func (g *builder) program(p *bpf.Program) (Program, error) {
	uses, err := verify.TailCalls(p, &g.t.Kernel)
	if err != nil {
		return Program{}, err
	}
	out := Program{Name: p.Name}
	for _, f := range p.Funcs {
		out.Functions = append(out.Functions, Func{Name: f.Name})
	}
	for i, in := range p.Insns {
		if in.Op != bpf.OpCall || in.Src != bpf.PseudoCall {
			continue
		}
		from := &out.Functions[funcAt(p, bpf.InsnIndex(i))]
		to := p.Funcs[funcAt(p, bpf.InsnIndex(i+1+int(in.Imm)))].Name
		if !slices.Contains(from.Calls, to) {
			from.Calls = append(from.Calls, to)
		}
	}
	for _, u := range uses {
		f := &out.Functions[u.Func]
		for _, w := range u.Ways {
			f.TailCalls = append(f.TailCalls, g.tailCall(out.Name, f.Name, u.Insn, w))
		}
	}
	return out, nil
}

func funcAt(p *bpf.Program, at bpf.InsnIndex) int {
	n := 0
	for i, f := range p.Funcs {
		if f.Start <= at {
			n = i
		}
	}
	return n
}

// tailCall resolves one way to a tail call and notes what is wrong with it.
func (g *builder) tailCall(prog, fn string, at bpf.InsnIndex, w verify.TailCallWay) TailCall {
	c := TailCall{Insn: at, Min: w.Min, Max: w.Max}
	where := fmt.Sprintf("%s, instruction %d", prog, at)
	if fn != prog {
		where = fmt.Sprintf("%s in %s, instruction %d", fn, prog, at)
	}
	if w.Map < 0 {
		g.Notes = append(g.Notes, where+": the prog array is not known")
		return c
	}
	m := &g.b.Maps[w.Map]
	c.Array = m.Name
	have := map[string]bool{}
	for _, k := range g.within(w.Map, w.Min, w.Max) {
		for _, p := range g.filled[w.Map][k] {
			if !have[p] {
				have[p] = true
				c.Targets = append(c.Targets, p)
			}
		}
	}
	switch {
	case w.Min >= m.MaxEntries:
		g.Findings = append(g.Findings, fmt.Sprintf("%s: key %s is out of range: %s has %d entries", where, c.keyText(), m.Name, m.MaxEntries))
	case len(c.Targets) == 0:
		g.Findings = append(g.Findings, fmt.Sprintf("%s: %s[%s] is never filled", where, m.Name, c.keyText()))
	case !w.Const():
		g.noteRange(where, m, w)
	}
	return c
}

// slots is a number of them as the subject of a sentence.
func slots(n int) string {
	if n == 1 {
		return "1 slot is"
	}
	return fmt.Sprintf("%d slots are", n)
}

// noteRange says which of the keys of an indirect tail call lead nowhere.
func (g *builder) noteRange(where string, m *bpf.Map, w verify.TailCallWay) {
	last := min(w.Max, m.MaxEntries-1)
	empty := int(last-w.Min) + 1 - len(g.within(w.Map, w.Min, last))
	text := fmt.Sprintf("%s: of %s[%d-%d] %s never filled", where, m.Name, w.Min, last, slots(empty))
	if w.Max > last {
		text += ", and the key may be beyond the last"
	}
	if empty > 0 || w.Max > last {
		g.Notes = append(g.Notes, text)
	}
}

// keyText is the key or the range of keys.
func (c *TailCall) keyText() string {
	switch {
	case c.Min == c.Max:
		return fmt.Sprint(c.Min)
	case c.Min == 0 && c.Max == 1<<32-1:
		return "any"
	}
	return fmt.Sprintf("%d-%d", c.Min, c.Max)
}
