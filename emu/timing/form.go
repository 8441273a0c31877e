// SPDX-License-Identifier: GPL-2.0-only

package timing

import (
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
