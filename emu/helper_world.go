// SPDX-License-Identifier: GPL-2.0-only

package emu

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"strings"

	"github.com/tcsim/tcsim/jit"
)

// world is the state of helpers whose results depend on the outside. It is a function of the seed
// and begins anew with every run.
type world struct {
	random uint64
	now    uint64
	printk []string
	active map[uint64]int // tracing programs that run, by struct bpf_prog
}

func newWorld(seed uint64) world {
	return world{random: seed, now: 60_000_000_000 + seed%1_000_000_000}
}

// next is splitmix64 (Steele, Lea, Flood 2014).
func (w *world) next() uint64 {
	w.random += 0x9e3779b97f4a7c15
	z := w.random
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// ktime advances by 100 ns per call, so that time passes.
func ktime(c *call) (uint64, error) {
	c.m.world.now += 100
	return c.m.world.now, nil
}

func prandom(c *call) (uint64, error) { return c.m.world.next() >> 32, nil }

func currentTask(*call) (uint64, error) { return uint64(TaskAddr), nil }

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

// packet returns the packet as it is in guest memory.
func (c *call) packet() ([]byte, error) {
	p := make([]byte, len(c.m.setup.Packet))
	return p, c.m.space.read(PacketAddr, p)
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
			return EFAULT.result(), nil
		case n == 1:
			return uint64(b[0]), nil
		case n == 2:
			return uint64(binary.BigEndian.Uint16(b)), nil
		}
		return uint64(int64(int32(binary.BigEndian.Uint32(b)))), nil // the helper returns an int
	}
}

// skbLoadBytes zeroes the destination if the packet is too short (bpf_skb_load_bytes in
// net/core/filter.c).
func skbLoadBytes(c *call) (uint64, error) {
	n := c.arg(4)
	if n > 1<<20 {
		return 0, fmt.Errorf("argument 4: %d bytes", n)
	}
	var b []byte
	if off := int32(c.arg(2)); off >= 0 {
		p, err := c.packetRange(off, n)
		if err != nil {
			return 0, err
		}
		b = p
	}
	result := uint64(0)
	if b == nil {
		b, result = make([]byte, n), EFAULT.result()
	}
	if err := c.m.space.write(c.addr(3), b); err != nil {
		return 0, fmt.Errorf("argument 3: %w", err)
	}
	return result, nil
}

// tracePrintk formats with up to three arguments: %d %i %u %x %p %c %s with the usual sizes.
func tracePrintk(c *call) (uint64, error) {
	n := c.arg(2)
	if n > 1024 {
		return EINVAL.result(), nil
	}
	f, err := c.bytes(1, uint32(n))
	if err != nil {
		return 0, err
	}
	format, _, _ := strings.Cut(string(f), "\x00")
	s, err := c.format(format)
	if err != nil {
		return 0, err
	}
	c.m.world.printk = append(c.m.world.printk, s)
	return uint64(len(s)), nil
}

func (c *call) format(f string) (string, error) {
	var b strings.Builder
	next := 3
	for i := 0; i < len(f); i++ {
		if f[i] != '%' || i+1 == len(f) {
			b.WriteByte(f[i])
			continue
		}
		i++
		long := 0
		for i < len(f)-1 && f[i] == 'l' {
			long++
			i++
		}
		if f[i] == '%' {
			b.WriteByte('%')
			continue
		}
		if next > 5 {
			return "", fmt.Errorf("format %q has more than three arguments", f)
		}
		if err := c.verb(&b, f[i], long > 0, next); err != nil {
			return "", fmt.Errorf("format %q: %w", f, err)
		}
		next++
	}
	return b.String(), nil
}

func (c *call) verb(b *strings.Builder, v byte, long bool, arg int) error {
	x := c.arg(arg)
	s := int64(x)
	if !long && v != 'p' && v != 's' {
		x, s = uint64(uint32(x)), int64(int32(x))
	}
	switch v {
	case 'd', 'i':
		fmt.Fprintf(b, "%d", s)
	case 'u':
		fmt.Fprintf(b, "%d", x)
	case 'x':
		fmt.Fprintf(b, "%x", x)
	case 'p':
		fmt.Fprintf(b, "%016x", x)
	case 'c':
		b.WriteByte(byte(x))
	case 's':
		str, err := c.m.cString(jit.Addr(x), 512)
		if err != nil {
			return err
		}
		b.WriteString(str)
	default:
		return fmt.Errorf("verb %%%c is not modelled", v)
	}
	return nil
}
