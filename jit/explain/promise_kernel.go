// SPDX-License-Identifier: GPL-2.0-only

package explain

import (
	"slices"

	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// What the kernel's routines of tail-call designs do (emu/kernel/routine.go has them as code). All of the kernel's
// counters are kept alike.

// kernelCounter is where the counter of the CPU or of the task is; counterSize is the size of any.
const (
	kernelCounter = uint64(gsAt + 0x7000)
	counterSize   = 4
)

// cells are where the kernel's counters are.
func (p *promises) cells() []uint64 {
	out := []uint64{kernelCounter}
	for _, a := range p.k.Counters {
		out = append(out, gsAt+uint64(a))
	}
	return out
}

func (p *promises) inKernel(a uint64) bool { return slices.Contains(p.cells(), a) }

// setKernel gives the kernel's counters a value.
func (p *promises) setKernel(w *world, v uint64) {
	if len(p.k.Routines) > 0 {
		for _, a := range p.cells() {
			w.store(a, counterSize, v)
		}
	}
}

// down reports whether the kernel's counter begins at the limit.
func (p *promises) down() bool {
	for _, kind := range p.k.Routines {
		if kind == image.CPUFill {
			return true
		}
	}
	return false
}

// counted is a count as the kernel's counter has it, or what the counter has as a count.
func (p *promises) counted(n uint64) uint64 {
	if p.down() {
		return truncate(uint64(p.k.Limit)-n, 32)
	}
	return n
}

// begun is what the kernel's counter should hold where the body begins: what it held, if the program has no tail calls, or is
// not entered from outside.
func (p *promises) begun(landing bool) uint64 {
	if landing || p.sub || !p.tails || len(p.k.Routines) == 0 {
		return 7
	}
	return p.counted(0)
}

// kernelCount is what the kernel's counter holds that was used last.
func (w *world) kernelCount(p *promises) uint64 {
	if w.cell == 0 {
		return 7
	}
	return w.load(w.cell, counterSize)
}

// routine does what a routine of the kernel does.
func (p *promises) routine(w *world, kind image.RoutineKind) {
	w.cell = kernelCounter
	rax := &w.regs[x86.RAX]
	switch kind {
	case image.ProgramReset, image.ProgramFetch:
		w.cell = gsAt + *rax
	}
	switch kind {
	case image.CPUReset, image.TaskReset:
		w.store(w.cell, counterSize, 0)
		*rax = 0
	case image.CPUFill:
		w.store(w.cell, counterSize, uint64(p.k.Limit))
		*rax = 0
	case image.ProgramReset:
		w.store(w.cell, counterSize, 0)
		*rax = w.cell
	case image.CPUAddr, image.TaskAddr:
		*rax = w.cell
	case image.CPUFetch, image.ProgramFetch:
		*rax = w.load(w.cell, counterSize)
		w.store(w.cell, counterSize, *rax+1)
		w.fetched = true
	}
}

func hasTailCalls(img *image.Image) bool {
	return slices.ContainsFunc(img.Funcs, func(f image.FuncImage) bool { return len(f.TailCalls) > 0 })
}
