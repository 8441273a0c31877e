// SPDX-License-Identifier: GPL-2.0-only

package capture

import (
	"fmt"
	"slices"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/emit"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// Kernels that blind constants (net.core.bpf_jit_harden = 2) show the blinded instructions of programs of one
// function, and the others as they were before. Their line records are those of the blinded instructions.

// hardened is the setting with which a kernel blinds all programs.
const hardened = "2"

// blinds reports whether the kernel blinded the programs of the capture.
func (h *Header) Blinds() bool { return h.Sysctl["net.core.bpf_jit_harden"] == hardened }

// unblind makes all programs what they were before: it puts constants back, and leaves out what was
// recorded of instructions that the capture does not have.
func (s *Scenario) unblind() {
	for i := range s.Progs {
		p := &s.Progs[i]
		switch {
		case len(p.Funcs) == 1:
			p.unblind()
		case len(p.Funcs) > 1:
			if slices.ContainsFunc(p.InsnMap, func(m InsnPos) bool { return m.Off != 0 }) { // else they are of functions alone
				p.InsnMap = nil
			}
			p.TailCalls, p.MapsAt = nil, nil
		}
		if len(p.Xlated) > 0 && len(p.Funcs) > 0 {
			_, _ = s.drawn(i) // for the addresses of maps; whoever compares sees what is wrong
		}
	}
}

// drawn is what the kernel blinded the constants of a function with, in the order of its code: each constant
// comes as a mov into r10 and an exclusive or with the random number.
type drawn struct {
	first, random []uint32
}

// drawnOf reads a function.
func drawnOf(f *Func) (d drawn) {
	code := f.image[Empty]
	first, have := uint32(0), false
	for off := 0; off < len(code); {
		in, err := x86.Decode(code[off:], f.Addr+image.Addr(off))
		if err != nil {
			return d
		}
		off += int(in.Len)
		imm, isImm := in.Imm()
		toR10 := in.N > 0 && in.Operands[0].Kind == x86.OpReg && in.Operands[0].Reg == x86.R10
		switch {
		case toR10 && in.Op == "mov" && isImm:
			first, have = uint32(imm), true
		case toR10 && in.Op == "xor" && in.N > 1 && in.Operands[1] == in.Operands[0]:
			first, have = 0, true // how 0 is loaded
		case toR10 && in.Op == "xor" && isImm && have:
			d.first, d.random = append(d.first, first), append(d.random, uint32(imm))
			have = false
		default:
			have = false
		}
	}
	return d
}

// Drawn returns the random numbers that the kernel blinded the constants of each function of program n with, in
// the order of its code.
func (s *Scenario) Drawn(n int) ([][]uint32, error) {
	all, err := s.drawn(n)
	if err != nil {
		return nil, err
	}
	var random [][]uint32
	for _, d := range all {
		random = append(random, d.random)
	}
	return random, nil
}

// drawn reads what the kernel drew for each function of a program, as many numbers as its instructions need. The
// addresses of maps, which only blinded constants show, go into the maps.
func (s *Scenario) drawn(n int) ([]drawn, error) {
	p := &s.Progs[n]
	starts, err := p.starts()
	if err != nil {
		return nil, err
	}
	var all []drawn
	for f := range p.Funcs {
		d := drawnOf(&p.Funcs[f])
		end := bpf.InsnIndex(len(p.Xlated))
		if f+1 < len(starts) {
			end = starts[f+1]
		}
		if err := s.learnMaps(p.Xlated[starts[f]:end], &d); err != nil {
			return nil, fmt.Errorf("function %d: %w", f, err)
		}
		all = append(all, d)
	}
	return all, nil
}

// learnMaps finds map addresses in the constants of a function.
func (s *Scenario) learnMaps(insns []bpf.Insn, d *drawn) error {
	at := 0
	for i := 0; i < len(insns); i++ {
		in := insns[i]
		n := emit.BlindConstants(in)
		if at+n > len(d.random) {
			return fmt.Errorf("the code has %d blinded constants, the instructions have more", len(d.random))
		}
		if n == 2 && (in.Src == bpf.PseudoMap || in.Src == bpf.PseudoMapValue) && in.Imm >= 0 && int(in.Imm) < len(s.Maps) {
			a := image.Addr(uint64(d.first[at]^d.random[at])<<32 | uint64(d.first[at+1]^d.random[at+1]))
			to := &s.Maps[in.Imm].Addr
			if in.Src == bpf.PseudoMapValue {
				to, a = &s.Maps[in.Imm].ValueAddr, a-image.Addr(uint32(insns[i+1].Imm))
			}
			if *to != 0 && *to != a {
				return fmt.Errorf("map %d is at %#x and at %#x", in.Imm, uint64(*to), uint64(a))
			}
			*to = a
		}
		at += n
		if in.IsLdImm64() {
			i++
		}
	}
	if at != len(d.random) {
		return fmt.Errorf("the code has %d blinded constants, the instructions have %d", len(d.random), at)
	}
	return nil
}
