// SPDX-License-Identifier: GPL-2.0-only

package origin

import "github.com/tcsim/tcsim/jit/verify/shape"

// MaxDepth is how many frames there can be.
const MaxDepth = 2 * shape.MaxFrames

// Places are registers and slots of one frame, by bit: slot i is at r10-8*(i+1).
type Places struct{ Regs, Slots uint64 }

// Marks are places of every frame. The zero value has none.
type Marks struct {
	at   [MaxDepth]Places
	used uint32 // frames that may have some
}

// Reset takes all marks away.
func (m *Marks) Reset() {
	for i := 0; m.used>>i != 0; i++ {
		m.at[i] = Places{}
	}
	m.used = 0
}

// Add marks a register.
func (m *Marks) Add(frame, reg int) {
	m.at[frame].Regs |= 1 << reg
	m.used |= 1 << frame
}

// AddSlots marks slots, by bit.
func (m *Marks) AddSlots(frame int, slots uint64) {
	m.at[frame].Slots |= slots
	m.used |= 1 << frame
}

// AddAll marks places of a frame.
func (m *Marks) AddAll(frame int, p Places) {
	if p != (Places{}) {
		m.at[frame].Regs |= p.Regs
		m.AddSlots(frame, p.Slots)
	}
}

// Frames are the frames that have marks, by bit.
func (m *Marks) Frames() uint32 {
	m.Empty()
	return m.used
}

// At are the marks of a frame, which the caller may change but for adding the first.
func (m *Marks) At(frame int) *Places { return &m.at[frame] }

// Empty reports whether there are none.
func (m *Marks) Empty() bool {
	for i := 0; m.used>>i != 0; i++ {
		if m.used>>i&1 == 0 {
			continue
		}
		if a := &m.at[i]; a.Regs|a.Slots != 0 {
			return false
		}
		m.used &^= 1 << i
	}
	return true
}

func (m *Marks) has(frame, reg int) bool { return m.at[frame].Regs&(1<<reg) != 0 }

func (m *Marks) take(frame, reg int) bool {
	had := m.has(frame, reg)
	m.at[frame].Regs &^= 1 << reg
	return had
}

// slot marks the slot that a step loads from.
func (m *Marks) slot(p *Step) {
	if p.Slot >= 0 {
		m.AddSlots(int(p.Frame), 1<<p.Slot)
	}
}

// Slots are the slots, by bit, that the bytes from and below to, counted from r10, lie in.
func Slots(from, to int64) uint64 {
	from, to = max(from, -shape.MaxStack), min(to, 0)
	if from >= to {
		return 0
	}
	first, last := uint((-to)/8), uint((-from-1)/8)
	return (^uint64(0) >> (63 - (last - first))) << first
}
