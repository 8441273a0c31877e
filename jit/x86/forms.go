// SPDX-License-Identifier: GPL-2.0-only

package x86

// FormID names one instruction form: mnemonic, operand size and the manual's Op/En letters (M
// r/m, R reg, O register in the opcode, I immediate, D displacement, V the VEX.vvvv register, C CL).
type FormID uint8

// The instruction forms that designs and instructions use.
const (
	FormAdd32MR FormID = iota
	FormAdd64MR
	FormAdd32MI8
	FormAdd64MI8
	FormAdd32MI32
	FormAdd64MI32
	FormAdd32I
	FormAdd64I
	FormOr32MR
	FormOr64MR
	FormOr32MI8
	FormOr64MI8
	FormOr32MI32
	FormOr64MI32
	FormOr32I
	FormOr64I
	FormAnd32MR
	FormAnd64MR
	FormAnd32MI8
	FormAnd64MI8
	FormAnd32MI32
	FormAnd64MI32
	FormAnd32I
	FormAnd64I
	FormSub32MR
	FormSub64MR
	FormSub32MI8
	FormSub64MI8
	FormSub32MI32
	FormSub64MI32
	FormSub32I
	FormSub64I
	FormXor32MR
	FormXor64MR
	FormXor32MI8
	FormXor64MI8
	FormXor32MI32
	FormXor64MI32
	FormXor32I
	FormXor64I
	FormCmp32MR
	FormCmp64MR
	FormCmp32MI8
	FormCmp64MI8
	FormCmp32MI32
	FormCmp64MI32
	FormAdd64RM
	FormMov8MR
	FormMov16MR
	FormMov32MR
	FormMov64MR
	FormMov32RM
	FormMov64RM
	FormMov8MI8
	FormMov16MI16
	FormMov32MI32
	FormMov64MI32
	FormMov32OI
	FormMov64OI
	FormMovzx32RM8
	FormMovzx32RM16
	FormMovzx64RM8
	FormMovzx64RM16
	FormMovsx32RM8
	FormMovsx32RM16
	FormMovsx64RM8
	FormMovsx64RM16
	FormMovsxd64RM
	FormLea64RM
	FormCmove64RM
	FormTest32MR
	FormTest64MR
	FormTest32MI32
	FormTest64MI32
	FormNeg32M
	FormNeg64M
	FormMul32M
	FormMul64M
	FormDiv32M
	FormDiv64M
	FormIdiv32M
	FormIdiv64M
	FormInc32M
	FormDec32M
	FormImul32RM
	FormImul64RM
	FormImul32RMI8
	FormImul64RMI8
	FormImul32RMI32
	FormImul64RMI32
	FormShl32M1
	FormShl32MI8
	FormShl32MC
	FormShl64M1
	FormShl64MI8
	FormShl64MC
	FormShr32M1
	FormShr32MI8
	FormShr32MC
	FormShr64M1
	FormShr64MI8
	FormShr64MC
	FormSar32M1
	FormSar32MI8
	FormSar32MC
	FormSar64M1
	FormSar64MI8
	FormSar64MC
	FormRor16MI8
	FormRol64MI8
	FormShlx32RMV
	FormShlx64RMV
	FormShrx32RMV
	FormShrx64RMV
	FormSarx32RMV
	FormSarx64RMV
	FormBswap32O
	FormBswap64O
	FormCdq
	FormCqo
	FormXadd32MR
	FormXadd64MR
	FormXchg32MR
	FormXchg64MR
	FormCmpxchg32MR
	FormCmpxchg64MR
	FormPush64O
	FormPop64O
	FormPushI8
	FormLeave
	FormRet
	FormInt3
	FormUd2
	FormLfence
	FormPause
	FormCallD32
	FormJmpD32
	FormJmpD8
	FormJmp64M
	FormCall64M
	FormJbD8
	FormJbD32
	FormJaeD8
	FormJaeD32
	FormJeD8
	FormJeD32
	FormJneD8
	FormJneD32
	FormJbeD8
	FormJbeD32
	FormJaD8
	FormJaD32
	FormJlD8
	FormJlD32
	FormJgeD8
	FormJgeD32
	FormJleD8
	FormJleD32
	FormJgD8
	FormJgD32
	NumForms // how many forms there are
)

// formText is the manual's own text of each form (Intel SDM vol. 2, as in golang.org/x/arch
// x86/x86.csv): the instruction and its encoding. parseForm reads it once, at start.
var formText = [NumForms]struct{ syntax, encoding string }{
	FormAdd32MR:     {"ADD r/m32, r32", "01 /r"},
	FormAdd64MR:     {"ADD r/m64, r64", "REX.W + 01 /r"},
	FormAdd32MI8:    {"ADD r/m32, imm8", "83 /0 ib"},
	FormAdd64MI8:    {"ADD r/m64, imm8", "REX.W + 83 /0 ib"},
	FormAdd32MI32:   {"ADD r/m32, imm32", "81 /0 id"},
	FormAdd64MI32:   {"ADD r/m64, imm32", "REX.W + 81 /0 id"},
	FormAdd32I:      {"ADD EAX, imm32", "05 id"},
	FormAdd64I:      {"ADD RAX, imm32", "REX.W + 05 id"},
	FormOr32MR:      {"OR r/m32, r32", "09 /r"},
	FormOr64MR:      {"OR r/m64, r64", "REX.W + 09 /r"},
	FormOr32MI8:     {"OR r/m32, imm8", "83 /1 ib"},
	FormOr64MI8:     {"OR r/m64, imm8", "REX.W + 83 /1 ib"},
	FormOr32MI32:    {"OR r/m32, imm32", "81 /1 id"},
	FormOr64MI32:    {"OR r/m64, imm32", "REX.W + 81 /1 id"},
	FormOr32I:       {"OR EAX, imm32", "0D id"},
	FormOr64I:       {"OR RAX, imm32", "REX.W + 0D id"},
	FormAnd32MR:     {"AND r/m32, r32", "21 /r"},
	FormAnd64MR:     {"AND r/m64, r64", "REX.W + 21 /r"},
	FormAnd32MI8:    {"AND r/m32, imm8", "83 /4 ib"},
	FormAnd64MI8:    {"AND r/m64, imm8", "REX.W + 83 /4 ib"},
	FormAnd32MI32:   {"AND r/m32, imm32", "81 /4 id"},
	FormAnd64MI32:   {"AND r/m64, imm32", "REX.W + 81 /4 id"},
	FormAnd32I:      {"AND EAX, imm32", "25 id"},
	FormAnd64I:      {"AND RAX, imm32", "REX.W + 25 id"},
	FormSub32MR:     {"SUB r/m32, r32", "29 /r"},
	FormSub64MR:     {"SUB r/m64, r64", "REX.W + 29 /r"},
	FormSub32MI8:    {"SUB r/m32, imm8", "83 /5 ib"},
	FormSub64MI8:    {"SUB r/m64, imm8", "REX.W + 83 /5 ib"},
	FormSub32MI32:   {"SUB r/m32, imm32", "81 /5 id"},
	FormSub64MI32:   {"SUB r/m64, imm32", "REX.W + 81 /5 id"},
	FormSub32I:      {"SUB EAX, imm32", "2D id"},
	FormSub64I:      {"SUB RAX, imm32", "REX.W + 2D id"},
	FormXor32MR:     {"XOR r/m32, r32", "31 /r"},
	FormXor64MR:     {"XOR r/m64, r64", "REX.W + 31 /r"},
	FormXor32MI8:    {"XOR r/m32, imm8", "83 /6 ib"},
	FormXor64MI8:    {"XOR r/m64, imm8", "REX.W + 83 /6 ib"},
	FormXor32MI32:   {"XOR r/m32, imm32", "81 /6 id"},
	FormXor64MI32:   {"XOR r/m64, imm32", "REX.W + 81 /6 id"},
	FormXor32I:      {"XOR EAX, imm32", "35 id"},
	FormXor64I:      {"XOR RAX, imm32", "REX.W + 35 id"},
	FormCmp32MR:     {"CMP r/m32, r32", "39 /r"},
	FormCmp64MR:     {"CMP r/m64, r64", "REX.W + 39 /r"},
	FormCmp32MI8:    {"CMP r/m32, imm8", "83 /7 ib"},
	FormCmp64MI8:    {"CMP r/m64, imm8", "REX.W + 83 /7 ib"},
	FormCmp32MI32:   {"CMP r/m32, imm32", "81 /7 id"},
	FormCmp64MI32:   {"CMP r/m64, imm32", "REX.W + 81 /7 id"},
	FormAdd64RM:     {"ADD r64, r/m64", "REX.W + 03 /r"},
	FormMov8MR:      {"MOV r/m8, r8", "88 /r"},
	FormMov16MR:     {"MOV r/m16, r16", "89 /r"},
	FormMov32MR:     {"MOV r/m32, r32", "89 /r"},
	FormMov64MR:     {"MOV r/m64, r64", "REX.W + 89 /r"},
	FormMov32RM:     {"MOV r32, r/m32", "8B /r"},
	FormMov64RM:     {"MOV r64, r/m64", "REX.W + 8B /r"},
	FormMov8MI8:     {"MOV r/m8, imm8u", "C6 /0 ib"},
	FormMov16MI16:   {"MOV r/m16, imm16", "C7 /0 iw"},
	FormMov32MI32:   {"MOV r/m32, imm32", "C7 /0 id"},
	FormMov64MI32:   {"MOV r/m64, imm32", "REX.W + C7 /0 id"},
	FormMov32OI:     {"MOV r32op, imm32", "B8+rd id"},
	FormMov64OI:     {"MOV r64op, imm64", "REX.W + B8+rd io"},
	FormMovzx32RM8:  {"MOVZX r32, r/m8", "0F B6 /r"},
	FormMovzx32RM16: {"MOVZX r32, r/m16", "0F B7 /r"},
	FormMovzx64RM8:  {"MOVZX r64, r/m8", "REX.W + 0F B6 /r"},
	FormMovzx64RM16: {"MOVZX r64, r/m16", "REX.W + 0F B7 /r"},
	FormMovsx32RM8:  {"MOVSX r32, r/m8", "0F BE /r"},
	FormMovsx32RM16: {"MOVSX r32, r/m16", "0F BF /r"},
	FormMovsx64RM8:  {"MOVSX r64, r/m8", "REX.W + 0F BE /r"},
	FormMovsx64RM16: {"MOVSX r64, r/m16", "REX.W + 0F BF /r"},
	FormMovsxd64RM:  {"MOVSXD r64, r/m32", "REX.W + 63 /r"},
	FormLea64RM:     {"LEA r64, m", "REX.W + 8D /r"},
	FormCmove64RM:   {"CMOVE r64, r/m64", "REX.W + 0F 44 /r"},
	FormTest32MR:    {"TEST r/m32, r32", "85 /r"},
	FormTest64MR:    {"TEST r/m64, r64", "REX.W + 85 /r"},
	FormTest32MI32:  {"TEST r/m32, imm32", "F7 /0 id"},
	FormTest64MI32:  {"TEST r/m64, imm32", "REX.W + F7 /0 id"},
	FormNeg32M:      {"NEG r/m32", "F7 /3"},
	FormNeg64M:      {"NEG r/m64", "REX.W + F7 /3"},
	FormMul32M:      {"MUL r/m32", "F7 /4"},
	FormMul64M:      {"MUL r/m64", "REX.W + F7 /4"},
	FormDiv32M:      {"DIV r/m32", "F7 /6"},
	FormDiv64M:      {"DIV r/m64", "REX.W + F7 /6"},
	FormIdiv32M:     {"IDIV r/m32", "F7 /7"},
	FormIdiv64M:     {"IDIV r/m64", "REX.W + F7 /7"},
	FormInc32M:      {"INC r/m32", "FF /0"},
	FormDec32M:      {"DEC r/m32", "FF /1"},
	FormImul32RM:    {"IMUL r32, r/m32", "0F AF /r"},
	FormImul64RM:    {"IMUL r64, r/m64", "REX.W + 0F AF /r"},
	FormImul32RMI8:  {"IMUL r32, r/m32, imm8", "6B /r ib"},
	FormImul64RMI8:  {"IMUL r64, r/m64, imm8", "REX.W + 6B /r ib"},
	FormImul32RMI32: {"IMUL r32, r/m32, imm32", "69 /r id"},
	FormImul64RMI32: {"IMUL r64, r/m64, imm32", "REX.W + 69 /r id"},
	FormShl32M1:     {"SHL r/m32, 1", "D1 /4"},
	FormShl32MI8:    {"SHL r/m32, imm8u", "C1 /4 ib"},
	FormShl32MC:     {"SHL r/m32, CL", "D3 /4"},
	FormShl64M1:     {"SHL r/m64, 1", "REX.W + D1 /4"},
	FormShl64MI8:    {"SHL r/m64, imm8u", "REX.W + C1 /4 ib"},
	FormShl64MC:     {"SHL r/m64, CL", "REX.W + D3 /4"},
	FormShr32M1:     {"SHR r/m32, 1", "D1 /5"},
	FormShr32MI8:    {"SHR r/m32, imm8u", "C1 /5 ib"},
	FormShr32MC:     {"SHR r/m32, CL", "D3 /5"},
	FormShr64M1:     {"SHR r/m64, 1", "REX.W + D1 /5"},
	FormShr64MI8:    {"SHR r/m64, imm8u", "REX.W + C1 /5 ib"},
	FormShr64MC:     {"SHR r/m64, CL", "REX.W + D3 /5"},
	FormSar32M1:     {"SAR r/m32, 1", "D1 /7"},
	FormSar32MI8:    {"SAR r/m32, imm8u", "C1 /7 ib"},
	FormSar32MC:     {"SAR r/m32, CL", "D3 /7"},
	FormSar64M1:     {"SAR r/m64, 1", "REX.W + D1 /7"},
	FormSar64MI8:    {"SAR r/m64, imm8u", "REX.W + C1 /7 ib"},
	FormSar64MC:     {"SAR r/m64, CL", "REX.W + D3 /7"},
	FormRor16MI8:    {"ROR r/m16, imm8u", "C1 /1 ib"},
	FormRol64MI8:    {"ROL r/m64, imm8u", "REX.W + C1 /0 ib"},
	FormShlx32RMV:   {"SHLX r32a, r/m32, r32b", "VEX.NDS.LZ.66.0F38.W0 F7 /r"},
	FormShlx64RMV:   {"SHLX r64a, r/m64, r64b", "VEX.NDS.LZ.66.0F38.W1 F7 /r"},
	FormShrx32RMV:   {"SHRX r32a, r/m32, r32b", "VEX.NDS.LZ.F2.0F38.W0 F7 /r"},
	FormShrx64RMV:   {"SHRX r64a, r/m64, r64b", "VEX.NDS.LZ.F2.0F38.W1 F7 /r"},
	FormSarx32RMV:   {"SARX r32a, r/m32, r32b", "VEX.NDS.LZ.F3.0F38.W0 F7 /r"},
	FormSarx64RMV:   {"SARX r64a, r/m64, r64b", "VEX.NDS.LZ.F3.0F38.W1 F7 /r"},
	FormBswap32O:    {"BSWAP r32op", "0F C8+rd"},
	FormBswap64O:    {"BSWAP r64op", "REX.W + 0F C8+rd"},
	FormCdq:         {"CDQ", "99"},
	FormCqo:         {"CQO", "REX.W + 99"},
	FormXadd32MR:    {"XADD r/m32, r32", "0F C1 /r"},
	FormXadd64MR:    {"XADD r/m64, r64", "REX.W + 0F C1 /r"},
	FormXchg32MR:    {"XCHG r/m32, r32", "87 /r"},
	FormXchg64MR:    {"XCHG r/m64, r64", "REX.W + 87 /r"},
	FormCmpxchg32MR: {"CMPXCHG r/m32, r32", "0F B1 /r"},
	FormCmpxchg64MR: {"CMPXCHG r/m64, r64", "REX.W + 0F B1 /r"},
	FormPush64O:     {"PUSH r64op", "50+rd"},
	FormPop64O:      {"POP r64op", "58+rd"},
	FormPushI8:      {"PUSH imm8", "6A ib"},
	FormLeave:       {"LEAVE", "C9"},
	FormRet:         {"RET", "C3"},
	FormInt3:        {"INT 3", "CC"},
	FormUd2:         {"UD2", "0F 0B"},
	FormLfence:      {"LFENCE", "0F AE E8"},
	FormPause:       {"PAUSE", "F3 90"},
	FormCallD32:     {"CALL rel32", "E8 cd"},
	FormJmpD32:      {"JMP rel32", "E9 cd"},
	FormJmpD8:       {"JMP rel8", "EB cb"},
	FormJmp64M:      {"JMP r/m64", "FF /4"},
	FormCall64M:     {"CALL r/m64", "FF /2"},
	FormJbD8:        {"JB rel8", "72 cb"},
	FormJbD32:       {"JB rel32", "0F 82 cd"},
	FormJaeD8:       {"JAE rel8", "73 cb"},
	FormJaeD32:      {"JAE rel32", "0F 83 cd"},
	FormJeD8:        {"JE rel8", "74 cb"},
	FormJeD32:       {"JE rel32", "0F 84 cd"},
	FormJneD8:       {"JNE rel8", "75 cb"},
	FormJneD32:      {"JNE rel32", "0F 85 cd"},
	FormJbeD8:       {"JBE rel8", "76 cb"},
	FormJbeD32:      {"JBE rel32", "0F 86 cd"},
	FormJaD8:        {"JA rel8", "77 cb"},
	FormJaD32:       {"JA rel32", "0F 87 cd"},
	FormJlD8:        {"JL rel8", "7C cb"},
	FormJlD32:       {"JL rel32", "0F 8C cd"},
	FormJgeD8:       {"JGE rel8", "7D cb"},
	FormJgeD32:      {"JGE rel32", "0F 8D cd"},
	FormJleD8:       {"JLE rel8", "7E cb"},
	FormJleD32:      {"JLE rel32", "0F 8E cd"},
	FormJgD8:        {"JG rel8", "7F cb"},
	FormJgD32:       {"JG rel32", "0F 8F cd"},
}
