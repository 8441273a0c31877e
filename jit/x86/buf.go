// SPDX-License-Identifier: GPL-2.0-only

package x86

import "encoding/binary"

// Buf collects machine code. The caller names the exact form of each instruction; nothing is
// optimised or relaxed. The zero value is an empty buffer. A Buf is not safe for concurrent use.
type Buf struct {
	code  []byte
	watch func()
}

// NewBuf returns a buffer that appends to code and owns it from then on.
func NewBuf(code []byte) Buf { return Buf{code: code} }

// Watch has a function called before each instruction, prefix or run of bytes that is appended; nil ends that.
func (b *Buf) Watch(f func()) { b.watch = f }

func (b *Buf) note() {
	if b.watch != nil {
		b.watch()
	}
}

// Len returns the number of bytes collected.
func (b *Buf) Len() int { return len(b.code) }

// Bytes returns the collected bytes. The slice is valid until the next change.
func (b *Buf) Bytes() []byte { return b.code }

// Reset drops all bytes and keeps the memory.
func (b *Buf) Reset() { b.code = b.code[:0] }

// Raw appends bytes that are no form of the table, such as multi-byte nops.
func (b *Buf) Raw(bytes ...byte) {
	b.note()
	b.code = append(b.code, bytes...)
}

// SetRel8 fills the one-byte displacement that ends at offset end so that the jump reaches the
// present end of the buffer.
func (b *Buf) SetRel8(end int) { b.code[end-1] = byte(len(b.code) - end) }

// SetRel32 makes the 4 bytes before end, the displacement of a jump or call that ends there, lead to
// the end of the code so far.
func (b *Buf) SetRel32(end int) {
	binary.LittleEndian.PutUint32(b.code[end-4:], uint32(len(b.code)-end))
}

// Imm16 appends two bytes, low first; Imm32 four and Imm64 eight.
func (b *Buf) Imm16(v uint16) { b.code = binary.LittleEndian.AppendUint16(b.code, v) }

// Imm32 appends four bytes, low first.
func (b *Buf) Imm32(v uint32) { b.code = binary.LittleEndian.AppendUint32(b.code, v) }

// Imm64 appends eight bytes, low first.
func (b *Buf) Imm64(v uint64) { b.code = binary.LittleEndian.AppendUint64(b.code, v) }

// Lock appends the LOCK prefix (F0) of the instruction that follows.
func (b *Buf) Lock() {
	b.note()
	b.code = append(b.code, 0xf0)
}

// GS appends the GS segment override (65) of the instruction that follows.
func (b *Buf) GS() {
	b.note()
	b.code = append(b.code, 0x65)
}

// ENDBR64 appends F3 0F 1E FA.
func (b *Buf) ENDBR64() {
	b.note()
	b.code = append(b.code, 0xf3, 0x0f, 0x1e, 0xfa)
}

// MR appends a form whose first operand is r/m and whose second is a register.
func (b *Buf) MR(f FormID, rm RM, reg Reg) { b.modrm(&forms[f], rm, reg, 0) }

// RM appends a form whose first operand is a register and whose second is r/m.
func (b *Buf) RM(f FormID, reg Reg, rm RM) { b.modrm(&forms[f], rm, reg, 0) }

// M appends a form with r/m and an opcode extension (/digit).
func (b *Buf) M(f FormID, rm RM) { b.modrm(&forms[f], rm, Reg(forms[f].digit), 0) }

// MI8 appends a form with r/m, an opcode extension and a byte.
func (b *Buf) MI8(f FormID, rm RM, imm int8) {
	b.M(f, rm)
	b.code = append(b.code, byte(imm))
}

// MI16 appends a form with r/m, an opcode extension and two bytes.
func (b *Buf) MI16(f FormID, rm RM, imm int16) {
	b.M(f, rm)
	b.Imm16(uint16(imm))
}

// MI32 appends a form with r/m, an opcode extension and four bytes.
func (b *Buf) MI32(f FormID, rm RM, imm int32) {
	b.M(f, rm)
	b.Imm32(uint32(imm))
}

// RMI8 appends a form with register, r/m and a byte.
func (b *Buf) RMI8(f FormID, reg Reg, rm RM, imm int8) {
	b.RM(f, reg, rm)
	b.code = append(b.code, byte(imm))
}

// RMI32 appends a form with register, r/m and four bytes.
func (b *Buf) RMI32(f FormID, reg Reg, rm RM, imm int32) {
	b.RM(f, reg, rm)
	b.Imm32(uint32(imm))
}

// O appends a form whose operand is a register in the low bits of the opcode.
func (b *Buf) O(f FormID, reg Reg) {
	b.note()
	row := &forms[f]
	b.rex(row, 0, 0, reg)
	n := row.nop - 1
	b.code = append(b.code, row.opcode[:n]...)
	b.code = append(b.code, row.opcode[n]|byte(reg&7))
}

// ZO appends a form without operands.
func (b *Buf) ZO(f FormID) {
	b.note()
	row := &forms[f]
	b.rex(row, 0, 0, 0)
	b.code = append(b.code, row.opcode[:row.nop]...)
}

// I8 appends a form whose only encoded operand is a byte.
func (b *Buf) I8(f FormID, imm int8) {
	b.ZO(f)
	b.code = append(b.code, byte(imm))
}

// I32 appends a form whose only encoded operand has four bytes.
func (b *Buf) I32(f FormID, imm int32) {
	b.ZO(f)
	b.Imm32(uint32(imm))
}

// RMV appends a VEX form with register, r/m and the register of VEX.vvvv, always with the 3-byte
// prefix (Intel SDM vol. 2A, section 2.3.5).
func (b *Buf) RMV(f FormID, reg Reg, rm RM, v Reg) {
	b.note()
	row := &forms[f]
	r, x, base := reg>>3, indexBit(rm), rm.base>>3
	w := byte(0)
	if row.rexW {
		w = 0x80
	}
	b.code = append(b.code, 0xc4,
		byte(^r&1)<<7|byte(^x&1)<<6|byte(^base&1)<<5|row.vexMap,
		w|byte(^v&0xf)<<3|row.vexPP)
	b.code = append(b.code, row.opcode[:row.nop]...)
	b.operand(rm, reg)
}

// Movsx32RM8REX appends MOVSX r32, r/m8 (0F BE /r) with a REX prefix also where none is needed.
func (b *Buf) Movsx32RM8REX(dst Reg, src RM) {
	b.modrm(&forms[FormMovsx32RM8], src, dst, 0x40)
}

func indexBit(rm RM) Reg {
	if rm.index == RegNone || rm.mode == modeReg {
		return 0
	}
	return rm.index >> 3 & 1
}

// rex appends the operand-size prefix and, if a bit of it is set, the REX prefix.
func (b *Buf) rex(f *form, r, x, base Reg) { b.rexForced(f, 0, r, x, base) }

func (b *Buf) rexForced(f *form, rex byte, r, x, base Reg) {
	if f.op66 {
		b.code = append(b.code, 0x66)
	}
	if f.rexW {
		rex |= 0x48
	}
	if bits := byte(r>>3&1)<<2 | byte(x&1)<<1 | byte(base>>3&1); bits != 0 {
		rex |= 0x40 | bits
	}
	if rex != 0 {
		b.code = append(b.code, rex)
	}
}

// modrm appends prefixes, opcode, ModRM, SIB and displacement.
func (b *Buf) modrm(f *form, rm RM, reg Reg, rex byte) {
	b.note()
	// spl, bpl, sil and dil exist only with a REX prefix (Intel SDM vol. 2A, table 3-1).
	if f.byteReg && reg >= RSP && reg <= RDI {
		rex |= 0x40
	}
	if f.byteRM && rm.mode == modeReg && rm.base >= RSP && rm.base <= RDI {
		rex |= 0x40
	}
	base := rm.base
	if rm.mode >= modeAbs32 {
		base = 0
	}
	b.rexForced(f, rex, reg, indexBit(rm), base)
	b.code = append(b.code, f.opcode[:f.nop]...)
	b.operand(rm, reg)
}

// operand appends ModRM, SIB and displacement (Intel SDM vol. 2A, tables 2-2 and 2-3).
func (b *Buf) operand(rm RM, reg Reg) {
	regBits := byte(reg&7) << 3
	switch rm.mode {
	case modeReg:
		b.code = append(b.code, 0xc0|regBits|byte(rm.base&7))
		return
	case modeAbs32:
		b.code = append(b.code, 0x04|regBits, 0x25)
		b.Imm32(uint32(rm.disp))
		return
	case modeRIP:
		b.code = append(b.code, 0x05|regBits)
		b.Imm32(uint32(rm.disp))
		return
	}
	mod := byte(rm.mode-modeMem0) << 6
	switch {
	case rm.index != RegNone:
		b.code = append(b.code, mod|regBits|0x04, rm.scale<<6|byte(rm.index&7)<<3|byte(rm.base&7))
	case rm.base&7 == RSP:
		b.code = append(b.code, mod|regBits|0x04, 0x24)
	default:
		b.code = append(b.code, mod|regBits|byte(rm.base&7))
	}
	switch rm.mode {
	case modeMem8:
		b.code = append(b.code, byte(rm.disp))
	case modeMem32:
		b.Imm32(uint32(rm.disp))
	}
}
