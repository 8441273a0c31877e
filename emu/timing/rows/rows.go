// SPDX-License-Identifier: GPL-2.0-only

// Package rows names instructions as the tables of instruction costs do: "add_r64_imm8", "mov_m32_r32".
package rows

import (
	"fmt"
	"strings"

	"github.com/tcsim/tcsim/jit/x86"
)

// jccName are the row names of conditional jumps (the table follows the manual's first spelling).
var jccName = [16]string{
	x86.CondB: "jb", x86.CondAE: "jnb", x86.CondE: "jz", x86.CondNE: "jnz", x86.CondBE: "jbe",
	x86.CondA: "jnbe", x86.CondL: "jl", x86.CondGE: "jnl", x86.CondLE: "jle", x86.CondG: "jnle",
	x86.CondO: "jo", x86.CondNO: "jno", x86.CondS: "js", x86.CondNS: "jns", x86.CondP: "jp", x86.CondNP: "jnp",
}

// Of names the form of an instruction as the tables do.
func Of(i *x86.Inst) string {
	switch {
	case i.Op == "nop":
		return nopID(i)
	case i.Branch == x86.BranchCond && i.Cond != x86.CondNone:
		return jccName[i.Cond] + relSuffix(i)
	case i.Branch == x86.BranchCond:
		return i.Op + relSuffix(i)
	case i.Op == "jmp" || i.Op == "call":
		if i.Branch.Direct() {
			return i.Op + relSuffix(i)
		}
	case i.Op == "lea":
		return leaID(i)
	case strings.HasPrefix(i.Op, "cmov"):
		return "cmov" + condClass(i.Cond) + operandSuffix(i)
	case strings.HasPrefix(i.Op, "set"):
		return "set" + condClass(i.Cond) + operandSuffix(i)
	case strings.HasPrefix(i.Op, "prefetch"):
		return i.Op
	case i.Op == "shlx" || i.Op == "shrx" || i.Op == "sarx": // one width for all operands
		if i.HasMem {
			return fmt.Sprintf("%s_m%d", i.Op, i.OpBits)
		}
		return fmt.Sprintf("%s_r%d", i.Op, i.OpBits)
	case i.Op == "mov":
		return movID(i)
	case i.Op == "imul" && i.N == 3:
		if i.HasMem {
			return fmt.Sprintf("imul_r%d_m%d_imm32", i.OpBits, i.OpBits)
		}
		return fmt.Sprintf("imul_r%d_r%d_imm32", i.OpBits, i.OpBits)
	case i.Lock && i.Op == "xchg":
		return fmt.Sprintf("xchg_m%d", i.Mem.Size*8)
	case i.Lock && (i.Op == "xadd" || i.Op == "cmpxchg"):
		return fmt.Sprintf("lock_%s_m%d", i.Op, i.Mem.Size*8)
	case i.Lock:
		return "lock_" + i.Op + operandSuffix(i)
	}
	return i.Op + operandSuffix(i)
}

// condClass tells the conditions that read two flags from different places from the others.
func condClass(c x86.Cond) string {
	if c == x86.CondBE || c == x86.CondA {
		return "be"
	}
	return "cc"
}

func nopID(i *x86.Inst) string {
	switch {
	case i.Len == 1:
		return "nop_1"
	case i.N == 0:
		return "nop_66"
	}
	return "nop_m"
}

func relSuffix(i *x86.Inst) string {
	if i.Len <= 3 {
		return "_rel8"
	}
	return "_rel32"
}

func movID(i *x86.Inst) string {
	imm, isImm := i.Imm()
	switch {
	case isImm && i.HasMem:
		return fmt.Sprintf("mov_m%d_imm", i.Mem.Size*8)
	case isImm && i.OpBits == 64 && (i.Len >= 10 || imm != int64(int32(imm))):
		return "movabs_r64_imm64"
	}
	return "mov" + operandSuffix(i)
}

func leaID(i *x86.Inst) string {
	s := fmt.Sprintf("lea_r%d", i.OpBits)
	m := &i.Mem
	if m.RIPRel {
		return s + "_r_d32"
	}
	disp := ""
	if m.Disp != 0 {
		disp = "_d8" // the rows for disp8 and disp32 differ in nothing but throughput of decoding
	}
	switch {
	case m.Index != x86.RegNone && m.Scale > 1:
		return s + "_b_is" + disp
	case m.Index != x86.RegNone:
		return s + "_b_i" + disp
	case m.Base == x86.RegNone:
		return s + "_d32"
	}
	return s + "_b" + disp
}

// operandSuffix spells the operands as the table does: _r64_m64, _m32_imm8, _r64_cl.
func operandSuffix(i *x86.Inst) string {
	var b strings.Builder
	for n, o := range i.Ops() {
		switch o.Kind {
		case x86.OpReg:
			switch {
			case n == int(i.N)-1 && n > 0 && o.Bits == 8 && o.Reg == x86.RCX && (IsShift(i.Op) || i.Op == "shld" || i.Op == "shrd"):
				b.WriteString("_cl")
			case o.High:
				b.WriteString("_r8h")
			default:
				fmt.Fprintf(&b, "_r%d", o.Bits)
			}
		case x86.OpMem:
			fmt.Fprintf(&b, "_m%d", o.Bits)
		case x86.OpImm:
			b.WriteString(immSuffix(i, o.Imm))
		default:
			b.WriteString("_other")
		}
	}
	return b.String()
}

// immSuffix tells imm8 from imm32 by value: a small value in the long encoding costs the same.
func immSuffix(i *x86.Inst, v int64) string {
	switch {
	case IsShift(i.Op) || i.HasMem && i.Op != "test":
		return "_imm8"
	case i.Op == "mov" || i.Op == "test" || v != int64(int8(v)):
		return "_imm32"
	}
	return "_imm8"
}

// IsShift reports whether a mnemonic is that of a shift or rotation by one count.
func IsShift(op string) bool {
	switch op {
	case "shl", "shr", "sar", "sal", "rol", "ror":
		return true
	}
	return false
}
