// SPDX-License-Identifier: GPL-2.0-only

package emit

import (
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// FrameBuilder lists the slots of a frame from the return address downwards.
type FrameBuilder struct {
	Frame   image.Frame
	Landing image.CodeOff
	f       *Func
	off     int32 // of the lowest slot so far, from rbp
}

// NewBareFrame begins with the return address.
func NewBareFrame(f *Func) *FrameBuilder {
	b := &FrameBuilder{f: f, off: 16}
	b.Push(image.SlotReturn)
	return b
}

// NewFrame begins with what every design since 5.10 has: return address, saved rbp, program stack.
func NewFrame(f *Func) *FrameBuilder {
	b := &FrameBuilder{f: f, off: 16}
	b.Frame.Depth = f.Depth
	b.Frame.Slots = make([]image.FrameSlot, 0, 9)
	b.Push(image.SlotReturn)
	b.PushReg(x86.RBP)
	if f.Depth != 0 {
		b.off -= f.Depth
		b.Frame.Slots = append(b.Frame.Slots, image.FrameSlot{Off: b.off, Size: f.Depth, Kind: image.SlotBPFStack})
	}
	return b
}

// Push adds an 8-byte slot below the others.
func (b *FrameBuilder) Push(kind image.SlotKind) {
	b.off -= 8
	b.Frame.Slots = append(b.Frame.Slots, image.FrameSlot{Off: b.off, Size: 8, Kind: kind})
}

// PushReg adds a slot with a register of the caller.
func (b *FrameBuilder) PushReg(r x86.Reg) {
	b.off -= 8
	b.Frame.Slots = append(b.Frame.Slots, image.FrameSlot{Off: b.off, Size: 8, Kind: image.SlotSavedReg, Reg: r})
}

// Done adds the callee-saved registers and the landing, which subprograms do not have.
func (b *FrameBuilder) Done() image.Frame {
	if b.f.saveR12 {
		b.PushReg(x86.R12)
		b.Frame.Saved = append(b.Frame.Saved, x86.R12)
	}
	for i, used := range b.f.saved {
		if used {
			b.PushReg(calleeSaved[i])
			b.Frame.Saved = append(b.Frame.Saved, calleeSaved[i])
		}
	}
	b.Frame.PrivateFP, b.Frame.PrivateSize = b.f.privateFP, b.f.privateSize
	b.Frame.Landing = -1
	if !b.f.Sub {
		b.Frame.Landing = b.f.c.cfiSize() + b.Landing
	}
	return b.Frame
}

// NewReusedFrame begins the description of a frame that tail calls hand over, with the return
// address at rbp+top.
func NewReusedFrame(f *Func, top int32) *FrameBuilder {
	b := &FrameBuilder{f: f, off: top + 8}
	b.Frame.Reused = true
	b.Push(image.SlotReturn)
	return b
}

// Counter adds the slot of the count; programs use its upper half.
func (b *FrameBuilder) Counter() {
	b.Push(image.SlotTailCallCnt)
	b.Frame.Counter = image.Counter{Form: image.CounterValue, Off: b.off + 4, Size: 4}
}

// Stack adds the program's stack of size bytes; BPF_REG_FP points to its end.
func (b *FrameBuilder) Stack(size int32) {
	b.Frame.Depth = size
	if size == 0 {
		return
	}
	b.Frame.FP = b.off
	b.off -= size
	b.Frame.Slots = append(b.Frame.Slots, image.FrameSlot{Off: b.off, Size: size, Kind: image.SlotBPFStack})
}

// Save adds slots with registers of the caller, in the order of the pushes.
func (b *FrameBuilder) Save(regs ...x86.Reg) {
	for _, r := range regs {
		b.PushReg(r)
	}
}

// Reused ends the description. saved are the callee-saved registers in the order in which the
// prologue stores them.
func (b *FrameBuilder) Reused(landing image.CodeOff, saved ...x86.Reg) image.Frame {
	b.Frame.Saved = saved
	b.Frame.Landing = -1
	if !b.f.Sub {
		b.Frame.Landing = b.f.c.cfiSize() + landing
	}
	return b.Frame
}
