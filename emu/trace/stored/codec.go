// SPDX-License-Identifier: GPL-2.0-only

package stored

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/tcsim/tcsim/emu/timing"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
)

// An event is a place and numbers. Events of one place have most in common, so that the place is written once in a
// piece. Of the numbers only those are written that differ from what they were, as distances.

// place is what events of one instruction have in common. Functions are indices into Code.Funcs, -1 for none.
type place struct {
	kind, reason, flags uint8
	fn, target          int64
	insn, tail          int64 // -1 for none; tail is an index into the function's tail calls
	rip, to             uint64
	name                string
}

// The flags of a place.
const (
	flagInner = 1 << iota
	flagFellThrough
)

// The numbers of an event. Those up to numGrow are compared with the event before, the others with the last event of
// the same place.
const (
	numSeq = iota
	numSite
	numCycle
	numAct
	numBegun
	numTaken
	numDepth
	numGrow // of the numbers that follow the event before
	numRSP  = iota - 1
	numRBP
	numRAX
	numCounter
	numCounterAddr
	numCounterPtrAt
	numKey
	numbers
)

type values [numbers]uint64

// codec is what writing and reading a piece have in common.
type codec struct {
	last   values
	places []values // by number of the place
}

// base returns what a number is compared with.
func (c *codec) base(at, number int) uint64 {
	if number < numGrow {
		return c.last[number]
	}
	return c.places[at][number]
}

// encoder writes a piece.
type encoder struct {
	codec
	index map[place]int
	fns   map[*trace.Fn]int64
	tails map[*image.TailCallSite]int64
	out   []byte
}

func newEncoder(code *trace.Code) *encoder {
	e := &encoder{index: map[place]int{}, fns: map[*trace.Fn]int64{nil: -1}, tails: map[*image.TailCallSite]int64{nil: -1}}
	for i, f := range code.Funcs() {
		e.fns[f] = int64(i)
		for k := range f.TailCalls {
			e.tails[&f.TailCalls[k]] = int64(k)
		}
	}
	return e
}

// reset begins a new piece.
func (e *encoder) reset() {
	e.last, e.places, e.out = values{}, e.places[:0], e.out[:0]
	clear(e.index)
}

func (e *encoder) add(ev *trace.Event) error {
	p := place{
		kind: uint8(ev.Kind), reason: uint8(ev.Reason), insn: -1,
		rip: uint64(ev.RIP), to: uint64(ev.TargetAddr), name: ev.Name,
	}
	var known, targetKnown, tailKnown bool
	p.fn, known = e.fns[ev.Fn]
	p.target, targetKnown = e.fns[ev.Target]
	p.tail, tailKnown = e.tails[ev.Tail]
	if !known || !targetKnown || !tailKnown {
		return errors.New("BUG: an event of code that is not stored")
	}
	if ev.HasInsn {
		p.insn = int64(ev.Insn)
	}
	if ev.Inner {
		p.flags |= flagInner
	}
	if ev.FellThrough {
		p.flags |= flagFellThrough
	}
	at, ok := e.index[p]
	if ok {
		e.out = binary.AppendUvarint(e.out, uint64(at)+1)
	} else {
		at = len(e.places)
		e.index[p], e.places = at, append(e.places, values{})
		e.out = append(e.out, 0, p.kind, p.reason, p.flags)
		for _, v := range []int64{p.fn, p.target, p.insn, p.tail} {
			e.out = binary.AppendUvarint(e.out, uint64(v+1))
		}
		e.out = binary.LittleEndian.AppendUint64(e.out, p.rip)
		e.out = binary.LittleEndian.AppendUint64(e.out, p.to)
		e.out = binary.AppendUvarint(e.out, uint64(len(p.name)))
		e.out = append(e.out, p.name...)
	}
	v := values{
		numSeq: ev.Seq, numSite: ev.Site, numCycle: uint64(ev.Cycle), numAct: uint64(ev.Act), numBegun: uint64(ev.Begun), numTaken: ev.Taken,
		numDepth: uint64(ev.Depth), numRSP: uint64(ev.RSP), numRBP: uint64(ev.RBP), numRAX: uint64(ev.RAX), numCounter: ev.Counter,
		numCounterAddr: uint64(ev.CounterAddr), numCounterPtrAt: uint64(ev.CounterPtrAt), numKey: uint64(ev.Key),
	}
	mask := uint64(0)
	for i := range v {
		if v[i] != e.base(at, i) {
			mask |= 1 << i
		}
	}
	e.out = binary.AppendUvarint(e.out, mask)
	for i := range v {
		if mask&(1<<i) != 0 {
			e.out = binary.AppendVarint(e.out, int64(v[i]-e.base(at, i)))
		}
	}
	e.last, e.places[at] = v, v
	return nil
}

// decoder reads a piece.
type decoder struct {
	codec
	in     []byte
	known  []place
	code   *trace.Code
	failed error
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.in)
	if n <= 0 {
		d.fail("a number is cut off or too large")
		return 0
	}
	d.in = d.in[n:]
	return v
}

func (d *decoder) take(n uint64) []byte {
	if n > uint64(len(d.in)) {
		d.fail("%d bytes are missing", n-uint64(len(d.in)))
		return make([]byte, min(n, 8))
	}
	b := d.in[:n]
	d.in = d.in[n:]
	return b
}

// fail keeps what is wrong first.
func (d *decoder) fail(format string, args ...any) {
	if d.failed == nil {
		d.failed = fmt.Errorf(format, args...)
	}
	d.in = nil
}

// next reads an event into ev, except for its number.
func (d *decoder) next(ev *trace.Event) error {
	at := int(min(d.uvarint(), 1<<32)) - 1
	if at < 0 && d.failed == nil {
		at = len(d.known)
		d.known, d.places = append(d.known, d.place()), append(d.places, values{})
	}
	if d.failed == nil && at >= len(d.known) {
		d.fail("place %d of %d", at, len(d.known))
	}
	if d.failed != nil {
		return d.failed
	}
	var v values
	mask := d.uvarint()
	if mask >= 1<<numbers {
		d.fail("an event has numbers that are not known")
	}
	for i := range v {
		v[i] = d.base(at, i)
		if mask&(1<<i) != 0 {
			n, size := binary.Varint(d.in)
			if size <= 0 {
				d.fail("a number is cut off or too large")
				break
			}
			d.in = d.in[size:]
			v[i] += uint64(n)
		}
	}
	d.last, d.places[at] = v, v
	d.event(ev, &d.known[at], &v)
	return d.failed
}

// place reads one that is new, and checks it.
func (d *decoder) place() place {
	b := d.take(3)
	p := place{kind: b[0], reason: b[1], flags: b[2]}
	for _, to := range []*int64{&p.fn, &p.target, &p.insn, &p.tail} {
		*to = int64(min(d.uvarint(), 1<<31)) - 1
	}
	p.rip, p.to = binary.LittleEndian.Uint64(d.take(8)), binary.LittleEndian.Uint64(d.take(8))
	p.name = string(d.take(d.uvarint()))
	fns := d.code.Funcs()
	switch {
	case d.failed != nil:
	case p.kind == uint8(trace.KindNone) || p.kind > uint8(trace.KindHook):
		d.fail("no kind of event has number %d", p.kind)
	case p.reason > uint8(trace.ReasonUnknown):
		d.fail("no reason has number %d", p.reason)
	case p.fn >= int64(len(fns)) || p.target >= int64(len(fns)):
		d.fail("function %d of %d", max(p.fn, p.target), len(fns))
	case p.tail >= 0 && (p.fn < 0 || p.tail >= int64(len(fns[p.fn].TailCalls))):
		d.fail("tail call %d, which the function does not have", p.tail)
	}
	return p
}

// event makes an event of a place and numbers.
func (d *decoder) event(ev *trace.Event, p *place, v *values) {
	*ev = trace.Event{
		Kind: trace.Kind(p.kind), Reason: trace.Reason(p.reason), Inner: p.flags&flagInner != 0, FellThrough: p.flags&flagFellThrough != 0,
		Insn: bpf.InsnIndex(max(p.insn, 0)), HasInsn: p.insn >= 0, RIP: image.Addr(p.rip), TargetAddr: image.Addr(p.to), Name: p.name,
		Seq: v[numSeq], Site: v[numSite], Cycle: timing.Cycle(v[numCycle]), Act: int(v[numAct]), Begun: int(v[numBegun]), Taken: v[numTaken],
		Depth: int(v[numDepth]), RSP: image.Addr(v[numRSP]), RBP: image.Addr(v[numRBP]), RAX: image.Addr(v[numRAX]), Counter: v[numCounter],
		CounterAddr: image.Addr(v[numCounterAddr]), CounterPtrAt: image.Addr(v[numCounterPtrAt]), Key: uint32(v[numKey]),
	}
	if p.fn >= 0 {
		ev.Fn = d.code.Funcs()[p.fn]
	}
	if p.target >= 0 {
		ev.Target = d.code.Funcs()[p.target]
	}
	if p.tail >= 0 {
		ev.Tail = &ev.Fn.TailCalls[p.tail]
	}
}
