// SPDX-License-Identifier: GPL-2.0-only

package interp

import (
	"math/bits"

	"github.com/tcsim/tcsim/jit/bpf"
)

// ALU operations: the high four bits of the opcode, with the free codes 14 and 15 for signed
// division (RFC 9669, section 4.1).
const (
	aluAdd  = bpf.ALUAdd >> 4
	aluSub  = bpf.ALUSub >> 4
	aluMul  = bpf.ALUMul >> 4
	aluDiv  = bpf.ALUDiv >> 4
	aluOr   = bpf.ALUOr >> 4
	aluAnd  = bpf.ALUAnd >> 4
	aluLsh  = bpf.ALULsh >> 4
	aluRsh  = bpf.ALURsh >> 4
	aluNeg  = bpf.ALUNeg >> 4
	aluMod  = bpf.ALUMod >> 4
	aluXor  = bpf.ALUXor >> 4
	aluMov  = bpf.ALUMov >> 4
	aluArsh = bpf.ALUArsh >> 4
	aluEnd  = bpf.ALUEnd >> 4
	aluSDiv = 0xe
	aluSMod = 0xf
)

// alu64 applies an operation to 64-bit values. Division by zero gives 0 and modulo by zero its
// dividend; the smallest number divided by -1 is itself, with remainder 0 (RFC 9669, section 4.1).
func alu64(op uint8, a, b uint64) uint64 {
	switch op & 0xf {
	case aluAdd:
		return a + b
	case aluSub:
		return a - b
	case aluMul:
		return a * b
	case aluDiv, aluMod, aluSDiv, aluSMod:
		return div64(op, a, b)
	case aluOr:
		return a | b
	case aluAnd:
		return a & b
	case aluLsh:
		return a << (b & 63)
	case aluRsh:
		return a >> (b & 63)
	case aluNeg:
		return -a
	case aluXor:
		return a ^ b
	case aluMov:
		return b
	case aluArsh:
		return uint64(int64(a) >> (b & 63))
	}
	panic("BUG: ALU operation that decode lets through")
}

func div64(op uint8, a, b uint64) uint64 {
	switch op {
	case aluDiv:
		if b == 0 {
			return 0
		}
		return a / b
	case aluMod:
		if b == 0 {
			return a
		}
		return a % b
	case aluSDiv:
		if b == 0 {
			return 0
		}
		return uint64(int64(a) / int64(b)) // Go defines the overflow as we need it
	}
	if b == 0 {
		return a
	}
	return uint64(int64(a) % int64(b))
}

// alu32 applies an operation to 32-bit values. The result is zero-extended by the caller.
func alu32(op uint8, a, b uint32) uint32 {
	switch op & 0xf {
	case aluLsh:
		return a << (b & 31)
	case aluRsh:
		return a >> (b & 31)
	case aluArsh:
		return uint32(int32(a) >> (b & 31))
	case aluSDiv, aluSMod:
		return uint32(div64(op, uint64(int64(int32(a))), uint64(int64(int32(b)))))
	}
	return uint32(alu64(op, uint64(a), uint64(b)))
}

// sext extends the sign of the low n bits.
func sext(v uint64, n uint8) uint64 { return uint64(int64(v<<(64-n)) >> (64 - n)) }

// Byte swaps, for a little-endian machine.
const (
	swapToLE   = iota // truncates
	swapToBE          // swaps
	swapAlways        // swaps
)

func swap(code, size uint8, v uint64) uint64 {
	if code != swapToLE {
		v = bits.ReverseBytes64(v) >> (64 - size)
	}
	return v << (64 - size) >> (64 - size)
}

// Conditional jumps: the high four bits of the opcode (RFC 9669, section 4.3).
const (
	jumpEQ  = bpf.JmpEq >> 4
	jumpGT  = bpf.JmpGt >> 4
	jumpGE  = bpf.JmpGe >> 4
	jumpSET = bpf.JmpSet >> 4
	jumpNE  = bpf.JmpNe >> 4
	jumpSGT = bpf.JmpSgt >> 4
	jumpSGE = bpf.JmpSge >> 4
	jumpLT  = bpf.JmpLt >> 4
	jumpLE  = bpf.JmpLe >> 4
	jumpSLT = bpf.JmpSlt >> 4
	jumpSLE = bpf.JmpSle >> 4
)

// holds evaluates the condition of a jump. For 32-bit jumps both operands are sign-extended from
// their low halves, which keeps signed and unsigned order alike.
func holds(op uint8, a, b uint64) bool {
	switch op & 0xf {
	case jumpEQ:
		return a == b
	case jumpGT:
		return a > b
	case jumpGE:
		return a >= b
	case jumpSET:
		return a&b != 0
	case jumpNE:
		return a != b
	case jumpSGT:
		return int64(a) > int64(b)
	case jumpSGE:
		return int64(a) >= int64(b)
	case jumpLT:
		return a < b
	case jumpLE:
		return a <= b
	case jumpSLT:
		return int64(a) < int64(b)
	case jumpSLE:
		return int64(a) <= int64(b)
	}
	panic("BUG: jump condition that decode lets through")
}
