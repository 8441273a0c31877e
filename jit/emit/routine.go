// SPDX-License-Identifier: GPL-2.0-only

package emit

import (
	"fmt"

	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// PerCPUCounter describes a function's counter that is a per-CPU variable.
func (f *Func) PerCPUCounter(r image.Routine) image.Counter {
	a, err := f.c.routine(r)
	if err != nil || !f.Reachable {
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

// CallRoutine appends a call of a routine of the kernel. The proposals that have one say nothing of call
// depth tracking. An error is kept for who called the design.
func (e *Writer) CallRoutine(r image.Routine) {
	a, err := e.Func.c.routine(r)
	var rel int32
	if err == nil && e.Func.img != nil {
		rel, err = e.rel32(a, 5)
	}
	if err != nil {
		e.err = err
	}
	e.CallD32(rel)
}

// OwnCounter is the counter of the function's program, in designs whose programs have one each.
func (f *Func) OwnCounter() image.Routine {
	r := image.Routine{Kind: image.ProgramCounter}
	if p := f.c.v.Program; p != nil {
		r.Program = p.Name
	}
	return r
}

// LoadOwnCounter loads the per-CPU pointer to the program's own counter.
func (e *Writer) LoadOwnCounter(r x86.Reg) {
	a, err := e.Func.c.routine(e.Func.OwnCounter())
	if err != nil {
		e.err = err
	}
	e.Mov64OI(r, uint64(a))
}
