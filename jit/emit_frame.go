// SPDX-License-Identifier: GPL-2.0-only

package jit

import (
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// frameBuilder lists the slots of a frame from the return address downwards.
type frameBuilder struct {
	frame   image.Frame
	landing image.CodeOff
	f       *fn
	off     int32 // of the lowest slot so far, from rbp
}

// newBareFrame begins with the return address.
func newBareFrame(f *fn) *frameBuilder {
	b := &frameBuilder{f: f, off: 16}
	b.push(image.SlotReturn)
	return b
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

// newReusedFrame begins the description of a frame that tail calls hand over, with the return
// address at rbp+top.
func newReusedFrame(f *fn, top int32) *frameBuilder {
	b := &frameBuilder{f: f, off: top + 8}
	b.frame.Reused = true
	b.push(image.SlotReturn)
	return b
}

// counter adds the slot of the count, of which programs use the upper half.
func (b *frameBuilder) counter() {
	b.push(image.SlotTailCallCnt)
	b.frame.Counter = image.Counter{Form: image.CounterValue, Off: b.off + 4, Size: 4}
}

// stack adds the program's stack of size bytes; BPF_REG_FP points to its end.
func (b *frameBuilder) stack(size int32) {
	b.frame.Depth = size
	if size == 0 {
		return
	}
	b.frame.FP = b.off
	b.off -= size
	b.frame.Slots = append(b.frame.Slots, image.FrameSlot{Off: b.off, Size: size, Kind: image.SlotBPFStack})
}

// save adds slots with registers of the caller, in the order of the pushes.
func (b *frameBuilder) save(regs ...x86.Reg) {
	for _, r := range regs {
		b.pushReg(r)
	}
}

// reused ends the description. saved are the callee-saved registers in the order in which the
// prologue stores them.
func (b *frameBuilder) reused(landing image.CodeOff, saved ...x86.Reg) image.Frame {
	b.frame.Saved = saved
	b.frame.Landing = -1
	if !b.f.sub {
		b.frame.Landing = b.f.c.cfiSize() + landing
	}
	return b.frame
}
