// SPDX-License-Identifier: GPL-2.0-only

package verify

import (
	"errors"
	"fmt"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/verify/origin"
	"github.com/tcsim/tcsim/jit/verify/protos"
	"github.com/tcsim/tcsim/jit/verify/ranges"
)

func (x *explorer) storeMem(s *state, f *frameState, in bpf.Insn, v *value, imm bool) error {
	base := f.regs[in.Dst]
	if err := x.samePointers(s, base); err != nil {
		return err
	}
	if base.typed == inArena {
		x.arenas[s.pc] = true
	}
	if base.kind != kindStack {
		err := x.mayTouch(base, in.Dst, in, true)
		if f := x.kptrAt(base, in); err == nil && f != nil && f.Kind == bpf.SpecialUntrusted && x.judges() {
			if err = x.storesKptr(f, v, in.Src); v.null() && !imm {
				x.needs(s, in.Src)
			}
		}
		return err
	}
	size := in.Size()
	if err := x.aligned(base, int64(in.Off), int64(size)); err != nil {
		return err
	}
	lo, hi := stackRange(base, in.Off)
	g := &s.frames[base.frame]
	if err := x.touch(g.fn, lo, hi+int64(size)); err != nil {
		return err
	}
	if err := x.overwriteObjects(s, g, lo, hi+int64(size)); err != nil {
		return err
	}
	if err := x.maySpill(v, size); err != nil {
		return err
	}
	if lo != hi {
		g.fillAny(lo, hi+int64(size))
		return nil
	}
	if !imm {
		v = f.lend(in.Src)
	}
	if v.kind == kindNone {
		v = &anything
	}
	if lo >= -maxStack && lo < 0 {
		x.now.Frame, x.now.Slot = base.frame, int8((-lo-1)/8)
		if size == 8 && byteOf(lo) == 0 {
			g.written |= 1 << x.now.Slot
			g.call.Write(int(base.frame), 1<<x.now.Slot)
		}
	}
	if !imm && v.isConst() && v.num.Umin == 0 && !g.keeps(lo, size, v, imm, x.rules) {
		x.needs(s, in.Src) // the slot is known to be zero
	}
	g.store(lo, size, v, imm, x.rules)
	return nil
}

// maySpill refuses to store a part of an address (check_stack_write_fixed_off). An address in the stack of a function is
// taken in that of its caller, where verifiers refuse it: what designs make of such a store is worth a look.
func (x *explorer) maySpill(v *value, size int) error {
	if x.judges() && v.isPointer() && !v.loose() && size != 8 {
		return errors.New("invalid size of register spill")
	}
	return nil
}

// fillAny is a write somewhere between two offsets.
func (f *frameState) fillAny(from, to int64) {
	f.fill(max(from, -maxStack), min(to, 0), byteMisc)
}

func (x *explorer) stx(s *state, f *frameState, in bpf.Insn) error {
	if mode := in.Op & 0xe0; mode != bpf.ModeAtomic && mode != bpf.ModeProbeAtomic {
		if x.rules.SpillAny && f.regs[in.Dst].kind == kindStack {
			x.link(f, in.Src)
		}
		return x.storeMem(s, f, in, f.regs[in.Src], false)
	}
	at := f.regs[in.Dst]
	if in.Imm == bpf.AtomicLoadAcq {
		at = f.regs[in.Src]
	}
	if err := x.aligned(at, int64(in.Off), int64(in.Size())); err != nil {
		return err
	}
	if x.rules.SameAtomics && in.Imm != bpf.AtomicLoadAcq && in.Imm != bpf.AtomicStRel {
		if err := x.samePointers(s, at); err != nil {
			return err
		}
	}
	if addr := f.regs[in.Dst]; addr.typed == inArena && in.Imm != bpf.AtomicLoadAcq {
		x.arenas[s.pc] = true
	}
	if x.judges() && (in.Imm == bpf.AtomicLoadAcq || in.Imm == bpf.AtomicStRel) {
		if k := at.kind; k == kindContext || k == kindPacket || k == kindPacketMeta || k == kindFlowKeys || at.sock() { // atomic_ptr_type_ok
			return fmt.Errorf("BPF_ATOMIC access through %s is not allowed", at.word())
		}
	}
	switch {
	case in.Imm == bpf.AtomicLoadAcq:
		x.arenas[s.pc] = x.arenas[s.pc] || f.regs[in.Src].typed == inArena
		v, err := x.read(s, f.regs[in.Src], in, false)
		f.set(in.Dst, v)
		return err
	case in.Imm == bpf.AtomicStRel:
		return x.storeMem(s, f, in, f.regs[in.Src], false)
	case in.Imm == bpf.AtomicCmpXchg:
		v, err := x.read(s, f.regs[in.Dst], in, false)
		if err != nil {
			return err
		}
		f.set(0, v)
	case in.Imm&bpf.AtomicFetch != 0:
		v, err := x.read(s, f.regs[in.Dst], in, false)
		if err != nil {
			return err
		}
		base := *f.regs[in.Dst]
		f.set(in.Src, v)
		return x.overwrite(s, &base, in)
	}
	return x.overwrite(s, f.regs[in.Dst], in)
}

// aligned refuses an access that is not at a multiple of its size, where that is asked for (check_ptr_alignment).
func (x *explorer) aligned(v *value, off, size int64) error {
	bits := v.num.Bits.Add(ranges.ConstScalar(uint64(v.off + off)).Bits)
	if x.judges() && (v.kind == kindStack || v.kind == kindMapValue || v.kind == kindMemory) && (bits.Val|bits.Mask)&uint64(size-1) != 0 {
		return fmt.Errorf("misaligned %s access off %d size %d", v.word(), v.off+off, size)
	}
	return nil
}

// overwrite makes the stack bytes that an atomic operation changes unknown.
func (x *explorer) overwrite(s *state, base *value, in bpf.Insn) error {
	if base.kind != kindStack {
		if k := base.kind; x.judges() && (k == kindContext || k == kindPacket || k == kindPacketMeta) {
			return fmt.Errorf("BPF_ATOMIC stores into r%d %s is not allowed", in.Dst, base.word())
		}
		return x.mayTouch(base, in.Dst, in, true)
	}
	lo, hi := stackRange(base, in.Off)
	g := &s.frames[base.frame]
	if err := x.touch(g.fn, lo, hi+int64(in.Size())); err != nil {
		return err
	}
	if err := x.overwriteObjects(s, g, lo, hi+int64(in.Size())); err != nil {
		return err
	}
	g.fillAny(lo, hi+int64(in.Size()))
	return nil
}

// stackRange returns the lowest and the highest offset from r10 at which p points.
func stackRange(p *value, off int16) (lo, hi int64) {
	return p.off + int64(off) + p.num.Smin, p.off + int64(off) + p.num.Smax
}

func (x *explorer) loadMem(s *state, f *frameState, in bpf.Insn) error {
	base := f.regs[in.Src]
	signed := in.Op&0xe0 == bpf.ModeMemSX
	v, err := x.read(s, base, in, signed)
	if o, ok, bad := x.walk(s, base, in, signed); err == nil && (ok || bad != nil) {
		f.set(in.Dst, o)
		return bad
	}
	if v.kind == kindPointer && v.size > 0 && base.kind == kindContext {
		f.set(in.Dst, v)
		return err
	}
	if in.Dst > 10 {
		v = unknownNumber()
	}
	switch {
	case base.typed == inArena:
		x.arenas[s.pc] = true
	case base.typed == perCPU:
		v.typed = trusted
	case base.typed != noObject:
		x.guarded[s.pc] = x.guarded[s.pc] || base.typed == untrusted
		if in.Size() == 8 {
			v.typed = untrusted
		}
	case base.kind == kindContext && x.p.Type == bpf.Tracing && in.Size() == 8 && v.kind == kindNumber && (x.p.Hook == nil || !x.judges()):
		v.typed = untrusted // arguments of a traced function (prog_args_trusted)
	}
	if v.kind == kindNumber && v.typed == noObject && x.judges() && (in.Size() == 8 || in.Size() == 4 && x.p.Type == bpf.Extension) && x.mayHold(base, in) {
		v.typed = unsure
	}
	f.set(in.Dst, v)
	return err
}

// mayHold reports whether there may be the address of a kernel object where a load is from.
func (x *explorer) mayHold(base *value, in bpf.Insn) bool {
	switch base.kind {
	case kindPointer:
		return true
	case kindContext:
		return x.p.Hook == nil && protos.PlainContext(x.p.Type) && x.p.Type != bpf.Kprobe && x.p.Type != bpf.Tracepoint && x.p.Type != bpf.CGroupDevice && x.p.Type != bpf.LircMode2
	case kindMapValue:
		m := &x.p.Maps[base.mapIdx]
		return m.Special == nil || m.Special.At(base.off+int64(in.Off)+base.num.Smin, int64(base.num.Umax)-base.num.Smin+8) != nil
	}
	return base.typed != noObject
}

// read is a load through base.
func (x *explorer) read(s *state, base *value, in bpf.Insn, signed bool) (value, error) {
	size := in.Size()
	if err := x.samePointers(s, base); err != nil {
		return unknownNumber(), err
	}
	if base.kind != kindStack {
		reg := in.Dst
		if in.Class() == bpf.ClassLDX || in.Imm == bpf.AtomicLoadAcq {
			reg = in.Src
		}
		if err := x.mayTouch(base, reg, in, false); err != nil {
			return unknownNumber(), err
		}
		if v, ok := x.readFrozen(base, in, signed); ok {
			return v, nil
		}
		if x.submitted {
			return x.readTyped(s, base, in, size, signed)
		}
		if base.kind == kindContext {
			return unknownNumber(), nil
		}
		return number(ranges.LoadedScalar(size, signed)), nil
	}
	lo, hi := stackRange(base, in.Off)
	g := &s.frames[base.frame]
	if err := x.aligned(base, int64(in.Off), int64(size)); err != nil {
		return unknownNumber(), err
	}
	if err := x.touch(g.fn, lo, hi+int64(size)); err != nil {
		return unknownNumber(), err
	}
	if err := x.readsObject(g, lo, hi+int64(size), ""); err != nil {
		return unknownNumber(), err
	}
	x.reads(s, int(base.frame), origin.Slots(lo, hi+int64(size)))
	if lo != hi {
		if hi-lo <= maxStack && x.readZeros(s, g, int(base.frame), lo, hi+int64(size)) {
			return number(ranges.ConstScalar(0)), nil
		}
		return number(ranges.LoadedScalar(size, signed)), nil
	}
	if slot := g.slotOf(lo); slot != nil && x.judges() && size != 8 && slot.spilled() > 0 && slot.spill.isPointer() && !slot.spill.loose() {
		return unknownNumber(), errors.New("invalid size of register fill")
	}
	if x.inlinedLookup(s, in) {
		x.clobber(s, base, size, false)
	}
	if slot := g.slotOf(lo); slot != nil && x.rules.SpillAny && slot.spilled() >= size && slot.spill.kind == kindNumber && byteOf(lo) == 0 {
		if slot.spill.unlinked() {
			v := *slot.spill
			x.identify(&v)
			g.ownSlot(lo).spill = &v
		}
	}
	if slot := g.slotOf(lo); slot != nil && slot.spilled() > 0 {
		x.now.Frame, x.now.Slot = base.frame, int8((-lo-1)/8)
	}
	v := g.load(lo, size, signed, x.rules)
	if x.rules.SpilledZeros && v.kind == kindNumber && !v.isConst() && x.readZeros(s, g, int(base.frame), lo, lo+int64(size)) {
		v = number(ranges.ConstScalar(0))
	}
	return v, nil
}

// readZeros reports whether a load from the stack gives 0 wherever it is. That spilled numbers are 0 counts from then on.
func (x *explorer) readZeros(s *state, f *frameState, frame int, from, to int64) bool {
	spills, zero := f.zeros(from, to, x.rules.SpilledZeros)
	if spills != 0 {
		x.mask.Reset()
		x.mask.AddSlots(frame, spills)
		x.walkBack(s, &x.mask)
	}
	return zero
}

// inlinedLookup recognises the first load of an array map's inlined lookup, which reads the key
// through r2: the verifier saw a helper call there.
func (x *explorer) inlinedLookup(s *state, in bpf.Insn) bool {
	if x.submitted || s.pc == 0 || in.Op != 0x61 || in.Dst != 0 || in.Src != 2 || in.Off != 0 {
		return false
	}
	prev, m := x.p.Insns[s.pc-1], s.top().regs[1]
	return prev.Op == 0x07 && prev.Dst == 1 && m.kind == kindMap && m.off != 0
}

// readFrozen is a load from a map that nothing changes: its result is known (bpf_map_direct_read in
// kernel/bpf/verifier.c, since 5.2).
func (x *explorer) readFrozen(base *value, in bpf.Insn, signed bool) (value, bool) {
	if base.kind != kindMapValue || base.orNull || !base.num.IsConst() || base.num.Umin != 0 || int(base.mapIdx) >= len(x.p.Maps) {
		return value{}, false
	}
	v, ok := x.p.Maps[base.mapIdx].FrozenAt(base.off+int64(in.Off), in.Size(), signed)
	return number(ranges.ConstScalar(v)), ok
}
