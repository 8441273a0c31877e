// SPDX-License-Identifier: GPL-2.0-only

package source

import (
	"debug/elf"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"

	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/x86"
)

// The C file can have routines and variables that the code of programs refers to: a patch that keeps its counter
// outside the stack adds some. They go with the image, as the compiler made them.

// perCPUOffset is the per-CPU variable that has this CPU's distance from the addresses of per-CPU variables.
const perCPUOffset = "this_cpu_off"

// relocated is the object with all relocations applied. Open names are at the addresses, 0 for nil.
func (o *object) relocated(open []image.Addr) ([]byte, error) {
	code := slices.Clone(o.image)
	for i := range o.relocs {
		r := &o.relocs[i]
		value := r.value
		if r.open >= 0 {
			if open == nil {
				continue
			}
			value = open[r.open]
		}
		b, err := r.bytes(value)
		if err != nil {
			return nil, fmt.Errorf("compiled JIT: %w", err)
		}
		copy(code[r.at:], b)
	}
	return code, nil
}

// end is the first address after the object.
func (o *object) end() image.Addr { return moduleBase + image.Addr(len(o.image)) }

// inModule reports whether an address is one of the object.
func (o *object) inModule(a image.Addr) bool { return a >= moduleBase && a < o.end() }

// inVariables reports whether an address is that of a per-CPU variable of the object.
func (o *object) inVariables(a image.Addr) bool {
	return a >= perCPUBase && a < perCPUBase+image.Addr(len(o.perCPU))
}

// module is what an image needs of the object, nil if that is nothing.
func (g *guest) module(r *references) (*image.Module, error) {
	if len(r.called) == 0 && !r.data && len(g.allocated) == 0 {
		return nil, nil
	}
	if err := g.runnable(r.called); err != nil {
		return nil, err
	}
	code, err := g.o.relocated(g.openAddr)
	if err != nil {
		return nil, err
	}
	m := &image.Module{
		Text:    image.Piece{Addr: moduleBase, Bytes: code[:g.o.text]},
		PerCPU:  append(slices.Clone(g.allocated), image.Piece{Addr: perCPUBase, Bytes: g.o.perCPU}),
		Symbols: map[string]image.Addr{},
	}
	if len(code) > g.o.text {
		m.Data = []image.Piece{{Addr: moduleBase + image.Addr(g.o.text), Bytes: code[g.o.text:]}}
	}
	for _, f := range g.o.funcs {
		m.Symbols[f.name] = f.addr
	}
	return m, nil
}

// runnable reports what functions of the object, and those that they call, use that only the JIT's own processor
// has.
func (g *guest) runnable(roots map[image.Addr]bool) error {
	var errs []error
	next := slices.Sorted(maps.Keys(roots))
	for seen := map[image.Addr]bool{}; len(next) > 0; {
		f, ok := g.o.funcAt(next[len(next)-1])
		next = next[:len(next)-1]
		if !ok || seen[f.addr] {
			continue
		}
		seen[f.addr] = true
		if strings.HasPrefix(f.name, "tcsim_") {
			errs = append(errs, fmt.Errorf("a routine that programs call uses %s, which is there while the JIT runs only: %w", f.name, kernels.ErrUnsupported))
			continue
		}
		to, err := g.callees(f)
		if err != nil {
			errs = append(errs, fmt.Errorf("the routine %s: %w", f.name, err))
		}
		next = append(next, to...)
	}
	return errors.Join(errs...)
}

// callees are the places outside a function that it refers to.
func (g *guest) callees(f symbol) (to []image.Addr, err error) {
	for off := image.Addr(0); off < image.Addr(f.size); {
		in, err := x86.Decode(g.o.image[f.addr-moduleBase+off:], f.addr+off)
		if err != nil {
			return nil, err
		}
		if in.Branch.Direct() {
			to = append(to, in.Target)
		}
		off += image.Addr(in.Len)
	}
	for i := range g.o.relocs {
		r := &g.o.relocs[i]
		at := moduleBase + image.Addr(r.at)
		switch {
		case at < f.addr || at >= f.addr+image.Addr(f.size):
		case r.open >= 0 && g.openAddr[r.open] == openAt(r.open):
			return nil, fmt.Errorf("it uses %s, which tcsim does not know there: %w", g.o.open[r.open], kernels.ErrUnsupported)
		case r.open < 0 && (r.kind == elf.R_X86_64_PLT32 || r.kind == elf.R_X86_64_PC32):
			to = append(to, image.Addr(int64(r.value)+r.addend+4))
		case r.open < 0:
			to = append(to, image.Addr(int64(r.value)+r.addend))
		}
	}
	return to, nil
}

// funcAt is the function that an address is in.
func (o *object) funcAt(a image.Addr) (symbol, bool) {
	n := sort.Search(len(o.funcs), func(i int) bool { return o.funcs[i].addr > a })
	if n == 0 || a >= o.funcs[n-1].addr+image.Addr(max(o.funcs[n-1].size, 1)) {
		return symbol{}, false
	}
	return o.funcs[n-1], true
}
