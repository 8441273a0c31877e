// SPDX-License-Identifier: GPL-2.0-only

package object

import (
	"bytes"
	"debug/elf"
	"fmt"

	"github.com/cilium/ebpf/btf"

	"github.com/tcsim/tcsim/jit/bpf"
)

// Symbols of the kernel that a program reads (extern TYPE NAME __ksym).

// symbols are the types of those that a file declares, by name.
func symbols(f *elf.File) map[string]btf.Type {
	out := map[string]btf.Type{}
	sec := f.Section(".BTF")
	if sec == nil || sec.Size > maxFile {
		return out
	}
	raw, err := sec.Data()
	if err != nil {
		return out
	}
	spec, err := btf.LoadSpecFromReader(bytes.NewReader(raw))
	if err != nil {
		return out
	}
	var declared *btf.Datasec
	if spec.TypeByName(".ksyms", &declared) != nil {
		return out
	}
	for _, v := range declared.Vars {
		if variable, ok := v.Type.(*btf.Var); ok {
			out[variable.Name] = variable.Type
		}
	}
	return out
}

// symbol returns the index of a symbol among those that the program reads. The kernel's types say what is there; of one
// that is declared without a type only the address counts (bpf_object__resolve_ksym_var_btf_id of libbpf).
func (l *linker) symbol(name string) (int, error) {
	for i := range l.symbols {
		if l.symbols[i].Name == name {
			return i, nil
		}
	}
	s := bpf.KernelSymbol{Name: name}
	if _, untyped := btf.UnderlyingType(l.r.symbols[name]).(*btf.Void); !untyped && l.r.symbols[name] != nil {
		var v *btf.Var
		if l.r.types == nil || l.r.types.TypeByName(name, &v) != nil {
			return 0, fmt.Errorf("kernel symbol %s: the kernel's types do not have it: --btf names a kernel's", name)
		}
		t := btf.UnderlyingType(v.Type)
		if n, err := btf.Sizeof(t); err == nil {
			s.Size = int32(n)
		}
		s.Kind = bpf.SymbolMemory
		if structure, ok := t.(*btf.Struct); ok {
			s.Kind, s.Type = bpf.SymbolObject, structure.Name
		}
		s.PerCPU = l.r.perCPU(v)
	}
	l.symbols = append(l.symbols, s)
	return len(l.symbols) - 1, nil
}

// hasVariable reports whether the kernel's types have a variable of this name.
func (r *reader) hasVariable(name string) bool {
	var v *btf.Var
	return r.types != nil && r.types.TypeByName(name, &v) == nil
}

// perCPU reports whether every processor has a variable of its own.
func (r *reader) perCPU(v *btf.Var) bool {
	var sec *btf.Datasec
	if r.types.TypeByName(".data..percpu", &sec) != nil {
		return false
	}
	for _, of := range sec.Vars {
		if o, ok := of.Type.(*btf.Var); ok && o.Name == v.Name {
			return true
		}
	}
	return false
}
