// SPDX-License-Identifier: GPL-2.0-only

package verify

import (
	"math/bits"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/verify/live"
	"github.com/tcsim/tcsim/jit/verify/origin"
	"github.com/tcsim/tcsim/jit/verify/ranges"
	"github.com/tcsim/tcsim/jit/verify/rights"
	"github.com/tcsim/tcsim/jit/verify/shape"
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
	kindSocket  // struct bpf_sock of a full socket
	kindSockCommon
	kindTCPSock
	kindXDPSock
	kindFlowKeys
	kindMemory // value.size bytes that are the program's for now
	kindBuffer // what a writable tracepoint hands over
	kindDynptr // a dynptr that a helper hands over, or in a slot of the stack the half of one
	kindArena  // what is accessed in an arena at some instruction
	kindProbed // what is accessed guarded against faults at some instruction
	kindIter   // in a slot of the stack: part of an iterator
	kindOwn    // an object that the program allocated, of the structure with the type id value.size
)

// traits are what else is known of an address, or of what a slot holds.
type traits uint16

const (
	readOnly  traits = 1 << iota // memory that is not written
	ringBuf                      // memory that a ring buffer gave
	ofPacket                     // memory of a packet, or a dynptr of one
	ofSKB                        // that packet is a struct sk_buff
	first                        // the first slot of a dynptr or of an iterator
	drained                      // an iterator that has nothing more
	protected                    // what RCU protects
	unguarded                    // what RCU protected
	probed                       // memory at any address, which is read guarded against faults
	borrowed                     // an object that a list or a tree owns, while its lock is held
	ofFile                       // a dynptr of a file
)

// value is what is known of a register. Of pointers off is the constant part and num the variable.
type value struct {
	kind   valueKind
	orNull bool
	frame  uint8
	// typed is what a load through the value would be if it is the address of a kernel object.
	typed objectKind
	plus  uint8 // delta counts: it was added in so many bits
	// locked says that the memory holds a lock, which link tells apart from others (reg_may_point_to_spin_lock).
	locked bool
	traits traits
	mapIdx int32
	size   int32
	// ref is the reference that the address belongs to, dyn the dynptr; 0 means none (ref_obj_id, dynptr_id).
	ref, dyn uint32
	// link is the same in values that were copied from each other; 0 means none. What is learnt of
	// one is true of the others, which are delta higher if linked by a constant.
	link  uint32
	off   int64
	delta int64 // of addresses in the packet: how many bytes are known to be there, from off 0 on
	num   ranges.Scalar
}

// objectKind says how the verifier trusts the address of a kernel object (PTR_TO_BTF_ID).
type objectKind uint8

const (
	noObject  objectKind = iota
	trusted              // loads are plain
	untrusted            // loads may fault and are guarded (BPF_PROBE_MEM)
	perCPU               // a per-CPU variable, whose value may be a trusted address
	inArena              // offset in the arena (PTR_TO_ARENA)
	unsure               // loaded from where an address may be, of what is not modelled
)

func number(s ranges.Scalar) value { return value{kind: kindNumber, num: s} }

func unknownNumber() value { return number(ranges.UnknownScalar()) }

func pointer(k valueKind) value { return value{kind: k, num: ranges.ConstScalar(0)} }

// identified reports whether v has a link, a reference or a dynptr.
func (v *value) identified() bool { return v.link|v.ref|v.dyn != 0 }

func (v *value) isConst() bool { return v.kind == kindNumber && v.num.IsConst() }

// isPointer reports whether v is an address, null or not.
func (v *value) isPointer() bool { return v.kind > kindNumber }

// byteKind says what one byte of a stack slot holds.
type byteKind uint8

const (
	byteNone   byteKind = iota
	byteMisc            // anything
	byteZero            // 0
	byteSpill           // part of the slot's spilled value
	byteDynptr          // part of a dynptr, which slot.spill describes
	byteIter            // part of an iterator, likewise
	byteFlags           // how interrupts were before they were turned off
)

// slot is 8 bytes of BPF stack. Bytes are counted from the slot's lowest address.
type slot struct {
	bytes [8]byteKind
	spill *value // never changed in place
}

// numRegs has room for r0 to r10 and the verifier's own registers after them.
const (
	numRegs = shape.NumRegs
	allRegs = 1<<numRegs - 1
)

// frameState is the state of one function that has not returned.
type frameState struct {
	fn       int
	callback bool          // a helper calls the function
	again    bool          // returning from the callback comes back to the call of the helper
	ret      bpf.InsnIndex // slot after the call
	call     *live.Call    // nil for kernels that find out what matters of a stack by following a checkpoint
	regs     [numRegs]*value
	lent     uint16 // registers whose value something else refers to, too, by bit
	linked   uint16 // registers that may have identities, by bit
	stack    stack
	// iterations counts how often a helper called a function of this frame in a row (callback_depth).
	iterations uint64
	// written are the slots, by bit, that were written in full since the path's last checkpoint; read, of
	// a checkpoint, those that some path from it reads before it writes them.
	written, read uint64
	// precise are, of a checkpoint, the places on whose numbers depends what was found out after it (mark_chain_precision).
	precise origin.Places
}

// state is what is known at one instruction on one path. The fields after frames are in prune.go.
type state struct {
	pc     bpf.InsnIndex
	frames []frameState
	path
	held rights.Held
	own  [1]frameState // where frames begin
}

func (s *state) top() *frameState { return &s.frames[len(s.frames)-1] }

// slotOf returns the slot that holds the byte at off from r10, which is below it, to be looked at; nil if the stack does not
// reach there.
func (f *frameState) slotOf(off int64) *slot {
	if i := int((-off - 1) / 8); off < 0 && off >= -maxStack && i < f.stack.n {
		return f.stack.at(i)
	}
	return nil
}

// ownSlot is slotOf for a slot that is written to; nil if it is out of bounds.
func (f *frameState) ownSlot(off int64) *slot {
	if off >= 0 || off < -maxStack {
		return nil
	}
	i := int((-off - 1) / 8)
	f.stack.grow(i + 1)
	return f.stack.own(i)
}

// numbers are those of some registers, by bit, that hold numbers.
func (f *frameState) numbers(regs uint64) uint64 {
	for left := regs; left != 0; left &= left - 1 {
		if r := bits.TrailingZeros64(left); f.regs[r].kind != kindNumber {
			regs &^= 1 << r
		}
	}
	return regs
}

// spilledNumbers are those of some slots that hold spilled numbers.
func (f *frameState) spilledNumbers(slots uint64) uint64 {
	slots &= 1<<f.stack.n - 1
	for left := slots; left != 0; left &= left - 1 {
		if j := bits.TrailingZeros64(left); f.stack.at(j).bytes[0] != byteSpill || f.stack.at(j).spill.kind != kindNumber {
			slots &^= 1 << j
		}
	}
	return slots
}

// maxStack is MAX_BPF_STACK in bytes.
const maxStack = shape.MaxStack

// extraStack is how much deeper the verifier's own instructions may go where there is a JIT: the counters of may_goto and
// the registers that an inlined bpf_loop saves, each rounded up to 8 (stack_extra, do_misc_fixups and optimize_bpf_loop).
const extraStack = 16 + 24 + 2*8

// byteOf is the index within its slot of the byte at off from r10.
func byteOf(off int64) int { return int(off & 7) }

// change changes the registers and spilled values that are picked, of those with identities only if identified is set.
func (s *state) change(identified bool, picks func(*value) bool, to func(*value)) {
	for i := range s.frames {
		f := &s.frames[i]
		regs := uint16(allRegs)
		if identified {
			regs = f.linked
		}
		for ; regs != 0; regs &= regs - 1 {
			r := uint8(bits.TrailingZeros16(regs))
			if picks(f.regs[r]) {
				to(f.own(r))
			}
		}
		if !identified {
			f.changeSlots(byteSpill, picks, to)
			continue
		}
		for p := 0; p*pageSlots < f.stack.n; p++ {
			for ids := f.stack.identified(p); ids != 0; ids &= ids - 1 {
				f.changeSlot(p*pageSlots+bits.TrailingZeros8(ids), byteSpill, picks, to)
			}
		}
	}
}

// changeSlots changes what slots of a kind hold.
func (f *frameState) changeSlots(kind byteKind, picks func(*value) bool, to func(*value)) {
	for j := range f.stack.n {
		f.changeSlot(j, kind, picks, to)
	}
}

func (f *frameState) changeSlot(j int, kind byteKind, picks func(*value) bool, to func(*value)) {
	if sl := f.stack.at(j); sl.bytes[0] == kind && picks(sl.spill) {
		v := f.stack.mem.value(sl.spill)
		to(v)
		f.stack.own(j).spill = v
	}
}
