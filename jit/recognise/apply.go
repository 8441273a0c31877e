// SPDX-License-Identifier: GPL-2.0-only

package recognise

import "github.com/tcsim/tcsim/jit/x86"

// push stores v below rsp.
func (w *walker) push(v sym, insn int, rax bool) {
	w.setRSP(w.s.rsp - 8)
	w.s.mem[w.s.rsp] = store{val: v, insn: insn, rax: rax}
}

func (w *walker) setRSP(v int32) {
	w.s.rsp = v
	w.s.regs[x86.RSP] = sym{kind: symStack, off: v}
}

// apply changes the state as instruction i does. It reports false if the stack pointer is lost.
func (w *walker) apply(i int) bool {
	in := &w.insns[i]
	switch in.Op {
	case "push":
		o := &in.Operands[0]
		switch o.Kind {
		case x86.OpReg:
			w.push(w.s.regs[o.Reg], i, o.Reg == x86.RAX)
		case x86.OpImm:
			w.push(sym{kind: symConst, off: int32(o.Imm)}, i, false)
			if o.Imm == 0 {
				w.p.init = i
			}
		default:
			w.push(sym{}, i, false)
		}
		return true
	case "pop":
		v := w.s.mem[w.s.rsp].val
		delete(w.s.mem, w.s.rsp)
		w.setRSP(w.s.rsp + 8)
		if o := &in.Operands[0]; o.Kind == x86.OpReg {
			if w.p.callback { // what the caller of the frame that it takes over had there
				v = sym{kind: symEntry, reg: o.Reg}
			}
			w.s.regs[o.Reg] = v
		}
		return true
	case "mov":
		return w.move(i)
	case "sub", "add":
		return w.addImm(in)
	case "lea":
		return w.lea(in)
	}
	for reg := range in.Writes.All {
		w.s.regs[reg] = sym{}
	}
	if in.ZeroIdiom {
		w.s.regs[in.Operands[0].Reg] = sym{kind: symConst}
	}
	return !in.Writes.Has(x86.RSP)
}

// addImm handles changes of rsp, rbp and rax by a constant.
func (w *walker) addImm(in *x86.Inst) bool {
	v, imm := in.Imm()
	o := &in.Operands[0]
	if o.Kind != x86.OpReg {
		return true
	}
	if in.Op == "sub" {
		v = -v
	}
	if r := &w.s.regs[o.Reg]; imm && r.kind == symStack && in.OpBits == 64 {
		r.off += int32(v)
	} else {
		*r = sym{}
	}
	if o.Reg == x86.RSP {
		w.s.rsp = w.s.regs[x86.RSP].off
		return w.s.regs[x86.RSP].kind == symStack
	}
	return true
}

// move handles mov between registers, slots and constants.
func (w *walker) move(i int) bool {
	in := &w.insns[i]
	dst, src := &in.Operands[0], &in.Operands[1]
	var v sym
	switch src.Kind {
	case x86.OpReg:
		v = w.s.regs[src.Reg]
	case x86.OpImm:
		v = sym{kind: symConst, off: int32(src.Imm)}
	case x86.OpMem:
		if a, ok := w.address(in); ok {
			v = w.s.mem[a].val
		}
	}
	if dst.Kind == x86.OpMem {
		a, ok := w.address(in)
		if !ok {
			return true
		}
		if src.Kind == x86.OpImm && src.Imm == 0 {
			w.p.init = i
		}
		if slot := a &^ 7; in.OpBits == 64 || w.s.mem[slot].insn == 0 {
			w.s.mem[slot] = store{val: v, insn: i, rax: src.Kind == x86.OpReg && src.Reg == x86.RAX, half: in.OpBits == 32}
		}
		return true
	}
	if dst.Kind != x86.OpReg {
		return true
	}
	if in.OpBits != 64 {
		v = sym{}
	}
	w.s.regs[dst.Reg] = v
	switch {
	case dst.Reg == x86.RSP && v.kind == symStack:
		w.s.rsp = v.off
	case dst.Reg == x86.RSP: // the exception callback works on another stack until it sets rsp to rbp
		w.p.callback = true
	case dst.Reg == x86.RBP && w.p.callback:
		w.s = newSymState()
		w.s.mem[-8] = store{val: sym{kind: symEntry, reg: x86.RBP}}
		w.s.regs[x86.RBP] = sym{kind: symStack, off: -8}
	}
	return true
}

// lea handles addresses on the stack.
func (w *walker) lea(in *x86.Inst) bool {
	r := in.Operands[0].Reg
	a, ok := w.address(in)
	if !ok || in.OpBits != 64 {
		w.s.regs[r] = sym{}
		return r != x86.RSP
	}
	w.s.regs[r] = sym{kind: symStack, off: a}
	if r == x86.RSP {
		w.s.rsp = a
	}
	return true
}

// address returns where the memory operand is on the stack.
func (w *walker) address(in *x86.Inst) (int32, bool) {
	if in.Mem.Index != x86.RegNone || in.Mem.Base > x86.R15 || in.Mem.Seg != x86.SegNone {
		return 0, false
	}
	b := w.s.regs[in.Mem.Base]
	return b.off + int32(in.Mem.Disp), b.kind == symStack
}
