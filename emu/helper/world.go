// SPDX-License-Identifier: GPL-2.0-only

package helper

import (
	"encoding/binary"
	"hash/fnv"

	"github.com/tcsim/tcsim/emu/guest"
)

// World is the state of helpers whose results depend on the outside. It is a function of the seed
// and begins anew with every run.
type World struct {
	random uint64
	now    uint64
	// Printk are the lines of bpf_trace_printk.
	Printk []string
	// Printed are the results of bpf_trace_printk in the order of its calls.
	Printed []uint64
	active  map[uint64]int // tracing programs that run, by struct bpf_prog
}

// NewWorld returns the world at the start of a run.
func NewWorld(seed uint64) World {
	return World{random: seed, now: 60_000_000_000 + seed%1_000_000_000}
}

// next is splitmix64 (Steele, Lea, Flood 2014).
func (w *World) next() uint64 {
	w.random += 0x9e3779b97f4a7c15
	z := w.random
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// ktime advances by 100 ns per call, so that time passes.
func ktime(c *call) (uint64, error) {
	c.e.now += 100
	return c.e.now, nil
}

func prandom(c *call) (uint64, error) { return c.e.next() >> 32, nil }

func currentTask(*call) (uint64, error) { return uint64(guest.TaskAddr), nil }

func pidTGID(*call) (uint64, error) { return 1<<32 | 1, nil }

// packetHash stands for skb_get_hash, whose key is random on every boot; it is never 0.
func packetHash(c *call) (uint64, error) {
	p, err := c.packet()
	if err != nil {
		return 0, err
	}
	h := fnv.New32a()
	h.Write(p)
	return uint64(h.Sum32() | 1), nil
}

// ethHeader is the length of the link layer header in front of the network header.
const ethHeader = 14

// packetRange returns n bytes at an offset of the packet; negative offsets count from the network
// or link layer header (SKF_NET_OFF and SKF_LL_OFF in include/uapi/linux/filter.h). nil if they
// are not there.
func (c *call) packetRange(off int32, n uint64) ([]byte, error) {
	p, err := c.packet()
	if err != nil {
		return nil, err
	}
	at := int64(off)
	switch {
	case at >= 0:
	case at >= -0x100000:
		at += 0x100000 + ethHeader
	case at >= -0x200000:
		at += 0x200000
	}
	if at < 0 || n > uint64(len(p)) || uint64(at) > uint64(len(p))-n {
		return nil, nil
	}
	return p[at : uint64(at)+n], nil
}

// skbLoad is bpf_skb_load_helper_*: n bytes in network order, the offset in argument arg.
func skbLoad(n uint64, arg int) func(*call) (uint64, error) {
	return func(c *call) (uint64, error) {
		b, err := c.packetRange(int32(c.arg(arg)), n)
		switch {
		case err != nil:
			return 0, err
		case b == nil:
			return guest.EFAULT.Result(), nil
		case n == 1:
			return uint64(b[0]), nil
		case n == 2:
			return uint64(binary.BigEndian.Uint16(b)), nil
		}
		return uint64(binary.BigEndian.Uint32(b)), nil // BPF_CALL functions return u64, so only errors are negative
	}
}
