// SPDX-License-Identifier: GPL-2.0-only

package source

import (
	"github.com/tcsim/tcsim/jit/image"
)

// Processor runs the compiled code: emu.Processor. All mapped pages can be read, written and executed.
type Processor interface {
	// Map maps the pages of [addr, addr+size) that are not mapped yet, zeroed; Unmap forgets those of
	// [from, to).
	Map(addr image.Addr, size uint64) error
	Unmap(from, to image.Addr) error
	// Write and Read need mapped memory. WriteCode is Write for what may have been executed.
	Write(addr image.Addr, b []byte) error
	WriteCode(addr image.Addr, b []byte) error
	Read(addr image.Addr, b []byte) error
	// Execute runs from rip with registers in the order of x86.Reg until a hlt, an exception or the
	// end of the budget, which counts pieces of code that a jump ends.
	Execute(rip image.Addr, regs *[16]uint64, blocks uint64) (Stop, error)
	// Watch notes from now on which pieces of the code in [from, from+size) are begun; a size of 0 ends that. Begun returns their
	// addresses, in order, and forgets them.
	Watch(from image.Addr, size uint64) error
	Begun() []image.Addr
	Close() error
}

// StopReason says why a Processor stopped.
type StopReason uint8

// The reasons.
const (
	StoppedByHalt      StopReason = iota // a hlt; RIP is after it
	StoppedByAccess                      // a page fault at Addr
	StoppedByException                   // another exception
	StoppedByBudget
)

// Stop is the end of an Execute.
type Stop struct {
	Reason StopReason
	RIP    image.Addr
	Addr   image.Addr
	Blocks uint64 // how many were begun
	Text   string // what the engine says, if it says anything
}
