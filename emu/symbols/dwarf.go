// SPDX-License-Identifier: GPL-2.0-only

package symbols

import (
	"encoding/binary"
	"slices"

	"github.com/tcsim/tcsim/jit/image"
)

// debugSection is a section of debug information.
type debugSection struct {
	name string
	data []byte
}

// Numbers of DWARF 4 (sections 7.5 to 7.7, 7.23).
const (
	tagCompileUnit, tagSubprogram, tagLabel = 0x11, 0x2e, 0x0a

	atName, atStmtList, atLowPC, atHighPC, atLanguage = 0x03, 0x10, 0x11, 0x12, 0x13
	atCompDir, atProducer, atDeclFile, atDeclLine     = 0x1b, 0x25, 0x3a, 0x3b
	atExternal, atRanges                              = 0x3f, 0x55

	formAddr, formData2, formData4, formData8, formString = 0x01, 0x05, 0x06, 0x07, 0x08
	formData1, formSecOffset, formFlagPresent             = 0x0b, 0x17, 0x19

	langMipsAssembler = 0x8001 // any assembly language

	lnsCopy, lnsAdvancePC, lnsAdvanceLine, lnsSetPrologueEnd = 1, 2, 3, 10
	lneEndSequence, lneSetAddress                            = 1, 2
	lineOpcodeBase                                           = 13

	cfaNop, cfaAdvance1, cfaAdvance2, cfaDefCFA = 0x00, 0x02, 0x03, 0x0c
	cfaUndefined, cfaSameValue, cfaOffset       = 0x07, 0x08, 0x80

	dwarfRBP, dwarfRSP, dwarfRA = 6, 7, 16
)

// producer is who made the debug information. gdb trusts its word on how to unwind in epilogues from "GNU" and version 4.5
// on; of others it looks at the code, in two reads for each step (producer_is_gcc_ge_4 and amd64_stack_frame_destroyed_p of
// gdb 13).
const producer = "GNU unwinding 5.0, made by tcsim"

// buf is a section that grows.
type buf []byte

func (b *buf) u8(v ...byte)    { *b = append(*b, v...) }
func (b *buf) u16(v int)       { *b = binary.LittleEndian.AppendUint16(*b, uint16(v)) }
func (b *buf) u32(v int)       { *b = binary.LittleEndian.AppendUint32(*b, uint32(v)) }
func (b *buf) u64(v uint64)    { *b = binary.LittleEndian.AppendUint64(*b, v) }
func (b *buf) str(s string)    { *b = append(append(*b, s...), 0) }
func (b *buf) uleb(v uint64)   { *b = binary.AppendUvarint(*b, v) }
func (b *buf) length(from int) { binary.LittleEndian.PutUint32((*b)[from:], uint32(len(*b)-from-4)) }

// sleb adds a signed number in groups of seven bits.
func (b *buf) sleb(v int64) {
	for {
		c := byte(v & 0x7f)
		v >>= 7
		if v == 0 && c&0x40 == 0 || v == -1 && c&0x40 != 0 {
			b.u8(c)
			return
		}
		b.u8(c | 0x80)
	}
}

// dwarf makes the sections of debug information.
func (f *File) dwarf(pieces []piece) []debugSection {
	return []debugSection{
		{".debug_abbrev", abbreviations()},
		{".debug_info", f.info(pieces)},
		{".debug_line", f.lines(pieces)},
		{".debug_ranges", ranges(pieces)},
		{".debug_frame", frames(pieces)},
	}
}

// The abbreviations of entries.
const (
	abbrevUnit = iota + 1
	abbrevFunc
	abbrevLabel
	abbrevOther
)

func abbreviations() []byte {
	var b buf
	entry := func(code, tag int, children byte, attrs ...uint64) {
		b.uleb(uint64(code))
		b.uleb(uint64(tag))
		b.u8(children)
		for _, a := range attrs {
			b.uleb(a)
		}
		b.u8(0, 0)
	}
	entry(abbrevUnit, tagCompileUnit, 1, atProducer, formString, atLanguage, formData2, atName, formString, atCompDir, formString,
		atLowPC, formAddr, atRanges, formSecOffset, atStmtList, formSecOffset)
	entry(abbrevFunc, tagSubprogram, 1, atName, formString, atDeclFile, formData1, atDeclLine, formData4, atLowPC, formAddr,
		atHighPC, formData8, atExternal, formFlagPresent)
	entry(abbrevLabel, tagLabel, 0, atName, formString, atDeclFile, formData1, atDeclLine, formData4, atLowPC, formAddr)
	entry(abbrevOther, tagSubprogram, 0, atName, formString, atLowPC, formAddr, atHighPC, formData8, atExternal, formFlagPresent)
	b.u8(0)
	return b
}

// info describes the functions.
func (f *File) info(pieces []piece) []byte {
	var b buf
	b.u32(0)
	b.u16(4)
	b.u32(0) // abbreviations
	b.u8(8)  // bytes of an address
	b.uleb(abbrevUnit)
	b.str(producer)
	b.u16(langMipsAssembler)
	b.str(f.Listing)
	b.str(f.Folder)
	b.u64(0)
	b.u32(0)
	b.u32(0)
	for i := range pieces {
		p := &pieces[i]
		if p.fn == nil {
			b.uleb(abbrevOther)
			b.str(p.name)
			b.u64(uint64(p.addr))
			b.u64(uint64(len(p.code)))
			continue
		}
		b.uleb(abbrevFunc)
		b.str(p.name)
		b.u8(1)
		b.u32(p.head)
		b.u64(uint64(p.addr))
		b.u64(uint64(len(p.code)))
		for _, l := range p.labels {
			b.uleb(abbrevLabel)
			b.str(l.name)
			b.u8(1)
			b.u32(l.line)
			b.u64(uint64(p.addr) + uint64(l.off))
		}
		b.u8(0)
	}
	b.u8(0)
	b.length(0)
	return b
}

func ranges(pieces []piece) []byte {
	var b buf
	for i := range pieces {
		b.u64(uint64(pieces[i].addr))
		b.u64(uint64(pieces[i].end()))
	}
	b.u64(0)
	b.u64(0)
	return b
}

// lines makes the line table: the listing is file 1.
func (f *File) lines(pieces []piece) []byte {
	var b buf
	b.u32(0)
	b.u16(4)
	header := len(b)
	b.u32(0)
	b.u8(1, 1, 1, 0xfb, 14, lineOpcodeBase) // instruction length, operations, statement; line base -5, range 14
	b.u8(0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1)
	b.u8(0) // folders
	b.str(f.Listing)
	b.u8(0, 0, 0)
	b.u8(0)
	b.length(header)
	for i := range pieces {
		p := &pieces[i]
		if len(p.rows) == 0 {
			continue
		}
		b.u8(0, 9, lneSetAddress)
		b.u64(uint64(p.addr))
		line, at := 1, image.CodeOff(0)
		for _, r := range p.rows {
			b.u8(lnsAdvancePC)
			b.uleb(uint64(r.off - at))
			b.u8(lnsAdvanceLine)
			b.sleb(int64(r.line - line))
			if r.off == p.body {
				b.u8(lnsSetPrologueEnd)
			}
			b.u8(lnsCopy)
			line, at = r.line, r.off
		}
		b.u8(lnsAdvancePC)
		b.uleb(uint64(image.CodeOff(len(p.code)) - at))
		b.u8(0, 1, lneEndSequence)
	}
	b.length(0)
	return b
}

// frames says how to unwind: where the frame of the caller begins, and where its registers are.
func frames(pieces []piece) []byte {
	var b buf
	entry := func(fill func()) {
		from := len(b)
		b.u32(0)
		fill()
		for (len(b)-from)%8 != 4 {
			b.u8(cfaNop)
		}
		b.length(from)
	}
	entry(func() {
		b.u32(-1)
		b.u8(1, 0)
		b.uleb(1)
		b.sleb(-8)
		b.u8(dwarfRA)
		b.u8(cfaDefCFA, dwarfRSP, 8, cfaOffset|dwarfRA, 1)
	})
	twice := slices.ContainsFunc(pieces, calledTwice)
	for i := range pieces {
		p := &pieces[i]
		entry(func() {
			b.u32(0)
			b.u64(uint64(p.addr))
			b.u64(uint64(len(p.code)))
			switch {
			case p.outermost:
				b.u8(cfaUndefined, dwarfRA)
			case p.fn != nil:
				b.unwind(p.fn, twice)
			}
		})
	}
	return b
}

// advance goes on to the code at an offset.
func (b *buf) advance(at *image.CodeOff, off image.CodeOff) {
	n := int(off - *at)
	for ; n > 0xffff; n -= 0xffff {
		b.u8(cfaAdvance2, 0xff, 0xff)
	}
	switch {
	case n > 0xff:
		b.u8(cfaAdvance2)
		b.u16(n)
	case n > 0:
		b.u8(cfaAdvance1, byte(n))
	}
	*at = off
}
