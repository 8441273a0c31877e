// SPDX-License-Identifier: GPL-2.0-only

package recognise

import (
	"slices"
	"sort"

	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// frame describes the frame from what the prologue stored and what the sites read.
func (r *recogniser) frame() image.Frame {
	p := &r.pro
	f := image.Frame{Body: r.off(p.end), Landing: -1}
	if p.frame == 0 {
		return f
	}
	f.PrivateFP = image.Addr(r.pro.privateFP)
	f.Counter = r.counter()
	f.Reused = f.Counter.Form == image.CounterValue && r.initialisesSlot()
	f.Landing = r.landing(f.Reused)
	f.Slots = r.slots(&f)
	f.Saved = r.saved()
	f.Scratch = r.pro.scratch
	return f
}

// initialisesSlot reports whether the prologue itself puts 0 into the slot of the counter, so that
// a tail call must enter after it: with a push, or once the frame is there.
func (r *recogniser) initialisesSlot() bool {
	return r.pro.init >= r.pro.frame || r.pro.init >= 0 && r.insns[r.pro.init].Op == "push"
}

// counter finds the form of the counter: from a site of this function if there is one, else from
// what the prologue stores.
func (r *recogniser) counter() image.Counter {
	if len(r.sites) > 0 {
		s := &r.sites[0]
		if s.form == image.CounterNone {
			return image.Counter{}
		}
		return image.Counter{Form: s.form, Off: s.slot, Size: s.size}
	}
	slots := r.counterSlots()
	if len(slots) == 0 {
		return image.Counter{}
	}
	last := slots[len(slots)-1] // the lowest, but for one that holds the address of another
	for _, o := range slots {
		st := r.pro.state.mem[o+r.pro.rbp]
		if _, ok := r.pro.state.mem[st.val.off]; ok && st.val.kind == symStack && slices.Contains(slots, st.val.off-r.pro.rbp) {
			last = o
		}
	}
	ptr, size := r.pro.guard > 0 || len(slots) > 1, uint8(8)
	if s := r.sibling; s != nil {
		ptr, size = s.sites[0].form == image.CounterPtr, s.sites[0].size
		if s.sites[0].form == image.CounterNone {
			return image.Counter{}
		}
	} else if !ptr {
		size = 4
		ptr = r.pro.state.mem[last+r.pro.rbp].val.kind == symStack || r.pro.fillers > longestFiller
	}
	if ptr {
		return image.Counter{Form: image.CounterPtr, Off: last, Size: size}
	}
	return image.Counter{Form: image.CounterValue, Off: last + 8 - int32(size), Size: size}
}

// longestFiller is the longest nop before the frame of designs that initialise the counter with
// one xor: 3 bytes. hier-rfc2 has 13.
const longestFiller = 3

// counterSlots are the slots that the prologue fills from rax, with 0 or with a stack address, as
// offsets from rbp, highest first.
func (r *recogniser) counterSlots() []int32 {
	var slots []int32
	for a, st := range r.pro.state.mem {
		if st.rax || st.val.kind == symConst || st.val.kind == symStack && !r.framelink(st) {
			slots = append(slots, a-r.pro.rbp)
		}
	}
	sort.Slice(slots, func(i, j int) bool { return slots[i] > slots[j] })
	return slots
}

// landing finds where tail calls enter.
func (r *recogniser) landing(reused bool) image.CodeOff {
	if r.sub || r.pro.callback {
		return -1
	}
	for _, sites := range [][]site{r.sites, r.siblingSites()} {
		for i := range sites {
			at := r.entry + sites[i].landing
			if n, ok := r.at(at); ok && sites[i].landing > 0 && n <= r.pro.end {
				return at
			}
		}
	}
	if r.pro.hooked > 0 {
		return r.off(r.pro.hooked)
	}
	if reused {
		return r.off(r.pro.end)
	}
	if r.pro.lands > 0 {
		return r.off(r.pro.lands)
	}
	return r.off(r.pro.frame)
}

// framelink reports whether st is the address of the saved rbp: the second of two frames.
func (r *recogniser) framelink(st store) bool {
	to, ok := r.pro.state.mem[st.val.off]
	return ok && st.val.kind == symStack && to.val == sym{kind: symEntry, reg: x86.RBP}
}

func (r *recogniser) siblingSites() []site {
	if r.sibling == nil {
		return nil
	}
	return r.sibling.sites
}

// slots lists the frame from the return address down to rsp. The largest gap between what the
// prologue stores is the program's stack.
func (r *recogniser) slots(f *image.Frame) []image.FrameSlot {
	st := r.pro.state
	slots := []image.FrameSlot{{Off: -r.pro.rbp, Size: 8, Kind: image.SlotReturn}}
	stored := make([]int32, 0, len(st.mem))
	for a := range st.mem {
		stored = append(stored, a)
	}
	sort.Slice(stored, func(i, j int) bool { return stored[i] > stored[j] })
	at, gap := int32(0), -1
	fill := func(to int32) {
		if to >= at {
			return
		}
		slots = append(slots, image.FrameSlot{Off: to - r.pro.rbp, Size: at - to, Kind: image.SlotPad})
		if gap < 0 || slots[gap].Size < at-to {
			gap = len(slots) - 1
		}
	}
	for _, a := range stored {
		if a+8 > at || a < st.rsp {
			continue // not in this frame, or half over another slot: no compiler's code
		}
		fill(a + 8)
		at = a
		slots = append(slots, r.slot(a, f))
	}
	fill(st.rsp)
	if gap >= 0 {
		slots[gap].Kind = image.SlotBPFStack
		f.Depth = slots[gap].Size
		if f.Reused {
			f.FP = slots[gap].Off + slots[gap].Size
		}
	}
	return slots
}

// slot says what the prologue stored at a, counted from the return address.
func (r *recogniser) slot(a int32, f *image.Frame) image.FrameSlot {
	st := r.pro.state.mem[a]
	s := image.FrameSlot{Off: a - r.pro.rbp, Size: 8}
	holds := f.Counter.Form != image.CounterNone && within(f.Counter.Off, s.Off)
	switch {
	case st.val.kind == symReturn:
		s.Kind = image.SlotReturn
	case holds && f.Counter.Form == image.CounterPtr:
		s.Kind = image.SlotTailCallPtr
	case st.rax && st.half && f.Counter.Form == image.CounterPtr:
		s.Kind = image.SlotTailCallCnt
	case st.rax && f.Counter.Form == image.CounterPtr && r.pro.guard == 0:
		s.Kind = image.SlotTailCallPtr
		if r.pro.init >= 0 && r.pro.init < r.pro.frame {
			s.Kind = image.SlotTailCallCnt
		}
	case st.rax && f.Counter.Form == image.CounterPtr:
		s.Kind = image.SlotTailCallCntOrPtr
	case holds || st.rax || st.val.kind == symConst:
		s.Kind = image.SlotTailCallCnt
	case st.val.kind == symEntry:
		s.Kind, s.Reg = image.SlotSavedReg, st.val.reg
	case r.framelink(st):
		s.Kind = image.SlotFrameLink
	case st.val.kind == symStack:
		s.Kind = image.SlotTailCallPtr
	}
	return s
}

// saved lists the callee-saved registers that the prologue stores, rbp excepted, in that order.
func (r *recogniser) saved() []x86.Reg {
	type save struct {
		reg  x86.Reg
		insn int
	}
	var saves []save
	for _, st := range r.pro.state.mem {
		if st.val.kind == symEntry && !st.rax && st.val.reg != x86.RBP && calleeSavedSet.Has(st.val.reg) {
			saves = append(saves, save{st.val.reg, st.insn})
		}
	}
	sort.Slice(saves, func(i, j int) bool { return saves[i].insn < saves[j].insn })
	var regs []x86.Reg
	for _, s := range saves {
		regs = append(regs, s.reg)
	}
	return regs
}
