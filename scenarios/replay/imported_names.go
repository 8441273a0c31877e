// SPDX-License-Identifier: GPL-2.0-only

package replay

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/imports"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/x86"
)

// unnamed is something outside that code uses and that has no name.
type unnamed struct {
	at   image.Addr
	from []string
	// known says that the address is the kernel's.
	known  bool
	perCPU bool
}

// name finds out what is called and read outside the programs.
func (b *importer) name() error {
	b.symbols = map[string]image.Addr{}
	var missing []unnamed
	miss := func(u unnamed) {
		i := slices.IndexFunc(missing, func(m unnamed) bool { return m.at == u.at && m.perCPU == u.perCPU })
		if i < 0 {
			missing = append(missing, u)
			return
		}
		missing[i].from = append(missing[i].from, u.from...)
	}
	for i := range b.use {
		p := &b.use[i]
		for n := range p.code {
			for k := range p.code[n].insns {
				if u, ok := b.nameOne(p, n, k); !ok {
					miss(u)
				}
			}
		}
	}
	if len(missing) == 0 {
		return nil
	}
	var lines []string
	hint := "name it with --kallsyms FILE or --helper ADDRESS=NAME"
	for _, u := range missing {
		what := fmt.Sprintf("%#x", uint64(u.at))
		switch {
		case u.perCPU:
			what = fmt.Sprintf("per-CPU variable at gs:%#x", uint64(u.at))
		case !u.known:
			what = "a place that depends on where the function was, which the dump does not say"
			hint = "give --kallsyms FILE, or --addrs and --helper ADDRESS=NAME"
		}
		lines = append(lines, fmt.Sprintf("%s (used at %s)", what, strings.Join(u.from, ", ")))
	}
	return fmt.Errorf("the code uses unknown addresses: %s: %s", strings.Join(lines, "; "), hint)
}

// nameOne names what one instruction uses outside the programs.
func (b *importer) nameOne(p *importedProg, fn, k int) (unnamed, bool) {
	f, in := &p.img.Funcs[fn], &p.code[fn].insns[k]
	u := unnamed{from: []string{fmt.Sprintf("%s+%#x", f.Name, int(in.off))}, known: p.placed[fn] == imports.Known}
	switch {
	case in.HasMem && in.Mem.Seg == x86.SegGS && (in.Load || in.Store):
		u.at, u.perCPU, u.known = image.Addr(in.Mem.Disp), true, true
		if in.Mem.RIPRel {
			u.at, u.known = image.Addr(in.Mem.Disp)+in.Next(), p.placed[fn] == imports.Known
		}
		names := b.opt.Symbols.Names(u.at)
		if !u.known || len(names) == 0 {
			if names = nil; in.Op == "add" && in.Operands[0].Kind == x86.OpReg {
				names = []string{"this_cpu_off"} // what kernel code adds to addresses of per-CPU variables
			}
		}
		return u, b.symbol(names, u.at)
	case !in.Branch.Direct() || b.inside(in.Target):
		return u, true
	}
	if s := siteAt(f, in.off); s != nil && s.Direct && (in.off == s.Jump || in.off == s.Bypass) {
		return u, true // leads to a program
	}
	u.at = in.Target
	names := b.opt.Symbols.Names(u.at)
	switch s := siteAt(f, in.off); {
	case u.known && len(names) > 0:
	case in.Branch == x86.BranchJump && k == len(p.code[fn].insns)-1:
		names = b.thunk(u, "__x86_return_thunk", "functions end with a jump to %#x: taken to be the kernel's return thunk")
	case s != nil && in.off == s.Jump && k > 0:
		r := jumpReg(p.code[fn].insns[:k])
		names = b.thunk(u, "__x86_indirect_thunk_"+r.String(), "tail calls jump to %#x: taken to be the kernel's thunk for "+r.String())
	default:
		names = nil
	}
	return u, b.symbol(names, u.at)
}

// thunk takes an address without a symbol for a thunk and notes it, unless symbols say that the thunk is elsewhere.
func (b *importer) thunk(u unnamed, name, note string) []string {
	if u.known && b.opt.Symbols.Elsewhere(name, u.at) {
		return nil
	}
	b.note(note, uint64(u.at))
	return []string{name}
}

// jumpReg is the register that an indirect tail call jumps to by a thunk: the landing was added to it.
func jumpReg(before []decoded) x86.Reg {
	for i := len(before) - 1; i >= 0; i-- {
		if in := &before[i]; in.Op == "add" && in.N == 2 && in.Operands[0].Kind == x86.OpReg && in.Operands[1].Kind == x86.OpImm && in.Operands[0].Reg != x86.RSP {
			return in.Operands[0].Reg
		}
	}
	return x86.RCX // what the kernel uses since 5.13 (emit_bpf_tail_call_indirect)
}

func siteAt(f *image.FuncImage, off image.CodeOff) *image.TailCallSite {
	for i := range f.TailCalls {
		if s := &f.TailCalls[i]; off >= s.Start && off < s.End {
			return s
		}
	}
	return nil
}

// inside reports whether an address is in a program that takes part.
func (b *importer) inside(a image.Addr) bool {
	for i := range b.use {
		for n := range b.use[i].img.Funcs {
			if f := &b.use[i].img.Funcs[n]; a >= f.Addr && a < f.End() {
				return true
			}
		}
	}
	return false
}

// symbol notes names of an address. It reports false if each belongs to another one already.
func (b *importer) symbol(names []string, a image.Addr) bool {
	noted := false
	for _, n := range names {
		if old, ok := b.symbols[n]; ok && old != a {
			continue
		}
		b.symbols[n], noted = a, true
	}
	return noted
}

// kernelSpace is the lowest address of the kernel's; what is in the last page is an error number.
const (
	kernelSpace image.Addr = 0xffff_8000_0000_0000
	lastPage    image.Addr = 0xffff_ffff_ffff_0000
)

// unknownSize is how much memory is assumed at an address that code loads, in bytes.
const unknownSize = 4096

// memory makes maps of the other addresses that the code loads. What is there is unknown.
func (b *importer) memory() {
	taken := func(a image.Addr) bool {
		return slices.ContainsFunc(b.maps, func(m guest.MapSpec) bool { return m.Addr == a })
	}
	var hashes, plain []image.Addr
	note := func(list *[]image.Addr, v int64) {
		if a := image.Addr(v); a >= kernelSpace && a < lastPage && !taken(a) && !b.inside(a) && !slices.Contains(*list, a) {
			*list = append(*list, a)
		}
	}
	for i := range b.use {
		for fn := range b.use[i].code {
			code := &b.use[i].code[fn]
			for k := range code.insns {
				in := &code.insns[k]
				if b.usesMap(in) {
					values, _ := code.constants(in.off, x86.RDI)
					for _, v := range values {
						note(&hashes, v)
					}
				}
				v, ok := in.Imm()
				if ok && in.Op == "mov" && in.OpBits == 64 && in.Len == 10 && !b.progArray(&b.use[i], fn, v) {
					note(&plain, v)
				}
			}
		}
	}
	for _, a := range hashes {
		b.note("the dump holds nothing of the map at %#x, which is an empty hash here: lookups fail", uint64(a))
		b.maps = append(b.maps, guest.MapSpec{
			Map:  bpf.Map{Name: fmt.Sprintf("map at %#x", uint64(a)), Type: bpf.HashMap, KeySize: 4, ValueSize: 8, MaxEntries: 64},
			Addr: a,
		})
	}
	plain = slices.DeleteFunc(plain, func(a image.Addr) bool { return slices.Contains(hashes, a) })
	slices.Sort(plain)
	for i := 0; i < len(plain); {
		lo, end := plain[i]&^7, plain[i]+unknownSize
		for i++; i < len(plain) && plain[i] < end; i++ {
			end = plain[i] + unknownSize
		}
		b.note("%d bytes of zeros stand for what the dump does not hold at %#x", uint64(end-lo), uint64(lo))
		b.maps = append(b.maps, guest.MapSpec{
			Map:  bpf.Map{Name: fmt.Sprintf("memory at %#x", uint64(lo)), Type: bpf.ArrayMap, KeySize: 4, ValueSize: uint32(end - lo), MaxEntries: 1},
			Addr: headerBase + image.Addr(len(b.maps)*unknownSize), ValueAddr: lo,
		})
	}
}

// headerBase is where struct bpf_map of memory goes that code only knows the values of: addresses that
// programs never get (vmemmap).
const headerBase image.Addr = 0xffffea0000000000

// usesMap reports whether an instruction calls a helper on the map in rdi.
func (b *importer) usesMap(in *decoded) bool {
	if in.Branch != x86.BranchCall {
		return false
	}
	return slices.ContainsFunc(b.opt.Symbols.Names(in.Target), func(n string) bool {
		return strings.HasSuffix(n, "_lookup_elem") || strings.HasSuffix(n, "_update_elem") || strings.HasSuffix(n, "_delete_elem")
	})
}

// progArray reports whether a constant is the prog array of a direct tail call, whose memory nothing
// reads.
func (b *importer) progArray(p *importedProg, fn int, v int64) bool {
	f := &p.img.Funcs[fn]
	for i := range f.TailCalls {
		if s := &f.TailCalls[i]; s.Direct {
			if a, _ := p.code[fn].constants(s.Start, x86.RSI); slices.Contains(a, v) {
				return true
			}
		}
	}
	return false
}

// clash refuses addresses at which the emulator has things of its own.
func (b *importer) clash() error {
	own := []struct{ lo, end image.Addr }{
		{guest.ContextAddr, guest.TaskAddr + 0x4000}, {guest.GSBase, guest.GSBase + 0x40000}, {guest.StackTop - 0x10000, guest.StackTop + 0x1000},
	}
	var errs []error
	for _, m := range b.maps {
		lo := m.Addr
		if m.ValueAddr != 0 {
			lo = m.ValueAddr
		}
		end := lo + image.Addr(m.ValueSize)
		for _, o := range own {
			if lo < o.end && o.lo < end {
				errs = append(errs, fmt.Errorf("%s: the emulator has something else there: %w", m.Name, kernels.ErrUnsupported))
			}
		}
	}
	return errors.Join(errs...)
}
