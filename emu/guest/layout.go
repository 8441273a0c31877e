// SPDX-License-Identifier: GPL-2.0-only

// Package guest is the memory of the emulated kernel: pages behind page tables, where things are in
// it, maps, and what a machine is loaded with. It needs no engine.
package guest

import (
	"github.com/tcsim/tcsim/jit/image"
)

// Where the machine and the address plan put things. The regions are those of the x86-64 kernel
// (Documentation/arch/x86/x86_64/mm.rst); within them the addresses are ours, and the same in
// every run.
const (
	// TextBase is where the plan places JITed code (the module area).
	TextBase image.Addr = 0xffffffffc0000000
	// KernelText holds thunks, KernelData variables of the plan; helper number n is at
	// HelperBase + n*StubSpace, helpers that have only a name at NamedBase.
	KernelText image.Addr = 0xffffffff81c00000
	KernelData image.Addr = 0xffffffff82c00000
	HelperBase image.Addr = 0xffffffff81200000
	NamedBase  image.Addr = 0xffffffff81280000
	StubSpace  image.Addr = 64
	ThunkSpace image.Addr = 256

	// OutsideReturn is the return address that programs are entered with: that of an indirect call
	// in kernel text.
	OutsideReturn image.Addr = 0xffffffff81a4b002

	// StackTop is the end of the kernel stack; Config.StackSize bytes below it are mapped, and the
	// pages before and after it are not.
	StackTop image.Addr = 0xffffc90000204000
	// EntryRSP is rsp when a program is entered: OutsideReturn lies there. OutsideRBP is rbp, the
	// frame of the outside caller, where the chain of saved frame pointers ends with 0.
	EntryRSP   = StackTop - 0x30
	OutsideRBP = StackTop - 0x10

	// ProgBase is where the struct bpf_prog of each image is, a page apart (vmalloc).
	ProgBase image.Addr = 0xffffc90000401000

	// MapBase is where the plan places maps, elemBase where the machine keeps hash elements and
	// per-CPU values (the direct map).
	MapBase  image.Addr = 0xffff888104000000
	elemBase image.Addr = 0xffff888140000000
	// LargeBase is where the plan places arrays of LargeArray bytes and more.
	LargeBase image.Addr = 0xffff888200000000

	// ContextAddr is where the context that programs get as argument may be placed, PacketAddr
	// where packet memory begins: Setup.Data and Setup.Packet fill them. DeviceAddr is for the
	// structures that a context points to.
	ContextAddr image.Addr = 0xffff888102400000
	DeviceAddr  image.Addr = 0xffff888102410000
	PacketAddr  image.Addr = 0xffff888102500000
	// TaskAddr is what bpf_get_current_task returns: a task_struct of zeros.
	TaskAddr image.Addr = 0xffff888102680000

	// ArenaBase is where the kernel sees an arena, whose pages are never there.
	ArenaBase image.Addr = 0xffffd00000000000

	// PrivateBase is where the plan places private stacks, before this CPU's offset is added: among
	// the kernel's own per-CPU variables, as since 6.15.
	PrivateBase image.Addr = 0xffffffff83de2000

	// GSBase is the gs base and what this_cpu_off holds.
	GSBase image.Addr = 0xffff88813bc00000
)

// Sizes of arrays in bytes: from where on they have a place of their own, and the largest.
const (
	LargeArray = 1 << 24
	MaxArray   = 1 << 29
)

const (
	PageSize = 4096
	TaskSize = 4 * PageSize
	// StackFill is what the stack holds before a run, in 8-byte words.
	StackFill = 0x5ac3_5ac3_5ac3_5ac3
)

// Span is a piece of memory of Size bytes.
type Span struct {
	Addr image.Addr
	Size uint64
}

// Touches reports whether an address lies in the span or is its end.
func (s Span) Touches(a image.Addr) bool { return uint64(a-s.Addr) <= s.Size }

// PrivateStackSize is the largest BPF stack (MAX_BPF_STACK) with what the verifier's own instructions may add to it: how
// large that of a function is, its code need not show.
const PrivateStackSize = 512 + 56

// PrivateStack returns the memory of a function's private stack on the machine's CPU, PrivateStackSize where its size is
// not known: Size is 0 if it has none.
func PrivateStack(f *image.FuncImage) Span {
	if f.Frame.PrivateFP == 0 {
		return Span{}
	}
	size := uint64(f.Frame.PrivateSize)
	if size == 0 {
		size = PrivateStackSize
	}
	return Span{GSBase + f.Frame.PrivateFP - image.Addr(size), size}
}

// Room around a packet of an XDP program, as in a test run (net/bpf/test_run.c): in front of it, and
// from there to the end of its frame without struct skb_shared_info.
const (
	PacketHeadroom = 256
	PacketFrame    = 4096 - 320
)

// PacketMemory is the size of the memory for a packet with the room around it.
func PacketMemory(packet int) int { return max(PacketFrame, PacketHeadroom+packet) }

// BootJiffies is what jiffies holds: INITIAL_JIFFIES and one minute, at 250 Hz.
const BootJiffies = 1<<32 - 300*250 + 60*250

// Clobber is what registers hold that nothing has defined, plus the register's number: after a helper
// and at the entry of a program. It is no canonical address.
const Clobber = 0xc10b_be4e_d000_0000

// Junk returns what registers hold that nothing has defined: a counter with such a value was kept in a
// register that it must not be kept in.
func Junk() []uint64 {
	out := make([]uint64, 0, 16)
	for r := range uint64(16) {
		out = append(out, Clobber+r)
	}
	return out
}

// EntryJunk returns what registers and status flags hold at the entry of a program before its caller
// defines any, from a seed: values like Junk, and as little to be relied on.
func EntryJunk(seed uint64) (regs [16]uint64, flags uint64) {
	const always, status = 1<<9 | 1<<1, 0x8d5 // interrupts are on; CF PF AF ZF SF OF
	z := seed
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9 // as splitmix64 does, but 0 stays
	z ^= z >> 27
	for r := range regs {
		regs[r] = Clobber + z&0xfffff<<8 + uint64(r)
	}
	return regs, always | z>>20&status
}

// FirstFP is r10 of a program that the kernel enters, with this frame of its main function; 0 if that is not known.
func FirstFP(f *image.Frame) image.Addr {
	at, ret := image.Addr(0), int32(0)
	for _, s := range f.Slots {
		if s.Kind == image.SlotReturn && (at == 0 || s.Off > ret) && f.PrivateFP == 0 {
			at, ret = EntryRSP-image.Addr(int64(s.Off))+image.Addr(int64(f.FP)), s.Off
		}
	}
	return at
}
