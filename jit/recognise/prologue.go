// SPDX-License-Identifier: GPL-2.0-only

package recognise

import (
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// symKind says what is known of a value in the prologue.
type symKind uint8

const (
	symUnknown symKind = iota
	symEntry           // what register reg held on entry
	symConst           // a constant
	symStack           // the address off bytes above the return address
	symReturn          // a return address that a call in the prologue pushed
)

// sym is a value in the prologue.
type sym struct {
	kind symKind
	reg  x86.Reg
	off  int32
}

// store is what the prologue put into 8 bytes of the stack.
type store struct {
	val  sym
	insn int  // that wrote it
	rax  bool // from rax: how designs since 5.10 pass the counter
	half bool // 4 of the 8 bytes
}

// symState is the symbolic machine state in the prologue. Stack addresses count from the return
// address, which is at 0.
type symState struct {
	rsp  int32
	regs [16]sym
	mem  map[int32]store
}

func newSymState() *symState {
	s := &symState{mem: map[int32]store{}}
	for r := range s.regs {
		s.regs[r] = sym{kind: symEntry, reg: x86.Reg(r)}
	}
	s.regs[x86.RSP] = sym{kind: symStack}
	return s
}

func (s *symState) clone() *symState {
	t := &symState{rsp: s.rsp, regs: s.regs, mem: make(map[int32]store, len(s.mem))}
	for k, v := range s.mem {
		t.mem[k] = v
	}
	return t
}

// merge joins another way to the same instruction; what differs is not known any more.
func (s *symState) merge(t *symState) {
	for r := range s.regs {
		if s.regs[r] != t.regs[r] {
			s.regs[r] = sym{}
		}
	}
	for k, v := range s.mem {
		if w, ok := t.mem[k]; !ok {
			delete(s.mem, k)
		} else if w.val != v.val {
			v.val, v.rax = sym{}, v.rax || w.rax
			s.mem[k] = v
		}
	}
}

// prologue is what walking it gave.
type prologue struct {
	end    int   // position of the first instruction after it
	frame  int   // position after the instruction that set rbp; 0 if none does
	rbp    int32 // what rbp holds in the body, from the return address
	hook   bool  // a 5-byte nop, or the call or jump that replaces it, for trampolines
	state  *symState
	pushes []int // positions of the pushes of rax after frame, oldest first
	sure   int   // position of the last instruction after frame that no program has
	// guard is the position of a comparison of rax with the limit; 0 without one.
	guard int
	// init is the position of the instruction that sets the counter to 0; -1 without one.
	init     int
	fillers  int  // bytes of nops before rbp is set, hook not included
	scratch  bool // it pushes and pops rax after rbp is set
	lands    int  // position where tail calls enter if that is not after rbp is set; 0 if it is
	callback bool // exception callback: takes over rbp of another frame
	hooked   int  // position of a place for trampolines where tail calls land; 0 without one
	// privateFP is the constant that r9 is made of; 0 without a private stack.
	privateFP int64
}

// findPrologue walks the prologue. Pushes of rax that nothing in the body reads belong to the body:
// it saves rax around divisions.
func (r *recogniser) findPrologue() {
	if r.body > 0 {
		r.pro = r.walkPrologue(r.body)
		if r.pro.end == r.body {
			return
		}
		r.body = 0 // something in it cannot be followed
	}
	r.pro = r.walkPrologue(len(r.insns))
	for n := len(r.pro.pushes) - 1; n >= 0; n-- {
		at := r.pro.pushes[n]
		if at < r.pro.sure || r.pro.guard > 0 && at > r.pro.guard || n == 0 && r.pro.init >= 0 && !r.initialisesSlot() {
			return
		}
		if r.readsPush(n) {
			return
		}
		r.pro = r.walkPrologue(at)
	}
}

// readsPush reports whether the code after the prologue loads the slot of the n-th push of rax.
func (r *recogniser) readsPush(n int) bool {
	for slot, st := range r.pro.state.mem {
		if st.insn != r.pro.pushes[n] {
			continue
		}
		for i := r.pro.end; i < len(r.insns); i++ {
			in := &r.insns[i]
			if in.Op == "mov" && in.Load && in.Mem.Base == x86.RBP && in.Mem.Index == x86.RegNone &&
				in.Writes.Has(x86.RAX) && within(int32(in.Mem.Disp)+r.pro.rbp, slot) {
				return true
			}
		}
	}
	return false
}

func within(addr, slot int32) bool { return addr >= slot && addr < slot+8 }

// walker walks the prologue.
type walker struct {
	*recogniser
	p       prologue
	s       *symState
	pending map[image.CodeOff]*symState // states at branch targets ahead
}

// walkPrologue interprets instructions from the entry on until one cannot be part of the prologue,
// or until position stop.
func (r *recogniser) walkPrologue(stop int) prologue {
	w := &walker{recogniser: r, s: newSymState(), pending: map[image.CodeOff]*symState{}}
	w.p.init = -1
	i, _ := r.at(r.entry)
	first := true
	for i < stop {
		in := &r.insns[i]
		if t := w.pending[r.off(i)]; t != nil {
			delete(w.pending, r.off(i))
			if w.s == nil {
				w.s = t
			} else if w.s.rsp == t.rsp {
				w.s.merge(t)
			} else {
				break
			}
		}
		if w.s == nil {
			break
		}
		if first && in.Len == 5 && (in.IsNop || r.patched(in)) {
			w.p.hook, first = true, false
			i++
			continue
		}
		first = first && in.Op == "endbr64"
		next, ok := w.step(i)
		if !ok {
			break
		}
		i = next
	}
	w.p.end = i
	w.p.state = w.s
	if w.s == nil || w.p.frame == 0 {
		w.p = prologue{state: newSymState(), init: -1, hook: w.p.hook}
		if w.p.hook {
			w.p.end, _ = r.at(r.entry)
			for r.insns[w.p.end].Len != 5 {
				w.p.end++
			}
			w.p.end++
		}
	} else if b := w.s.regs[x86.RBP]; b.kind == symStack {
		w.p.rbp = b.off
	}
	return w.p
}

// patched reports whether in is a call or jump out of the function, as a text poke puts it.
func (r *recogniser) patched(in *x86.Inst) bool {
	if in.Len != 5 || in.Branch != x86.BranchJump && in.Branch != x86.BranchCall {
		return false
	}
	_, inside := r.target(in)
	return !inside
}

// step interprets instruction i and returns the position of the next; ok is false if i is not part
// of the prologue.
func (w *walker) step(i int) (next int, ok bool) {
	in := &w.insns[i]
	if !in.Known || in.Trap || in.Branch == x86.BranchRet {
		return 0, false
	}
	switch in.Branch {
	case x86.BranchCall, x86.BranchJump, x86.BranchCond:
		return w.branch(i)
	case x86.BranchJumpIndirect, x86.BranchCallIndirect:
		return 0, false
	}
	if w.p.frame == 0 {
		if in.IsNop {
			w.p.fillers += int(in.Len)
			return i + 1, true
		}
	} else if !w.afterFrame(i) && w.body == 0 {
		return 0, false
	}
	if n := len(w.p.pushes); w.p.frame > 0 && (n == 0 || w.p.pushes[n-1] != i) {
		w.p.sure = i
	}
	if in.ZeroIdiom && in.Operands[0].Reg == x86.RAX {
		w.p.init = i
	}
	if !w.apply(i) {
		return 0, false
	}
	if in.Writes.Has(x86.RBP) && w.s.regs[x86.RBP].kind == symStack {
		w.p.frame = i + 1
	}
	return i + 1, true
}

// branch follows the few branches of prologues: out and back (prepare functions), over the return
// of hier-rfc2, and the choice between counter and pointer of hier-6.12.
func (w *walker) branch(i int) (next int, ok bool) {
	in := &w.insns[i]
	to, inside := w.target(in)
	n, aligned := w.at(to)
	switch {
	case in.Branch == x86.BranchCall && !inside && (w.p.frame == 0 || w.body > 0):
		w.s.regs[x86.RAX], w.s.regs[x86.RCX] = sym{}, sym{}
		return i + 1, true
	case !inside || !aligned || n <= i || n-i > 8:
		return 0, false
	case in.Branch == x86.BranchCall && w.p.frame == 0:
		w.push(sym{kind: symReturn}, i, false)
		return n, true
	case in.Branch == x86.BranchJump && w.p.frame == i && n == i+2 && w.insns[i+1].Len == 5 && (w.insns[i+1].IsNop || w.patched(&w.insns[i+1])):
		w.p.hooked = i + 1 // a place for trampolines that only tail calls come to
		return n, true
	case in.Branch == x86.BranchCond && w.p.guard == i-1 && i > 0:
		w.pending[to] = w.s.clone()
		return i + 1, true
	case in.Branch == x86.BranchCond && n <= w.body:
		w.pending[to] = w.s.clone()
		return i + 1, true
	case in.Branch == x86.BranchJump && (w.p.guard > 0 || n <= w.body):
		w.pending[to] = w.s
		w.s = nil
		return i + 1, true
	}
	return 0, false
}

// afterFrame says whether instruction i, after the one that set rbp, still belongs to the
// prologue. The programs' own code cannot use rsp, nor read a register that it has not written.
func (w *walker) afterFrame(i int) bool {
	in := &w.insns[i]
	switch {
	case in.Op == "endbr64", in.IsNop && w.fillers(i):
		return true
	case in.Op == "push":
		if in.N != 1 || in.Operands[0].Kind != x86.OpReg {
			return in.Operands[0].Kind == x86.OpImm
		}
		if in.Operands[0].Reg == x86.RAX {
			w.p.pushes = append(w.p.pushes, i)
			return true
		}
		return calleeSavedSet.Has(in.Operands[0].Reg)
	case in.Op == "pop":
		if n := len(w.p.pushes); n > 0 && in.Operands[0].Kind == x86.OpReg && in.Operands[0].Reg == x86.RAX {
			w.p.pushes = w.p.pushes[:n-1]
			w.p.scratch = true
			return true
		}
		return w.p.callback
	case in.Reads.Has(x86.RSP) || in.Writes.Has(x86.RSP) || in.Writes.Has(x86.RBP):
		return true
	case in.ZeroIdiom:
		return w.initialises(i)
	case in.Reads.Has(x86.RAX):
		w.p.guard = guardAt(in, i, w.p.guard)
		return true
	case in.Writes.Has(x86.R12) || in.Writes.Has(x86.R9):
		return w.noProgramRegs(in)
	case in.Op == "mov" && in.Writes.Has(x86.RAX):
		return w.loadsSlot(i) || w.rfc1(i)
	}
	for reg := range (in.Reads & calleeSavedSet).All {
		if v := w.s.regs[reg]; v.kind == symEntry && v.reg == reg {
			return true
		}
	}
	return false
}

var calleeSavedSet = x86.RegSetOf(x86.RBX, x86.RBP, x86.R12, x86.R13, x86.R14, x86.R15)

func guardAt(in *x86.Inst, i, old int) int {
	if _, imm := in.Imm(); imm && in.Op == "cmp" && in.Operands[0].Kind == x86.OpReg {
		return i
	}
	return old
}

// noProgramRegs accepts the loads of the private stack pointer (r9) and the arena base (r12), which
// no program writes: a constant and a per-CPU offset.
func (w *walker) noProgramRegs(in *x86.Inst) bool {
	v, imm := in.Imm()
	if imm && in.Op == "mov" && in.Writes.Has(x86.R9) {
		w.p.privateFP = v
	}
	return in.Op == "mov" && imm || in.Op == "add" && in.HasMem && in.Mem.Seg == x86.SegGS
}

// loadsSlot reports whether instruction i reads back what the prologue stored in order to push it.
func (w *walker) loadsSlot(i int) bool {
	in := &w.insns[i]
	if i+1 >= len(w.insns) || !w.insns[i+1].Is("push", x86.RAX) || !in.Load || in.Mem.Base != x86.RBP || w.s.regs[x86.RBP].kind != symStack {
		return false
	}
	_, ok := w.s.mem[w.s.regs[x86.RBP].off+int32(in.Mem.Disp)]
	return ok
}

// rfc1 recognises how hier-rfc1 points rax to its counter: mov rax, rbp; sub rax, n; mov dword [rax], 0.
func (w *walker) rfc1(i int) bool {
	if i+2 >= len(w.insns) || !w.insns[i].Is("mov", x86.RAX, x86.RBP) {
		return false
	}
	sub, zero := &w.insns[i+1], &w.insns[i+2]
	if sub.Op != "sub" || sub.Len != 6 || zero.Op != "mov" || !zero.Store || zero.Len != 6 || zero.Mem.Base != x86.RAX {
		return false
	}
	w.p.lands = i + 3
	return true
}

// fillers reports whether instruction i is one of the nops that take the place of that in other functions of hier-rfc1.
func (w *walker) fillers(i int) bool {
	lens := [...]uint8{3, 6, 6}
	for first := i - len(lens) + 1; first <= i; first++ {
		all := first >= w.p.frame && first+len(lens) <= len(w.insns)
		for k := 0; all && k < len(lens); k++ {
			all = w.insns[first+k].IsNop && w.insns[first+k].Len == lens[k]
		}
		if all {
			w.p.lands = first + len(lens)
			return true
		}
	}
	return false
}

// initialises tells the clearing of a counter after the frame (designs before 5.3) from the same
// instruction of a program: the stores that follow are outside of the program's stack.
func (w *walker) initialises(i int) bool {
	for i++; i < len(w.insns); i++ {
		in := &w.insns[i]
		if in.ZeroIdiom {
			continue
		}
		return in.Op == "mov" && in.Store && in.Mem.Base == x86.RBP && in.Reads.Has(x86.RAX) && in.OpBits == 64 &&
			(in.Mem.Disp >= 0 || in.Mem.Disp < -maxBPFStack)
	}
	return false
}

// maxBPFStack is MAX_BPF_STACK (include/linux/filter.h), in bytes.
const maxBPFStack = 512
