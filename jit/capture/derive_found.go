// SPDX-License-Identifier: GPL-2.0-only

package capture

import (
	"fmt"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/recognise"
	"github.com/tcsim/tcsim/jit/x86"
)

// foundSites places the tail calls and the addresses of maps of a program that others loaded, where
// it is unknown at which offset the code of each instruction begins. Tail calls are recognised; the constants of
// ld_imm64 stand in the code in the order of the instructions.
func (s *Scenario) foundSites(p *Prog) error {
	var funcs []image.FuncImage
	for i := range p.Funcs {
		f := &p.Funcs[i]
		funcs = append(funcs, image.FuncImage{Name: f.Name, Addr: f.Addr, Code: f.image[Empty]})
	}
	if img, err := recognise.RecogniseImage(funcs); err == nil { // else p.Undecoded says what is wrong
		for fn := range img.Funcs {
			for _, t := range img.Funcs[fn].TailCalls {
				p.TailCalls = append(p.TailCalls, TailCall{Func: fn, Off: t.Start, Direct: t.Direct})
			}
		}
	}
	starts, err := p.starts()
	if err != nil {
		return err
	}
	for fn := range p.Funcs {
		end := bpf.InsnIndex(len(p.Xlated))
		if fn+1 < len(starts) {
			end = starts[fn+1]
		}
		if err := s.foundMaps(p, fn, starts[fn], end); err != nil {
			return err
		}
	}
	return nil
}

// foundMaps places the addresses of maps that the instructions from start to end of function fn load.
func (s *Scenario) foundMaps(p *Prog, fn int, start, end bpf.InsnIndex) error {
	f := &p.Funcs[fn]
	code := f.image[Empty]
	off := 0
	for i := start; i < end; i++ {
		in := p.Xlated[i]
		if in.Op != bpf.OpLdImm64 {
			continue
		}
		i++
		want := int64(uint64(uint32(in.Imm)) | uint64(uint32(p.Xlated[i].Imm))<<32)
		isMap := in.Src == bpf.PseudoMap || in.Src == bpf.PseudoMapValue
		// Narrower constants have a shorter form, and other pseudo addresses are functions.
		if !isMap && (in.Src != 0 || want == int64(int32(want)) || want == int64(uint32(want))) {
			continue
		}
		if int(in.Dst) >= len(mapReg) {
			continue
		}
		for found := false; !found; {
			if off >= len(code) {
				return fmt.Errorf("function %s: no movabs into %v for xlated instruction %d", f.Name, mapReg[in.Dst], i-1)
			}
			x, err := x86.Decode(code[off:], f.Addr+image.Addr(off))
			if err != nil {
				return fmt.Errorf("function %s: offset %#x: %w", f.Name, off, err)
			}
			v, ok := loads(&x, mapReg[in.Dst])
			if found = ok && x.Len == 10 && (isMap || v == want); found && isMap {
				if err := s.mapAt(p, fn, image.CodeOff(off), i-1, image.Addr(v)); err != nil {
					return err
				}
			}
			off += int(x.Len)
		}
	}
	return nil
}
