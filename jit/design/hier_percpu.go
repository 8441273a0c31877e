// SPDX-License-Identifier: GPL-2.0-only

package design

import (
	"github.com/tcsim/tcsim/jit/emit"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// hierPerCPU is the second version of the hierarchy fix (22 February 2024): one counter per CPU,
// which entering a main program resets. Whatever program interrupts another on the same CPU resets
// it as well.
//
//	rbp+8   return address
//	rbp     saved rbp
//	rbp-sd  stack of the program, sd bytes rounded up to 8
//	        rbx, r13, r14, r15 as used                             <- rsp
//
//	gs:     tail_call_cnt of this CPU, a dword
//
// From a description of the patch "bpf, x64: Fix tailcall hierarchy" (v2 2/3); what it leaves open is
// as in 6.7. The routines are called out of line.
type hierPerCPU struct{ kernelCounter }

func (hierPerCPU) traits() Traits {
	return Traits{
		Name: "hier-percpu", Source: "v2 of 22 February 2024, described", Evidence: BySource,
		Counting: CountInvocation, Empty: EmptyCounts, Handover: HandNothing, Boundary: BoundaryNone,
		Routines: []image.RoutineKind{image.CPUCounter, image.CPUReset, image.CPUFetch},
		Faults: []Fault{
			{"limit", ShownByInterrupt, "a program that interrupts another on the same CPU begins the count anew"},
			{"semantics", ShownByInterrupt, "a program that interrupts another on the same CPU uses up its budget"},
		},
		Shape: Shape{Reused: No, Counter: CounterPlace{Base: CounterCalled}, Call: CallCompares},
	}
}

func (h hierPerCPU) Prologue(e *emit.Writer) { h.prologueWith(e, image.Routine{Kind: image.CPUReset}) }

// count jumps to out if the counter had reached the limit; it has been incremented in any case.
func (hierPerCPU) count(e *emit.Writer, s *image.TailCallSite) {
	s.Bump = image.CodeOff(e.Len())
	e.CallRoutine(image.Routine{Kind: image.CPUFetch})    // e8 rel32
	e.Cmp32MI8(x86.R(x86.RAX), int8(e.Func.Config.Limit)) // 83 f8 21
	s.Limit = e.JumpOut(x86.FormJaeD8)
}

func (h hierPerCPU) Indirect(e *emit.Writer, s *image.TailCallSite) error {
	e.Bounds(s)
	h.count(e, s)
	e.LoadProg(s)
	h.unwind(e, s)
	return e.LeaveIndirect(s, h.Landing(e.Func.Config))
}

func (h hierPerCPU) Direct(e *emit.Writer, s *image.TailCallSite) error {
	h.count(e, s)
	e.Bypass(s)
	h.unwind(e, s)
	e.LeaveDirect(s)
	return nil
}

func (h hierPerCPU) Frame(f *emit.Func) image.Frame {
	frame := h.kernelCounter.Frame(f)
	frame.Counter = f.PerCPUCounter(image.Routine{Kind: image.CPUCounter})
	return frame
}
