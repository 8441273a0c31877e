// SPDX-License-Identifier: GPL-2.0-only

package bpf

import "encoding/binary"

// InsnIndex counts BPF instruction slots of 8 bytes; ld_imm64 takes two.
type InsnIndex int

// Insn is one raw eBPF instruction slot (RFC 9669, section 3). The zero value is "ldx"-class
// opcode 0, which no target accepts except as the second half of ld_imm64.
type Insn struct {
	Op  uint8
	Dst uint8
	Src uint8
	Off int16
	Imm int32
}

// InsnSize is the size of one instruction slot in bytes.
const InsnSize = 8

// DecodeInsn reads one slot from the first 8 bytes of b, little endian.
func DecodeInsn(b []byte) Insn {
	_ = b[7]
	return Insn{
		Op: b[0], Dst: b[1] & 0xf, Src: b[1] >> 4,
		Off: int16(binary.LittleEndian.Uint16(b[2:])),
		Imm: int32(binary.LittleEndian.Uint32(b[4:])),
	}
}

// Bytes returns the slot as the kernel stores it.
func (i Insn) Bytes() [InsnSize]byte {
	var b [InsnSize]byte
	b[0] = i.Op
	b[1] = i.Dst | i.Src<<4
	binary.LittleEndian.PutUint16(b[2:], uint16(i.Off))
	binary.LittleEndian.PutUint32(b[4:], uint32(i.Imm))
	return b
}

// Class returns the instruction class bits of the opcode.
func (i Insn) Class() uint8 { return i.Op & 0x07 }

// Values of Insn.Src in ld_imm64 and call instructions (include/uapi/linux/bpf.h, BPF_PSEUDO_*).
const (
	PseudoMap      = 1 // ld_imm64: Imm is an index into Program.Maps
	PseudoMapValue = 2 // ld_imm64: Imm is an index into Program.Maps, Imm of the second slot an offset
	PseudoSymbol   = 3 // ld_imm64: Imm is an index into Program.Symbols
	PseudoCall     = 1 // call: BPF-to-BPF
	PseudoKfunc    = 2 // call: kernel function
	PseudoFunc     = 4 // ld_imm64: pointer to the function Imm slots after the next one, for callbacks
)
