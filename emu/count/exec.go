// SPDX-License-Identifier: GPL-2.0-only

package count

import (
	"github.com/tcsim/tcsim/jit/x86"
)

// place is where an operand lives: a register, or memory at an address. With w 0 it is neither.
type place struct {
	mem bool
	reg x86.Reg
	w   uint8 // bytes
	at  uint64
}

func errUnknown(in *insn) error {
	return undecided("the analysis does not know the instruction %q at %#x", in.String(), uint64(in.PC))
}

// follow records in the current frame what the instruction at rip will do to the forms. It runs
// before the machine executes the instruction and covers everything but calls and returns.
func (c *counter) follow(in *insn) error {
	if in.IsNop {
		return nil
	}
	if in.Rep || !in.Known || in.Trap || in.HasMem && (in.Mem.Addr32 || in.Mem.Seg == x86.SegFS) {
		return errUnknown(in)
	}
	for _, o := range in.Ops() {
		switch {
		case o.Kind == x86.OpOther:
			return errUnknown(in)
		case o.High:
			return c.pinAll(in, in.Reads)
		}
	}
	switch in.Op {
	case "push":
		c.pushWord(c.source(in, 0))
	case "pop":
		o := c.popWord()
		c.write(c.place(in, 0), o)
	case "leave":
		o := c.read(c.stackWord(x86.RBP, 0))
		c.top.regs[x86.RSP] = c.top.address(operand{c.top.regs[x86.RBP], c.r.R[x86.RBP]}).plus(8, 8)
		c.top.regs[x86.RBP] = o.f
	case "mov":
		o := c.source(in, 1)
		c.write(c.place(in, 0), o)
	case "movzx":
		o := c.source(in, 1)
		p := c.place(in, 0)
		if p.w >= 4 { // the rest becomes zero
			p.w = 8
		}
		c.write(p, o)
	case "lea":
		c.lea(in)
	case "add", "sub", "xadd":
		if in.ZeroIdiom {
			return c.pinAll(in, in.Reads)
		}
		c.sum(in)
	case "cmp", "test":
		dst := c.read(c.place(in, 0))
		c.top.flags, c.top.noFlags = [2]operand{dst, c.source(in, 1)}, false
	default:
		return c.pinAll(in, in.Reads)
	}
	return nil
}

// place resolves operand n, pinning what its address depends on.
func (c *counter) place(in *insn, n int) place {
	switch o := in.Operands[n]; o.Kind {
	case x86.OpReg:
		return place{reg: o.Reg, w: uint8(o.Bits / 8)}
	case x86.OpMem:
		return c.explicit(in)
	}
	return place{}
}

// explicit is the explicit memory operand. What its address depends on is pinned.
func (c *counter) explicit(in *insn) place {
	m, a, f := &in.Mem, uint64(in.Mem.Disp), form{}
	if m.RIPRel {
		a += uint64(in.Next())
	}
	if m.Base != x86.RegNone {
		v := c.r.R[m.Base]
		f = c.top.address(operand{c.top.regs[m.Base], v})
		a += v
	}
	if m.Index != x86.RegNone {
		v := c.r.R[m.Index]
		c.top.pin(operand{c.top.regs[m.Index], v})
		a += v * uint64(m.Scale)
	}
	if m.Seg == x86.SegGS {
		a += c.cpu.GSBase()
	}
	w := uint8(m.Size)
	c.top.reach(f, a, w)
	return place{mem: true, at: a, w: w}
}

// stackWord is the 8-byte word at a register plus d.
func (c *counter) stackWord(r x86.Reg, d uint64) place {
	a := c.r.R[r] + d
	c.top.reach(c.top.address(operand{c.top.regs[r], c.r.R[r]}), a, 8)
	return place{mem: true, at: a, w: 8}
}

func (c *counter) pushWord(o operand) {
	c.write(c.stackWord(x86.RSP, ^uint64(7)), o)
	c.top.regs[x86.RSP] = c.top.regs[x86.RSP].plus(^uint64(7), 8)
}

func (c *counter) popWord() operand {
	o := c.read(c.stackWord(x86.RSP, 0))
	c.top.regs[x86.RSP] = c.top.regs[x86.RSP].plus(8, 8)
	return o
}

// source reads operand n, which may be an immediate.
func (c *counter) source(in *insn, n int) operand {
	if in.Operands[n].Kind == x86.OpImm {
		return constant(uint64(in.Operands[n].Imm))
	}
	return c.read(c.place(in, n))
}

// read returns the operand at p, as wide as p.
func (c *counter) read(p place) operand {
	if p.mem {
		v := c.mem.peek(p.at, p.w)
		return operand{c.top.load(p.at, p.w, v), v}
	}
	return c.narrow(operand{c.top.regs[p.reg], c.r.R[p.reg]}, p.w)
}

// narrow takes the low w bytes of a value, pinned if that cannot be expressed.
func (c *counter) narrow(o operand, w uint8) operand {
	v := mask(o.v, w)
	switch f := o.f; {
	case w >= 8, f.kind == formConst:
		return operand{f, v}
	case f.kind == formInput && f.in.w == w:
		f.low, f.wide = false, 0
		return operand{f, v}
	case f.kind == formInput && f.in.w < w && !f.low:
		return operand{f, v}
	}
	c.top.pin(o)
	return constant(v)
}

// write records that a place gets the low bytes of a value, zero-extended in a register.
func (c *counter) write(p place, o operand) {
	fr := c.top
	if p.w < 4 && !p.mem { // the rest of the register stays
		fr.pin(o)
		fr.pin(operand{fr.regs[p.reg], c.r.R[p.reg]})
		fr.regs[p.reg] = form{}
		return
	}
	o = c.narrow(o, p.w)
	if !p.mem {
		fr.regs[p.reg] = o.f
		return
	}
	if o.f.low { // memory holds only what is known whole
		fr.pin(o)
		o.f = form{}
	}
	fr.store(p.at, p.w, o)
}

func (c *counter) lea(in *insn) {
	fr, m, dst := c.top, &in.Mem, in.Operands[0].Reg
	if m.Index == x86.RegNone && m.Base != x86.RegNone && !m.RIPRel && in.OpBits == 64 {
		fr.regs[dst] = fr.regs[m.Base].plus(uint64(m.Disp), 8)
		return
	}
	for _, r := range []x86.Reg{m.Base, m.Index} {
		if r != x86.RegNone {
			fr.pin(operand{fr.regs[r], c.r.R[r]})
		}
	}
	fr.regs[dst] = form{}
}

// sum is add, sub and xadd: a constant added to a form keeps it.
func (c *counter) sum(in *insn) {
	fr := c.top
	p := c.place(in, 0)
	dst, src := c.read(p), c.source(in, 1)
	fr.flags, fr.noFlags = [2]operand{dst, src}, false
	out := operand{v: dst.v + src.v}
	if in.Op == "sub" {
		out.v = dst.v - src.v
	}
	switch {
	case src.f.kind == formConst:
		out.f = dst.f.plus(out.v-dst.v, p.w)
	case dst.f.kind == formConst && in.Op != "sub":
		out.f = src.f.plus(dst.v, p.w)
	default:
		fr.pin(dst)
		fr.pin(src)
	}
	if in.Op == "xadd" { // the old value goes to the source, first: dst wins if they are the same
		c.write(c.place(in, 1), dst)
	}
	c.write(p, out)
}

// pinAll pins the registers, flags and memory that an instruction reads and makes everything that
// it writes a constant. Where it goes depends on nothing else.
func (c *counter) pinAll(in *insn, reads x86.RegSet) error {
	fr := c.top
	if in.Stack.Any() && in.Branch == x86.BranchNone {
		return errUnknown(in)
	}
	// A shift by cl keeps the flags or sets all of them, and does not look at them.
	keeps := in.ReadsFlags != 0 && in.ReadsFlags == in.WritesFlags
	if in.ReadsFlags != 0 && !keeps {
		if fr.noFlags {
			return undecided("%q at %#x reads flags that a call left behind", in.String(), uint64(in.PC))
		}
		fr.pinFlags()
	}
	for r := range reads.All {
		fr.pin(operand{fr.regs[r], c.r.R[r]})
	}
	if in.Load || in.Store {
		if in.Mem.Size == 0 || in.Mem.Size > 8 {
			return errUnknown(in)
		}
		p := c.explicit(in)
		if in.Load {
			v := c.mem.peek(p.at, p.w)
			fr.pin(operand{fr.load(p.at, p.w, v), v})
		}
		if in.Store {
			fr.store(p.at, p.w, operand{})
		}
	}
	for r := range in.Writes.All {
		if r != x86.RSP || !in.Stack.Any() { // what a call pushes is followed
			fr.regs[r] = form{}
		}
	}
	switch {
	case keeps || in.WritesFlags == 0:
	case in.WritesFlags&x86.FlagsStatus == x86.FlagsStatus:
		fr.flags, fr.noFlags = [2]operand{}, false
	default: // the others stay as they are
		fr.pinFlags()
	}
	return nil
}

// pinFlags pins what the flags come from.
func (fr *frame) pinFlags() {
	for _, o := range fr.flags {
		fr.pin(o)
	}
	fr.flags = [2]operand{}
}
