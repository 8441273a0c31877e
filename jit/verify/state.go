// SPDX-License-Identifier: GPL-2.0-only

package verify

import (
	"github.com/tcsim/tcsim/jit/bpf"
	"slices"
)

// valueKind says what a register or a spilled slot holds.
type valueKind uint8

const (
	kindNone     valueKind = iota // nothing was written yet, or a call clobbered it
	kindNumber                    // a number: value.num
	kindStack                     // address in the stack of frame value.frame, at value.off plus value.num
	kindMap                       // struct bpf_map of map value.mapIdx
	kindMapValue                  // value of map value.mapIdx
	kindContext                   // the program's context
	kindPacket                    // packet data
	kindPacketEnd
	kindPacketMeta
	kindFunc    // address of the function at slot value.mapIdx
	kindPointer // some other pointer
)

// value is what is known of a register. Of pointers off is the constant part and num the variable.
type value struct {
	kind   valueKind
	orNull bool
	frame  uint8
	mapIdx int32
	off    int64
	// link is the same in values that were copied from each other; 0 is none. What is learnt of
	// one is true of the others, which are delta higher if linked by a constant.
	link  uint32
	delta int64
	plus  bool // delta counts
	num   scalar
	// typed is what a load through the value would be if it is the address of a kernel object.
	typed objectKind
}

// objectKind says how the verifier trusts the address of a kernel object (PTR_TO_BTF_ID).
type objectKind uint8

const (
	noObject  objectKind = iota
	trusted              // loads are plain
	untrusted            // loads may fault and are guarded (BPF_PROBE_MEM)
	perCPU               // a per-CPU variable, whose value may be a trusted address
	inArena              // offset in the arena (PTR_TO_ARENA)
)

func number(s scalar) value { return value{kind: kindNumber, num: s} }

func unknownNumber() value { return number(unknownScalar()) }

func pointer(k valueKind) value { return value{kind: k, num: constScalar(0)} }

func (v *value) isConst() bool { return v.kind == kindNumber && v.num.isConst() }

// isPointer reports whether v is an address, null or not.
func (v *value) isPointer() bool { return v.kind > kindNumber }

// byteKind says what one byte of a stack slot holds.
type byteKind uint8

const (
	byteNone  byteKind = iota
	byteMisc           // anything
	byteZero           // 0
	byteSpill          // part of the slot's spilled value
)

// slot is 8 bytes of BPF stack. Bytes are counted from the slot's lowest address.
type slot struct {
	bytes [8]byteKind
	spill value
}

// numRegs has room for r0 to r10 and the verifier's own registers after them.
const numRegs = 13

// frameState is the state of one function that has not returned.
type frameState struct {
	fn       int
	callback bool          // a helper calls the function
	ret      bpf.InsnIndex // slot after the call
	regs     [numRegs]value
	stack    []slot // stack[i] is at r10-8*(i+1)
}

// state is what is known at one instruction on one path.
type state struct {
	pc     bpf.InsnIndex
	frames []frameState
}

func (s *state) top() *frameState { return &s.frames[len(s.frames)-1] }

func (s *state) clone() *state {
	c := &state{pc: s.pc, frames: slices.Clone(s.frames)}
	for i := range c.frames {
		c.frames[i].stack = slices.Clone(c.frames[i].stack)
	}
	return c
}

// slotOf returns the slot that holds the byte at off from r10, which is below it; nil if it is out
// of bounds. Growing the stack is the caller's wish.
func (f *frameState) slotOf(off int64, grow bool) *slot {
	if off >= 0 || off < -maxStack {
		return nil
	}
	i := int((-off - 1) / 8)
	if i >= len(f.stack) {
		if !grow {
			return nil
		}
		f.stack = append(f.stack, make([]slot, i+1-len(f.stack))...)
	}
	return &f.stack[i]
}

// maxStack is MAX_BPF_STACK in bytes.
const maxStack = 512

// byteOf is the index within its slot of the byte at off from r10.
func byteOf(off int64) int { return int(off & 7) }

// everyValue calls visit for all registers and spilled values.
func (s *state) everyValue(visit func(*value)) {
	for i := range s.frames {
		f := &s.frames[i]
		for r := range f.regs {
			visit(&f.regs[r])
		}
		for j := range f.stack {
			if f.stack[j].bytes[0] == byteSpill {
				visit(&f.stack[j].spill)
			}
		}
	}
}

// linkMap pairs the links of two states.
type linkMap [][2]uint32

// pair reports whether a of one state may be the same link as b of the other.
func (m *linkMap) pair(a, b uint32) bool {
	for _, p := range *m {
		if p[0] == a || p[1] == b {
			return p[0] == a && p[1] == b
		}
	}
	*m = append(*m, [2]uint32{a, b})
	return true
}

// covers reports whether everything that can happen from n can happen from s too, so that n need
// not be followed. live are the registers of the top frame that are read later.
func (s *state) covers(n *state, live func(pc bpf.InsnIndex) uint16) bool {
	if len(s.frames) != len(n.frames) {
		return false
	}
	var links linkMap
	for i := range s.frames {
		a, b := &s.frames[i], &n.frames[i]
		if a.fn != b.fn || a.ret != b.ret {
			return false
		}
		regs := live(s.pc)
		if i+1 < len(s.frames) {
			regs = live(s.frames[i+1].ret) &^ (1<<6 - 1) // r0 to r5 are lost
		}
		for r := range a.regs {
			if regs&(1<<r) != 0 && !a.regs[r].covers(&b.regs[r], &links) {
				return false
			}
		}
		if !coverStack(a.stack, b.stack, &links) {
			return false
		}
	}
	return true
}

func (v *value) covers(n *value, links *linkMap) bool {
	if v.kind == kindNone {
		return true
	}
	if v.kind != n.kind || v.orNull != n.orNull || v.typed != n.typed {
		return false
	}
	if v.link != 0 && !(v.kind == kindNumber && v.num.isConst()) {
		if n.link == 0 || !links.pair(v.link, n.link) || v.plus != n.plus || v.delta != n.delta {
			return false
		}
	}
	if v.kind != kindNumber && (v.frame != n.frame || v.mapIdx != n.mapIdx || v.off != n.off) {
		return false
	}
	return v.num.contains(&n.num)
}

func coverStack(a, b []slot, links *linkMap) bool {
	for i := range a {
		if i >= len(b) {
			for _, k := range a[i].bytes {
				if k != byteNone && k != byteMisc {
					return false
				}
			}
			continue
		}
		x, y := &a[i], &b[i]
		for j, k := range x.bytes {
			switch {
			case k == byteNone || k == byteMisc:
			case k != y.bytes[j]:
				return false
			}
		}
		if x.bytes[0] == byteSpill && !x.spill.covers(&y.spill, links) {
			return false
		}
	}
	return true
}
