// SPDX-License-Identifier: GPL-2.0-only

package design

import (
	"github.com/tcsim/tcsim/jit/emit"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// hierTask is the third version of the hierarchy fix (April 2024): the counter is a field of the
// current task, which entering a main program resets. A program that interrupts another in the same
// task resets it as well.
//
//	rbp+8   return address
//	rbp     saved rbp
//	rbp-sd  stack of the program, sd bytes rounded up to 8
//	        rbx, r13, r14, r15 as used                             <- rsp
//
//	current->bpf_tail_call_cnt, a dword
//
// From a description of the patch "bpf, x64: Fix tailcall hierarchy" (v3 2/3); what it leaves open is
// as in 6.7. The routines are called out of line.
type hierTask struct{ kernelCounter }

func (hierTask) traits() Traits {
	return Traits{
		Name: "hier-task", Source: "v3 of April 2024, described", Evidence: BySource,
		Counting: CountInvocation, Empty: EmptyCounts, Handover: HandNothing, Boundary: BoundaryNone,
		Routines: []image.RoutineKind{image.TaskReset, image.TaskAddr},
		Faults: []Fault{
			{"limit", ShownByInterrupt, "a program that interrupts another in the same task begins the count anew"},
			{"semantics", ShownByInterrupt, "a program that interrupts another in the same task uses up its budget"},
		},
		Shape: Shape{Reused: No, Counter: CounterPlace{Base: CounterCalled}, Call: CallReads},
	}
}

func (h hierTask) Prologue(e *emit.Writer) { h.prologueWith(e, image.Routine{Kind: image.TaskReset}) }

// count jumps to out if the counter has reached the limit, and adds one to it.
func (hierTask) count(e *emit.Writer, s *image.TailCallSite) {
	e.CallRoutine(image.Routine{Kind: image.TaskAddr})     // e8 rel32
	e.Cmp32MI8(x86.M0(x86.RAX), int8(e.Func.Config.Limit)) // 83 38 21
	s.Limit = e.JumpOut(x86.FormJaeD8)
	s.Bump = image.CodeOff(e.Len())
	e.Inc32M(x86.M0(x86.RAX)) // ff 00
}

func (h hierTask) Indirect(e *emit.Writer, s *image.TailCallSite) error {
	e.Bounds(s)
	h.count(e, s)
	e.LoadProg(s)
	h.unwind(e, s)
	return e.LeaveIndirect(s, h.Landing(e.Func.Config))
}

func (h hierTask) Direct(e *emit.Writer, s *image.TailCallSite) error {
	h.count(e, s)
	e.Bypass(s)
	h.unwind(e, s)
	e.LeaveDirect(s)
	return nil
}
