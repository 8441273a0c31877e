// SPDX-License-Identifier: GPL-2.0-only

package object

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/kernels"
)

// kconfig is the section that variables of the kernel's configuration are declared in.
const kconfig = ".kconfig"

// external is what a file refers to and does not define.
type external struct {
	weak map[string]bool // symbols that need not be there
	// hidden are functions that other files do not see: loaders make them static.
	hidden map[string]bool
	// names are the undefined symbols that instructions refer to, by section and offset.
	names map[place]string
	funcs map[string]place // where functions begin
}

type place struct {
	section int
	off     uint64
}

// externs reads symbols and relocations; damaged ones are left out, as cilium/ebpf has read them too.
func externs(f *elf.File) *external {
	x := &external{weak: map[string]bool{}, hidden: map[string]bool{}, names: map[place]string{}, funcs: map[string]place{}}
	syms, err := f.Symbols()
	if err != nil {
		return x
	}
	for _, s := range syms {
		switch {
		case s.Section == elf.SHN_UNDEF && elf.ST_BIND(s.Info) == elf.STB_WEAK:
			x.weak[s.Name] = true
		case elf.ST_TYPE(s.Info) == elf.STT_FUNC:
			x.funcs[s.Name] = place{int(s.Section), s.Value}
			x.hidden[s.Name] = elf.ST_VISIBILITY(s.Other) == elf.STV_HIDDEN || elf.ST_VISIBILITY(s.Other) == elf.STV_INTERNAL
		}
	}
	for _, sec := range f.Sections {
		if sec.Type != elf.SHT_REL || sec.Size > maxFile {
			continue
		}
		data, err := sec.Data()
		if err != nil {
			continue
		}
		for ; len(data) >= 16; data = data[16:] { // Elf64_Rel
			off, info := binary.LittleEndian.Uint64(data), binary.LittleEndian.Uint64(data[8:])
			if n := info >> 32; n > 0 && n <= uint64(len(syms)) && syms[n-1].Section == elf.SHN_UNDEF {
				x.names[place{int(sec.Info), off}] = syms[n-1].Name
			}
		}
	}
	return x
}

// strengthen makes weak symbols that are no functions global, which cilium/ebpf takes: a map that several files may
// define, and a variable of the kernel's configuration that it need not have. It changes data, which it returns.
func strengthen(data []byte, f *elf.File) []byte {
	for _, sec := range f.Sections {
		if sec.Type != elf.SHT_SYMTAB || sec.Offset > uint64(len(data)) || sec.Size > uint64(len(data))-sec.Offset {
			continue
		}
		for at := sec.Offset; at+elf.Sym64Size <= sec.Offset+sec.Size; at += elf.Sym64Size {
			const bind, section = 4, 6 // where st_info and st_shndx are
			info, index := data[at+bind], binary.LittleEndian.Uint16(data[at+section:])
			defined := elf.SectionIndex(index) != elf.SHN_UNDEF
			if elf.ST_BIND(info) != elf.STB_WEAK || defined && elf.ST_TYPE(info) != elf.STT_OBJECT {
				continue
			}
			name, ok := symbolName(data, f, sec, at)
			if !defined && (!ok || !strings.HasPrefix(name, "CONFIG_") && !strings.HasPrefix(name, "LINUX_")) {
				continue
			}
			data[at+bind] = byte(elf.STB_GLOBAL)<<4 | info&0xf
		}
	}
	return data
}

func symbolName(data []byte, f *elf.File, sec *elf.Section, at uint64) (string, bool) {
	if int(sec.Link) >= len(f.Sections) {
		return "", false
	}
	names := f.Sections[sec.Link]
	from := names.Offset + uint64(binary.LittleEndian.Uint32(data[at:]))
	if from < names.Offset || from >= uint64(len(data)) {
		return "", false
	}
	name, _, ok := bytes.Cut(data[from:], []byte{0})
	return string(name), ok
}

// at returns the undefined symbol that the instruction slots after the start of a function refers to.
func (x *external) at(fn string, slots int) string {
	p, ok := x.funcs[fn]
	if !ok {
		return ""
	}
	p.off += uint64(slots) * bpf.InsnSize
	return x.names[p]
}

// version is a variable in the section of the kernel's configuration whose value is known.
type version struct {
	off, size int
	value     func(*jit.Target) uint64
}

// configured are the variables that loaders answer without the kernel's configuration, by name.
var configured = map[string]func(*jit.Target) uint64{
	"LINUX_KERNEL_VERSION":      func(t *jit.Target) uint64 { return uint64(kernelCode(t)) },
	"LINUX_HAS_SYSCALL_WRAPPER": func(t *jit.Target) uint64 { return since(t, 4, 17) },
	"LINUX_HAS_BPF_COOKIE":      func(t *jit.Target) uint64 { return since(t, 5, 15) },
}

// since is 1 from a version on.
func since(t *jit.Target, major, minor uint32) uint64 {
	if kernelCode(t) >= major<<16|minor<<8 {
		return 1
	}
	return 0
}

// kernelConfig declares the map of the kernel's configuration, which is added next, nil if the file asks for none. Known is what is in
// configured, and a weak variable is 0, as if the kernel did not have it; others are refused where they are read.
func (r *reader) kernelConfig() *ebpf.MapSpec {
	sec := r.configSection()
	if sec == nil || sec.Size == 0 || sec.Size > maxSection {
		return nil
	}
	known := []version{}
	for _, v := range sec.Vars {
		if value := configured[v.Type.TypeName()]; value != nil && v.Size <= 8 {
			known = append(known, version{int(v.Offset), int(v.Size), value})
		}
	}
	r.file.versions[len(r.file.Maps)] = known // where the map is added
	return &ebpf.MapSpec{Name: kconfig, Type: ebpf.Array, KeySize: 4, ValueSize: sec.Size, MaxEntries: 1}
}

func (r *reader) configSection() *btf.Datasec {
	var sec *btf.Datasec
	if r.spec.Types == nil || r.spec.Types.TypeByName(kconfig, &sec) != nil {
		return nil
	}
	return sec
}

// configOffset returns where a variable of the kernel's configuration is; ok is false if its value is
// not known.
func (r *reader) configOffset(name string) (off uint32, ok bool) {
	sec := r.configSection()
	if sec == nil || configured[name] == nil && !r.extern.weak[name] {
		return 0, false
	}
	for _, v := range sec.Vars {
		if v.Type.TypeName() == name {
			return v.Offset, true
		}
	}
	return 0, false
}

// kernelCode is the version of a target's kernel as KERNEL_VERSION makes it; 6.12 stands for designs
// that were never in a kernel.
func kernelCode(t *jit.Target) uint32 {
	v := t.Version
	if v == (kernels.Version{}) || t.Decoded {
		v = kernels.Version{Major: 6, Minor: 12}
	}
	return uint32(v.Major)<<16 | uint32(v.Minor)<<8
}
