// SPDX-License-Identifier: GPL-2.0-only

package progen

import (
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/scenarios/choices"
)

// class chooses between 64 and 32 bits.
func (g *gen) class() uint8 { return choices.One[uint8](g.c, bpf.ClassALU64, bpf.ClassALU) }

// moves puts a number into a register.
func (g *gen) moves() {
	class, r := g.class(), g.writable()
	switch g.c.Pick(4) {
	default:
		g.emit(bpf.Insn{Op: class | bpf.ALUMov, Dst: uint8(r), Imm: g.imm()})
	case 1, 2:
		in := bpf.Insn{Op: class | bpf.SrcReg | bpf.ALUMov, Dst: uint8(r), Src: uint8(g.src())}
		if g.isa(kernels.ISASignExtend) && g.c.Pick(2) == 1 {
			if in.Off = choices.One[int16](g.c, 8, 16, 32); class == bpf.ClassALU && in.Off == 32 {
				in.Off = 8
			}
		}
		g.emit(in)
	case 3:
		n := g.number()
		g.wide(r, 0, int32(uint32(n)), int32(n>>32))
	}
	g.f.s.reg[r] = val{kind: num}
}

// The operations with an immediate and a register.
var aluOps = []uint8{
	bpf.ALUAdd, bpf.ALUSub, bpf.ALUOr, bpf.ALUAnd, bpf.ALUXor, bpf.ALUMul, bpf.ALULsh, bpf.ALURsh, bpf.ALUArsh, bpf.ALUDiv, bpf.ALUMod,
}

// arithmetic is an operation on a number.
func (g *gen) arithmetic() {
	r := g.dst()
	in := bpf.Insn{Op: g.class() | choices.One(g.c, aluOps...), Dst: uint8(r)}
	op, wide := in.Op&0xf0, in.Class() == bpf.ClassALU64
	division := op == bpf.ALUDiv || op == bpf.ALUMod
	if division && g.isa(kernels.ISASignExtend) && g.c.Pick(2) == 1 {
		in.Off = 1
	}
	shift := op == bpf.ALULsh || op == bpf.ALURsh || op == bpf.ALUArsh
	switch {
	case g.c.Pick(2) == 1:
		in.Op |= bpf.SrcReg
		in.Src = uint8(g.src())
	case shift:
		bits := 32
		if wide {
			bits = 64
		}
		in.Imm = int32(choices.One(g.c, 1, 0, bits-1, bits/2, g.c.Pick(bits)))
	default:
		if in.Imm = g.imm(); division && in.Imm == 0 {
			in.Imm = 3
		}
	}
	g.emit(in)
}

// unary is an operation without a second operand.
func (g *gen) unary() {
	in := bpf.Insn{Dst: uint8(g.dst())}
	bits := choices.One[int32](g.c, 16, 32, 64)
	switch g.c.Pick(4) {
	default:
		in.Op = g.class() | bpf.ALUNeg
	case 1:
		in.Op, in.Imm = bpf.ClassALU|bpf.ALUEnd, bits
	case 2:
		in.Op, in.Imm = bpf.ClassALU|bpf.SrcReg|bpf.ALUEnd, bits
	case 3:
		if in.Op, in.Imm = bpf.ClassALU64|bpf.ALUEnd, bits; !g.isa(kernels.ISASignExtend) {
			in.Op = bpf.ClassALU | bpf.SrcReg | bpf.ALUEnd
		}
	}
	g.emit(in)
}

// filler is some number of instructions in a row, so that jumps come to any distance.
func (g *gen) filler() {
	r := g.writable()
	n := g.c.Pick(48)
	kind := g.c.Pick(3)
	if g.f.s.reg[r].kind != num {
		g.movImm(r, 0)
	}
	for i := range n {
		switch kind {
		default:
			g.emit(bpf.Insn{Op: bpf.ClassALU64 | bpf.ALUAdd, Dst: uint8(r), Imm: int32(i)})
		case 1:
			g.emit(bpf.Insn{Op: bpf.ClassALU | bpf.ALUXor, Dst: uint8(r), Imm: int32(i) << 8})
		case 2:
			g.wide(r, 0, int32(i), 1<<20)
		}
	}
}
