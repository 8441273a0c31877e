// SPDX-License-Identifier: GPL-2.0-only

package verify

import (
	"errors"
	"fmt"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/verify/form"
	"github.com/tcsim/tcsim/jit/verify/parts"
	"github.com/tcsim/tcsim/jit/verify/protos"
	"github.com/tcsim/tcsim/jit/verify/ranges"
)

// What a verifier refuses because memory is not the program's. Only addresses of known kinds are judged: the stack,
// the packet, the values of maps, the context. Of others, such as kernel objects by BTF, it takes everything.

// Bounds of adjust_ptr_min_max_vals and check_mem_access.
const (
	maxVarOff    = ranges.MaxVarOff
	maxPacketOff = 0xffff // MAX_PACKET_OFF
)

// kindNames are the verifier's words.
var kindNames = map[valueKind]string{
	kindNumber: "scalar", kindStack: "fp", kindMap: "map_ptr", kindMapValue: "map_value", kindContext: "ctx", kindPacket: "pkt",
	kindPacketEnd: "pkt_end", kindPacketMeta: "pkt_meta", kindFunc: "func", kindPointer: "ptr_", kindOwn: "ptr_", kindNone: "?",
	kindSocket: "sock", kindSockCommon: "sock_common", kindTCPSock: "tcp_sock", kindXDPSock: "xdp_sock", kindFlowKeys: "flow_keys", kindMemory: "mem",
	kindBuffer: "buf", kindDynptr: "dynptr_ptr", kindIter: "iter",
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
	if !x.judges() || base.kind == kindStack {
		return nil
	}
	if store && (base.typed == trusted || base.typed == untrusted) && x.p.Type != bpf.StructOps && x.p.Type != bpf.Extension && x.p.AttachType != protos.AttachIter {
		return errors.New("only read is supported: an object of the kernel")
	}
	if base.kind == kindOwn && !base.orNull {
		return x.touchOwn(base, reg, int64(in.Off), int64(in.Size()), store)
	}
	if base.typed == unsure || base.typed != noObject && !base.orNull || base.kind == kindPointer && !base.orNull {
		return nil
	}
	off, size := base.off+int64(in.Off), int64(in.Size())
	access := protos.Access{Off: off, Size: size, Store: store, Signed: in.Op&0xe0 == bpf.ModeMemSX}
	switch {
	case base.orNull:
	case base.kind == kindMapValue:
		if err := x.inValue(base, reg, off, size, store); err != nil {
			return err
		}
		return parts.Touch(x.p.Maps[base.mapIdx].Special, x.partsAt(base, off, size, store))
	case base.kind == kindPacket || base.kind == kindPacketMeta:
		if store && !protos.WritesPacket(x.p.Type) {
			return errors.New("cannot write into packet")
		}
		return x.inPacket(base, reg, off, size)
	case base.kind == kindContext:
		return x.inContext(base, reg, access)
	case base.sock():
		return inSock(base, reg, access)
	case base.kind == kindFlowKeys && off >= 0 && off+size <= protos.FlowKeysSize && base.num.IsConst():
		return nil
	case base.kind == kindFlowKeys:
		return fmt.Errorf("invalid access to flow keys off=%d size=%d", off, size)
	case base.kind == kindMemory && base.traits&probed != 0 && !store:
		if in.Imm == bpf.AtomicLoadAcq && in.Op&bpf.ModeMask == bpf.ModeAtomic {
			return fmt.Errorf("BPF_ATOMIC loads from r%d rdonly_untrusted_mem is not allowed", reg)
		}
		x.guarded[x.now.PC] = true
		return nil
	case base.kind == kindMemory:
		return inMemory(base, reg, off, size, store)
	case base.kind == kindBuffer:
		return inBuffer(base, reg, off, store)
	case base.kind == kindMap && !store: // fields of struct bpf_map, since 5.8
		if off < 0 {
			return fmt.Errorf("r%d is bpf_array invalid negative access: off=%d", reg, off)
		}
		return x.inMap(base, off, size)
	case base.kind == kindMap:
		return fmt.Errorf("only read from %s is supported", base.word())
	}
	return fmt.Errorf("r%d invalid mem access '%s'", reg, base.word())
}

// samePointers refuses an instruction that accesses a context or a socket on one path and something else on another:
// such accesses are rewritten (save_aux_ptr_type).
func (x *explorer) samePointers(s *state, base *value) error {
	old, kind := x.base[s.pc], base.kind
	x.met[s.pc] |= 1 << base.kind
	switch {
	case base.traits&probed != 0:
		kind = kindProbed
	case kind == kindOwn:
		kind = kindPointer
	case base.typed == inArena && x.rules.SameArena:
		kind = kindArena
	}
	if objects := kind == kindPointer || kind == kindMemory || kind == kindProbed; objects && (old == kindPointer || old == kindMemory || old == kindProbed) {
		if old == kindProbed { // merge_ptr_types
			kind = old
		}
		x.base[s.pc] = kind
		return nil
	}
	x.base[s.pc] = kind
	if x.judges() && old != kindNone && old != kind && (rewritten(old) || rewritten(kind)) {
		return errors.New("same insn cannot be used with different pointers")
	}
	return nil
}

// rewritten reports whether accesses through addresses of a kind are rewritten (reg_type_mismatch_ok).
func rewritten(k valueKind) bool {
	return k == kindContext || k >= kindSocket && k <= kindXDPSock || k == kindProbed || k == kindArena
}

// inContext is check_ctx_access.
func (x *explorer) inContext(base *value, reg uint8, a protos.Access) error {
	switch {
	case x.contextIsMemory():
		return base.num.Within(reg, a.Off, a.Size, maxContextSize, "context", "ctx_size")
	case x.rules.MovableContext && protos.PlainContext(x.p.Type) && base.off >= 0 && base.num.IsConst() && base.num.Umin == 0:
	default:
		if err := unmoved(reg, base); err != nil {
			return err
		}
	}
	_, err := protos.Context(x.p.Type, x.p.AttachType, a)
	return err
}

// maxContextSize is how many bytes the context of a syscall program has at most.
const maxContextSize = 0xffff

// contextIsMemory reports whether the context is memory of any size, which helpers may be handed, too
// (is_var_ctx_off_allowed, since 7.1).
func (x *explorer) contextIsMemory() bool { return x.rules.MovableContext && x.p.Type == bpf.Syscall }

// inSock is check_sock_access.
func inSock(base *value, reg uint8, a protos.Access) error {
	if a.Store {
		return fmt.Errorf("r%d cannot write into %s", reg, base.word())
	}
	if a.Off < 0 || !base.num.IsConst() {
		return fmt.Errorf("r%d min value is negative, either use unsigned index or do a if (index >=0) check", reg)
	}
	return protos.Sock(socks[base.kind], a)
}

var socks = map[valueKind]protos.Return{kindSocket: protos.Socket, kindSockCommon: protos.SockCommon, kindTCPSock: protos.TCPSock, kindXDPSock: protos.XDPSock}

// inMemory is check_mem_region_access.
func inMemory(base *value, reg uint8, off, size int64, store bool) error {
	if store && base.traits&readOnly != 0 {
		return fmt.Errorf("r%d cannot write into rdonly_mem", reg)
	}
	return base.num.Within(reg, off, size, int64(base.size), "mem", "mem_size")
}

// inMap is a load from the kernel's side of a map (check_ptr_to_map_access).
func (x *explorer) inMap(base *value, off, size int64) error {
	if name := protos.MapStructs[x.p.Maps[base.mapIdx].Type]; x.p.Objects != nil && name != "" {
		_, _, err := x.p.Objects.Field(name, off, size)
		return err
	}
	return nil
}

// inBuffer is check_buffer_access.
func inBuffer(base *value, reg uint8, off int64, store bool) error {
	switch {
	case store && base.traits&readOnly != 0:
		return fmt.Errorf("r%d cannot write into rdonly_buf", reg)
	case off < 0:
		return fmt.Errorf("r%d invalid tracepoint buffer access: off=%d", reg, off)
	case !base.num.IsConst() || base.num.Umin != 0:
		return fmt.Errorf("r%d invalid variable buffer offset: off=%d", reg, off)
	}
	return nil
}

// partsAt is an access of a program to the value of a map.
func (x *explorer) partsAt(base *value, off, size int64, store bool) parts.Access {
	in := x.p.Insns[x.now.PC]
	return parts.Access{
		Off: off + base.num.Smin, Size: size, Slack: int64(base.num.Umax) - base.num.Smin, Const: base.num.IsConst(),
		Store: store, Null: in.Class() == bpf.ClassST && in.Imm == 0,
	}
}

// inValue is check_map_access.
func (x *explorer) inValue(base *value, reg uint8, off, size int64, store bool) error {
	m := &x.p.Maps[base.mapIdx]
	switch {
	case store && (m.Frozen != "" || m.NoWrite):
		return fmt.Errorf("write into map forbidden: %s holds constants", m.Name)
	case !store && m.NoRead:
		return fmt.Errorf("read from map forbidden: %s is written only", m.Name)
	case m.ValueSize == 0:
		return nil
	}
	return base.num.Within(reg, off, size, int64(m.ValueSize), "map value", "value_size")
}

// inPacket is check_packet_access.
func (x *explorer) inPacket(base *value, reg uint8, off, size int64) error {
	low := base.num.Smin
	if x.rules.WholeOffsets && low > -maxVarOff {
		low += off
	}
	switch {
	case low < 0:
		return fmt.Errorf("r%d min value is negative, either use unsigned index or do a if (index >=0) check", reg)
	case off < 0 && !x.rules.WholeOffsets || off+size > base.delta:
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
	d, src := f.regs[in.Dst], &zero
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
		return fmt.Errorf("r%d pointer %s pointer prohibited", in.Dst, form.Sign(op))
	case op == bpf.ALUNeg || op == bpf.ALUEnd:
		return nil
	case !d.isPointer() && op == bpf.ALUSub:
		return fmt.Errorf("r%d tried to subtract pointer from scalar", in.Dst)
	case op == bpf.ALUSub && d.kind == kindStack:
		return fmt.Errorf("r%d subtraction from stack pointer prohibited", in.Dst)
	case !wide:
		return fmt.Errorf("r%d 32-bit pointer arithmetic prohibited", in.Dst)
	case op != bpf.ALUAdd && op != bpf.ALUSub:
		return fmt.Errorf("r%d pointer arithmetic with %s operator prohibited", in.Dst, form.Sign(op))
	}
	p, n := d, src
	switch {
	case !d.isPointer():
		p, n = src, d
	case in.Op&bpf.SrcReg == 0:
		c := number(constant(in))
		n = &c
	}
	switch {
	case d.typed == inArena || src.typed == inArena:
		return nil
	case p.typed != noObject || (p.kind == kindPointer || p.kind == kindOwn) && !p.orNull || p.traits&probed != 0 && !p.orNull:
		return nil
	case p.orNull:
		return fmt.Errorf("r%d pointer arithmetic on %s prohibited, null-check it first", in.Dst, p.word())
	case p.kind == kindFlowKeys && n.isConst():
	case p.kind == kindPacketEnd, p.sock(), p.kind == kindFlowKeys, p.kind == kindMap && !(n.isConst() && n.num.Umin == 0):
		return fmt.Errorf("r%d pointer arithmetic on %s prohibited", in.Dst, p.word())
	default:
		return n.num.Moves(p.word())
	}
	return nil
}

// mayHand refuses memory that a helper would go beyond (check_helper_mem_access, check_mem_size_reg).
func (x *explorer) mayHand(v *value, reg uint8, size int64, store bool) error {
	if x.judges() && v.kind == kindPointer && v.size > 0 && !v.orNull && size > 0 {
		return x.handObject(v, reg, size)
	}
	if !x.judges() || v.typed != noObject || v.orNull || size == 0 {
		return nil
	}
	switch v.kind {
	case kindMapValue:
		if err := x.inValue(v, reg, v.off, size, store); err != nil {
			return err
		}
		return parts.Hand(x.p.Maps[v.mapIdx].Special, x.partsAt(v, v.off, size, store))
	case kindPacket, kindPacketMeta:
		if store && !protos.WritesPacket(x.p.Type) {
			return errors.New("cannot write into packet")
		}
		return x.inPacket(v, reg, v.off, size)
	case kindMemory:
		return inMemory(v, reg, v.off, size, store)
	case kindContext:
		if x.contextIsMemory() {
			return v.num.Within(reg, v.off, size, maxContextSize, "context", "ctx_size")
		}
	case kindBuffer:
		return inBuffer(v, reg, v.off, store)
	}
	return nil
}

// maySize refuses a size that a helper is handed.
func (x *explorer) maySize(n *value, reg uint8) error {
	if !x.judges() || n.kind != kindNumber {
		return nil
	}
	return n.num.Sizes(reg)
}

func constant(in bpf.Insn) ranges.Scalar { return ranges.ConstScalar(uint64(int64(in.Imm))) }

// mayReturn judges the result of the program, or what it throws (check_return_code).
func (x *explorer) mayReturn(s *state, reg uint8) error {
	f := s.top()
	if !x.judges() {
		return nil
	}
	r := f.regs[reg]
	if x.async[x.funcs[f.fn].Start] {
		if r.kind != kindNumber {
			return fmt.Errorf("at async callback return the register r0 is not a known value (%s)", r.word())
		}
		return r.num.Among("async callback return", reg, 0, 0, false)
	}
	if reg == 0 && f.fn != 0 && !x.p.Funcs[f.fn].ExceptionCB {
		if reg == 0 && x.p.Funcs[f.fn].Global && !x.returnsNothing(f.fn) && r.kind != kindNumber && r.kind != kindNone && !r.loose() {
			return fmt.Errorf("at subprogram exit the register r0 is not a scalar value (%s)", r.word())
		}
		return nil
	}
	want, ok := protos.Results(x.p.Type, x.p.AttachType, protos.HookRangeOf(x.p, x.rules))
	if !ok || reg == 0 && x.returnsNothing(0) {
		return nil
	}
	if r.kind != kindNumber {
		return fmt.Errorf("at program exit r%d is not a known value (%s)", reg, r.word())
	}
	x.needs(s, reg)
	return r.num.Among("program exit", reg, want.Min, want.Max, x.p.Type == bpf.LSM)
}

// setsResult judges what a program makes its hook return (bpf_set_retval).
func (x *explorer) setsResult(s *state) error {
	r, want := s.top().regs[1], protos.Range{Min: -4095}
	switch {
	case r.kind == kindNone: // the arguments are looked at later
		return nil
	case r.kind != kindNumber:
		return errors.New("r1 is not a scalar")
	case x.p.Type == bpf.CGroupSockopt && x.p.AttachType == protos.AttachGetSockOpt:
		return nil
	case x.p.Type == bpf.LSM && x.p.Hook != nil && x.p.Hook.Void:
		return errors.New("programs that are attached to LSM hooks without a result can't modify it")
	case x.p.Type == bpf.LSM:
		want = protos.HookRange(x.p.AttachTo)
	}
	x.needs(s, 1)
	return r.num.Among("bpf_set_retval", 1, want.Min, want.Max, true)
}
