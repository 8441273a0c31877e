// SPDX-License-Identifier: GPL-2.0-only

// Package agreed is what all paths to a call agree on: the map that it is handed, the key of a tail call, the function that
// bpf_loop calls (struct bpf_insn_aux_data). It must not import the verifier.
//
//	c.Note(m, &key, entries)
//	m, key, ok := c.Direct()
package agreed

import (
	"cmp"
	"math"
	"slices"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/verify/ranges"
)

// Map is the map that paths to a call pass (map_ptr_state). The zero value is that of a call that no path reached.
type Map struct {
	index         int32
	seen, differs bool
}

// Note notes the map of one path by its index, -1 if that is unknown.
func (m *Map) Note(index int32) {
	m.differs = m.differs || index < 0 || m.seen && m.index != index
	m.index, m.seen = index, true
}

// Index is the index of the map; ok is false if paths differ.
func (m *Map) Index() (index int, ok bool) { return int(m.index), m.seen && !m.differs }

// TailCall is what paths to a tail call pass (map_key_state).
type TailCall struct {
	Map
	key        uint32
	keySeen    bool
	keyDiffers bool
	ways       []Way // what each path brings, without repetitions
}

// Way is the map and the key with which one or more paths reach a tail call.
type Way struct {
	Map int // index into Program.Maps, -1 if unknown
	// Min and Max bound the key, whose low 32 bits the kernel takes; equal for a constant.
	Min, Max uint32
}

// Const reports whether the key is a constant.
func (w Way) Const() bool { return w.Min == w.Max }

// maxWays bounds what is kept of one tail call: beyond it ways become one with any key.
const maxWays = 256

// Note notes one path: the map, by its index, -1 if that is unknown; the key, nil if it is no number; and how many entries
// the map has (record_func_map, record_func_key).
func (c *TailCall) Note(m int32, key *ranges.Scalar, entries uint32) {
	c.Map.Note(m)
	w := Way{Map: int(m), Max: math.MaxUint32}
	if key != nil && key.Umax <= math.MaxUint32 || key != nil && key.Umin == key.Umax {
		w.Min, w.Max = uint32(key.Umin), uint32(key.Umax)
	}
	if len(c.ways) >= maxWays {
		w.Min, w.Max = 0, math.MaxUint32
	}
	if !slices.Contains(c.ways, w) {
		c.ways = append(c.ways, w)
	}
	switch {
	case key == nil || !key.IsConst() || m < 0 || key.Umin >= uint64(entries), c.keySeen && uint64(c.key) != key.Umin:
		c.keyDiffers = true
	default:
		c.key = uint32(key.Umin)
	}
	c.keySeen = true
}

// Direct is the map and the key of all paths; ok is false if they differ.
func (c *TailCall) Direct() (m int, key uint32, ok bool) {
	m, ok = c.Index()
	return m, c.key, ok && !c.keyDiffers
}

// Ways are the maps and keys of all paths, in order.
func (c *TailCall) Ways() []Way {
	slices.SortFunc(c.ways, func(a, b Way) int {
		return cmp.Or(cmp.Compare(a.Map, b.Map), cmp.Compare(a.Min, b.Min), cmp.Compare(a.Max, b.Max))
	})
	return c.ways
}

// Loop is what paths to a call of bpf_loop pass (loop_inline_state).
type Loop struct {
	callback bpf.InsnIndex
	seen     bool
	differs  bool
}

// Note notes the function of one path, by its slot; plain says that it is one, and that the flags are 0.
func (l *Loop) Note(callback bpf.InsnIndex, plain bool) {
	l.differs = l.differs || !plain || l.seen && l.callback != callback
	if !l.seen {
		l.callback, l.seen = callback, true
	}
}

// Function is the slot of the function; ok is false if paths differ.
func (l *Loop) Function() (callback bpf.InsnIndex, ok bool) {
	return l.callback, l.seen && !l.differs
}
