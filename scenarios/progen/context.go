// SPDX-License-Identifier: GPL-2.0-only

package progen

import (
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/scenarios/choices"
)

// Fields of struct __sk_buff and struct xdp_md (include/uapi/linux/bpf.h), 4 bytes each.
var (
	skbRead  = []int{0, 4, 8, 16, 40, 48, 52, 64}
	skbWrite = []int{48, 56, 64}
	tcWrite  = []int{8, 48, 56, 64}
	xdpRead  = []int{12, 16}
)

const (
	skbData, skbDataEnd = 76, 80
	xdpData, xdpDataEnd = 0, 4
)

func (g *gen) hasContext() bool { return g.f.home >= 0 }

// contextField loads or stores a field of the context.
func (g *gen) contextField() {
	f := g.f
	r, size := g.writable(), uint8(bpf.SizeW)
	var off int
	switch {
	case g.typ == bpf.XDP:
		off = choices.One(g.c, xdpRead...)
	case !g.typ.SKB():
		off, size = 8*g.c.Pick(8), bpf.SizeDW
	case g.c.Pick(3) == 1:
		fields := skbWrite
		if g.typ == bpf.SchedCLS {
			fields = tcWrite
		}
		s := g.src()
		g.emit(bpf.Insn{Op: bpf.ClassSTX | bpf.ModeMem | bpf.SizeW, Dst: uint8(f.home), Src: uint8(s), Off: int16(choices.One(g.c, fields...))})
		return
	default:
		off = choices.One(g.c, skbRead...)
	}
	g.emit(bpf.Insn{Op: bpf.ClassLDX | bpf.ModeMem | size, Dst: uint8(r), Src: uint8(f.home), Off: int16(off)})
	f.s.reg[r] = val{kind: num}
}

func (g *gen) canPacket() bool {
	return g.f.home >= 0 && (g.typ == bpf.XDP || g.typ == bpf.SchedCLS)
}

// packet reads and writes the packet after a check of its length.
func (g *gen) packet() {
	f := g.f
	from, to := skbData, skbDataEnd
	if g.typ == bpf.XDP {
		from, to = xdpData, xdpDataEnd
	}
	a := g.writable()
	others := []int{}
	for r := range 10 {
		if r != a && !f.locked.Has(r) {
			others = append(others, r)
		}
	}
	b, c := others[0], others[1]
	n := 1 + g.c.Pick(PacketSize)
	load := func(r, off int) {
		g.emit(bpf.Insn{Op: bpf.ClassLDX | bpf.ModeMem | bpf.SizeW, Dst: uint8(r), Src: uint8(f.home), Off: int16(off)})
		f.s.reg[r] = val{kind: other}
	}
	load(a, from)
	load(b, to)
	g.movReg(c, a)
	g.emit(bpf.Insn{Op: bpf.ClassALU64 | bpf.ALUAdd, Dst: uint8(c), Imm: int32(n)})
	j := g.jump(bpf.ClassJmp|bpf.SrcReg|bpf.JmpGt, c, b, 0)
	for _, r := range []int{a, b, c} {
		f.s.reg[r] = val{}
	}
	before := f.s
	f.s.reg[a] = val{kind: data, hi: int16(n), loose: true}
	for k := 1 + g.c.Pick(3); k > 0 && f.s.reg[a].kind == data; k-- {
		size := choices.One(g.c, sizes...)
		for bytesOf(size) > n {
			size = bpf.SizeB
		}
		off := min(max(choices.One(g.c, 0, 4, g.c.Pick(n)), 0), n-bytesOf(size))
		if g.typ == bpf.XDP && g.c.Pick(2) == 0 {
			g.store(size, off, a)
		} else {
			g.load(size, g.writable(), a, off)
		}
	}
	f.s.join(&before)
	g.land(j)
}

func (g *gen) canAbsolute() bool {
	return g.f.home == 6 && g.typ.SKB() && len(g.fns) == 1 && !g.subprograms
}

// absolute loads from the packet the old way.
func (g *gen) absolute() {
	f := g.f
	size := choices.One[uint8](g.c, bpf.SizeB, bpf.SizeH, bpf.SizeW)
	in := bpf.Insn{Op: bpf.ClassLD | bpf.ModeAbs | size, Imm: int32(g.c.Pick(64))}
	if g.c.Pick(2) == 1 {
		if r, ok := g.numeric(true); ok {
			g.emit(bpf.Insn{Op: bpf.ClassALU64 | bpf.ALUAnd, Dst: uint8(r), Imm: 31})
			in = bpf.Insn{Op: bpf.ClassLD | bpf.ModeInd | size, Src: uint8(r), Imm: int32(g.c.Pick(32))}
		}
	}
	g.emit(in)
	f.s.called()
	f.s.reg[0] = val{kind: num}
}

func (g *gen) canProbe() bool { return g.typ == bpf.Kprobe && g.can.Helpers >= helpersTask }

// probe loads through an address that may be bad: what it finds in the current task, which is 0.
func (g *gen) probe() {
	f := g.f
	g.helper(helperTask)
	f.s.reg[0] = val{}
	r := g.writable()
	g.emit(bpf.Insn{Op: bpf.ClassLDX | bpf.ModeMem | bpf.SizeDW, Dst: uint8(r), Src: 0, Off: int16(8 * g.c.Pick(64))})
	f.s.reg[r] = val{}
	size := choices.One[uint8](g.c, bpf.SizeW, bpf.SizeH, bpf.SizeB)
	op := bpf.ClassLDX | bpf.ModeMem | size
	if g.isa(kernels.ISASignExtend) && g.c.Pick(2) == 1 {
		op = bpf.ClassLDX | bpf.ModeMemSX | size
	}
	to := g.writable()
	g.emit(bpf.Insn{Op: op, Dst: uint8(to), Src: uint8(r), Off: int16(choices.One(g.c, 0, 8, -8, 2000, -2000, 32767, -32768))})
	f.s.reg[to] = val{kind: num}
}
