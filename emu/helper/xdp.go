// SPDX-License-Identifier: GPL-2.0-only

package helper

import (
	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/jit/image"
)

// The helpers that move an XDP program's packet in its frame (net/core/filter.c).

// xdpWord reads a pointer of struct xdp_buff.
func (c *call) xdpWord(off image.Addr) (int64, error) {
	v, err := c.e.Mem.ReadWord(c.addr(1) + off)
	return int64(v), err
}

func (c *call) xdpPointers() (data, end, meta int64, err error) {
	if data, err = c.xdpWord(xdpData); err == nil {
		if end, err = c.xdpWord(xdpDataEnd); err == nil {
			meta, err = c.xdpWord(xdpDataMeta)
		}
	}
	return data, end, meta, err
}

// hardStart and packetEndMax bound where a packet may be.
var (
	hardStart    = addrInt(guest.PacketAddr - guest.PacketHeadroom)
	packetEndMax = hardStart + guest.PacketFrame
)

func addrInt(a image.Addr) int64 { return int64(a) }

func xdpAdjustHead(c *call) (uint64, error) {
	data, end, meta, err := c.xdpPointers()
	if err != nil {
		return 0, err
	}
	size := int64(0)
	if meta <= data {
		size = data - meta
	}
	to := data + int64(int32(c.arg(2)))
	if to < hardStart+xdpFrameSize+size || to > end-ethHeader {
		return guest.EINVAL.Result(), nil
	}
	if size > 0 {
		b := make([]byte, size)
		if err := c.e.Mem.Read(image.Addr(meta), b); err != nil {
			return 0, err
		}
		if err := c.e.Mem.Write(image.Addr(to-size), b); err != nil {
			return 0, err
		}
	}
	if err := c.e.Mem.WriteWord(c.addr(1)+xdpDataMeta, uint64(to-size)); err != nil {
		return 0, err
	}
	return 0, c.e.Mem.WriteWord(c.addr(1)+xdpData, uint64(to))
}

func xdpAdjustTail(c *call) (uint64, error) {
	data, end, _, err := c.xdpPointers()
	if err != nil {
		return 0, err
	}
	by := int64(int32(c.arg(2)))
	if end+by > packetEndMax || end+by < data+ethHeader {
		return guest.EINVAL.Result(), nil
	}
	if by > 0 {
		if err := c.e.Mem.Write(image.Addr(end), make([]byte, by)); err != nil {
			return 0, err
		}
	}
	return 0, c.e.Mem.WriteWord(c.addr(1)+xdpDataEnd, uint64(end+by))
}

func xdpAdjustMeta(c *call) (uint64, error) {
	data, _, meta, err := c.xdpPointers()
	if err != nil {
		return 0, err
	}
	to := meta + int64(int32(c.arg(2)))
	switch size := data - to; {
	case meta > data:
		return guest.ENOTSUPP.Result(), nil
	case to < hardStart+xdpFrameSize || to > data:
		return guest.EINVAL.Result(), nil
	case size&3 != 0 || size > 255: // xdp_metalen_invalid
		return guest.EACCES.Result(), nil
	}
	return 0, c.e.Mem.WriteWord(c.addr(1)+xdpDataMeta, uint64(to))
}

func xdpBuffLen(c *call) (uint64, error) {
	lo, hi, err := c.packetSpan()
	return uint64(hi - lo), err
}
