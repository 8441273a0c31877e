// SPDX-License-Identifier: GPL-2.0-only

package design

import (
	"github.com/tcsim/tcsim/jit/emit"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// hierPerCPUDec is a variant of hierPerCPU (27 February 2024) in which the counter of the CPU begins
// at the limit and goes down to 0.
//
//	rbp+8   return address
//	rbp     saved rbp
//	rbp-sd  stack of the program, sd bytes rounded up to 8
//	        rbx, r13, r14, r15 as used                             <- rsp
//
//	gs:     the tail calls that are left on this CPU, a dword
//
// From a description in the same thread; what it leaves open is as in 6.7.
type hierPerCPUDec struct{ kernelCounter }

func (hierPerCPUDec) traits() Traits {
	return Traits{
		Name: "hier-percpu-dec", Source: "mail of 27 February 2024, described", Evidence: BySource,
		Counting: CountInvocation, Empty: EmptyCounts, Handover: HandNothing, Boundary: BoundaryNone,
		Routines: []image.RoutineKind{image.CPUCounter, image.CPUFill, image.CPUAddr},
		Faults: []Fault{
			{"limit", ShownByInterrupt, "a program that interrupts another on the same CPU begins the count anew"},
			{"semantics", ShownByInterrupt, "a program that interrupts another on the same CPU uses up its budget"},
		},
		Shape: Shape{Reused: No, Counter: CounterPlace{Base: CounterCalled}, Call: CallReadsLeft},
	}
}

func (h hierPerCPUDec) Prologue(e *emit.Writer) {
	h.prologueWith(e, image.Routine{Kind: image.CPUFill, Limit: e.Func.Config.Limit})
}

// count jumps to out if nothing is left, and takes one away.
func (hierPerCPUDec) count(e *emit.Writer, s *image.TailCallSite) {
	e.CallRoutine(image.Routine{Kind: image.CPUAddr}) // e8 rel32
	e.Cmp32MI8(x86.M0(x86.RAX), 0)                    // 83 38 00
	s.Limit = e.JumpOut(x86.FormJeD8)                 // 74 xx
	s.Bump = image.CodeOff(e.Len())
	e.Dec32M(x86.M0(x86.RAX)) // ff 08
}

func (h hierPerCPUDec) Indirect(e *emit.Writer, s *image.TailCallSite) error {
	e.Bounds(s)
	h.count(e, s)
	e.LoadProg(s)
	h.unwind(e, s)
	return e.LeaveIndirect(s, h.Landing(e.Func.Config))
}

func (h hierPerCPUDec) Direct(e *emit.Writer, s *image.TailCallSite) error {
	h.count(e, s)
	e.Bypass(s)
	h.unwind(e, s)
	e.LeaveDirect(s)
	return nil
}

func (h hierPerCPUDec) Frame(f *emit.Func) image.Frame {
	frame := h.kernelCounter.Frame(f)
	frame.Counter = f.PerCPUCounter(image.Routine{Kind: image.CPUCounter})
	return frame
}
