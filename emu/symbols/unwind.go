// SPDX-License-Identifier: GPL-2.0-only

package symbols

import (
	"slices"

	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// dwarfOf are the numbers of the general registers in debug information, by x86.Reg (System V ABI for AMD64, figure
// 3.36).
var dwarfOf = [16]byte{
	x86.RAX: 0, x86.RDX: 1, x86.RCX: 2, x86.RBX: 3, x86.RSI: 4, x86.RDI: 5, x86.RBP: 6, x86.RSP: 7,
	x86.R8: 8, x86.R9: 9, x86.R10: 10, x86.R11: 11, x86.R12: 12, x86.R13: 13, x86.R14: 14, x86.R15: 15,
}

// unwinder writes how to unwind at each instruction of a function, as what changes from one to the next.
type unwinder struct {
	*buf
	f     *trace.Fn
	twice bool // frames of the design may have a second return address
	saved []savedReg
	at    image.CodeOff
	reg   byte // the caller's frame begins at dist from this register
	dist  int64
	body  []bool // which of saved are, in the body; nil before
	// landed says that the place where tail calls enter has been passed.
	landed bool
}

// savedReg is a register of the caller that the frame keeps, and where, from where the return address lies.
type savedReg struct {
	reg   x86.Reg
	level int32
	now   bool // it has been stored and not taken back
	said  bool // what was written last says so
}

// calledTwice reports whether a function calls its own body, so that its frame has two return addresses.
func calledTwice(p piece) bool {
	n := 0
	for _, s := range p.slots() {
		if s.Kind == image.SlotReturn {
			n++
		}
	}
	return n > 1
}

// slots are those of a function's frame.
func (p *piece) slots() []image.FrameSlot {
	if p.fn == nil {
		return nil
	}
	return p.fn.Frame.Slots
}

// unwind adds the program of a function; twice says that some function is called twice.
func (b *buf) unwind(f *trace.Fn, twice bool) {
	u := unwinder{buf: b, f: f, twice: twice, saved: savedBy(f), reg: dwarfRSP, dist: 8}
	f.Levels(u.visit)
}

// visit takes the next instruction.
func (u *unwinder) visit(in *x86.Inst, rsp, rbp int32, body bool) {
	off := image.CodeOff(in.PC - u.f.Addr)
	if !u.landed && u.f.Frame.Landing >= 0 && off >= u.f.Frame.Landing {
		u.landed = true
		u.land(off)
	}
	if start := u.f.Frame.Body; u.body == nil && start > 0 && off >= start {
		u.body = make([]bool, len(u.saved))
		for i := range u.saved {
			u.body[i] = u.saved[i].now
		}
	}
	if body && u.body != nil {
		for i := range u.saved {
			u.saved[i].now = u.body[i]
		}
	}
	u.tell(off, rsp, rbp)
	for i := range u.saved {
		u.saved[i].follow(in, rsp, rbp)
	}
}

// land writes what is not known from where tail calls enter on, because the frame may be another function's, with
// other sizes, or one that has not come here through this prologue.
func (u *unwinder) land(off image.CodeOff) {
	link := func(s image.FrameSlot) bool { return s.Kind == image.SlotFrameLink }
	if u.twice || u.f.Frame.Reused && slices.ContainsFunc(u.f.Frame.Slots, link) {
		u.advance(&u.at, off)
		u.u8(cfaUndefined, dwarfRA) // the frame may begin elsewhere: unwinding ends
	}
	if !u.f.Frame.Reused {
		return
	}
	kept := u.saved[:0]
	for _, s := range u.saved {
		if s.reg == x86.RBP {
			kept = append(kept, s)
			continue
		}
		u.advance(&u.at, off)
		u.u8(cfaUndefined, dwarfOf[s.reg])
	}
	u.saved = kept
}

// tell writes what is not as it was before the instruction at off.
func (u *unwinder) tell(off image.CodeOff, rsp, rbp int32) {
	reg, dist := byte(dwarfRBP), 8-int64(rbp)
	switch {
	case rbp != trace.Unlevel: // holds in frames, too, that a tail call has handed over with another size
	case rsp != trace.Unlevel:
		reg, dist = dwarfRSP, 8-int64(rsp)
	default:
		reg, dist = u.reg, u.dist // unknown: as before
	}
	if (reg != u.reg || dist != u.dist) && dist >= 0 {
		u.advance(&u.at, off)
		u.u8(cfaDefCFA, reg)
		u.uleb(uint64(dist))
		u.reg, u.dist = reg, dist
	}
	for i := range u.saved {
		s := &u.saved[i]
		if s.now == s.said {
			continue
		}
		s.said = s.now
		u.advance(&u.at, off)
		switch {
		case !s.now:
			u.u8(cfaSameValue, dwarfOf[s.reg])
		default:
			u.u8(cfaOffset | dwarfOf[s.reg])
			u.uleb(uint64(8-s.level) / 8)
		}
	}
}

// follow notes that an instruction stores the register where the frame keeps it, or takes it back.
func (s *savedReg) follow(in *x86.Inst, rsp, rbp int32) {
	to := int64(trace.Unlevel)
	base := map[x86.Reg]int32{x86.RSP: rsp, x86.RBP: rbp}
	level, known := base[in.Mem.Base]
	switch {
	case in.Op == "push":
		to = int64(rsp) - 8
	case in.HasMem && in.Op == "mov" && known && level != trace.Unlevel && in.Mem.Index == x86.RegNone:
		to = int64(level) + in.Mem.Disp
	}
	last := in.Operands[max(1, in.N)-1]
	switch {
	case last.Kind == x86.OpReg && last.Reg == s.reg && to == int64(s.level) && (in.Stack.Store || in.Store):
		s.now = true
	case !in.Writes.Has(s.reg):
	case in.Op == "pop" || in.Op == "leave" && s.reg == x86.RBP || in.Load && to == int64(s.level):
		s.now = false
	}
}

// savedBy lists the registers that a frame keeps.
func savedBy(f *trace.Fn) []savedReg {
	ret := -int32(f.FrameBase(0)) // from rbp; the outermost, if there are two
	var out []savedReg
	for _, s := range f.Frame.Slots {
		if s.Kind == image.SlotSavedReg && s.Reg <= x86.R15 && s.Off < ret {
			out = append(out, savedReg{reg: s.Reg, level: s.Off - ret})
		}
	}
	return out
}
