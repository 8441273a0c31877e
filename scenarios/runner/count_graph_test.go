// SPDX-License-Identifier: GPL-2.0-only

package runner

import (
	"fmt"
	"math/rand/v2"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/scenarios"
)

// countGraph makes random programs that tail call each other, with everything that a count has to
// follow: subprograms, several sites, both kinds of tail calls, two prog arrays, counters of both
// widths, values on the stack, pointers to it, conditions on counters.
type countGraph struct {
	r     *rand.Rand
	insns []bpf.Insn
	funcs []bpf.Func
	calls []patch
	subs  int // subprograms of the program being made
}

// patch is a call whose distance is not known yet.
type patch struct{ at, fn int }

const (
	graphArrays   = 2 // maps 0 and 1 are prog arrays
	graphKeys     = 4
	graphCounters = 2 // the map of counters
	graphValue    = 64
)

func (g *countGraph) add(op, dst, src uint8, off int16, imm int32) {
	g.insns = append(g.insns, bpf.Insn{Op: op, Dst: dst, Src: src, Off: off, Imm: imm})
}

func (g *countGraph) n(n int) int { return g.r.IntN(n) }

// counter puts the address of a counter into r2.
func (g *countGraph) counter() {
	g.add(0x18, 2, bpf.PseudoMapValue, 0, graphCounters)
	g.add(0, 0, 0, 0, int32(8*g.n(graphValue/8)))
}

// statement appends one random piece of a function that keeps ctx in r6 and has values in r7, r8
// and at fp-8, fp-16.
func (g *countGraph) statement(depth, sub int) {
	switch g.n(13) {
	case 0, 1: // counter++
		g.counter()
		op := []uint8{0x79, 0x61}[g.n(2)]
		g.add(op, 3, 2, 0, 0)
		g.add(0x07, 3, 0, 0, int32(1+g.n(3)))
		g.add(op-0x79+0x7b, 2, 3, 0, 0)
	case 2: // atomic add
		g.counter()
		g.add(0xb7, 3, 0, 0, int32(g.n(5)-2))
		g.add([]uint8{0xdb, 0xc3}[g.n(2)], 2, 3, 0, 0)
	case 3: // if a bit of a counter is set, skip the next statement
		if depth > 2 {
			return
		}
		g.counter()
		g.add(0x79, 3, 2, 0, 0)
		at := len(g.insns)
		g.add(0x45, 3, 0, 0, int32(1<<g.n(4)))
		g.statement(depth+1, sub)
		g.insns[at].Off = int16(len(g.insns) - at - 1)
	case 4: // values
		g.add(0x07, uint8(7+g.n(2)), 0, 0, int32(g.n(7)-3))
	case 5:
		g.add([]uint8{0x0f, 0xaf, 0x1f}[g.n(3)], 7, 8, 0, 0)
	case 6:
		g.add(0x7b, 10, 7, -8, 0)
	case 7:
		g.add(0x79, 8, 10, int16(-8*(1+g.n(2))), 0)
	case 8: // through the pointer that the caller gave, if any
		if sub > 0 {
			g.add(0x79, 2, 10, -24, 0)
			g.add(0x79, 3, 2, 0, 0)
			g.add(0x07, 3, 0, 0, 1)
			g.add(0x7b, 2, 3, 0, 0)
		}
	case 9:
		if g.n(8) == 0 {
			g.add(0x85, 0, 0, 0, 5) // ktime_get_ns
		} else {
			g.add(0x85, 0, 0, 0, 8) // get_smp_processor_id
		}
	case 10:
		g.call(sub)
	default:
		g.tailCall()
	}
}

// call calls a later subprogram with ctx and a pointer to fp-16.
func (g *countGraph) call(sub int) {
	if sub >= g.subs {
		return
	}
	g.add(0xbf, 1, 6, 0, 0)
	g.add(0xbf, 2, 10, 0, 0)
	g.add(0x07, 2, 0, 0, -16)
	g.calls = append(g.calls, patch{len(g.insns), sub + 1 + g.n(g.subs-sub)})
	g.add(0x85, 0, bpf.PseudoCall, 0, 0)
}

func (g *countGraph) tailCall() {
	if g.n(3) == 0 {
		g.counter()
		g.add(0x61, 3, 2, 0, 0)
		g.add(0x57, 3, 0, 0, int32([]int{1, 3, 7}[g.n(3)]))
	} else {
		g.add(0xb7, 3, 0, 0, int32(g.n(graphKeys)))
	}
	g.add(0x18, 2, bpf.PseudoMap, 0, int32(g.n(graphArrays)))
	g.add(0, 0, 0, 0, 0)
	g.add(0xbf, 1, 6, 0, 0)
	g.add(0x85, 0, 0, 0, 12)
}

func (g *countGraph) function(name string, sub int) {
	g.funcs = append(g.funcs, bpf.Func{Name: name, Start: bpf.InsnIndex(len(g.insns)), Origin: bpf.InsnIndex(len(g.insns))})
	g.add(0xbf, 6, 1, 0, 0)
	g.add(0xb7, 7, 0, 0, int32(g.n(100)))
	g.add(0xb7, 8, 0, 0, 1)
	g.add(0x7a, 10, 0, -8, int32(g.n(100)))
	g.add(0x7a, 10, 0, -16, 0)
	if sub > 0 {
		g.add(0x7b, 10, 2, -24, 0)
	}
	for range 1 + g.n(7) {
		g.statement(0, sub)
	}
	if sub == 0 {
		for range g.n(3) {
			g.call(sub)
		}
	} else if g.n(4) != 0 {
		g.tailCall()
	}
	if g.n(2) == 0 {
		g.add(0x79, 0, 10, -16, 0)
	} else {
		g.add(0xbf, 0, 7, 0, 0)
	}
	g.add(0x95, 0, 0, 0, 0)
}

// randomGraph makes the scenario of a seed.
func randomGraph(seed uint64) *scenarios.Built {
	r := rand.New(rand.NewPCG(seed, 5))
	b := &scenarios.Built{Scenario: &scenarios.Scenario{Name: fmt.Sprintf("graph %d", seed)}}
	for m := range graphArrays {
		b.Maps = append(b.Maps, bpf.Map{Name: fmt.Sprint("progs", m), Type: bpf.ProgArray, KeySize: 4, ValueSize: 4, MaxEntries: graphKeys})
	}
	b.Maps = append(b.Maps, bpf.Map{Name: "counters", Type: bpf.ArrayMap, KeySize: 4, ValueSize: graphValue, MaxEntries: 1})
	for p := range 1 + r.IntN(3) {
		g := &countGraph{r: r, subs: r.IntN(3)}
		for f := range 1 + g.subs {
			g.function(fmt.Sprintf("p%df%d", p, f), f)
		}
		for _, c := range g.calls {
			g.insns[c.at].Imm = int32(g.funcs[c.fn].Start) - int32(c.at) - 1
		}
		b.Programs = append(b.Programs, bpf.Program{
			Name: fmt.Sprint("p", p), Type: bpf.SchedCLS, Insns: g.insns, Funcs: g.funcs, Maps: b.Maps,
		})
	}
	for m := range graphArrays {
		for k := range graphKeys {
			if r.IntN(4) != 0 {
				b.Slots = append(b.Slots, scenarios.Slot{Map: m, Key: uint32(k), Program: r.IntN(len(b.Programs))})
			}
		}
	}
	b.Actions = []scenarios.Action{{Kind: scenarios.ActRun, Event: &scenarios.Event{}}}
	return b
}
