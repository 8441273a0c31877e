// SPDX-License-Identifier: GPL-2.0-only

package capture

import (
	"fmt"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
)

// Dump is what a kernel reports of one loaded program (struct bpf_prog_info), already decoded: what
// Prog.Load makes a Prog of.
type Dump struct {
	Tag    string
	Xlated []bpf.Insn // with the indexes of the scenario's maps in ld_imm64
	Code   []byte     // of all functions, one after the other
	Funcs  []DumpFunc // in the order of Code
	Lines  []Line
}

// DumpFunc is one compiled function of a Dump.
type DumpFunc struct {
	Name  string
	Start bpf.InsnIndex // in Prog.Insns; -1 if the verifier added the function
	Addr  image.Addr
	Len   int // in bytes
}

// Line is one record of line information: the loader gave each submitted instruction one, so that
// it says where the instruction went.
type Line struct {
	Insn   bpf.InsnIndex // in Prog.Insns
	Xlated bpf.InsnIndex // in Dump.Xlated
	Addr   image.Addr
}

// Load fills in what the kernel made of the program, in state Empty. Functions of p that d lacks
// are those that the verifier removed. It fails if the dump contradicts itself; p is then unchanged.
func (p *Prog) Load(d *Dump) error {
	funcs := make([]Func, len(d.Funcs))
	there := map[bpf.InsnIndex]bool{}
	for i, f := range d.Funcs {
		funcs[i] = Func{Name: f.Name, Start: f.Start, Addr: f.Addr, Len: f.Len}
		there[f.Start] = true
	}
	if err := setCode(funcs, Empty, d.Code); err != nil {
		return fmt.Errorf("program %s: %w", p.Name, err)
	}
	var at []InsnPos
	for _, l := range d.Lines {
		fn := funcAt(funcs, l.Addr)
		if fn < 0 {
			return fmt.Errorf("program %s: the code of instruction %d is at %#x, outside its functions", p.Name, l.Insn, uint64(l.Addr))
		}
		at = append(at, InsnPos{Insn: l.Insn, Xlated: l.Xlated, Func: fn, Off: image.CodeOff(l.Addr - funcs[fn].Addr)})
	}
	var removed []RemovedFunc
	for _, f := range p.Funcs {
		if !there[f.Start] {
			removed = append(removed, RemovedFunc{f.Name, f.Start})
		}
	}
	p.Tag, p.Xlated, p.Funcs, p.Removed, p.InsnMap = d.Tag, d.Xlated, funcs, removed, at
	return nil
}

// SetCode records the program's code in a later state, of all functions one after the other.
func (p *Prog) SetCode(s State, code []byte) error {
	if err := setCode(p.Funcs, s, code); err != nil {
		return fmt.Errorf("program %s: %w", p.Name, err)
	}
	return nil
}

func setCode(funcs []Func, s State, code []byte) error {
	sum := 0
	for i := range funcs {
		sum += funcs[i].Len
	}
	if sum != len(code) {
		return fmt.Errorf("%d bytes of code, the functions have %d", len(code), sum)
	}
	for i := range funcs {
		f := &funcs[i]
		part := code[:f.Len:f.Len]
		code = code[f.Len:]
		if s == Empty || string(part) != string(f.image[Empty]) {
			f.image[s] = part
		}
	}
	return nil
}

// Order returns the scenario as a kernel gets it: programs, maps and contents of prog arrays without
// anything that a kernel made of them. It shares instructions with s.
func (s *Scenario) Order() Scenario {
	out := Scenario{
		Name: s.Name, Category: s.Category, ProgType: s.ProgType, ProgArrays: s.ProgArrays, Inputs: s.Inputs,
		Source: s.Source, Object: s.Object,
	}
	for i := range s.Maps {
		out.Maps = append(out.Maps, Map{Map: s.Maps[i].Map})
	}
	for i := range s.Progs {
		p := &s.Progs[i]
		q := Prog{
			Name: p.Name, Insns: p.Insns, Attach: p.Attach, Kfuncs: p.Kfuncs, Type: p.Type, AttachType: p.AttachType, AttachTo: p.AttachTo,
			Sleepable: p.Sleepable, Frags: p.Frags,
		}
		if a := p.Attach; a != nil && a.Kernel == "" {
			b := *a
			b.Func = s.submittedFunc(a.Prog, a.Func)
			q.Attach = &b
		}
		for _, f := range s.Submitted(i).Funcs {
			q.Funcs = append(q.Funcs, Func{Name: f.Name, Start: f.Start, ExceptionCB: f.ExceptionCB})
		}
		out.Progs = append(out.Progs, q)
	}
	out.orderTrampolines(s)
	return out
}

// orderTrampolines says in which order tracing programs are attached: as when s was captured, or as they
// stand in s.
func (s *Scenario) orderTrampolines(from *Scenario) {
	for i := range from.Trampolines {
		if t := &from.Trampolines[i]; t.Attached != nil {
			fn := t.Func
			if t.Kernel == "" {
				fn = from.submittedFunc(t.Prog, t.Func)
			}
			s.Trampolines = append(s.Trampolines, Trampoline{Prog: t.Prog, Func: fn, Kernel: t.Kernel, Attached: t.Attached})
		}
	}
	if len(s.Trampolines) > 0 {
		return
	}
	on := map[Attach][]int{}
	for i := range s.Progs {
		a := s.Progs[i].Attach
		if a == nil || a.Kind == KindReplace {
			continue
		}
		to := Attach{Prog: a.Prog, Func: a.Func, Kernel: a.Kernel}
		on[to] = append(on[to][:len(on[to]):len(on[to])], i)
		s.Trampolines = append(s.Trampolines, Trampoline{Prog: a.Prog, Func: a.Func, Kernel: a.Kernel, Attached: on[to]})
	}
}

// submittedFunc turns an index of a compiled function into one of a submitted function.
func (s *Scenario) submittedFunc(prog, fn int) int {
	p := &s.Progs[prog]
	if fn >= len(p.Funcs) {
		return fn
	}
	for i, f := range s.Submitted(prog).Funcs {
		if f.Start == p.Funcs[fn].Start {
			return i
		}
	}
	return fn
}

// funcAt returns the index of the function that an address is in, -1 if it is in none.
func funcAt(funcs []Func, a image.Addr) int {
	for i := range funcs {
		if f := &funcs[i]; a >= f.Addr && a < f.Addr+image.Addr(f.Len) {
			return i
		}
	}
	return -1
}
