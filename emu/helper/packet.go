// SPDX-License-Identifier: GPL-2.0-only

package helper

import (
	"encoding/binary"
	"fmt"

	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/jit/image"
)

// Fields of struct xdp_buff and what XDP programs must leave of a packet.
const (
	xdpData, xdpDataEnd, xdpDataMeta = 0, 8, 16
	xdpFrameSize                     = 40 // struct xdp_frame, at the start of the headroom
)

// packetSpan is where the packet is that a program sees.
func (c *call) packetSpan() (lo, hi image.Addr, err error) {
	lo, hi = guest.PacketAddr+image.Addr(c.e.Packet.From), guest.PacketAddr+image.Addr(c.e.Packet.Len)
	if c.e.Packet.XDP {
		l, err := c.e.Mem.ReadWord(guest.ContextAddr + xdpData)
		if err != nil {
			return 0, 0, err
		}
		h, err := c.e.Mem.ReadWord(guest.ContextAddr + xdpDataEnd)
		if err != nil || h < l || h-l > 1<<20 {
			return 0, 0, fmt.Errorf("the packet is from %#x to %#x: %w", l, h, err)
		}
		lo, hi = image.Addr(l), image.Addr(h)
	}
	return lo, max(lo, hi), nil
}

// packet returns the packet as it is in guest memory.
func (c *call) packet() ([]byte, error) {
	lo, hi, err := c.packetSpan()
	if err != nil {
		return nil, err
	}
	p := make([]byte, hi-lo)
	return p, c.e.Mem.Read(lo, p)
}

// at returns the address of n bytes at an offset of the packet; ok is false if they are not there.
func (c *call) at(off, n uint64) (a image.Addr, ok bool, err error) {
	lo, hi, err := c.packetSpan()
	size := uint64(hi - lo)
	if err != nil || off > 1<<31-1 || n > size || off > size-n {
		return 0, false, err
	}
	return lo + image.Addr(off), true, nil
}

// packetLoad copies a part of the packet to the buffer in argument 3 and zeroes that if there is no
// such part (bpf_skb_load_bytes and bpf_xdp_load_bytes in net/core/filter.c).
func packetLoad(c *call) (uint64, error) {
	n := c.arg(4)
	if n > 1<<20 {
		return 0, fmt.Errorf("argument 4: %d bytes", n)
	}
	from, ok, err := c.at(uint64(uint32(c.arg(2))), n)
	if err != nil {
		return 0, err
	}
	b, result := make([]byte, n), uint64(0)
	if !ok {
		result = guest.EFAULT.Result()
		if c.e.Packet.XDP {
			return guest.EINVAL.Result(), nil // its buffer is left alone
		}
	} else if err := c.e.Mem.Read(from, b); err != nil {
		return 0, err
	}
	if err := c.e.Mem.Write(c.addr(3), b); err != nil {
		return 0, fmt.Errorf("argument 3: %w", err)
	}
	return result, nil
}

// packetStore is the way back; flags tell what else changes, which nothing here depends on.
func packetStore(flags uint64, short guest.Errno) func(*call) (uint64, error) {
	return func(c *call) (uint64, error) {
		n := c.arg(4)
		if n > 1<<20 {
			return 0, fmt.Errorf("argument 4: %d bytes", n)
		}
		if c.arg(5)&^flags != 0 && !c.e.Packet.XDP {
			return guest.EINVAL.Result(), nil
		}
		to, ok, err := c.at(uint64(uint32(c.arg(2))), n)
		if err != nil || !ok {
			return short.Result(), err
		}
		b, err := c.bytes(3, uint32(n))
		if err != nil {
			return 0, err
		}
		return 0, c.e.Mem.Write(to, b)
	}
}

// pullData: all of the packet is there already.
func pullData(c *call) (uint64, error) {
	lo, hi, err := c.packetSpan()
	if err == nil && uint64(uint32(c.arg(2))) > uint64(hi-lo) {
		return guest.ENOMEM.Result(), nil
	}
	return 0, err
}

// changeType sets pkt_type, three bits of struct sk_buff.
func changeType(c *call) (uint64, error) {
	const mask, otherhost = 7, 3
	offset := image.Addr(c.e.PktType)
	b, err := c.bytes(1, uint32(offset)+1)
	if err != nil {
		return 0, err
	}
	if c.arg(2) > otherhost || b[offset]&mask > otherhost {
		return guest.EINVAL.Result(), nil
	}
	return 0, c.e.Mem.Write(c.addr(1)+offset, []byte{b[offset]&^mask | byte(c.arg(2))})
}

// csumReplace updates a checksum in the packet (bpf_l3_csum_replace and bpf_l4_csum_replace).
func csumReplace(l4 bool) func(*call) (uint64, error) {
	const sizeMask, l4Flags, mangled, enforce = 0xf, 0xf0, 0x20, 0x40
	return func(c *call) (uint64, error) {
		off, from, to, flags := uint64(uint32(c.arg(2))), c.arg(3), c.arg(4), c.arg(5)
		known := uint64(sizeMask)
		if l4 {
			known |= l4Flags
		}
		if flags&^known != 0 {
			return guest.EINVAL.Result(), nil
		}
		at, ok, err := c.at(off, 2)
		if err != nil || !ok || off > 0xffff || off&1 != 0 {
			return guest.EFAULT.Result(), err
		}
		var b [2]byte
		if err := c.e.Mem.Read(at, b[:]); err != nil {
			return 0, err
		}
		sum := binary.LittleEndian.Uint16(b[:])
		if l4 && flags&mangled != 0 && flags&enforce == 0 && sum == 0 {
			return 0, nil
		}
		switch flags & sizeMask {
		case 0:
			if from != 0 {
				return guest.EINVAL.Result(), nil
			}
		case 2, 4:
			if flags&sizeMask == 2 {
				from, to = from&0xffff, to&0xffff
			}
		default:
			return guest.EINVAL.Result(), nil
		}
		sum = ^fold(uint64(^sum) + uint64(^uint32(from)) + uint64(uint32(to)))
		if flags&sizeMask == 0 {
			sum = ^fold(uint64(^binary.LittleEndian.Uint16(b[:])) + uint64(uint32(to)))
		}
		if l4 && flags&mangled != 0 && sum == 0 {
			sum = 0xffff // CSUM_MANGLED_0
		}
		binary.LittleEndian.PutUint16(b[:], sum)
		return 0, c.e.Mem.Write(at, b[:])
	}
}

// fold makes 16 bits of a sum in ones' complement.
func fold(sum uint64) uint16 {
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return uint16(sum)
}

// csumDiff is bpf_csum_diff: the sum of what argument 3 points to and of the complement of what
// argument 1 points to, folded as since 6.13; before, it is another number of the same checksum.
func csumDiff(c *call) (uint64, error) {
	nf, nt := c.arg(2), c.arg(4)
	if (nf|nt)&3 != 0 || nf+nt > 512 {
		return guest.EINVAL.Result(), nil
	}
	sum := uint64(uint32(c.arg(5)))
	for _, part := range []struct {
		arg  int
		size uint64
		flip uint32
	}{{1, nf, ^uint32(0)}, {3, nt, 0}} {
		if part.size == 0 {
			continue
		}
		b, err := c.bytes(part.arg, uint32(part.size))
		if err != nil {
			return 0, err
		}
		for ; len(b) > 0; b = b[4:] {
			sum += uint64(binary.LittleEndian.Uint32(b) ^ part.flip)
		}
	}
	return uint64(fold(sum)), nil
}
