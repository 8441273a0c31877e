// SPDX-License-Identifier: GPL-2.0-only

package interp

// Step is the machine directly before an instruction. It belongs to the machine and is valid during the call
// only.
type Step struct {
	Prog  int
	Slot  int // of the instruction in Program.Insns
	Depth int // 0 in the program's entry function
	Regs  *[16]uint64
	// Stack is that of the function: byte StackSize+off of it is at r10+off. Written has a bit for each byte that
	// was written.
	Stack   *[StackSize]byte
	Written *[StackSize / 64]uint64
}

// Stepper is told of each instruction directly before it is executed.
type Stepper interface{ Step(*Step) }

// step tells the stepper of the next instruction.
func (m *Machine) step() {
	f := m.mem.top()
	m.now = Step{m.cur.index, m.pc, m.mem.depth, &m.regs, &f.stack, &f.written}
	m.cfg.Stepper.Step(&m.now)
}
