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

func (kernelCounter) landing(t *Target) image.CodeOff { return withENDBR(t, 14) }

// prologueWith calls a routine at the entry of a main program that can reach a tail call.
func (kernelCounter) prologueWith(e *emitter, prepare string) {
	f := e.f
	// The place that a trampoline patches.
	e.Nop(5) // 0f 1f 44 00 00

	// tail_call_cnt of this invocation.
	if f.reachable && !f.sub {
		e.callSymbol(prepare) // e8 rel32
	} else {
		e.Nop(5) // 0f 1f 44 00 00
	}
	e.Push64O(x86.RBP)               // 55
	e.Mov64MR(reg(x86.RBP), x86.RSP) // 48 89 e5

	// Tail calls land here.
	e.endbr()
	e.takeStack()
	e.pushSaved()
}

func (kernelCounter) reload(*emitter) {}

// unwind takes the frame down to the saved rbp.
func (kernelCounter) unwind(e *emitter, s *image.TailCallSite) {
	s.Unwind = image.CodeOff(e.Len())
	e.popSaved()
	e.giveStack()
}

func (kernelCounter) epilogue(e *emitter) {
	e.popSaved()
	e.Leave() // c9
}

func (kernelCounter) poke(p *pokePlan, s image.PokeSite, old, new image.Addr) {
	pokeBypass(p, s, old, new)
}

func (k kernelCounter) frame(f *fn) image.Frame {
	b := newFrame(f)
	b.landing = k.landing(f.c.t)
	return b.done()
}

// perCPUCounter describes a function's counter that is a per-CPU variable.
func (f *fn) perCPUCounter(name string) image.Counter {
	a, err := f.c.symbol(name)
	if err != nil || !f.reachable {
		return image.Counter{}
	}
	return image.Counter{Form: image.CounterGS, Off: int32(a), Size: 4}
}

// callsKernel is what a scheme has that calls kernel routines: it lists them.
type callsKernel interface {
	symbols(t *Target) []string
}

// The routines and variables of these proposals. Their patches have them as inline assembly in
// bpf_jit_comp.c; the registers that they spoil beyond rax are not part of what is modelled.
const (
	// symCounter is the per-CPU counter; symPrepare makes it 0.
	symCounter = "bpf_tail_call_cnt"
	symPrepare = "bpf_tail_call_cnt_prepare"
	// symFetchInc adds 1 to the per-CPU counter and returns what it was in eax.
	symFetchInc = "bpf_tail_call_cnt_fetch_and_inc"
	// symPrepareLimit, with the limit behind it, makes the per-CPU counter the limit.
	symPrepareLimit = "bpf_tail_call_cnt_prepare."
	// symCntPtr returns the address of the per-CPU counter in rax.
	symCntPtr = "bpf_tail_call_cnt_ptr"
	// symTaskPrepare makes current->bpf_tail_call_cnt 0, symTaskPtr returns its address in rax.
	symTaskPrepare = "bpf_task_tail_call_cnt_prepare"
	symTaskPtr     = "bpf_task_tail_call_cnt_ptr"
	// symProg, with the program's name behind it, is the program's own per-CPU counter. Of what rax
	// points to, symProgPrepare makes the address and sets it to 0; symProgFetchInc adds 1 and returns
	// what it was.
	symProg         = "bpf_prog_tail_call_cnt:"
	symProgPrepare  = "bpf_prog_tail_call_cnt_prepare"
	symProgFetchInc = "bpf_prog_tail_call_cnt_fetch_and_inc"
)
