// SPDX-License-Identifier: GPL-2.0-only

package shape

import (
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/verify/form"
	"github.com/tcsim/tcsim/jit/verify/protos"
)

// Compilers store registers before a call that may keep them, in slots that nothing else uses, and load them after it:
// what does not know that the call keeps them can run that, too. Kernels take stores and loads away where they inline the
// call (bpf_fastcall; mark_fastcall_patterns and remove_fastcall_spills_fills, kernel/bpf/verifier.c).

// Fastcall is a call with Pairs stores before it and as many loads after it.
type Fastcall struct {
	Call    bpf.InsnIndex
	Pairs   bpf.InsnIndex
	Inlined bool // so that they may go
}

// Fastcalls are those of one function.
type Fastcalls struct {
	Calls []Fastcall
	// From is where their slots end, from r10: other accesses below it keep everything as it is.
	From int64
	// Keeps says that slots are in use: a call is not inlined.
	Keeps bool
}

// Has reports whether a slot is a store or a load of one of the calls.
func (f *Fastcalls) Has(i bpf.InsnIndex) bool {
	for _, c := range f.Calls {
		if i >= c.Call-c.Pairs && i <= c.Call+c.Pairs && i != c.Call {
			return true
		}
	}
	return false
}

// Removes reports whether anything may go.
func (f *Fastcalls) Removes() bool {
	for _, c := range f.Calls {
		if c.Inlined {
			return true
		}
	}
	return false
}

// FindFastcalls finds those of each function; nil if the kernel has none of it.
func FindFastcalls(p *bpf.Program, v *kernels.Verifier, funcs []FuncInfo) []Fastcalls {
	if !v.Fastcall {
		return nil
	}
	targets := map[bpf.InsnIndex]bool{}
	for i := bpf.InsnIndex(0); int(i) < len(p.Insns); i += p.Insns[i].Width() {
		if _, to, jumps := form.Flow(p.Insns, i); jumps {
			targets[to] = true
		}
	}
	out := make([]Fastcalls, len(funcs))
	for n, f := range funcs {
		lowest := int64(0)
		for i := f.Start; i < f.End; i++ {
			if in := p.Insns[i]; in.Op == storeWord && in.Dst == bpf.RegFP {
				lowest = min(lowest, int64(in.Off))
			}
		}
		for i := f.Start; lowest < 0 && i < f.End; i += p.Insns[i].Width() {
			if in := p.Insns[i]; in.Op == bpf.OpCall && in.Src != bpf.PseudoCall {
				out[n].find(p, v, targets, i, lowest)
			}
		}
	}
	return out
}

const (
	storeWord = bpf.ClassSTX | bpf.ModeMem | bpf.SizeDW
	loadWord  = bpf.ClassLDX | bpf.ModeMem | bpf.SizeDW
)

// find looks around the call at slot i (mark_fastcall_pattern_for_call).
func (f *Fastcalls) find(p *bpf.Program, v *kernels.Verifier, targets map[bpf.InsnIndex]bool, i bpf.InsnIndex, lowest int64) {
	clobbers, inlined := changed(p, v, p.Insns[i])
	keeps := ^clobbers & (1<<6 - 1)
	n, off := bpf.InsnIndex(0), lowest
	for keeps != 0 && i-n-1 >= 0 && int(i+n+1) < len(p.Insns) && !targets[i-n] && !targets[i+n+1] {
		st, ld := p.Insns[i-n-1], p.Insns[i+n+1]
		if st.Op != storeWord || ld.Op != loadWord || st.Dst != bpf.RegFP || ld.Src != bpf.RegFP || st.Src != ld.Dst ||
			keeps&(1<<st.Src) == 0 || int64(st.Off) != off || int64(ld.Off) != off {
			break
		}
		keeps &^= 1 << st.Src
		n, off = n+1, off+8
	}
	if n == 0 {
		return
	}
	f.Calls = append(f.Calls, Fastcall{Call: i, Pairs: n, Inlined: inlined})
	f.Keeps = f.Keeps || !inlined
	f.From = min(f.From, off)
}

// changed returns the registers of r0 to r5, by bit, that a call of a helper or a kernel function changes by what is known
// of its arguments and result, and whether it is inlined so that it changes no others.
func changed(p *bpf.Program, v *kernels.Verifier, in bpf.Insn) (regs uint16, inlined bool) {
	const all = 1<<6 - 1
	count := 0
	switch {
	case in.Src == bpf.PseudoKfunc:
		name := p.Kfunc(in)
		sig, known := p.Signatures[name]
		if !known {
			return all, false
		}
		if count = len(sig.Params); !sig.Void {
			regs = 1
		}
		inlined = protos.KeepsRegisters(name)
	case in.Src == 0:
		h, known := protos.Helpers[in.Imm]
		if !known || in.Imm == bpf.HelperTailCall {
			return all, false
		}
		if count = len(protos.Arguments(h.Args)); h.Ret != protos.Nothing {
			regs = 1
		}
		inlined = in.Imm == helperCPU && v.InlineCPU
	default:
		return all, false
	}
	for r := range min(count, 5) {
		regs |= 2 << r
	}
	return regs, inlined
}

// helperCPU is bpf_get_smp_processor_id.
const helperCPU = 8
