// SPDX-License-Identifier: GPL-2.0-only

package jit

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
func FuncArgs(p *Program, fn int) []uint8 {
	start, end := p.Funcs[fn].Start, InsnIndex(len(p.Insns))
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
func argsRead(insns []Insn) int {
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
		case in.Op == opLdImm64:
			i++
		case in.Op == opExit:
			return most // what follows is reached by jumps only
		}
	}
	return most
}

// regUse returns the registers that an instruction reads and writes, as bits. Calls read nothing
// here, as their own arguments are written before.
func regUse(in *Insn) (reads, writes uint16) {
	dst, src := uint16(1)<<in.Dst, uint16(1)<<in.Src
	switch in.Class() {
	case clsLDX:
		return src, dst
	case clsST:
		return dst, 0
	case clsSTX:
		return dst | src, 0
	case clsALU, clsALU64:
		op := in.Op & 0xf0
		if in.Op&srcReg != 0 && op != aluEnd {
			reads |= src
		}
		if op != aluMov {
			reads |= dst
		}
		return reads, dst
	case clsJmp, clsJmp32:
		switch in.Op {
		case opCall:
			return 0, 0x3f
		case opExit, opJA, opJA32:
			return 0, 0
		}
		reads = dst
		if in.Op&srcReg != 0 {
			reads |= src
		}
		return reads, 0
	}
	return 0, dst // ld_imm64
}
