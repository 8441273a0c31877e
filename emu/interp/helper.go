// SPDX-License-Identifier: GPL-2.0-only

package interp

import (
	"maps"
	"syscall"

	"github.com/tcsim/tcsim/jit/bpf"
)

// Outside answers the helpers that ask about the world outside. The oracle and the engine that it
// is compared with get the same answers if both ask an equal Outside in the same order.
type Outside interface {
	// Value returns what the n-th call (from 0, since Reset) of a helper gives. Helpers that
	// return 32 bits use the low half.
	Value(helper int32, n uint64) uint64
}

// Fixed is an Outside that depends on nothing: clocks advance by 1000 ns with each call, jiffies
// by one, random numbers are a fixed sequence, everything else is a constant per helper.
type Fixed struct{}

// Value implements Outside.
func (Fixed) Value(helper int32, n uint64) uint64 {
	switch helper {
	case HelperPrandom:
		return mix(n)
	case HelperKtime, HelperKtimeBoot, HelperKtimeCoarse, HelperKtimeTAI:
		return 1_000_000_000 + 1000*n
	case HelperJiffies64:
		return 4_295_000_000 + n
	case HelperNumaNode, HelperTracePrintk:
		return 0
	case HelperCurrentTask, HelperCurrentTaskBTF:
		return 0xffff_8880_0100_0000
	}
	return mix(uint64(uint32(helper)) << 32)
}

// mix is the finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
func mix(n uint64) uint64 {
	z := (n + 1) * 0x9e37_79b9_7f4a_7c15
	z = (z ^ z>>30) * 0xbf58_476d_1ce4_e5b9
	z = (z ^ z>>27) * 0x94d0_49bb_1331_11eb
	return z ^ z>>31
}

// Helper numbers (include/uapi/linux/bpf.h, enum bpf_func_id).
const (
	HelperLookup         = 1
	HelperUpdate         = 2
	HelperDelete         = 3
	HelperKtime          = 5
	HelperTracePrintk    = 6
	HelperPrandom        = 7
	HelperProcessorID    = 8
	HelperPidTgid        = 14
	HelperUidGid         = 15
	HelperHashRecalc     = 34
	HelperCurrentTask    = 35
	HelperNumaNode       = 42
	HelperJiffies64      = 118
	HelperKtimeBoot      = 125
	HelperCurrentTaskBTF = 158
	HelperKtimeCoarse    = 160
	HelperForEach        = 164
	HelperLoop           = 181
	HelperKtimeTAI       = 208
)

// helperFunc executes a helper: arguments are in R1 to R5, the result is R0.
type helperFunc func(m *Machine) (uint64, error)

// helpers are those with a meaning here. Those answered by Outside are in outsideHelpers.
var helpers map[int32]helperFunc

func init() { // the table refers to exec through what calls back
	helpers = map[int32]helperFunc{
		HelperLookup:      (*Machine).mapLookup,
		HelperUpdate:      (*Machine).mapUpdate,
		HelperDelete:      (*Machine).mapDelete,
		HelperProcessorID: func(m *Machine) (uint64, error) { return uint64(m.cfg.CPU), nil },
		HelperLoop:        (*Machine).loop,
		HelperForEach:     (*Machine).forEach,
		209:               (*Machine).drain,
	}
	maps.Copy(helpers, packetHelpers)
	maps.Copy(helpers, moreHelpers)
	maps.Copy(helpers, kernelHelpers)
	maps.Copy(helpers, bareHelpers)
}

// outsideHelpers are answered by Outside; the value is the number of bits that R0 keeps.
var outsideHelpers = map[int32]uint8{
	HelperKtime:          64,
	HelperTracePrintk:    64,
	HelperPrandom:        32,
	HelperPidTgid:        64,
	HelperUidGid:         64,
	HelperHashRecalc:     32,
	HelperCurrentTask:    64,
	HelperNumaNode:       32,
	HelperJiffies64:      64,
	HelperKtimeBoot:      64,
	HelperCurrentTaskBTF: 64,
	HelperKtimeCoarse:    64,
	HelperKtimeTAI:       64,

	17: 32, 24: 32, 27: 64, 80: 64, 84: 64, 85: 64, 99: 64, // no cgroup, no route, no sockets
	36: 64, 46: 64, 47: 64, 49: 64, 53: 64, 59: 64, 63: 64, 70: 64, 79: 64, 90: 64, 91: 64, 95: 64, 96: 64, 98: 64, 109: 64, 117: 64,
	122: 64, 128: 64, 136: 64, 137: 64, 138: 64, 139: 64, 140: 64, 161: 64, 173: 64, 174: 64, 193: 64, // what a bare machine lacks
}

// helper calls a helper by number. R1 to R5 are junk afterwards.
func (m *Machine) helper(o *op) error {
	m.res.Helpers++
	id := o.off
	if bits, ok := outsideHelpers[id]; ok {
		n := m.calls[id]
		m.calls[id] = n + 1
		m.regs[0] = m.cfg.Outside.Value(id, n) << (64 - bits) >> (64 - bits)
	} else {
		f := helpers[id]
		if f == nil {
			return m.fault("helper %d is not modelled", id)
		}
		depth, pc := m.mem.depth, m.pc
		r0, err := f(m)
		if err != nil || !m.backAt(depth, pc) {
			return err
		}
		m.regs[0] = r0
	}
	m.trash(1)
	m.returned(CallHelper)
	return nil
}

// errno is what a helper returns for an error: its negative, sign-extended.
func errno(e syscall.Errno) uint64 { return -uint64(e) }

// mapArg returns the map in R1 and the key that R2 points to.
func (m *Machine) mapArg() (*mapState, []byte, error) {
	s := m.mapByHandle(m.regs[1])
	if s == nil || s.data == nil && s.inner == nil && s.def.Type != bpf.XSKMap {
		return nil, nil, m.fault("r1 = %#x (%s) is not a map with values", m.regs[1], m.Locate(m.regs[1]))
	}
	key := m.mem.span(m.regs[2], int(s.def.KeySize), false)
	if key == nil {
		return nil, nil, m.fault("the key of %d bytes at r2 = %#x (%s) is outside the program's memory", s.def.KeySize, m.regs[2], m.Locate(m.regs[2]))
	}
	return s, key, nil
}

func (m *Machine) mapLookup() (uint64, error) {
	s, key, err := m.mapArg()
	if err != nil {
		return 0, err
	}
	if s.data == nil {
		return s.inner[string(key)], nil // of a map of sockets nothing
	}
	off, ok := s.find(key, m.cfg.CPU)
	if s.def.Type == bpf.LPMTrie {
		off, ok = s.longest(key)
	}
	if !ok {
		return 0, nil
	}
	return s.at(off), nil
}

func (m *Machine) mapUpdate() (uint64, error) {
	s, key, err := m.mapArg()
	if err != nil {
		return 0, err
	}
	if s.data == nil {
		return 0, m.fault("map %q cannot be updated", s.def.Name)
	}
	value := m.mem.span(m.regs[3], int(s.def.ValueSize), false)
	if value == nil {
		return 0, m.fault("the value of %d bytes at r3 = %#x (%s) is outside the program's memory", s.def.ValueSize, m.regs[3], m.Locate(m.regs[3]))
	}
	return errno(s.update(key, value, m.regs[4], m.cfg.CPU)), nil
}

func (m *Machine) mapDelete() (uint64, error) {
	s, key, err := m.mapArg()
	if err != nil {
		return 0, err
	}
	return errno(s.remove(key)), nil
}
