// SPDX-License-Identifier: GPL-2.0-only

package x86

// Moves, stack, atomics, jumps and calls, one method per form.

// Mov8MR appends MOV r/m8, r8 (88 /r).
func (b *Buf) Mov8MR(dst RM, src Reg) { b.MR(FormMov8MR, dst, src) }

// Mov16MR appends MOV r/m16, r16 (89 /r).
func (b *Buf) Mov16MR(dst RM, src Reg) { b.MR(FormMov16MR, dst, src) }

// Mov32MR appends MOV r/m32, r32 (89 /r).
func (b *Buf) Mov32MR(dst RM, src Reg) { b.MR(FormMov32MR, dst, src) }

// Mov64MR appends MOV r/m64, r64 (REX.W + 89 /r).
func (b *Buf) Mov64MR(dst RM, src Reg) { b.MR(FormMov64MR, dst, src) }

// Mov32RM appends MOV r32, r/m32 (8B /r).
func (b *Buf) Mov32RM(dst Reg, src RM) { b.RM(FormMov32RM, dst, src) }

// Mov64RM appends MOV r64, r/m64 (REX.W + 8B /r).
func (b *Buf) Mov64RM(dst Reg, src RM) { b.RM(FormMov64RM, dst, src) }

// Mov8MI8 appends MOV r/m8, imm8u (C6 /0 ib).
func (b *Buf) Mov8MI8(dst RM, imm int8) { b.MI8(FormMov8MI8, dst, imm) }

// Mov16MI16 appends MOV r/m16, imm16 (C7 /0 iw).
func (b *Buf) Mov16MI16(dst RM, imm int16) { b.MI16(FormMov16MI16, dst, imm) }

// Mov32MI32 appends MOV r/m32, imm32 (C7 /0 id).
func (b *Buf) Mov32MI32(dst RM, imm int32) { b.MI32(FormMov32MI32, dst, imm) }

// Mov64MI32 appends MOV r/m64, imm32 (REX.W + C7 /0 id).
func (b *Buf) Mov64MI32(dst RM, imm int32) { b.MI32(FormMov64MI32, dst, imm) }

// Mov32OI appends MOV r32op, imm32 (B8+rd id).
func (b *Buf) Mov32OI(dst Reg, imm uint32) {
	b.O(FormMov32OI, dst)
	b.Imm32(imm)
}

// Mov64OI appends MOV r64op, imm64 (REX.W + B8+rd io).
func (b *Buf) Mov64OI(dst Reg, imm uint64) {
	b.O(FormMov64OI, dst)
	b.Imm64(imm)
}

// Movzx32RM8 appends MOVZX r32, r/m8 (0F B6 /r).
func (b *Buf) Movzx32RM8(dst Reg, src RM) { b.RM(FormMovzx32RM8, dst, src) }

// Movzx32RM16 appends MOVZX r32, r/m16 (0F B7 /r).
func (b *Buf) Movzx32RM16(dst Reg, src RM) { b.RM(FormMovzx32RM16, dst, src) }

// Movzx64RM8 appends MOVZX r64, r/m8 (REX.W + 0F B6 /r).
func (b *Buf) Movzx64RM8(dst Reg, src RM) { b.RM(FormMovzx64RM8, dst, src) }

// Movzx64RM16 appends MOVZX r64, r/m16 (REX.W + 0F B7 /r).
func (b *Buf) Movzx64RM16(dst Reg, src RM) { b.RM(FormMovzx64RM16, dst, src) }

// Movsx32RM8 appends MOVSX r32, r/m8 (0F BE /r).
func (b *Buf) Movsx32RM8(dst Reg, src RM) { b.RM(FormMovsx32RM8, dst, src) }

// Movsx32RM16 appends MOVSX r32, r/m16 (0F BF /r).
func (b *Buf) Movsx32RM16(dst Reg, src RM) { b.RM(FormMovsx32RM16, dst, src) }

// Movsx64RM8 appends MOVSX r64, r/m8 (REX.W + 0F BE /r).
func (b *Buf) Movsx64RM8(dst Reg, src RM) { b.RM(FormMovsx64RM8, dst, src) }

// Movsx64RM16 appends MOVSX r64, r/m16 (REX.W + 0F BF /r).
func (b *Buf) Movsx64RM16(dst Reg, src RM) { b.RM(FormMovsx64RM16, dst, src) }

// Movsxd64RM appends MOVSXD r64, r/m32 (REX.W + 63 /r).
func (b *Buf) Movsxd64RM(dst Reg, src RM) { b.RM(FormMovsxd64RM, dst, src) }

// Lea64RM appends LEA r64, m (REX.W + 8D /r).
func (b *Buf) Lea64RM(dst Reg, src RM) { b.RM(FormLea64RM, dst, src) }

// Cmove64RM appends CMOVE r64, r/m64 (REX.W + 0F 44 /r).
func (b *Buf) Cmove64RM(dst Reg, src RM) { b.RM(FormCmove64RM, dst, src) }

// Xadd32MR appends XADD r/m32, r32 (0F C1 /r).
func (b *Buf) Xadd32MR(dst RM, src Reg) { b.MR(FormXadd32MR, dst, src) }

// Xadd64MR appends XADD r/m64, r64 (REX.W + 0F C1 /r).
func (b *Buf) Xadd64MR(dst RM, src Reg) { b.MR(FormXadd64MR, dst, src) }

// Xchg32MR appends XCHG r/m32, r32 (87 /r).
func (b *Buf) Xchg32MR(dst RM, src Reg) { b.MR(FormXchg32MR, dst, src) }

// Xchg64MR appends XCHG r/m64, r64 (REX.W + 87 /r).
func (b *Buf) Xchg64MR(dst RM, src Reg) { b.MR(FormXchg64MR, dst, src) }

// Cmpxchg32MR appends CMPXCHG r/m32, r32 (0F B1 /r).
func (b *Buf) Cmpxchg32MR(dst RM, src Reg) { b.MR(FormCmpxchg32MR, dst, src) }

// Cmpxchg64MR appends CMPXCHG r/m64, r64 (REX.W + 0F B1 /r).
func (b *Buf) Cmpxchg64MR(dst RM, src Reg) { b.MR(FormCmpxchg64MR, dst, src) }

// Push64O appends PUSH r64op (50+rd).
func (b *Buf) Push64O(reg Reg) { b.O(FormPush64O, reg) }

// Pop64O appends POP r64op (58+rd).
func (b *Buf) Pop64O(reg Reg) { b.O(FormPop64O, reg) }

// PushI8 appends PUSH imm8 (6A ib).
func (b *Buf) PushI8(imm int8) { b.I8(FormPushI8, imm) }

// Leave appends LEAVE (C9).
func (b *Buf) Leave() { b.ZO(FormLeave) }

// Ret appends RET (C3).
func (b *Buf) Ret() { b.ZO(FormRet) }

// Int3 appends INT 3 (CC).
func (b *Buf) Int3() { b.ZO(FormInt3) }

// Ud2 appends UD2 (0F 0B).
func (b *Buf) Ud2() { b.ZO(FormUd2) }

// Lfence appends LFENCE (0F AE E8).
func (b *Buf) Lfence() { b.ZO(FormLfence) }

// Pause appends PAUSE (F3 90).
func (b *Buf) Pause() { b.ZO(FormPause) }

// CallD32 appends CALL rel32 (E8 cd).
func (b *Buf) CallD32(rel int32) { b.I32(FormCallD32, rel) }

// JmpD32 appends JMP rel32 (E9 cd).
func (b *Buf) JmpD32(rel int32) { b.I32(FormJmpD32, rel) }

// JmpD8 appends JMP rel8 (EB cb).
func (b *Buf) JmpD8(rel int8) { b.I8(FormJmpD8, rel) }

// Jmp64M appends JMP r/m64 (FF /4).
func (b *Buf) Jmp64M(dst RM) { b.M(FormJmp64M, dst) }

// Call64M appends CALL r/m64 (FF /2).
func (b *Buf) Call64M(dst RM) { b.M(FormCall64M, dst) }

// JbD8 appends JB rel8 (72 cb).
func (b *Buf) JbD8(rel int8) { b.I8(FormJbD8, rel) }

// JbD32 appends JB rel32 (0F 82 cd).
func (b *Buf) JbD32(rel int32) { b.I32(FormJbD32, rel) }

// JaeD8 appends JAE rel8 (73 cb).
func (b *Buf) JaeD8(rel int8) { b.I8(FormJaeD8, rel) }

// JaeD32 appends JAE rel32 (0F 83 cd).
func (b *Buf) JaeD32(rel int32) { b.I32(FormJaeD32, rel) }

// JeD8 appends JE rel8 (74 cb).
func (b *Buf) JeD8(rel int8) { b.I8(FormJeD8, rel) }

// JeD32 appends JE rel32 (0F 84 cd).
func (b *Buf) JeD32(rel int32) { b.I32(FormJeD32, rel) }

// JneD8 appends JNE rel8 (75 cb).
func (b *Buf) JneD8(rel int8) { b.I8(FormJneD8, rel) }

// JneD32 appends JNE rel32 (0F 85 cd).
func (b *Buf) JneD32(rel int32) { b.I32(FormJneD32, rel) }

// JbeD8 appends JBE rel8 (76 cb).
func (b *Buf) JbeD8(rel int8) { b.I8(FormJbeD8, rel) }

// JbeD32 appends JBE rel32 (0F 86 cd).
func (b *Buf) JbeD32(rel int32) { b.I32(FormJbeD32, rel) }

// JaD8 appends JA rel8 (77 cb).
func (b *Buf) JaD8(rel int8) { b.I8(FormJaD8, rel) }

// JaD32 appends JA rel32 (0F 87 cd).
func (b *Buf) JaD32(rel int32) { b.I32(FormJaD32, rel) }

// JlD8 appends JL rel8 (7C cb).
func (b *Buf) JlD8(rel int8) { b.I8(FormJlD8, rel) }

// JlD32 appends JL rel32 (0F 8C cd).
func (b *Buf) JlD32(rel int32) { b.I32(FormJlD32, rel) }

// JgeD8 appends JGE rel8 (7D cb).
func (b *Buf) JgeD8(rel int8) { b.I8(FormJgeD8, rel) }

// JgeD32 appends JGE rel32 (0F 8D cd).
func (b *Buf) JgeD32(rel int32) { b.I32(FormJgeD32, rel) }

// JleD8 appends JLE rel8 (7E cb).
func (b *Buf) JleD8(rel int8) { b.I8(FormJleD8, rel) }

// JleD32 appends JLE rel32 (0F 8E cd).
func (b *Buf) JleD32(rel int32) { b.I32(FormJleD32, rel) }

// JgD8 appends JG rel8 (7F cb).
func (b *Buf) JgD8(rel int8) { b.I8(FormJgD8, rel) }

// JgD32 appends JG rel32 (0F 8F cd).
func (b *Buf) JgD32(rel int32) { b.I32(FormJgD32, rel) }
