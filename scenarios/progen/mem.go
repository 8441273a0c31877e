// SPDX-License-Identifier: GPL-2.0-only

package progen

import (
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/scenarios/choices"
)

// sizes of accesses by the field of the opcode.
var sizes = []uint8{bpf.SizeDW, bpf.SizeW, bpf.SizeH, bpf.SizeB}

func bytesOf(size uint8) int { return bpf.Insn{Op: bpf.ClassLDX | size}.Size() }

// slot chooses an aligned place of size bytes on the stack that may be written.
func (g *gen) slot(size int) int {
	n := g.f.stack / 8
	w := g.c.Pick(n)
	for g.f.held>>uint(words-1-w)&1 != 0 {
		w = (w + 1) % n
	}
	off := -8 * (w + 1)
	if size < 8 {
		off += size * g.c.Pick(8/size)
	}
	return off
}

// filled chooses an aligned place of size bytes on the stack that holds a number; ok is false if there is none.
func (g *gen) filled(size int) (off int, ok bool) {
	n := g.f.stack / size
	at := g.c.Pick(n)
	for range n {
		if off = -size * (at + 1); g.f.s.holds(off, size) {
			return off, true
		}
		at = (at + 1) % n
	}
	return 0, false
}

// stackBase returns a register and an offset from it for a place on the stack: mostly r10, sometimes a copy.
func (g *gen) stackBase(off int) (base, from int) {
	if g.c.Pick(4) != 3 {
		return 10, off
	}
	r := g.writable()
	by := g.c.Pick(g.f.stack)
	g.movReg(r, 10)
	g.emit(bpf.Insn{Op: bpf.ClassALU64 | bpf.ALUAdd, Dst: uint8(r), Imm: int32(-by)})
	g.f.s.reg[r] = val{kind: frame}
	return r, off + by
}

// stack stores to or loads from the stack.
func (g *gen) stack() {
	f, size := g.f, choices.One(g.c, sizes...)
	n := bytesOf(size)
	if g.c.Pick(2) == 1 {
		if off, ok := g.filled(n); ok {
			base, from := g.stackBase(off)
			g.load(size, g.writable(), base, from)
			return
		}
	}
	off := g.slot(n)
	if f.s.spilled[word(off)].kind != none && n < 8 {
		size, n, off = bpf.SizeDW, 8, off&^7
	}
	g.store(size, off, -1)
	f.s.put(off, n)
}

// store stores a number at off of the stack, if base is negative, else at off from base.
func (g *gen) store(size uint8, off, base int) {
	imm := g.c.Pick(2) == 0
	r := 0
	if !imm {
		n, ok := g.numeric(false)
		r, imm = n, !ok
	}
	if base < 0 {
		base, off = g.stackBase(off)
		if !imm && g.f.s.reg[r].kind != num { // the base took it
			imm = true
		}
	}
	if imm {
		g.storeImm(size, base, off, g.imm())
		return
	}
	g.emit(bpf.Insn{Op: bpf.ClassSTX | bpf.ModeMem | size, Dst: uint8(base), Src: uint8(r), Off: int16(off)})
}

// load loads a number.
func (g *gen) load(size uint8, r, base, off int) {
	op := bpf.ClassLDX | bpf.ModeMem | size
	if size != bpf.SizeDW && g.isa(kernels.ISASignExtend) && g.c.Pick(3) == 1 {
		op = bpf.ClassLDX | bpf.ModeMemSX | size
	}
	g.emit(bpf.Insn{Op: op, Dst: uint8(r), Src: uint8(base), Off: int16(off)})
	g.f.s.reg[r] = val{kind: num}
}

// spills stores an address on the stack, or loads one back.
func (g *gen) spills() {
	f := g.f
	if g.c.Pick(2) == 0 {
		off := g.slot(8)
		for r := range f.s.reg {
			if v := f.s.reg[r]; v.kind == value || v.kind == ctx {
				g.emit(bpf.Insn{Op: bpf.ClassSTX | bpf.ModeMem | bpf.SizeDW, Dst: 10, Src: uint8(r), Off: int16(off)})
				f.s.spill(off, v)
				return
			}
		}
	}
	for w := range f.s.spilled {
		if v := f.s.spilled[w]; v.kind != none {
			r := g.writable()
			g.emit(bpf.Insn{Op: bpf.ClassLDX | bpf.ModeMem | bpf.SizeDW, Dst: uint8(r), Src: 10, Off: int16(8*w - 8*words)})
			f.s.reg[r] = v
			return
		}
	}
	g.stack()
}

// address returns a register with an address of memory other than the stack.
func (g *gen) address() int { return g.addressOf(true) }

// aligned is address where the address is a multiple of 8 less the lowest offset.
func (g *gen) aligned() int { return g.addressOf(false) }

func (g *gen) addressOf(loose bool) int {
	f := g.f
	if g.c.Pick(2) == 1 {
		for r := range f.s.reg {
			if v := &f.s.reg[r]; v.kind == value && (loose || !v.loose) {
				return r
			}
		}
	}
	r := g.writable()
	if !g.can.values() {
		return g.tableValue()
	}
	at := choices.One(g.c, 0, 8, 128, 512, 1000, g.c.Pick(bufSize))
	g.mapValue(r, MapBuf, at)
	f.s.reg[r] = val{kind: value, lo: int16(-at), hi: int16(bufSize - at)}
	return r
}

// offset chooses an offset at which size bytes can be accessed.
func (g *gen) offset(v val, size, align int) int {
	lo, hi := int(v.lo), int(v.hi)-size
	off := choices.One(g.c, 0, 8, 120, 127, 128, 129, -8, -120, -128, -129, -136, 500, lo, hi, lo+g.c.Pick(hi-lo+1))
	if align > 1 {
		off -= ((off-lo)%align + align) % align
	}
	return min(max(off, lo), hi)
}

// memory accesses a map value.
func (g *gen) memory() {
	r := g.address()
	for n := 1 + g.c.Pick(3); n > 0; n-- {
		size := choices.One(g.c, sizes...)
		off := g.offset(g.f.s.reg[r], bytesOf(size), 1)
		if g.c.Pick(2) == 0 {
			g.store(size, off, r)
			continue
		}
		to := g.writable()
		g.load(size, to, r, off)
		if to == r {
			return
		}
	}
}

// indexed accesses a map value at an offset that is not known.
func (g *gen) indexed() {
	if !g.can.values() {
		g.memory()
		return
	}
	f, i := g.f, g.dst()
	r := g.writable()
	if r == i {
		g.memory()
		return
	}
	mask := choices.One[int32](g.c, 7, 63, 255)
	g.emit(bpf.Insn{Op: g.class() | bpf.ALUAnd, Dst: uint8(i), Imm: mask})
	g.mapValue(r, MapBuf, 256)
	f.s.reg[r] = val{kind: other}
	g.emit(bpf.Insn{Op: bpf.ClassALU64 | bpf.SrcReg | bpf.ALUAdd, Dst: uint8(r), Src: uint8(i)})
	f.s.reg[r] = val{kind: value, lo: -256, hi: int16(bufSize - 256 - mask), loose: true}
	size := choices.One(g.c, sizes...)
	if off := g.offset(f.s.reg[r], bytesOf(size), 1); g.c.Pick(2) == 0 {
		g.store(size, off, r)
	} else {
		g.load(size, r, r, off)
	}
}

// atomics, the simplest first.
var (
	oldAtomics = []int32{bpf.ALUAdd}
	newAtomics = []int32{
		bpf.ALUAdd, bpf.ALUAnd, bpf.ALUOr, bpf.ALUXor, bpf.ALUAdd | bpf.AtomicFetch, bpf.ALUAnd | bpf.AtomicFetch,
		bpf.ALUOr | bpf.AtomicFetch, bpf.ALUXor | bpf.AtomicFetch, bpf.AtomicXchg, bpf.AtomicCmpXchg,
	}
)

// atomic is an atomic operation on a map value or the stack.
func (g *gen) atomic() {
	f := g.f
	if g.isa(kernels.ISALoadAcquire) && g.c.Pick(3) == 2 {
		g.ordered()
		return
	}
	ops := oldAtomics
	if g.isa(kernels.ISAAtomics) {
		ops = newAtomics
	}
	size := choices.One[uint8](g.c, bpf.SizeDW, bpf.SizeW)
	n := bytesOf(size)
	in := bpf.Insn{Op: bpf.ClassSTX | bpf.ModeAtomic | size, Imm: choices.One(g.c, ops...)}
	src := g.dst()
	var base, off int
	if at, ok := g.filled(n); ok && g.c.Pick(2) == 1 && f.held>>uint(word(at))&1 == 0 {
		base, off = g.stackBase(at)
	} else {
		base = g.aligned()
		off = g.offset(f.s.reg[base], n, n)
	}
	if f.s.reg[src].kind != num || f.locked.Has(src) && in.Imm&bpf.AtomicFetch != 0 {
		return // the base took it
	}
	if in.Imm == bpf.AtomicCmpXchg && f.s.reg[0].kind != num {
		if base == 0 || f.locked.Has(0) {
			return
		}
		g.movImm(0, g.imm())
	}
	if in.Imm == bpf.AtomicCmpXchg && g.c.Pick(2) == 1 {
		g.expect(size, base, src, off)
	}
	in.Dst, in.Src, in.Off = uint8(base), uint8(src), int16(off)
	g.emit(in)
}

// expect gives R0 the value that a compare-and-exchange finds, and if that has 4 bytes something in its upper half.
func (g *gen) expect(size uint8, base, src, off int) {
	if base == 0 || src == 0 || g.f.locked.Has(0) {
		return
	}
	g.emit(bpf.Insn{Op: bpf.ClassLDX | bpf.ModeMem | size, Src: uint8(base), Off: int16(off)})
	g.f.s.reg[0] = val{kind: num}
	t := g.writable()
	if size == bpf.SizeDW || t == 0 || t == base || t == src {
		return
	}
	g.wide(t, 0, 0, 1)
	g.f.s.reg[t] = val{kind: num}
	g.emit(bpf.Insn{Op: bpf.ClassALU64 | bpf.SrcReg | bpf.ALUOr, Src: uint8(t)})
}

// ordered is a load-acquire or store-release.
func (g *gen) ordered() {
	size := choices.One(g.c, sizes...)
	n := bytesOf(size)
	base := g.aligned()
	off := g.offset(g.f.s.reg[base], n, n)
	in := bpf.Insn{Op: bpf.ClassSTX | bpf.ModeAtomic | size, Off: int16(off)}
	if g.c.Pick(2) == 0 {
		r := g.writable()
		in.Dst, in.Src, in.Imm = uint8(r), uint8(base), bpf.AtomicLoadAcq
		g.emit(in)
		g.f.s.reg[r] = val{kind: num}
		return
	}
	if r, ok := g.numeric(false); ok {
		in.Dst, in.Src, in.Imm = uint8(base), uint8(r), bpf.AtomicStRel
		g.emit(in)
	}
}

// orderedInArena is a load-acquire or store-release in an arena.
func (g *gen) orderedInArena(size uint8, r int, off int16) {
	in := bpf.Insn{Op: bpf.ClassSTX | bpf.ModeAtomic | size, Off: off &^ 7}
	if !g.isa(kernels.ISALoadAcquire) {
		return
	}
	if s, ok := g.numeric(false); ok && g.c.Pick(2) == 0 {
		in.Dst, in.Src, in.Imm = uint8(r), uint8(s), bpf.AtomicStRel
		g.emit(in)
		return
	}
	to := g.writable()
	in.Dst, in.Src, in.Imm = uint8(to), uint8(r), bpf.AtomicLoadAcq
	g.emit(in)
	g.f.s.reg[to] = val{} // a fault leaves it as it was, or clears it
}

func (g *gen) canArena() bool { return g.isa(kernels.ISAArena) }

// inArena accesses an arena, in which no page is: loads give 0 and stores do nothing.
func (g *gen) inArena() {
	f := g.f
	m := g.writable()
	g.wide(m, bpf.PseudoMap, MapArena, 0)
	f.s.reg[m] = val{}
	r := g.dst()
	g.emit(bpf.Insn{Op: bpf.ClassALU64 | bpf.SrcReg | bpf.ALUMov, Dst: uint8(r), Src: uint8(r), Off: bpf.AddrSpaceCast, Imm: bpf.CastKernelImm})
	f.s.reg[r] = val{kind: arena}
	size := choices.One(g.c, sizes...)
	off := int16(choices.One(g.c, 0, 8, -8, 127, 128, -128, -129, 4000))
	switch g.c.Pick(5) {
	default:
		g.storeImm(size, r, int(off), g.imm())
	case 4:
		g.orderedInArena(size, r, off)
	case 1:
		if s, ok := g.numeric(false); ok {
			g.emit(bpf.Insn{Op: bpf.ClassSTX | bpf.ModeMem | size, Dst: uint8(r), Src: uint8(s), Off: off})
		}
	case 2:
		to := g.writable()
		op := bpf.ClassLDX | bpf.ModeMem | size
		if size != bpf.SizeDW && g.isa(kernels.ISAArenaSignExtend) && g.c.Pick(2) == 1 {
			op = bpf.ClassLDX | bpf.ModeMemSX | size
		}
		g.emit(bpf.Insn{Op: op, Dst: uint8(to), Src: uint8(r), Off: off})
		f.s.reg[to] = val{kind: num}
	case 3:
		if s, ok := g.numeric(false); ok {
			size = choices.One[uint8](g.c, bpf.SizeDW, bpf.SizeW)
			g.emit(bpf.Insn{
				Op: bpf.ClassSTX | bpf.ModeAtomic | size, Dst: uint8(r), Src: uint8(s), Off: off &^ 7,
				Imm: choices.One[int32](g.c, bpf.ALUAdd, bpf.ALUAnd, bpf.ALUOr, bpf.ALUXor),
			})
		}
	}
	f.s.reg[r] = val{}
	if f.s.reg[r].kind == none && !f.locked.Has(r) {
		g.movImm(r, 0)
	}
}
