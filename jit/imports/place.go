// SPDX-License-Identifier: GPL-2.0-only

package imports

import (
	"fmt"
	"slices"

	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// unplaced is where functions without an address are decoded: apart from each other and from
// everything else. Programs that show how far they are from the kernel's return thunk are placed around
// thunkAt instead, so that those of one kernel share it.
const (
	unplaced image.Addr = 0xffff_ffff_e000_0000
	thunkAt  image.Addr = 0xffff_ffff_81c0_0000
)

// place gives functions addresses: those that the user knows, those that the source shows, those of
// the symbols, and, where nothing tells, made up ones that keep calls among the functions right.
func (d *Dump) place(opt Options) error {
	var all []*Func
	for i := range d.Progs {
		for j := range d.Progs[i].Funcs {
			all = append(all, &d.Progs[i].Funcs[j])
		}
	}
	if opt.Addrs != nil && len(opt.Addrs) != len(all) {
		return fmt.Errorf("%d addresses for %d functions", len(opt.Addrs), len(all))
	}
	for i, a := range opt.Addrs {
		if f := all[i]; f.Place == Known && f.Addr != a {
			return fmt.Errorf("function %d: address %#x, but its branches say %#x", i, uint64(a), uint64(f.Addr))
		}
		all[i].Addr, all[i].Place = a, Known
	}
	branches := make(map[*Func][]branch, len(all))
	for _, f := range all {
		branches[f] = outside(f.Code)
	}
	if opt.Symbols != nil {
		if err := byName(all, opt.Symbols); err != nil {
			return err
		}
		fit(all, branches, opt.Symbols)
	}
	if err := overlap(all); err != nil {
		return err
	}
	next, unknown := unplaced, 0
	for i := range d.Progs {
		next = d.Progs[i].apart(branches, next)
		for j := range d.Progs[i].Funcs {
			if d.Progs[i].Funcs[j].Place != Known {
				unknown++
			}
		}
	}
	if unknown > 0 {
		d.Notes = append(d.Notes, fmt.Sprintf("%d of %d functions have no address: calls of what is not in the dump cannot be resolved "+
			"(--kallsyms or --addrs)", unknown, len(all)))
	}
	return nil
}

// branch is a direct branch that leaves its function.
type branch struct {
	to   int64 // from the start of the function
	call bool
	last bool // a jump that ends the function
}

// outside lists the direct branches that leave a function, as far as the code decodes.
func outside(code []byte) []branch {
	const base = image.Addr(1) << 40 // anywhere where distances do not wrap around
	var out []branch
	for off := 0; off < len(code); {
		in, err := x86.Decode(code[off:], base+image.Addr(off))
		if err != nil {
			break
		}
		if to := int64(in.Target - base); in.Branch.Direct() && (to < 0 || to >= int64(len(code))) {
			out = append(out, branch{to, in.Branch == x86.BranchCall, in.Branch == x86.BranchJump && off+int(in.Len) == len(code)})
		}
		off += int(in.Len)
	}
	return out
}

// byName takes addresses from symbols of the functions' names.
func byName(all []*Func, s *Symbols) error {
	for _, f := range all {
		a := s.byName[f.Name]
		switch {
		case f.Name == "":
		case f.Place == Known && a != 0 && a != f.Addr:
			return fmt.Errorf("function %s is at %#x, but the symbols have it at %#x: they are of another boot or program", f.Name, uint64(f.Addr), uint64(a))
		case a != 0:
			f.Addr, f.Place = a, Known
		}
	}
	for _, f := range all {
		if f.Place == Known && f.Name == "" {
			f.Name = s.Name(f.Addr)
		}
	}
	return nil
}

// maxLanding bounds the distance from the start of a program to where tail calls enter, in bytes.
const maxLanding = 64

// fit finds the symbol of a function by what it calls: at the right address, and most probably only
// there, every call leads to a symbol, and every jump to one or to where a tail call enters.
func fit(all []*Func, branches map[*Func][]branch, s *Symbols) {
	taken := map[image.Addr]bool{}
	for _, f := range all {
		if f.Place == Known {
			taken[f.Addr] = true
		}
	}
	for pass, again := 0, true; again && pass < maxPasses; pass++ {
		again = false
		for _, f := range slices.Backward(all) { // what was unloaded had the place before
			if f.Place == Known || len(branches[f]) == 0 {
				continue
			}
			var found []image.Addr
			for _, a := range s.progs {
				if !taken[a] && s.fits(a, f, branches[f]) {
					found = append(found, a)
				}
			}
			if len(found) == 1 {
				f.Addr, f.Place, f.Name = found[0], Known, s.Name(found[0])
				taken[f.Addr], again = true, true
			}
		}
	}
}

// maxPasses is how often what was found may help to tell others apart.
const maxPasses = 8

// fits reports whether a function can be at a.
func (s *Symbols) fits(a image.Addr, f *Func, out []branch) bool {
	if room := s.room(a); room != 0 && image.Addr(len(f.Code)) > room {
		return false
	}
	for _, b := range out {
		to := a + image.Addr(b.to)
		if s.Name(to) != "" {
			continue
		}
		if d, ok := s.prog(to); !ok || b.call || d > maxLanding {
			return false
		}
	}
	return true
}

// overlap refuses functions that lie on each other.
func overlap(all []*Func) error {
	for i, b := range all {
		for j, a := range all[:i] {
			if a.Place == Known && b.Place == Known && a.Addr < b.Addr+image.Addr(len(b.Code)) && b.Addr < a.Addr+image.Addr(len(a.Code)) {
				return fmt.Errorf("functions %d and %d overlap", j, i)
			}
		}
	}
	return nil
}

// near is how far from each other functions of one program are at most where their places are found
// by their calls: the kernel's packs of programs (bpf_prog_pack) have 2 MiB.
const near = 2 << 20

// apart places the functions of a program that have no address, from next on, and returns where those
// of other programs may begin. If exactly one way of placing them makes all calls to close by lead to
// functions, it is that.
func (p *Prog) apart(branches map[*Func][]branch, next image.Addr) image.Addr {
	known := slices.ContainsFunc(p.Funcs, func(f Func) bool { return f.Place == Known })
	base := (next + near + 0xffff) &^ 0xffff
	if off, ok := solve(p.Funcs, branches); ok && !known {
		end := base + near
		if to, ok := thunk(branches[&p.Funcs[0]]); ok {
			base, end = thunkAt-image.Addr(to), next
		}
		for i := range p.Funcs {
			p.Funcs[i].Addr, p.Funcs[i].Place = base+image.Addr(off[i]), Relative
		}
		return end
	}
	for i := range p.Funcs {
		if f := &p.Funcs[i]; f.Place != Known {
			f.Addr = base
			base += image.Addr(len(f.Code)+0xffff) &^ 0xffff
		}
	}
	return base
}

// solver looks for all ways to place functions so that each call to close by leads to one.
type solver struct {
	funcs []Func
	calls [][]int64 // close by, without repetitions
	off   []int64   // found so far, from the entry
	set   []bool
	found [][]int64
	steps int
}

// maxSteps bounds the search; a program whose functions need more stays unsolved.
const maxSteps = 10_000

// solve returns where the functions are from the entry; ok is false if the calls do not tell, or tell
// in several ways.
func solve(funcs []Func, branches map[*Func][]branch) (off []int64, ok bool) {
	if len(funcs) > 64 {
		return nil, false
	}
	s := &solver{funcs: funcs, off: make([]int64, len(funcs)), set: make([]bool, len(funcs))}
	for i := range funcs {
		var calls []int64
		for _, b := range branches[&funcs[i]] {
			if b.call && b.to > -near && b.to < near && !slices.Contains(calls, b.to) {
				calls = append(calls, b.to)
			}
		}
		s.calls = append(s.calls, calls)
	}
	s.set[0] = true
	if !s.returns(branches) {
		return nil, false
	}
	s.from(0, 0)
	if len(s.found) != 1 || s.steps > maxSteps {
		return nil, false
	}
	return s.found[0], true
}

// thunk returns where a function that ends with a jump far away leads, from its start.
func thunk(out []branch) (int64, bool) {
	if len(out) == 0 {
		return 0, false
	}
	b := out[len(out)-1]
	return b.to, b.last && (b.to < -near || b.to > near)
}

// returns places all functions that end with a jump far away: it is to the kernel's return thunk, the
// same for all. It reports false if they then lie on each other.
func (s *solver) returns(branches map[*Func][]branch) bool {
	first, ok := thunk(branches[&s.funcs[0]])
	for j := 1; ok && j < len(s.funcs); j++ {
		if to, ok := thunk(branches[&s.funcs[j]]); ok {
			if !s.free(first-to, int64(len(s.funcs[j].Code))) {
				return false
			}
			s.set[j], s.off[j] = true, first-to
		}
	}
	return true
}

// from goes on with call c of function i. Functions are visited as they are placed.
func (s *solver) from(i, c int) {
	if s.steps++; s.steps > maxSteps || len(s.found) > 1 {
		return
	}
	for ; i < len(s.funcs); i, c = i+1, 0 {
		if !s.set[i] {
			continue
		}
		for ; c < len(s.calls[i]); c++ {
			at := s.off[i] + s.calls[i][c]
			if s.there(at) {
				continue
			}
			s.put(i, at)
			return
		}
	}
	if slices.Contains(s.set, false) {
		return // nothing calls it
	}
	s.found = append(s.found, slices.Clone(s.off))
}

// there reports whether a function that can be called is at off.
func (s *solver) there(off int64) bool {
	for j := 1; j < len(s.funcs); j++ {
		if s.set[j] && s.off[j] == off {
			return true
		}
	}
	return false
}

// put tries every function that may be at off, and goes on from the first function for each.
func (s *solver) put(i int, off int64) {
	for j := 1; j < len(s.funcs); j++ {
		if s.set[j] || !s.free(off, int64(len(s.funcs[j].Code))) {
			continue
		}
		s.set[j], s.off[j] = true, off
		s.from(min(i, j), 0)
		s.set[j] = false
	}
}

// free reports whether nothing is at off for size bytes.
func (s *solver) free(off, size int64) bool {
	for j := range s.funcs {
		if s.set[j] && off < s.off[j]+int64(len(s.funcs[j].Code)) && s.off[j] < off+size {
			return false
		}
	}
	return true
}
