// SPDX-License-Identifier: GPL-2.0-only

package verify

import (
	"errors"
	"fmt"
	"math"
	"math/bits"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/verify/ranges"
)

// step follows one instruction. It reports whether the path goes on; other paths go to x.work.
func (x *explorer) step(s *state) (bool, error) {
	in := x.p.Insns[s.pc]
	f := s.top()
	if x.strict {
		if err := x.checkRead(f, in, s.pc); err != nil && !(in.Op == bpf.OpExit && (len(s.frames) > 1 || x.returnsNothing(f.fn))) {
			return false, err
		}
	}
	var err error
	switch in.Class() {
	case bpf.ClassALU, bpf.ClassALU64:
		if err = x.widthOf(s, in); err != nil {
			return false, err
		}
		if err = x.mayAdd(f, in); err != nil {
			return false, err
		}
		x.needsOffset(s, in)
		if x.rules.ForkSigns && x.judges() {
			x.forkSign(s, f, in)
			f = s.top()
		}
		x.alu(f, in)
	case bpf.ClassLD:
		err = x.loadConst(s, f, in)
	case bpf.ClassLDX:
		err = x.loadMem(s, f, in)
	case bpf.ClassST:
		v := &zero
		if in.Imm != 0 {
			n := number(constant(in))
			v = &n
		}
		err = x.storeMem(s, f, in, v, true)
	case bpf.ClassSTX:
		err = x.stx(s, f, in)
	default:
		return x.jump(s, f, in)
	}
	s.pc += in.Width()
	return true, err
}

// forkSign follows an and or an or with a constant once for 0 and once for -1 where the number is one of the two, as the
// sign of another is after an arithmetic shift (maybe_fork_scalars).
func (x *explorer) forkSign(s *state, f *frameState, in bpf.Insn) {
	op := in.Op & 0xf0
	if op != bpf.ALUAnd && op != bpf.ALUOr || in.Dst > 10 || in.Op&bpf.SrcReg != 0 && !f.regs[in.Src].isConst() {
		return
	}
	d := f.regs[in.Dst]
	ones, lo, hi := ^uint64(0), d.num.Smin, d.num.Smax
	if in.Class() == bpf.ClassALU {
		ones = 0xffff_ffff
		lo, hi = d.num.Bounds32()
	}
	if d.kind != kindNumber || lo != -1 || hi != 0 {
		return
	}
	other := x.fork(s, s.pc)
	other.top().set(in.Dst, number(ranges.ConstScalar(0)))
	s.top().set(in.Dst, number(ranges.ConstScalar(ones)))
}

// returnsNothing reports whether a function that was not called returns nothing: a global one, or the main function whose
// hook asks for no result.
func (x *explorer) returnsNothing(fn int) bool {
	if f := &x.p.Funcs[fn]; fn != 0 {
		return f.Void && f.Global && x.rules.VoidGlobals
	}
	return x.p.Funcs[0].Void && (x.p.Type == bpf.StructOps || x.p.Type == bpf.LSM)
}

// needsOffset: what a number added to an address is counts (adjust_reg_min_max_vals).
func (x *explorer) needsOffset(s *state, in bpf.Insn) {
	if in.Op&bpf.SrcReg == 0 || in.Dst > 10 || in.Op&0xf0 == bpf.ALUMov || in.Op&0xf0 == bpf.ALUEnd {
		return
	}
	switch d, n := s.top().regs[in.Dst], s.top().regs[in.Src]; {
	case d.isPointer() && n.kind == kindNumber:
		x.needs(s, in.Src)
	case n.isPointer() && d.kind == kindNumber:
		x.needs(s, in.Dst)
	}
}

// checkRead fails if an instruction other than a call reads a register that was not written. The caller
// excepts the exit of a static function, which may return nothing (prepare_func_exit).
func (x *explorer) checkRead(f *frameState, in bpf.Insn, at bpf.InsnIndex) error {
	if in.Op == bpf.OpCall {
		return nil
	}
	for left := x.registers[at].Reads & (1<<numRegs - 1); left != 0; left &= left - 1 {
		if r := bits.TrailingZeros16(left); f.regs[r].kind == kindNone {
			return fmt.Errorf("r%d is not initialised", r)
		}
	}
	return nil
}

func (x *explorer) alu(f *frameState, in bpf.Insn) {
	op, wide := in.Op&0xf0, in.Class() == bpf.ClassALU64
	if in.Dst > 10 {
		f.refer(in.Dst, &anything) // the verifier's own registers are never followed
		return
	}
	d := f.regs[in.Dst]
	var src *value
	if in.Op&bpf.SrcReg != 0 {
		src = f.regs[in.Src]
	} else {
		imm := number(constant(in))
		src = &imm
	}
	if x.arena && (x.makesArena(in, d) || x.submitted && op != bpf.ALUMov && src.typed == inArena) {
		defer func() { f.own(in.Dst).typed = inArena }()
	}
	r := &x.rules.Ranges
	switch {
	case op == bpf.ALUMov:
		x.move(f, in, src, wide)
	case op == bpf.ALUNeg:
		if !r.Overflow || d.kind != kindNumber {
			f.refer(in.Dst, &anything)
			return
		}
		f.set(in.Dst, number(ranges.ConstScalar(0).Alu(bpf.ALUSub, d.num, wide, false, r)))
	case op == bpf.ALUEnd && r.SwapBits && d.kind == kindNumber:
		f.own(in.Dst).swap(in, r)
	case op == bpf.ALUEnd:
		f.refer(in.Dst, &anything)
	case d.isPointer() || src.isPointer():
		f.set(in.Dst, x.pointerAlu(op, *d, *src, wide))
	case d.kind == kindNone || src.kind == kindNone:
		f.refer(in.Dst, &anything)
	default:
		f.set(in.Dst, x.numberAlu(d, in, src, op, wide))
	}
}

func (x *explorer) numberAlu(d *value, in bpf.Insn, src *value, op uint8, wide bool) value {
	signed := in.Off != 0 && (op == bpf.ALUDiv || op == bpf.ALUMod)
	res := number(d.num.Alu(op, src.num, wide, signed, &x.rules.Ranges))
	if wide && (op == bpf.ALUAdd || op == bpf.ALUSub) && src.isConst() {
		res.typed = d.typed
	}
	if op == bpf.ALUAdd || op == bpf.ALUSub {
		if d.typed == unsure || src.typed == unsure {
			res.typed = unsure
		}
	}
	if delta, ok := x.deltaOf(d, in, src, op, wide); ok {
		if res.link, res.delta, res.plus = d.link, delta, 32; wide {
			res.plus = 64
		}
	}
	return res
}

// deltaOf is what arithmetic adds to a number that is linked with others; ok is false if the link does not last
// (adjust_reg_min_max_vals).
func (x *explorer) deltaOf(d *value, in bpf.Insn, src *value, op uint8, wide bool) (delta int64, ok bool) {
	if !x.rules.LinkDelta || op != bpf.ALUAdd && op != bpf.ALUSub || d.link == 0 || d.plus != 0 || !src.isConst() || in.Op&bpf.SrcReg != 0 && in.Src == in.Dst {
		return 0, false
	}
	n := int64(src.num.Umin)
	if !x.rules.WideDeltas {
		return n, op == bpf.ALUAdd && wide && n >= 0 && n <= math.MaxInt32
	}
	if !wide {
		if n = int64(int32(n)); d.num.Umax > math.MaxUint32 {
			return 0, false
		}
	}
	if n < math.MinInt32 || n > math.MaxInt32 || op == bpf.ALUSub && n == math.MinInt32 {
		return 0, false
	}
	if op == bpf.ALUSub {
		n = -n
	}
	return n, true
}

// move is mov, movsx and the 32-bit forms.
func (x *explorer) move(f *frameState, in bpf.Insn, src *value, wide bool) {
	r, size := &x.rules.Ranges, 8
	if !wide {
		size = 4
	}
	switch {
	case in.Op&bpf.SrcReg == 0:
		if !wide {
			f.set(in.Dst, number(ranges.ConstScalar(uint64(uint32(in.Imm)))))
			return
		}
		f.set(in.Dst, *src)
	case src.isPointer() && wide && in.Off == 0:
		f.refer(in.Dst, f.lend(in.Src))
	case src.isPointer() || src.kind == kindNone:
		f.refer(in.Dst, &anything)
	case in.Off == -1 || in.Off == 1: // address of this CPU's copy of a variable, or of arena memory
		v := unknownNumber()
		if in.Off == -1 {
			v.typed = perCPU
		}
		f.set(in.Dst, v)
	case in.Off != 0: // movsx
		size = int(in.Off) / 8
		fits := src.num.Umax < 1<<(size*8-1)
		res := number(src.num.SignExtend(size, wide, r))
		if fits {
			src = x.link(f, in.Src)
			res.link, res.delta, res.plus = src.link, src.delta, src.plus
		}
		f.set(in.Dst, res)
	case wide:
		x.link(f, in.Src)
		f.refer(in.Dst, f.lend(in.Src))
	default:
		v := *src
		if x.rules.Link32 && v.num.Fits(4) {
			v = *x.link(f, in.Src)
		} else {
			v.link, v.delta, v.plus = 0, 0, 0
		}
		v.num.Zext(r)
		f.set(in.Dst, v)
	}
}

// link gives a number in a register, which is about to be copied, an identity, and returns it.
func (x *explorer) link(f *frameState, r uint8) *value {
	if f.regs[r].unlinked() {
		x.identify(f.own(r))
	}
	return f.regs[r]
}

// unlinked reports whether v is a number that is given an identity when it is copied.
func (v *value) unlinked() bool {
	return v.kind == kindNumber && !v.num.IsConst() && (v.plus != 0 || v.link == 0)
}

func (x *explorer) identify(v *value) { v.link, v.delta, v.plus = x.newLink(), 0, 0 }

// pointerAlu is arithmetic in which at least one operand is a pointer (adjust_ptr_min_max_vals).
func (x *explorer) pointerAlu(op uint8, d, src value, wide bool) value {
	if !wide || op != bpf.ALUAdd && op != bpf.ALUSub || d.isPointer() && src.isPointer() {
		return unknownNumber()
	}
	p, n := d, src
	if !d.isPointer() {
		if op == bpf.ALUSub {
			return unknownNumber()
		}
		p, n = src, d
	}
	if n.kind != kindNumber {
		n = unknownNumber()
	}
	if p.traits&probed != 0 {
		return p // wherever it is, it is read
	}
	if n.isConst() {
		if op == bpf.ALUSub {
			p.off -= int64(n.num.Umin)
		} else {
			p.off += int64(n.num.Umin)
		}
		return p
	}
	p.num = p.num.Alu(op, n.num, true, false, &x.rules.Ranges)
	if p.kind == kindPacket || p.kind == kindPacketMeta {
		p.link = x.newLink()
		switch {
		case op == bpf.ALUAdd || n.num.Smin < 0:
			p.delta = 0
		case x.rules.WholeOffsets && p.delta > 0: // what is there was counted from the highest address that is possible
			p.delta += int64(n.num.Umin)
		}
	}
	return p
}

func (x *explorer) loadConst(s *state, f *frameState, in bpf.Insn) error {
	if !in.IsLdImm64() { // ld_abs, ld_ind: a call to a helper in disguise
		if err := x.mayLoadAbs(s); err != nil {
			return err
		}
		f.called()
		f.set(0, unknownNumber())
		if x.rules.AbsoluteExit && x.judges() && len(s.frames) > 1 { // bpf_gen_ld_abs has an exit of its own
			x.fork(s, s.pc+1)
			f.set(0, number(ranges.ConstScalar(0)))
			_, err := x.exit(s)
			s.pc--
			return err
		}
		return nil
	}
	imm := uint64(uint32(in.Imm)) | uint64(uint32(x.p.Insns[s.pc+1].Imm))<<32
	var d value
	switch in.Src {
	case bpf.PseudoMap:
		d = pointer(kindMap)
		d.mapIdx = in.Imm
	case bpf.PseudoMapValue:
		d = pointer(kindMapValue)
		d.mapIdx = in.Imm
		d.off = int64(x.p.Insns[s.pc+1].Imm)
	case bpf.PseudoFunc:
		d = pointer(kindFunc)
		d.mapIdx = int32(s.pc) + 1 + in.Imm
	case bpf.PseudoSymbol:
		d = x.symbol(in)
	case 0:
		d = number(ranges.ConstScalar(imm))
	default:
		d = pointer(kindPointer)
	}
	f.set(in.Dst, d)
	return nil
}

// symbol is the address of a symbol of the kernel (check_pseudo_btf_id).
func (x *explorer) symbol(in bpf.Insn) value {
	v := pointer(kindPointer)
	if in.Imm < 0 || int(in.Imm) >= len(x.p.Symbols) {
		return v
	}
	switch s := &x.p.Symbols[in.Imm]; {
	case s.Kind == bpf.SymbolAddress:
		return unknownNumber()
	case s.PerCPU:
		return x.object(s.Type, perCPU)
	case s.Kind == bpf.SymbolMemory:
		v.kind, v.size, v.traits = kindMemory, s.Size, readOnly
		return v
	default:
		return x.object(s.Type, untrusted)
	}
}

// mayLoadAbs is check_ld_abs.
func (x *explorer) mayLoadAbs(s *state) error {
	if !x.judges() {
		return nil
	}
	switch x.p.Type {
	case bpf.SocketFilter, bpf.SchedCLS, bpf.SchedACT, bpf.Extension:
	default:
		return errors.New("BPF_LD_[ABS|IND] instructions not allowed for this program type")
	}
	for i := range s.frames {
		if s.frames[i].callback && x.rules.AbsoluteOutside {
			return errors.New("cannot use BPF_LD_[ABS|IND] within callback")
		}
	}
	if err := x.leaks(s, false); err != nil {
		return fmt.Errorf("BPF_LD_[ABS|IND] cannot be mixed with socket references: %w", err)
	}
	if err := s.held.Busy("BPF_LD_[ABS|IND]"); err != nil {
		return err
	}
	r6 := s.top().regs[6]
	if r6.kind != kindContext {
		return fmt.Errorf("at the time of BPF_LD_ABS|IND r6 != pointer to skb, but %s", r6.word())
	}
	return unmoved(6, r6)
}
