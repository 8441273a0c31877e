// SPDX-License-Identifier: GPL-2.0-only

package emu

import (
	"fmt"
	"strings"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// Regs are the general purpose registers by x86.Reg.
type Regs [16]uint64

// FaultKind says what went wrong.
type FaultKind uint8

// The kinds of faults.
const (
	FaultAccess    FaultKind = iota + 1 // data access to memory that is not mapped, or read-only
	FaultFetch                          // control went to memory that is not mapped, or not executable
	FaultGuard                          // access to the page below or above the stack
	FaultBreak                          // int3 reached
	FaultDecode                         // instruction that is unknown, or not allowed, such as rdtsc
	FaultDivide                         // division by zero or overflow
	FaultException                      // any other processor exception
	FaultHelper                         // a helper failed: Err
	FaultFlags                          // the kernel is entered with flags that it does not allow: Err
	FaultEngine                         // an instruction that the engine gets wrong: Err
)

var faultNames = [...]string{
	FaultAccess: "invalid memory access", FaultFetch: "jump to invalid memory", FaultGuard: "stack overflow",
	FaultBreak: "int3 reached", FaultDecode: "undecodable instruction", FaultDivide: "divide error",
	FaultException: "processor exception", FaultHelper: "helper failed",
	FaultFlags:  "wrong flags for the kernel",
	FaultEngine: "the engine gets this form wrong",
}

// String returns the kind in words.
func (k FaultKind) String() string { return faultNames[k] }

// Fault is the error of a run that cannot go on. The machine keeps the state, so that memory can
// be looked at.
type Fault struct {
	Kind FaultKind
	RIP  image.Addr // of the faulting instruction
	Regs Regs
	// Access is the address whose access faulted; 0 for kinds without one. Write says that it was
	// a store; it is known from the decoded instruction.
	Access image.Addr
	Write  bool
	Vector int // processor exception number, -1 if none

	// Image, Func and Insn say whose code it is: Func is nil outside the images, HasInsn false in
	// prologues, epilogues and where the compiler's map is unknown.
	Image   int
	Func    *image.FuncImage
	Insn    bpf.InsnIndex
	HasInsn bool

	Seq uint64 // instructions retired before; 0 if the run did not record
	// Last are the last instructions retired, oldest first, at most 16; none if the run did not
	// record.
	Last []image.Addr
	// Name is the helper of FaultHelper; "" if the instruction that calls helpers was executed
	// elsewhere, RIP then being where its block begins.
	Name string
	Err  error // cause, may be nil
}

// Unwrap returns the cause.
func (f *Fault) Unwrap() error { return f.Err }

// Error says everything on one line, without the registers.
func (f *Fault) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s at %#x", f.Kind, uint64(f.RIP))
	if f.Func != nil {
		fmt.Fprintf(&b, " (%s+%#x", f.Func.Name, uint64(f.RIP-f.Func.Addr))
		if f.HasInsn {
			fmt.Fprintf(&b, ", BPF instruction %d", f.Insn)
		}
		b.WriteString(")")
	}
	switch f.Kind {
	case FaultAccess, FaultGuard:
		verb := "read"
		if f.Write {
			verb = "write"
		}
		fmt.Fprintf(&b, ": %s of %#x", verb, uint64(f.Access))
	case FaultException:
		fmt.Fprintf(&b, ": vector %d", f.Vector)
	case FaultHelper, FaultFlags:
		if f.Name != "" {
			fmt.Fprintf(&b, ": %s", f.Name)
		}
	}
	if f.Err != nil {
		fmt.Fprintf(&b, ": %v", f.Err)
	}
	return b.String()
}

// Detail returns the registers and the last instructions, for a report of several lines.
func (f *Fault) Detail() string {
	var b strings.Builder
	for i, v := range f.Regs {
		end := "  "
		if i%4 == 3 {
			end = "\n"
		}
		fmt.Fprintf(&b, "%-3s %016x%s", x86.Reg(i), v, end)
	}
	if len(f.Last) != 0 {
		b.WriteString("last retired:")
		for _, a := range f.Last {
			fmt.Fprintf(&b, " %x", uint64(a))
		}
		b.WriteByte('\n')
	}
	return b.String()
}
