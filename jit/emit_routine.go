// SPDX-License-Identifier: GPL-2.0-only

package jit

import (
	"fmt"

	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// perCPUCounter describes a function's counter that is a per-CPU variable.
func (f *fn) perCPUCounter(r image.Routine) image.Counter {
	a, err := f.c.routine(r)
	if err != nil || !f.reachable {
		return image.Counter{}
	}
	return image.Counter{Form: image.CounterGS, Off: int32(a), Size: 4}
}

// routine returns the address of a routine of the kernel.
func (c *compiler) routine(r image.Routine) (image.Addr, error) {
	env, ok := c.env.(image.RoutineEnv)
	if !ok {
		return 0, fmt.Errorf("%s has no address here", r)
	}
	return env.Routine(r)
}

// callRoutine appends a call of a routine of the kernel. The proposals that have one say nothing of call
// depth tracking. An error is kept for who called the design.
func (e *emitter) callRoutine(r image.Routine) {
	a, err := e.f.c.routine(r)
	var rel int32
	if err == nil && e.f.img != nil {
		rel, err = e.rel32(a, 5)
	}
	if err != nil {
		e.err = err
	}
	e.CallD32(rel)
}

// ownCounter is the counter of the function's program, in designs whose programs have one each.
func (f *fn) ownCounter() image.Routine {
	r := image.Routine{Kind: image.ProgramCounter}
	if p := f.c.v.Program; p != nil {
		r.Program = p.Name
	}
	return r
}

// loadOwnCounter loads the per-CPU pointer to the program's own counter.
func (e *emitter) loadOwnCounter(r x86.Reg) {
	a, err := e.f.c.routine(e.f.ownCounter())
	if err != nil {
		e.err = err
	}
	e.Mov64OI(r, uint64(a))
}
