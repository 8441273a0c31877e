// SPDX-License-Identifier: GPL-2.0-only

package emu

import "github.com/tcsim/tcsim/jit"

// Where the machine and the address plan put things. The regions are those of the x86-64 kernel
// (Documentation/arch/x86/x86_64/mm.rst); within them the addresses are ours, and the same in
// every run.
const (
	// TextBase is where the plan places JITed code (the module area).
	TextBase jit.Addr = 0xffffffffc0000000
	// kernelText holds thunks, kernelData variables of the plan; helper number n is at
	// helperBase + n*stubSpace, helpers that have only a name at namedBase.
	kernelText jit.Addr = 0xffffffff81c00000
	kernelData jit.Addr = 0xffffffff82c00000
	helperBase jit.Addr = 0xffffffff81200000
	namedBase  jit.Addr = 0xffffffff81280000
	stubSpace  jit.Addr = 64
	thunkSpace jit.Addr = 256

	// OutsideReturn is the return address that programs are entered with: that of an indirect call
	// in kernel text.
	OutsideReturn jit.Addr = 0xffffffff81a4b002

	// StackTop is the end of the kernel stack; Config.StackSize bytes below it are mapped, and the
	// pages before and behind are not.
	StackTop jit.Addr = 0xffffc90000204000
	// EntryRSP is rsp when a program is entered: OutsideReturn lies there. OutsideRBP is rbp, the
	// frame of the outside caller, where the chain of saved frame pointers ends with 0.
	EntryRSP   = StackTop - 0x30
	OutsideRBP = StackTop - 0x10

	// progBase is where the struct bpf_prog of each image is, a page apart (vmalloc).
	progBase jit.Addr = 0xffffc90000401000

	// mapBase is where the plan places maps, elemBase where the machine keeps hash elements and
	// per-CPU values (the direct map).
	mapBase  jit.Addr = 0xffff888104000000
	elemBase jit.Addr = 0xffff888140000000

	// ContextAddr is where the context that programs get as argument may be placed, PacketAddr
	// where packet memory begins: Setup.Data and Setup.Packet fill them. DeviceAddr is for the
	// structures that a context points to.
	ContextAddr jit.Addr = 0xffff888102400000
	DeviceAddr  jit.Addr = 0xffff888102410000
	PacketAddr  jit.Addr = 0xffff888102500000
	// TaskAddr is what bpf_get_current_task returns: a task_struct of zeros.
	TaskAddr jit.Addr = 0xffff888102680000

	// privateBase is where the plan places private stacks, before this CPU's offset is added: among
	// the kernel's own per-CPU variables, as since 6.15.
	privateBase jit.Addr = 0xffffffff83de2000

	// GSBase is the gs base and what this_cpu_off holds.
	GSBase jit.Addr = 0xffff88813bc00000
)

const (
	pageSize = 4096
	taskSize = 4 * pageSize
	// StackFill is what the stack holds before a run, in 8-byte words.
	StackFill = 0x5ac3_5ac3_5ac3_5ac3
)
