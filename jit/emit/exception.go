// SPDX-License-Identifier: GPL-2.0-only

package emit

import (
	"errors"
	"fmt"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/x86"
)

// special applies what functions of programs that throw and functions with a private stack have of
// their own.
func (f *Func) special() error {
	info := &f.Info
	if info.ExceptionBoundary || info.ExceptionCB {
		if !f.c.design.Boundary || f.Config.Emit.ISA&kernels.ISAExceptions == 0 {
			return fmt.Errorf("exceptions: %w", kernels.ErrUnsupported)
		}
		if info.ExceptionBoundary == f.Sub || info.ExceptionCB && !f.Sub {
			return errors.New("the main function is the exception boundary, and only it")
		}
	}
	if info.ExceptionBoundary {
		f.saved, f.saveR12 = [4]bool{true, true, true, true}, true
	}
	if !info.PrivateStack {
		return nil
	}
	env, ok := f.c.env.(image.PrivateStackEnv)
	if !ok {
		return errors.New("private stacks have no addresses here")
	}
	a, err := env.PrivateStack(f.idx, f.Depth)
	if err != nil {
		return err
	}
	if a == 0 || f.Reachable {
		return fmt.Errorf("private stack at %#x, tail calls: %t", uint64(a), f.Reachable)
	}
	regs := f.c.regs
	regs[bpf.RegFP] = x86.R9
	f.privateFP, f.privateSize, f.regs, f.Depth = a, f.Depth, &regs, 0
	return nil
}

// loadPrivateFP makes r9 the frame pointer of a private stack: emit_priv_frame_ptr.
func (e *Writer) loadPrivateFP() {
	e.movImm64(x86.R9, uint64(e.Func.privateFP))
	off, err := e.Func.c.symbol("this_cpu_off")
	if err != nil {
		e.err = err
	}
	e.GS()
	e.Add64RM(x86.R9, x86.Abs32(int32(off)))
}

// TakeOverFrame is the prologue of an exception callback, which is called with the cookie, rsp and
// rbp of the main function's frame: it restores what that function saved, and then the frame is its
// own (emit_prologue).
func (e *Writer) TakeOverFrame() {
	e.Mov64MR(x86.R(x86.RSP), x86.RSI) // 48 89 f4
	e.Mov64MR(x86.R(x86.RBP), x86.RDX) // 48 89 d5
	for i := len(calleeSaved) - 1; i >= 0; i-- {
		e.Pop64O(calleeSaved[i])
	}
	e.Pop64O(x86.R12)                  // 41 5c
	e.Mov64MR(x86.R(x86.RSP), x86.RBP) // 48 89 ec
}
