// SPDX-License-Identifier: GPL-2.0-only

package x86

// Arithmetic, logic and shifts, one method per form.

// Add32MR appends ADD r/m32, r32 (01 /r).
func (b *Buf) Add32MR(dst RM, src Reg) { b.MR(FormAdd32MR, dst, src) }

// Add64MR appends ADD r/m64, r64 (REX.W + 01 /r).
func (b *Buf) Add64MR(dst RM, src Reg) { b.MR(FormAdd64MR, dst, src) }

// Add32MI8 appends ADD r/m32, imm8 (83 /0 ib).
func (b *Buf) Add32MI8(dst RM, imm int8) { b.MI8(FormAdd32MI8, dst, imm) }

// Add64MI8 appends ADD r/m64, imm8 (REX.W + 83 /0 ib).
func (b *Buf) Add64MI8(dst RM, imm int8) { b.MI8(FormAdd64MI8, dst, imm) }

// Add32MI32 appends ADD r/m32, imm32 (81 /0 id).
func (b *Buf) Add32MI32(dst RM, imm int32) { b.MI32(FormAdd32MI32, dst, imm) }

// Add64MI32 appends ADD r/m64, imm32 (REX.W + 81 /0 id).
func (b *Buf) Add64MI32(dst RM, imm int32) { b.MI32(FormAdd64MI32, dst, imm) }

// Add32I appends ADD EAX, imm32 (05 id).
func (b *Buf) Add32I(imm int32) { b.I32(FormAdd32I, imm) }

// Add64I appends ADD RAX, imm32 (REX.W + 05 id).
func (b *Buf) Add64I(imm int32) { b.I32(FormAdd64I, imm) }

// Or32MR appends OR r/m32, r32 (09 /r).
func (b *Buf) Or32MR(dst RM, src Reg) { b.MR(FormOr32MR, dst, src) }

// Or64MR appends OR r/m64, r64 (REX.W + 09 /r).
func (b *Buf) Or64MR(dst RM, src Reg) { b.MR(FormOr64MR, dst, src) }

// Or32MI8 appends OR r/m32, imm8 (83 /1 ib).
func (b *Buf) Or32MI8(dst RM, imm int8) { b.MI8(FormOr32MI8, dst, imm) }

// Or64MI8 appends OR r/m64, imm8 (REX.W + 83 /1 ib).
func (b *Buf) Or64MI8(dst RM, imm int8) { b.MI8(FormOr64MI8, dst, imm) }

// Or32MI32 appends OR r/m32, imm32 (81 /1 id).
func (b *Buf) Or32MI32(dst RM, imm int32) { b.MI32(FormOr32MI32, dst, imm) }

// Or64MI32 appends OR r/m64, imm32 (REX.W + 81 /1 id).
func (b *Buf) Or64MI32(dst RM, imm int32) { b.MI32(FormOr64MI32, dst, imm) }

// Or32I appends OR EAX, imm32 (0D id).
func (b *Buf) Or32I(imm int32) { b.I32(FormOr32I, imm) }

// Or64I appends OR RAX, imm32 (REX.W + 0D id).
func (b *Buf) Or64I(imm int32) { b.I32(FormOr64I, imm) }

// And32MR appends AND r/m32, r32 (21 /r).
func (b *Buf) And32MR(dst RM, src Reg) { b.MR(FormAnd32MR, dst, src) }

// And64MR appends AND r/m64, r64 (REX.W + 21 /r).
func (b *Buf) And64MR(dst RM, src Reg) { b.MR(FormAnd64MR, dst, src) }

// And32MI8 appends AND r/m32, imm8 (83 /4 ib).
func (b *Buf) And32MI8(dst RM, imm int8) { b.MI8(FormAnd32MI8, dst, imm) }

// And64MI8 appends AND r/m64, imm8 (REX.W + 83 /4 ib).
func (b *Buf) And64MI8(dst RM, imm int8) { b.MI8(FormAnd64MI8, dst, imm) }

// And32MI32 appends AND r/m32, imm32 (81 /4 id).
func (b *Buf) And32MI32(dst RM, imm int32) { b.MI32(FormAnd32MI32, dst, imm) }

// And64MI32 appends AND r/m64, imm32 (REX.W + 81 /4 id).
func (b *Buf) And64MI32(dst RM, imm int32) { b.MI32(FormAnd64MI32, dst, imm) }

// And32I appends AND EAX, imm32 (25 id).
func (b *Buf) And32I(imm int32) { b.I32(FormAnd32I, imm) }

// And64I appends AND RAX, imm32 (REX.W + 25 id).
func (b *Buf) And64I(imm int32) { b.I32(FormAnd64I, imm) }

// Sub32MR appends SUB r/m32, r32 (29 /r).
func (b *Buf) Sub32MR(dst RM, src Reg) { b.MR(FormSub32MR, dst, src) }

// Sub64MR appends SUB r/m64, r64 (REX.W + 29 /r).
func (b *Buf) Sub64MR(dst RM, src Reg) { b.MR(FormSub64MR, dst, src) }

// Sub32MI8 appends SUB r/m32, imm8 (83 /5 ib).
func (b *Buf) Sub32MI8(dst RM, imm int8) { b.MI8(FormSub32MI8, dst, imm) }

// Sub64MI8 appends SUB r/m64, imm8 (REX.W + 83 /5 ib).
func (b *Buf) Sub64MI8(dst RM, imm int8) { b.MI8(FormSub64MI8, dst, imm) }

// Sub32MI32 appends SUB r/m32, imm32 (81 /5 id).
func (b *Buf) Sub32MI32(dst RM, imm int32) { b.MI32(FormSub32MI32, dst, imm) }

// Sub64MI32 appends SUB r/m64, imm32 (REX.W + 81 /5 id).
func (b *Buf) Sub64MI32(dst RM, imm int32) { b.MI32(FormSub64MI32, dst, imm) }

// Sub32I appends SUB EAX, imm32 (2D id).
func (b *Buf) Sub32I(imm int32) { b.I32(FormSub32I, imm) }

// Sub64I appends SUB RAX, imm32 (REX.W + 2D id).
func (b *Buf) Sub64I(imm int32) { b.I32(FormSub64I, imm) }

// Xor32MR appends XOR r/m32, r32 (31 /r).
func (b *Buf) Xor32MR(dst RM, src Reg) { b.MR(FormXor32MR, dst, src) }

// Xor64MR appends XOR r/m64, r64 (REX.W + 31 /r).
func (b *Buf) Xor64MR(dst RM, src Reg) { b.MR(FormXor64MR, dst, src) }

// Xor32MI8 appends XOR r/m32, imm8 (83 /6 ib).
func (b *Buf) Xor32MI8(dst RM, imm int8) { b.MI8(FormXor32MI8, dst, imm) }

// Xor64MI8 appends XOR r/m64, imm8 (REX.W + 83 /6 ib).
func (b *Buf) Xor64MI8(dst RM, imm int8) { b.MI8(FormXor64MI8, dst, imm) }

// Xor32MI32 appends XOR r/m32, imm32 (81 /6 id).
func (b *Buf) Xor32MI32(dst RM, imm int32) { b.MI32(FormXor32MI32, dst, imm) }

// Xor64MI32 appends XOR r/m64, imm32 (REX.W + 81 /6 id).
func (b *Buf) Xor64MI32(dst RM, imm int32) { b.MI32(FormXor64MI32, dst, imm) }

// Xor32I appends XOR EAX, imm32 (35 id).
func (b *Buf) Xor32I(imm int32) { b.I32(FormXor32I, imm) }

// Xor64I appends XOR RAX, imm32 (REX.W + 35 id).
func (b *Buf) Xor64I(imm int32) { b.I32(FormXor64I, imm) }

// Cmp32MR appends CMP r/m32, r32 (39 /r).
func (b *Buf) Cmp32MR(dst RM, src Reg) { b.MR(FormCmp32MR, dst, src) }

// Cmp64MR appends CMP r/m64, r64 (REX.W + 39 /r).
func (b *Buf) Cmp64MR(dst RM, src Reg) { b.MR(FormCmp64MR, dst, src) }

// Cmp32MI8 appends CMP r/m32, imm8 (83 /7 ib).
func (b *Buf) Cmp32MI8(dst RM, imm int8) { b.MI8(FormCmp32MI8, dst, imm) }

// Cmp64MI8 appends CMP r/m64, imm8 (REX.W + 83 /7 ib).
func (b *Buf) Cmp64MI8(dst RM, imm int8) { b.MI8(FormCmp64MI8, dst, imm) }

// Cmp32MI32 appends CMP r/m32, imm32 (81 /7 id).
func (b *Buf) Cmp32MI32(dst RM, imm int32) { b.MI32(FormCmp32MI32, dst, imm) }

// Cmp64MI32 appends CMP r/m64, imm32 (REX.W + 81 /7 id).
func (b *Buf) Cmp64MI32(dst RM, imm int32) { b.MI32(FormCmp64MI32, dst, imm) }

// Add64RM appends ADD r64, r/m64 (REX.W + 03 /r).
func (b *Buf) Add64RM(dst Reg, src RM) { b.RM(FormAdd64RM, dst, src) }

// Test32MR appends TEST r/m32, r32 (85 /r).
func (b *Buf) Test32MR(dst RM, src Reg) { b.MR(FormTest32MR, dst, src) }

// Test64MR appends TEST r/m64, r64 (REX.W + 85 /r).
func (b *Buf) Test64MR(dst RM, src Reg) { b.MR(FormTest64MR, dst, src) }

// Test32MI32 appends TEST r/m32, imm32 (F7 /0 id).
func (b *Buf) Test32MI32(dst RM, imm int32) { b.MI32(FormTest32MI32, dst, imm) }

// Test64MI32 appends TEST r/m64, imm32 (REX.W + F7 /0 id).
func (b *Buf) Test64MI32(dst RM, imm int32) { b.MI32(FormTest64MI32, dst, imm) }

// Neg32M appends NEG r/m32 (F7 /3).
func (b *Buf) Neg32M(dst RM) { b.M(FormNeg32M, dst) }

// Neg64M appends NEG r/m64 (REX.W + F7 /3).
func (b *Buf) Neg64M(dst RM) { b.M(FormNeg64M, dst) }

// Mul32M appends MUL r/m32 (F7 /4).
func (b *Buf) Mul32M(dst RM) { b.M(FormMul32M, dst) }

// Mul64M appends MUL r/m64 (REX.W + F7 /4).
func (b *Buf) Mul64M(dst RM) { b.M(FormMul64M, dst) }

// Div32M appends DIV r/m32 (F7 /6).
func (b *Buf) Div32M(dst RM) { b.M(FormDiv32M, dst) }

// Div64M appends DIV r/m64 (REX.W + F7 /6).
func (b *Buf) Div64M(dst RM) { b.M(FormDiv64M, dst) }

// Idiv32M appends IDIV r/m32 (F7 /7).
func (b *Buf) Idiv32M(dst RM) { b.M(FormIdiv32M, dst) }

// Idiv64M appends IDIV r/m64 (REX.W + F7 /7).
func (b *Buf) Idiv64M(dst RM) { b.M(FormIdiv64M, dst) }

// Inc32M appends INC r/m32 (FF /0).
func (b *Buf) Inc32M(dst RM) { b.M(FormInc32M, dst) }

// Dec32M appends DEC r/m32 (FF /1).
func (b *Buf) Dec32M(dst RM) { b.M(FormDec32M, dst) }

// Imul32RM appends IMUL r32, r/m32 (0F AF /r).
func (b *Buf) Imul32RM(dst Reg, src RM) { b.RM(FormImul32RM, dst, src) }

// Imul64RM appends IMUL r64, r/m64 (REX.W + 0F AF /r).
func (b *Buf) Imul64RM(dst Reg, src RM) { b.RM(FormImul64RM, dst, src) }

// Imul32RMI8 appends IMUL r32, r/m32, imm8 (6B /r ib).
func (b *Buf) Imul32RMI8(dst Reg, rm RM, imm int8) { b.RMI8(FormImul32RMI8, dst, rm, imm) }

// Imul64RMI8 appends IMUL r64, r/m64, imm8 (REX.W + 6B /r ib).
func (b *Buf) Imul64RMI8(dst Reg, rm RM, imm int8) { b.RMI8(FormImul64RMI8, dst, rm, imm) }

// Imul32RMI32 appends IMUL r32, r/m32, imm32 (69 /r id).
func (b *Buf) Imul32RMI32(dst Reg, rm RM, imm int32) { b.RMI32(FormImul32RMI32, dst, rm, imm) }

// Imul64RMI32 appends IMUL r64, r/m64, imm32 (REX.W + 69 /r id).
func (b *Buf) Imul64RMI32(dst Reg, rm RM, imm int32) { b.RMI32(FormImul64RMI32, dst, rm, imm) }

// Shl32M1 appends SHL r/m32, 1 (D1 /4).
func (b *Buf) Shl32M1(dst RM) { b.M(FormShl32M1, dst) }

// Shl32MI8 appends SHL r/m32, imm8u (C1 /4 ib).
func (b *Buf) Shl32MI8(dst RM, imm int8) { b.MI8(FormShl32MI8, dst, imm) }

// Shl32MC appends SHL r/m32, CL (D3 /4).
func (b *Buf) Shl32MC(dst RM) { b.M(FormShl32MC, dst) }

// Shl64M1 appends SHL r/m64, 1 (REX.W + D1 /4).
func (b *Buf) Shl64M1(dst RM) { b.M(FormShl64M1, dst) }

// Shl64MI8 appends SHL r/m64, imm8u (REX.W + C1 /4 ib).
func (b *Buf) Shl64MI8(dst RM, imm int8) { b.MI8(FormShl64MI8, dst, imm) }

// Shl64MC appends SHL r/m64, CL (REX.W + D3 /4).
func (b *Buf) Shl64MC(dst RM) { b.M(FormShl64MC, dst) }

// Shr32M1 appends SHR r/m32, 1 (D1 /5).
func (b *Buf) Shr32M1(dst RM) { b.M(FormShr32M1, dst) }

// Shr32MI8 appends SHR r/m32, imm8u (C1 /5 ib).
func (b *Buf) Shr32MI8(dst RM, imm int8) { b.MI8(FormShr32MI8, dst, imm) }

// Shr32MC appends SHR r/m32, CL (D3 /5).
func (b *Buf) Shr32MC(dst RM) { b.M(FormShr32MC, dst) }

// Shr64M1 appends SHR r/m64, 1 (REX.W + D1 /5).
func (b *Buf) Shr64M1(dst RM) { b.M(FormShr64M1, dst) }

// Shr64MI8 appends SHR r/m64, imm8u (REX.W + C1 /5 ib).
func (b *Buf) Shr64MI8(dst RM, imm int8) { b.MI8(FormShr64MI8, dst, imm) }

// Shr64MC appends SHR r/m64, CL (REX.W + D3 /5).
func (b *Buf) Shr64MC(dst RM) { b.M(FormShr64MC, dst) }

// Sar32M1 appends SAR r/m32, 1 (D1 /7).
func (b *Buf) Sar32M1(dst RM) { b.M(FormSar32M1, dst) }

// Sar32MI8 appends SAR r/m32, imm8u (C1 /7 ib).
func (b *Buf) Sar32MI8(dst RM, imm int8) { b.MI8(FormSar32MI8, dst, imm) }

// Sar32MC appends SAR r/m32, CL (D3 /7).
func (b *Buf) Sar32MC(dst RM) { b.M(FormSar32MC, dst) }

// Sar64M1 appends SAR r/m64, 1 (REX.W + D1 /7).
func (b *Buf) Sar64M1(dst RM) { b.M(FormSar64M1, dst) }

// Sar64MI8 appends SAR r/m64, imm8u (REX.W + C1 /7 ib).
func (b *Buf) Sar64MI8(dst RM, imm int8) { b.MI8(FormSar64MI8, dst, imm) }

// Sar64MC appends SAR r/m64, CL (REX.W + D3 /7).
func (b *Buf) Sar64MC(dst RM) { b.M(FormSar64MC, dst) }

// Ror16MI8 appends ROR r/m16, imm8u (C1 /1 ib).
func (b *Buf) Ror16MI8(dst RM, imm int8) { b.MI8(FormRor16MI8, dst, imm) }

// Rol64MI8 appends ROL r/m64, imm8u (REX.W + C1 /0 ib).
func (b *Buf) Rol64MI8(dst RM, imm int8) { b.MI8(FormRol64MI8, dst, imm) }

// Shlx32RMV appends SHLX r32a, r/m32, r32b (VEX.NDS.LZ.66.0F38.W0 F7 /r).
func (b *Buf) Shlx32RMV(dst Reg, rm RM, src Reg) { b.RMV(FormShlx32RMV, dst, rm, src) }

// Shlx64RMV appends SHLX r64a, r/m64, r64b (VEX.NDS.LZ.66.0F38.W1 F7 /r).
func (b *Buf) Shlx64RMV(dst Reg, rm RM, src Reg) { b.RMV(FormShlx64RMV, dst, rm, src) }

// Shrx32RMV appends SHRX r32a, r/m32, r32b (VEX.NDS.LZ.F2.0F38.W0 F7 /r).
func (b *Buf) Shrx32RMV(dst Reg, rm RM, src Reg) { b.RMV(FormShrx32RMV, dst, rm, src) }

// Shrx64RMV appends SHRX r64a, r/m64, r64b (VEX.NDS.LZ.F2.0F38.W1 F7 /r).
func (b *Buf) Shrx64RMV(dst Reg, rm RM, src Reg) { b.RMV(FormShrx64RMV, dst, rm, src) }

// Sarx32RMV appends SARX r32a, r/m32, r32b (VEX.NDS.LZ.F3.0F38.W0 F7 /r).
func (b *Buf) Sarx32RMV(dst Reg, rm RM, src Reg) { b.RMV(FormSarx32RMV, dst, rm, src) }

// Sarx64RMV appends SARX r64a, r/m64, r64b (VEX.NDS.LZ.F3.0F38.W1 F7 /r).
func (b *Buf) Sarx64RMV(dst Reg, rm RM, src Reg) { b.RMV(FormSarx64RMV, dst, rm, src) }

// Bswap32O appends BSWAP r32op (0F C8+rd).
func (b *Buf) Bswap32O(reg Reg) { b.O(FormBswap32O, reg) }

// Bswap64O appends BSWAP r64op (REX.W + 0F C8+rd).
func (b *Buf) Bswap64O(reg Reg) { b.O(FormBswap64O, reg) }

// Cdq appends CDQ (99).
func (b *Buf) Cdq() { b.ZO(FormCdq) }

// Cqo appends CQO (REX.W + 99).
func (b *Buf) Cqo() { b.ZO(FormCqo) }
