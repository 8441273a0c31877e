// SPDX-License-Identifier: GPL-2.0-only

package shape

import (
	"errors"
	"fmt"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/verify/form"
	"github.com/tcsim/tcsim/jit/verify/protos"
)

// Callee is what an instruction calls that is no function of the program. The zero value is something of which nothing is
// known.
type Callee struct {
	Helper int32 // its number, 0 of those that kernels put in
	Known  bool  // it is a helper
	Spec   protos.Helper
	Args   []protos.Arg // of the helper; not to be changed

	Kfunc string // the name of a kernel function, "" if it is not one
	Next  bool   // that moves an iterator on
	Keeps bool   // it keeps all registers of the program
}

// FindCallees finds what each instruction calls, nil where that is nothing or a function of the program.
func FindCallees(p *bpf.Program) []*Callee {
	out := make([]*Callee, len(p.Insns))
	known := map[uint64]*Callee{}
	for i, in := range p.Insns {
		if in.Op != bpf.OpCall && in.Op != bpf.OpTailCall && in.Op != bpf.OpCallX || in.IsSubCall() {
			continue
		}
		key := uint64(in.Op)<<40 | uint64(in.Src)<<32 | uint64(uint32(in.Imm))
		c := known[key]
		if c == nil {
			c = callee(p, in)
			known[key] = c
		}
		out[i] = c
	}
	return out
}

func callee(p *bpf.Program, in bpf.Insn) *Callee {
	c := &Callee{Kfunc: p.Kfunc(in), Keeps: p.CalledName(in) == form.TimedMayGoto}
	does, _ := protos.IteratorOf(c.Kfunc)
	c.Next = does == protos.IterNext
	if in.Op == bpf.OpCall && in.Src == 0 {
		c.Helper, c.Spec, c.Known = protos.FindHelper(p, in.Imm)
		c.Args = protos.Arguments(c.Spec.Args)
	}
	return c
}

// Effects is what calling a function may do.
type Effects uint8

// The effects.
const (
	MovesPacket Effects = 1 << iota
	Sleeps
	Throws
)

// FindEffects finds what functions may do, themselves or by calling others (merge_callee_effects). fnAt is the function of
// each slot.
func FindEffects(p *bpf.Program, v *kernels.Verifier, callees []*Callee, fnAt []int32, funcs int) []Effects {
	out := make([]Effects, funcs)
	type call struct{ from, to int32 }
	var calls []call
	for i, in := range p.Insns {
		if c := callees[i]; c != nil {
			out[fnAt[i]] |= c.effects(in, v)
		} else if to, ok := in.Callee(bpf.InsnIndex(i)); ok {
			calls = append(calls, call{fnAt[i], fnAt[to]})
		}
	}
	for again := true; again; {
		again = false
		for _, c := range calls {
			if all := out[c.from] | out[c.to]; all != out[c.from] {
				out[c.from], again = all, true
			}
		}
	}
	return out
}

func (c *Callee) effects(in bpf.Insn, v *kernels.Verifier) (e Effects) {
	if in.Op == bpf.OpCall && in.Src == 0 {
		h := protos.Helpers[in.Imm]
		if protos.MovingPacket[in.Imm] || in.Imm == bpf.HelperTailCall {
			e = MovesPacket
		}
		if h.Sleeps() {
			e |= Sleeps
		}
		return e
	}
	if c.Kfunc == "bpf_xdp_pull_data" {
		e = MovesPacket
	}
	if protos.Kfuncs[c.Kfunc].Sleeps(v) {
		e |= Sleeps
	}
	if c.Kfunc == bpf.ThrowKfunc {
		e |= Throws
	}
	return e
}

// poisoned is the number of the helper that loaders make of an instruction whose CO-RE relocation fails.
const poisoned = 0xbad2310

// NoHelper refuses calls of helpers that no kernel has; rewriting refuses what this one lacks.
func NoHelper(p *bpf.Program, in bpf.Insn) error {
	if in.Op != bpf.OpCall || in.Src != 0 || p.HelperNames != nil {
		return nil
	}
	switch in.Imm {
	case poisoned:
		return errors.New("a path leads here, and the types that this was compiled for are not like those given: --btf names a kernel's (invalid func unknown)")
	case NoKfunc:
		return errors.New("a path leads to the call of a weak kernel function that is not known to exist: --btf names a kernel's types")
	}
	return fmt.Errorf("there is no helper %d (invalid func unknown)", in.Imm)
}

// NoKfunc is the number of the helper that stands for a weak kernel function that does not exist.
const NoKfunc = 0x0bad
