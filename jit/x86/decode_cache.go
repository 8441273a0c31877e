// SPDX-License-Identifier: GPL-2.0-only

package x86

import (
	"encoding/binary"
	"math/bits"
)

// Cache remembers decoded instructions by their bytes, never by their address: code is patched at
// run time. The zero value is ready for use. It is not safe for concurrent use.
type Cache struct {
	insns []cached // by hash; nil before the first
	// lens has a bit for each length of the instructions seen that begin with these two bytes; as
	// no encoding is the beginning of another, any of them that matches is the right one.
	lens [1 << 16]uint16
}

// cached is an instruction as decoded at address 0. A zero value is a free place.
type cached struct {
	key  cacheKey
	inst *Inst
}

// cacheKey is the bytes of an instruction, little-endian, and its length in the last byte, which no instruction reaches.
type cacheKey struct{ lo, hi uint64 }

// cacheBits is how many instructions a Cache remembers at most, as a power of two. A new one takes the place of an older
// one with its hash.
const cacheBits = 13

func (k cacheKey) hash() uint64 {
	return (k.lo*0x9e3779b97f4a7c15 ^ k.hi*0xc2b2ae3d27d4eb4f) >> (64 - cacheBits)
}

// begins is the key of an instruction of n bytes that begins with these.
func (k cacheKey) begins(n int) cacheKey {
	if n <= 8 {
		return cacheKey{k.lo & (1<<(8*n) - 1), uint64(n) << 56}
	}
	return cacheKey{k.lo, k.hi&(1<<(8*(n-8))-1) | uint64(n)<<56}
}

// keyOf has the first bytes of code, at most 16, with no length.
func keyOf(code []byte) cacheKey {
	if len(code) < 16 {
		var room [16]byte
		copy(room[:], code)
		code = room[:]
	}
	return cacheKey{binary.LittleEndian.Uint64(code), binary.LittleEndian.Uint64(code[8:])}
}

// Decode does what the function Decode does.
func (c *Cache) Decode(code []byte, pc Addr) (Inst, error) {
	if len(code) < 2 {
		return Decode(code, pc)
	}
	first, all := int(code[0])|int(code[1])<<8, keyOf(code)
	for lens := c.lens[first]; lens != 0; lens &= lens - 1 {
		n := bits.TrailingZeros16(lens)
		if n > len(code) {
			break
		}
		k := all.begins(n)
		if at := &c.insns[k.hash()]; at.key == k {
			i := *at.inst
			i.move(pc)
			return i, nil
		}
	}
	i, err := Decode(code, 0)
	if err != nil {
		return i, err
	}
	if c.insns == nil {
		c.insns = make([]cached, 1<<cacheBits)
	}
	k, kept := all.begins(int(i.Len)), i
	c.insns[k.hash()] = cached{k, &kept}
	c.lens[first] |= 1 << i.Len
	i.move(pc)
	return i, nil
}

// move puts an instruction that was decoded at address 0 at pc.
func (i *Inst) move(pc Addr) {
	i.PC = pc
	for _, o := range i.Ops() {
		if o.Kind == OpRel {
			i.Target += pc
		}
	}
}
