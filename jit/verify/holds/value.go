// SPDX-License-Identifier: GPL-2.0-only

package holds

import (
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/verify/ranges"
	"github.com/tcsim/tcsim/jit/verify/rights"
)

// Kind says what a register or a spilled slot holds.
type Kind uint8

// The kinds.
const (
	None     Kind = iota // nothing was written yet, or a call clobbered it
	Number               // a number: Value.Num
	Stack                // address in the stack of frame Value.Frame, at Value.Off plus Value.Num
	Map                  // struct bpf_map of map Value.Map
	MapValue             // value of map Value.Map
	Context              // the program's context
	Packet               // packet data
	PacketEnd
	PacketMeta
	Func    // address of the function at slot Value.Map
	Pointer // some other pointer
	Socket  // struct bpf_sock of a full socket
	SockCommon
	TCPSock
	XDPSock
	FlowKeys
	Memory // Value.Size bytes that are the program's for now
	Buffer // what a writable tracepoint hands over
	Dynptr // a dynptr that a helper hands over, or in a slot of the stack the half of one
	Arena  // what is accessed in an arena at some instruction
	Probed // what is accessed guarded against faults at some instruction
	Iter   // in a slot of the stack: part of an iterator
	Own    // an object that the program allocated, of the structure with the type id Value.Size
)

// Traits are what else is known of an address, or of what a slot holds.
type Traits uint16

// The traits.
const (
	ReadOnly   Traits = 1 << iota // memory that is not written
	RingBuf                       // memory that a ring buffer gave
	OfPacket                      // memory of a packet, or a dynptr of one
	OfSKB                         // that packet is a struct sk_buff
	First                         // the first slot of a dynptr or of an iterator
	Drained                       // an iterator that has nothing more
	Protected                     // what RCU protects
	Unguarded                     // what RCU protected
	AnyAddress                    // memory at any address, which is read guarded against faults
	Borrowed                      // an object that a list or a tree owns, while its lock is held
	OfFile                        // a dynptr of a file
)

// Value is what is known of a register. Of pointers Off is the constant part and Num the variable. Map is the index of a map, or a slot.
type Value struct {
	Kind   Kind
	OrNull bool
	Frame  uint8
	// Typed is what a load through the value would be if it is the address of a kernel object.
	Typed Object
	Plus  uint8 // Delta counts: it was added in so many bits
	// Locked says that the memory holds a lock, which Link tells apart from others (reg_may_point_to_spin_lock).
	Locked bool
	Traits Traits
	Map    int32
	Size   int32
	// Ref is the reference that the address belongs to, Dyn the dynptr; 0 means none (ref_obj_id, dynptr_id).
	Ref, Dyn uint32
	// Link is the same in values that were copied from each other; 0 means none. What is learnt of
	// one is true of the others, which are Delta higher if linked by a constant.
	Link  uint32
	Off   int64
	Delta int64 // of addresses in the packet: how many bytes are known to be there, from Off 0 on
	Num   ranges.Scalar
}

// Object says how the verifier trusts the address of a kernel object (PTR_TO_BTF_ID).
type Object uint8

// How they are trusted.
const (
	NoObject  Object = iota
	Trusted          // loads are plain
	Untrusted        // loads may fault and are guarded (BPF_PROBE_MEM)
	PerCPU           // a per-CPU variable, whose value may be a trusted address
	InArena          // offset in the arena (PTR_TO_ARENA)
	Unsure           // loaded from where an address may be, of what is not modelled
)

// Unwritten is in what was not written, Anything is any number, Zero is 0. They are never changed.
var Unwritten, Anything, Zero = Value{}, AnyNumber(), Of(ranges.ConstScalar(0))

// loaded are what loads of 1, 2, 4 and 8 bytes give, zero and sign extended.
var loaded = func() (l [2][9]Value) {
	for size := 1; size <= 8; size *= 2 {
		l[0][size], l[1][size] = Of(ranges.LoadedScalar(size, false)), Of(ranges.LoadedScalar(size, true))
	}
	return l
}()

// Loaded is what a load of size bytes from anywhere gives, zero or sign extended. It is never changed.
func Loaded(size int, signed bool) *Value {
	if signed {
		return &loaded[1][size]
	}
	return &loaded[0][size]
}

// Of is a number.
func Of(s ranges.Scalar) Value { return Value{Kind: Number, Num: s} }

// AnyNumber is a number of which nothing is known.
func AnyNumber() Value { return Of(ranges.UnknownScalar()) }

// To is an address of a kind.
func To(k Kind) Value { return Value{Kind: k, Num: ranges.ConstScalar(0)} }

// IsMemory reports whether helpers read and write through addresses of a kind.
func IsMemory(k Kind) bool {
	switch k {
	case Stack, MapValue, Packet, PacketMeta, Memory, Buffer:
		return true
	}
	return false
}

// Sock reports whether v is the address of a socket, null or not.
func (v *Value) Sock() bool {
	return v.Kind >= Socket && v.Kind <= XDPSock
}

// Loose reports whether nothing is known of what kind of address a register holds, if it holds one.
func (v *Value) Loose() bool { return v.Typed != NoObject || v.Kind == Pointer && !v.OrNull }

// Null reports whether v is the number 0.
func (v *Value) Null() bool { return v.IsConst() && v.Num.Umin == 0 }

// AnyMemory is memory at any address.
func AnyMemory() Value {
	v := To(Memory)
	v.Traits = ReadOnly | AnyAddress
	return v
}

// NeverNull reports whether verifiers know that an address is not null (reg_not_null).
func (v *Value) NeverNull() bool {
	if v.Num.Smin <= -ranges.MaxVarOff || v.Num.Smax >= ranges.MaxVarOff {
		return false // the sum may be null
	}
	switch v.Kind {
	case Context, Stack, Packet, PacketMeta, Func, Buffer, FlowKeys, Dynptr:
		return false
	case Pointer:
		return v.Typed != Untrusted && v.Traits&Unguarded == 0
	case Own:
		return v.Traits&(Protected|Unguarded) == 0
	}
	return v.Traits&AnyAddress == 0
}

// ToOwn is the address of an object of the program's own, of the structure with a type id.
func ToOwn(id int32) Value {
	v := To(Own)
	v.Size = id
	return v
}

// LockOf is the lock of the memory that a value points at.
func LockOf(v *Value) rights.Ref {
	if v.Kind != MapValue {
		return rights.Ref{ID: v.Ref, Owner: -1}
	}
	return rights.Ref{ID: v.Link, Owner: v.Map + 1}
}

// OwnCopy is this processor's object of those that every one has.
func OwnCopy(v *Value) Value {
	r := ToOwn(v.Size)
	r.Traits, r.Num = Protected, ranges.ConstScalar(0)
	return r
}

// names are the verifier's words.
var names = map[Kind]string{
	Number: "scalar", Stack: "fp", Map: "map_ptr", MapValue: "map_value", Context: "ctx", Packet: "pkt",
	PacketEnd: "pkt_end", PacketMeta: "pkt_meta", Func: "func", Pointer: "ptr_", Own: "ptr_", None: "?",
	Socket: "sock", SockCommon: "sock_common", TCPSock: "tcp_sock", XDPSock: "xdp_sock", FlowKeys: "flow_keys", Memory: "mem",
	Buffer: "buf", Dynptr: "dynptr_ptr", Iter: "iter",
}

// Word is the verifier's word for what v is.
func (v *Value) Word() string {
	if v.OrNull {
		return names[v.Kind] + "_or_null"
	}
	return names[v.Kind]
}

// Narrow cuts a number to size bytes, as a load of a wider one does (coerce_reg_to_size).
func (v *Value) Narrow(size int, signed bool, r *kernels.RangeRules) {
	if !v.Num.Fits(size) || signed && r.SignedFills && v.Num.Umax >= 1<<(size*8-1) {
		v.Link, v.Delta, v.Plus = 0, 0, 0
	}
	if signed {
		v.Num = v.Num.SignExtend(size, true, r)
		return
	}
	v.Num.Narrow(size, r)
}

// Swap is a byte swap, or the truncation that is left of one on a little-endian machine
// (scalar_byte_swap).
func (v *Value) Swap(in bpf.Insn, r *kernels.RangeRules) {
	size := int(in.Imm) / 8
	swaps := in.Class() == bpf.ClassALU64 || in.Op&bpf.SrcReg != 0
	if swaps || size < 8 {
		v.Link, v.Delta, v.Plus = 0, 0, 0
	}
	if swaps {
		v.Num.Swap(size)
	}
	if size < 8 {
		v.Narrow(size, false, r)
	}
	v.Num.Sync(r)
}

// Identified reports whether v has a link, a reference or a dynptr.
func (v *Value) Identified() bool { return v.Link|v.Ref|v.Dyn != 0 }

// IsConst reports whether v is a number that is known.
func (v *Value) IsConst() bool { return v.Kind == Number && v.Num.IsConst() }

// IsPointer reports whether v is an address, null or not.
func (v *Value) IsPointer() bool { return v.Kind > Number }

// Unlinked reports whether v is a number that is given an identity when it is copied.
func (v *Value) Unlinked() bool {
	return v.Kind == Number && !v.Num.IsConst() && (v.Plus != 0 || v.Link == 0)
}

// Trusts reports whether an address of a kernel object is trusted (is_trusted_reg).
func (v *Value) Trusts() bool {
	return v.Ref != 0 || v.Typed == Trusted && v.Traits&(Protected|Unguarded) == 0
}
