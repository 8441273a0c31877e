// SPDX-License-Identifier: GPL-2.0-only

package design

import (
	"github.com/tcsim/tcsim/jit/emit"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// kernelCounter is what the proposals of 2024 have in common whose counter is not on the stack: a
// kernel routine prepares it when a main program is entered from outside, and nothing is handed over.
//
//	rbp+8   return address
//	rbp     saved rbp
//	rbp-sd  stack of the program, sd bytes rounded up to 8
//	        rbx, r13, r14, r15 as used                             <- rsp
type kernelCounter struct{}

func (kernelCounter) Landing(t *emit.Config) image.CodeOff { return emit.WithENDBR(t, 14) }

// prologueWith calls a routine at the entry of a main program that can reach a tail call.
func (kernelCounter) prologueWith(e *emit.Writer, prepare image.Routine) {
	f := e.Func
	// The place that a trampoline patches.
	e.Nop(5) // 0f 1f 44 00 00

	// tail_call_cnt of this invocation.
	if f.Reachable && !f.Sub {
		e.CallRoutine(prepare) // e8 rel32
	} else {
		e.Nop(5) // 0f 1f 44 00 00
	}
	e.Push64O(x86.RBP)                 // 55
	e.Mov64MR(x86.R(x86.RBP), x86.RSP) // 48 89 e5

	// Tail calls land here.
	e.EndBR()
	e.TakeStack()
	e.PushSaved()
}

func (kernelCounter) Reload(*emit.Writer) {}

// unwind takes the frame down to the saved rbp.
func (kernelCounter) unwind(e *emit.Writer, s *image.TailCallSite) {
	s.Unwind = image.CodeOff(e.Len())
	e.PopSaved()
	e.GiveStack()
}

func (kernelCounter) Epilogue(e *emit.Writer) {
	e.PopSaved()
	e.Leave() // c9
}

func (kernelCounter) Poke(p *emit.PokePlan, s image.PokeSite, old, new image.Addr) {
	emit.PokeBypass(p, s, old, new)
}

func (k kernelCounter) Frame(f *emit.Func) image.Frame {
	b := emit.NewFrame(f)
	b.Landing = k.Landing(f.Config)
	return b.Done()
}
