// SPDX-License-Identifier: GPL-2.0-only

package verify

import (
	"errors"
	"fmt"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/verify/form"
	"github.com/tcsim/tcsim/jit/verify/holds"
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

// judges reports whether accesses are judged: of programs as users write them, that are to be refused.
func (x *explorer) judges() bool { return x.submitted && x.strict }

// mayTouch refuses an access of size bytes through register reg, which holds base.
func (x *explorer) mayTouch(base *holds.Value, reg uint8, in bpf.Insn, store bool) error {
	if !x.judges() || base.Kind == holds.Stack {
		return nil
	}
	if store && (base.Typed == holds.Trusted || base.Typed == holds.Untrusted) && x.p.Type != bpf.StructOps && x.p.Type != bpf.Extension && x.p.AttachType != protos.AttachIter {
		return errors.New("only read is supported: an object of the kernel")
	}
	if base.Kind == holds.Own && !base.OrNull {
		return x.touchOwn(base, reg, int64(in.Off), int64(in.Size()), store)
	}
	if base.Typed == holds.Unsure || base.Typed != holds.NoObject && !base.OrNull || base.Kind == holds.Pointer && !base.OrNull {
		return nil
	}
	off, size := base.Off+int64(in.Off), int64(in.Size())
	access := protos.Access{Off: off, Size: size, Store: store, Signed: in.Op&0xe0 == bpf.ModeMemSX}
	switch {
	case base.OrNull:
	case base.Kind == holds.MapValue:
		if err := x.inValue(base, reg, off, size, store); err != nil {
			return err
		}
		return parts.Touch(x.p.Maps[base.Map].Special, x.partsAt(base, off, size, store))
	case base.Kind == holds.Packet || base.Kind == holds.PacketMeta:
		if store && !protos.WritesPacket(x.p.Type) {
			return errors.New("cannot write into packet")
		}
		return x.inPacket(base, reg, off, size)
	case base.Kind == holds.Context:
		return x.inContext(base, reg, access)
	case base.Sock():
		return holds.InSock(base, reg, access)
	case base.Kind == holds.FlowKeys && off >= 0 && off+size <= protos.FlowKeysSize && base.Num.IsConst():
		return nil
	case base.Kind == holds.FlowKeys:
		return fmt.Errorf("invalid access to flow keys off=%d size=%d", off, size)
	case base.Kind == holds.Memory && base.Traits&holds.AnyAddress != 0 && !store:
		if in.Imm == bpf.AtomicLoadAcq && in.Op&bpf.ModeMask == bpf.ModeAtomic {
			return fmt.Errorf("BPF_ATOMIC loads from r%d rdonly_untrusted_mem is not allowed", reg)
		}
		x.guarded[x.now.PC] = true
		return nil
	case base.Kind == holds.Memory:
		return holds.InMemory(base, reg, off, size, store)
	case base.Kind == holds.Buffer:
		return holds.InBuffer(base, reg, off, store)
	case base.Kind == holds.Map && !store: // fields of struct bpf_map, since 5.8
		if off < 0 {
			return fmt.Errorf("r%d is bpf_array invalid negative access: off=%d", reg, off)
		}
		return x.inMap(base, off, size)
	case base.Kind == holds.Map:
		return fmt.Errorf("only read from %s is supported", base.Word())
	}
	return fmt.Errorf("r%d invalid mem access '%s'", reg, base.Word())
}

// samePointers refuses an instruction that accesses a context or a socket on one path and something else on another:
// such accesses are rewritten (save_aux_ptr_type).
func (x *explorer) samePointers(s *state, base *holds.Value) error {
	old, kind := x.base[s.pc], base.Kind
	x.met[s.pc] |= 1 << base.Kind
	switch {
	case base.Traits&holds.AnyAddress != 0:
		kind = holds.Probed
	case kind == holds.Own:
		kind = holds.Pointer
	case base.Typed == holds.InArena && x.rules.SameArena:
		kind = holds.Arena
	}
	if objects := kind == holds.Pointer || kind == holds.Memory || kind == holds.Probed; objects && (old == holds.Pointer || old == holds.Memory || old == holds.Probed) {
		if old == holds.Probed { // merge_ptr_types
			kind = old
		}
		x.base[s.pc] = kind
		return nil
	}
	x.base[s.pc] = kind
	if x.judges() && old != holds.None && old != kind && (holds.Rewritten(old) || holds.Rewritten(kind)) {
		return errors.New("same insn cannot be used with different pointers")
	}
	return nil
}

// inContext is check_ctx_access.
func (x *explorer) inContext(base *holds.Value, reg uint8, a protos.Access) error {
	switch {
	case x.contextIsMemory():
		return base.Num.Within(reg, a.Off, a.Size, maxContextSize, "context", "ctx_size")
	case x.rules.MovableContext && protos.PlainContext(x.p.Type) && base.Off >= 0 && base.Num.IsConst() && base.Num.Umin == 0:
	default:
		if err := holds.Unmoved(reg, base); err != nil {
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

// inMap is a load from the kernel's side of a map (check_ptr_to_map_access).
func (x *explorer) inMap(base *holds.Value, off, size int64) error {
	if name := protos.MapStructs[x.p.Maps[base.Map].Type]; x.p.Objects != nil && name != "" {
		_, _, err := x.p.Objects.Field(name, off, size)
		return err
	}
	return nil
}

// partsAt is an access of a program to the value of a map.
func (x *explorer) partsAt(base *holds.Value, off, size int64, store bool) parts.Access {
	in := x.p.Insns[x.now.PC]
	return parts.Access{
		Off: off + base.Num.Smin, Size: size, Slack: int64(base.Num.Umax) - base.Num.Smin, Const: base.Num.IsConst(),
		Store: store, Null: in.Class() == bpf.ClassST && in.Imm == 0,
	}
}

// inValue is check_map_access.
func (x *explorer) inValue(base *holds.Value, reg uint8, off, size int64, store bool) error {
	m := &x.p.Maps[base.Map]
	switch {
	case store && (m.Frozen != "" || m.NoWrite):
		return fmt.Errorf("write into map forbidden: %s holds constants", m.Name)
	case !store && m.NoRead:
		return fmt.Errorf("read from map forbidden: %s is written only", m.Name)
	case m.ValueSize == 0:
		return nil
	}
	return base.Num.Within(reg, off, size, int64(m.ValueSize), "map value", "value_size")
}

// inPacket is check_packet_access.
func (x *explorer) inPacket(base *holds.Value, reg uint8, off, size int64) error {
	low := base.Num.Smin
	if x.rules.WholeOffsets && low > -maxVarOff {
		low += off
	}
	switch {
	case low < 0:
		return fmt.Errorf("r%d min value is negative, either use unsigned index or do a if (index >=0) check", reg)
	case off < 0 && !x.rules.WholeOffsets || off+size > base.Delta:
		return fmt.Errorf("invalid access to packet, off=%d size=%d: r%d offset is outside of the packet (%d bytes are known to be there)", off, size, reg, base.Delta)
	}
	return nil
}

// mayAdd refuses arithmetic on addresses (adjust_ptr_min_max_vals).
func (x *explorer) mayAdd(f *frameState, in bpf.Insn) error {
	op, wide := in.Op&0xf0, in.Class() == bpf.ClassALU64
	if !x.judges() || in.Dst > 10 || op == bpf.ALUMov {
		return nil
	}
	d, src := f.regs[in.Dst], &holds.Zero
	if in.Op&bpf.SrcReg != 0 && op != bpf.ALUEnd && op != bpf.ALUNeg {
		src = f.regs[in.Src]
	}
	if !d.IsPointer() && !src.IsPointer() || d.Kind == holds.None || src.Kind == holds.None {
		return nil
	}
	switch {
	case op == bpf.ALUSub && (d.IsPointer() && src.IsPointer() || !wide):
		return nil // the result is any number
	case d.IsPointer() && src.IsPointer():
		return fmt.Errorf("r%d pointer %s pointer prohibited", in.Dst, form.Sign(op))
	case op == bpf.ALUNeg || op == bpf.ALUEnd:
		return nil
	case !d.IsPointer() && op == bpf.ALUSub:
		return fmt.Errorf("r%d tried to subtract pointer from scalar", in.Dst)
	case op == bpf.ALUSub && d.Kind == holds.Stack:
		return fmt.Errorf("r%d subtraction from stack pointer prohibited", in.Dst)
	case !wide:
		return fmt.Errorf("r%d 32-bit pointer arithmetic prohibited", in.Dst)
	case op != bpf.ALUAdd && op != bpf.ALUSub:
		return fmt.Errorf("r%d pointer arithmetic with %s operator prohibited", in.Dst, form.Sign(op))
	}
	p, n := d, src
	switch {
	case !d.IsPointer():
		p, n = src, d
	case in.Op&bpf.SrcReg == 0:
		c := holds.Of(constant(in))
		n = &c
	}
	switch {
	case d.Typed == holds.InArena || src.Typed == holds.InArena:
		return nil
	case p.Typed != holds.NoObject || (p.Kind == holds.Pointer || p.Kind == holds.Own) && !p.OrNull || p.Traits&holds.AnyAddress != 0 && !p.OrNull:
		return nil
	case p.OrNull:
		return fmt.Errorf("r%d pointer arithmetic on %s prohibited, null-check it first", in.Dst, p.Word())
	case p.Kind == holds.FlowKeys && n.IsConst():
	case p.Kind == holds.PacketEnd, p.Sock(), p.Kind == holds.FlowKeys, p.Kind == holds.Map && !(n.IsConst() && n.Num.Umin == 0):
		return fmt.Errorf("r%d pointer arithmetic on %s prohibited", in.Dst, p.Word())
	default:
		return n.Num.Moves(p.Word())
	}
	return nil
}

// mayHand refuses memory that a helper would go beyond (check_helper_mem_access, check_mem_size_reg).
func (x *explorer) mayHand(v *holds.Value, reg uint8, size int64, store bool) error {
	if x.judges() && v.Kind == holds.Pointer && v.Size > 0 && !v.OrNull && size > 0 {
		return x.handObject(v, reg, size)
	}
	if !x.judges() || v.Typed != holds.NoObject || v.OrNull || size == 0 {
		return nil
	}
	switch v.Kind {
	case holds.MapValue:
		if err := x.inValue(v, reg, v.Off, size, store); err != nil {
			return err
		}
		return parts.Hand(x.p.Maps[v.Map].Special, x.partsAt(v, v.Off, size, store))
	case holds.Packet, holds.PacketMeta:
		if store && !protos.WritesPacket(x.p.Type) {
			return errors.New("cannot write into packet")
		}
		return x.inPacket(v, reg, v.Off, size)
	case holds.Memory:
		return holds.InMemory(v, reg, v.Off, size, store)
	case holds.Context:
		if x.contextIsMemory() {
			return v.Num.Within(reg, v.Off, size, maxContextSize, "context", "ctx_size")
		}
	case holds.Buffer:
		return holds.InBuffer(v, reg, v.Off, store)
	}
	return nil
}

// maySize refuses a size that a helper is handed.
func (x *explorer) maySize(n *holds.Value, reg uint8) error {
	if !x.judges() || n.Kind != holds.Number {
		return nil
	}
	return n.Num.Sizes(reg)
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
		if r.Kind != holds.Number {
			return fmt.Errorf("at async callback return the register r0 is not a known value (%s)", r.Word())
		}
		return r.Num.Among("async callback return", reg, 0, 0, false)
	}
	if reg == 0 && f.fn != 0 && !x.p.Funcs[f.fn].ExceptionCB {
		if reg == 0 && x.p.Funcs[f.fn].Global && !x.returnsNothing(f.fn) && r.Kind != holds.Number && r.Kind != holds.None && !r.Loose() {
			return fmt.Errorf("at subprogram exit the register r0 is not a scalar value (%s)", r.Word())
		}
		return nil
	}
	want, ok := protos.Results(x.p.Type, x.p.AttachType, protos.HookRangeOf(x.p, x.rules))
	if !ok || reg == 0 && x.returnsNothing(0) {
		return nil
	}
	if r.Kind != holds.Number {
		return fmt.Errorf("at program exit r%d is not a known value (%s)", reg, r.Word())
	}
	x.needs(s, reg)
	return r.Num.Among("program exit", reg, want.Min, want.Max, x.p.Type == bpf.LSM)
}

// setsResult judges what a program makes its hook return (bpf_set_retval).
func (x *explorer) setsResult(s *state) error {
	r, want := s.top().regs[1], protos.Range{Min: -4095}
	switch {
	case r.Kind == holds.None: // the arguments are looked at later
		return nil
	case r.Kind != holds.Number:
		return errors.New("r1 is not a scalar")
	case x.p.Type == bpf.CGroupSockopt && x.p.AttachType == protos.AttachGetSockOpt:
		return nil
	case x.p.Type == bpf.LSM && x.p.Hook != nil && x.p.Hook.Void:
		return errors.New("programs that are attached to LSM hooks without a result can't modify it")
	case x.p.Type == bpf.LSM:
		want = protos.HookRange(x.p.AttachTo)
	}
	x.needs(s, 1)
	return r.Num.Among("bpf_set_retval", 1, want.Min, want.Max, true)
}
