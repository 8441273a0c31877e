// SPDX-License-Identifier: GPL-2.0-only

package helper

import (
	"fmt"

	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
)

// A ring buffer without a reader (kernel/bpf/ringbuf.c): its producer position is in the word before
// its data. A record has a header of 8 bytes and is rounded up to 8.
const (
	ringHeader = 8
	ringBusy   = 1 << 31
	ringMax    = 1<<30 - 1
)

func (c *call) ringArg(arg int) (*guest.Map, error) {
	g, err := c.mapAt(arg)
	if err == nil && g.Type != bpf.RingBuf {
		err = fmt.Errorf("map %s is not a ring buffer", g.Name)
	}
	return g, err
}

// reserve returns the address after the header of a new record, 0 if there is no room.
func (c *call) reserve(g *guest.Map, size uint64) (image.Addr, error) {
	n := (size + ringHeader + 7) &^ 7
	pos, err := c.e.Mem.ReadWord(g.Elems - 8)
	if err != nil || size > ringMax || pos+n > uint64(g.MaxEntries)-1 {
		return 0, err
	}
	at := g.Elems + image.Addr(pos)
	if err := c.e.Mem.WriteWord(at, size|ringBusy); err != nil {
		return 0, err
	}
	return at + ringHeader, c.e.Mem.WriteWord(g.Elems-8, pos+n)
}

func ringReserve(c *call) (uint64, error) {
	g, err := c.ringArg(1)
	if err != nil || c.arg(3) != 0 {
		return 0, err
	}
	at, err := c.reserve(g, c.arg(2))
	return uint64(at), err
}

// ringCommit ends a record, to be read or to be left out.
func ringCommit(c *call) (uint64, error) {
	head, err := c.e.Mem.ReadWord(c.addr(1) - ringHeader)
	if err != nil {
		return 0, fmt.Errorf("argument 1: %w", err)
	}
	return c.e.VoidRAX, c.e.Mem.WriteWord(c.addr(1)-ringHeader, head&^ringBusy)
}

func ringOutput(c *call) (uint64, error) {
	g, err := c.ringArg(1)
	if err != nil {
		return 0, err
	}
	if c.arg(4)&^3 != 0 { // BPF_RB_NO_WAKEUP | BPF_RB_FORCE_WAKEUP
		return guest.EINVAL.Result(), nil
	}
	size := c.arg(3)
	at, err := c.reserve(g, size)
	if err != nil || at == 0 {
		return guest.EAGAIN.Result(), err
	}
	b, err := c.bytes(2, uint32(size))
	if err != nil {
		return 0, err
	}
	if err := c.e.Mem.Write(at, b); err != nil {
		return 0, err
	}
	return 0, c.e.Mem.WriteWord(at-ringHeader, size)
}

func ringQuery(c *call) (uint64, error) {
	g, err := c.ringArg(1)
	if err != nil {
		return 0, err
	}
	switch c.arg(2) {
	case 1: // BPF_RB_RING_SIZE
		return uint64(g.MaxEntries), nil
	case 0, 3: // BPF_RB_AVAIL_DATA, BPF_RB_PROD_POS
		return c.e.Mem.ReadWord(g.Elems - 8)
	}
	return 0, nil
}
