// SPDX-License-Identifier: GPL-2.0-only

package interp_test

import (
	"encoding/binary"
	"math/big"
	"math/bits"
	"testing"

	"pgregory.net/rapid"

	"github.com/tcsim/tcsim/emu/interp"
	"github.com/tcsim/tcsim/jit/bpf"
)

// calc runs one instruction on r0 = a, r1 = b and returns r0.
func calc(t tester, in bpf.Insn, a, b uint64) uint64 {
	t.Helper()
	m := newMachine(t, interp.Config{Programs: []interp.Program{prog("calc",
		ld64(2, 0, int32(uint32(b)), int32(uint32(b>>32))), movX(1, 2),
		ld64(0, 0, int32(uint32(a)), int32(uint32(a>>32))), in, exit())}})
	res, err := m.Run(0, interp.Ctx{})
	if err != nil {
		t.Fatal(err)
	}
	return res.Return
}

// operands draws numbers with the interesting ones more often.
func operand() *rapid.Generator[uint64] {
	return rapid.OneOf(
		rapid.Uint64(),
		rapid.SampledFrom([]uint64{0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff,
			0x100000000, 1<<63 - 1, 1 << 63, ^uint64(0), ^uint64(0) - 1, 0xffffffff80000000, 0xffffffff00000000}),
		rapid.Map(rapid.Int32(), func(v int32) uint64 { return uint64(int64(v)) }),
		rapid.Uint64Range(0, 70),
	)
}

// wordOp is the meaning of an ALU operation in unbounded integers: of the operands' unsigned or
// signed values, to be reduced to the width.
type wordOp struct {
	name   string
	code   uint8 // high four bits
	off    int16
	signed bool
	eval   func(a, b *big.Int, width uint) *big.Int
}

var wordOps = []wordOp{
	{name: "add", code: 0x0, eval: func(a, b *big.Int, _ uint) *big.Int { return new(big.Int).Add(a, b) }},
	{name: "sub", code: 0x1, eval: func(a, b *big.Int, _ uint) *big.Int { return new(big.Int).Sub(a, b) }},
	{name: "mul", code: 0x2, eval: func(a, b *big.Int, _ uint) *big.Int { return new(big.Int).Mul(a, b) }},
	{name: "div", code: 0x3, eval: quo},
	{name: "sdiv", code: 0x3, off: 1, signed: true, eval: quo},
	{name: "or", code: 0x4, eval: func(a, b *big.Int, _ uint) *big.Int { return new(big.Int).Or(a, b) }},
	{name: "and", code: 0x5, eval: func(a, b *big.Int, _ uint) *big.Int { return new(big.Int).And(a, b) }},
	{name: "lsh", code: 0x6, eval: func(a, b *big.Int, w uint) *big.Int { return new(big.Int).Lsh(a, shift(b, w)) }},
	{name: "rsh", code: 0x7, eval: func(a, b *big.Int, w uint) *big.Int { return new(big.Int).Rsh(a, shift(b, w)) }},
	{name: "mod", code: 0x9, eval: rem},
	{name: "smod", code: 0x9, off: 1, signed: true, eval: rem},
	{name: "xor", code: 0xa, eval: func(a, b *big.Int, _ uint) *big.Int { return new(big.Int).Xor(a, b) }},
	{name: "mov", code: 0xb, eval: func(_, b *big.Int, _ uint) *big.Int { return b }},
	{name: "arsh", code: 0xc, signed: true, eval: func(a, b *big.Int, w uint) *big.Int { return new(big.Int).Rsh(a, shift(b, w)) }},
	{name: "movsx8", code: 0xb, off: 8, eval: func(_, b *big.Int, _ uint) *big.Int { return word(b.Uint64(), 8, true) }},
	{name: "movsx16", code: 0xb, off: 16, eval: func(_, b *big.Int, _ uint) *big.Int { return word(b.Uint64(), 16, true) }},
}

func quo(a, b *big.Int, _ uint) *big.Int {
	if b.Sign() == 0 {
		return new(big.Int)
	}
	return new(big.Int).Quo(a, b) // truncates towards zero
}

func rem(a, b *big.Int, _ uint) *big.Int {
	if b.Sign() == 0 {
		return a
	}
	return new(big.Int).Rem(a, b)
}

func shift(b *big.Int, width uint) uint {
	return uint(new(big.Int).And(b, big.NewInt(int64(width-1))).Uint64())
}

// word is the value of the low bits of v.
func word(v uint64, width uint, signed bool) *big.Int {
	n := new(big.Int).SetUint64(v << (64 - width) >> (64 - width))
	if signed && n.Bit(int(width-1)) != 0 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), width))
	}
	return n
}

// reduce is n modulo 2^width.
func reduce(n *big.Int, width uint) uint64 {
	m := new(big.Int).Lsh(big.NewInt(1), width)
	return new(big.Int).Mod(n, m).Uint64()
}

// TestALU compares every operation, 32 and 64 bits wide, with a register and an immediate operand,
// with unbounded integers.
func TestALU(t *testing.T) {
	for _, op := range wordOps {
		for _, width := range []uint{64, 32} {
			for _, reg := range []bool{true, false} {
				if !reg && op.code == 0xb && op.off != 0 {
					continue // sign-extending moves have a register operand only
				}
				class := map[uint]uint8{64: 7, 32: 4}[width]
				rapid.Check(t, func(t *rapid.T) {
					a, b := operand().Draw(t, "a"), operand().Draw(t, "b")
					in := bpf.Insn{Op: op.code<<4 | class, Off: op.off}
					if reg {
						in.Op |= 8
						in.Src = 1
					} else {
						in.Imm = int32(b)
						b = uint64(int64(in.Imm))
					}
					want := reduce(op.eval(word(a, width, op.signed), word(b, width, op.signed), width), width)
					if got := calc(t, in, a, b); got != want {
						t.Fatalf("%s%d (register operand: %v) of %#x, %#x = %#x, want %#x", op.name, width, reg, a, b, got, want)
					}
				})
			}
		}
	}
}

func TestNegSwapSext(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := operand().Draw(t, "a")
		b := binary.BigEndian.AppendUint64(nil, a)
		for _, tt := range []struct {
			name string
			in   bpf.Insn
			want uint64
		}{
			{"neg64", bpf.Insn{Op: bpf.ClassALU64 | bpf.ALUNeg}, -a},
			{"neg32", bpf.Insn{Op: bpf.ClassALU | bpf.ALUNeg}, uint64(uint32(-a))},
			{"le16", bpf.Insn{Op: bpf.ClassALU | bpf.ALUEnd, Imm: 16}, a & 0xffff},
			{"le32", bpf.Insn{Op: bpf.ClassALU | bpf.ALUEnd, Imm: 32}, a & 0xffffffff},
			{"le64", bpf.Insn{Op: bpf.ClassALU | bpf.ALUEnd, Imm: 64}, a},
			{"be16", bpf.Insn{Op: bpf.ClassALU | bpf.ALUEnd | bpf.SrcReg, Imm: 16}, uint64(binary.LittleEndian.Uint16(b[6:]))},
			{"be32", bpf.Insn{Op: bpf.ClassALU | bpf.ALUEnd | bpf.SrcReg, Imm: 32}, uint64(binary.LittleEndian.Uint32(b[4:]))},
			{"be64", bpf.Insn{Op: bpf.ClassALU | bpf.ALUEnd | bpf.SrcReg, Imm: 64}, binary.LittleEndian.Uint64(b)},
			{"bswap16", bpf.Insn{Op: bpf.ClassALU64 | bpf.ALUEnd, Imm: 16}, uint64(bits.ReverseBytes16(uint16(a)))},
			{"bswap32", bpf.Insn{Op: bpf.ClassALU64 | bpf.ALUEnd, Imm: 32}, uint64(bits.ReverseBytes32(uint32(a)))},
			{"bswap64", bpf.Insn{Op: bpf.ClassALU64 | bpf.ALUEnd, Imm: 64}, bits.ReverseBytes64(a)},
			{"movsx32", bpf.Insn{Op: bpf.OpMovReg, Src: 1, Off: 32}, uint64(int64(int32(a)))},
		} {
			if got := calc(t, tt.in, a, a); got != tt.want {
				t.Fatalf("%s of %#x = %#x, want %#x", tt.name, a, got, tt.want)
			}
		}
	})
}

// TestConditions compares every jump with Go's comparisons.
func TestConditions(t *testing.T) {
	conds := []struct {
		code  uint8
		holds func(a, b uint64, s, t int64) bool
	}{
		{0x1, func(a, b uint64, _, _ int64) bool { return a == b }},
		{0x2, func(a, b uint64, _, _ int64) bool { return a > b }},
		{0x3, func(a, b uint64, _, _ int64) bool { return a >= b }},
		{0x4, func(a, b uint64, _, _ int64) bool { return a&b != 0 }},
		{0x5, func(a, b uint64, _, _ int64) bool { return a != b }},
		{0x6, func(_, _ uint64, s, t int64) bool { return s > t }},
		{0x7, func(_, _ uint64, s, t int64) bool { return s >= t }},
		{0xa, func(a, b uint64, _, _ int64) bool { return a < b }},
		{0xb, func(a, b uint64, _, _ int64) bool { return a <= b }},
		{0xc, func(_, _ uint64, s, t int64) bool { return s < t }},
		{0xd, func(_, _ uint64, s, t int64) bool { return s <= t }},
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := operand().Draw(t, "a"), operand().Draw(t, "b")
		if rapid.Bool().Draw(t, "equal") {
			b = a
		}
		wide, reg := rapid.Bool().Draw(t, "wide"), rapid.Bool().Draw(t, "reg")
		in := bpf.Insn{Op: 6, Off: 1}
		if wide {
			in.Op = 5
		}
		if reg {
			in.Op |= 8
			in.Src = 1
		} else {
			in.Imm = int32(b)
			b = uint64(int64(in.Imm))
		}
		ua, ub, sa, sb := a, b, int64(a), int64(b)
		if !wide {
			ua, ub, sa, sb = uint64(uint32(a)), uint64(uint32(b)), int64(int32(a)), int64(int32(b))
		}
		for _, c := range conds {
			in.Op = in.Op&0xf | c.code<<4
			m := newMachine(t, interp.Config{Programs: []interp.Program{prog("jump",
				ld64(1, 0, int32(uint32(b)), int32(uint32(b>>32))), ld64(0, 0, int32(uint32(a)), int32(uint32(a>>32))),
				in, insn(0x05, 0, 0, 2, 0), movK(0, 1), exit(), movK(0, 0), exit())}})
			res, err := m.Run(0, interp.Ctx{})
			if err != nil {
				t.Fatal(err)
			}
			if want := c.holds(ua, ub, sa, sb); (res.Return == 1) != want {
				t.Fatalf("opcode %#02x of %#x, %#x: taken %v, want %v", in.Op, a, b, res.Return == 1, want)
			}
		}
	})
}
