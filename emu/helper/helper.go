// SPDX-License-Identifier: GPL-2.0-only

// Package helper is what the kernel functions that programs call do, to registers and guest memory. It
// needs no engine.
package helper

import (
	"errors"
	"fmt"
	"slices"

	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/verify/protos"
	"github.com/tcsim/tcsim/jit/x86"
)

// clobbered are the caller-saved registers but rax.
var clobbered = []x86.Reg{x86.RCX, x86.RDX, x86.RSI, x86.RDI, x86.R8, x86.R9, x86.R10, x86.R11}

// Helper is one kernel function that programs call.
type Helper struct {
	name   string
	number int32 // as programs call it, 0 if only the kernel's rewriting does
	// world says that the result depends on the world outside the program: a real run and an
	// emulated one may differ.
	world bool
	// writes says that it stores to memory the program gave it, or to a map.
	writes bool
	// raw says that fn itself sets the registers that differ after the call.
	raw bool
	// callsBack says that its stub calls a function of the program, see callbackHelpers.
	callsBack bool
	fn        func(c *call) (uint64, error)
}

// Regs are the general purpose registers by x86.Reg.
type Regs = [16]uint64

// Env is what helpers act on.
type Env struct {
	Mem    *guest.Memory
	Maps   []guest.Map
	Packet Packet
	// VoidRAX is what functions that return nothing leave in rax.
	VoidRAX uint64
	// Tramp is how the kernel's trampolines look.
	Tramp kernels.Tramp
	// PktType is where struct sk_buff has pkt_type.
	PktType int16
	// Code finds the functions of programs, for bpf_throw.
	Code Code

	World
}

// Packet says where the packet is that a program sees: Len bytes at guest.PacketAddr but for the first
// From. With XDP struct xdp_buff says where it is, which helpers move.
type Packet struct {
	Len, From int
	XDP       bool
}

// Code finds the function that an address is in, and the image that it is a function of; nil if there
// is none.
type Code interface {
	CodeAt(image.Addr) (*image.FuncImage, *image.Image)
}

// call is one call of a helper.
type call struct {
	e *Env
	r *Regs
}

// ArgRegs are the registers of R1 to R5, and the one of a sixth argument, which only kernel functions have.
var ArgRegs = [...]x86.Reg{x86.RDI, x86.RSI, x86.RDX, x86.RCX, x86.R8, x86.R9}

// arg returns argument n, from 1.
func (c *call) arg(n int) uint64 { return c.r[ArgRegs[n-1]] }

func (c *call) addr(n int) image.Addr { return image.Addr(c.arg(n)) }

// bytes reads n bytes of memory that argument a points to.
func (c *call) bytes(a int, n uint32) ([]byte, error) {
	b := make([]byte, n)
	if err := c.e.Mem.Read(c.addr(a), b); err != nil {
		return nil, fmt.Errorf("argument %d: %w", a, err)
	}
	return b, nil
}

// mapArg returns the map that argument 1 points to.
func (c *call) mapArg() (*guest.Map, error) { return c.mapAt(1) }

func (c *call) mapAt(arg int) (*guest.Map, error) {
	if g := c.mapOf(c.arg(arg)); g != nil {
		return g, nil
	}
	return nil, fmt.Errorf("argument %d: no map at %#x", arg, c.arg(arg))
}

// mapOf returns the map at an address, nil if there is none.
func (c *call) mapOf(a uint64) *guest.Map {
	for i := range c.e.Maps {
		if c.e.Maps[i].Addr == image.Addr(a) {
			return &c.e.Maps[i]
		}
	}
	return nil
}

// helpers are the functions that are modelled (include/uapi/linux/bpf.h for the numbers).
var helpers = slices.Concat([]Helper{
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
	{name: "trie_lookup_elem", fn: mapLookup},
	{name: "trie_update_elem", writes: true, fn: mapUpdate},
	{name: "trie_delete_elem", writes: true, fn: mapDelete},
	{name: "htab_percpu_map_lookup_elem", fn: mapLookup},
	{name: "htab_lru_map_lookup_elem", fn: mapLookup},
	{name: "htab_lru_percpu_map_lookup_elem", fn: mapLookup},
	{name: "percpu_array_map_lookup_percpu_elem", fn: lookupPerCPU},
	{name: "htab_percpu_map_lookup_percpu_elem", fn: lookupPerCPU},
	{name: "htab_lru_percpu_map_lookup_percpu_elem", fn: lookupPerCPU},
	{name: "array_of_map_lookup_elem", fn: mapLookup},
	{name: "htab_of_map_lookup_elem", fn: mapLookup},
	{name: "percpu_array_map_update_elem", writes: true, fn: mapUpdate},
	{name: "dev_map_redirect", fn: redirectMap}, // what the verifier puts in its place for each kind of map (map_redirect)
	{name: "dev_hash_map_redirect", fn: redirectMap},
	{name: "cpu_map_redirect", fn: redirectMap},
	{name: "xsk_map_redirect", fn: redirectMap},
	{name: "bpf_throw", raw: true, fn: throwException},
	{name: "arch_bpf_timed_may_goto", world: true, writes: true, raw: true, fn: timedMayGoto},
	{name: "bpf_skb_load_helper_8", fn: skbLoad(1, 4)},
	{name: "bpf_skb_load_helper_16", fn: skbLoad(2, 4)},
	{name: "bpf_skb_load_helper_32", fn: skbLoad(4, 4)},
	{name: "bpf_skb_load_helper_8_no_cache", fn: skbLoad(1, 2)},
	{name: "bpf_skb_load_helper_16_no_cache", fn: skbLoad(2, 2)},
	{name: "bpf_skb_load_helper_32_no_cache", fn: skbLoad(4, 2)},
}, moreHelpers, queueHelpers, bareHelpers, callbackHelpers, trampHelpers)

// NameOf returns the kernel's name of a helper number, or one made from the number if it is
// not modelled.
func NameOf(imm int32) string {
	for i := range helpers {
		if helpers[i].number == imm {
			return helpers[i].name
		}
	}
	if name := protos.HelperName(imm); name != "" {
		return name
	}
	return fmt.Sprintf("bpf_helper_%d", imm)
}

// ByName returns nil for a function that is not modelled. What helpers are in programs of some types, or for maps of some types, is what
// they are.
func ByName(name string) *Helper {
	for i := range helpers {
		if helpers[i].name == name {
			return &helpers[i]
		}
	}
	n, ok := protos.HelperByName(name)
	if !ok {
		return nil
	}
	for i := range helpers {
		if helpers[i].number == n {
			return &helpers[i]
		}
	}
	return nil
}

// Named returns the names of those without a number, sorted.
func Named() []string {
	var s []string
	for i := range helpers {
		if helpers[i].number == 0 {
			s = append(s, helpers[i].name)
		}
	}
	slices.Sort(s)
	return s
}

// Calls says how often a run called a helper.
type Calls struct {
	Name  string
	Calls uint64
	// World says that results depend on the world outside the program, such as time. They are
	// deterministic here, from the seed, but a kernel's differ.
	World bool
	// Writes says that the helper stores to memory of the program or to a map.
	Writes bool
}

// Call does what the helper does. r are the registers at the call, and get those after it.
func (h *Helper) Call(e *Env, r *Regs) error {
	v, err := h.fn(&call{e, r})
	if err != nil || h.raw {
		return err
	}
	r[x86.RAX] = v
	for _, reg := range clobbered {
		r[reg] = guest.Clobber + uint64(reg)
	}
	return nil
}

// ErrNotModelled is the cause of a fault in a helper that has no model.
var ErrNotModelled = errors.New("helper is not modelled")

// Count returns n calls of the function with a name; h is nil if it is not modelled.
func (h *Helper) Count(name string, n uint64) Calls {
	c := Calls{Name: name, Calls: n}
	if h != nil {
		c.World, c.Writes = h.world, h.writes
	}
	return c
}

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
	v, err := g.Lookup(c.e.Mem, key)
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
		return 0, fmt.Errorf("map %s is not a hash", g.Name)
	}
	key, err := c.bytes(2, g.KeySize)
	if err != nil {
		return 0, err
	}
	e, _, err := g.Find(c.e.Mem, key)
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
	return errnoResult(g.Update(c.e.Mem, key, value, guest.UpdateFlags(c.arg(4))))
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
	return errnoResult(g.Remove(c.e.Mem, key))
}

// errnoResult turns an guest.Errno into what the helper returns; other errors stay.
func errnoResult(err error) (uint64, error) {
	var e guest.Errno
	if errors.As(err, &e) {
		return e.Result(), nil
	}
	return 0, err
}
