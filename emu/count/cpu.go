// SPDX-License-Identifier: GPL-2.0-only

package count

import (
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// CPU is the machine that is stepped. Addresses are those of the emulated kernel; widths are in
// bytes, 1 to 8. The machine's state is the truth; the analysis only says where values came from.
type CPU interface {
	// Regs reads the registers, SetRegs replaces them, flags excepted.
	Regs() (Regs, error)
	SetRegs(Regs) error
	// Step executes the instruction at RIP and returns the registers after it.
	Step() (Regs, error)
	// Leave executes what is outside the images from RIP on until it returns there, and says how
	// many instructions it retired: a helper, after the call that reached it.
	Leave() (Regs, uint64, error)
	// Inst decodes the instruction at a.
	Inst(a image.Addr) (*x86.Inst, error)
	Load(a uint64, w uint8) (uint64, error)
	Store(a uint64, w uint8, v uint64) error
	// GSBase is the base of gs: accesses.
	GSBase() uint64
}

// Fault is returned by CPU.Step and CPU.Leave if the executed code faults.
type Fault struct{ Err error }

func (f *Fault) Error() string { return f.Err.Error() }

// Unwrap returns what the machine reported.
func (f *Fault) Unwrap() error { return f.Err }

// Regs are the general purpose registers in x86.Reg order and the instruction pointer.
type Regs struct {
	R   [16]uint64
	RIP image.Addr
}

// Helper says what a function outside the images depends on and does. Every caller-saved
// register is overwritten.
type Helper struct {
	Name string
	// Reads lists what decides the result: argument registers, and memory that they point to.
	Regs []x86.Reg
	Mem  []HelperMem
	// Writes lists the memory that it changes; what it leaves there depends on Regs and Mem only.
	Writes []HelperMem
	// Opaque says that it reads or writes anything else: time, random numbers, map contents. A
	// call in which it happens is executed every time.
	Opaque bool
}

// HelperMem is Size bytes of memory at the address in Reg plus Off, which wraps around.
type HelperMem struct {
	Reg  x86.Reg
	Off  uint64
	Size int
}
