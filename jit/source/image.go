// SPDX-License-Identifier: GPL-2.0-only

package source

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/recognise"
	"github.com/tcsim/tcsim/jit/x86"
)

// image reads the code that was made and what it says of itself.
func (j *job) image(g *guest) (*image.Image, error) {
	funcs := make([]image.FuncImage, len(j.v.Funcs))
	for n := range funcs {
		f := &funcs[n]
		at, bpfFunc := image.Addr(j.funcWord(n, funcImage)), image.Addr(j.funcWord(n, funcEntry))
		size := j.funcWord(n, funcLen) + uint64(bpfFunc-at)
		if bpfFunc < at || size == 0 || size > bufferSlot {
			return nil, fmt.Errorf("%w: function %d (%s): image at %#x, %d bytes, entry at %#x", jit.ErrEmitter, n, j.v.Funcs[n].Name, uint64(at), size, uint64(bpfFunc))
		}
		f.Name, f.Addr, f.FirstInsn = j.v.Funcs[n].Name, at, j.v.Funcs[n].Start
		f.Code = make([]byte, size)
		if err := g.cpu.Read(at, f.Code); err != nil {
			return nil, err
		}
		f.InsnOff = j.offsets(n)
		if k := len(f.InsnOff); k > 0 && f.InsnOff[k-1] != image.CodeOff(size) {
			return nil, fmt.Errorf("function %d (%s): the last instruction ends at %d of %d bytes", n, f.Name, f.InsnOff[k-1], size)
		}
	}
	img, err := recognise.RecogniseBodies(funcs)
	if err != nil {
		return nil, fmt.Errorf("%w: its code cannot be decoded: %w", jit.ErrEmitter, err)
	}
	for n := range img.Funcs {
		f := &img.Funcs[n]
		f.Entry = image.CodeOff(image.Addr(j.funcWord(n, funcEntry)) - f.Addr)
	}
	img.Program, img.Limit = j.v.Program, j.t.Limit
	return img, nil
}

// describe adds what only the loader knows and checks that no address is unknown.
func (j *job) describe(img *image.Image, g *guest, landing image.CodeOff, private map[int]privateStack) error {
	var refers references
	for n := range img.Funcs {
		f := &img.Funcs[n]
		if err := g.o.refers(f, &refers); err != nil {
			return fmt.Errorf("function %d (%s): %w", n, f.Name, err)
		}
		f.ExceptionCB = j.v.Funcs[n].ExceptionCB
		f.Frame.Landing = -1
		if n == 0 && landing >= 0 {
			f.Frame.Landing = f.Entry + landing
			f.Frame.Kept = recognise.Kept(f)
		}
		switch {
		case len(f.InsnOff) == 0:
		case f.InsnOff[0] != 0:
			f.Frame.Body = f.InsnOff[0]
		default:
			f.InsnOff[0] = f.Frame.Body
		}
		if s, ok := private[n]; ok {
			f.Frame.PrivateFP, f.Frame.PrivateSize = s.of(f.Frame.PrivateFP)
		}
		for i := range f.TailCalls {
			j.site(f, &f.TailCalls[i], landing)
		}
		if err := j.unrecognised(f, n, landing); err != nil {
			return err
		}
	}
	var err error
	img.Module, err = g.module(&refers)
	return err
}

// site fills in which slot a recognised tail call of f is for, and what the JIT says of it that code does not show.
func (j *job) site(f *image.FuncImage, s *image.TailCallSite, landing image.CodeOff) {
	if s.Insn < 0 || int(s.Insn) >= len(j.v.Insns) {
		return
	}
	if n := j.v.Insns[s.Insn].Imm; j.v.Insns[s.Insn].Op == bpf.OpTailCall && n > 0 && int(n) <= len(j.v.Pokes) {
		p := j.v.Pokes[n-1]
		s.Direct, s.Map, s.Key = true, p.Map, p.Key
		// What is patched is what the JIT says, whether it looks like it or not.
		if at := j.placeOf(f, int(n-1), pokeTarget); at >= 0 {
			s.Jump = at
		}
		if at := j.placeOf(f, int(n-1), pokeBypass); at >= 0 {
			s.Bypass = at
		}
		if landing >= 0 {
			s.Enter = image.CodeOff(j.pokeWord(int(n-1), pokeAdj)) - landing
		}
		jump := image.Addr(j.pokeWord(int(n-1), pokeTarget))
		if out := image.Addr(j.pokeWord(int(n-1), pokeOut)); jump != 0 && out != jump+image.PokeSize {
			s.Out = image.CodeOff(int64(out - f.Addr))
		}
	}
}

// unrecognised adds the tail calls of function n that were emitted and not recognised: what the loader
// knows of them, so that they are run and patched nevertheless. It is the JIT's fault if one has no jump.
func (j *job) unrecognised(f *image.FuncImage, n int, landing image.CodeOff) error {
	known := map[bpf.InsnIndex]bool{}
	for i := range f.TailCalls {
		known[f.TailCalls[i].Insn] = true
	}
	for i := range max(len(f.InsnOff)-1, 0) {
		at := f.FirstInsn + bpf.InsnIndex(i)
		if j.v.Insns[at].Op != bpf.OpTailCall || known[at] {
			continue
		}
		s := image.TailCallSite{
			Insn: at, Start: f.InsnOff[i], End: f.InsnOff[i+1], Map: -1,
			Bounds: -1, Limit: -1, Null: -1, Bump: -1, Unwind: -1, Bypass: -1, Jump: -1,
		}
		j.site(f, &s, landing)
		if !s.Direct {
			s.Jump = lastJump(f, s.Start, s.End)
		}
		recognise.Checks(f, &s)
		if s.Jump < 0 {
			return fmt.Errorf("%w: function %d (%s): the code of the tail call, instruction %d, has no jump to another program",
				jit.ErrEmitter, n, f.Name, at)
		}
		f.TailCalls = insertSite(f.TailCalls, s)
	}
	return nil
}

// placeOf returns where an address of direct tail call p is in a function; -1 if it is not in it.
func (j *job) placeOf(f *image.FuncImage, p, word int) image.CodeOff {
	a := image.Addr(j.pokeWord(p, word))
	if word == pokeTarget && a == 0 {
		a = image.Addr(j.pokeWord(p, pokeIP))
	}
	if a < f.Addr || a+image.PokeSize > f.End() {
		return -1
	}
	return image.CodeOff(a - f.Addr)
}

// lastJump returns where the last jump of [from, to) is that leaves the function; -1 if none does.
func lastJump(f *image.FuncImage, from, to image.CodeOff) image.CodeOff {
	at := image.CodeOff(-1)
	for off := from; off < to; {
		in, err := x86.Decode(f.Code[off:], f.Addr+image.Addr(off))
		if err != nil {
			return at
		}
		out := in.Branch == x86.BranchJump && (in.Target < f.Addr || in.Target >= f.End())
		if out || in.Branch == x86.BranchJumpIndirect {
			at = off
		}
		off += image.CodeOff(in.Len)
	}
	return at
}

// insertSite keeps sites in order.
func insertSite(sites []image.TailCallSite, s image.TailCallSite) []image.TailCallSite {
	at, _ := slices.BinarySearchFunc(sites, s, func(a, b image.TailCallSite) int { return cmp.Compare(a.Start, b.Start) })
	return slices.Insert(sites, at, s)
}

// references are what code refers to of the object that the JIT was compiled to.
type references struct {
	called map[image.Addr]bool // functions
	data   bool                // variables
}

// refers adds what the code of a function refers to. A name whose address is unknown is an error, and memory that
// is there while the JIT runs only.
func (o *object) refers(f *image.FuncImage, to *references) error {
	if !o.mayRefer(f) {
		return nil
	}
	for off := 0; off < len(f.Code); {
		in, err := x86.Decode(f.Code[off:], f.Addr+image.Addr(off))
		if err != nil {
			return err
		}
		for _, a := range addresses(&in) {
			name, open := o.openName(a)
			_, isFunc := o.funcAt(a)
			switch {
			case open:
				return fmt.Errorf("the code refers to %s at offset %#x, which tcsim does not know here: %w", name, off, kernels.ErrUnsupported)
			case a >= heapBase && a < jitMemoryEnd:
				return fmt.Errorf("the code refers at offset %#x to %#x, memory that the JIT allocated, which does not go with the code: %w", off, uint64(a), kernels.ErrUnsupported)
			case isFunc:
				if to.called == nil {
					to.called = map[image.Addr]bool{}
				}
				to.called[a] = true
			case o.inModule(a), o.inVariables(a):
				to.data = true
			}
		}
		off += int(in.Len)
	}
	return nil
}

// mayRefer looks for such a name or place at every byte, without decoding: as a distance or as an address.
func (o *object) mayRefer(f *image.FuncImage) bool {
	end := openBase + image.Addr(len(o.open)*openSpace)
	for i := 0; i+4 <= len(f.Code); i++ {
		v := image.Addr(int64(int32(binary.LittleEndian.Uint32(f.Code[i:]))))
		from := f.Addr + image.Addr(i) + 4 // and up to an operand of 4 bytes after the distance
		if v >= moduleBase && v < end || from+v+4 >= moduleBase && from+v < end || o.inVariables(v) ||
			v&0xffffffff >= heapBase>>32 && v&0xffffffff <= jitMemoryEnd>>32 {
			return true
		}
	}
	return false
}

// addresses are those that an instruction names.
func addresses(in *x86.Inst) []image.Addr {
	var out []image.Addr
	if in.Branch.Direct() {
		out = append(out, in.Target)
	}
	if v, ok := in.Imm(); ok {
		out = append(out, image.Addr(v), image.Addr(int64(int32(v))))
	}
	if in.HasMem {
		a := image.Addr(int64(in.Mem.Disp))
		if in.Mem.RIPRel {
			a += in.PC + image.Addr(in.Len)
		}
		out = append(out, a)
	}
	return out
}
