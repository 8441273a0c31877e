// SPDX-License-Identifier: GPL-2.0-only

package jit

import "github.com/tcsim/tcsim/jit/bpf"

// kernelFuncArgs are the sizes of the arguments of kernel functions that exist to be traced
// (net/bpf/test_run.c, the same on all kernels that have them).
var kernelFuncArgs = map[string][]uint8{
	"bpf_fentry_test1":       {4},
	"bpf_fentry_test2":       {4, 8},
	"bpf_fentry_test3":       {1, 4, 8},
	"bpf_fentry_test4":       {8, 1, 4, 8},
	"bpf_fentry_test5":       {8, 8, 2, 4, 8},
	"bpf_fentry_test6":       {8, 8, 2, 4, 8, 8},
	"bpf_fentry_test7":       {8},
	"bpf_fentry_test8":       {8},
	"bpf_modify_return_test": {4, 8},
}

// KernelFuncArgs returns the sizes in bytes of the arguments of a kernel function that can be
// traced; ok is false for one that is not known.
func KernelFuncArgs(name string) (sizes []uint8, ok bool) {
	sizes, ok = kernelFuncArgs[name]
	return sizes, ok
}

// FuncArgs returns the sizes in bytes of the arguments of function fn of a program. Its type would
// tell; without one, they are what the function reads before it writes, 8 bytes each, and one at
// least, as an entry has its context and functions are passed it even if they ignore it. A register
// that is only passed on counts as well.
func FuncArgs(p *bpf.Program, fn int) []uint8 {
	start, end := p.Funcs[fn].Start, bpf.InsnIndex(len(p.Insns))
	if fn+1 < len(p.Funcs) {
		end = p.Funcs[fn+1].Start
	}
	n := 1
	if fn > 0 {
		n = max(n, argsRead(p.Insns[start:end]))
	}
	sizes := make([]uint8, n)
	for i := range sizes {
		sizes[i] = 8
	}
	return sizes
}

// argsRead is the highest of R1 to R5 that instructions read before they write it, in their order.
func argsRead(insns []bpf.Insn) int {
	written, most := uint16(0), 0
	for i := 0; i < len(insns); i++ {
		in := &insns[i]
		reads, writes := regUse(in)
		for r := 1; r <= 5; r++ {
			if reads&^written>>r&1 != 0 {
				most = max(most, r)
			}
		}
		written |= writes
		switch {
		case in.Op == bpf.OpLdImm64:
			i++
		case in.Op == bpf.OpExit:
			return most // what follows is reached by jumps only
		}
	}
	return most
}

// regUse returns the registers that an instruction reads and writes, as bits. Calls read nothing
// here, as their own arguments are written before.
func regUse(in *bpf.Insn) (reads, writes uint16) {
	dst, src := uint16(1)<<in.Dst, uint16(1)<<in.Src
	switch in.Class() {
	case bpf.ClassLDX:
		return src, dst
	case bpf.ClassST:
		return dst, 0
	case bpf.ClassSTX:
		return dst | src, 0
	case bpf.ClassALU, bpf.ClassALU64:
		op := in.Op & 0xf0
		if in.Op&bpf.SrcReg != 0 && op != bpf.ALUEnd {
			reads |= src
		}
		if op != bpf.ALUMov {
			reads |= dst
		}
		return reads, dst
	case bpf.ClassJmp, bpf.ClassJmp32:
		switch in.Op {
		case bpf.OpCall:
			return 0, 0x3f
		case bpf.OpExit, bpf.OpJA, bpf.OpJA32:
			return 0, 0
		}
		reads = dst
		if in.Op&bpf.SrcReg != 0 {
			reads |= src
		}
		return reads, 0
	}
	return 0, dst // ld_imm64
}
