// SPDX-License-Identifier: GPL-2.0-only

package x86

// RM is an operand that ModRM.r/m encodes: a register or memory. The constructor fixes the
// encoding, because which displacement size is used is the caller's decision. The zero value is
// the register RAX.
type RM struct {
	base, index Reg
	scale       uint8 // log2
	mode        rmMode
	disp        int32
}

type rmMode uint8

const (
	modeReg rmMode = iota
	modeMem0
	modeMem8
	modeMem32
	modeAbs32
	modeRIP
)

// R is a register.
func R(r Reg) RM { return RM{base: r, mode: modeReg} }

// M0 is [base] without displacement. RBP and R13 have no such encoding.
func M0(base Reg) RM {
	if base&7 == RBP {
		panic("BUG: [rbp] and [r13] need a displacement")
	}
	return RM{base: base, index: RegNone, mode: modeMem0}
}

// M8 is [base+disp] with a displacement of one byte, also if it is 0.
func M8(base Reg, disp int8) RM {
	return RM{base: base, index: RegNone, mode: modeMem8, disp: int32(disp)}
}

// M32 is [base+disp] with a displacement of four bytes, however small it is.
func M32(base Reg, disp int32) RM {
	return RM{base: base, index: RegNone, mode: modeMem32, disp: disp}
}

// X8 is [base+index*scale+disp] with a displacement of one byte. scale is 1, 2, 4 or 8.
func X8(base, index Reg, scale uint8, disp int8) RM {
	return RM{base: base, index: index, scale: log2(scale), mode: modeMem8, disp: int32(disp)}
}

// X32 is [base+index*scale+disp] with a displacement of four bytes. scale is 1, 2, 4 or 8.
func X32(base, index Reg, scale uint8, disp int32) RM {
	return RM{base: base, index: index, scale: log2(scale), mode: modeMem32, disp: disp}
}

// Abs32 is [disp], sign-extended, in the form without base and index.
func Abs32(disp int32) RM { return RM{index: RegNone, mode: modeAbs32, disp: disp} }

// RIP32 is [rip+disp], counted from the end of the instruction.
func RIP32(disp int32) RM { return RM{index: RegNone, mode: modeRIP, disp: disp} }

func log2(scale uint8) uint8 {
	switch scale {
	case 1:
		return 0
	case 2:
		return 1
	case 4:
		return 2
	case 8:
		return 3
	}
	panic("BUG: scale is not 1, 2, 4 or 8")
}
