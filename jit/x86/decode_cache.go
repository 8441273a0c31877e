// SPDX-License-Identifier: GPL-2.0-only

package x86

// Cache remembers decoded instructions by their bytes, never by their address: code is patched at
// run time. The zero value is ready for use. It is not safe for concurrent use.
type Cache struct {
	insns map[cacheKey]Inst // as decoded at address 0
	// lens has a bit for each length of the instructions seen that begin with these two bytes; as
	// no encoding is the beginning of another, any of them that matches is the right one.
	lens [1 << 16]uint16
}

type cacheKey struct {
	len  uint8
	code [MaxInstLen]byte
}

// cacheLimit bounds the memory of a Cache: it forgets everything when it has this many
// instructions, about 12 MB.
const cacheLimit = 1 << 15

// Decode does what the function Decode does.
func (c *Cache) Decode(code []byte, pc Addr) (Inst, error) {
	if len(code) < 2 {
		return Decode(code, pc)
	}
	first := int(code[0]) | int(code[1])<<8
	for lens, n := c.lens[first]>>1, 1; lens != 0 && n <= len(code); lens, n = lens>>1, n+1 {
		if lens&1 == 0 {
			continue
		}
		k := cacheKey{len: uint8(n)}
		copy(k.code[:], code[:n])
		if i, ok := c.insns[k]; ok {
			i.move(pc)
			return i, nil
		}
	}
	i, err := Decode(code, 0)
	if err != nil {
		return i, err
	}
	if c.insns == nil || len(c.insns) >= cacheLimit {
		*c = Cache{insns: make(map[cacheKey]Inst)}
	}
	k := cacheKey{len: i.Len}
	copy(k.code[:], code[:i.Len])
	c.insns[k] = i
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
