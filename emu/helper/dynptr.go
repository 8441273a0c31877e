// SPDX-License-Identifier: GPL-2.0-only

package helper

import (
	"encoding/binary"
	"fmt"

	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/jit/image"
)

// dynptr is struct bpf_dynptr_kern of memory that the program has, or of a record of a ring buffer (kernel/bpf/helpers.c):
// an address, 0 in one that holds nothing, a size with the kind, and an offset, which is 0.
type dynptr struct {
	data image.Addr
	size uint32
}

// Bits of the size.
const (
	dynptrLocal, dynptrRing = 1 << 28, 2 << 28
	dynptrSize              = 1<<24 - 1
)

// dynptrAt reads the dynptr that argument arg points to.
func (c *call) dynptrAt(arg int) (d dynptr, err error) {
	b, err := c.bytes(arg, 16)
	if err == nil {
		d = dynptr{image.Addr(binary.LittleEndian.Uint64(b)), binary.LittleEndian.Uint32(b[8:]) & dynptrSize}
	}
	return d, err
}

// setDynptr makes the dynptr that argument arg points to; data 0 makes one that holds nothing.
func (c *call) setDynptr(arg int, data image.Addr, kind, size uint32) error {
	if data == 0 {
		kind, size = 0, 0
	}
	b := binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint64(nil, uint64(data)), kind|size)
	return c.e.Mem.Write(c.addr(arg), binary.LittleEndian.AppendUint32(b, 0))
}

func dynptrFromMem(c *call) (uint64, error) {
	size := uint32(c.arg(2))
	switch {
	case size > dynptrSize:
		return guest.E2BIG.Result(), c.setDynptr(4, 0, 0, 0)
	case c.arg(3) != 0:
		return guest.EINVAL.Result(), c.setDynptr(4, 0, 0, 0)
	}
	return 0, c.setDynptr(4, c.addr(1), dynptrLocal, size)
}

func ringReserveDynptr(c *call) (uint64, error) {
	g, err := c.ringArg(1)
	if err != nil {
		return 0, err
	}
	size := uint32(c.arg(2))
	switch {
	case c.arg(3) != 0:
		return guest.EINVAL.Result(), c.setDynptr(4, 0, 0, 0)
	case size > dynptrSize:
		return guest.E2BIG.Result(), c.setDynptr(4, 0, 0, 0)
	}
	at, err := c.reserve(g, uint64(size))
	if err != nil {
		return 0, err
	}
	if at == 0 {
		return guest.EINVAL.Result(), c.setDynptr(4, 0, 0, 0)
	}
	return 0, c.setDynptr(4, at, dynptrRing, size)
}

// ringCommitDynptr ends the record of a dynptr, to be read or to be left out, if there is one.
func ringCommitDynptr(c *call) (uint64, error) {
	d, err := c.dynptrAt(1)
	if err != nil || d.data == 0 {
		return c.e.VoidRAX, err
	}
	head, err := c.e.Mem.ReadWord(d.data - ringHeader)
	if err == nil {
		err = c.e.Mem.WriteWord(d.data-ringHeader, head&^ringBusy)
	}
	if err != nil {
		return 0, fmt.Errorf("argument 1: %w", err)
	}
	return c.e.VoidRAX, c.setDynptr(1, 0, 0, 0)
}

// inside returns 0 if n bytes at off lie in a dynptr.
func (d *dynptr) inside(off, n uint64) guest.Errno {
	if off > uint64(d.size) || n > uint64(d.size)-off {
		return guest.E2BIG
	}
	return 0
}

// dynptrRead copies from dynptr 3, offset 4, to buffer 1 of 2 bytes.
func dynptrRead(c *call) (uint64, error) {
	d, err := c.dynptrAt(3)
	if err != nil {
		return 0, err
	}
	if d.data == 0 || c.arg(5) != 0 {
		return guest.EINVAL.Result(), nil
	}
	n, off := uint64(uint32(c.arg(2))), uint64(uint32(c.arg(4)))
	if e := d.inside(off, n); e != 0 {
		return e.Result(), nil
	}
	b := make([]byte, n)
	if err := c.e.Mem.Read(d.data+image.Addr(off), b); err != nil {
		return 0, fmt.Errorf("argument 3: %w", err)
	}
	return 0, c.e.Mem.Write(c.addr(1), b)
}

// dynptrWrite copies buffer 3 of 4 bytes to dynptr 1, offset 2.
func dynptrWrite(c *call) (uint64, error) {
	d, err := c.dynptrAt(1)
	if err != nil {
		return 0, err
	}
	if d.data == 0 {
		return guest.EINVAL.Result(), nil
	}
	off, n := uint64(uint32(c.arg(2))), uint64(uint32(c.arg(4)))
	if e := d.inside(off, n); e != 0 {
		return e.Result(), nil
	}
	if c.arg(5) != 0 {
		return guest.EINVAL.Result(), nil
	}
	b, err := c.bytes(3, uint32(n))
	if err != nil {
		return 0, err
	}
	return 0, c.e.Mem.Write(d.data+image.Addr(off), b)
}

// dynptrData is the address of 3 bytes at offset 2 of a dynptr, 0 if they are not in it.
func dynptrData(c *call) (uint64, error) {
	d, err := c.dynptrAt(1)
	if err != nil || d.data == 0 {
		return 0, err
	}
	off := uint64(uint32(c.arg(2)))
	if d.inside(off, uint64(uint32(c.arg(3)))) != 0 {
		return 0, nil
	}
	return uint64(d.data) + off, nil
}
