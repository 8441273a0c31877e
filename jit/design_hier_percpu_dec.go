// SPDX-License-Identifier: GPL-2.0-only

package jit

import (
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

func (h hierPerCPUDec) Prologue(e *emitter) {
	h.prologueWith(e, image.Routine{Kind: image.CPUFill, Limit: e.f.t.Limit})
}

// count jumps to out if nothing is left, and takes one away.
func (hierPerCPUDec) count(e *emitter, s *image.TailCallSite) {
	e.callRoutine(image.Routine{Kind: image.CPUAddr}) // e8 rel32
	e.Cmp32MI8(x86.M0(x86.RAX), 0)                    // 83 38 00
	s.Limit = e.jumpOut(x86.FormJeD8)                 // 74 xx
	s.Bump = image.CodeOff(e.Len())
	e.Dec32M(x86.M0(x86.RAX)) // ff 08
}

func (h hierPerCPUDec) Indirect(e *emitter, s *image.TailCallSite) error {
	e.bounds(s)
	h.count(e, s)
	e.loadProg(s)
	h.unwind(e, s)
	return e.leaveIndirect(s, h.Landing(e.f.t))
}

func (h hierPerCPUDec) Direct(e *emitter, s *image.TailCallSite) error {
	h.count(e, s)
	e.bypass(s)
	h.unwind(e, s)
	e.leaveDirect(s)
	return nil
}

func (h hierPerCPUDec) Frame(f *fn) image.Frame {
	frame := h.kernelCounter.Frame(f)
	frame.Counter = f.perCPUCounter(image.Routine{Kind: image.CPUCounter})
	return frame
}
