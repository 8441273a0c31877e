// SPDX-License-Identifier: GPL-2.0-only

package graph_test

import (
	"fmt"
	"math/bits"
	"testing"

	"github.com/tcsim/tcsim/scenarios/graph"
)

// featuresOf finds what a graph has of what graphs are meant to have.
func featuresOf(g *graph.Graph) map[string]bool {
	has := map[string]bool{
		"several programs": len(g.Programs) > 1, "several prog arrays": len(g.Arrays) > 1,
		"a limit of its own": g.Limit != 0,
	}
	for _, a := range g.Arrays {
		for _, p := range a.Slots {
			has["empty slot at first"] = has["empty slot at first"] || p < 0
			has["filled slot at first"] = has["filled slot at first"] || p >= 0
		}
	}
	runs := 0
	for i, e := range g.Events {
		if e.Kind == graph.EventRun {
			runs++
			continue
		}
		name := [...]string{graph.EventInsert: "insert or replace", graph.EventDelete: "delete", graph.EventSelect: "key changed from outside"}[e.Kind]
		has[name] = true
		if runs > 0 && i+1 < len(g.Events) {
			has["update between runs"] = true
		}
	}
	has["several runs"] = runs > 1
	for i := range g.Programs {
		ofProgram(&g.Programs[i], g, has)
	}
	return has
}

func ofProgram(p *graph.Program, g *graph.Graph, has map[string]bool) {
	deep := make([]int, len(p.Funcs)) // levels of calls above
	sites := make([]int, len(p.Funcs))
	set := func(name string, is bool) { has[name] = has[name] || is }
	set("subprograms", len(p.Funcs) > 1)
	for i := range p.Funcs {
		f := &p.Funcs[i]
		ofFunction(f, g, set)
		for _, op := range f.Ops {
			switch {
			case op.Kind == graph.OpCall:
				sites[op.Func]++
				deep[op.Func] = max(deep[op.Func], deep[i]+1)
			case op.Kind == graph.OpTailCall && deep[i] > 0:
				set(fmt.Sprintf("tail call %d deep", deep[i]), true)
			}
		}
	}
	for _, n := range sites {
		set("subprogram called from several places", n > 1)
	}
}

func ofFunction(f *graph.Func, g *graph.Graph, set func(string, bool)) {
	saved := bits.OnesCount8(f.Saved)
	set("one saved register", saved == 1)
	set("all saved registers", saved == 4)
	set("odd stack", f.Stack%8 != 0)
	set("large stack", f.Stack >= 200)
	set("result of a call returned", f.Result)
	calls, tails := false, false
	for _, op := range f.Ops {
		set("condition", op.Mark != 0)
		switch op.Kind {
		case graph.OpCall:
			set("R6-R9 live across a call", f.Saved != 0)
			set("stack live across a call", f.Stack != 0)
			set("call after a tail call", tails)
			calls = true
		case graph.OpTailCall:
			ofTail(op, g, set)
			set("R6-R9 live across a tail call", f.Saved != 0)
			set("stack live across a tail call", f.Stack != 0)
			set("tail call after a call", calls)
			set("several tail calls in a function", tails)
			tails = true
		case graph.OpLookup:
			set("lookup", true)
		case graph.OpHelper:
			set("helper", true)
		case graph.OpAtomic:
			set("atomic", true)
		case graph.OpClobber:
			set("clobber", true)
		case graph.OpArg:
			set("stack handed over by pointer", true)
			set("tail call before the caller's stack is written", tails)
		case graph.OpSelect:
			set("key changed by a program", true)
		}
	}
}

func ofTail(op graph.Op, g *graph.Graph, set func(string, bool)) {
	switch n := uint32(len(g.Arrays[op.Array].Slots)); {
	case op.Key.Kind == graph.KeyConst && op.Key.Value < n:
		set("constant key", true)
	case op.Key.Kind == graph.KeyConst:
		set("constant key out of bounds", true)
	case op.Key.Kind == graph.KeySelector:
		set("key from a map", true)
		set("key from a map out of bounds", g.Selectors[op.Key.Value] >= n)
	default:
		set("key from the context", true)
	}
}

// floors are the least shares of graphs, in percent, that must have each feature.
var floors = map[string]float64{
	"several programs": 40, "subprograms": 40, "several prog arrays": 15, "a limit of its own": 40,
	"filled slot at first": 40, "empty slot at first": 30,
	"constant key": 40, "constant key out of bounds": 4, "key from a map": 20, "key from a map out of bounds": 10,
	"key from the context": 20, "key changed by a program": 8, "key changed from outside": 4,
	"several runs": 30, "insert or replace": 20, "delete": 10, "update between runs": 15,
	"tail call 1 deep": 20, "tail call 2 deep": 8, "tail call 3 deep": 1,
	"several tail calls in a function": 30, "tail call after a call": 20, "call after a tail call": 20,
	"subprogram called from several places": 15, "result of a call returned": 10, "condition": 40,
	"R6-R9 live across a call": 20, "R6-R9 live across a tail call": 30, "one saved register": 20, "all saved registers": 5,
	"stack live across a call": 20, "stack live across a tail call": 30, "odd stack": 15, "large stack": 15,
	"stack handed over by pointer": 10, "tail call before the caller's stack is written": 4,
	"helper": 25, "lookup": 30, "clobber": 30, "atomic": 5,
}

// TestRandomFeatures has each feature in a decent share of graphs, and knows all features.
func TestRandomFeatures(t *testing.T) {
	const n = 10000
	found := map[string]int{}
	for i := range uint64(n) {
		for name, has := range featuresOf(graph.Random(graph.NewChoices(2026, i))) {
			if has {
				found[name]++
			}
		}
	}
	for name := range found {
		if floors[name] == 0 {
			t.Errorf("nothing is said of %q", name)
		}
	}
	for name, least := range floors {
		share := 100 * float64(found[name]) / n
		if t.Logf("%5.1f%% %s", share, name); share < least {
			t.Errorf("%s: in %.1f%% of the graphs, want at least %.0f%%", name, share, least)
		}
	}
}
