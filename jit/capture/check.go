// SPDX-License-Identifier: GPL-2.0-only

package capture

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
)

// noteFunc takes one mistake: the path of the field and what is wrong with it.
type noteFunc func(path, format string, args ...any)

// check notes everything that does not fit together in a scenario: indexes, lengths, overlaps.
// Code that uses a Scenario relies on it.
func (s *Scenario) check(note noteFunc) {
	if s.Name == "" {
		note("name", "expected a name")
	}
	if s.Source != "" && s.Object != nil {
		note("object", "there is a source already")
	}
	for i, e := range s.ProgArrays {
		path := fmt.Sprintf("prog_arrays[%d]", i)
		switch {
		case e.Map >= len(s.Maps):
			note(path, "map %d does not exist: there are %d", e.Map, len(s.Maps))
		case s.Maps[e.Map].Type != bpf.ProgArray:
			note(path, "map %d is no prog array", e.Map)
		case e.Key >= s.Maps[e.Map].MaxEntries:
			note(path, "key %d is out of range: map %d has %d entries", e.Key, e.Map, s.Maps[e.Map].MaxEntries)
		}
		if e.Prog >= len(s.Progs) {
			note(path, "program %d does not exist: there are %d", e.Prog, len(s.Progs))
		}
	}
	for name, run := range map[string]*Run{"run": s.Run, "run_traced": s.RunTraced} {
		if run != nil && run.Prog >= len(s.Progs) {
			note(name+".prog", "program %d does not exist: there are %d", run.Prog, len(s.Progs))
		}
	}
	for i, r := range s.Played {
		for j, v := range r.Values {
			if v.Map >= len(s.Maps) {
				note(fmt.Sprintf("played[%d].values[%d]", i, j), "map %d does not exist: there are %d", v.Map, len(s.Maps))
			}
		}
	}
	for i := range s.Maps {
		if n := s.Maps[i].Inner; n > len(s.Maps) || n > 0 && s.Maps[n-1].Inner > 0 {
			note(fmt.Sprintf("maps[%d].inner", i), "expected one more than the index of a map that is no map of maps, found %d", n)
		}
		if m := &s.Maps[i]; m.Frozen != "" && (m.Type != bpf.ArrayMap || m.MaxEntries != 1 || uint64(len(m.Frozen)) != uint64(m.ValueSize)) {
			note(fmt.Sprintf("maps[%d].frozen", i), "expected the one value of an array of one entry, %d bytes, found %d", m.ValueSize, len(m.Frozen))
		}
	}
	for i := range s.Progs {
		s.checkProg(i, note)
	}
	for i := range s.Trampolines {
		s.checkTrampoline(i, note)
	}
	s.checkOverlap(note)
}

// slots is how many slots there are that Func.Start and InsnPos.Insn may mean.
func (p *Prog) slots() int {
	if len(p.Insns) == 0 {
		return len(p.Xlated)
	}
	return len(p.Insns)
}

func (s *Scenario) checkProg(n int, note noteFunc) {
	p := &s.Progs[n]
	path := fmt.Sprintf("progs[%d]", n)
	if len(p.Insns) == 0 && len(p.Xlated) == 0 {
		note(path+".insns", "expected instructions, found none")
	}
	s.checkInsns(p, p.Insns, path+".insns", note)
	s.checkInsns(p, p.Xlated, path+".xlated", note)
	for i := range p.Funcs {
		p.checkFunc(i, fmt.Sprintf("%s.funcs[%d]", path, i), note)
	}
	if p.LoadError == "" {
		if len(p.Xlated) == 0 {
			note(path+".xlated", "expected instructions of an accepted program, found none")
		}
		if len(p.Funcs) == 0 {
			note(path+".funcs", "expected the functions of an accepted program, found none")
		}
	}
	if a := p.Attach; a != nil && a.Kernel == "" {
		s.checkTraced(a.Prog, a.Func, path+".attach", note)
	}
	p.checkPositions(path, note)
	for i, m := range p.MapsAt {
		at := fmt.Sprintf("%s.maps_at[%d]", path, i)
		p.checkPlace(at, m.Func, m.Off, 10, note)
		if m.Map >= len(s.Maps) {
			note(at+".map", "map %d does not exist: there are %d", m.Map, len(s.Maps))
		}
	}
}

// checkInsns checks that every ld_imm64 has its second half and names a map that exists.
func (s *Scenario) checkInsns(p *Prog, insns []bpf.Insn, path string, note noteFunc) {
	for i := 0; i < len(insns); i++ {
		in := insns[i]
		switch {
		case in.Op == bpf.OpLdImm64 && (i+1 == len(insns) || insns[i+1].Op != 0):
			note(path, "slot %d: ld_imm64 lacks its second half", i)
		case in.Op == bpf.OpLdImm64:
			if ps := in.Src; (ps == bpf.PseudoMap || ps == bpf.PseudoMapValue) && uint32(in.Imm) >= uint32(len(s.Maps)) {
				note(path, "slot %d: map %d does not exist: there are %d", i, in.Imm, len(s.Maps))
			}
			i++
		}
	}
}

func (p *Prog) checkFunc(i int, path string, note noteFunc) {
	f := &p.Funcs[i]
	if i == 0 && f.Start != 0 {
		note(path+".start", "the entry function starts at slot %d, not 0", f.Start)
	}
	if n := p.slots(); int(f.Start) >= n {
		note(path+".start", "slot %d does not exist: there are %d", f.Start, n)
	}
	if i > 0 && f.Start >= 0 && f.Start <= p.Funcs[i-1].Start {
		note(path+".start", "slot %d is not after slot %d, the start of the function before", f.Start, p.Funcs[i-1].Start)
	}
	if p.LoadError != "" {
		return
	}
	if f.image[Empty] == nil {
		note(path+".image", "state empty is missing")
	}
	for s, code := range f.image {
		if code != nil && len(code) != f.Len {
			note(path+".image."+State(s).String(), "%d bytes, but len is %d", len(code), f.Len)
		}
	}
	if f.Len == 0 {
		note(path+".len", "a function has code")
	}
	if f.Addr+image.Addr(f.Len) < f.Addr {
		note(path+".addr", "code wraps around the end of the address space")
	}
}

// checkPlace checks that size bytes at off are inside function fn.
func (p *Prog) checkPlace(path string, fn int, off image.CodeOff, size int, note noteFunc) {
	switch {
	case fn >= len(p.Funcs):
		note(path+".func", "function %d does not exist: there are %d", fn, len(p.Funcs))
	case int(off)+size > p.Funcs[fn].Len:
		note(path+".off", "%d bytes at offset %d are beyond the function's %d", size, off, p.Funcs[fn].Len)
	}
}

func (p *Prog) checkPositions(path string, note noteFunc) {
	for i, m := range p.InsnMap {
		at := fmt.Sprintf("%s.insn_map[%d]", path, i)
		p.checkPlace(at, m.Func, m.Off, 0, note)
		if n := p.slots(); int(m.Insn) >= n {
			note(at, "slot %d of insns does not exist: there are %d", m.Insn, n)
		}
		if int(m.Xlated) >= len(p.Xlated) {
			note(at, "slot %d of xlated does not exist: there are %d", m.Xlated, len(p.Xlated))
		}
	}
	for i, t := range p.TailCalls {
		p.checkPlace(fmt.Sprintf("%s.tail_calls[%d]", path, i), t.Func, t.Off, 1, note)
	}
	for i, u := range p.Undecoded {
		p.checkPlace(fmt.Sprintf("%s.undecoded[%d]", path, i), u.Func, u.Off, 1, note)
	}
	for s, refs := range p.Refs {
		for i, r := range refs {
			at := fmt.Sprintf("%s.refs.%s[%d]", path, State(s), i)
			p.checkPlace(at, r.Func, r.Imm, 4, note)
			if r.Imm <= r.Off {
				note(at+".imm", "operand at %d is not after the start of its instruction at %d", r.Imm, r.Off)
			}
		}
	}
	for i, f := range p.Removed {
		if n := p.slots(); int(f.Start) >= n {
			note(fmt.Sprintf("%s.removed_funcs[%d].start", path, i), "slot %d does not exist: there are %d", f.Start, n)
		}
	}
}

func (s *Scenario) checkTraced(prog, fn int, path string, note noteFunc) {
	switch {
	case prog >= len(s.Progs):
		note(path+".prog", "program %d does not exist: there are %d", prog, len(s.Progs))
	case s.Progs[prog].LoadError == "" && fn >= len(s.Progs[prog].Funcs):
		note(path+".func", "function %d does not exist: there are %d", fn, len(s.Progs[prog].Funcs))
	}
}

func (s *Scenario) checkTrampoline(n int, note noteFunc) {
	t := &s.Trampolines[n]
	path := fmt.Sprintf("trampolines[%d]", n)
	if t.Kernel == "" {
		s.checkTraced(t.Prog, t.Func, path, note)
	}
	for i, p := range t.Attached {
		if p >= len(s.Progs) {
			note(fmt.Sprintf("%s.attached[%d]", path, i), "program %d does not exist: there are %d", p, len(s.Progs))
		} else if a := s.Progs[p].Attach; a == nil || a.Kind == KindReplace {
			note(fmt.Sprintf("%s.attached[%d]", path, i), "program %d traces nothing", p)
		}
	}
	if t.Error != "" {
		return
	}
	if len(t.Image) != t.Len {
		note(path+".image", "%d bytes, but len is %d", len(t.Image), t.Len)
	}
	if len(t.Site.Before) != 5 || len(t.Site.After) != 5 {
		note(path+".site", "expected 5 bytes before and after, found %d and %d", len(t.Site.Before), len(t.Site.After))
	}
	for i, r := range t.Refs {
		size := 4
		if r.Kind == "movabs" {
			size = 8
		}
		if int(r.Imm)+size > t.Len || r.Imm <= r.Off {
			note(fmt.Sprintf("%s.refs[%d].imm", path, i), "operand at %d does not fit the instruction at %d in %d bytes", r.Imm, r.Off, t.Len)
		}
	}
}

// checkOverlap notes functions of the scenario that share bytes: all are loaded at the same time.
func (s *Scenario) checkOverlap(note noteFunc) {
	type span struct {
		start, end image.Addr
		path       string
	}
	var spans []span
	for i := range s.Progs {
		for j := range s.Progs[i].Funcs {
			if f := &s.Progs[i].Funcs[j]; f.Len > 0 {
				spans = append(spans, span{f.Addr, f.Addr + image.Addr(f.Len), fmt.Sprintf("progs[%d].funcs[%d]", i, j)})
			}
		}
	}
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.start, b.start) })
	for i := 1; i < len(spans); i++ {
		if a, b := spans[i-1], spans[i]; b.start < a.end {
			note(b.path, "code at %#x overlaps %s, which ends at %#x", uint64(b.start), a.path, uint64(a.end))
		}
	}
}
