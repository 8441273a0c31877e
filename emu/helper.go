// SPDX-License-Identifier: GPL-2.0-only

package emu

import (
	"errors"
	"fmt"
	"slices"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/x86"
)

// A helper stub is `out n, eax; cmp cl, dl; ret`: the first instruction calls Go, which sets rax
// and spoils the other caller-saved registers, the second spoils the flags.
func stub(n uint8) []byte { return []byte{0xe7, n, 0x38, 0xd1, 0xc3, 0xcc} }

// clobber is what helpers leave in caller-saved registers, plus the register's number. It is no
// canonical address.
const clobber = 0xc10b_be4e_d000_0000

// clobbered are the caller-saved registers but rax.
var clobbered = []x86.Reg{x86.RCX, x86.RDX, x86.RSI, x86.RDI, x86.R8, x86.R9, x86.R10, x86.R11}

// helper is one kernel function that programs call.
type helper struct {
	name   string
	number int32 // as programs call it, 0 if only the kernel's rewriting does
	// world says that the result depends on the world outside the program: a real run and an
	// emulated one may differ.
	world bool
	// writes says that it stores to memory the program gave it, or to a map.
	writes bool
	// raw says that fn itself sets the registers that differ behind the call.
	raw bool
	fn  func(c *call) (uint64, error)
}

// call is one call of a helper.
type call struct {
	m *Machine
	r *Regs
}

// bpfArgs are the registers of R1 to R5.
var bpfArgs = [...]x86.Reg{x86.RDI, x86.RSI, x86.RDX, x86.RCX, x86.R8}

// arg returns argument n, from 1.
func (c *call) arg(n int) uint64 { return c.r[bpfArgs[n-1]] }

func (c *call) addr(n int) jit.Addr { return jit.Addr(c.arg(n)) }

// bytes reads n bytes of memory that argument a points to.
func (c *call) bytes(a int, n uint32) ([]byte, error) {
	b := make([]byte, n)
	if err := c.m.space.read(c.addr(a), b); err != nil {
		return nil, fmt.Errorf("argument %d: %w", a, err)
	}
	return b, nil
}

// mapArg returns the map that argument 1 points to.
func (c *call) mapArg() (*guestMap, error) { return c.mapAt(1) }

func (c *call) mapAt(arg int) (*guestMap, error) {
	for i := range c.m.maps {
		if c.m.maps[i].Addr == c.addr(arg) {
			return &c.m.maps[i], nil
		}
	}
	return nil, fmt.Errorf("argument %d: no map at %#x", arg, c.arg(arg))
}

// helpers are the functions that are modelled (include/uapi/linux/bpf.h for the numbers).
var helpers = slices.Concat([]helper{
	{name: "bpf_map_lookup_elem", number: 1, fn: mapLookup},
	{name: "bpf_map_update_elem", number: 2, writes: true, fn: mapUpdate},
	{name: "bpf_map_delete_elem", number: 3, writes: true, fn: mapDelete},
	{name: "bpf_ktime_get_ns", number: 5, world: true, fn: ktime},
	{name: "bpf_trace_printk", number: 6, fn: tracePrintk},
	{name: "bpf_get_prandom_u32", number: 7, world: true, fn: prandom},
	{name: "bpf_get_smp_processor_id", number: 8, fn: zero},
	{name: "bpf_get_current_pid_tgid", number: 14, world: true, fn: pidTGID},
	{name: "bpf_get_hash_recalc", number: 34, world: true, fn: packetHash},
	{name: "bpf_get_current_task", number: 35, world: true, fn: currentTask},
	{name: "bpf_get_numa_node_id", number: 42, fn: zero},
	{name: "bpf_ktime_get_boot_ns", number: 125, world: true, fn: ktime},
	{name: "bpf_get_current_task_btf", number: 158, world: true, fn: currentTask},

	// What the verifier puts in place of the above.
	{name: "bpf_user_rnd_u32", world: true, fn: prandom},
	{name: "__htab_map_lookup_elem", fn: htabLookup},
	{name: "htab_map_lookup_elem", fn: mapLookup},
	{name: "htab_map_update_elem", writes: true, fn: mapUpdate},
	{name: "htab_map_delete_elem", writes: true, fn: mapDelete},
	{name: "array_map_lookup_elem", fn: mapLookup},
	{name: "array_map_update_elem", writes: true, fn: mapUpdate},
	{name: "array_map_delete_elem", writes: true, fn: mapDelete},
	{name: "percpu_array_map_lookup_elem", fn: mapLookup},
	{name: "bpf_percpu_array_update", writes: true, fn: mapUpdate},
	{name: "htab_lru_map_update_elem", writes: true, fn: mapUpdate},
	{name: "htab_lru_map_delete_elem", writes: true, fn: mapDelete},
	{name: "htab_percpu_map_update_elem", writes: true, fn: mapUpdate},
	{name: "htab_lru_percpu_map_update_elem", writes: true, fn: mapUpdate},
	{name: "bpf_skb_event_output", fn: perfEventOutput},
	{name: "bpf_xdp_event_output", fn: perfEventOutput},
	{name: "bpf_xdp_redirect", fn: redirect},
	{name: "bpf_xdp_redirect_map", fn: redirectMap},
	{name: "bpf_throw", raw: true, fn: throwException},
	{name: "arch_bpf_timed_may_goto", world: true, writes: true, raw: true, fn: timedMayGoto},
	{name: "bpf_skb_load_helper_8", fn: skbLoad(1, 4)},
	{name: "bpf_skb_load_helper_16", fn: skbLoad(2, 4)},
	{name: "bpf_skb_load_helper_32", fn: skbLoad(4, 4)},
	{name: "bpf_skb_load_helper_8_no_cache", fn: skbLoad(1, 2)},
	{name: "bpf_skb_load_helper_16_no_cache", fn: skbLoad(2, 2)},
	{name: "bpf_skb_load_helper_32_no_cache", fn: skbLoad(4, 2)},
}, moreHelpers, trampHelpers)

// helperName returns the kernel's name of a helper number, or one made from the number if it is
// not modelled.
func helperName(imm int32) string {
	for i := range helpers {
		if helpers[i].number == imm {
			return helpers[i].name
		}
	}
	if name := jit.HelperName(imm); name != "" {
		return name
	}
	return fmt.Sprintf("bpf_helper_%d", imm)
}

// helperByName returns nil for a function that is not modelled.
func helperByName(name string) *helper {
	for i := range helpers {
		if helpers[i].name == name {
			return &helpers[i]
		}
	}
	return nil
}

// namedHelpers returns the names of those without a number, sorted.
func namedHelpers() []string {
	var s []string
	for i := range helpers {
		if helpers[i].number == 0 {
			s = append(s, helpers[i].name)
		}
	}
	slices.Sort(s)
	return s
}

// HelperCalls says how often a run called a helper.
type HelperCalls struct {
	Name  string
	Calls uint64
	// World says that results depend on the world outside the program, such as time. They are
	// deterministic here, from Config.Seed, but a kernel's differ.
	World bool
	// Writes says that the helper stores to memory of the program or to a map.
	Writes bool
}

// errNotModelled is the cause of a fault in a helper that has no model.
var errNotModelled = errors.New("helper is not modelled")

func zero(*call) (uint64, error) { return 0, nil }

func mapLookup(c *call) (uint64, error) {
	g, err := c.mapArg()
	if err != nil {
		return 0, err
	}
	key, err := c.bytes(2, g.KeySize)
	if err != nil {
		return 0, err
	}
	v, err := g.lookup(c.m.space, key)
	return uint64(v), err
}

// htabLookup returns the element, not the value: the verifier adds the offset
// (htab_map_gen_lookup).
func htabLookup(c *call) (uint64, error) {
	g, err := c.mapArg()
	if err != nil {
		return 0, err
	}
	if !g.Type.Hash() {
		return 0, fmt.Errorf("map %s is no hash", g.Name)
	}
	key, err := c.bytes(2, g.KeySize)
	if err != nil {
		return 0, err
	}
	e, _, err := g.find(c.m.space, key)
	return uint64(e), err
}

func mapUpdate(c *call) (uint64, error) {
	g, err := c.mapArg()
	if err != nil {
		return 0, err
	}
	key, err := c.bytes(2, g.KeySize)
	if err != nil {
		return 0, err
	}
	value, err := c.bytes(3, g.ValueSize)
	if err != nil {
		return 0, err
	}
	return errnoResult(g.update(c.m.space, key, value, UpdateFlags(c.arg(4))))
}

func mapDelete(c *call) (uint64, error) {
	g, err := c.mapArg()
	if err != nil {
		return 0, err
	}
	key, err := c.bytes(2, g.KeySize)
	if err != nil {
		return 0, err
	}
	return errnoResult(g.remove(c.m.space, key))
}

// errnoResult turns an Errno into what the helper returns; other errors stay.
func errnoResult(err error) (uint64, error) {
	var e Errno
	if errors.As(err, &e) {
		return e.result(), nil
	}
	return 0, err
}
