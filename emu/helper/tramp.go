// SPDX-License-Identifier: GPL-2.0-only

package helper

import (
	"fmt"

	"github.com/tcsim/tcsim/jit/image"
)

// trampHelpers are the functions that trampolines call around tracing programs and around the traced
// function (kernel/bpf/trampoline.c). Those that return nothing leave guest.Env.VoidRAX in rax.
var trampHelpers = []Helper{
	{name: "__bpf_prog_enter", writes: true, fn: progEnter},
	{name: "__bpf_prog_exit", fn: progExit},
	{name: "__bpf_prog_enter_recur", writes: true, fn: progEnter},
	{name: "__bpf_prog_exit_recur", fn: progExit},
	{name: "__bpf_tramp_enter", fn: nothing},
	{name: "__bpf_tramp_exit", fn: nothing},
}

func nothing(c *call) (uint64, error) { return c.e.VoidRAX, nil }

// progEnter is what is called before a tracing program: __bpf_prog_enter_recur, and __bpf_prog_enter of kernels before.
// It returns 0 if the program is running already, else the time, which is NO_START_TIME without statistics. It
// saves the run context of the task, which has none. Until 5.11 there is no guard, and the time is 0.
func progEnter(c *call) (uint64, error) {
	const savedRunCtx, noStartTime = 8, 1
	if !c.e.Tramp.Guarded {
		return 0, nil
	}
	if c.e.Tramp.RunCtx {
		if err := c.e.Mem.WriteWord(c.addr(2)+savedRunCtx, 0); err != nil {
			return 0, fmt.Errorf("argument 2: %w", err)
		}
	}
	w := &c.e.World
	if w.active == nil {
		w.active = map[uint64]int{}
	}
	w.active[c.arg(1)]++
	if w.active[c.arg(1)] != 1 {
		return 0, nil
	}
	return noStartTime, nil
}

func progExit(c *call) (uint64, error) {
	if !c.e.Tramp.Guarded {
		return c.e.VoidRAX, nil
	}
	if c.e.active[c.arg(1)] == 0 {
		return 0, fmt.Errorf("argument 1: no program at %#x is running", c.arg(1))
	}
	c.e.active[c.arg(1)]--
	return c.e.VoidRAX, nil
}

// Active returns how often the tracing program with its struct bpf_prog at an address is running.
func (w *World) Active(prog image.Addr) int { return w.active[uint64(prog)] }

// SetActive changes Active.
func (w *World) SetActive(prog image.Addr, n int) {
	if w.active == nil {
		w.active = map[uint64]int{}
	}
	w.active[uint64(prog)] = n
}
