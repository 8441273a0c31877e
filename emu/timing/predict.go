// SPDX-License-Identifier: GPL-2.0-only

package timing

import "github.com/tcsim/tcsim/jit/x86"

// predictor is the branch prediction unit: a simple table beside each branch (site), tables of
// tagged entries found by hashes of ever longer history that overrule it, and a return stack. It
// follows the published idea of TAGE and ITTAGE (A. Seznec, CBP-2 and CBP-3) with one entry format
// for directions and targets; sizes are far above what a JIT image needs, so capacity plays no part.
type predictor struct {
	core *Branches

	tables  [][]histEntry // one for each length in core.History; nil before it gets an entry
	hash    []uint64      // of the last core.History[n] events
	weight  []uint64      // of the event that leaves each window: histMul to the power of its length
	events  [histRing]uint64
	nevents uint64

	stack      []x86.Addr // ring of return addresses
	top, depth int        // next free entry, valid entries
}

const (
	histRing = 512 // a power of two, at least the longest history
	histBits = 14
	histMul  = 0x9e3779b97f4a7c15
	confMax  = 7
)

// histEntry predicts the address after one branch in one context.
type histEntry struct {
	tag  uint32
	conf uint8
	next x86.Addr
}

func newPredictor(b *Branches) *predictor {
	p := &predictor{core: b, stack: make([]x86.Addr, b.ReturnStack)}
	p.tables, p.hash = make([][]histEntry, len(b.History)), make([]uint64, len(b.History))
	for _, n := range b.History {
		w := uint64(1)
		for range n {
			w *= histMul
		}
		p.weight = append(p.weight, w)
	}
	return p
}

// record adds an outcome to the history.
func (p *predictor) record(pc, next x86.Addr) {
	e := (uint64(pc)*3 ^ uint64(next)) * 0xff51afd7ed558ccd
	e ^= e >> 29
	for n, l := range p.core.History {
		old := uint64(0)
		if p.nevents >= uint64(l) {
			old = p.events[(p.nevents-uint64(l))%histRing]
		}
		p.hash[n] = p.hash[n]*histMul + e - old*p.weight[n]
	}
	p.events[p.nevents%histRing] = e
	p.nevents++
}

// lookup returns the entry of table n, which has some, for the branch at pc in the present context.
func (p *predictor) lookup(n int, pc x86.Addr) (*histEntry, uint32) {
	h := (p.hash[n] ^ uint64(pc)*0xc2b2ae3d27d4eb4f) * histMul
	return &p.tables[n][h>>(64-histBits)], uint32(h>>8) | 1
}

// direction is the state of the simple predictor: two bits, taken from 2 on, set firmly by the
// first outcome.
type direction uint8

const unknown direction = 4

func (d direction) taken() bool { return d == 2 || d == 3 }

func (d *direction) train(taken bool) {
	switch {
	case *d == unknown && taken:
		*d = 3
	case *d == unknown:
		*d = 0
	case taken && *d < 3:
		*d++
	case !taken && *d > 0:
		*d--
	}
}

// outcome says how a branch was predicted.
type outcome struct {
	wrong    bool // resolved by executing the branch
	override bool // right, but only because history overruled the simple predictor
}

// resolve predicts where the branch at pc goes, given what the simple predictor says (0 if it has
// nothing), compares it with next, and learns.
func (p *predictor) resolve(pc, simple, next x86.Addr) outcome {
	provider := -1
	var entry *histEntry
	final := simple
	for n := len(p.tables) - 1; n >= 0; n-- {
		if p.tables[n] == nil {
			continue
		}
		e, tag := p.lookup(n, pc)
		if e.tag != tag {
			continue
		}
		if provider < 0 {
			provider, entry = n, e
		}
		if e.conf > 0 { // a new entry is believed once it was right
			final = e.next
			break
		}
	}
	if entry != nil {
		entry.train(next)
	}
	if final != next {
		p.allocate(provider+1, pc, next)
	}
	p.record(pc, next)
	return outcome{wrong: final != next, override: final == next && simple != next}
}

func (e *histEntry) train(next x86.Addr) {
	switch {
	case e.next == next:
		e.conf = min(e.conf+1, confMax)
	case e.conf > 0:
		e.conf--
	default:
		e.next = next
	}
}

// allocate gives the context an entry in the first table from n on that has room.
func (p *predictor) allocate(n int, pc, next x86.Addr) {
	for ; n < len(p.tables); n++ {
		if p.tables[n] == nil {
			p.tables[n] = make([]histEntry, 1<<histBits)
		}
		e, tag := p.lookup(n, pc)
		if e.conf == 0 {
			*e = histEntry{tag: tag, next: next}
			return
		}
		e.conf--
	}
}

// call pushes a return address; the oldest is lost when the stack is full.
func (p *predictor) call(ret x86.Addr) {
	p.stack[p.top] = ret
	p.top = (p.top + 1) % len(p.stack)
	p.depth = min(p.depth+1, len(p.stack))
}

// ret pops a prediction: ok is false when the stack is empty.
func (p *predictor) ret() (a x86.Addr, ok bool) {
	if p.depth == 0 {
		return 0, false
	}
	p.top = (p.top + len(p.stack) - 1) % len(p.stack)
	p.depth--
	return p.stack[p.top], true
}
