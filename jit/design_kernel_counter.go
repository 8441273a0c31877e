// SPDX-License-Identifier: GPL-2.0-only

package jit

import (
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

func (kernelCounter) Landing(t *Config) image.CodeOff { return withENDBR(t, 14) }

// prologueWith calls a routine at the entry of a main program that can reach a tail call.
func (kernelCounter) prologueWith(e *emitter, prepare image.Routine) {
	f := e.f
	// The place that a trampoline patches.
	e.Nop(5) // 0f 1f 44 00 00

	// tail_call_cnt of this invocation.
	if f.reachable && !f.sub {
		e.callRoutine(prepare) // e8 rel32
	} else {
		e.Nop(5) // 0f 1f 44 00 00
	}
	e.Push64O(x86.RBP)                 // 55
	e.Mov64MR(x86.R(x86.RBP), x86.RSP) // 48 89 e5

	// Tail calls land here.
	e.endbr()
	e.takeStack()
	e.pushSaved()
}

func (kernelCounter) Reload(*emitter) {}

// unwind takes the frame down to the saved rbp.
func (kernelCounter) unwind(e *emitter, s *image.TailCallSite) {
	s.Unwind = image.CodeOff(e.Len())
	e.popSaved()
	e.giveStack()
}

func (kernelCounter) Epilogue(e *emitter) {
	e.popSaved()
	e.Leave() // c9
}

func (kernelCounter) Poke(p *pokePlan, s image.PokeSite, old, new image.Addr) {
	pokeBypass(p, s, old, new)
}

func (k kernelCounter) Frame(f *fn) image.Frame {
	b := newFrame(f)
	b.landing = k.Landing(f.t)
	return b.done()
}
