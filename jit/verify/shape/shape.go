// SPDX-License-Identifier: GPL-2.0-only

// Package shape is what a verifier finds out of a whole program without following its paths: mistakes in its form, which
// functions a tail call is reached from, how deep its calls use the stack, exceptions and private stacks. It must not
// import the verifier.
//
//	funcs, err := shape.Form(p, 11, false)
//	stack, err := shape.Depth(p, &kernel.Verifier, funcs, nil, nil)
package shape

import "github.com/tcsim/tcsim/jit/bpf"

// Bounds of programs: registers that instructions may name after the verifier, which has some of its own (r0 to r10 before),
// functions (BPF_MAX_SUBPROGS), frames of calls until 7.1 (MAX_CALL_FRAMES), bytes of stack (MAX_BPF_STACK).
const (
	NumRegs   = 13
	maxFuncs  = 256
	MaxFrames = 8
	MaxStack  = 512
)

// FuncInfo is what the verifier knows of one function.
type FuncInfo struct {
	Name       string
	Start, End bpf.InsnIndex // slots [Start, End)
	// StackDepth is the deepest byte of the BPF stack below r10 that is used, unrounded.
	StackDepth int32
	// TailCallReachable is the verifier's flag (kernel-version dependent, see MarkReachable).
	TailCallReachable bool
	// ExceptionBoundary is set in the main function of a program that calls bpf_throw: it saves
	// every register that the exception callback restores. ExceptionCB is set in the callback.
	ExceptionBoundary, ExceptionCB bool
	// PrivateStack says that the function's BPF stack is in memory of its own, not on the kernel
	// stack (bpf_prog_aux.priv_stack_ptr).
	PrivateStack bool
}
