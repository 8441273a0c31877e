// SPDX-License-Identifier: GPL-2.0-only

package count

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// The tests of this file look inside: they check the algebra of forms, pins and summaries without
// an engine. What comes of it on real code is compared in scenarios/runner.

// bench is a machine that is only registers and two pieces of memory.
type bench struct {
	r     Regs
	data  [32]byte // at dataAt
	stack [64]byte // at stackAt
}

const (
	dataAt  = 0x1000
	stackAt = 0x2000
	spAt    = stackAt + 32
)

func (b *bench) bytes(a uint64, w uint8) []byte {
	if a >= stackAt {
		return b.stack[a-stackAt:][:w]
	}
	return b.data[a-dataAt:][:w]
}

func (b *bench) Regs() (Regs, error)                     { return b.r, nil }
func (b *bench) SetRegs(r Regs) error                    { b.r = r; return nil }
func (b *bench) Step() (Regs, error)                     { panic("BUG: no code here") }
func (b *bench) Leave() (Regs, uint64, error)            { panic("BUG: no code here") }
func (b *bench) Inst(image.Addr) (*x86.Inst, error)      { panic("BUG: no code here") }
func (b *bench) GSBase() uint64                          { return 0 }
func (b *bench) Store(a uint64, w uint8, v uint64) error { b.put(a, w, v); return nil }

func (b *bench) put(a uint64, w uint8, v uint64) {
	var x [8]byte
	binary.LittleEndian.PutUint64(x[:], v)
	copy(b.bytes(a, w), x[:w])
}

func (b *bench) Load(a uint64, w uint8) (uint64, error) {
	if a < dataAt || a+uint64(w) > dataAt+32 && a < stackAt || a+uint64(w) > stackAt+64 {
		return 0, fmt.Errorf("no memory at %#x", a)
	}
	var x [8]byte
	copy(x[:w], b.bytes(a, w))
	return binary.LittleEndian.Uint64(x[:]), nil
}

// op is one random thing that code does: a load, a store, a sum, a comparison with a branch, or a
// call of more code.
type op struct {
	kind int
	r    x86.Reg
	w    uint8
	at   uint64
	d    uint64
	body []op
}

func randomOps(r *rand.Rand, depth int) []op {
	var out []op
	for range 1 + r.IntN(10) {
		o := op{kind: r.IntN(5), r: x86.Reg(r.IntN(2)), w: uint8(1) << r.IntN(4), d: uint64(r.IntN(513)) - 256}
		o.at = dataAt + uint64(r.IntN(32-int(o.w)+1))
		if r.IntN(2) == 0 {
			o.at = stackAt + uint64(r.IntN(64-int(o.w)+1))
		}
		switch {
		case o.kind == 4 && depth < 2:
			o.body = randomOps(r, depth+1)
		case o.kind == 4:
			o.kind = 0
		case o.kind == 2:
			o.w = max(o.w, 4)
		}
		out = append(out, o)
	}
	return out
}

// run executes ops on a machine. With a counter the analysis watches.
func (b *bench) run(c *counter, ops []op) {
	for _, o := range ops {
		mem, reg := place{mem: true, at: o.at, w: o.w}, place{reg: o.r, w: o.w}
		switch o.kind {
		case 0: // movzx reg, mem
			v, _ := b.Load(o.at, o.w)
			if c != nil {
				c.reach(o)
				c.write(place{reg: o.r, w: 8}, c.read(mem))
			}
			b.r.R[o.r] = v
		case 1: // mov mem, reg
			if c != nil {
				c.reach(o)
				c.write(mem, c.read(place{reg: o.r, w: 8}))
			}
			b.put(o.at, o.w, b.r.R[o.r])
		case 2: // add reg, d
			v := mask(b.r.R[o.r]+o.d, o.w)
			if c != nil {
				x := c.read(reg)
				c.write(reg, operand{x.f.plus(o.d, o.w), x.v + o.d})
			}
			b.r.R[o.r] = v
		case 3: // if reg & 1 { inc the byte at mem }
			if c != nil {
				c.reach(o)
				c.top.pin(operand{c.top.regs[o.r], c.r.R[o.r]})
			}
			if b.r.R[o.r]&1 != 0 {
				v, _ := b.Load(o.at, 1)
				p := place{mem: true, at: o.at, w: 1}
				if c != nil {
					x := c.read(p)
					c.write(p, operand{x.f.plus(1, 1), x.v + 1})
				}
				b.put(o.at, 1, v+1)
			}
		case 4:
			if c == nil {
				b.run(nil, o.body)
				break
			}
			c.push(c.newFrame(nil))
			b.run(c, o.body)
			inner := c.pop()
			s := inner.summarise()
			c.top.compose(s, s.effects, inner.rsp)
		}
		if c != nil {
			c.r = b.r
		}
	}
}

// reach says that memory is used whose address is a constant, or rsp and a constant if it is the
// stack.
func (c *counter) reach(o op) {
	f := form{}
	if o.at >= stackAt {
		f = c.top.regs[x86.RSP].plus(o.at-c.r.R[x86.RSP], 8)
	}
	c.top.reach(f, o.at, o.w)
}

func randomBench(r *rand.Rand) *bench {
	b := &bench{}
	for i := range b.r.R {
		b.r.R[i] = r.Uint64() & mask(^uint64(0), []uint8{1, 4, 8}[r.IntN(3)])
	}
	b.r.R[x86.RSP] = spAt
	for i := range b.data {
		b.data[i] = byte(r.Uint32())
	}
	for i := range b.stack {
		b.stack[i] = byte(r.Uint32())
	}
	return b
}

// TestSummariesHold watches random code run from one state, and applies what was learned to other
// states that satisfy the precondition.
func TestSummariesHold(t *testing.T) {
	applied := 0
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 1))
		ops, first := randomOps(r, 0), randomBench(r)
		machine := *first
		c := &counter{cfg: Config{}, ctx: context.Background(), cpu: &machine, code: newCode(&machine, nil), r: machine.r}
		c.mem = memory{cpu: &machine, lo: stackAt, hi: stackAt + 64}
		c.push(c.newFrame(nil))
		machine.run(c, ops)
		s := c.pop().summarise()
		if c.mem.err != nil {
			t.Fatal(c.mem.err)
		}
		for range 5 {
			state := randomBench(r)
			state.satisfy(s)
			if !s.matches(&state.r, &memory{cpu: state, lo: stackAt, hi: stackAt + 64}) {
				continue // pins that overlap: the state could not be made to satisfy all
			}
			applied++
			want := *state
			want.run(nil, ops)
			state.apply(s)
			if *state != want {
				t.Fatalf("seed %d: the summary gives\n%+v, execution\n%+v\nops %+v", seed, *state, want, ops)
			}
		}
	}
	if applied < 10_000 {
		t.Errorf("only %d states satisfied a precondition", applied)
	}
}

// satisfy gives pinned locations the values that they must have.
func (b *bench) satisfy(s *summary) {
	for _, p := range s.pins {
		v := p.p.v
		if p.p.rel {
			v += b.r.R[x86.RSP]
		}
		if p.l.kind == locReg {
			b.r.R[p.l.reg] = v
			continue
		}
		b.put(p.l.addr(b.r.R[x86.RSP]), p.l.w, v)
	}
}

// apply does what a hit does.
func (b *bench) apply(s *summary) {
	e := b.r.R[x86.RSP]
	for _, x := range s.from(&b.r, &memory{cpu: b, lo: stackAt, hi: stackAt + 64}) {
		if x.l.kind == locReg {
			b.r.R[x.l.reg] = x.v
			continue
		}
		b.put(x.l.addr(e), x.l.w, x.v)
	}
}

func TestNumGrowsWithoutBound(t *testing.T) {
	var n num
	n.inc(1)
	for range 200 {
		n.add(n)
		n.inc(1)
	}
	if got := n.value().BitLen(); got != 201 { // 2^201 - 1
		t.Errorf("a number of %d bits", got)
	}
	before := n
	n.inc(1)
	if before.value().Cmp(n.value()) >= 0 {
		t.Error("a copy changed with the number it was copied from")
	}
}

func TestBookFindsByValues(t *testing.T) {
	b := &bench{}
	b.r.R[x86.RSP] = spAt
	m := &memory{cpu: b, lo: stackAt, hi: stackAt + 64}
	var k book
	for v := range uint64(50) {
		k.add(&summary{pins: []pinned{{regLoc(x86.RAX), pin{v: v}}}, t: tally{}})
	}
	k.add(&summary{pins: []pinned{{regLoc(x86.RAX), pin{v: 99}}, {loc{kind: locMem, w: 1, at: dataAt}, pin{v: 7}}}})
	k.add(&summary{pins: []pinned{{regLoc(x86.RCX), pin{v: 8, rel: true}}, {regLoc(x86.RAX), pin{v: 77}}}})
	k.add(&summary{pins: []pinned{{regLoc(x86.RAX), pin{v: 61}}}, pinRSP: true, rsp: spAt})
	k.add(&summary{pins: []pinned{{regLoc(x86.RAX), pin{v: 62}}}, pinRSP: true, rsp: spAt + 8})
	for _, c := range []struct {
		rax, rcx uint64
		data     byte
		found    bool
	}{{rax: 61, found: true}, {rax: 62}, {rax: 49, found: true}, {rax: 50}, {rax: 99}, {rax: 99, data: 7, found: true}, {rax: 77, rcx: spAt + 8, found: true}, {rax: 77, rcx: 8}} {
		b.r.R[x86.RAX], b.r.R[x86.RCX], b.data[0] = c.rax, c.rcx, c.data
		if s := k.find(&b.r, m); (s != nil) != c.found {
			t.Errorf("%+v: found %v", c, s)
		}
	}
	if len(k.groups) != 4 {
		t.Errorf("%d groups, want 4", len(k.groups))
	}
}
