// SPDX-License-Identifier: GPL-2.0-only

package recognise

import (
	"fmt"
	"slices"

	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// SiteFlaw is something in the code of a tail call that no kernel means to emit.
type SiteFlaw struct {
	Func int
	Off  image.CodeOff // of the instruction
	Text string
	// Always says that it is wrong in every design: it is something that the kernel does with code.
	Always bool
	// Foreign says that the instruction is of no known design, such as a call: a patch may mean it. What follows in
	// the tail call was not judged.
	Foreign bool
}

// SiteFlaws follows the code of all tail calls of an image, also what no run reaches: limit, increment,
// checks and where they lead, what is taken off the stack, and what is entered. limit is how many tail
// calls an invocation may take. It knows the designs of kernels since 5.10 and has nothing to say of
// others. It asks what the code does, not how: another order or other registers are no flaw. It errors
// if the code does not decode.
func SiteFlaws(img *image.Image, limit uint32) ([]SiteFlaw, error) {
	rs, err := recognisers(img)
	if err != nil {
		return nil, err
	}
	var out []SiteFlaw
	for i, r := range rs {
		frame := r.frame()
		for n := range r.sites {
			if s := &r.sites[n]; r.follows(s) {
				f := flawFinder{recogniser: r, s: s, count: x86.RegNone, note: func(off image.CodeOff, text string) {
					out = append(out, SiteFlaw{Func: i, Off: off, Text: text})
				}}
				f.checks(limit)
				f.enters(rs[0], img.Funcs[0].Entry)
				if f.follow(frame.Saved) {
					out[len(out)-1].Foreign = true
				}
			}
		}
	}
	return out, nil
}

// follows reports whether the instructions of a site are followed one by one: whether their order is judged. Tail calls of
// some designs leave the frame, or the beginning of it, in place.
func (r *recogniser) follows(s *site) bool {
	shape, framed := r.shape()
	return r.pro.frame != 0 && !r.frame().Reused && !(framed && shape.keepsHead()) && (s.form == image.CounterValue || s.form == image.CounterPtr)
}

// Follows reports whether SiteFlaws judges the order of instructions of a function's tail call, an index into TailCalls: it
// does not if the code there is not that of a tail call. It errors if the code does not decode.
func Follows(img *image.Image, fn, call int) (bool, error) {
	rs, err := recognisers(img)
	if err != nil {
		return false, err
	}
	want := &img.Funcs[fn].TailCalls[call]
	n := slices.IndexFunc(rs[fn].sites, func(s site) bool { return s.Start <= want.Start && s.End == want.End && s.Jump == want.Jump })
	return n >= 0 && rs[fn].follows(&rs[fn].sites[n]), nil
}

// Thunk returns where an indirect tail call jumps by way of the kernel's thunk; ok is false if it jumps itself.
func Thunk(f *image.FuncImage, s *image.TailCallSite) (to image.Addr, ok bool) {
	if s.Direct || s.Jump < 0 {
		return 0, false
	}
	in, err := x86.Decode(f.Code[s.Jump:], f.Addr+image.Addr(s.Jump))
	if err != nil || in.Branch != x86.BranchJump || in.Target >= f.Addr && in.Target < f.End() {
		return 0, false
	}
	return in.Target, true
}

// recognisers reads the functions of an image.
func recognisers(img *image.Image) ([]*recogniser, error) {
	rs := make([]*recogniser, len(img.Funcs))
	for i := range img.Funcs {
		f := &img.Funcs[i]
		c, err := decodeAll(f.Code, f.Addr)
		if err != nil {
			return nil, fmt.Errorf("function %d (%s): %w", i, f.Name, err)
		}
		rs[i] = newRecogniser(c, i != 0, f.Frame.Body)
	}
	shareDesign(rs)
	return rs, nil
}

// foreign is what is said of an instruction of no known design.
const foreign = "no instruction of a tail call"

// flawFinder looks at one site.
type flawFinder struct {
	*recogniser
	s    *site
	note func(off image.CodeOff, text string)
	w    walker
	// ptr is the register that holds, on the way to the jump, first the program, then its code.
	ptr   x86.Reg
	stage int
	added int64     // to the counter, in the register count
	count x86.Reg   // the register that holds the counter, RegNone for none
	slots [16]int32 // of each register, the slot that its 64 bits were read from; noSlot for something else
	flags x86.Reg   // the register that was tested against 0 last
	moved bool      // the register with the pointer to the counter holds something else since the comparison
}

// noSlot is no offset of a slot: slots lie below the return address, which is at 0.
const noSlot int32 = 1

// Stages of what an indirect tail call loads.
const (
	holdsNothing = iota
	holdsSlot
	holdsProgram
	holdsCode
	holdsLanding
)

// checks looks for the comparisons.
func (f *flawFinder) checks(limit uint32) {
	s := f.s
	if s.limit != limit {
		f.note(s.Limit, fmt.Sprintf("the limit is %d, not %d", s.limit, limit))
	}
	i, _ := f.at(s.Limit)
	if f.insns[i].Cond == x86.CondE {
		f.note(s.Limit, "the comparison with the limit lets more than that pass")
	}
	if s.Bump < 0 {
		f.note(s.Limit, "the tail call is not counted")
	}
	if s.Direct {
		if s.Bypass < 0 {
			f.note(s.Start, "nothing can skip it while its slot is empty")
		}
		for _, at := range []image.CodeOff{s.Bypass, s.Jump} {
			if i, ok := f.at(at); at >= 0 && ok && f.insns[i].IsNop && !isPatchedNop(f.code[at:]) {
				f.note(at, "the kernel patches a nop of five bytes, which it compares with its own, and this is another")
			}
		}
		if f.nop(s.Bypass) && f.nop(s.Jump) {
			f.note(s.Jump, "nothing skips it and it leads nowhere: it goes on after the tail call with its frame taken down")
		}
		return
	}
	if s.Null < 0 {
		f.note(s.Jump, "it is not checked whether the slot is empty")
	}
	if s.Bounds < 0 {
		f.note(s.Start, "the index is not checked")
		return
	}
	i, _ = f.at(s.Bounds)
	if !boundsCheck(&f.insns[s.index], f.insns[i].Cond) {
		f.note(s.Bounds, "the comparison of the index lets others pass than it should")
	}
	if s.offsets.MapMaxEntries == 0 { // struct bpf_map begins with something else
		f.note(s.Bounds, "the index is not compared with bpf_map.max_entries")
	}
	if !s.cut {
		f.note(s.Start, "the index is not cut to 32 bits")
	}
	for _, o := range []struct {
		what        string
		at, aligned int32
	}{{"bpf_map.max_entries", s.offsets.MapMaxEntries, 4}, {"bpf_array.ptrs", s.offsets.ArrayPtrs, 8}, {"bpf_prog.bpf_func", s.offsets.ProgBPFFunc, 8}} {
		if o.at < 0 || o.at > maxOffset || o.at%o.aligned != 0 {
			f.note(s.Start, fmt.Sprintf("it takes %s to be at %#x, where no kernel has it", o.what, o.at))
		}
	}
}

// maxOffset is larger than what stands before the slots in struct bpf_array in any configuration.
const maxOffset = 4096

// nop reports whether there is a nop at an offset.
func (f *flawFinder) nop(at image.CodeOff) bool {
	i, ok := f.at(at)
	return at >= 0 && ok && i < len(f.insns) && f.insns[i].IsNop
}

// boundsCheck reports whether a jump skips the tail call for every index beyond the array in rsi.
func boundsCheck(test *x86.Inst, c x86.Cond) bool {
	index, entries, want := test.Operands[0], test.Operands[1], x86.CondAE
	if index.Kind != x86.OpReg {
		index, entries, want = entries, index, x86.CondBE
	}
	return index.Kind == x86.OpReg && index.Reg == x86.RDX && c == want && test.OpBits == 32 &&
		(entries.Kind == x86.OpReg || entries.Kind == x86.OpMem && test.Mem.Base == x86.RSI && test.Mem.Index == x86.RegNone)
}

// enters compares the landing with where the frame of a program is complete.
func (f *flawFinder) enters(main *recogniser, entry image.CodeOff) {
	if f.s.Direct || main.pro.frame == 0 || main.sub {
		return
	}
	want := main.off(main.pro.frame) - entry
	if init := main.pro.init; init == main.pro.frame && f.s.landing == main.off(init+1)-entry {
		return // tail calls pass over what clears the counter
	}
	if f.s.landing != want {
		f.note(f.s.Jump, fmt.Sprintf("it enters programs at +%#x, which set up their frame until +%#x", int(f.s.landing), int(want)))
	}
}

// follow goes through the instructions up to the jump. It reports whether it ends at one of no known design.
func (f *flawFinder) follow(saved []x86.Reg) (ends bool) {
	st := f.pro.state.clone()
	for r := range st.regs {
		switch reg := x86.Reg(r); {
		case reg == x86.RSP || reg == x86.RBP:
		case calleeSavedSet.Has(reg) && !slices.Contains(saved, reg):
			st.regs[r] = sym{kind: symEntry, reg: reg} // the program does not use it
		default:
			st.regs[r] = sym{}
		}
	}
	f.w = walker{recogniser: f.recogniser, p: f.pro, s: st}
	f.forget()
	body := st.rsp
	i, _ := f.at(f.s.Start)
	for ; i < len(f.insns) && f.off(i) < f.s.Jump; i++ {
		if text := f.step(i, body); text != "" {
			f.note(f.off(i), fmt.Sprintf("%s: %s", f.insns[i].String(), text))
			return text == foreign // what follows cannot be judged
		}
	}
	if i == len(f.insns) || f.off(i) != f.s.Jump {
		return false
	}
	if d := st.rsp - f.pro.rbp; d != 0 {
		f.note(f.s.Jump, fmt.Sprintf("it leaves with rsp at rbp%+d", d))
		return false
	}
	for r := range calleeSavedSet.All {
		if v := st.regs[r]; r != x86.RBP && (v.kind != symEntry || v.reg != r) {
			f.note(f.s.Jump, fmt.Sprintf("it leaves with another %v than the caller had", r))
		}
	}
	if slot, ok := f.pro.state.mem[f.slots[x86.RAX]]; !ok || !slot.rax && slot.val.kind != symConst && slot.val.kind != symStack {
		f.note(f.s.Jump, "it leaves without the counter in rax")
	}
	if in := &f.insns[i]; !f.s.Direct && (f.stage != holdsLanding || in.Branch == x86.BranchJumpIndirect && in.Operands[0].Reg != f.ptr) {
		f.note(f.s.Jump, "it leaves for something else than the program in the slot")
	}
	return false
}

// step follows instruction i; body is rsp before anything is taken off. It returns what is wrong with
// the instruction, "" for nothing.
func (f *flawFinder) step(i int, body int32) string {
	in, s := &f.insns[i], f.s
	off := f.off(i)
	to, inside := f.target(in)
	switch {
	case in.IsNop && off == s.Bypass && f.w.s.rsp != body:
		return "while the slot is empty, it goes on after the tail call with part of the frame taken down"
	case in.IsNop || in.Fence || in.Op == "endbr64":
		return ""
	case in.Trap || !in.Known:
		return foreign
	case in.Load && in.Mem.Base == x86.RSI && in.Mem.Index == x86.RDX && off < s.Bounds:
		return "it reads the slot before the index is checked"
	case in.Branch == x86.BranchCond || in.Branch == x86.BranchJump:
		switch {
		case !inside || to != s.End:
			return "it does not lead past the tail call"
		case f.w.s.rsp != body:
			return "it goes on after the tail call with part of the frame taken down"
		case off == s.Null && (in.Cond != x86.CondE || f.flags != f.ptr || f.stage != holdsProgram):
			return "it does not check whether the slot is empty"
		}
		return ""
	case in.Branch != x86.BranchNone:
		return foreign
	case in.Store && off != s.Bump:
		return "it writes to memory"
	case in.Store:
		f.flags = x86.RegNone
		if f.s.form == image.CounterValue { // what was read before is not counted
			f.forget()
		}
		return f.bump(in)
	case in.Writes.Has(x86.RDI):
		return "it changes the context that the next program gets"
	case in.Writes.Has(x86.RBP):
		return "it changes rbp"
	}
	for r := range (in.Writes & calleeSavedSet).All {
		if in.Op != "pop" {
			return fmt.Sprintf("it changes %v", r)
		}
	}
	if in.Op == "pop" && in.Writes.Has(x86.RSP) && in.Operands[0].Kind == x86.OpReg && in.Operands[0].Reg == x86.RSP {
		return "it loses the stack pointer"
	}
	f.flags = x86.RegNone
	if (in.Op == "test" || in.Op == "and" || in.Op == "or") && in.N == 2 && in.Operands[0] == in.Operands[1] && in.OpBits == 64 {
		f.flags = in.Operands[0].Reg
	}
	if v, imm := in.Imm(); in.Op == "cmp" && imm && v == 0 && !in.HasMem && in.OpBits == 64 { // until 4.13
		f.flags = in.Operands[0].Reg
	}
	f.read(in)
	f.load(in)
	if i > f.s.test && in.Writes.Has(f.s.ptr) && !keepsValue(in) {
		f.moved = !(f.readsSlot(in) && in.OpBits == 64)
	}
	if !f.w.apply(i) {
		return "it loses the stack pointer"
	}
	return ""
}

// forget takes it that no register holds what a slot does.
func (f *flawFinder) forget() {
	for r := range f.slots {
		f.slots[r] = noSlot
	}
}

// read follows from which slots registers are read.
func (f *flawFinder) read(in *x86.Inst) {
	if keepsValue(in) {
		return
	}
	slot := noSlot
	if in.Op == "pop" {
		slot = f.w.s.rsp
	} else if from, ok := copied(in); ok && from < 16 {
		slot = f.slots[from]
	} else if at, ok := f.w.address(in); ok && in.Op == "mov" && in.Load && in.OpBits == 64 {
		slot = at
	}
	for r := range in.Writes.All {
		if r < 16 {
			f.slots[r] = noSlot
		}
	}
	if dst := in.Operands[0]; dst.Kind == x86.OpReg && dst.Reg < 16 && in.Writes.Has(dst.Reg) {
		f.slots[dst.Reg] = slot
	}
}

// bump checks that the counter grows by one.
func (f *flawFinder) bump(in *x86.Inst) string {
	v, imm := in.Imm()
	switch {
	case f.s.form == image.CounterPtr && f.moved:
		return "it does not write to the counter"
	case in.Mem.Size > uint16(f.s.size): // fewer bytes do: none of the others is set in a count below the limit
		return fmt.Sprintf("it counts in %d bytes, but the comparison sees %d", in.Mem.Size, f.s.size)
	case in.Load && (in.Op == "add" && imm && v == 1 || in.Op == "sub" && imm && v == -1 || in.Op == "inc"):
		return ""
	case !in.Load && in.Op == "mov" && f.count != x86.RegNone && f.added == 1 && in.Operands[1].Kind == x86.OpReg && in.Operands[1].Reg == f.count:
		return ""
	}
	return "it does not add 1 to the counter"
}

// load follows the counter in a register, and the registers from the slot to the code of the program in it.
func (f *flawFinder) load(in *x86.Inst) {
	dst := in.Operands[0]
	if keepsValue(in) {
		return
	}
	v, imm := in.Imm()
	switch {
	case f.readsCounter(in):
		f.count, f.added = dst.Reg, 0
	case f.count == x86.RegNone || !in.Writes.Has(f.count):
	case in.Op == "add" && imm:
		f.added += v
	case in.Op == "sub" && imm:
		f.added -= v
	case in.Op == "inc":
		f.added++
	case in.Op == "lea" && in.Mem.Base == f.count && in.Mem.Index == x86.RegNone && dst.Reg == f.count:
		f.added += int64(in.Mem.Disp)
	default:
		f.count = x86.RegNone
	}
	if dst.Kind != x86.OpReg || !in.Writes.Has(dst.Reg) || dst.Reg == x86.RSP {
		return
	}
	full := in.OpBits == 64
	switch m := &in.Mem; {
	case full && in.Op == "mov" && in.Load && m.Base == x86.RSI && m.Index == x86.RDX && m.Scale == 8:
		f.ptr, f.stage = dst.Reg, holdsProgram
	case full && in.Op == "lea" && m.Base == x86.RSI && m.Index == x86.RDX && m.Scale == 8: // until 4.13
		f.ptr, f.stage = dst.Reg, holdsSlot
	case f.stage == holdsSlot && full && in.Op == "mov" && in.Load && m.Base == f.ptr && m.Index == x86.RegNone && m.Disp == 0:
		f.ptr, f.stage = dst.Reg, holdsProgram
	case f.stage == holdsProgram && full && in.Op == "mov" && in.Load && m.Base == f.ptr && m.Index == x86.RegNone && m.Disp != 0:
		f.ptr, f.stage = dst.Reg, holdsCode
	case f.stage == holdsCode && dst.Reg == f.ptr && adds(in):
		f.stage = holdsLanding
	case dst.Reg == f.ptr && f.stage != holdsNothing:
		f.stage = holdsNothing
	}
}

// readsCounter reports whether in loads the counter: from its slot, or through the pointer to it.
func (f *flawFinder) readsCounter(in *x86.Inst) bool {
	if f.s.form == image.CounterPtr {
		return !f.moved && in.Op == "mov" && in.Load && in.Mem.Base == f.s.ptr && in.Mem.Index == x86.RegNone && in.Mem.Disp == 0
	}
	return f.readsSlot(in)
}

// readsSlot reports whether in loads what is in the slot of the counter or of the pointer to it.
func (f *flawFinder) readsSlot(in *x86.Inst) bool {
	return in.Op == "mov" && in.Load && in.Mem.Base == x86.RBP && in.Mem.Index == x86.RegNone && int32(in.Mem.Disp) == f.s.slot
}

func adds(in *x86.Inst) bool {
	_, ok := added(in)
	return ok
}
