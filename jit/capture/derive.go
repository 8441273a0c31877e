// SPDX-License-Identifier: GPL-2.0-only

package capture

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// Derive finds by decoding what depends on addresses in the code of all programs of the scenario:
// tail calls, addresses of maps, operands that lead out of a function. name is the kernel's symbol
// at an address ("" for none), with "+0x10" after it if the address is inside something. It
// replaces what was there before; code that does not decode is listed in Prog.Undecoded. Of trampolines it
// finds the operands and what they stand for. A program that others loaded and that is not understood gets a
// LoadError.
func (s *Scenario) Derive(name func(image.Addr) string) error {
	for n := range s.Progs {
		p := &s.Progs[n]
		p.TailCalls, p.MapsAt, p.Undecoded, p.Refs = nil, nil, nil, [NumStates][]Ref{}
		if p.LoadError != "" {
			continue
		}
		for st := range NumStates {
			s.refs(n, st, name)
		}
		var err error
		if s.Found { // with few line records or none, which are of source lines
			if err := s.foundSites(p); err != nil { // one program of many
				p.LoadError = "not understood: " + err.Error()
			}
		} else {
			p.tailCalls()
			err = s.mapsAt(p)
		}
		if err != nil {
			return fmt.Errorf("scenario %s: program %s: %w", s.Name, p.Name, err)
		}
	}
	for i := range s.Trampolines {
		s.deriveTrampoline(&s.Trampolines[i], name)
	}
	return nil
}

// refs lists the operands that depend on addresses in one state; states other than Empty list
// only what Empty does not have.
func (s *Scenario) refs(n int, st State, name func(image.Addr) string) {
	p := &s.Progs[n]
	for fn := range p.Funcs {
		f := &p.Funcs[fn]
		code := f.image[st]
		for off := 0; off < len(code); {
			in, err := x86.Decode(code[off:], f.Addr+image.Addr(off))
			if err != nil {
				if st == Empty {
					p.Undecoded = append(p.Undecoded, FuncOff{fn, image.CodeOff(off)})
				}
				break // what follows cannot be trusted
			}
			if r, ok := refOf(&in, f, code[off:]); ok {
				r.Func, r.Off = fn, image.CodeOff(off)
				r.Imm += r.Off
				r.Sym = s.symbol(n, r.Target, name)
				if st == Empty || !slices.Contains(p.Refs[Empty], r) {
					p.Refs[st] = append(p.Refs[st], r)
				}
			}
			off += int(in.Len)
		}
	}
}

// refOf returns the operand of an instruction of f that depends on where the code is or on what is
// outside: Imm counts from the instruction.
func refOf(in *x86.Inst, f *Func, code []byte) (r Ref, ok bool) {
	size := image.CodeOff(in.Len)
	if in.Branch.Direct() {
		if in.Target >= f.Addr && in.Target < f.Addr+image.Addr(f.Len) || size < 5 {
			return r, false
		}
		r.Kind, r.Target, r.Imm = "jcc", in.Target, size-4
		switch in.Branch {
		case x86.BranchCall:
			r.Kind = "call"
		case x86.BranchJump:
			r.Kind = "jmp"
		}
		return r, true
	}
	gs := in.Mem.Seg == x86.SegGS
	if !in.HasMem || !gs && !in.Mem.RIPRel {
		return r, false
	}
	for at := size - 4; at > 0; at-- {
		if int64(int32(binary.LittleEndian.Uint32(code[at:]))) == in.Mem.Disp {
			r.Imm = at
			break
		}
	}
	r.Target = image.Addr(in.Mem.Disp)
	if in.Mem.RIPRel {
		r.Target += in.PC + image.Addr(in.Len)
	}
	switch {
	case gs && in.Mem.RIPRel:
		r.Kind = "gs-rip"
	case gs:
		r.Kind = "gs"
	default:
		r.Kind = "rip"
	}
	return r, r.Imm > 0
}

// symbol names what is at an address that program n refers to.
func (s *Scenario) symbol(n int, a image.Addr, name func(image.Addr) string) string {
	if fn := funcAt(s.Progs[n].Funcs, a); fn >= 0 && s.Progs[n].Funcs[fn].Addr == a {
		return fmt.Sprintf("func:%d", fn)
	}
	for i := range s.Progs {
		if fn := funcAt(s.Progs[i].Funcs, a); fn >= 0 {
			return fmt.Sprintf("prog:%d:%d+%#x", i, fn, uint64(a-s.Progs[i].Funcs[fn].Addr))
		}
	}
	return name(a)
}

// tailCalls places the calls of helper 12: where the code of the instruction begins. A direct one does
// not leave the program while its slot is empty.
func (p *Prog) tailCalls() {
	for _, m := range p.InsnMap {
		in := p.Xlated[m.Xlated]
		if in.Op != bpf.OpCall || in.Src != 0 || in.Imm != bpf.HelperTailCall || p.Hidden(m.Func) {
			continue
		}
		p.TailCalls = append(p.TailCalls, TailCall{Func: m.Func, Off: m.Off, Direct: !p.LeavesAt(m.Func, m.Off)})
	}
}

// codeEnd returns where the code of the next instruction of the same function begins.
func (p *Prog) codeEnd(m InsnPos) image.CodeOff {
	end := image.CodeOff(p.Funcs[m.Func].Len)
	for _, o := range p.InsnMap {
		if o.Func == m.Func && o.Off > m.Off && o.Off < end {
			end = o.Off
		}
	}
	return end
}

// LeavesAt reports whether the code of one instruction, which begins at off of a function, has a jump that leaves
// the function in state Empty.
func (p *Prog) LeavesAt(fn int, off image.CodeOff) bool {
	return p.leaves(fn, off, p.codeEnd(InsnPos{Func: fn, Off: off}))
}

// leaves reports whether code of a function, in state Empty, has a jump that leaves the function.
func (p *Prog) leaves(fn int, off, end image.CodeOff) bool {
	f := &p.Funcs[fn]
	code := f.image[Empty]
	for off < end {
		in, err := x86.Decode(code[off:], f.Addr+image.Addr(off))
		if err != nil {
			return true
		}
		out := in.Branch.Direct() && (in.Target < f.Addr || in.Target >= f.Addr+image.Addr(f.Len))
		// The kernel's inline retpoline (until 5.11) is a call over a loop and a return.
		if out && in.Branch != x86.BranchCall || in.Branch == x86.BranchJumpIndirect || in.Branch == x86.BranchRet {
			return true
		}
		off += image.CodeOff(in.Len)
	}
	return false
}

// mapReg are the registers of BPF registers (reg2hex, arch/x86/net/bpf_jit_comp.c).
var mapReg = [...]x86.Reg{
	x86.RAX, x86.RDI, x86.RSI, x86.RDX, x86.RCX, x86.R8, x86.RBX, x86.R13, x86.R14, x86.R15, x86.RBP,
}

// mapsAt finds the constants that are addresses of maps or of their values and what they say of
// the maps.
func (s *Scenario) mapsAt(p *Prog) error {
	for _, m := range p.InsnMap {
		in := p.Xlated[m.Xlated]
		if in.Op != bpf.OpLdImm64 || in.Src != bpf.PseudoMap && in.Src != bpf.PseudoMapValue || p.Hidden(m.Func) {
			continue
		}
		if int(in.Dst) >= len(mapReg) {
			return fmt.Errorf("xlated instruction %d loads a map into register %d", m.Xlated, in.Dst)
		}
		off, v, err := p.constant(m, mapReg[in.Dst])
		if err != nil {
			return err
		}
		if err := s.mapAt(p, m.Func, off, m.Xlated, v); err != nil {
			return err
		}
	}
	return nil
}

// mapAt notes that the constant v at a place is the address that xlated instruction at loads.
func (s *Scenario) mapAt(p *Prog, fn int, off image.CodeOff, at bpf.InsnIndex, v image.Addr) error {
	in := p.Xlated[at]
	m := MapAt{Func: fn, Off: off, Map: int(in.Imm), Value: -1}
	spec := &s.Maps[in.Imm]
	to := &spec.Addr
	if in.Src == bpf.PseudoMapValue {
		m.Value = int64(uint32(p.Xlated[at+1].Imm))
		v -= image.Addr(m.Value)
		to = &spec.ValueAddr
	}
	if *to != 0 && *to != v {
		return fmt.Errorf("map %d (%s) is at %#x and at %#x", in.Imm, spec.Name, uint64(*to), uint64(v))
	}
	*to = v
	p.MapsAt = append(p.MapsAt, m)
	return nil
}

// constant finds the movabs into a register that an instruction was compiled to. The first
// instruction of a function has the prologue before it.
func (p *Prog) constant(m InsnPos, r x86.Reg) (image.CodeOff, image.Addr, error) {
	f := &p.Funcs[m.Func]
	code := f.image[Empty]
	for off := m.Off; off < p.codeEnd(m); {
		in, err := x86.Decode(code[off:], f.Addr+image.Addr(off))
		if err != nil {
			return 0, 0, fmt.Errorf("function %s: offset %#x: %w", f.Name, off, err)
		}
		if v, ok := loads(&in, r); ok && in.Len == 10 {
			return off, image.Addr(v), nil
		}
		off += image.CodeOff(in.Len)
	}
	return 0, 0, fmt.Errorf("function %s: offset %#x: no movabs into %v for instruction %d", f.Name, m.Off, r, m.Insn)
}
