// SPDX-License-Identifier: GPL-2.0-only

package jit

import (
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// frameBuilder lists the slots of a frame from the return address downwards.
type frameBuilder struct {
	f       *fn
	frame   image.Frame
	off     int32 // of the lowest slot so far, from rbp
	landing image.CodeOff
}

// newFrame begins with what every design since 5.10 has: return address, saved rbp, program stack.
func newFrame(f *fn) *frameBuilder {
	b := &frameBuilder{f: f, off: 16}
	b.frame.Depth = f.depth
	b.frame.Slots = make([]image.FrameSlot, 0, 9)
	b.push(image.SlotReturn)
	b.pushReg(x86.RBP)
	if f.depth != 0 {
		b.off -= f.depth
		b.frame.Slots = append(b.frame.Slots, image.FrameSlot{Off: b.off, Size: f.depth, Kind: image.SlotBPFStack})
	}
	return b
}

// push adds an 8-byte slot below the others.
func (b *frameBuilder) push(kind image.SlotKind) {
	b.off -= 8
	b.frame.Slots = append(b.frame.Slots, image.FrameSlot{Off: b.off, Size: 8, Kind: kind})
}

// pushReg adds a slot with a register of the caller.
func (b *frameBuilder) pushReg(r x86.Reg) {
	b.off -= 8
	b.frame.Slots = append(b.frame.Slots, image.FrameSlot{Off: b.off, Size: 8, Kind: image.SlotSavedReg, Reg: r})
}

// done adds the callee-saved registers and the landing, which subprograms do not have.
func (b *frameBuilder) done() image.Frame {
	if b.f.saveR12 {
		b.pushReg(x86.R12)
		b.frame.Saved = append(b.frame.Saved, x86.R12)
	}
	for i, used := range b.f.saved {
		if used {
			b.pushReg(calleeSaved[i])
			b.frame.Saved = append(b.frame.Saved, calleeSaved[i])
		}
	}
	b.frame.PrivateFP = b.f.privateFP
	b.frame.Landing = -1
	if !b.f.sub {
		b.frame.Landing = b.f.c.cfiSize() + b.landing
	}
	return b.frame
}

// bypass appends the 5 bytes that skip the rest of a direct tail call while its slot is empty.
func (e *emitter) bypass(s *image.TailCallSite, label int) {
	s.Bypass = image.CodeOff(e.Len())
	e.JmpD32(int32(label - (e.Len() + 5 - e.base)))
}
