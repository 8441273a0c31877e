// SPDX-License-Identifier: GPL-2.0-only

package tracetest

import (
	"fmt"

	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

func (m *Machine) ea(in *x86.Inst) image.Addr {
	switch {
	case in.Stack.Any():
		return image.Addr(m.Regs[in.Stack.Base] + uint64(int64(in.Stack.Off)))
	case in.HasMem && (in.Load || in.Store):
		return m.addr(in)
	}
	return 0
}

func (m *Machine) addr(in *x86.Inst) image.Addr {
	a := uint64(in.Mem.Disp)
	if in.Mem.RIPRel {
		a += uint64(in.Next())
	}
	if in.Mem.Base != x86.RegNone {
		a += m.Regs[in.Mem.Base]
	}
	if in.Mem.Index != x86.RegNone {
		a += m.Regs[in.Mem.Index] * uint64(in.Mem.Scale)
	}
	return image.Addr(a)
}

func (m *Machine) load(in *x86.Inst, n int) uint64 {
	switch o := in.Operands[n]; o.Kind {
	case x86.OpReg:
		return mask(m.Regs[o.Reg], o.Bits)
	case x86.OpMem:
		return m.Read(m.addr(in), int(in.Mem.Size))
	case x86.OpImm:
		return mask(uint64(o.Imm), in.OpBits)
	}
	panic("BUG: operand of no kind")
}

func (m *Machine) store(in *x86.Inst, v uint64) {
	switch o := in.Operands[0]; o.Kind {
	case x86.OpReg:
		m.Regs[o.Reg] = mask(v, o.Bits)
	case x86.OpMem:
		m.Write(m.addr(in), v, int(in.Mem.Size))
	}
}

func mask(v uint64, bits uint16) uint64 {
	if bits >= 64 {
		return v
	}
	return v & (1<<bits - 1)
}

func (m *Machine) push(v uint64) {
	m.Regs[x86.RSP] -= 8
	m.Write(image.Addr(m.Regs[x86.RSP]), v, 8)
}

func (m *Machine) pop() uint64 {
	v := m.Read(image.Addr(m.Regs[x86.RSP]), 8)
	m.Regs[x86.RSP] += 8
	return v
}

func (m *Machine) exec(in *x86.Inst) error {
	if in.OpBits < 32 && !in.IsNop {
		return fmt.Errorf("%s: width not modelled", in)
	}
	next := in.Next()
	switch {
	case in.IsNop || in.Op == "endbr64":
	case in.Branch != x86.BranchNone:
		to, err := m.branch(in)
		if err != nil {
			return err
		}
		next = to
	default:
		if err := m.data(in); err != nil {
			return err
		}
	}
	m.RIP = next
	return nil
}

func (m *Machine) data(in *x86.Inst) error {
	switch in.Op {
	case "mov":
		m.store(in, m.load(in, 1))
	case "push":
		m.push(m.load(in, 0))
	case "pop":
		m.store(in, m.pop())
	case "leave":
		m.Regs[x86.RSP] = m.Regs[x86.RBP]
		m.Regs[x86.RBP] = m.pop()
	case "add", "sub", "cmp", "xor", "test", "and":
		m.alu(in)
	default:
		return fmt.Errorf("%s: not modelled", in)
	}
	return nil
}

func (m *Machine) alu(in *x86.Inst) {
	a, b := m.load(in, 0), m.load(in, 1)
	var v uint64
	switch in.Op {
	case "add":
		v = mask(a+b, in.OpBits)
		m.cf = v < a
	case "sub", "cmp":
		v = mask(a-b, in.OpBits)
		m.cf = a < b
	case "xor":
		v, m.cf = a^b, false
	case "test", "and":
		v, m.cf = a&b, false
	}
	m.zf = v == 0
	if in.Op != "cmp" && in.Op != "test" {
		m.store(in, v)
	}
}

func (m *Machine) branch(in *x86.Inst) (image.Addr, error) {
	switch in.Branch {
	case x86.BranchJump:
		return in.Target, nil
	case x86.BranchJumpIndirect:
		return image.Addr(m.load(in, 0)), nil
	case x86.BranchCall:
		m.push(uint64(in.Next()))
		return in.Target, nil
	case x86.BranchRet:
		return image.Addr(m.pop()), nil
	case x86.BranchCond:
		var yes bool
		switch in.Cond &^ 1 {
		case x86.CondB:
			yes = m.cf
		case x86.CondE:
			yes = m.zf
		case x86.CondBE:
			yes = m.cf || m.zf
		default:
			return 0, fmt.Errorf("%s: not modelled", in)
		}
		if yes != (in.Cond&1 != 0) {
			return in.Target, nil
		}
		return in.Next(), nil
	}
	return 0, fmt.Errorf("%s: not modelled", in)
}

// Junk is what a helper leaves in the registers it may use.
const Junk = 0xffffdeadbeef5a5a

var callerSaved = []x86.Reg{x86.RAX, x86.RCX, x86.RDX, x86.RSI, x86.RDI, x86.R8, x86.R9, x86.R10, x86.R11}
