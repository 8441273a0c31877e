// SPDX-License-Identifier: GPL-2.0-only

package helper

import (
	"encoding/binary"
	"fmt"

	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// callbackHelpers call a function of the program before they return. The stub of such a helper saves what its caller needs,
// clears rbx, and asks once more after each function that it has called, until rbx is 0: until then rbx is the number of
// calls, and r12 to r15 are the helper's own. rsp points to 8 bytes of its frame. Without a number are those that the
// verifier puts in place of the other for each kind of map (do_misc_fixups, kernel/bpf/verifier.c).
var callbackHelpers = []Helper{
	{name: "bpf_for_each_map_elem", number: 164, raw: true, callsBack: true, fn: forEach},
	{name: "bpf_loop", number: 181, raw: true, callsBack: true, fn: loop},
	{name: "bpf_for_each_array_elem", raw: true, callsBack: true, fn: forEach},
	{name: "bpf_for_each_hash_elem", raw: true, callsBack: true, fn: forEach},
}

// CallsBack reports whether the helper calls a function of the program: its stub is a loop.
func (h *Helper) CallsBack() bool { return h != nil && h.callsBack }

// Resumed reports whether a call with these registers is the rest of one that has called a function of the program.
func (h *Helper) Resumed(r *Regs) bool { return h.CallsBack() && r[x86.RBX] != 0 }

// maxLoops is BPF_MAX_LOOPS (include/linux/bpf.h).
const maxLoops = 8 << 20

// Where a helper that calls back keeps what it was called with, and what comes next where that is not the number of calls.
const keptFirst, keptFunc, keptContext, keptNext = x86.R12, x86.R13, x86.R14, x86.R15

// keep puts the arguments where later rounds find them.
func (c *call) keep() {
	c.r[keptFirst], c.r[keptFunc], c.r[keptContext], c.r[keptNext] = c.arg(1), c.arg(2), c.arg(3), 0
}

// callBack makes the stub call the function with arguments; those that it does not have are 0.
func (c *call) callBack(args [5]uint64) (uint64, error) {
	c.r[x86.RBX]++
	c.spoil()
	for i, v := range args {
		c.r[ArgRegs[i]] = v
	}
	c.r[x86.R11] = c.r[keptFunc]
	return 0, nil
}

// returns ends the stub's loop.
func (c *call) returns(v uint64) (uint64, error) {
	c.spoil()
	c.r[x86.RBX], c.r[x86.RAX] = 0, v
	return 0, nil
}

// spoil overwrites what a C function need not keep.
func (c *call) spoil() {
	c.r[x86.RAX] = guest.Clobber + uint64(x86.RAX)
	for _, r := range clobbered {
		c.r[r] = guest.Clobber + uint64(r)
	}
}

// round is how often the function was called. The helper ends, with v, where that returned something or flags were given.
func (c *call) round() (n uint64, ends bool, v uint64) {
	switch n := c.r[x86.RBX]; {
	case n > 0:
		return n, c.r[x86.RAX] != 0, n
	case c.arg(4) != 0:
		return 0, true, guest.EINVAL.Result()
	}
	return 0, false, 0
}

// loop is bpf_loop (kernel/bpf/bpf_iter.c): number 1, function 2, its context 3, flags 4.
func loop(c *call) (uint64, error) {
	n, ends, v := c.round()
	switch {
	case ends:
		return c.returns(v)
	case n == 0 && uint32(c.arg(1)) > maxLoops:
		return c.returns(guest.E2BIG.Result())
	case n == 0:
		c.keep()
	}
	if n == uint64(uint32(c.r[keptFirst])) {
		return c.returns(n)
	}
	return c.callBack([5]uint64{n, c.r[keptContext]})
}

// forEach is what maps that can be gone through do (bpf_for_each_array_elem, bpf_for_each_hash_elem): map 1, function 2, its
// context 3, flags 4. Elements of a hash come in the order of their places in memory; a kernel's order follows from a
// random number.
func forEach(c *call) (uint64, error) {
	n, ends, v := c.round()
	switch {
	case ends:
		return c.returns(v)
	case n == 0:
		c.keep()
	}
	g := c.mapOf(c.r[keptFirst])
	if g == nil {
		return 0, fmt.Errorf("argument 1: no map at %#x", c.r[keptFirst])
	}
	at, key, value, err := g.Next(c.e.Mem, c.r[keptNext])
	switch {
	case err != nil:
		return 0, err
	case value == 0:
		return c.returns(n)
	}
	c.r[keptNext] = at + 1
	if key == 0 { // the index is in the helper's frame
		key = image.Addr(c.r[x86.RSP])
		if err := c.e.Mem.Write(key, binary.LittleEndian.AppendUint32(nil, uint32(at))); err != nil {
			return 0, err
		}
	}
	return c.callBack([5]uint64{uint64(g.Addr), uint64(key), uint64(value), c.r[keptContext]})
}

// drain is bpf_user_ringbuf_drain (kernel/bpf/ringbuf.c) of a buffer that user space writes nothing to: it calls no function.
func drain(c *call) (uint64, error) {
	const wakeups = 3 // BPF_RB_NO_WAKEUP, BPF_RB_FORCE_WAKEUP
	if c.arg(4)&^wakeups != 0 {
		return guest.EINVAL.Result(), nil
	}
	return 0, nil
}
