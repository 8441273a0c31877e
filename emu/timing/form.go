// SPDX-License-Identifier: GPL-2.0-only

package timing

import (
	"fmt"
	"strings"

	"github.com/tcsim/tcsim/jit/x86"
)

// form is the cost of one instruction form on one core. Latencies are in core cycles.
type form struct {
	id    string
	class string
	slots uint8   // micro-operations in the fused domain: issue and retirement slots
	ports string  // port sets with a count, "0156 23*2"; empty if nothing is executed
	tp    float64 // reciprocal throughput as measured in isolation
	lat   float64 // largest latency from a register to a register
	// latMin is the smallest such latency (0 for pairs that are eliminated); addr the latency from
	// an address register to the result.
	latMin, addr float64
	fuses        string // conditions of a following jcc with which the form fuses
	source       string
}

// analogues maps forms that the published tables lack to the row whose micro-operations are the
// same. Each is an assumption (source S): the pairs differ only in the arithmetic operation, the
// width, or the place of the immediate, none of which changes the micro-operations on these cores.
// A row of the core's own table goes before.
var analogues = map[string]string{
	"and_r32_m32": "add_r32_m32", "or_r32_m32": "add_r32_m32", "xor_r32_m32": "add_r32_m32",
	"and_r64_m64": "add_r64_m64", "or_r64_m64": "add_r64_m64", "xor_r64_m64": "add_r64_m64",
	"cmp_m8_imm8": "cmp_m32_imm8", "cmp_m16_imm8": "cmp_m32_imm8",
	"test_m8_imm32": "cmp_m32_imm8", "test_m32_imm32": "cmp_m32_imm8", "test_m64_imm32": "cmp_m64_imm8",
	"test_r8_imm32": "test_r32_imm32", "test_r8_r8": "test_r32_r32", "cmp_r8_imm8": "cmp_r32_imm8",
	"cmp_r8_r8":    "cmp_r32_r32",
	"sar_m64_imm8": "add_m64_imm8", "shl_m64_imm8": "add_m64_imm8", "shr_m64_imm8": "add_m64_imm8",
	"inc_m64":      "add_m64_imm8",
	"inc_m32":      "add_m32_imm8",
	"dec_m64":      "add_m64_imm8",
	"dec_m32":      "add_m32_imm8",
	"not_r32":      "neg_r32",
	"not_r64":      "neg_r64",
	"cdq":          "cqo",
	"cdqe":         "movsxd_r64_r32", // the same operation from eax to rax
	"ror_r32_imm8": "rol_r32_imm8", "ror_r64_imm8": "rol_r64_imm8",
	"lea_r32_b": "lea_r64_b_i", "lea_r32_b_d8": "lea_r64_b_i", "lea_r32_b_i": "lea_r64_b_i",
	"movzx_r16_r8": "movzx_r32_r8", "movzx_r16_m8": "movzx_r32_m8",
	"cmovcc_r32_r32": "cmovcc_r64_r64", "cmovbe_r32_r32": "cmovbe_r64_r64",
	"xchg_r32_r32":      "xchg_r64_r64",
	"imul_r64":          "mul_r64",
	"imul_r32":          "mul_r32",
	"popcnt_r16_r16":    "tzcnt_r16_r16",
	"popcnt_r32_r32":    "tzcnt_r32_r32",
	"popcnt_r64_r64":    "tzcnt_r64_r64",
	"popcnt_r32_m32":    "tzcnt_r32_m32",
	"popcnt_r64_m64":    "tzcnt_r64_m64",
	"lzcnt_r16_r16":     "tzcnt_r16_r16",
	"lzcnt_r32_r32":     "tzcnt_r32_r32",
	"lzcnt_r64_r64":     "tzcnt_r64_r64",
	"lzcnt_r32_m32":     "tzcnt_r32_m32",
	"lzcnt_r64_m64":     "tzcnt_r64_m64",
	"sahf":              "stc",
	"lock_and_m32_r32":  "lock_add_m32_r32",
	"lock_or_m32_r32":   "lock_add_m32_r32",
	"lock_xor_m32_r32":  "lock_add_m32_r32",
	"lock_sub_m32_r32":  "lock_add_m32_r32",
	"lock_add_m64_imm8": "lock_add_m64_r64",
	"lock_add_m32_imm8": "lock_add_m32_r32",
	"js_rel8":           "jb_rel8", "jns_rel8": "jb_rel8", "js_rel32": "jb_rel32", "jns_rel32": "jb_rel32",
	"prefetcht0": "mov_r64_m64", "prefetcht1": "mov_r64_m64", "prefetcht2": "mov_r64_m64",
	"prefetchnta": "mov_r64_m64", "prefetchw": "mov_r64_m64",
}

// jccName are the row names of conditional jumps (the table follows the manual's first spelling).
var jccName = [16]string{
	x86.CondB: "jb", x86.CondAE: "jnb", x86.CondE: "jz", x86.CondNE: "jnz", x86.CondBE: "jbe",
	x86.CondA: "jnbe", x86.CondL: "jl", x86.CondGE: "jnl", x86.CondLE: "jle", x86.CondG: "jnle",
	x86.CondO: "jo", x86.CondNO: "jno", x86.CondS: "js", x86.CondNS: "jns", x86.CondP: "jp", x86.CondNP: "jnp",
}

// fuseName are the conditions as the macro-fusion column spells them.
var fuseName = [16]string{
	x86.CondB: "b", x86.CondAE: "ae", x86.CondE: "e", x86.CondNE: "ne", x86.CondBE: "be",
	x86.CondA: "a", x86.CondL: "l", x86.CondGE: "ge", x86.CondLE: "le", x86.CondG: "g",
	x86.CondO: "o", x86.CondNO: "no", x86.CondS: "s", x86.CondNS: "ns", x86.CondP: "p", x86.CondNP: "np",
}

// fusesWith reports whether a jcc on c directly after the form becomes one micro-operation with it.
func (f *form) fusesWith(c x86.Cond) bool {
	if f.fuses == "" || c > x86.CondG {
		return false
	}
	return f.fuses == "all conditions" || strings.Contains(" "+f.fuses+" ", " "+fuseName[c]+" ")
}

// formID names the form of an instruction as the tables do.
func formID(i *x86.Inst) string {
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
			case n == int(i.N)-1 && n > 0 && o.Bits == 8 && o.Reg == x86.RCX && (isShift(i.Op) || i.Op == "shld" || i.Op == "shrd"):
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
	case isShift(i.Op) || i.HasMem && i.Op != "test":
		return "_imm8"
	case i.Op == "mov" || i.Op == "test" || v != int64(int8(v)):
		return "_imm32"
	}
	return "_imm8"
}

func isShift(op string) bool {
	switch op {
	case "shl", "shr", "sar", "sal", "rol", "ror":
		return true
	}
	return false
}

// RowOf names the row of the table of forms that an instruction needs.
func RowOf(i *x86.Inst) string { return formID(i) }
