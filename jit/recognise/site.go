// SPDX-License-Identifier: GPL-2.0-only

package recognise

import (
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/x86"
)

// site is a tail-call site with what the code around it shows of the design.
type site struct {
	image.TailCallSite
	form  image.CounterForm
	slot  int32   // [rbp+slot] holds the counter or the pointer to it; CounterNone: meaningless
	size  uint8   // of the counter in bytes
	limit uint32  // how many tail calls the comparison lets pass, counted from 0
	ptr   x86.Reg // CounterPtr: the register that holds the pointer at the comparison
	test  int     // position of the comparison with the limit
	index int     // and of that of the index, if Bounds is not -1
	cut   bool    // the index is cut to 32 bits before it
	// landing is what is added to bpf_func before the jump, and offsets are the structure fields
	// that are read: of indirect sites only.
	landing image.CodeOff
	offsets kernels.Offsets
}

// findSites looks for every comparison of a counter with a limit that skips a way out of the
// function. The instruction before the comparison loads the counter, or the pointer to it, from a
// slot that the prologue set up and programs cannot reach.
func (r *recogniser) findSites() {
	called := map[image.CodeOff]int{} // by end: sites of designs that call a function for the counter
	for i := 2; i < len(r.insns); i++ {
		in := &r.insns[i]
		if in.Branch != x86.BranchCond {
			continue
		}
		switch in.Cond {
		case x86.CondA, x86.CondAE, x86.CondG, x86.CondGE, x86.CondE: // a count is never negative
		default:
			continue
		}
		end, inside := r.target(in)
		if last, ok := r.at(end); !inside || !ok || last <= i+1 {
			continue
		}
		s, ok := r.limitCheck(i, end)
		if !ok || !r.wayOut(&s, i) {
			continue
		}
		if n, dup := called[end]; dup && s.form != image.CounterNone {
			r.sites = append(r.sites[:n], r.sites[n+1:]...) // that was a comparison of the program's own
			delete(called, end)
		}
		if s.form == image.CounterNone {
			called[end] = len(r.sites)
		}
		r.bounds(&s)
		r.sites = append(r.sites, s)
	}
}

// limitCheck reads the comparison before the conditional jump at position i.
func (r *recogniser) limitCheck(i int, end image.CodeOff) (site, bool) {
	s := site{TailCallSite: image.TailCallSite{Insn: -1, Map: -1, End: end, Start: r.off(i - 2), Limit: r.off(i),
		Bounds: -1, Null: -1, Bump: -1, Unwind: -1, Bypass: -1, Jump: -1}}
	s.test = r.flagsOf(i)
	if s.test < 1 {
		return s, false
	}
	test := &r.insns[s.test]
	imm, ok := test.Imm()
	if !ok || test.Op != "cmp" {
		return s, false
	}
	from := s.test - 1
	load := &r.insns[from]
	switch o := &test.Operands[0]; {
	case load.Branch == x86.BranchCall:
	case o.Kind == x86.OpMem && test.Mem.Base == x86.RBP && test.Mem.Index == x86.RegNone:
		from, load = s.test, test // the counter itself, in its slot
	case o.Kind == x86.OpMem:
		from = r.definition(s.test, test.Mem.Base)
	default:
		from = r.definition(s.test, o.Reg)
		if in := &r.insns[max(from, 0)]; from >= 0 && (in.Op == "add" || in.Op == "inc") { // counted before it is compared
			by, ok := in.Imm()
			if in.Op == "inc" {
				by, ok = 1, true
			}
			if !ok {
				return s, false
			}
			imm -= by
			from = r.definition(from, o.Reg)
		}
	}
	if from < 0 {
		return s, false
	}
	load = &r.insns[from]
	if o := &test.Operands[0]; o.Kind == x86.OpReg && load.Op == "mov" && load.Load && load.Mem.Base != x86.RBP && load.Mem.Disp == 0 &&
		load.Mem.Index == x86.RegNone && load.OpBits == o.Bits {
		return r.loadedCount(s, i, from, uint32(imm))
	}
	s.Start = r.off(from)
	s.limit = uint32(imm)
	if passesEqual(r.insns[i].Cond) {
		s.limit++
	}
	called := load.Branch == x86.BranchCall
	slot, fromSlot := r.counterSlot(load)
	if from == s.test {
		slot, fromSlot = r.storedSlot(load)
	}
	s.slot = slot
	switch o := &test.Operands[0]; {
	case from == s.test && fromSlot:
		s.form, s.size = image.CounterValue, uint8(test.Mem.Size)
	case o.Kind == x86.OpReg && load.Writes.Has(o.Reg) && fromSlot && load.OpBits == o.Bits:
		s.form, s.size = image.CounterValue, uint8(o.Bits/8)
	case o.Kind == x86.OpMem && load.Writes.Has(test.Mem.Base) && test.Mem.Disp == 0 && test.Mem.Index == x86.RegNone && fromSlot && load.OpBits == 64:
		s.form, s.size, s.ptr = image.CounterPtr, uint8(test.Mem.Size), test.Mem.Base
	case called && (o.Kind == x86.OpReg && o.Reg == x86.RAX || o.Kind == x86.OpMem && test.Mem.Base == x86.RAX):
		if r.insns[i].Cond == x86.CondE {
			s.limit = 0 // counts down from a value that is not here
		}
		if o.Kind == x86.OpReg { // the routine counts
			s.Bump = r.off(from)
		}
		if of := &r.insns[max(from-1, 0)]; from > 0 && of.Op == "mov" && of.Len == 10 && of.Operands[0].Reg == x86.RAX {
			s.Start = r.off(from - 1)
		}
	default:
		return s, false
	}
	return s, true
}

// passesEqual reports whether a jump past the tail call is not taken when the two are equal.
func passesEqual(c x86.Cond) bool { return c == x86.CondA || c == x86.CondG }

// loadedCount reads the comparison of a count that position from loads through the pointer to it.
func (r *recogniser) loadedCount(s site, i, from int, limit uint32) (site, bool) {
	load := &r.insns[from]
	at := r.definition(from, load.Mem.Base)
	if at < 0 {
		return s, false
	}
	slot, ok := r.counterSlot(&r.insns[at])
	if !ok || r.insns[at].OpBits != 64 {
		return s, false
	}
	s.Start, s.slot, s.form, s.size, s.ptr, s.limit = r.off(at), slot, image.CounterPtr, uint8(load.Mem.Size), load.Mem.Base, limit
	if passesEqual(r.insns[i].Cond) {
		s.limit++
	}
	return s, true
}

// nearby is how many instructions before one that uses a value are looked at for what made it.
const nearby = 8

// flagsOf returns the position of the instruction whose flags the conditional jump at position i sees: -1 if it is not
// just before it but for instructions that keep flags.
func (r *recogniser) flagsOf(i int) int {
	return r.before(i, func(in *x86.Inst) bool { return in.WritesFlags != 0 })
}

// definition returns the position of the instruction that gives reg its value at position i, -1 if it is not near.
func (r *recogniser) definition(i int, reg x86.Reg) int {
	return r.before(i, func(in *x86.Inst) bool { return in.Writes.Has(reg) && !keepsValue(in) })
}

// keepsValue reports whether in writes to one register what that holds already, as "and rcx, rcx", which sets flags.
func keepsValue(in *x86.Inst) bool {
	if in.N != 2 || in.OpBits != 64 || in.Store || in.Operands[0].Kind != x86.OpReg {
		return false
	}
	if from, ok := copied(in); ok {
		return from == in.Operands[0].Reg
	}
	return (in.Op == "and" || in.Op == "or") && in.Operands[0] == in.Operands[1]
}

// copied returns the register whose 64 bits in copies to another, unchanged.
func copied(in *x86.Inst) (from x86.Reg, ok bool) {
	switch {
	case in.N != 2 || in.OpBits != 64 || in.Operands[0].Kind != x86.OpReg:
	case in.Op == "mov" && in.Operands[1].Kind == x86.OpReg:
		return in.Operands[1].Reg, true
	case in.Op == "lea" && in.Mem.Index == x86.RegNone && in.Mem.Disp == 0 && !in.Mem.Addr32:
		return in.Mem.Base, in.Mem.Base != x86.RegNone
	}
	return x86.RegNone, false
}

// before returns the last position before i of which is is true, within straight-line code.
func (r *recogniser) before(i int, is func(*x86.Inst) bool) int {
	for n := i - 1; n >= max(0, i-nearby); n-- {
		switch in := &r.insns[n]; {
		case is(in):
			return n
		case in.Branch != x86.BranchNone || in.Trap || !in.Known:
			return -1
		}
	}
	return -1
}

// counterSlot reports whether in loads a register from a slot that the prologue filled with something else
// than a saved register.
func (r *recogniser) counterSlot(in *x86.Inst) (off int32, ok bool) {
	if in.Op != "mov" || !in.Load || in.Mem.Base != x86.RBP || in.Mem.Index != x86.RegNone {
		return 0, false
	}
	return r.storedSlot(in)
}

// storedSlot is counterSlot for the memory operand of any instruction, which is based on rbp.
func (r *recogniser) storedSlot(in *x86.Inst) (off int32, ok bool) {
	off = int32(in.Mem.Disp)
	for slot, st := range r.pro.state.mem {
		if within(off+r.pro.rbp, slot) {
			return off, st.rax || st.val.kind == symConst || st.val.kind == symStack
		}
	}
	return off, false
}

// wayOut reads what is skipped when the limit is reached: from after position i to s.End. It
// reports false if that is no way out of the function.
func (r *recogniser) wayOut(s *site, i int) bool {
	last, _ := r.at(s.End)
	leave := false
	for n := i + 1; n < last; n++ {
		in, off := &r.insns[n], r.off(n)
		to, inside := r.target(in)
		switch {
		case in.Op == "leave" || in.Branch == x86.BranchRet:
			leave = leave || s.Jump < 0
		case in.Branch == x86.BranchCond && inside && to == s.End && s.Bounds < 0 && r.comparesIndex(n):
			r.boundsAt(s, n)
		case in.Branch == x86.BranchCond && inside && to == s.End && s.Null < 0:
			s.Null = off
		case in.Store && r.bumps(s, in):
			s.Bump = off
		case r.unwinds(in) && s.Unwind < 0:
			s.Unwind = off
		case (in.Load || in.Op == "lea") && in.Mem.Base == x86.RSI && in.Mem.Index == x86.RDX && in.Mem.Scale == 8:
			s.Direct, s.offsets.ArrayPtrs = false, int32(in.Mem.Disp)
		}
		r.jumpOut(s, n, last)
	}
	s.Direct = s.offsets.ArrayPtrs == 0
	if s.Direct && !r.onlyNops(s.Jump, last) {
		return false
	}
	// A comparison of what a call returned is a program's own unless what follows is no program's code.
	own := s.form == image.CounterNone && s.Unwind < 0 && s.Direct && s.Bypass < 0
	return s.Jump >= 0 && !leave && !own
}

// onlyNops reports whether nothing but nops stands between the patched jump of a direct tail call and the position of
// its end.
func (r *recogniser) onlyNops(jump image.CodeOff, last int) bool {
	i, ok := r.at(jump)
	if !ok || jump < 0 || r.insns[i].Len != image.PokeSize {
		return false
	}
	for i++; i < last; i++ {
		if !r.insns[i].IsNop {
			return false
		}
	}
	return true
}

// bumps reports whether in writes the counter.
func (r *recogniser) bumps(s *site, in *x86.Inst) bool {
	if s.form == image.CounterValue {
		return in.Mem.Base == x86.RBP && int32(in.Mem.Disp) == s.slot
	}
	return in.Mem.Base == s.ptr && in.Mem.Index == x86.RegNone && in.Mem.Disp == 0
}

// unwinds reports whether in takes something off the stack.
func (r *recogniser) unwinds(in *x86.Inst) bool {
	return in.Op == "pop" || in.Op == "add" && in.Writes.Has(x86.RSP) || in.Op == "lea" && in.Writes.Has(x86.RSP) ||
		in.Op == "mov" && in.Writes.Has(x86.RSP)
}

// jumpOut notes the jumps of a way out, and what is added to bpf_func before an indirect one. last
// is the position of the first instruction after the site.
func (r *recogniser) jumpOut(s *site, n, last int) {
	in, off := &r.insns[n], r.off(n)
	to, inside := r.target(in)
	switch {
	case s.Jump >= 0:
	case in.Branch == x86.BranchJumpIndirect,
		in.Branch == x86.BranchJump && !inside,
		in.Branch == x86.BranchCall && inside && to == off+12: // inline retpoline
		s.Jump = off
	case in.Len == image.PokeSize && (in.IsNop || in.Branch == x86.BranchJump && to <= r.off(r.pro.end)) && s.Unwind >= 0 && r.onlyNops(off, last),
		n == last-1 && in.Len == image.PokeSize && (in.IsNop || in.Branch == x86.BranchJump && to <= r.off(r.pro.end)):
		s.Jump = off // an empty slot, or the program calls itself
	case in.Len == 5 && (in.IsNop || in.Branch == x86.BranchJump && inside && to == s.End) && s.Bypass < 0:
		s.Bypass = off
	case !in.Writes.Has(x86.RSP) && !in.Writes.Has(x86.RBP):
		if v, ok := added(in); ok {
			s.landing = image.CodeOff(v)
			if p := &r.insns[n-1]; p.Op == "mov" && p.Load && p.Mem.Base == in.Operands[0].Reg {
				s.offsets.ProgBPFFunc = int32(p.Mem.Disp)
			}
		}
	}
}

// added returns what in adds to the 64 bits of a register, where it does nothing else but set flags.
func added(in *x86.Inst) (by int64, ok bool) {
	if in.N != 2 || in.OpBits != 64 || in.Operands[0].Kind != x86.OpReg {
		return 0, false
	}
	switch v, imm := in.Imm(); {
	case in.Op == "add" && imm:
		return v, true
	case in.Op == "sub" && imm:
		return -v, true
	case in.Op == "lea" && in.Mem.Base == in.Operands[0].Reg && in.Mem.Index == x86.RegNone && !in.Mem.Addr32:
		return int64(in.Mem.Disp), true
	}
	return 0, false
}
