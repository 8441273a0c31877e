// SPDX-License-Identifier: GPL-2.0-only

package object

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/verify"
)

// somewhere stands for the address of a kernel function.
const somewhere = -(1 << 30)

// inKernel reports whether the types given with --btf have a function of this name, so that the kernel has it.
func (r *reader) inKernel(name string) bool {
	var f *btf.Func
	return r.types != nil && r.types.TypeByName(name, &f) == nil
}

// maxInsns is how many slots the kernel's verifier takes (BPF_COMPLEXITY_LIMIT_INSNS).
const maxInsns = 1_000_000

// freeLicenses are those with which a program may call every function (license_is_gpl_compatible of include/linux/license.h).
var freeLicenses = []string{"GPL", "GPL v2", "GPL and additional rights", "Dual BSD/GPL", "Dual MIT/GPL", "Dual MPL/GPL"}

func (r *reader) readPrograms() {
	names := slices.Sorted(maps.Keys(r.spec.Programs))
	for i, name := range names {
		r.progs[name] = i
	}
	for _, name := range names {
		p := r.spec.Programs[name]
		var errs []error
		if p.Type == ebpf.UnspecifiedProgram {
			errs = append(errs, fmt.Errorf("section %q says no program type: expected one such as \"tc\", \"xdp\" or \"socket\", or --type", p.SectionName))
		}
		prog, more := r.program(p)
		if len(errs) == 0 { // what a program of a foreign type does says nothing
			errs = more
		}
		for i, err := range errs {
			errs[i] = fmt.Errorf("program %s: %w", name, err)
		}
		r.file.Programs = append(r.file.Programs, prog)
		r.file.Sections = append(r.file.Sections, p.SectionName)
		r.file.Tags = append(r.file.Tags, tags(p))
		r.file.progErrs = append(r.file.progErrs, errors.Join(errs...))
	}
}

// linker makes the slots of one program of cilium/ebpf's instructions.
type linker struct {
	r       *reader
	insns   asm.Instructions
	at      []int              // slot of each instruction
	start   map[string]int     // slot of each symbol
	funcs   map[int]string     // slot of each function's start to its name
	kfuncs  []string           // kernel functions that it calls
	symbols []bpf.KernelSymbol // and symbols that it reads
	errs    []error
	// external is the symbol that the instruction at hand refers to and the file does not define.
	external string
}

// relocate resolves CO-RE relocations with the types given, or with those of the file itself.
func (l *linker) relocate() error {
	var relos []*btf.CORERelocation
	var at []*asm.Instruction
	for i := range l.insns {
		if r := btf.CORERelocationMetadata(&l.insns[i]); r != nil {
			relos, at = append(relos, r), append(at, &l.insns[i])
		}
	}
	if len(relos) == 0 {
		return nil
	}
	types := l.r.types
	if types == nil {
		types = l.r.spec.Types
	}
	if types == nil {
		return errors.New("CO-RE relocations, and there are no types: --btf names a file with those of a kernel")
	}
	own := types // what programs call types by their number in the file
	if l.r.spec.Types != nil {
		own = l.r.spec.Types
	}
	fixups, err := btf.CORERelocate(relos, []*btf.Spec{types}, binary.LittleEndian, own.TypeID)
	switch {
	case err != nil && l.r.types == nil:
		return fmt.Errorf("CO-RE, with the file's own types, as no --btf names a file with those of a kernel: %w", err)
	case err != nil:
		return fmt.Errorf("CO-RE, with the types that --btf names: %w", err)
	}
	for i := range fixups {
		if err := fixups[i].Apply(at[i]); err != nil {
			return fmt.Errorf("%v: %w", relos[i], err)
		}
	}
	return nil
}

// program translates one program with its functions, which cilium/ebpf has put after the entry.
func (r *reader) program(p *ebpf.ProgramSpec) (bpf.Program, []error) {
	l := linker{r: r, insns: r.withCallbacks(p), start: map[string]int{}, funcs: map[int]string{0: p.Name}}
	const sleepable, frags = 1 << 4, 1 << 5 // BPF_F_SLEEPABLE, BPF_F_XDP_HAS_FRAGS
	out := bpf.Program{
		Name: p.Name, Type: bpf.ProgType(p.Type), Maps: r.file.Maps,
		AttachType: uint32(p.AttachType), AttachTo: p.AttachTo, Sleepable: p.Flags&sleepable != 0, Frags: p.Flags&frags != 0,
		NotGPL: !slices.Contains(freeLicenses, p.License),
	}
	slots := 0
	for i := range l.insns {
		in := &l.insns[i]
		if sym := in.Symbol(); sym != "" {
			l.start[sym] = slots
		}
		l.at = append(l.at, slots)
		slots += int(in.Width())
	}
	if slots > maxInsns {
		return out, []error{fmt.Errorf("%d instructions: the kernel takes %d", slots, maxInsns)}
	}
	if err := l.relocate(); err != nil {
		l.errs = append(l.errs, err)
	}
	fn, began := "", 0
	for i := range l.insns {
		if sym := l.insns[i].Symbol(); sym != "" {
			fn, began = sym, l.at[i]
		}
		if line, ok := l.insns[i].Source().(*btf.Line); ok {
			out.Source = append(out.Source, bpf.SourceLine{
				Insn: bpf.InsnIndex(l.at[i]), File: line.FileName(), Line: int(line.LineNumber()), Text: strings.TrimSpace(line.Line()),
			})
		}
		l.external = r.extern.at(fn, l.at[i]-began)
		code, err := l.instruction(i)
		if err != nil {
			l.errs = append(l.errs, fmt.Errorf("insn %d (%v): %w", l.at[i], l.insns[i].OpCode, err))
			continue
		}
		for ; len(code) >= bpf.InsnSize; code = code[bpf.InsnSize:] {
			out.Insns = append(out.Insns, bpf.DecodeInsn(code))
		}
	}
	types := l.functionTypes()
	catches := callbacks(tags(p))
	for _, name := range catches {
		if at, ok := l.start[name]; ok {
			l.funcs[at] = name
		}
	}
	for _, s := range slices.Sorted(maps.Keys(l.funcs)) {
		f := bpf.Func{Name: l.funcs[s], Start: bpf.InsnIndex(s), Void: types[s] != nil && returnsNothing(types[s]), ExceptionCB: slices.Contains(catches, l.funcs[s])}
		switch t := types[s]; {
		case t == nil:
		case s != 0 && t.Linkage == btf.GlobalFunc && !r.extern.hidden[f.Name]:
			f.Global, f.Params, f.Address = true, params(t, out.Type), returnsAddress(t)
		case s == 0:
			if out.Type == bpf.Extension { // it is called as the function that it replaces
				f.Params = params(t, out.Type)
			}
		}
		out.Funcs = append(out.Funcs, f)
	}
	if r.types != nil {
		out.Objects = kernelObjects{r.types, r.spec.Types}
	}
	if r.owned.types != nil {
		out.Owned = r.owned
	}
	out.Symbols = l.symbols
	out.Kfuncs, out.Signatures, out.Hook = l.kfuncs, l.signatures(), l.hook(&out)
	return out, l.errs
}

// instruction returns the slots of instruction i with its reference resolved.
func (l *linker) instruction(i int) ([]byte, error) {
	in := l.insns[i] // a copy
	ref := in.Reference()
	switch {
	case in.IsLoadFromMap() && ref == "" && l.external != "":
		off, ok := l.r.configOffset(l.external)
		if !ok {
			return nil, fmt.Errorf("the kernel's configuration is not known, and it asks for %s: make that a constant", l.external)
		}
		in.Constant = int64(off)<<32 | int64(l.r.maps[kconfig])
	case in.IsLoadFromMap():
		m, ok := l.r.maps[ref]
		if !ok {
			return nil, fmt.Errorf("no map %q", ref)
		}
		in.Constant = in.Constant&^0xffff_ffff | int64(m)
	case in.IsKfuncCall():
		name := cmp.Or(ref, l.external)
		if l.r.extern.weak[name] && !l.r.inKernel(name) {
			in.Src, in.Constant = 0, verify.NoKfunc // it does not exist: to be reached by no path
			break
		}
		in.Src, in.Constant = bpf.PseudoKfunc, int64(l.kfunc(name))
		in = in.WithMetadata(asm.Metadata{})
	case in.OpCode.IsDWordLoad() && l.r.extern.weak[l.external] && l.r.inKernel(l.external):
		in.Src, in.Constant = 0, somewhere // of a function that exists, to be compared with null
		in = in.WithMetadata(asm.Metadata{})
	case in.OpCode.IsDWordLoad() && l.r.extern.weak[l.external] && !l.r.hasVariable(l.external):
		in.Src, in.Constant = 0, 0 // it does not exist
	case in.OpCode.IsDWordLoad() && l.external != "" && l.external == ref:
		n, err := l.symbol(ref)
		if err != nil {
			return nil, err
		}
		in.Src, in.Constant = bpf.PseudoSymbol, int64(n)
		in = in.WithMetadata(asm.Metadata{})
	case in.IsFunctionReference():
		to, err := l.function(i, ref, in.Constant)
		if err != nil {
			return nil, err
		}
		in.Constant = int64(to - l.at[i] - 1)
	case ref != "" && in.OpCode.JumpOp() != asm.InvalidJumpOp:
		return nil, fmt.Errorf("jump to symbol %q", ref)
	case ref != "" || in.IsLoadOfFunctionPointer():
		return nil, fmt.Errorf("reference to %q, which the file does not define", ref)
	}
	var code bytes.Buffer
	if _, err := in.WithReference("").Marshal(&code, binary.LittleEndian); err != nil {
		return nil, err
	}
	out := code.Bytes()
	if in.OpCode.Class().IsALU() && in.Offset != 0 { // which Marshal drops: a cast between address spaces, or a mistake
		binary.LittleEndian.PutUint16(out[2:], uint16(in.Offset))
	}
	return out, nil
}

// function returns the slot of the function that instruction i refers to, by name or by distance.
func (l *linker) function(i int, name string, distance int64) (int, error) {
	to, ok := l.start[name]
	if name == "" {
		to = l.at[i] + 1 + int(distance)
		n, found := slices.BinarySearch(l.at, to)
		if ok = found; ok {
			name = l.insns[n].Symbol()
		}
	}
	if !ok {
		return 0, fmt.Errorf("no function %q", name)
	}
	if l.funcs[to] == "" {
		if name == "" {
			name = fmt.Sprintf("func_%d", to)
		}
		l.funcs[to] = name
	}
	return to, nil
}
