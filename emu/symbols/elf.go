// SPDX-License-Identifier: GPL-2.0-only

package symbols

import (
	"bytes"
	"debug/elf"
	"encoding/binary"

	"github.com/tcsim/tcsim/jit/image"
)

// section is a section of the file.
type section struct {
	elf.Section64
	name string
	data []byte
}

// table is a table of strings; the first is empty.
type table struct{ bytes.Buffer }

func newTable() *table {
	var t table
	t.WriteByte(0)
	return &t
}

// add returns the offset of a string.
func (t *table) add(s string) uint32 {
	n := t.Len()
	t.WriteString(s)
	t.WriteByte(0)
	return uint32(n)
}

// sizes of the structures in a file (elf.Header64 and so on).
const (
	headerSize  = 64
	programSize = 56
	sectionSize = 64
	symbolSize  = 24
)

// encode makes the file: header, program headers, contents of the sections, section headers.
func (f *File) encode(pieces []piece) []byte {
	secs := []section{{}}
	symtab, strtab := make([]byte, symbolSize), newTable()
	symtab, locals := appendSymbol(symtab, elf.Sym64{
		Name: strtab.add(f.Listing), Info: elf.ST_INFO(elf.STB_LOCAL, elf.STT_FILE), Shndx: uint16(elf.SHN_ABS),
	}), 2
	for i := range pieces {
		p := &pieces[i]
		secs = append(secs, section{name: ".text." + p.name, data: p.code, Section64: elf.Section64{
			Type: uint32(elf.SHT_PROGBITS), Flags: uint64(elf.SHF_ALLOC | elf.SHF_EXECINSTR), Addr: uint64(p.addr), Addralign: 1,
		}})
		symtab = appendSymbol(symtab, elf.Sym64{
			Name: strtab.add(p.name), Info: elf.ST_INFO(elf.STB_GLOBAL, elf.STT_FUNC), Shndx: uint16(len(secs) - 1),
			Value: uint64(p.addr), Size: uint64(len(p.code)),
		})
	}
	loads := len(secs) - 1
	for _, d := range f.dwarf(pieces) {
		secs = append(secs, section{name: d.name, data: d.data, Section64: elf.Section64{Type: uint32(elf.SHT_PROGBITS), Addralign: 1}})
	}
	secs = append(secs,
		section{name: ".symtab", data: symtab, Section64: elf.Section64{
			Type: uint32(elf.SHT_SYMTAB), Link: uint32(len(secs) + 1), Info: uint32(locals), Entsize: symbolSize, Addralign: 8,
		}},
		section{name: ".strtab", data: strtab.Bytes(), Section64: elf.Section64{Type: uint32(elf.SHT_STRTAB), Addralign: 1}},
		section{name: ".shstrtab", Section64: elf.Section64{Type: uint32(elf.SHT_STRTAB), Addralign: 1}},
	)
	names := newTable()
	for i := range secs[1:] {
		secs[i+1].Name = names.add(secs[i+1].name)
	}
	secs[len(secs)-1].data = names.Bytes()
	return layOut(secs, loads)
}

func appendSymbol(to []byte, s elf.Sym64) []byte {
	b, _ := binary.Append(to, binary.LittleEndian, s) // a structure of fixed size
	return b
}

// layOut puts sections into a file; those from number 1 on, loads of them, are loaded.
func layOut(secs []section, loads int) []byte {
	at := uint64(headerSize + programSize*loads)
	for i := range secs {
		s := &secs[i]
		if i > 0 {
			s.Off, s.Size = at, uint64(len(s.data))
		}
		at += s.Size
	}
	at = (at + 7) &^ 7
	h := elf.Header64{
		Ident: [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:  uint16(elf.ET_EXEC), Machine: uint16(elf.EM_X86_64), Version: uint32(elf.EV_CURRENT),
		Phoff: headerSize, Shoff: at, Ehsize: headerSize, Phentsize: programSize, Phnum: uint16(loads),
		Shentsize: sectionSize, Shnum: uint16(len(secs)), Shstrndx: uint16(len(secs) - 1),
	}
	var out []byte
	put := func(v any) { out, _ = binary.Append(out, binary.LittleEndian, v) }
	put(h)
	for _, s := range secs[1 : 1+loads] {
		put(elf.Prog64{
			Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_X), Off: s.Off, Vaddr: s.Addr, Paddr: s.Addr,
			Filesz: s.Size, Memsz: s.Size, Align: 1,
		})
	}
	for _, s := range secs {
		out = append(out, s.data...)
	}
	out = append(out, make([]byte, at-uint64(len(out)))...)
	for _, s := range secs {
		put(s.Section64)
	}
	return out
}

// end is the address after a piece.
func (p *piece) end() image.Addr { return p.addr + image.Addr(len(p.code)) }
