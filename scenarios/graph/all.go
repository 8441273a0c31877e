// SPDX-License-Identifier: GPL-2.0-only

package graph

import (
	"fmt"
	"iter"
)

// MaxAll is the largest size of graphs that All knows.
const MaxAll = 6

// All walks through every graph of at most k programs and at most k call sites, the smaller ones
// first. Graphs that differ only in the names of programs are one: the first program is the one that
// is run, the others are numbered in the order in which tail calls first name them, and all are
// named by some tail call.
//
// A program is its entry function, and a function is the sequence of its sites: a tail call to a
// program by a constant key or by one that is read from a map, a tail call to an empty slot, or a
// call of a subprogram, which is again such a sequence. A subprogram belongs to the site that calls it: two sites
// that call the same code are two subprograms with the same sites. Every function counts, every
// subprogram has 8 bytes of stack and uses r6.
func All(k int) iter.Seq[*Graph] {
	if k < 0 || k > MaxAll {
		panic(fmt.Sprintf("BUG: all graphs of size %d", k))
	}
	return func(yield func(*Graph) bool) {
		for sites := range k + 1 {
			w := &walker{max: k, yield: yield, known: 1}
			if !w.walk(sites) {
				return
			}
		}
	}
}

// token is an element of the sequence that describes a graph: the bodies of the programs in order.
type token uint8

// Tokens from tokenTarget on are tail calls: to program (t-tokenTarget)/2, by a variable key if odd.
const (
	tokenEnd   token = iota // of a program
	tokenClose              // of a subprogram
	tokenOpen               // call of a subprogram
	tokenEmpty              // tail call to an empty slot
	tokenTarget
)

// walker puts together token sequences that are canonical.
type walker struct {
	max    int // programs
	yield  func(*Graph) bool
	tokens []token
	known  int // programs named so far
	ended  int // programs whose body is complete
	depth  int // open subprograms
}

// walk tries every next token with so many sites left. It returns false if the walk is to end.
func (w *walker) walk(left int) bool {
	if w.ended == w.known {
		return left > 0 || w.yield(decode(w.tokens, w.known))
	}
	if w.depth > 0 {
		w.depth--
		if !w.with(tokenClose, left) {
			return false
		}
		w.depth++
	} else {
		w.ended++
		if !w.with(tokenEnd, left) {
			return false
		}
		w.ended--
	}
	if left == 0 {
		return true
	}
	w.depth++
	if !w.with(tokenOpen, left-1) {
		return false
	}
	w.depth--
	if !w.with(tokenEmpty, left-1) {
		return false
	}
	for t := 0; t <= w.known && t < w.max; t++ {
		before := w.known
		w.known = max(w.known, t+1)
		for variable := range 2 {
			if !w.with(tokenTarget+token(2*t+variable), left-1) {
				return false
			}
		}
		w.known = before
	}
	return true
}

// with walks on after one more token.
func (w *walker) with(t token, left int) bool {
	w.tokens = append(w.tokens, t)
	ok := w.walk(left)
	w.tokens = w.tokens[:len(w.tokens)-1]
	return ok
}

// decode makes a graph from its tokens.
func decode(tokens []token, programs int) *Graph {
	g := &Graph{Arrays: []Array{{}}, Events: []Event{{Kind: EventRun}}}
	for i := range programs {
		g.Arrays[0].Slots = append(g.Arrays[0].Slots, i)
		g.Selectors = append(g.Selectors, uint32(i))
	}
	g.Arrays[0].Slots = append(g.Arrays[0].Slots, -1)
	count := Op{Kind: OpCount}
	p := Program{Funcs: []Func{{Ops: []Op{count}}}}
	open := []int{0} // the functions being filled
	for _, t := range tokens {
		f := &p.Funcs[open[len(open)-1]]
		switch t {
		case tokenEnd:
			g.Programs = append(g.Programs, p)
			p, open = Program{Funcs: []Func{{Ops: []Op{count}}}}, []int{0}
		case tokenClose:
			open = open[:len(open)-1]
		case tokenOpen:
			f.Ops = append(f.Ops, Op{Kind: OpCall, Func: len(p.Funcs)})
			open = append(open, len(p.Funcs))
			p.Funcs = append(p.Funcs, Func{Stack: 8, Saved: 1, Ops: []Op{count}})
		case tokenEmpty:
			f.Ops = append(f.Ops, Op{Kind: OpTailCall, Key: Key{Value: uint32(programs)}})
		default:
			k := Key{Kind: KeyConst, Value: uint32(t-tokenTarget) / 2}
			if (t-tokenTarget)%2 == 1 {
				k.Kind = KeySelector
			}
			f.Ops = append(f.Ops, Op{Kind: OpTailCall, Key: k})
		}
	}
	g.dropUnread()
	return g
}
