// SPDX-License-Identifier: GPL-2.0-only

package interp

import (
	"errors"
	"fmt"

	"github.com/tcsim/tcsim/jit/bpf"
)

// errReserved is for fields that must be zero or hold one of few values.
var errReserved = errors.New("a reserved field is in use")

// insn decodes the instruction at slot.
func (d *decoder) insn(slot int) error {
	in := d.p.def.Insns[slot]
	if in.Dst > 10 || in.Src > 10 {
		return fmt.Errorf("register r%d does not exist", max(in.Dst, in.Src))
	}
	o := &d.p.code[slot]
	*o = op{dst: in.Dst, src: in.Src, imm: uint64(int64(in.Imm)), reg: in.Op&bpf.SrcReg != 0}
	var err error
	switch in.Class() {
	case bpf.ClassALU, bpf.ClassALU64:
		err = d.alu(in, o)
	case bpf.ClassLD:
		err = d.ld(slot, in, o)
	case bpf.ClassLDX, bpf.ClassST, bpf.ClassSTX:
		err = d.mem(in, o)
	case bpf.ClassJmp, bpf.ClassJmp32:
		err = d.jump(slot, in, o)
	}
	if err == nil && in.Dst == 10 && writesDst(o) {
		err = errors.New("r10 is read-only")
	}
	return err
}

// writesDst reports whether an instruction changes its dst register.
func writesDst(o *op) bool {
	switch o.kind {
	case kindALU64, kindALU32, kindSwap, kindSext, kindCast, kindImm64, kindLoad, kindLoadSext:
		return true
	case kindAtomic:
		return o.code == atomicLoadAcquire
	}
	return false
}

// alu decodes ALU and ALU64 (RFC 9669, section 4.1 and 4.2).
func (d *decoder) alu(in bpf.Insn, o *op) error {
	wide := in.Class() == bpf.ClassALU64
	o.kind = kindALU32
	if wide {
		o.kind = kindALU64
	}
	o.code = in.Op >> 4
	switch o.code {
	case aluEnd:
		return decodeSwap(in, o, wide)
	case aluMov:
		return d.mov(in, o, wide)
	case aluDiv, aluMod:
		if in.Off == 1 {
			if o.code == aluDiv {
				o.code = aluSDiv
			} else {
				o.code = aluSMod
			}
			return nil
		}
	case aluNeg:
		if o.reg {
			return errReserved
		}
	case aluSDiv, aluSMod: // the codes 0xe and 0xf are ours
		return errors.New("no such operation")
	}
	if in.Off != 0 {
		return errReserved
	}
	return nil
}

// decodeSwap decodes byte swaps: le and be in ALU, unconditional ones in ALU64.
func decodeSwap(in bpf.Insn, o *op, wide bool) error {
	o.kind, o.size, o.code = kindSwap, uint8(in.Imm), swapAlways
	if !wide {
		o.code = swapToLE
		if o.reg {
			o.code = swapToBE
		}
	}
	if in.Off != 0 || wide && o.reg || in.Imm != 16 && in.Imm != 32 && in.Imm != 64 {
		return errReserved
	}
	return nil
}

// mov decodes moves, sign-extending moves and address space casts.
func (d *decoder) mov(in bpf.Insn, o *op, wide bool) error {
	switch {
	case in.Off == 0:
		return nil
	case o.reg && wide && in.Off == 1: // BPF_ADDR_SPACE_CAST
		if in.Imm != 1 {
			return fmt.Errorf("address space cast %#x is not modelled (only 1, to the kernel's space)", in.Imm)
		}
		o.kind = kindCast
		return nil
	case o.reg && (in.Off == 8 || in.Off == 16 || in.Off == 32 && wide):
		o.kind, o.size, o.code = kindSext, uint8(in.Off), 0
		if !wide { // zero-extends the result
			o.code = 1
		}
		return nil
	}
	return errReserved
}

// ld decodes 64-bit immediates and the legacy packet loads.
func (d *decoder) ld(slot int, in bpf.Insn, o *op) error {
	if in.Op == bpf.OpLdImm64 {
		return d.imm64(slot, in, o)
	}
	mode, size := in.Op&bpf.ModeMask, accessSize(in.Op)
	if mode != bpf.ModeAbs && mode != bpf.ModeInd || size == 8 {
		return errors.New("no such load")
	}
	if in.Off != 0 || in.Dst != 0 {
		return errReserved
	}
	o.kind, o.size, o.reg = kindPacket, size, mode == bpf.ModeInd
	return nil
}

// imm64 decodes ld_imm64 and resolves what it names to an address.
func (d *decoder) imm64(slot int, in bpf.Insn, o *op) error {
	if slot+1 >= len(d.p.def.Insns) {
		return errors.New("ld_imm64 has no second half")
	}
	second := d.p.def.Insns[slot+1]
	if second.Op != 0 || second.Dst != 0 || second.Src != 0 || second.Off != 0 || in.Off != 0 {
		return errReserved
	}
	o.kind, o.code = kindImm64, in.Src
	o.imm = uint64(uint32(in.Imm)) | uint64(uint32(second.Imm))<<32
	switch in.Src {
	case 0:
		return nil
	case bpf.PseudoFunc:
		to := slot + 1 + int(in.Imm)
		if to < 0 || to >= len(d.p.code) {
			return fmt.Errorf("function at slot %d does not exist", to)
		}
		o.off, o.imm = int32(to), funcAddr(d.p.index, to)
		return nil
	case bpf.PseudoMap, bpf.PseudoMapValue:
	default:
		return fmt.Errorf("source %d of ld_imm64 is not modelled", in.Src)
	}
	if in.Imm < 0 || int(in.Imm) >= len(d.m.maps) {
		return fmt.Errorf("map %d does not exist", in.Imm)
	}
	s := d.m.maps[in.Imm]
	if in.Src == bpf.PseudoMap {
		o.imm = s.handle
		return nil
	}
	if off := uint32(second.Imm); s.def.Type != bpf.ArrayMap || uint64(off) >= uint64(len(s.data)) {
		return fmt.Errorf("map %d has no value at offset %d", in.Imm, off)
	}
	o.imm = s.base + uint64(uint32(second.Imm))
	return nil
}

// mem decodes loads and stores.
func (d *decoder) mem(in bpf.Insn, o *op) error {
	o.off, o.size = int32(in.Off), accessSize(in.Op)
	class, mode := in.Class(), in.Op&bpf.ModeMask
	switch {
	case class == bpf.ClassLDX && mode == bpf.ModeMem:
		o.kind = kindLoad
	case class == bpf.ClassLDX && mode == bpf.ModeMemSX && o.size < 8:
		o.kind = kindLoadSext
	case class == bpf.ClassST && mode == bpf.ModeMem:
		o.kind, o.reg = kindStore, false
	case class == bpf.ClassSTX && mode == bpf.ModeMem:
		o.kind, o.reg = kindStore, true
	case class == bpf.ClassSTX && mode == bpf.ModeAtomic:
		o.kind = kindAtomic
		return decodeAtomic(in, o)
	default:
		return errors.New("no such load or store")
	}
	return nil
}

// accessSize returns the bytes a load or store moves.
func accessSize(op uint8) uint8 { return [4]uint8{4, 2, 1, 8}[op>>3&3] }

// jump decodes jumps, calls and exit.
func (d *decoder) jump(slot int, in bpf.Insn, o *op) error {
	to := slot + 1 + int(in.Off)
	o.off = int32(to)
	switch in.Op {
	case bpf.OpJA:
		o.kind = kindGoto
		return nil
	case bpf.OpJA32:
		o.kind, o.off = kindGoto, in.Imm+int32(slot)+1
		return nil
	case bpf.OpMayGoto:
		o.kind = kindMayGoto
		if in.Src != 0 || in.Dst != 0 {
			return errReserved
		}
		return nil
	case bpf.OpCall:
		return d.call(slot, in, o)
	case bpf.OpExit:
		o.kind = kindExit
		return nil
	}
	o.code, o.kind = in.Op>>4, kindJump
	if in.Class() == bpf.ClassJmp32 {
		o.kind = kindJump32
	}
	if o.code == 0 || o.code == bpf.OpCall>>4 || o.code == bpf.OpExit>>4 || o.code > jumpSLE {
		return errors.New("no such jump")
	}
	return nil
}

// call decodes the three kinds of calls.
func (d *decoder) call(slot int, in bpf.Insn, o *op) error {
	switch in.Src {
	case 0:
		o.kind, o.off = kindHelper, in.Imm
		if in.Imm == bpf.HelperTailCall {
			o.kind = kindTail
		}
	case bpf.PseudoCall:
		to := int64(slot) + 1 + int64(in.Imm)
		if to <= 0 || to >= int64(len(d.p.code)) {
			return fmt.Errorf("call of slot %d, which is not a subprogram", to)
		}
		o.kind, o.off = kindCall, int32(to)
	case bpf.PseudoKfunc:
		o.kind, o.off = kindKfunc, in.Imm
		if in.Imm < 0 || int(in.Imm) >= len(d.p.def.Kfuncs) {
			return fmt.Errorf("kernel function %d is not in Kfuncs", in.Imm)
		}
	default:
		return errReserved
	}
	return nil
}

// funcAddr is the value of a pointer to the function at slot of program prog.
func funcAddr(prog, slot int) uint64 {
	return 0xffff_ffff_c000_0000 + uint64(prog)<<24 + uint64(slot)<<3
}
