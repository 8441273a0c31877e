// SPDX-License-Identifier: GPL-2.0-only

package image

import "fmt"

// Routine is a part of the kernel that belongs to a tail-call design whose counter is outside the
// stack: a function that code calls, or a per-CPU variable.
type Routine struct {
	Kind    RoutineKind
	Limit   uint32 // of CPUFill: what the counter begins with
	Program string // of ProgramCounter: whose it is
}

// RoutineKind is what a routine does.
type RoutineKind uint8

// The routines. The patches have them as inline assembly in bpf_jit_comp.c; which registers they
// spoil beyond rax is not modelled.
const (
	_          RoutineKind = iota
	CPUCounter             // the counter of the CPU, a variable
	// ProgramCounter is the program's counter, a variable of each CPU.
	ProgramCounter
	CPUReset  // makes the counter of the CPU 0
	CPUFetch  // adds 1 to it and returns in eax what it was
	CPUAddr   // returns its address in rax
	TaskReset // makes the counter of the current task 0
	TaskAddr  // returns its address in rax
	// ProgramReset makes the address of a ProgramCounter, which rax gives as it is for all CPUs, that of this
	// CPU's, and sets the counter to 0. ProgramFetch adds 1 to it and returns in eax what it was.
	ProgramReset
	ProgramFetch
	CPUFill // makes the counter of the CPU the limit
)

var routineNames = [...]string{
	CPUCounter: "bpf_tail_call_cnt", CPUReset: "bpf_tail_call_cnt_prepare", CPUFill: "bpf_tail_call_cnt_prepare",
	CPUFetch: "bpf_tail_call_cnt_fetch_and_inc", CPUAddr: "bpf_tail_call_cnt_ptr",
	TaskReset: "bpf_task_tail_call_cnt_prepare", TaskAddr: "bpf_task_tail_call_cnt_ptr",
	ProgramCounter: "bpf_prog_tail_call_cnt", ProgramReset: "bpf_prog_tail_call_cnt_prepare",
	ProgramFetch: "bpf_prog_tail_call_cnt_fetch_and_inc",
}

// RoutineKinds returns all kinds.
func RoutineKinds() []RoutineKind {
	var all []RoutineKind
	for k := CPUCounter; k <= CPUFill; k++ {
		all = append(all, k)
	}
	return all
}

// Variable reports whether it is a per-CPU variable, not a function.
func (k RoutineKind) Variable() bool { return k == CPUCounter || k == ProgramCounter }

// String returns what listings call it. Nothing reads that.
func (r Routine) String() string {
	switch r.Kind {
	case CPUFill:
		return fmt.Sprintf("%s.%d", routineNames[r.Kind], r.Limit)
	case ProgramCounter:
		return routineNames[r.Kind] + ":" + r.Program
	}
	return routineNames[r.Kind]
}

// RoutineEnv is what an Env must be too for designs whose counter is outside the stack.
type RoutineEnv interface {
	// Routine returns the address of a function; that of a variable is its displacement from the gs
	// base.
	Routine(r Routine) (Addr, error)
}
