// SPDX-License-Identifier: GPL-2.0-only

package verify

import (
	"errors"
	"fmt"
	"math"
	"math/bits"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/verify/holds"
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
		if f.regs[in.Dst].IsPointer() || in.Op&bpf.SrcReg != 0 && f.regs[in.Src].IsPointer() {
			if err = x.mayAdd(f, in); err != nil {
				return false, err
			}
			x.needsOffset(s, in)
		}
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
		err = x.storeMem(s, f, in, x.operand(in), true)
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
	if op != bpf.ALUAnd && op != bpf.ALUOr || in.Dst > 10 || in.Op&bpf.SrcReg != 0 && !f.regs[in.Src].IsConst() {
		return
	}
	d := f.regs[in.Dst]
	ones, lo, hi := ^uint64(0), d.Num.Smin, d.Num.Smax
	if in.Class() == bpf.ClassALU {
		ones = 0xffff_ffff
		lo, hi = d.Num.Bounds32()
	}
	if d.Kind != holds.Number || lo != -1 || hi != 0 {
		return
	}
	other := x.fork(s, s.pc)
	other.top().set(in.Dst, holds.Of(ranges.ConstScalar(0)))
	s.top().set(in.Dst, holds.Of(ranges.ConstScalar(ones)))
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
	case d.IsPointer() && n.Kind == holds.Number:
		x.needs(s, in.Src)
	case n.IsPointer() && d.Kind == holds.Number:
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
		if r := bits.TrailingZeros16(left); f.regs[r].Kind == holds.None {
			return fmt.Errorf("r%d is not initialised", r)
		}
	}
	return nil
}

func (x *explorer) alu(f *frameState, in bpf.Insn) {
	op, wide := in.Op&0xf0, in.Class() == bpf.ClassALU64
	if in.Dst > 10 {
		f.refer(in.Dst, &holds.Anything) // the verifier's own registers are never followed
		return
	}
	d := f.regs[in.Dst]
	var src *holds.Value
	if in.Op&bpf.SrcReg != 0 {
		src = f.regs[in.Src]
	} else {
		src = x.operand(in)
	}
	if x.arena && (x.makesArena(in, d) || x.submitted && op != bpf.ALUMov && src.Typed == holds.InArena) {
		defer func() { f.own(in.Dst).Typed = holds.InArena }()
	}
	r := &x.rules.Ranges
	switch {
	case op == bpf.ALUMov:
		x.move(f, in, src, wide)
	case op == bpf.ALUNeg:
		if !r.Overflow || d.Kind != holds.Number {
			f.refer(in.Dst, &holds.Anything)
			return
		}
		n := ranges.ConstScalar(0)
		n.Alu(bpf.ALUSub, &d.Num, wide, false, r)
		f.set(in.Dst, holds.Of(n))
	case op == bpf.ALUEnd && r.SwapBits && d.Kind == holds.Number:
		f.own(in.Dst).Swap(in, r)
	case op == bpf.ALUEnd:
		f.refer(in.Dst, &holds.Anything)
	case d.IsPointer() || src.IsPointer():
		f.set(in.Dst, x.pointerAlu(op, *d, *src, wide))
	case d.Kind == holds.None || src.Kind == holds.None:
		f.refer(in.Dst, &holds.Anything)
	default:
		x.numberAlu(f, d, in, src, op, wide)
	}
}

// operand is the constant of the instruction at hand. It is lent.
func (x *explorer) operand(in bpf.Insn) *holds.Value {
	at := &x.operands[x.now.PC]
	if *at == nil {
		if *at = x.constants[in.Imm]; *at == nil {
			v := holds.Of(constant(in))
			*at, x.constants[in.Imm] = &v, &v
		}
	}
	return *at
}

func (x *explorer) numberAlu(f *frameState, d *holds.Value, in bpf.Insn, src *holds.Value, op uint8, wide bool) {
	signed := in.Off != 0 && (op == bpf.ALUDiv || op == bpf.ALUMod)
	typed := holds.NoObject
	switch adds := op == bpf.ALUAdd || op == bpf.ALUSub; {
	case adds && (d.Typed == holds.Unsure || src.Typed == holds.Unsure):
		typed = holds.Unsure
	case adds && wide && src.IsConst():
		typed = d.Typed
	}
	link, delta, plus := uint32(0), int64(0), uint8(0)
	if n, ok := x.deltaOf(d, in, src, op, wide); ok {
		if link, delta, plus = d.Link, n, 32; wide {
			plus = 64
		}
	}
	num := &src.Num
	if d == src {
		n := src.Num
		num = &n
	}
	res := f.fresh(in.Dst)
	*res = holds.Value{Kind: holds.Number, Typed: typed, Link: link, Delta: delta, Plus: plus, Num: d.Num}
	res.Num.Alu(op, num, wide, signed, &x.rules.Ranges)
	f.notes(in.Dst)
}

// deltaOf is what arithmetic adds to a number that is linked with others; ok is false if the link does not last
// (adjust_reg_min_max_vals).
func (x *explorer) deltaOf(d *holds.Value, in bpf.Insn, src *holds.Value, op uint8, wide bool) (delta int64, ok bool) {
	if !x.rules.LinkDelta || op != bpf.ALUAdd && op != bpf.ALUSub || d.Link == 0 || d.Plus != 0 || !src.IsConst() || in.Op&bpf.SrcReg != 0 && in.Src == in.Dst {
		return 0, false
	}
	n := int64(src.Num.Umin)
	if !x.rules.WideDeltas {
		return n, op == bpf.ALUAdd && wide && n >= 0 && n <= math.MaxInt32
	}
	if !wide {
		if n = int64(int32(n)); d.Num.Umax > math.MaxUint32 {
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
func (x *explorer) move(f *frameState, in bpf.Insn, src *holds.Value, wide bool) {
	r, size := &x.rules.Ranges, 8
	if !wide {
		size = 4
	}
	switch {
	case in.Op&bpf.SrcReg == 0:
		if !wide {
			if in.Imm < 0 {
				f.set(in.Dst, holds.Of(ranges.ConstScalar(uint64(uint32(in.Imm)))))
				return
			}
		}
		f.refer(in.Dst, src)
	case src.IsPointer() && wide && in.Off == 0:
		f.refer(in.Dst, f.lend(in.Src))
	case src.IsPointer() || src.Kind == holds.None:
		f.refer(in.Dst, &holds.Anything)
	case in.Off == -1 || in.Off == 1: // address of this CPU's copy of a variable, or of arena memory
		v := holds.AnyNumber()
		if in.Off == -1 {
			v.Typed = holds.PerCPU
		}
		f.set(in.Dst, v)
	case in.Off != 0: // movsx
		size = int(in.Off) / 8
		fits := src.Num.Umax < 1<<(size*8-1)
		res := holds.Of(src.Num.SignExtend(size, wide, r))
		if fits {
			src = x.link(f, in.Src)
			res.Link, res.Delta, res.Plus = src.Link, src.Delta, src.Plus
		}
		f.set(in.Dst, res)
	case wide:
		x.link(f, in.Src)
		f.refer(in.Dst, f.lend(in.Src))
	default:
		v := *src
		if x.rules.Link32 && v.Num.Fits(4) {
			v = *x.link(f, in.Src)
		} else {
			v.Link, v.Delta, v.Plus = 0, 0, 0
		}
		v.Num.Zext(r)
		f.set(in.Dst, v)
	}
}

// link gives a number in a register, which is about to be copied, an identity, and returns it.
func (x *explorer) link(f *frameState, r uint8) *holds.Value {
	if f.regs[r].Unlinked() {
		x.identify(f.own(r))
	}
	return f.regs[r]
}

func (x *explorer) identify(v *holds.Value) { v.Link, v.Delta, v.Plus = x.newLink(), 0, 0 }

// pointerAlu is arithmetic in which at least one operand is a pointer (adjust_ptr_min_max_vals).
func (x *explorer) pointerAlu(op uint8, d, src holds.Value, wide bool) holds.Value {
	if !wide || op != bpf.ALUAdd && op != bpf.ALUSub || d.IsPointer() && src.IsPointer() {
		return holds.AnyNumber()
	}
	p, n := d, src
	if !d.IsPointer() {
		if op == bpf.ALUSub {
			return holds.AnyNumber()
		}
		p, n = src, d
	}
	if n.Kind != holds.Number {
		n = holds.AnyNumber()
	}
	if p.Traits&holds.AnyAddress != 0 {
		return p // wherever it is, it is read
	}
	if n.IsConst() {
		if op == bpf.ALUSub {
			p.Off -= int64(n.Num.Umin)
		} else {
			p.Off += int64(n.Num.Umin)
		}
		return p
	}
	p.Num.Alu(op, &n.Num, true, false, &x.rules.Ranges)
	if p.Kind == holds.Packet || p.Kind == holds.PacketMeta {
		p.Link = x.newLink()
		switch {
		case op == bpf.ALUAdd || n.Num.Smin < 0:
			p.Delta = 0
		case x.rules.WholeOffsets && p.Delta > 0: // what is there was counted from the highest address that is possible
			p.Delta += int64(n.Num.Umin)
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
		f.set(0, holds.AnyNumber())
		if x.rules.AbsoluteExit && x.judges() && len(s.frames) > 1 { // bpf_gen_ld_abs has an exit of its own
			x.fork(s, s.pc+1)
			f.set(0, holds.Of(ranges.ConstScalar(0)))
			_, err := x.exit(s)
			s.pc--
			return err
		}
		return nil
	}
	imm := uint64(uint32(in.Imm)) | uint64(uint32(x.p.Insns[s.pc+1].Imm))<<32
	var d holds.Value
	switch in.Src {
	case bpf.PseudoMap:
		d = holds.To(holds.Map)
		d.Map = in.Imm
	case bpf.PseudoMapValue:
		d = holds.To(holds.MapValue)
		d.Map = in.Imm
		d.Off = int64(x.p.Insns[s.pc+1].Imm)
	case bpf.PseudoFunc:
		d = holds.To(holds.Func)
		d.Map = int32(s.pc) + 1 + in.Imm
	case bpf.PseudoSymbol:
		d = x.symbol(in)
	case 0:
		d = holds.Of(ranges.ConstScalar(imm))
	default:
		d = holds.To(holds.Pointer)
	}
	f.set(in.Dst, d)
	return nil
}

// symbol is the address of a symbol of the kernel (check_pseudo_btf_id).
func (x *explorer) symbol(in bpf.Insn) holds.Value {
	v := holds.To(holds.Pointer)
	if in.Imm < 0 || int(in.Imm) >= len(x.p.Symbols) {
		return v
	}
	switch s := &x.p.Symbols[in.Imm]; {
	case s.Kind == bpf.SymbolAddress:
		return holds.AnyNumber()
	case s.PerCPU:
		return x.object(s.Type, holds.PerCPU)
	case s.Kind == bpf.SymbolMemory:
		v.Kind, v.Size, v.Traits = holds.Memory, s.Size, holds.ReadOnly
		return v
	default:
		return x.object(s.Type, holds.Untrusted)
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
	if r6.Kind != holds.Context {
		return fmt.Errorf("at the time of BPF_LD_ABS|IND r6 != pointer to skb, but %s", r6.Word())
	}
	return holds.Unmoved(6, r6)
}
