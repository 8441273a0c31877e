// SPDX-License-Identifier: GPL-2.0-only

package capture

import (
	"fmt"
	"slices"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
)

// Submitted returns program n as it was loaded; of one that others loaded, its xlated form.
func (s *Scenario) Submitted(n int) *bpf.Program {
	p := &s.Progs[n]
	out := &bpf.Program{Name: p.Name, Type: s.progType(p), Insns: p.Insns, Maps: s.maps(), Kfuncs: p.Kfuncs}
	out.AttachType, out.AttachTo, out.Sleepable, out.Frags = p.AttachType, p.AttachTo, p.Sleepable, p.Frags
	if len(p.Insns) == 0 {
		out.Insns = p.Xlated
	}
	callback := -1
	if slices.Contains(p.Kfuncs, throwKfunc) {
		callback = p.exceptionCB()
	}
	for i, f := range p.Funcs {
		if f.Start >= 0 {
			out.Funcs = append(out.Funcs, bpf.Func{Name: f.Name, Start: f.Start, ExceptionCB: i == callback})
		}
	}
	for _, f := range p.Removed {
		at := 0
		for at < len(out.Funcs) && out.Funcs[at].Start < f.Start {
			at++
		}
		out.Funcs = append(out.Funcs, bpf.Func{})
		copy(out.Funcs[at+1:], out.Funcs[at:])
		out.Funcs[at] = bpf.Func{Name: f.Name, Start: f.Start}
	}
	return out
}

// progType is that of a program: what traces others has a type of its own, and what replaces a function
// of another sees what that sees.
func (s *Scenario) progType(p *Prog) bpf.ProgType {
	switch {
	case p.Attach != nil && p.Attach.Kind == KindReplace:
		if of := &s.Progs[p.Attach.Prog]; of.Attach == nil {
			return s.progType(of)
		}
	case p.Attach != nil:
		return bpf.Tracing
	case p.Type != 0:
		return p.Type
	}
	return s.ProgType
}

// Type returns the type of program n as the JIT sees it.
func (s *Scenario) Type(n int) bpf.ProgType { return s.progType(&s.Progs[n]) }

func (s *Scenario) maps() []bpf.Map {
	out := make([]bpf.Map, len(s.Maps))
	for i := range s.Maps {
		out[i] = s.Maps[i].Map
	}
	return out
}

// Xlated returns program n as the verifier left it: calls of subprograms hold the distance, calls
// of helpers what the kernel reports, with the functions' names in HelperNames. The program must
// have been accepted. An error means that the dump contradicts itself.
func (s *Scenario) Xlated(n int, h *Header, sym *SymbolTable) (*bpf.Program, error) {
	p := &s.Progs[n]
	if len(p.Xlated) == 0 {
		return nil, fmt.Errorf("program %s has no xlated form: %s", p.Name, p.LoadError)
	}
	out := &bpf.Program{
		Name: p.Name, Type: s.progType(p), Insns: make([]bpf.Insn, len(p.Xlated)), Maps: s.maps(),
		AttachType: p.AttachType, AttachTo: p.AttachTo, Sleepable: p.Sleepable, Frags: p.Frags, HelperNames: map[int32]string{},
	}
	if len(p.Insns) > 0 {
		out.Submitted = s.Submitted(n)
	}
	copy(out.Insns, p.Xlated)
	starts, err := p.starts()
	if err != nil {
		return nil, err
	}
	for i, f := range p.Funcs {
		out.Funcs = append(out.Funcs, bpf.Func{Name: f.Name, Start: starts[i], Origin: f.Start})
	}
	throws := false
	for i := 0; i < len(out.Insns); i++ {
		in := &out.Insns[i]
		switch {
		case in.Op == bpf.OpLdImm64:
			i++
		case in.Op != bpf.OpCall:
		case in.Src == bpf.PseudoCall:
			in.Imm, in.Off = int32(int(starts[in.Imm])-i-1), 0
		case in.Src == bpf.PseudoKfunc, in.Src == 0 && in.Imm != bpf.HelperTailCall:
			name := sym.Name(h.CallBase + image.Addr(int64(in.Imm)))
			out.HelperNames[in.Imm] = name
			throws = throws || name == throwKfunc
		}
	}
	if cb := p.exceptionCB(); throws && cb >= 0 {
		out.Funcs[cb].ExceptionCB = true
	}
	return out, nil
}

// throwKfunc throws an exception.
const throwKfunc = "bpf_throw"

// starts finds the first slot in Xlated of each function: from the calls, and for functions that
// nothing calls from the instruction map.
func (p *Prog) starts() ([]bpf.InsnIndex, error) {
	starts := make([]bpf.InsnIndex, len(p.Funcs))
	for i := 1; i < len(starts); i++ {
		starts[i] = -1
	}
	for i := 0; i < len(p.Xlated); i++ {
		in := p.Xlated[i]
		fn, to := in.Imm, bpf.InsnIndex(i+1+int(in.Off))
		switch {
		case in.Op == bpf.OpLdImm64 && in.Src == bpf.PseudoFunc:
			fn, to = p.Xlated[i+1].Imm, bpf.InsnIndex(i+1+int(in.Imm))
			i++
		case in.Op == bpf.OpLdImm64:
			i++
			continue
		case in.Op != bpf.OpCall || in.Src != bpf.PseudoCall:
			continue
		}
		if fn < 0 || int(fn) >= len(starts) {
			return nil, fmt.Errorf("xlated insn %d calls function %d: there are %d", i, fn, len(starts))
		}
		if old := starts[fn]; old >= 0 && old != to {
			return nil, fmt.Errorf("xlated insn %d calls function %d at slot %d, another call at %d", i, fn, to, old)
		}
		starts[fn] = to
	}
	for _, m := range p.InsnMap {
		if m.Off == 0 && starts[m.Func] < 0 && !p.Hidden(m.Func) {
			starts[m.Func] = m.Xlated
		}
	}
	for i := 1; i < len(starts); i++ {
		if starts[i] < 0 && i == len(starts)-1 && p.Hidden(i) {
			// "r0 = r1; exit"
			starts[i] = bpf.InsnIndex(len(p.Xlated) - 2)
		}
		if starts[i] <= starts[i-1] || int(starts[i]) >= len(p.Xlated) {
			return nil, fmt.Errorf("function %d (%s) starts at slot %d of xlated, the one before at %d", i, p.Funcs[i].Name, starts[i], starts[i-1])
		}
	}
	return starts, nil
}

// hidden reports whether the verifier added function fn: the exception callback of a program that has
// none. Its entries in InsnMap count from its own first slot: it shares the line information of the
// entry (add_hidden_subprog, bpf_prog_fill_jited_linfo).
func (p *Prog) Hidden(fn int) bool { return p.Funcs[fn].Start < 0 }

// exceptionCB finds the exception callback of a program that throws, -1 if there is none: the
// function that the verifier added, or the one that nothing calls and no instruction points to.
// A capture has no declaration tags.
func (p *Prog) exceptionCB() int {
	used := make([]bool, len(p.Funcs))
	for i := 0; i < len(p.Xlated); i++ {
		in := p.Xlated[i]
		fn := -1
		if in.Op == bpf.OpCall && in.Src == bpf.PseudoCall {
			fn = int(in.Imm)
		}
		if in.Op == bpf.OpLdImm64 {
			i++
			if in.Src == bpf.PseudoFunc {
				fn = int(p.Xlated[i].Imm)
			}
		}
		if fn >= 0 && fn < len(used) {
			used[fn] = true
		}
	}
	for i := 1; i < len(used); i++ {
		if !used[i] {
			return i
		}
	}
	return -1
}

// SymbolTable finds names of addresses and addresses of names.
type SymbolTable struct {
	addr map[string]image.Addr
	name map[image.Addr]string
}

// Table makes a table of a capture's symbols.
func (s *Symbols) Table() *SymbolTable {
	t := &SymbolTable{addr: map[string]image.Addr{}, name: map[image.Addr]string{}}
	for n, a := range s.Addr {
		t.addr[n], t.name[a] = a, n
		for _, alias := range s.Aliases[n] {
			t.addr[alias] = a
		}
	}
	return t
}

// Name returns the symbol at an address, "" if there is none.
func (t *SymbolTable) Name(a image.Addr) string { return t.name[a] }

// Addr returns the address of a symbol.
func (t *SymbolTable) Addr(name string) (image.Addr, bool) {
	a, ok := t.addr[name]
	return a, ok
}

// Env answers the compiler with the addresses that one program of a scenario had.
type Env struct {
	scenario *Scenario
	prog     *Prog
	header   *Header
	symbols  *SymbolTable
}

// Env returns the addresses of program n.
func (s *Scenario) Env(n int, h *Header, sym *SymbolTable) *Env {
	return &Env{scenario: s, prog: &s.Progs[n], header: h, symbols: sym}
}

// Place returns where the function was. Its size is not checked: comparing is the caller's business.
func (e *Env) Place(fn, _ int, entry image.CodeOff) (image.Addr, error) {
	if fn < 0 || fn >= len(e.prog.Funcs) {
		return 0, fmt.Errorf("program %s has no function %d", e.prog.Name, fn)
	}
	return e.prog.Funcs[fn].Addr - image.Addr(entry), nil
}

// Helper returns the address that a call of the xlated form reaches.
func (e *Env) Helper(imm int32) (image.Addr, error) {
	return e.header.CallBase + image.Addr(int64(imm)), nil
}

// MapAddr returns the address of a map that an image of the capture contains.
func (e *Env) MapAddr(m int) (image.Addr, error) {
	if m >= 0 && m < len(e.scenario.Maps) && e.scenario.Maps[m].Type == bpf.ArenaMap {
		return e.arenaMap(m)
	}
	if m < 0 || m >= len(e.scenario.Maps) || e.scenario.Maps[m].Addr == 0 {
		return 0, fmt.Errorf("the capture has no address of map %d", m)
	}
	return e.scenario.Maps[m].Addr, nil
}

// MapValue returns the address of a map's first value if an image of the capture contains it.
func (e *Env) MapValue(m int) (image.Addr, error) {
	if m < 0 || m >= len(e.scenario.Maps) || e.scenario.Maps[m].ValueAddr == 0 {
		return 0, fmt.Errorf("the capture has no address of the value of map %d", m)
	}
	return e.scenario.Maps[m].ValueAddr, nil
}

// Symbol returns the address of a kernel symbol that an image of the capture refers to.
func (e *Env) Symbol(name string) (image.Addr, error) {
	if a, ok := e.symbols.addr[name]; ok {
		return a, nil
	}
	if name == "this_cpu_off" {
		if a, ok := e.namelessCPUOff(); ok {
			return a, nil
		}
	}
	return 0, fmt.Errorf("the capture has no symbol %s", name)
}

// namelessCPUOff finds this_cpu_off in captures of kernels that do not name it: it is what
// "add reg, gs:..." reads.
func (e *Env) namelessCPUOff() (image.Addr, bool) {
	for _, r := range e.prog.Refs[Empty] {
		code := e.prog.Funcs[r.Func].Code(Empty)[r.Off:r.Imm]
		if r.Sym == "" && (r.Kind == "gs" || r.Kind == "gs-rip") && len(code) > 3 && code[0] == 0x65 && code[2] == 0x03 {
			return r.Target, true
		}
	}
	return 0, false
}
