// SPDX-License-Identifier: GPL-2.0-only

package graph_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/graph"
)

// TestAll compares the walk with graphs that are made without any thought of order: every labelled
// graph; those that can be reached are brought into the form with the smallest text of all
// numberings.
func TestAll(t *testing.T) {
	for k := range 4 {
		want := map[string]bool{}
		for sites := range k + 1 {
			for programs := 1; programs <= max(k, 1); programs++ {
				for _, g := range labelled(programs, sites) {
					if s, ok := smallest(g); ok {
						want[s] = true
					}
				}
			}
		}
		got := map[string]bool{}
		last := 0
		for g := range graph.All(k) {
			if g.Sites() < last {
				t.Errorf("size %d: %d sites come after %d", k, g.Sites(), last)
			}
			last = g.Sites()
			s, ok := smallest(describe(g))
			if !ok || got[s] {
				t.Errorf("size %d: %s comes twice, or cannot be reached", k, s)
			}
			got[s] = true
			if _, err := scenarios.Build(g.Scenario("g")); err != nil {
				t.Errorf("size %d: %s: %v", k, s, err)
			}
		}
		for s := range want {
			if !got[s] {
				t.Errorf("size %d: %s is missing", k, s)
			}
		}
		if len(got) != len(want) {
			t.Errorf("size %d: %d graphs, want %d", k, len(got), len(want))
		}
		t.Logf("size %d: %d graphs", k, len(got))
	}
}

// labelled returns the bodies of every graph of programs with exactly so many sites: E is an empty
// slot, d0 and v0 are tail calls to program 0, parentheses are a subprogram.
func labelled(programs, sites int) [][]string {
	if programs == 0 {
		if sites == 0 {
			return [][]string{nil}
		}
		return nil
	}
	all := programs
	var rec func(left, sites int) [][]string
	rec = func(left, sites int) [][]string {
		if left == 0 {
			if sites == 0 {
				return [][]string{nil}
			}
			return nil
		}
		var out [][]string
		for n := range sites + 1 {
			for _, b := range bodies(all, n) {
				for _, rest := range rec(left-1, sites-n) {
					out = append(out, append([]string{b}, rest...))
				}
			}
		}
		return out
	}
	return rec(programs, sites)
}

// bodies returns every sequence of exactly n sites.
func bodies(programs, n int) []string {
	if n == 0 {
		return []string{""}
	}
	var out []string
	for inside := range n { // the first site is a subprogram with so many sites
		for _, b := range bodies(programs, inside) {
			for _, rest := range bodies(programs, n-1-inside) {
				out = append(out, "("+b+")"+rest)
			}
		}
	}
	first := []string{"E"}
	for p := range programs {
		first = append(first, fmt.Sprintf("d%d", p), fmt.Sprintf("v%d", p))
	}
	for _, f := range first {
		for _, rest := range bodies(programs, n-1) {
			out = append(out, f+rest)
		}
	}
	return out
}

// smallest returns the smallest text of a graph under renumbering of the programs but the first; ok
// is false if some program is never named on the way from the first.
func smallest(bodies []string) (text string, ok bool) {
	reached := make([]bool, len(bodies))
	reached[0] = true
	for range bodies {
		for i, b := range bodies {
			for p := range bodies {
				if reached[i] && (strings.Contains(b, fmt.Sprintf("d%d", p)) || strings.Contains(b, fmt.Sprintf("v%d", p))) {
					reached[p] = true
				}
			}
		}
	}
	if slices.Contains(reached, false) {
		return "", false
	}
	best := ""
	for _, order := range permutations(len(bodies)) {
		out := make([]string, len(bodies))
		var swap []string
		for p, to := range order {
			swap = append(swap, fmt.Sprintf("d%d", p), fmt.Sprintf("d%d", to), fmt.Sprintf("v%d", p), fmt.Sprintf("v%d", to))
		}
		r := strings.NewReplacer(swap...)
		for p, to := range order {
			out[to] = r.Replace(bodies[p])
		}
		if s := strings.Join(out, "|"); best == "" || s < best {
			best = s
		}
	}
	return best, true
}

// permutations returns those of 0 to n-1 that leave 0 in place.
func permutations(n int) [][]int {
	if n == 1 {
		return [][]int{{0}}
	}
	var out [][]int
	for _, p := range permutations(n - 1) {
		for at := 1; at <= len(p); at++ {
			out = append(out, slices.Insert(slices.Clone(p), at, n-1))
		}
	}
	return out
}

// describe reads the bodies out of a graph of All.
func describe(g *graph.Graph) []string {
	var out []string
	for i := range g.Programs {
		out = append(out, body(g, i, 0))
	}
	return out
}

func body(g *graph.Graph, p, f int) string {
	s := ""
	for _, op := range g.Programs[p].Funcs[f].Ops {
		switch {
		case op.Kind == graph.OpCall:
			s += "(" + body(g, p, op.Func) + ")"
		case op.Kind != graph.OpTailCall:
		case op.Key.Kind == graph.KeySelector:
			s += fmt.Sprintf("v%d", g.Arrays[0].Slots[g.Selectors[op.Key.Value]])
		case g.Arrays[0].Slots[op.Key.Value] < 0:
			s += "E"
		default:
			s += fmt.Sprintf("d%d", g.Arrays[0].Slots[op.Key.Value])
		}
	}
	return s
}
