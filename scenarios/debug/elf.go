// SPDX-License-Identifier: GPL-2.0-only

package debug

import (
	"bytes"
	"cmp"
	"os"
	"path/filepath"
	"slices"

	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/emu/symbols"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/outfile"
)

// ListingSuffix is what the name of a listing has after that of its ELF file.
const ListingSuffix = ".lst"

// WriteELF writes the code as it is during the run to an ELF file, and the listing that its lines are of beside it.
func (s *Session) WriteELF(file string) error {
	folder, err := filepath.Abs(filepath.Dir(file))
	if err != nil {
		return err
	}
	f := symbols.File{Others: s.others(), Listing: filepath.Base(file) + ListingSuffix, Folder: folder}
	for _, fn := range s.code.Funcs() {
		code, err := s.m.Bytes(fn.Addr, len(fn.Code))
		if err != nil {
			return err
		}
		f.Funcs = append(f.Funcs, symbols.Func{Fn: fn, Code: code})
	}
	listing, elf := f.Encode()
	if err := outfile.Check(file); err != nil {
		return err
	}
	// The listing first: gdb warns of sources that are newer.
	if err := write(file+ListingSuffix, []byte(listing)); err != nil {
		return err
	}
	return write(file, elf)
}

// write writes a file, unless it is as it should be: a debugger may have read it.
func write(file string, data []byte) error {
	if old, err := os.ReadFile(file); err == nil && bytes.Equal(old, data) {
		return nil
	}
	return outfile.Write(file, data)
}

// breakByte fills text between functions.
const breakByte = 0xcc

// others are the functions of the kernel around the programs, by address. Their lengths are unknown: to the
// next one, without what fills the rest.
func (s *Session) others() []symbols.Other {
	out := []symbols.Other{{Name: "kernel", Addr: guest.OutsideReturn - 2, Outermost: true}}
	add := func(name string, a image.Addr) {
		if s.m.Mem.IsText(a) && s.code.Lookup(a) == nil {
			out = append(out, symbols.Other{Name: name, Addr: a})
		}
	}
	for name, a := range s.m.Setup.Symbols {
		add(name, a)
	}
	for r, a := range s.m.Setup.Routines {
		add(r.String(), a)
	}
	slices.SortFunc(out, func(a, b symbols.Other) int {
		return cmp.Or(cmp.Compare(a.Addr, b.Addr), cmp.Compare(a.Name, b.Name))
	})
	out = slices.CompactFunc(out, func(a, b symbols.Other) bool { return a.Addr == b.Addr })
	for i := range out {
		code := make([]byte, guest.ThunkSpace)
		if i+1 < len(out) {
			code = code[:min(len(code), int(out[i+1].Addr-out[i].Addr))]
		}
		code = code[:s.m.Mem.Code(out[i].Addr, code)]
		for len(code) > 1 && code[len(code)-1] == breakByte {
			code = code[:len(code)-1]
		}
		out[i].Code = code
	}
	return out
}
