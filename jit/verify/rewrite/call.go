// SPDX-License-Identifier: GPL-2.0-only

package rewrite

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/verify"
	"github.com/tcsim/tcsim/jit/verify/form"
	"github.com/tcsim/tcsim/jit/verify/protos"
)

// The calls that the verifier inlines or redirects (do_misc_fixups).

// call replaces a helper call.
func (w *rewriter) call(i bpf.InsnIndex) {
	it := &w.items[i]
	r := &w.t.Verifier
	if h := r.Helpers; h > 0 && it.in.Imm >= h {
		name := protos.HelperName(it.in.Imm)
		w.bad(i, fmt.Errorf("the kernel has no helper %d (%s): %w", it.in.Imm, name, kernels.ErrUnsupported))
	}
	switch it.in.Imm {
	case 1, 2, 3, 87, 88, 89:
		w.mapCall(i)
	case 8:
		if r.InlineCPU {
			w.perCPU(it, cpuNumber, r.WideCPU, 4)
		}
	case 35, 158:
		if r.InlineTask {
			w.perCPU(it, "current_task", true, 8)
		}
	case 118:
		if a, ok := w.symbol("jiffies"); ok {
			it.seq = []bpf.Insn{
				{Op: bpf.OpLdImm64, Imm: int32(a)}, {Imm: int32(a >> 32)},
				{Op: bpf.ClassLDX | bpf.ModeMem | 0x18},
			}
		}
	}
	if it.seq == nil && w.k != nil && it.in.Imm != bpf.HelperTailCall {
		if imm, ok := w.k.Call(helperFunc(it.in.Imm)); ok {
			it.in.Imm = imm
		}
	}
}

// cpuNumber is the per-CPU variable that bpf_get_smp_processor_id reads.
const cpuNumber = "cpu_number"

// helperFunc is the kernel function of a helper.
func helperFunc(n int32) string {
	if n == 7 {
		return "bpf_user_rnd_u32"
	}
	return protos.HelperName(n)
}

// kfunc resolves a call of a kernel function (fixup_kfunc_call).
func (w *rewriter) kfunc(i bpf.InsnIndex) {
	it := &w.items[i]
	name := w.p.Kfunc(it.in)
	switch {
	case name == "":
		w.bad(i, fmt.Errorf("no kernel function %d: there are %d", it.in.Imm, len(w.p.Kfuncs)))
	case name == bpf.ThrowKfunc && w.t.Emit.ISA&kernels.ISAExceptions == 0:
		w.bad(i, fmt.Errorf("%s: %w", name, kernels.ErrUnsupported))
	case w.k != nil:
		imm, ok := w.k.Call(name)
		if !ok {
			w.bad(i, fmt.Errorf("the kernel has no function %s", name))
		}
		it.in.Imm = imm
	}
}

// arena rewrites arithmetic on addresses in an arena, which are of 32 bits (do_misc_fixups). It
// reports whether it did.
func (w *rewriter) arena(i bpf.InsnIndex) bool {
	it := &w.items[i]
	cast := it.in.Op == bpf.ClassALU64|bpf.SrcReg|bpf.ALUMov && it.in.Off == bpf.AddrSpaceCast
	switch {
	case cast && !w.known.Arena:
		w.bad(i, errors.New("an address space cast in a program without an arena"))
	case cast && it.in.Imm == bpf.CastKernelImm:
		it.in.Op, it.in.Off, it.in.Imm = bpf.ClassALU|bpf.SrcReg|bpf.ALUMov, 0, 0
	case w.known.Narrow[i]:
		it.in.Op = it.in.Op&^7 | bpf.ClassALU
	}
	return cast || w.known.Narrow[i]
}

// addCallback gives a program that throws and has no exception callback one that returns the cookie
// (add_hidden_subprog).
func (w *rewriter) addCallback(out *bpf.Program) {
	throws := false
	for i := bpf.InsnIndex(0); int(i) < len(w.items); i += w.p.Insns[i].Width() {
		throws = throws || w.items[i].live && w.p.Kfunc(w.p.Insns[i]) == bpf.ThrowKfunc
	}
	if !throws || slices.ContainsFunc(out.Funcs, func(f bpf.Func) bool { return f.ExceptionCB }) {
		return
	}
	out.Funcs = append(out.Funcs, bpf.Func{
		Name: fmt.Sprintf("hidden%d", len(out.Funcs)), Start: bpf.InsnIndex(len(out.Insns)), Origin: -1, ExceptionCB: true,
	})
	if out.Source != nil {
		out.Source = append(out.Source, bpf.SourceLine{Insn: bpf.InsnIndex(len(out.Insns))}) // of no file
	}
	out.Insns = append(out.Insns, bpf.Insn{Op: bpf.ClassALU64 | bpf.SrcReg | bpf.ALUMov, Src: 1}, bpf.Insn{Op: bpf.OpExit})
}

func (w *rewriter) symbol(name string) (image.Addr, bool) {
	if w.k == nil {
		return 0, false
	}
	return w.k.Symbol(name)
}

// perCPU reads a per-CPU variable of size bytes.
func (w *rewriter) perCPU(it *item, name string, wide bool, size int8) {
	a, ok := w.symbol(name)
	if !ok {
		return
	}
	mov := uint8(bpf.ClassALU | bpf.ALUMov)
	if wide {
		mov = bpf.ClassALU64 | bpf.ALUMov
	}
	it.seq = []bpf.Insn{
		{Op: mov, Imm: int32(a)},
		perCPUAddr(),
		{Op: bpf.ClassLDX | bpf.ModeMem | sizeBits[size]},
	}
}

// perCPUAddr makes r0 the address of this CPU's copy of a per-CPU variable.
func perCPUAddr() bpf.Insn { return bpf.Insn{Op: bpf.ClassALU64 | bpf.SrcReg | bpf.ALUMov, Off: -1} }

// mapCall inlines a lookup, or calls the function of the map's type.
func (w *rewriter) mapCall(i bpf.InsnIndex) {
	it := &w.items[i]
	at, ok := w.known.Lookup(i)
	if !ok {
		return
	}
	m := &w.p.Maps[at]
	lookup := it.in.Imm == 1
	switch {
	case lookup && m.Type == bpf.ArrayMap:
		it.seq = w.arrayLookup(m, 3, nil)
		return
	case lookup && m.Type == bpf.ArrayOfMaps:
		it.seq = w.arrayLookup(m, 5, []bpf.Insn{{Op: bpf.ClassLDX | bpf.ModeMem | 0x18}, {Op: bpf.ClassJmp | bpf.JmpEq, Off: 1}})
		return
	case lookup && m.Type == bpf.PerCPUArrayMap && w.t.Verifier.InlinePerCPU:
		it.seq = w.arrayLookup(m, 5, []bpf.Insn{{Op: bpf.ClassLDX | bpf.ModeMem | 0x18}, perCPUAddr()})
		return
	case w.k == nil:
		return
	case lookup && m.Type == bpf.HashMap:
		if imm, ok := w.k.Call("__htab_map_lookup_elem"); ok {
			it.seq = []bpf.Insn{
				{Op: bpf.OpCall, Imm: imm},
				{Op: bpf.ClassJmp | bpf.JmpEq, Off: 1},
				{Op: bpf.ClassALU64 | bpf.ALUAdd, Imm: hashValue + int32(m.KeySize+7)&^7},
			}
		}
		return
	}
	prefix := map[bpf.MapType]string{bpf.HashMap: "htab", bpf.ArrayMap: "array", bpf.PerCPUArrayMap: "percpu_array"}[m.Type]
	op := map[int32]string{1: "lookup", 2: "update", 3: "delete"}[it.in.Imm]
	if prefix == "percpu_array" && op != "lookup" {
		prefix = "array" // percpu arrays share update and delete with arrays
	}
	if imm, ok := w.k.Call(prefix + "_map_" + op + "_elem"); ok && prefix != "" && op != "" {
		it.seq = []bpf.Insn{{Op: bpf.OpCall, Imm: imm}}
	}
}

// hashValue is the offset of the key in struct htab_elem; the value follows it.
const hashValue = 48

// arrayLookup is array_map_gen_lookup in kernel/bpf/arraymap.c: r1 is the map, r2 points to the
// index. tail follows the address of the element.
func (w *rewriter) arrayLookup(m *bpf.Map, skip int16, tail []bpf.Insn) []bpf.Insn {
	size := (m.ValueSize + 7) &^ 7
	if tail != nil {
		size = 8 // an array of pointers
	}
	scale := bpf.Insn{Op: bpf.ClassALU64 | bpf.ALUMul, Imm: int32(size)}
	if size&(size-1) == 0 {
		scale = bpf.Insn{Op: bpf.ClassALU64 | bpf.ALULsh, Imm: int32(bits.TrailingZeros32(size))}
	}
	seq := []bpf.Insn{
		{Op: bpf.ClassALU64 | bpf.ALUAdd, Dst: 1, Imm: w.t.Offsets.ArrayPtrs},
		{Op: bpf.ClassLDX | bpf.ModeMem, Src: 2},
		{Op: bpf.ClassJmp | bpf.JmpGe, Off: skip, Imm: int32(m.MaxEntries)},
		scale,
		{Op: bpf.ClassALU64 | bpf.SrcReg | bpf.ALUAdd, Src: 1},
	}
	seq = append(seq, tail...)
	return append(seq,
		bpf.Insn{Op: bpf.ClassJmp | bpf.JmpJA, Off: 1},
		bpf.Insn{Op: bpf.ClassALU64 | bpf.ALUMov})
}

// expandMayGoto gives every function with a may_goto its counter, below the stack that the
// function uses, and makes may_goto count.
func (w *rewriter) expandMayGoto() {
	for _, f := range w.known.Funcs {
		var sites []bpf.InsnIndex
		for i := f.Start; i < f.End; i += w.p.Insns[i].Width() {
			if it := &w.items[i]; it.live && it.in.Op == bpf.ClassJmp|bpf.JmpCond {
				sites = append(sites, i)
				if w.t.Emit.ISA&kernels.ISAMayGoto == 0 {
					w.bad(i, fmt.Errorf("may_goto: %w", kernels.ErrUnsupported))
				}
			}
		}
		if len(sites) > 0 {
			w.mayGoto(f, sites)
		}
	}
}

func (w *rewriter) mayGoto(f verify.FuncInfo, sites []bpf.InsnIndex) {
	ax := w.t.Emit.AX
	// The kernel rounds the depth up to 8 when it places the counter.
	depth := int16(f.StackDepth+7) &^ 7
	count := -depth - 8
	timed, check := w.t.Verifier.TimedMayGoto, bpf.Insn{}
	if timed {
		check, timed = w.kernelCall(form.TimedMayGoto)
	}
	start := &w.items[f.Start]
	if timed {
		count = -depth - 16
		start.before = []bpf.Insn{
			{Op: bpf.ClassST | bpf.ModeMem | 0x18, Dst: 10, Off: count, Imm: form.MayGotoTimed},
			{Op: bpf.ClassST | bpf.ModeMem | 0x18, Dst: 10, Off: count + 8},
		}
	} else {
		start.before = []bpf.Insn{{Op: bpf.ClassST | bpf.ModeMem | 0x18, Dst: 10, Off: count, Imm: form.MayGotoCount}}
	}
	load := bpf.Insn{Op: bpf.ClassLDX | bpf.ModeMem | 0x18, Dst: ax, Src: 10, Off: count}
	store := bpf.Insn{Op: bpf.ClassSTX | bpf.ModeMem | 0x18, Dst: 10, Src: ax, Off: count}
	leave := bpf.Insn{Op: bpf.ClassJmp | bpf.JmpEq, Dst: ax}
	down := bpf.Insn{Op: bpf.ClassALU64 | bpf.ALUSub, Dst: ax, Imm: 1}
	for _, i := range sites {
		it := &w.items[i]
		it.jumpAt = 1
		it.seq = []bpf.Insn{load, leave, down, store}
		if timed {
			it.seq = []bpf.Insn{
				load, leave, down,
				{Op: bpf.ClassJmp | bpf.JmpNe, Dst: ax, Off: 2},
				{Op: bpf.ClassALU64 | bpf.ALUMov, Dst: ax, Imm: int32(count)},
				check,
				store,
			}
		}
	}
}
