// SPDX-License-Identifier: GPL-2.0-only

package object

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"strings"
)

// What loaders take and cilium/ebpf does not is put into words that it takes, in a copy of the file: names of sections in
// place, weak symbols, the types of kernel symbols.

// Names of sections that are replaced, of the same length: further sections of zeroes are data like others, and objects of
// struct_ops without a link are not looked at.
var renamed = []renaming{{".bss.", ".data"}, {".struct_ops\x00", "_struct_ops\x00"}}

type renaming struct{ from, to string }

// exceptionTag begins the declaration tag of a program that names its callback for exceptions. Nothing refers to that, and
// cilium/ebpf drops what nothing in .text refers to: it sees another name of that section.
const (
	exceptionTag = "exception_callback:"
	apart        = "_text"
)

// adaptELF returns the file as cilium/ebpf takes it; data is not changed.
func adaptELF(data []byte, f *elf.File) []byte {
	out := strengthen(bytes.Clone(data), f)
	names := renamed
	if bytes.Contains(data, []byte(exceptionTag)) {
		names = append([]renaming{{".text\x00", apart + "\x00"}}, names...)
	}
	if len(names) > len(renamed) || f.Section(".struct_ops") != nil || hasZeroes(f) {
		for _, sec := range f.Sections {
			if sec.Type == elf.SHT_STRTAB {
				rename(part(out, sec), names)
			}
		}
		if sec := f.Section(".BTF"); sec != nil {
			if raw := part(out, sec); len(raw) >= btfHeader {
				rename(btfPart(raw, btfStrings), names)
			}
		}
	}
	if sec := f.Section(".BTF"); sec != nil {
		untypeSymbols(part(out, sec))
	}
	return out
}

// hasZeroes reports whether there are sections of zeroes besides .bss.
func hasZeroes(f *elf.File) bool {
	for _, s := range f.Sections {
		if strings.HasPrefix(s.Name, ".bss.") {
			return true
		}
	}
	return false
}

// part is what a section holds, nil if it is not in the file.
func part(data []byte, sec *elf.Section) []byte {
	if sec.Type == elf.SHT_NOBITS || sec.Offset > uint64(len(data)) || sec.FileSize > uint64(len(data))-sec.Offset {
		return nil
	}
	return data[sec.Offset : sec.Offset+sec.FileSize]
}

// rename replaces names at the beginning of strings.
func rename(table []byte, names []renaming) {
	for _, r := range names {
		for at := 0; at < len(table); {
			i := bytes.Index(table[at:], []byte(r.from))
			if i < 0 {
				break
			}
			copy(table[at+i:], r.to)
			at += i + len(r.to)
		}
	}
}

// The header of type information and the fields that say where its parts are (struct btf_header).
const (
	btfHeader             = 24
	btfTypes, btfStrings  = 8, 16
	kindVar, kindDataSec  = 14, 15
	kindInt, kindDeclTag  = 1, 17
	kindArray, kindEnum64 = 3, 19
)

// btfPart is a part of type information.
func btfPart(raw []byte, field int) []byte {
	le := binary.LittleEndian
	head, off, size := uint64(le.Uint32(raw[4:])), uint64(le.Uint32(raw[field:])), uint64(le.Uint32(raw[field+4:]))
	if head+off+size > uint64(len(raw)) {
		return nil
	}
	return raw[head+off : head+off+size]
}

// untypeSymbols takes from the variables that stand for symbols of the kernel their types.
func untypeSymbols(raw []byte) {
	if len(raw) < btfHeader {
		return
	}
	le := binary.LittleEndian
	types, names := btfPart(raw, btfTypes), btfPart(raw, btfStrings)
	records := [][]byte{nil} // by number; 0 is void
	for len(types) >= 12 {
		n := recordSize(le.Uint32(types[4:]))
		if n > len(types) {
			return
		}
		records = append(records, types[:n])
		types = types[n:]
	}
	for _, r := range records[1:] {
		info, name := le.Uint32(r[4:]), le.Uint32(r)
		if info>>24&0x1f != kindDataSec || uint64(name) >= uint64(len(names)) || !bytes.HasPrefix(names[name:], []byte(".ksyms\x00")) {
			continue
		}
		for of := r[12:]; len(of) >= 12; of = of[12:] {
			if id := uint64(le.Uint32(of)); id < uint64(len(records)) && id > 0 && le.Uint32(records[id][4:])>>24&0x1f == kindVar {
				le.PutUint32(records[id][8:], 0)
			}
		}
	}
}

// recordSize is how many bytes a type takes by its information word.
func recordSize(info uint32) int {
	n := int(info & 0xffff)
	switch info >> 24 & 0x1f {
	case kindInt, kindVar, kindDeclTag:
		return 16
	case kindArray:
		return 24
	case 4, 5, kindDataSec, kindEnum64: // structures, unions
		return 12 + 12*n
	case 6, 13: // enumerations, prototypes
		return 12 + 8*n
	}
	return 12
}
