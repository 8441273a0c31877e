// SPDX-License-Identifier: GPL-2.0-only

package verify

import (
	"math/bits"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/verify/holds"
	"github.com/tcsim/tcsim/jit/verify/live"
	"github.com/tcsim/tcsim/jit/verify/origin"
	"github.com/tcsim/tcsim/jit/verify/rights"
	"github.com/tcsim/tcsim/jit/verify/shape"
)

// numRegs has room for r0 to r10 and the verifier's own registers after them.
const (
	numRegs = shape.NumRegs
	allRegs = 1<<numRegs - 1
)

// frameState is the state of one function that has not returned.
type frameState struct {
	fn       int
	callback bool          // a helper calls the function
	again    bool          // returning from the callback comes back to the call of the helper
	ret      bpf.InsnIndex // slot after the call
	call     *live.Call    // nil for kernels that find out what matters of a stack by following a checkpoint
	regs     [numRegs]*holds.Value
	lent     uint16 // registers whose value something else refers to, too, by bit
	linked   uint16 // registers that may have identities, by bit
	stack    stack
	// iterations counts how often a helper called a function of this frame in a row (callback_depth).
	iterations uint64
	// written are the slots, by bit, that were written in full since the path's last checkpoint; read, of
	// a checkpoint, those that some path from it reads before it writes them.
	written, read uint64
	// precise are, of a checkpoint, the places on whose numbers depends what was found out after it (mark_chain_precision).
	precise origin.Places
}

// state is what is known at one instruction on one path. The fields after frames are in prune.go.
type state struct {
	pc     bpf.InsnIndex
	frames []frameState
	path
	held rights.Held
	own  [1]frameState // where frames begin
}

func (s *state) top() *frameState { return &s.frames[len(s.frames)-1] }

// slotOf returns the slot that holds the byte at off from r10, which is below it, to be looked at; nil if the stack does not
// reach there.
func (f *frameState) slotOf(off int64) *holds.Slot {
	if i := int((-off - 1) / 8); off < 0 && off >= -maxStack && i < f.stack.n {
		return f.stack.at(i)
	}
	return nil
}

// ownSlot is slotOf for a slot that is written to; nil if it is out of bounds.
func (f *frameState) ownSlot(off int64) *holds.Slot {
	if off >= 0 || off < -maxStack {
		return nil
	}
	i := int((-off - 1) / 8)
	f.stack.grow(i + 1)
	return f.stack.own(i)
}

// numbers are those of some registers, by bit, that hold numbers.
func (f *frameState) numbers(regs uint64) uint64 {
	for left := regs; left != 0; left &= left - 1 {
		if r := bits.TrailingZeros64(left); f.regs[r].Kind != holds.Number {
			regs &^= 1 << r
		}
	}
	return regs
}

// spilledNumbers are those of some slots that hold spilled numbers.
func (f *frameState) spilledNumbers(slots uint64) uint64 {
	slots &= 1<<f.stack.n - 1
	for left := slots; left != 0; left &= left - 1 {
		if j := bits.TrailingZeros64(left); f.stack.at(j).Bytes[0] != holds.ByteSpill || f.stack.at(j).Spill.Kind != holds.Number {
			slots &^= 1 << j
		}
	}
	return slots
}

// maxStack is MAX_BPF_STACK in bytes.
const maxStack = shape.MaxStack

// extraStack is how much deeper the verifier's own instructions may go where there is a JIT: the counters of may_goto and
// the registers that an inlined bpf_loop saves, each rounded up to 8 (stack_extra, do_misc_fixups and optimize_bpf_loop).
const extraStack = 16 + 24 + 2*8

// change changes the registers and spilled values that are picked.
func (s *state) change(picks func(*holds.Value) bool, to func(*holds.Value)) {
	for i := range s.frames {
		f := &s.frames[i]
		for r, v := range f.regs {
			if picks(v) {
				to(f.own(uint8(r)))
			}
		}
		f.changeSlots(holds.ByteSpill, picks, to)
	}
}

// changeLinked is change for those with a link.
func (s *state) changeLinked(link uint32, picks func(*holds.Value) bool, to func(*holds.Value)) {
	for i := range s.frames {
		f := &s.frames[i]
		for regs := f.linked; regs != 0; regs &= regs - 1 {
			r := uint8(bits.TrailingZeros16(regs))
			if v := f.regs[r]; v.Link == link && picks(v) {
				to(f.own(r))
			}
		}
		for p := 0; p*pageSlots < f.stack.n; p++ {
			for ids := f.stack.identified(p); ids != 0; ids &= ids - 1 {
				j := p*pageSlots + bits.TrailingZeros8(ids)
				if f.stack.at(j).Spill.Link == link {
					f.changeSlot(j, holds.ByteSpill, picks, to)
				}
			}
		}
	}
}

// changeSlots changes what slots of a kind hold.
func (f *frameState) changeSlots(kind holds.Byte, picks func(*holds.Value) bool, to func(*holds.Value)) {
	for j := range f.stack.n {
		f.changeSlot(j, kind, picks, to)
	}
}

func (f *frameState) changeSlot(j int, kind holds.Byte, picks func(*holds.Value) bool, to func(*holds.Value)) {
	if sl := f.stack.at(j); sl.Bytes[0] == kind && picks(sl.Spill) {
		v := f.stack.mem.value(sl.Spill)
		to(v)
		f.stack.own(j).Spill = v
	}
}
