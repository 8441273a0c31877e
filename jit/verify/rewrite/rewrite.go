// SPDX-License-Identifier: GPL-2.0-only

package rewrite

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/verify"
	"github.com/tcsim/tcsim/jit/verify/form"
)

// Addresses answers the questions about a running kernel whose answers the verifier writes into a
// program. Without an answer the program keeps the call of the helper.
type Addresses interface {
	// Symbol returns the address of a variable, for per-CPU variables the displacement from the
	// gs base, as Env.Symbol does.
	Symbol(name string) (image.Addr, bool)
	// Call returns the Imm of a call for which Env.Helper gives the address of a kernel function.
	Call(name string) (imm int32, ok bool)
}

// Program makes of a program as users write it what the target's kernel gives to its JIT
// (kernel/bpf/verifier.c, bpf_check): dead code is removed, divisions are guarded, loads through
// the context use the kernel's own structures, and lookups in arrays are inlined. Helper calls
// keep the helper's number. p is not changed. The error names all mistakes, each with its
// instruction.
func Program(p *bpf.Program, t *kernels.Kernel) (*bpf.Program, error) { return For(p, t, nil) }

// For is Program for a certain running kernel: it also makes the rewrites that need
// addresses, such as inlined reads of kernel variables and direct calls of a map's functions.
func For(p *bpf.Program, t *kernels.Kernel, k Addresses) (*bpf.Program, error) {
	out, _, err := rewrite(p, t, k)
	return out, err
}

// Places is Program that also says where each slot of p went: to the slot at which jumps to it lead now, -1 if
// it is gone. The last one, after those of p, is the end.
func Places(p *bpf.Program, t *kernels.Kernel) (*bpf.Program, []bpf.InsnIndex, error) {
	out, w, err := rewrite(p, t, nil)
	if err != nil {
		return nil, nil, err
	}
	places := make([]bpf.InsnIndex, len(w.items)+1)
	for i := range w.items {
		it := &w.items[i]
		if places[i] = -1; it.live {
			places[i] = bpf.InsnIndex(it.at + len(it.before))
		}
	}
	places[len(w.items)] = bpf.InsnIndex(len(out.Insns))
	return out, places, nil
}

func rewrite(p *bpf.Program, t *kernels.Kernel, k Addresses) (*bpf.Program, *rewriter, error) {
	if _, ok := (&rewriter{k: k}).symbol(cpuNumber); !ok && t.Verifier.InlineCPU {
		calls := *t // without the address it stays a call, which does not keep the registers that an inlined one keeps
		calls.Verifier.InlineCPU = false
		t = &calls
	}
	known, err := verify.Accept(p, t)
	if err != nil {
		return nil, nil, fmt.Errorf("rewrite %s: %w", p.Name, err)
	}
	folded := known.Program
	w := &rewriter{p: folded, submitted: p, t: t, k: k, known: known, items: make([]item, len(p.Insns))}
	w.dropDead()
	for i := bpf.InsnIndex(0); int(i) < len(w.items); i += folded.Insns[i].Width() {
		if w.items[i].live {
			w.expand(i)
		}
	}
	w.inlineLoops()
	w.prologue()
	w.expandMayGoto()
	out := w.layout()
	if err := errors.Join(w.errs...); err != nil {
		return nil, nil, fmt.Errorf("rewrite %s: %w", p.Name, err)
	}
	return out, w, nil
}

// item is a slot of the program while it is rewritten.
type item struct {
	live   bool
	in     bpf.Insn
	to     bpf.InsnIndex // target of a jump, -1 for others
	before []bpf.Insn    // inserted before the instruction; jumps to it do not run them
	seq    []bpf.Insn    // replaces the instruction if not nil
	jumpAt int           // index in seq of a jump to the item's target, -1 without
	at     int           // in the result: first of before
	// callback is the slot of the function that the call at jumpAt calls; 0 means none.
	callback bpf.InsnIndex
}

type rewriter struct {
	p         *bpf.Program // with branches folded
	submitted *bpf.Program
	t         *kernels.Kernel
	k         Addresses
	known     *verify.Knowledge
	items     []item
	kfuncs    []string // kernel functions that were put in calls of, after those of p
	wide      []uint16 // registers read in full after each slot's start; made on demand
	errs      []error

	writesPacket bool
}

func (w *rewriter) bad(i bpf.InsnIndex, err error) {
	w.errs = append(w.errs, bpf.ErrorAt(w.p.Insns, i, err))
}

// dropDead removes what the exploration did not reach, makes jumps with one dead way
// unconditional, and removes jumps that go nowhere (opt_hard_wire_dead_code_branches,
// opt_remove_dead_code, opt_remove_nops).
func (w *rewriter) dropDead() {
	insns, seen := w.p.Insns, w.known.Visited
	for i := bpf.InsnIndex(0); int(i) < len(insns); i++ {
		in := insns[i]
		it := &w.items[i]
		*it = item{live: seen[i], in: in, to: -1, jumpAt: -1}
		if in.IsLdImm64() {
			i++
			w.items[i] = item{live: seen[i-1], in: insns[i], to: -1, jumpAt: -1}
			continue
		}
		fall, to, jumps := form.Flow(insns, i)
		if !jumps || !it.live {
			continue
		}
		it.to = to
		if !fall {
			continue
		}
		switch {
		case !seen[i+1]:
			it.in = bpf.Insn{Op: bpf.ClassJmp | bpf.JmpJA}
		case !seen[to]:
			it.in, it.to = bpf.Insn{Op: bpf.ClassJmp | bpf.JmpJA}, i+1
		}
	}
	w.dropFast()
	for i := range w.items {
		it := &w.items[i]
		if it.live && it.in == (bpf.Insn{Op: bpf.ClassJmp | bpf.JmpJA, Off: it.in.Off}) && w.first(it.to) == w.first(bpf.InsnIndex(i)+1) {
			it.live = false
		}
	}
}

// dropFast takes away spills and fills around calls that are inlined (remove_fastcall_spills_fills).
func (w *rewriter) dropFast() {
	for _, f := range w.known.Fast {
		for _, c := range f.Calls {
			for n := bpf.InsnIndex(1); c.Inlined && n <= c.Pairs; n++ {
				w.items[c.Call-n].live, w.items[c.Call+n].live = false, false
			}
		}
	}
}

// first returns the first live slot from i on.
func (w *rewriter) first(i bpf.InsnIndex) bpf.InsnIndex {
	for int(i) < len(w.items) && !w.items[i].live {
		i++
	}
	return i
}

// expand finds what replaces the instruction at slot i.
func (w *rewriter) expand(i bpf.InsnIndex) {
	it := &w.items[i]
	in := it.in
	switch c := in.Class(); {
	case (c == bpf.ClassALU || c == bpf.ClassALU64) && w.arena(i):
	case in.IsDivision():
		if seq, _ := form.GuardDivision(in, w.t.Emit.AX); seq != nil {
			it.seq = seq
		}
	case c == bpf.ClassLD && !in.IsLdImm64():
		w.loadPacket(i)
	case c == bpf.ClassLDX || c == bpf.ClassST || c == bpf.ClassSTX:
		w.memory(i)
	case in.Op == bpf.OpCall && in.Src == 0:
		w.call(i)
	case in.Op == bpf.OpCall && in.Src == bpf.PseudoKfunc:
		w.kfunc(i)
	}
}

func (w *rewriter) memory(i bpf.InsnIndex) {
	it := &w.items[i]
	switch w.known.Through(i) {
	case verify.ThroughContext:
		seq, err := contextAccess(w.t, it.in, w.p.Type)
		if err != nil {
			w.bad(i, err)
			return
		}
		it.seq = seq
	case verify.ThroughPacket:
		if it.in.Class() == bpf.ClassLDX {
			break
		}
		w.writesPacket = true
	}
	if w.known.Arenas[i] && it.in.Op&^0x18 == bpf.ClassSTX|bpf.ModeAtomic {
		it.in.Op |= bpf.ModeProbeAtomic // other accesses to an arena are marked by the analysis
	}
	if it.in.Op&^0x18 == bpf.ClassSTX|bpf.ModeAtomic && it.in.Size() == 4 && it.in.Imm == bpf.AtomicCmpXchg && w.readsR0(i+1) {
		// The CPU keeps the upper half of rax if the values are equal.
		it.seq = []bpf.Insn{it.in, {Op: bpf.ClassALU | bpf.SrcReg | bpf.ALUMov, Imm: 1}}
	}
}

// readsR0 reports whether all of r0 is read from slot i on.
func (w *rewriter) readsR0(i bpf.InsnIndex) bool {
	if w.wide == nil {
		w.wide = w.findWide()
	}
	i = w.first(i)
	return int(i) < len(w.wide) && w.wide[i]&1 != 0
}

// prologue has a program that writes to a struct sk_buff start by making it its own (bpf_unclone_prologue in
// net/core/filter.c).
func (w *rewriter) prologue() {
	const cloned, pullData = 126, 39 // offset in struct sk_buff, helper
	drop := int32(2)                 // TC_ACT_SHOT
	switch t := w.p.Type; {
	case !w.writesPacket, t == bpf.XDP, t == bpf.SkMsg, t == bpf.CGroupSockopt: // bpf_noop_prologue
		return
	case t == bpf.SkSKB:
		drop = 0 // SK_DROP
	}
	it := &w.items[0]
	pull := bpf.Insn{Op: bpf.OpCall, Imm: pullData}
	if w.k != nil {
		if imm, ok := w.k.Call(helperFunc(pullData)); ok {
			pull.Imm = imm
		}
	}
	seq := []bpf.Insn{
		{Op: bpf.ClassLDX | bpf.ModeMem | sizeBits[1], Dst: 6, Src: 1, Off: cloned},
		{Op: bpf.ClassALU | bpf.ALUAnd, Dst: 6, Imm: 1},
		{Op: bpf.ClassJmp | bpf.JmpEq, Dst: 6, Off: 7},
		{Op: bpf.ClassALU64 | bpf.SrcReg | bpf.ALUMov, Dst: 6, Src: 1},
		{Op: bpf.ClassALU64 | bpf.SrcReg | bpf.ALUXor, Dst: 2, Src: 2},
		pull,
		{Op: bpf.ClassJmp | bpf.JmpEq, Off: 2},
		{Op: bpf.ClassALU | bpf.ALUMov, Imm: drop},
		{Op: bpf.OpExit},
		{Op: bpf.ClassALU64 | bpf.SrcReg | bpf.ALUMov, Dst: 1, Src: 6},
	}
	first := it.seq
	if first == nil && it.live {
		if first = []bpf.Insn{it.in}; it.to >= 0 {
			it.jumpAt = 0
		} else if _, calls := it.in.Callee(0); calls {
			it.jumpAt = 0
		}
	}
	if it.jumpAt >= 0 {
		it.jumpAt += len(seq)
	}
	it.seq, it.live = append(seq, first...), true
}

// loadPacket replaces ld_abs and ld_ind (bpf_gen_ld_abs in net/core/filter.c).
func (w *rewriter) loadPacket(i bpf.InsnIndex) {
	it := &w.items[i]
	in := it.in
	name := fmt.Sprintf("bpf_skb_load_helper_%d_no_cache", in.Size()*8)
	call, ok := w.kernelCall(name)
	if !ok {
		w.bad(i, fmt.Errorf("the kernel has no function %s", name))
		return
	}
	if in.Op&0xe0 == bpf.ModeAbs {
		it.seq = append(it.seq, bpf.Insn{Op: bpf.ClassALU64 | bpf.ALUMov, Dst: 2, Imm: in.Imm})
	} else {
		it.seq = append(it.seq, bpf.Insn{Op: bpf.ClassALU64 | bpf.SrcReg | bpf.ALUMov, Dst: 2, Src: in.Src})
		if in.Imm != 0 {
			it.seq = append(it.seq, bpf.Insn{Op: bpf.ClassALU64 | bpf.ALUAdd, Dst: 2, Imm: in.Imm})
		}
	}
	it.seq = append(it.seq,
		bpf.Insn{Op: bpf.ClassALU64 | bpf.SrcReg | bpf.ALUMov, Dst: 1, Src: 6},
		call,
		bpf.Insn{Op: bpf.ClassJmp | bpf.JmpSge, Off: 2},
		bpf.Insn{Op: bpf.ClassALU | bpf.SrcReg | bpf.ALUXor},
		bpf.Insn{Op: bpf.OpExit})
}

// kernelCall returns a call of a kernel function that is no helper: as the kernel encodes it, or by name
// where none is known. ok is false if the kernel has no such function.
func (w *rewriter) kernelCall(name string) (call bpf.Insn, ok bool) {
	if w.k != nil {
		imm, ok := w.k.Call(name)
		return bpf.Insn{Op: bpf.OpCall, Imm: imm}, ok
	}
	n := slices.Index(w.kfuncs, name)
	if n < 0 {
		n = len(w.kfuncs)
		w.kfuncs = append(w.kfuncs, name)
	}
	return bpf.Insn{Op: bpf.OpCall, Src: bpf.PseudoKfunc, Imm: int32(len(w.p.Kfuncs) + n)}, true
}

// length is how many slots an item takes in the result.
func (it *item) length() int {
	n := len(it.before)
	switch {
	case !it.live:
		return n
	case it.seq != nil:
		return n + len(it.seq)
	}
	return n + 1
}

// layout puts the result together.
func (w *rewriter) layout() *bpf.Program {
	p := w.p
	out := &bpf.Program{
		Name: p.Name, Type: p.Type, Maps: p.Maps, Submitted: w.submitted, HelperNames: p.HelperNames, Kfuncs: p.Kfuncs, Signatures: p.Signatures,
	}
	if len(w.kfuncs) > 0 {
		out.Kfuncs = append(slices.Clone(p.Kfuncs), w.kfuncs...)
	}
	at := 0
	next := 0
	for i := range w.items {
		it := &w.items[i]
		it.at = at
		for next < len(p.Funcs) && int(p.Funcs[next].Start) == i {
			if w.known.Visited[i] {
				f := p.Funcs[next]
				out.Funcs = append(out.Funcs, bpf.Func{Name: f.Name, Start: bpf.InsnIndex(at), Origin: f.Start, ExceptionCB: f.ExceptionCB, Global: f.Global, Params: f.Params, Void: f.Void, Stack: w.stack(next)})
			}
			next++
		}
		at += it.length()
	}
	out.Insns = make([]bpf.Insn, 0, at)
	for i := range w.items {
		w.emit(bpf.InsnIndex(i), out)
	}
	w.moveSource(out)
	w.addCallback(out)
	return out
}

// stack is how much stack a function counts as using although spills that used it are gone.
func (w *rewriter) stack(fn int) int32 {
	if w.known.Fast == nil || !w.known.Fast[fn].Removes() {
		return 0
	}
	return w.known.Funcs[fn].StackDepth
}

// moveSource gives the result the source lines of what it was made of.
func (w *rewriter) moveSource(out *bpf.Program) {
	for _, l := range w.p.Source {
		l.Insn = bpf.InsnIndex(w.items[l.Insn].at)
		if n := len(out.Source); n > 0 && out.Source[n-1].Insn == l.Insn {
			out.Source[n-1] = l // all of the line before is gone
			continue
		}
		out.Source = append(out.Source, l)
	}
}

// emit appends what item i became.
func (w *rewriter) emit(i bpf.InsnIndex, out *bpf.Program) {
	it := &w.items[i]
	out.Insns = append(out.Insns, it.before...)
	switch {
	case !it.live:
		return
	case it.seq == nil:
		out.Insns = append(out.Insns, it.in)
		if _, calls := it.in.Callee(i); it.to >= 0 || calls {
			w.relink(i, len(out.Insns)-1, out)
		}
		return
	}
	base := len(out.Insns)
	out.Insns = append(out.Insns, it.seq...)
	if it.jumpAt >= 0 {
		w.relink(i, base+it.jumpAt, out)
	}
}

// relink sets the distance of the jump or call of item i, which is at slot at of the result.
func (w *rewriter) relink(i bpf.InsnIndex, at int, out *bpf.Program) {
	it, in := &w.items[i], &out.Insns[at]
	callee, ok := it.in.Callee(i)
	if it.callback > 0 {
		callee, ok = it.callback, true
	}
	if ok {
		to := &w.items[callee]
		in.Imm = int32(to.at - at - 1)
		return
	}
	to := len(out.Insns)
	if f := w.first(it.to); int(f) < len(w.items) {
		to = w.items[f].at + len(w.items[f].before)
	}
	d := to - at - 1
	if in.Class() == bpf.ClassJmp32 && in.Op&0xf0 == bpf.JmpJA {
		in.Imm = int32(d)
		return
	}
	if d < math.MinInt16 || d > math.MaxInt16 {
		w.bad(i, fmt.Errorf("the jump's distance grew to %d", d))
		return
	}
	in.Off = int16(d)
}
