// SPDX-License-Identifier: GPL-2.0-only

package scenarios

import (
	"maps"
	"slices"

	"github.com/tcsim/tcsim/jit/bpf"
)

// atomicOps are the operations of atomic steps by name.
var atomicOps = map[string]int32{
	"add": bpf.ALUAdd, "or": bpf.ALUOr, "and": bpf.ALUAnd, "xor": bpf.ALUXor,
	"fetch_add": bpf.ALUAdd | bpf.AtomicFetch, "fetch_or": bpf.ALUOr | bpf.AtomicFetch,
	"fetch_and": bpf.ALUAnd | bpf.AtomicFetch, "fetch_xor": bpf.ALUXor | bpf.AtomicFetch,
	"xchg": bpf.AtomicXchg, "cmpxchg": bpf.AtomicCmpXchg,
}

// upperJunk is what stands above the 32 bits that a cmpxchg compares: no program may see it afterwards.
const upperJunk = 0x77889900 << 32

// atomic changes a place in one access. What was there is the result, except of operations that do not fetch it.
func (e *emitter) atomic(s *Step) {
	op, known := atomicOps[s.Atomic.Text]
	if !known {
		e.failf(s.Atomic.Pos, "no atomic operation %q: expected %s", s.Atomic.Text, expected(s.Atomic.Text, slices.Sorted(maps.Keys(atomicOps))))
		return
	}
	compares := op == bpf.AtomicCmpXchg
	if compares != (s.Is != nil) {
		e.failf(s.Pos, "cmpxchg compares with is, and no other operation does")
		return
	}
	size, ok := e.atomicPlace(s.On)
	if !ok {
		return
	}
	for _, v := range []*Value{s.To, s.Is} {
		if v != nil && (v.Kind != ValueInt && v.Kind != ValueReg || v.Times > 1) {
			e.failf(v.Pos, "expected a number or one of r6 to r9 in an atomic step, found %q", v.Text)
			return
		}
	}
	e.read(s.To, 3)
	switch {
	case compares && size == 4 && s.Is.Kind == ValueInt:
		e.moveImm(0, upperJunk|int64(uint32(s.Is.Int)))
	case compares:
		e.read(s.Is, 0)
	}
	base, off := uint8(10), int16(s.On.Off)
	if s.On.Kind == ValueMap {
		base, off = 2, 0
		e.mapAddr(2, s.On.Map, bpf.PseudoMapValue, s.On.Off)
	}
	e.op(bpf.Insn{Op: bpf.ClassSTX | bpf.ModeAtomic | opSize[size], Dst: base, Src: 3, Off: off, Imm: op})
	if fetches := op&bpf.AtomicFetch != 0; fetches {
		if !compares {
			e.move(0, 3)
		}
		e.result = true
	}
}

// atomicPlace checks the place of an atomic step and returns its width in bytes.
func (e *emitter) atomicPlace(v *Value) (size int, ok bool) {
	if v.Kind != ValueStack && v.Kind != ValueMap || e.lookedUp(v) {
		e.failf(v.Pos, "expected a place with a fixed address, on the stack or in an array with one entry, found %q", v.Text)
		return 0, false
	}
	if size, ok = e.location(v); !ok {
		return 0, false
	}
	if size < 4 || int(v.Off)%size != 0 {
		e.failf(v.Pos, "expected 4 or 8 bytes at a multiple of that, found %q", v.Text)
		return 0, false
	}
	return size, true
}
