// SPDX-License-Identifier: GPL-2.0-only

package interp

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"

	"github.com/tcsim/tcsim/jit/bpf"
)

// StackSize is the BPF stack of one function in bytes (include/linux/filter.h, MAX_BPF_STACK).
const StackSize = 512

// frameStride is the distance of frames: a stack and a gap of the same size that must not be touched.
const frameStride = 2 * StackSize

// Layout says where regions lie. A zero field gets a default in the kernel's direct map or its
// stack area; regions must not overlap. Comparing map contents that hold pointers with those of
// another engine works if both use the same layout.
type Layout struct {
	// StackTop is R10 of the first frame and a multiple of 8; frame n has R10 = StackTop-1024n.
	StackTop uint64
	// Ctx and Packet are where R1 and the packet's data begin.
	Ctx, Packet uint64
	// Handle holds the addresses of the maps' struct bpf_map, Values those of their values.
	Handle, Values []uint64
	// Apart are the distances of the values of hash maps and tries, whose elements have keys, too; 0 is their size rounded up to 8.
	Apart []uint64
	// TraceArgs is where the arguments that tracing programs get begin.
	TraceArgs uint64
	// Keys is where the keys are that a helper which goes through a map hands to a function.
	Keys uint64
	// Arena is where the 4 GiB of an arena begin in the kernel.
	Arena uint64
}

func (l Layout) withDefaults(maps int) Layout {
	set := func(p *uint64, v uint64) {
		if *p == 0 {
			*p = v
		}
	}
	set(&l.StackTop, 0xffff_c900_5a3c_0000) // of which no half is a number that programs are likely to return
	set(&l.Ctx, 0xffff_8881_0000_1000)
	set(&l.Packet, 0xffff_8881_0001_0000)
	set(&l.TraceArgs, 0xffff_c900_0020_0000)
	set(&l.Keys, 0xffff_c900_0030_0000)
	set(&l.Arena, 0xffff_d000_0000_0000)
	l.Handle = append(slices.Clone(l.Handle), make([]uint64, max(0, maps-len(l.Handle)))...)
	l.Values = append(slices.Clone(l.Values), make([]uint64, max(0, maps-len(l.Values)))...)
	l.Apart = append(slices.Clone(l.Apart), make([]uint64, max(0, maps-len(l.Apart)))...)
	for i := range maps {
		set(&l.Handle[i], 0xffff_8881_1000_0000+uint64(i)*0x1000)
		set(&l.Values[i], 0xffff_8882_0000_0000+uint64(i)<<32)
	}
	return l
}

// region is memory other than stacks.
type region struct {
	base  uint64
	data  []byte
	pages map[uint64]bool // see mapState
	gaps  gaps
}

// gaps are between values that follow each other in data: each has size bytes, and the next one is apart bytes from it. The
// zero value has none.
type gaps struct{ size, apart uint64 }

// addr is how far from the first value that lies which data has at off.
func (g gaps) addr(off uint64) uint64 {
	if g.apart == 0 {
		return off
	}
	return off/g.size*g.apart + off%g.size
}

// end is how far from the first value that ends which has n bytes in data: after the last of them.
func (g gaps) end(n uint64) uint64 {
	if n == 0 {
		return 0
	}
	return g.addr(n-1) + 1
}

// off is addr the other way; in says how many bytes of the value are left there, ok is false in a gap, but for its first byte.
func (g gaps) off(addr uint64) (off, left uint64, ok bool) {
	in := addr % g.apart
	return addr/g.apart*g.size + in, g.size - in, in <= g.size
}

// size is how many bytes of addresses a region has.
func (r *region) size() uint64 { return r.gaps.end(uint64(len(r.data))) }

// frame is one live function: its stack and, while it waits for a call, its registers.
type frame struct {
	stack   [StackSize]byte
	written [StackSize / 64]uint64

	prog  *program
	fn    int // index into prog.funcs
	pc    int // where it goes on
	saved [4]uint64
	count uint32 // its copy of the counter, PerFrame only
	loops uint64 // what may_goto has left

	calling bool // waits for a subprogram to return

	traced bool      // entered by a call, and traces are attached to fn of its program then
	by     *function // what they are attached to
	args   [maxArgs]uint64
}

// memory resolves addresses.
type memory struct {
	frames   []*frame
	depth    int // index of the top frame
	maxDepth int
	top0     uint64   // Layout.StackTop
	arena    uint64   // Layout.Arena; 0 if no map is one
	regions  []region // sorted by base
	last     int      // region of the last hit
	args     []byte   // arguments and return value of a traced function
	uninit   uint64

	keys    []byte // of helpers that go through maps, keySize bytes for each
	keySize int
	walks   int // such helpers under way
}

func (m *memory) init(cfg *Config) {
	m.top0 = cfg.Layout.StackTop &^ 7
	for _, def := range cfg.Maps {
		if def.Type == bpf.ArenaMap {
			m.arena = cfg.Layout.Arena
		}
	}
	m.maxDepth = cfg.MaxFrames
	m.add(region{base: cfg.Layout.Ctx})
	m.add(region{base: cfg.Layout.Packet - headroom})
	m.args = make([]byte, 8*(maxArgs+1))
	m.add(region{base: cfg.Layout.TraceArgs, data: m.args})
	m.addKeys(cfg)
}

func (m *memory) add(r region) {
	i, _ := slices.BinarySearchFunc(m.regions, r.base, func(r region, b uint64) int {
		if r.base < b {
			return -1
		}
		return 1
	})
	m.regions = slices.Insert(m.regions, i, r)
}

func (m *memory) overlap() error {
	for i := 1; i < len(m.regions); i++ {
		a, b := m.regions[i-1], m.regions[i]
		if a.base+a.size() > b.base {
			return fmt.Errorf("layout: regions at %#x and %#x overlap", a.base, b.base)
		}
	}
	return nil
}

// setCtx puts the context and packet of a run in place.
func (m *memory) setCtx(c *Ctx, l Layout) {
	for i := range m.regions {
		switch m.regions[i].base {
		case l.Ctx:
			m.regions[i].data = c.Data
			if c.Kind != Raw {
				m.regions[i].data = nil // accessed field by field
			}
		case l.Packet - headroom, l.Packet:
			m.regions[i].base, m.regions[i].data = l.Packet, c.Packet
			if c.room != nil {
				m.regions[i].base, m.regions[i].data = l.Packet-headroom, c.room
			}
		}
	}
	m.uninit, m.walks = 0, 0
}

func (m *memory) top() *frame { return m.frames[m.depth] }

// fp returns R10 of the top frame.
func (m *memory) fp() uint64 { return m.top0 - uint64(m.depth)*frameStride }

// span returns the n bytes at addr, or nil if they are not all in one region. n is at least 1.
// Writes to a stack are noted.
func (m *memory) span(addr uint64, n int, write bool) []byte {
	if m.top0-addr-1 < uint64(m.depth+1)*frameStride {
		return m.stackSpan(addr, n, write)
	}
	if r := &m.regions[m.last]; addr-r.base < r.size() {
		return r.at(addr, n, write)
	}
	i, ok := slices.BinarySearchFunc(m.regions, addr, func(r region, a uint64) int {
		switch {
		case a < r.base:
			return 1
		case a-r.base >= r.size():
			return -1
		}
		return 0
	})
	if !ok {
		return nil
	}
	m.last = i
	return m.regions[i].at(addr, n, write)
}

func (r *region) at(addr uint64, n int, write bool) []byte {
	off := addr - r.base
	left := uint64(len(r.data)) - off // with gaps another number
	if r.gaps.apart != 0 {
		var ok bool
		if off, left, ok = r.gaps.off(off); !ok {
			return nil
		}
	}
	if left < uint64(n) {
		return nil
	}
	if write {
		touch(r.pages, off, n)
	}
	return r.data[off : off+uint64(n) : off+uint64(n)]
}

func (m *memory) stackSpan(addr uint64, n int, write bool) []byte {
	below := m.top0 - addr // 1 is the first byte below StackTop
	f := m.frames[(below-1)/frameStride]
	below = (below-1)%frameStride + 1
	if below > StackSize || uint64(n) > below {
		return nil
	}
	off := StackSize - int(below)
	if write {
		f.mark(off, n)
	} else if !f.isWritten(off, n) {
		m.uninit++
	}
	return f.stack[off : off+n : off+n]
}

// mask returns word i/64 of the bit set [off, off+n).
func mask(off, n, word int) uint64 {
	lo, hi := max(off-word*64, 0), min(off+n-word*64, 64)
	return ^uint64(0) >> (64 - (hi - lo)) << lo
}

func (f *frame) mark(off, n int) {
	for w := off / 64; w*64 < off+n; w++ {
		f.written[w] |= mask(off, n, w)
	}
}

func (f *frame) isWritten(off, n int) bool {
	for w := off / 64; w*64 < off+n; w++ {
		if b := mask(off, n, w); f.written[w]&b != b {
			return false
		}
	}
	return true
}

// load reads n bytes, little endian; ok is false if they do not exist.
func (m *memory) load(addr uint64, n uint8) (v uint64, ok bool) {
	b := m.span(addr, int(n), false)
	if b == nil {
		return 0, m.inArena(addr)
	}
	return get(b), true
}

// store writes the low n bytes of v.
func (m *memory) store(addr uint64, n uint8, v uint64) bool {
	b := m.span(addr, int(n), true)
	if b == nil {
		return m.inArena(addr)
	}
	put(b, v)
	return true
}

// inArena reports whether addr lies in the arena. No page of it is ever there, because what
// allocates them is not modelled: loads read zero and stores do nothing, as the kernel's exception
// table has it.
func (m *memory) inArena(addr uint64) bool {
	return m.arena != 0 && addr-(m.arena-arenaGuard) < 1<<32+2*arenaGuard
}

// arenaGuard is how far outside an arena an access to it can go: the largest offset of an instruction. The kernel keeps
// that room on both sides (GUARD_SZ, kernel/bpf/arena.c).
const arenaGuard = 1 << 15

func get(b []byte) uint64 {
	switch len(b) {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(binary.LittleEndian.Uint16(b))
	case 4:
		return uint64(binary.LittleEndian.Uint32(b))
	}
	return binary.LittleEndian.Uint64(b)
}

func put(b []byte, v uint64) {
	switch len(b) {
	case 1:
		b[0] = byte(v)
	case 2:
		binary.LittleEndian.PutUint16(b, uint16(v))
	case 4:
		binary.LittleEndian.PutUint32(b, uint32(v))
	default:
		binary.LittleEndian.PutUint64(b, v)
	}
}

// WrittenBytes counts the stack bytes that are marked in Snapshot.Written.
func (s *Snapshot) WrittenBytes() int {
	n := 0
	for _, w := range s.Written {
		n += bits.OnesCount64(w)
	}
	return n
}
