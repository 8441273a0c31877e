// SPDX-License-Identifier: GPL-2.0-only

package interp

import (
	"encoding/binary"
	"syscall"

	"github.com/tcsim/tcsim/jit/bpf"
)

// maxKeys is how many helpers that go through maps can be under way at once: kernels allow eight frames.
const maxKeys = 8

// addKeys makes memory for the keys that are handed to functions of programs.
func (m *memory) addKeys(cfg *Config) {
	for _, def := range cfg.Maps {
		if traversed(def.Type) {
			m.keySize = max(m.keySize, int(def.KeySize+7)&^7)
		}
	}
	m.keys = make([]byte, maxKeys*m.keySize)
	m.add(region{base: cfg.Layout.Keys, data: m.keys})
}

// traversed reports whether maps of a type can be gone through (map_for_each_callback in struct bpf_map_ops).
func traversed(t bpf.MapType) bool {
	return t == bpf.ArrayMap || t == bpf.PerCPUArrayMap || t.Hash() && t != bpf.HashOfMaps
}

// loop is bpf_loop (kernel/bpf/bpf_iter.c): R1 iterations, R2 callback(index, ctx), R3 its ctx,
// R4 flags. It returns the number of iterations done; the callback ends it by returning 1.
func (m *Machine) loop() (uint64, error) {
	n, fn, ctx, flags := uint64(uint32(m.regs[1])), m.callback(m.regs[2]), m.regs[3], m.regs[4]
	switch {
	case fn < 0:
		return 0, m.fault("r2 = %#x (%s) is not a callback of this program", m.regs[2], m.Locate(m.regs[2]))
	case flags != 0:
		return errno(syscall.EINVAL), nil
	case n > 8<<20: // BPF_MAX_LOOPS
		return errno(syscall.E2BIG), nil
	}
	for i := uint64(0); i < n; i++ {
		if stop, err := m.callBack(fn, i, ctx); err != nil || stop {
			return i + 1, err
		}
	}
	return n, nil
}

// forEach is bpf_for_each_map_elem (kernel/bpf/bpf_iter.c): R1 map, R2 callback(map, key, value, ctx), R3 its ctx, R4 flags.
// It returns the number of elements that the callback was called for. Elements of a hash come in the order of their
// places.
func (m *Machine) forEach() (uint64, error) {
	s, fn, ctx, flags := m.mapByHandle(m.regs[1]), m.callback(m.regs[2]), m.regs[3], m.regs[4]
	switch {
	case s == nil || !traversed(s.def.Type):
		return 0, m.fault("r1 = %#x (%s) is not a map that can be gone through", m.regs[1], m.Locate(m.regs[1]))
	case fn < 0:
		return 0, m.fault("r2 = %#x (%s) is not a callback of this program", m.regs[2], m.Locate(m.regs[2]))
	case flags != 0:
		return errno(syscall.EINVAL), nil
	case m.mem.walks == maxKeys:
		return 0, m.fault("more than %d calls of bpf_for_each_map_elem in each other", maxKeys)
	}
	at := m.mem.walks * m.mem.keySize
	key := m.mem.keys[at : at+int(s.def.KeySize)]
	m.mem.walks++
	defer func() { m.mem.walks-- }()
	n := uint64(0)
	for place := range s.def.MaxEntries {
		if !s.keyAt(place, key) {
			continue
		}
		off, _ := s.find(key, m.cfg.CPU)
		n++
		stop, err := m.callBack(fn, s.handle, m.cfg.Layout.Keys+uint64(at), s.at(off), ctx)
		if err != nil || stop {
			return n, err
		}
	}
	return n, nil
}

// keyAt writes the key of the element at a place; ok is false if there is none.
func (s *mapState) keyAt(place uint32, key []byte) (ok bool) {
	if !s.keyed() {
		binary.LittleEndian.PutUint32(key, place)
		return true
	}
	k, ok := s.keys[place]
	copy(key, k)
	return ok
}

// drain is bpf_user_ringbuf_drain of a buffer that user space writes nothing to: R1 map, R4 flags.
func (m *Machine) drain() (uint64, error) {
	if s := m.mapByHandle(m.regs[1]); s == nil || s.def.Type != bpf.UserRingBuf {
		return 0, m.fault("r1 = %#x (%s) is no ring buffer of user space", m.regs[1], m.Locate(m.regs[1]))
	}
	if m.regs[4] > 3 {
		return errno(syscall.EINVAL), nil
	}
	return 0, nil
}

// callBack calls a function of the program for a helper. It reports whether the helper is to stop: the function said so, or
// has thrown past the function that called the helper.
func (m *Machine) callBack(fn int, args ...uint64) (stop bool, err error) {
	depth, pc := m.mem.depth, m.pc
	m.res.Calls++
	m.suspend()
	if !m.push(fn) {
		return true, m.fault("more than %d frames", m.mem.maxDepth)
	}
	for r := 6; r < 10; r++ {
		m.regs[r] = junk + uint64(r) // the helper has them for itself
	}
	clear(m.regs[1:6])
	copy(m.regs[1:6], args)
	if err = m.traceEntry(); err == nil {
		err = m.exec(m.mem.depth)
	}
	if err != nil || !m.backAt(depth, pc) {
		return true, err
	}
	m.returned(CallCallback)
	return m.regs[0] != 0, nil
}

// backAt reports whether a helper is still to go on after a callback, that is, whether none has
// thrown past the function that called it.
func (m *Machine) backAt(depth, pc int) bool { return m.mem.depth == depth && m.pc == pc }

// callback returns the function of m.cur that a pointer names, -1 if none.
func (m *Machine) callback(addr uint64) int {
	for i, f := range m.cur.funcs {
		if i > 0 && funcAddr(m.cur.index, f.start) == addr {
			return i
		}
	}
	return -1
}
