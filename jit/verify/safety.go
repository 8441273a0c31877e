// SPDX-License-Identifier: GPL-2.0-only

package verify

import (
	"errors"
	"fmt"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/verify/ranges"
)

// What a verifier refuses because memory is not the program's. Only addresses of known kinds are judged: the stack,
// the packet, the values of maps, the context. Of others, such as kernel objects by BTF, it takes everything.

// Bounds of adjust_ptr_min_max_vals and check_mem_access.
const (
	maxVarOff    = 1 << 29 // BPF_MAX_VAR_OFF, BPF_MAX_VAR_SIZ
	maxPacketOff = 0xffff  // MAX_PACKET_OFF
)

// kindNames are the verifier's words.
var kindNames = map[valueKind]string{
	kindNumber: "scalar", kindStack: "fp", kindMap: "map_ptr", kindMapValue: "map_value", kindContext: "ctx", kindPacket: "pkt",
	kindPacketEnd: "pkt_end", kindPacketMeta: "pkt_meta", kindFunc: "func", kindPointer: "ptr_", kindNone: "?",
}

func (v *value) word() string {
	if v.orNull {
		return kindNames[v.kind] + "_or_null"
	}
	return kindNames[v.kind]
}

// judges reports whether accesses are judged: of programs as users write them, that are to be refused.
func (x *explorer) judges() bool { return x.submitted && x.strict }

// mayTouch refuses an access of size bytes through register reg, which holds base.
func (x *explorer) mayTouch(base *value, reg uint8, in bpf.Insn, store bool) error {
	if !x.judges() || base.typed != noObject || base.kind == kindStack || base.kind == kindPointer && !base.orNull {
		return nil
	}
	off, size := base.off+int64(in.Off), int64(in.Size())
	switch {
	case base.orNull:
	case base.kind == kindMapValue:
		return x.inValue(base, reg, off, size, store)
	case base.kind == kindPacket || base.kind == kindPacketMeta:
		return inPacket(base, reg, off, size)
	case base.kind == kindContext:
		if !base.num.IsConst() || base.num.Umin != 0 {
			return errors.New("variable ctx access is not allowed")
		}
		return nil
	case base.kind == kindMap && !store: // fields of struct bpf_map, since 5.8
		return nil
	}
	return fmt.Errorf("r%d invalid mem access '%s'", reg, base.word())
}

// inValue is check_map_access.
func (x *explorer) inValue(base *value, reg uint8, off, size int64, store bool) error {
	m := &x.p.Maps[base.mapIdx]
	if store && m.Frozen != "" {
		return fmt.Errorf("write into map forbidden: %s holds constants", m.Name)
	}
	if !m.Type.Hash() && m.Type != bpf.ArrayMap && m.Type != bpf.PerCPUArrayMap && m.Type != bpf.LPMTrie {
		return nil
	}
	total := int64(m.ValueSize)
	switch n := &base.num; {
	case n.Smin < 0 && (n.Smin == -1<<63 || off+n.Smin < 0 || n.Smin <= -maxVarOff):
		return fmt.Errorf("r%d min value is negative, either use unsigned index or do a if (index >=0) check", reg)
	case off+n.Smin < 0 || off+n.Smin+size > total:
		return fmt.Errorf("r%d min value is outside of the allowed memory range: invalid access to map value, value_size=%d off=%d size=%d", reg, total, off+n.Smin, size)
	case n.Umax >= maxVarOff:
		return fmt.Errorf("r%d unbounded memory access, make sure to bounds check any such access", reg)
	case off+int64(n.Umax)+size > total:
		return fmt.Errorf("r%d max value is outside of the allowed memory range: invalid access to map value, value_size=%d off=%d size=%d", reg, total, off+int64(n.Umax), size)
	}
	return nil
}

// inPacket is check_packet_access.
func inPacket(base *value, reg uint8, off, size int64) error {
	switch {
	case base.num.Smin < 0:
		return fmt.Errorf("r%d min value is negative, either use unsigned index or do a if (index >=0) check", reg)
	case off < 0 || off+size > base.delta:
		return fmt.Errorf("invalid access to packet, off=%d size=%d: r%d offset is outside of the packet (%d bytes are known to be there)", off, size, reg, base.delta)
	}
	return nil
}

// mayAdd refuses arithmetic on addresses (adjust_ptr_min_max_vals).
func (x *explorer) mayAdd(f *frameState, in bpf.Insn) error {
	op, wide := in.Op&0xf0, in.Class() == bpf.ClassALU64
	if !x.judges() || in.Dst > 10 || op == bpf.ALUMov {
		return nil
	}
	d, src := f.regs[in.Dst], number(constant(in))
	if in.Op&bpf.SrcReg != 0 && op != bpf.ALUEnd && op != bpf.ALUNeg {
		src = f.regs[in.Src]
	}
	if !d.isPointer() && !src.isPointer() || d.kind == kindNone || src.kind == kindNone {
		return nil
	}
	switch {
	case op == bpf.ALUSub && (d.isPointer() && src.isPointer() || !wide):
		return nil // the result is any number
	case d.isPointer() && src.isPointer():
		return fmt.Errorf("r%d pointer %s pointer prohibited", in.Dst, opSign(op))
	case op == bpf.ALUNeg || op == bpf.ALUEnd:
		return nil
	case !d.isPointer() && op == bpf.ALUSub:
		return fmt.Errorf("r%d tried to subtract pointer from scalar", in.Dst)
	case !wide:
		return fmt.Errorf("r%d 32-bit pointer arithmetic prohibited", in.Dst)
	case op != bpf.ALUAdd && op != bpf.ALUSub:
		return fmt.Errorf("r%d pointer arithmetic with %s operator prohibited", in.Dst, opSign(op))
	}
	p, n := &d, &src
	if !d.isPointer() {
		p, n = &src, &d
	}
	switch {
	case p.typed != noObject || p.kind == kindPointer:
		return nil
	case p.orNull:
		return fmt.Errorf("r%d pointer arithmetic on %s prohibited, null-check it first", in.Dst, p.word())
	case p.kind == kindPacketEnd, p.kind == kindMap && !(n.isConst() && n.num.Umin == 0):
		return fmt.Errorf("r%d pointer arithmetic on %s prohibited", in.Dst, p.word())
	case n.isConst() && (int64(n.num.Umin) >= maxVarOff || int64(n.num.Umin) <= -maxVarOff):
		return fmt.Errorf("math between %s pointer and %d is not allowed", p.word(), int64(n.num.Umin))
	case n.num.Smin == -1<<63:
		return fmt.Errorf("math between %s pointer and register with unbounded min value is not allowed", p.word())
	case n.num.Smin >= maxVarOff || n.num.Smin <= -maxVarOff:
		return fmt.Errorf("value %d makes %s pointer be out of bounds", n.num.Smin, p.word())
	}
	return nil
}

func opSign(op uint8) string {
	signs := map[uint8]string{
		bpf.ALUAdd: "+=", bpf.ALUSub: "-=", bpf.ALUMul: "*=", bpf.ALUDiv: "/=", bpf.ALUOr: "|=", bpf.ALUAnd: "&=",
		bpf.ALULsh: "<<=", bpf.ALURsh: ">>=", bpf.ALUMod: "%=", bpf.ALUXor: "^=", bpf.ALUArsh: "s>>=",
	}
	return signs[op]
}

// comparePacket learns how many bytes of the packet are there from a comparison with its end, or of metadata with
// the packet's beginning, where "a OP b" is true (try_match_pkt_pointers, find_good_pkt_pointers).
func (s *state) comparePacket(op uint8, a, b *value) {
	if a.kind == kindPacketEnd || a.kind == kindPacket && b.kind == kindPacketMeta {
		flip, ok := flipped[op]
		if !ok {
			return
		}
		op, a, b = flip, b, a
	}
	switch {
	case a.kind == kindPacket && b.kind == kindPacketEnd:
	case a.kind == kindPacketMeta && b.kind == kindPacket && b.off == 0 && b.link == 0:
	default:
		return
	}
	var more int64
	switch op {
	case bpf.JmpLe:
	case bpf.JmpLt:
		more = 1
	default:
		return
	}
	known, limit := *a, a.off+more
	if known.off < 0 || known.off == 0 && more != 0 || known.num.Umax > maxPacketOff || int64(known.num.Umax)+known.off > maxPacketOff {
		return
	}
	s.everyValue(func(v *value) {
		if v.kind == known.kind && v.link == known.link {
			v.delta = max(v.delta, limit)
		}
	})
}

// flipped is the comparison with its operands exchanged.
var flipped = map[uint8]uint8{bpf.JmpGt: bpf.JmpLt, bpf.JmpLt: bpf.JmpGt, bpf.JmpGe: bpf.JmpLe, bpf.JmpLe: bpf.JmpGe}

// loosePackets forgets all addresses in the packet, after a helper that may move it (bpf_helper_changes_pkt_data).
func (s *state) loosePackets() {
	s.everyValue(func(v *value) {
		if v.kind == kindPacket || v.kind == kindPacketEnd || v.kind == kindPacketMeta {
			*v = unknownNumber() // mark_reg_invalid
		}
	})
}

// movesPacket are those helpers (bpf_helper_changes_pkt_data in net/core/filter.c).
var movesPacket = map[int32]bool{
	9: true, 10: true, 11: true, 13: true, 18: true, 19: true, 31: true, 38: true, 39: true, 43: true, 44: true, 50: true, 54: true, 62: true, 65: true,
	73: true, 74: true, 75: true, 76: true, 90: true, 91: true,
}

// mayHand refuses memory that a helper would go beyond (check_helper_mem_access, check_mem_size_reg).
func (x *explorer) mayHand(v *value, reg uint8, size int64, store bool) error {
	if !x.judges() || v.typed != noObject || v.orNull || size == 0 {
		return nil
	}
	switch v.kind {
	case kindMapValue:
		return x.inValue(v, reg, v.off, size, store)
	case kindPacket, kindPacketMeta:
		return inPacket(v, reg, v.off, size)
	}
	return nil
}

// maySize refuses a size that a helper is handed.
func (x *explorer) maySize(n *value, reg uint8) error {
	switch {
	case !x.judges() || n.kind != kindNumber:
		return nil
	case n.num.Smin < 0:
		return fmt.Errorf("r%d min value is negative, either use unsigned or 'var &= const'", reg)
	case n.num.Umax >= maxVarOff:
		return fmt.Errorf("r%d unbounded memory access, use 'var &= const' or 'if (var < const)'", reg)
	}
	return nil
}

func constant(in bpf.Insn) ranges.Scalar { return ranges.ConstScalar(uint64(int64(in.Imm))) }

// Attach types that decide about results (enum bpf_attach_type).
const (
	attachFentry, attachFexit, attachIter = 24, 25, 28
	attachEgress                          = 1
)

// results returns what programs may return, all if ok is false (check_return_code).
func (x *explorer) results() (lo, hi int64, ok bool) {
	switch a := x.p.AttachType; x.p.Type {
	case bpf.Tracing:
		switch a {
		case attachFentry, attachFexit:
			return 0, 0, true
		case attachIter:
			return 0, 1, true
		}
	case bpf.CGroupSKB:
		if a == attachEgress {
			return 0, 3, true
		}
		return 0, 1, true
	case bpf.CGroupSock, bpf.SockOps, bpf.CGroupDevice, bpf.CGroupSysctl, bpf.CGroupSockopt:
		return 0, 1, true
	}
	return 0, 0, false
}

// mayReturn judges the result of the program.
func (x *explorer) mayReturn(s *state) error {
	f := s.top()
	lo, hi, ok := x.results()
	if !ok || !x.judges() || f.fn != 0 {
		return nil
	}
	r0 := &f.regs[0]
	if r0.kind != kindNumber {
		return fmt.Errorf("at program exit r0 is not a known value (%s)", r0.word())
	}
	x.needs(s, 0)
	if n := &r0.num; n.Smin < lo || n.Smax > hi {
		return fmt.Errorf("at program exit the register r0 has smin=%d smax=%d should have been in [%d, %d]", n.Smin, n.Smax, lo, hi)
	}
	return nil
}
