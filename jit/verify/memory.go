// SPDX-License-Identifier: GPL-2.0-only

package verify

import (
	"errors"
	"fmt"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/verify/holds"
	"github.com/tcsim/tcsim/jit/verify/origin"
	"github.com/tcsim/tcsim/jit/verify/protos"
	"github.com/tcsim/tcsim/jit/verify/ranges"
)

func (x *explorer) storeMem(s *state, f *frameState, in bpf.Insn, v *holds.Value, imm bool) error {
	base := f.regs[in.Dst]
	if err := x.samePointers(s, base); err != nil {
		return err
	}
	if base.Typed == holds.InArena {
		x.arenas[s.pc] = true
	}
	if base.Kind != holds.Stack {
		err := x.mayTouch(base, in.Dst, in, true)
		if f := x.kptrAt(base, in); err == nil && f != nil && f.Kind == bpf.SpecialUntrusted && x.judges() {
			if err = x.storesKptr(f, v, in.Src); v.Null() && !imm {
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
	g := &s.frames[base.Frame]
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
	if v.Kind == holds.None {
		v = &holds.Anything
	}
	if lo >= -maxStack && lo < 0 {
		x.now.Frame, x.now.Slot = base.Frame, int8((-lo-1)/8)
		if size == 8 && holds.ByteOf(lo) == 0 {
			g.written |= 1 << x.now.Slot
			g.call.Write(int(base.Frame), 1<<x.now.Slot)
		}
	}
	if !imm && v.IsConst() && v.Num.Umin == 0 && !g.keeps(lo, size, v, imm, x.rules) {
		x.needs(s, in.Src) // the slot is known to be zero
	}
	g.store(lo, size, v, imm, x.rules)
	return nil
}

// maySpill refuses to store a part of an address (check_stack_write_fixed_off). An address in the stack of a function is
// taken in that of its caller, where verifiers refuse it: what designs make of such a store is worth a look.
func (x *explorer) maySpill(v *holds.Value, size int) error {
	if x.judges() && v.IsPointer() && !v.Loose() && size != 8 {
		return errors.New("invalid size of register spill")
	}
	return nil
}

// fillAny is a write somewhere between two offsets.
func (f *frameState) fillAny(from, to int64) {
	f.fill(max(from, -maxStack), min(to, 0), holds.ByteMisc)
}

func (x *explorer) stx(s *state, f *frameState, in bpf.Insn) error {
	if mode := in.Op & 0xe0; mode != bpf.ModeAtomic && mode != bpf.ModeProbeAtomic {
		if x.rules.SpillAny && f.regs[in.Dst].Kind == holds.Stack {
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
	if addr := f.regs[in.Dst]; addr.Typed == holds.InArena && in.Imm != bpf.AtomicLoadAcq {
		x.arenas[s.pc] = true
	}
	if x.judges() && (in.Imm == bpf.AtomicLoadAcq || in.Imm == bpf.AtomicStRel) {
		if k := at.Kind; k == holds.Context || k == holds.Packet || k == holds.PacketMeta || k == holds.FlowKeys || at.Sock() { // atomic_ptr_type_ok
			return fmt.Errorf("BPF_ATOMIC access through %s is not allowed", at.Word())
		}
	}
	switch {
	case in.Imm == bpf.AtomicLoadAcq:
		x.arenas[s.pc] = x.arenas[s.pc] || f.regs[in.Src].Typed == holds.InArena
		v, err := x.read(s, f.regs[in.Src], in, false)
		x.give(f, in.Dst, v)
		return err
	case in.Imm == bpf.AtomicStRel:
		return x.storeMem(s, f, in, f.regs[in.Src], false)
	case in.Imm == bpf.AtomicCmpXchg:
		v, err := x.read(s, f.regs[in.Dst], in, false)
		if err != nil {
			return err
		}
		x.give(f, 0, v)
	case in.Imm&bpf.AtomicFetch != 0:
		v, err := x.read(s, f.regs[in.Dst], in, false)
		if err != nil {
			return err
		}
		base := *f.regs[in.Dst]
		x.give(f, in.Src, v)
		return x.overwrite(s, &base, in)
	}
	return x.overwrite(s, f.regs[in.Dst], in)
}

// aligned refuses an access that is not at a multiple of its size, where that is asked for (check_ptr_alignment).
func (x *explorer) aligned(v *holds.Value, off, size int64) error {
	bits := v.Num.Bits.Add(ranges.ConstScalar(uint64(v.Off + off)).Bits)
	if x.judges() && (v.Kind == holds.Stack || v.Kind == holds.MapValue || v.Kind == holds.Memory) && (bits.Val|bits.Mask)&uint64(size-1) != 0 {
		return fmt.Errorf("misaligned %s access off %d size %d", v.Word(), v.Off+off, size)
	}
	return nil
}

// overwrite makes the stack bytes that an atomic operation changes unknown.
func (x *explorer) overwrite(s *state, base *holds.Value, in bpf.Insn) error {
	if base.Kind != holds.Stack {
		if k := base.Kind; x.judges() && (k == holds.Context || k == holds.Packet || k == holds.PacketMeta) {
			return fmt.Errorf("BPF_ATOMIC stores into r%d %s is not allowed", in.Dst, base.Word())
		}
		return x.mayTouch(base, in.Dst, in, true)
	}
	lo, hi := stackRange(base, in.Off)
	g := &s.frames[base.Frame]
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
func stackRange(p *holds.Value, off int16) (lo, hi int64) {
	return p.Off + int64(off) + p.Num.Smin, p.Off + int64(off) + p.Num.Smax
}

func (x *explorer) loadMem(s *state, f *frameState, in bpf.Insn) error {
	base := f.regs[in.Src]
	signed := in.Op&0xe0 == bpf.ModeMemSX
	v, err := x.read(s, base, in, signed)
	if base.Kind == holds.Pointer {
		if o, ok, bad := x.walk(s, base, in, signed); err == nil && (ok || bad != nil) {
			f.set(in.Dst, o)
			return bad
		}
	}
	if v.Kind == holds.Pointer && v.Size > 0 && base.Kind == holds.Context {
		x.give(f, in.Dst, v)
		return err
	}
	if in.Dst > 10 {
		v = &holds.Anything
	}
	typed := v.Typed
	switch {
	case base.Typed == holds.InArena:
		x.arenas[s.pc] = true
	case base.Typed == holds.PerCPU:
		typed = holds.Trusted
	case base.Typed != holds.NoObject:
		x.guarded[s.pc] = x.guarded[s.pc] || base.Typed == holds.Untrusted
		if in.Size() == 8 {
			typed = holds.Untrusted
		}
	case base.Kind == holds.Context && x.p.Type == bpf.Tracing && in.Size() == 8 && v.Kind == holds.Number && (x.p.Hook == nil || !x.judges()):
		typed = holds.Untrusted // arguments of a traced function (prog_args_trusted)
	}
	if v.Kind == holds.Number && typed == holds.NoObject && x.judges() && (in.Size() == 8 || in.Size() == 4 && x.p.Type == bpf.Extension) && x.mayHold(base, in) {
		typed = holds.Unsure
	}
	if x.give(f, in.Dst, v); typed != v.Typed {
		f.own(in.Dst).Typed = typed
	}
	return err
}

// give writes to a register what was read.
func (x *explorer) give(f *frameState, r uint8, v *holds.Value) {
	if v == &x.room {
		f.set(r, *v)
	} else {
		f.refer(r, v)
	}
}

// mayHold reports whether there may be the address of a kernel object where a load is from.
func (x *explorer) mayHold(base *holds.Value, in bpf.Insn) bool {
	switch base.Kind {
	case holds.Pointer:
		return true
	case holds.Context:
		return x.p.Hook == nil && protos.PlainContext(x.p.Type) && x.p.Type != bpf.Kprobe && x.p.Type != bpf.Tracepoint && x.p.Type != bpf.CGroupDevice && x.p.Type != bpf.LircMode2
	case holds.MapValue:
		m := &x.p.Maps[base.Map]
		return m.Special == nil || m.Special.At(base.Off+int64(in.Off)+base.Num.Smin, int64(base.Num.Umax)-base.Num.Smin+8) != nil
	}
	return base.Typed != holds.NoObject
}

// read is a load through base. What it gives is lent, or in x.room.
func (x *explorer) read(s *state, base *holds.Value, in bpf.Insn, signed bool) (*holds.Value, error) {
	size := in.Size()
	if err := x.samePointers(s, base); err != nil {
		return &holds.Anything, err
	}
	if base.Kind != holds.Stack {
		reg := in.Dst
		if in.Class() == bpf.ClassLDX || in.Imm == bpf.AtomicLoadAcq {
			reg = in.Src
		}
		if err := x.mayTouch(base, reg, in, false); err != nil {
			return &holds.Anything, err
		}
		if v, ok := x.readFrozen(base, in, signed); ok {
			x.room = v
			return &x.room, nil
		}
		if x.submitted {
			return x.readTyped(s, base, in, size, signed)
		}
		if base.Kind == holds.Context {
			return &holds.Anything, nil
		}
		return holds.Loaded(size, signed), nil
	}
	lo, hi := stackRange(base, in.Off)
	g := &s.frames[base.Frame]
	if err := x.aligned(base, int64(in.Off), int64(size)); err != nil {
		return &holds.Anything, err
	}
	if err := x.touch(g.fn, lo, hi+int64(size)); err != nil {
		return &holds.Anything, err
	}
	if err := x.readsObject(g, lo, hi+int64(size), ""); err != nil {
		return &holds.Anything, err
	}
	x.reads(s, int(base.Frame), origin.Slots(lo, hi+int64(size)))
	if lo != hi {
		if hi-lo <= maxStack && x.readZeros(s, g, int(base.Frame), lo, hi+int64(size)) {
			return &holds.Zero, nil
		}
		return holds.Loaded(size, signed), nil
	}
	if slot := g.slotOf(lo); slot != nil && x.judges() && size != 8 && slot.Spilled() > 0 && slot.Spill.IsPointer() && !slot.Spill.Loose() {
		return &holds.Anything, errors.New("invalid size of register fill")
	}
	if x.inlinedLookup(s, in) {
		x.clobber(s, base, size, false)
	}
	if slot := g.slotOf(lo); slot != nil && x.rules.SpillAny && slot.Spilled() >= size && slot.Spill.Kind == holds.Number && holds.ByteOf(lo) == 0 {
		if slot.Spill.Unlinked() {
			v := x.mem.value(slot.Spill)
			x.identify(v)
			g.ownSlot(lo).Spill = v
		}
	}
	if slot := g.slotOf(lo); slot != nil && slot.Spilled() > 0 {
		x.now.Frame, x.now.Slot = base.Frame, int8((-lo-1)/8)
	}
	v := g.load(lo, size, signed, x.rules, &x.room)
	if x.rules.SpilledZeros && v.Kind == holds.Number && !v.IsConst() && x.readZeros(s, g, int(base.Frame), lo, lo+int64(size)) {
		v = &holds.Zero
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
	return prev.Op == 0x07 && prev.Dst == 1 && m.Kind == holds.Map && m.Off != 0
}

// readFrozen is a load from a map that nothing changes: its result is known (bpf_map_direct_read in
// kernel/bpf/verifier.c, since 5.2).
func (x *explorer) readFrozen(base *holds.Value, in bpf.Insn, signed bool) (holds.Value, bool) {
	if base.Kind != holds.MapValue || base.OrNull || !base.Num.IsConst() || base.Num.Umin != 0 || int(base.Map) >= len(x.p.Maps) {
		return holds.Value{}, false
	}
	v, ok := x.p.Maps[base.Map].FrozenAt(base.Off+int64(in.Off), in.Size(), signed)
	return holds.Of(ranges.ConstScalar(v)), ok
}
