// SPDX-License-Identifier: GPL-2.0-only

package symbols

import (
	"fmt"
	"strings"

	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/jit/image"
)

// File is what an ELF file is made of.
type File struct {
	Funcs []Func // of programs
	// Others is code around them: helpers, thunks, the outside caller.
	Others []Other
	// Listing is the name of the file that the listing will be in, Folder the folder, as an absolute path.
	Listing, Folder string
}

// Func is a function of a program. Its code is as it is now, which pokes may have changed.
type Func struct {
	*trace.Fn
	Code []byte
}

// Other is code that is known by name only.
type Other struct {
	Name string
	Addr image.Addr
	Code []byte
	// Outermost says that the stack ends here.
	Outermost bool
}

// piece is a function with what the sections say of it.
type piece struct {
	name      string
	addr      image.Addr
	code      []byte
	fn        *trace.Fn // nil for others
	outermost bool
	head      int           // line of the heading, from 1
	rows      []row         // of the line table
	labels    []label       // places inside
	listing   []string      // its lines
	body      image.CodeOff // where the prologue ends
}

// row says on which line the code at an offset is.
type row struct {
	off  image.CodeOff
	line int
}

// label is a place inside a function that has a name.
type label struct {
	name string
	off  image.CodeOff
	line int
}

// Encode returns the listing and the ELF file.
func (f *File) Encode() (listing string, elf []byte) {
	pieces := f.pieces()
	var text strings.Builder
	line := 1
	for i := range pieces {
		p := &pieces[i]
		if p.fn == nil {
			continue
		}
		p.head = line
		for k := range p.rows {
			p.rows[k].line += line
		}
		for k := range p.labels {
			p.labels[k].line += line
		}
		for _, l := range p.listing {
			text.WriteString(l + "\n")
		}
		text.WriteString("\n")
		line += len(p.listing) + 1
	}
	return text.String(), f.encode(pieces)
}

// pieces lists all code. Lines are relative to the piece.
func (f *File) pieces() []piece {
	var out []piece
	names := map[string]int{}
	add := func(name string, p piece) {
		p.name = symbolName(name)
		if names[p.name]++; names[p.name] > 1 {
			p.name += fmt.Sprintf(".%d", names[p.name])
		}
		out = append(out, p)
	}
	for _, fn := range f.Funcs {
		now := *fn.FuncImage
		now.Code, now.Name = fn.Code, fn.String()
		p := piece{addr: fn.Addr, code: fn.Code, fn: fn.Fn, body: fn.Frame.Body}
		var at map[image.CodeOff]int
		p.listing, at = image.ListingText(&now, fn.Image.Program)
		for off := image.CodeOff(0); int(off) < len(now.Code); off++ {
			if l, ok := at[off]; ok {
				p.rows = append(p.rows, row{off, l})
			}
		}
		p.label("landing", fn.Frame.Landing, at)
		p.label("body", fn.Frame.Body, at)
		for i, t := range fn.TailCalls {
			p.label(fmt.Sprintf("tailcall%d", i+1), t.Start, at)
		}
		add(fn.String(), p)
	}
	for _, o := range f.Others {
		add(o.Name, piece{addr: o.Addr, code: o.Code, outermost: o.Outermost})
	}
	return out
}

// label names a place, if there is an instruction.
func (p *piece) label(name string, off image.CodeOff, at map[image.CodeOff]int) {
	if l, ok := at[off]; ok && off > 0 {
		p.labels = append(p.labels, label{name, off, l})
	}
}

// symbolName is a name in characters that debuggers take for one.
func symbolName(s string) string {
	if s == "" {
		return "function"
	}
	return strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '.':
			return c
		case c == ':':
			return '.'
		}
		return '_'
	}, s)
}
