// SPDX-License-Identifier: GPL-2.0-only

//go:build cgo

package lockstep_test

import (
	"encoding/binary"
	"slices"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/emit"
	"github.com/tcsim/tcsim/jit/image"
)

func edits() []edit {
	return slices.Concat(aluEdits(), divisionEdits(), memoryEdits(), jumpEdits(), knownEdits())
}

// aluEdits are edits of arithmetic and moves.
func aluEdits() []edit {
	const narrowALU, wideALU = bpf.ClassALU, bpf.ClassALU64
	return []edit{
		{target: "7.2", name: "64-bit add of 32 bits", on: and(alu(bpf.ALUAdd, wideALU), byReg), at: "add", with: narrow},
		{target: "7.2", name: "sub adds", on: and(alu(bpf.ALUSub), byReg), at: "sub", with: opcode(0x01)},
		{target: "7.2", name: "operands of sub exchanged", on: and(alu(bpf.ALUSub), byReg), at: "sub", with: xor(2)},
		{target: "7.2", name: "or is xor", on: and(alu(bpf.ALUOr), byReg), at: "or", with: opcode(0x31)},
		{target: "7.2", name: "xor with a constant is or", on: and(alu(bpf.ALUXor), byImm), at: "xor", with: digit(1)},
		{target: "6.12", name: "32-bit and of 64 bits", on: alu(bpf.ALUAnd, narrowALU), at: "and", with: wide},
		{target: "7.2", name: "64-bit move of 32 bits", on: and(alu(bpf.ALUMov, wideALU), byReg, unsigned), at: "mov", with: narrow},
		{target: "7.2", name: "32-bit move of 64 bits", on: and(alu(bpf.ALUMov, narrowALU), byReg, unsigned), at: "mov", with: wide},
		{target: "7.2", name: "32-bit move of a register to itself missing", on: func(in bpf.Insn) bool {
			return in.Op == bpf.ClassALU|bpf.SrcReg|bpf.ALUMov && in.Dst == in.Src && in.Off == 0
		}, at: "mov", with: drop},
		{target: "7.2", name: "negative constant not sign-extended", on: and(alu(bpf.ALUMov, wideALU), byImm), at: "mov", with: narrow},
		{target: "7.2", name: "constant 0 not moved", on: and(alu(bpf.ALUMov), byImm), at: "xor", with: drop},
		{target: "7.2", name: "neg is not", on: alu(bpf.ALUNeg), at: "neg", with: digit(2)},
		{target: "7.2", name: "64-bit neg of 32 bits", on: alu(bpf.ALUNeg, wideALU), at: "neg", with: narrow},
		{target: "7.2", name: "left shift by one more", on: and(alu(bpf.ALULsh), byImm), at: "shl", with: last(func(b byte) byte {
			if b < 31 {
				return b + 1
			}
			return b
		})},
		{target: "7.2", name: "64-bit shift counts to 31", on: and(alu(bpf.ALULsh, wideALU), byImm), at: "shl", with: last(func(b byte) byte {
			if b < 64 {
				return b & 31
			}
			return b
		})},
		{target: "7.2", name: "right shift keeps the sign", on: and(alu(bpf.ALURsh), byImm), at: "shr", with: digit(7)},
		{target: "6.1", name: "32-bit arithmetic shift loses the sign", on: and(alu(bpf.ALUArsh, narrowALU), byImm), at: "sar", with: digit(5)},
		{target: "7.2", name: "sarx is shrx", on: and(alu(bpf.ALUArsh), byReg), at: "sarx", with: vexPrefix(3)},
		{target: "7.2", name: "64-bit shlx of 32 bits", on: and(alu(bpf.ALULsh, wideALU), byReg), at: "shlx", with: vexNarrow},
		{target: "6.12-nobmi2", name: "count not moved to rcx", on: and(alu(bpf.ALULsh), byReg), at: "mov rcx", with: drop},
		{target: "6.12-nobmi2", name: "rcx not restored after a shift", on: and(alu(bpf.ALURsh), byReg), at: "p", with: drop},
		{target: "6.12-nobmi2", name: "shifted rcx not moved back", on: and(alu(bpf.ALURsh), byReg), at: "mov rcx, r11", with: drop},
		{target: "5.10", name: "rcx not restored after a shift", on: and(alu(bpf.ALULsh), byReg), at: "p", with: drop},
		{target: "7.2", name: "operands of imul exchanged", on: and(alu(bpf.ALUMul), byReg), at: "imul", with: func(code []byte) []byte {
			i := opcodeAt(code)
			m := &code[i+2]
			*m = *m&0xc0 | *m&7<<3 | *m>>3&7
			return code
		}},
		{target: "7.2", name: "64-bit imul of 32 bits", on: and(alu(bpf.ALUMul, wideALU), byReg), at: "imul", with: narrow},
		{target: "7.2", name: "imul by a byte that is one more", on: and(alu(bpf.ALUMul), byImm), at: "imul", with: last(func(b byte) byte { return b ^ 1 })},
		{target: "5.10", name: "mul leaves rdx changed", on: alu(bpf.ALUMul), at: "pop rdx", with: raw("4883c408")},
		{target: "5.10", name: "mul of the wrong factor", on: and(alu(bpf.ALUMul), byReg), at: "mov rax", with: drop},
		{target: "7.2", name: "bswap32 of 64 bits", on: endian(32), at: "bswap", with: wide},
		{target: "7.2", name: "bswap64 of 32 bits", on: endian(64), at: "bswap", with: narrow},
		{target: "7.2", name: "upper bits kept by bswap16", on: endian(16), at: "movzx", with: drop},
		{target: "7.2", name: "bytes not exchanged by bswap16", on: endian(16), at: "ror", with: drop},
		{target: "7.2", name: "upper half kept by le32", on: endian(32), at: "mov", with: drop},
		{target: "7.2", name: "movsx from a byte is movzx", on: movsx(8), at: "movsx", with: opcode(0x0f, 0xb6)},
		{target: "7.2", name: "movsx from a half word to 32 bits", on: and(alu(bpf.ALUMov, wideALU), movsx(16)), at: "movsx", with: narrow},
		{target: "7.2", name: "movsxd is mov", on: movsx(32), at: "movsxd", with: opcode(0x8b)},
		{target: "6.12", name: "upper half of a 64-bit constant lost", on: wideLoad, at: "mov", with: lostHalf},
		{target: "6.12", name: "64-bit constant sign-extended from 32 bits", on: wideLoad, at: "mov", with: func(code []byte) []byte {
			if n := len(code); n == 5 && code[4]&0x80 != 0 {
				return append([]byte{0x48, 0xc7, 0xc0 | code[0]&7}, code[1:]...)
			}
			return code
		}},
	}
}

// wideLoad is a 16-byte load of a constant.
func wideLoad(in bpf.Insn) bool { return in.IsLdImm64() && in.Src == 0 }

// lostHalf makes a 64-bit constant one of 32 bits.
func lostHalf(code []byte) []byte {
	if len(code) == 10 {
		binary.LittleEndian.PutUint32(code[6:], 0)
	}
	return code
}

// vexPrefix changes the prefix that VEX stands for.
func vexPrefix(pp byte) func([]byte) []byte {
	return func(code []byte) []byte {
		code[2] = code[2]&^3 | pp
		return code
	}
}

// vexNarrow takes the width away.
func vexNarrow(code []byte) []byte {
	code[2] &^= 0x80
	return code
}

// endian is a byte swap or its like of so many bits.
func endian(bits int32) func(bpf.Insn) bool {
	return and(alu(bpf.ALUEnd), func(in bpf.Insn) bool { return in.Imm == bits })
}

// movsx is a move from so many bits.
func movsx(bits int16) func(bpf.Insn) bool {
	return and(alu(bpf.ALUMov), byReg, func(in bpf.Insn) bool { return in.Off == bits })
}

// divisionEdits are edits of division.
func divisionEdits() []edit {
	const wideALU = bpf.ClassALU64
	return []edit{
		{target: "7.2", name: "edx not cleared before div", on: and(alu(bpf.ALUDiv), unsigned), at: "xor edx", with: drop},
		{target: "7.2", name: "dividend not moved to rax", on: alu(bpf.ALUDiv), at: "mov rax", with: drop},
		{target: "7.2", name: "div leaves rax changed", on: alu(bpf.ALUMod), at: "pop rax", with: raw("4883c408")},
		{target: "7.2", name: "div leaves rdx changed", on: alu(bpf.ALUDiv), at: "pop rdx", with: raw("4883c408")},
		{target: "7.2", name: "64-bit div of 32 bits", on: and(alu(bpf.ALUDiv, wideALU), unsigned), at: "div", with: narrow},
		{target: "7.2", name: "32-bit div of 64 bits", on: and(alu(bpf.ALUDiv, bpf.ClassALU), unsigned), at: "div", with: wide},
		{target: "7.2", name: "remainder is the quotient", on: alu(bpf.ALUMod), at: "mov", with: func(code []byte) []byte {
			if i := opcodeAt(code); code[i] == 0x89 && code[i+1]&0x38 == 2<<3 {
				code[i+1] &^= 0x38
			}
			return code
		}},
		{target: "7.2", name: "sign not extended before idiv", on: and(alu(bpf.ALUDiv), signed), at: "c", with: raw("31d2")},
		{target: "7.2", name: "idiv is div", on: and(alu(bpf.ALUDiv), signed), at: "idiv", with: digit(6)},
		{target: "7.2", name: "cdq before a 64-bit idiv", on: and(alu(bpf.ALUMod, wideALU), signed), at: "cqo", with: narrow},
		{target: "7.2", name: "divisor not sign-extended", on: and(alu(bpf.ALUDiv, wideALU), byImm), at: "mov r11", with: narrow},
		{target: "5.10", name: "divisor in rax not moved away", on: and(alu(bpf.ALUDiv), byReg), at: "mov r11", with: drop},
		{target: "5.10", name: "quotient not moved to its register", on: alu(bpf.ALUDiv), at: "mov r11, rax", with: drop},
	}
}

// memoryEdits are edits of loads, stores and atomic operations.
func memoryEdits() []edit {
	load := func(sizes ...uint8) func(bpf.Insn) bool { return mem(bpf.ClassLDX, bpf.ModeMem, sizes...) }
	fetch := atomic(bpf.ALUAnd|bpf.AtomicFetch, bpf.ALUOr|bpf.AtomicFetch, bpf.ALUXor|bpf.AtomicFetch)
	return []edit{
		{target: "7.2", name: "byte load sign-extends", on: load(bpf.SizeB), at: "movzx", with: opcode(0x0f, 0xbe)},
		{target: "7.2", name: "half word load of a byte", on: load(bpf.SizeH), at: "movzx", with: opcode(0x0f, 0xb6)},
		{target: "7.2", name: "word load of 8 bytes", on: load(bpf.SizeW), at: "mov", with: wide},
		{target: "7.2", name: "8-byte load of a word", on: load(bpf.SizeDW), at: "mov", with: narrow},
		{target: "7.2", name: "offset of 4 bytes cut to one", on: mem(bpf.ClassLDX, bpf.ModeMem), at: "mov", with: shortOffset},
		{target: "7.2", name: "offset of a store cut to one byte", on: mem(bpf.ClassSTX, bpf.ModeMem), at: "mov", with: shortOffset},
		{target: "7.2", name: "sign-extending byte load zero-extends", on: mem(bpf.ClassLDX, bpf.ModeMemSX, bpf.SizeB), at: "movsx", with: opcode(0x0f, 0xb6)},
		{target: "7.2", name: "sign-extending word load zero-extends", on: mem(bpf.ClassLDX, bpf.ModeMemSX, bpf.SizeW), at: "movsxd", with: opcode(0x8b)},
		{target: "7.2", name: "sign-extending half word load to 32 bits", on: mem(bpf.ClassLDX, bpf.ModeMemSX, bpf.SizeH), at: "movsx", with: narrow},
		{target: "7.2", name: "half word store of a word", on: mem(bpf.ClassSTX, bpf.ModeMem, bpf.SizeH), at: "mov", with: without(0x66)},
		{target: "7.2", name: "8-byte store of a word", on: mem(bpf.ClassSTX, bpf.ModeMem, bpf.SizeDW), at: "mov", with: narrow},
		{target: "7.2", name: "word store of 8 bytes", on: mem(bpf.ClassSTX, bpf.ModeMem, bpf.SizeW), at: "mov", with: wide},
		{target: "7.2", name: "constant word stored as 8 bytes", on: mem(bpf.ClassST, bpf.ModeMem, bpf.SizeW), at: "mov", with: wide},
		{target: "7.2", name: "8-byte constant stored as a word", on: mem(bpf.ClassST, bpf.ModeMem, bpf.SizeDW), at: "mov", with: narrow},
		{target: "7.2", name: "atomic add subtracts", on: atomic(bpf.ALUAdd), at: "lock add", with: opcode(0x29)},
		{target: "7.2", name: "fetching add does not fetch", on: atomic(bpf.ALUAdd | bpf.AtomicFetch), at: "lock xadd", with: func(code []byte) []byte {
			i := opcodeAt(code)
			return append(append(code[:i:i], 0x01), code[i+2:]...)
		}},
		{target: "7.2", name: "fetching or does not fetch", on: fetch, at: "mov", with: func(code []byte) []byte {
			if i := opcodeAt(code); code[i] == 0x89 && code[i+1]&0xf8 == 0xc0 && (i == 0 || code[i-1]&1 == 0) {
				return nil // mov src, rax
			}
			return code
		}},
		{target: "7.2", name: "xchg only stores", on: atomic(bpf.AtomicXchg), at: "xchg", with: opcode(0x89)},
		{target: "7.2", name: "xadd of 4 bytes for 8", on: and(atomic(bpf.ALUAdd|bpf.AtomicFetch), func(in bpf.Insn) bool { return in.Size() == 8 }), at: "lock xadd", with: narrow},
		{target: "7.2", name: "cmpxchg of 8 bytes for 4", on: and(atomic(bpf.AtomicCmpXchg), func(in bpf.Insn) bool { return in.Size() == 4 }), at: "lock cmpxchg", with: wide},
		{target: "7.2", name: "load-acquire of a byte sign-extends", on: atomic(bpf.AtomicLoadAcq), at: "movzx", with: opcode(0x0f, 0xbe)},
		{target: "7.2", name: "store-release of a half word stores a word", on: atomic(bpf.AtomicStRel), at: "mov word", with: without(0x66)},
		{target: "7.2", name: "lock missing", on: atomic(bpf.ALUAdd), at: "lock add", with: without(0xf0), survives: "there is one processor"},
	}
}

// shortOffset cuts the 4 bytes of an offset to one.
func shortOffset(code []byte) []byte {
	i := opcodeAt(code) + 1
	if code[i-1] == 0x0f {
		i++
	}
	if code[i]>>6 != 2 {
		return code
	}
	at := i + 1
	if code[i]&7 == 4 {
		at++
	}
	code[i] = code[i]&^0xc0 | 0x40
	return append(code[:at+1:at+1], code[at+4:]...)
}

// jumpEdits are edits of comparisons and jumps.
func jumpEdits() []edit {
	const b, ae, e, ne, be, a, s, l, ge, le = 2, 3, 4, 5, 6, 7, 8, 0xc, 0xd, 0xe
	return []edit{
		{target: "7.2", name: "> is >=", on: cond(bpf.JmpGt), jump: condition(ae)},
		{target: "7.2", name: ">= is >", on: cond(bpf.JmpGe), jump: condition(a)},
		{target: "7.2", name: "< is <=", on: cond(bpf.JmpLt), jump: condition(be)},
		{target: "7.2", name: "s> is >", on: cond(bpf.JmpSgt), jump: condition(a)},
		{target: "7.2", name: "s< is <", on: cond(bpf.JmpSlt), jump: condition(b)},
		{target: "7.2", name: "s>= is s>", on: cond(bpf.JmpSge), jump: condition(0xf)},
		{target: "7.2", name: "s<= is s<", on: cond(bpf.JmpSle), jump: condition(l)},
		{target: "7.2", name: "<= is <", on: cond(bpf.JmpLe), jump: condition(b)},
		{target: "7.2", name: "== is sign", on: cond(bpf.JmpEq), jump: condition(s)},
		{target: "7.2", name: "!= is ==", on: cond(bpf.JmpNe), jump: condition(e)},
		{target: "7.2", name: "& is not &", on: cond(bpf.JmpSet), jump: condition(e)},
		{target: "7.2", name: "& compares", on: and(cond(bpf.JmpSet), byReg), at: "test", with: opcode(0x39)},
		{target: "7.2", name: "32-bit comparison of 64 bits", on: and(cond(bpf.JmpGt, bpf.ClassJmp32), byReg), at: "cmp", with: wide},
		{target: "7.2", name: "64-bit comparison of 32 bits", on: and(cond(bpf.JmpNe, bpf.ClassJmp), byReg), at: "cmp", with: narrow},
		{target: "7.2", name: "64-bit test of 32 bits", on: cond(bpf.JmpSet, bpf.ClassJmp), at: "test", with: narrow},
		{target: "7.2", name: "operands of a comparison exchanged", on: and(cond(bpf.JmpGt), byReg), at: "cmp", with: xor(2)},
		{target: "7.2", name: "constant of 4 bytes compared as one", on: byImm, at: "cmp", with: func(code []byte) []byte {
			if i := opcodeAt(code); code[i] == 0x81 && len(code) == i+6 {
				code[i] = 0x83
				return code[:i+3]
			}
			return code
		}},
		{target: "7.2", name: "near jump one byte short", jump: func(code []byte) []byte {
			if n := len(code); n > 2 {
				binary.LittleEndian.PutUint32(code[n-4:], binary.LittleEndian.Uint32(code[n-4:])-1)
			}
			return code
		}},
		{target: "7.2", name: "far jumps back go nowhere", jump: func(code []byte) []byte {
			if n := len(code); n > 2 && int32(binary.LittleEndian.Uint32(code[n-4:])) < 0 {
				copy(code[n-4:], make([]byte, 4))
			}
			return code
		}},
		{target: "7.2", name: "gotol with a distance of 2 bytes", on: func(in bpf.Insn) bool { return in.Op == bpf.OpJA32 }, jump: func(code []byte) []byte {
			if len(code) == 2 {
				code[1] ^= 1
			}
			return code
		}},
	}
}

// knownEdits are mistakes that kernels had.
func knownEdits() []edit {
	return []edit{
		{target: "5.15", name: "fetching or with r0 as source", commit: "b29dd96b905f", on: and(
			atomic(bpf.ALUAnd|bpf.AtomicFetch, bpf.ALUOr|bpf.AtomicFetch, bpf.ALUXor|bpf.AtomicFetch), func(in bpf.Insn) bool { return in.Src == 0 }),
			at: "", with: func(code []byte) []byte {
				if i := opcodeAt(code); (code[i] == 0x09 || code[i] == 0x21 || code[i] == 0x31) && code[i-1]&4 != 0 {
					code[i-1] &^= 4 // r10, which keeps R0, becomes rdx
					code[i+1] &^= 0x38
				}
				return code
			}},
		{target: "5.10", name: "byte store from rdi and rsi without REX", commit: "aee194b14dd2", on: mem(bpf.ClassSTX, bpf.ModeMem, bpf.SizeB), at: "mov", with: noREX},
		{target: "6.1", name: "jumps of 128 to 131 bytes are short", commit: "e4d4d456436b", config: func(c *emit.Config) { c.Emit.MaxRel8 = 131 }},
		{target: "6.12", name: "the image does not converge", commit: "93c5aecc35c6", config: func(c *emit.Config) { c.Emit.Passes = 3 }},
		{target: "6.1", name: "R0 not zero-extended after a 32-bit cmpxchg", commit: "39491867ace5", verifier: func(p *bpf.Program) {
			replace(p, func(in, before bpf.Insn) bool {
				return before.Class() == bpf.ClassSTX && before.Imm == bpf.AtomicCmpXchg && in == bpf.Insn{Op: bpf.ClassALU | bpf.SrcReg | bpf.ALUMov, Imm: 1}
			}, bpf.Insn{Op: bpf.OpMovReg})
		}},
		{target: "6.1", name: "divisor of 32 bits tested in 64", commit: "e88b2c6e5a4d", verifier: func(p *bpf.Program) {
			for i := range p.Insns[:max(0, len(p.Insns)-2)] {
				in := &p.Insns[i]
				if in.Class() == bpf.ClassJmp32 && in.Imm == 0 && in.Op&bpf.SrcReg == 0 && (division(p.Insns[i+1]) || i+3 < len(p.Insns) && division(p.Insns[i+3])) {
					in.Op = in.Op&^7 | bpf.ClassJmp
				}
			}
		}},
		{target: "6.1", name: "x mod 0 of 32 bits keeps the upper half", commit: "9b00f1b78809", verifier: func(p *bpf.Program) {
			replace(p, func(in, before bpf.Insn) bool {
				return before == bpf.Insn{Op: bpf.OpJA, Off: 1} && in.Op == bpf.ClassALU|bpf.SrcReg|bpf.ALUMov && in.Dst == in.Src
			}, bpf.Insn{Op: bpf.OpJA})
		}},
		{target: "6.12", name: "smallest number divided by -1", commit: "7dd34d7b7dcf", verifier: func(p *bpf.Program) {
			for i := range p.Insns {
				// The sum with 1 that makes -1 and 0 the smallest numbers.
				if in := &p.Insns[i]; in.Op&^bpf.ClassALU64 == bpf.ALUAdd && in.Dst == 11 && in.Imm == 1 {
					in.Imm = 0
				}
			}
		}},
		{target: "6.12-stuff", name: "call depth accounted nine bytes away", commit: "9d98aa088386", code: func(img *image.Image) { accounting(img, 9) }},
		{target: "6.12-stuff", name: "call depth accounted relative to the wrong end", commit: "6a537453000a", code: func(img *image.Image) { accounting(img, 0x1000) }},
		{target: "6.12", name: "loads that may fault read user memory", commit: "b599d7d26d6a", on: mem(bpf.ClassLDX, bpf.ModeProbeMem), at: "ja", with: opcode(0xeb)},
		{target: "6.12-blinded", name: "halves of a blinded 64-bit constant exchanged", on: wideLoad, at: "shl", with: drop},
		{target: "6.12-blinded", name: "blinded constant of a jump not unblinded", on: cond(bpf.JmpEq), at: "xor", with: drop},
		{target: "6.1", name: "load that faults goes on at itself", commit: "433956e91200", code: func(img *image.Image) {
			for i := range img.Funcs {
				for k := range img.Funcs[i].Faults {
					img.Funcs[i].Faults[k].Next = img.Funcs[i].Faults[k].Off
				}
			}
		}},
	}
}

func division(in bpf.Insn) bool { return in.IsDivision() && in.Class() == bpf.ClassALU }

// replace exchanges instructions.
func replace(p *bpf.Program, which func(in, before bpf.Insn) bool, by bpf.Insn) {
	for i := 1; i < len(p.Insns); i++ {
		if which(p.Insns[i], p.Insns[i-1]) {
			d := p.Insns[i].Dst
			p.Insns[i] = by
			if by.Op == bpf.OpMovReg {
				p.Insns[i].Dst, p.Insns[i].Src = d, d
			}
		}
	}
}

// accounting moves what the accounting of calls writes by some bytes.
func accounting(img *image.Image, by int32) {
	for i := range img.Funcs {
		code := img.Funcs[i].Code
		for at := 0; at+9 <= len(code); at++ {
			if c := code[at : at+9]; c[0] == 0x65 && c[1] == 0x48 && c[2] == 0xc1 && c[3] == 0x3d {
				binary.LittleEndian.PutUint32(c[4:], binary.LittleEndian.Uint32(c[4:])+uint32(by))
			}
		}
	}
}
