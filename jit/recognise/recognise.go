// SPDX-License-Identifier: GPL-2.0-only

package recognise

import (
	"bytes"
	"fmt"
	"sync"

	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// Recognise finds out what machine code of one function says about itself: entry, frame, tail-call
// sites and calls. It goes by structure (what the prologue stores where, which of these slots is
// compared with a limit, how the stack is taken down before the function is left), not by kernel
// version, and takes patched sites in any state. sub says that the function is not the first of its
// program and so no target of tail calls.
//
// What bytes cannot tell is left out: Name is empty, FirstInsn and InsnOff are unset, Insn and Map
// of sites and calls are -1. A design it does not know gives Counter.Form CounterNone and no
// sites, but still calls; without a prologue that sets up rbp, Frame.Slots is nil. It fails if the
// code does not decode from the first to the last byte. The result shares code.
func Recognise(code []byte, addr image.Addr, sub bool) (image.FuncImage, error) {
	f := image.FuncImage{Addr: addr, Code: code}
	c, err := decodeAll(code, addr)
	if err != nil {
		return image.FuncImage{}, err
	}
	newRecogniser(c, sub, 0).fill(&f)
	return f, nil
}

// RecogniseImage recognises all functions of one program, the entry first. Of its argument it uses
// Name, Addr, Code, FirstInsn and InsnOff; with the latter, sites and calls get their Insn. Beyond
// what Recognise does, it resolves calls among the functions and lets them learn the design from
// each other: a function that only hands the counter on does not show what it is.
func RecogniseImage(funcs []image.FuncImage) (*image.Image, error) {
	return recogniseImage(funcs, func(*image.FuncImage) image.CodeOff { return 0 })
}

// RecogniseBodies is RecogniseImage for code of which is known where its first BPF instruction begins, from InsnOff: all
// that comes before is the prologue, whatever it is made of. Where it is 0, that is found out.
func RecogniseBodies(funcs []image.FuncImage) (*image.Image, error) {
	return recogniseImage(funcs, func(f *image.FuncImage) image.CodeOff {
		if len(f.InsnOff) == 0 {
			return 0
		}
		return f.InsnOff[0]
	})
}

func recogniseImage(funcs []image.FuncImage, body func(*image.FuncImage) image.CodeOff) (*image.Image, error) {
	img := &image.Image{Funcs: make([]image.FuncImage, len(funcs))}
	rs := make([]*recogniser, len(funcs))
	for i := range funcs {
		f := &funcs[i]
		c, err := decodeAll(f.Code, f.Addr)
		if err != nil {
			return nil, fmt.Errorf("function %d (%s): %w", i, f.Name, err)
		}
		rs[i] = newRecogniser(c, i != 0, body(f))
		img.Funcs[i] = image.FuncImage{Name: f.Name, Addr: f.Addr, Code: f.Code, FirstInsn: f.FirstInsn, InsnOff: f.InsnOff}
	}
	shareDesign(rs)
	entries := map[image.Addr]int{}
	for i, r := range rs {
		r.fill(&img.Funcs[i])
		entries[img.Funcs[i].Addr+image.Addr(img.Funcs[i].Entry)] = i
	}
	for i := range img.Funcs {
		f := &img.Funcs[i]
		for n := range f.Calls {
			if callee, ok := entries[f.Calls[n].Target]; ok {
				f.Calls[n].Func = callee
			}
		}
	}
	Locate(img)
	return img, nil
}

// Locate gives the sites and calls of an image their Insn, from InsnOff of its functions.
func Locate(img *image.Image) {
	for i := range img.Funcs {
		f := &img.Funcs[i]
		for n := range f.TailCalls {
			f.TailCalls[n].Insn = image.InsnAt(f, f.TailCalls[n].Start)
		}
		for n := range f.Calls {
			f.Calls[n].Insn = image.InsnAt(f, f.Calls[n].Off)
		}
	}
}

// shareDesign gives functions that do not show the form of their counter that of a sibling.
func shareDesign(rs []*recogniser) {
	var known *recogniser
	for _, r := range rs {
		if len(r.sites) > 0 {
			known = r
			break
		}
	}
	if known == nil {
		return
	}
	for _, r := range rs {
		r.sibling = known
	}
}

// decodedCode is the code of a function as instructions.
type decodedCode struct {
	code  []byte
	addr  image.Addr
	insns []x86.Inst
	index []int32 // by offset: position in insns, or -1 inside an instruction
}

// decoder remembers decoded instructions, since the same prologues and epilogues are looked at again and again, and the
// functions decoded last, since each is asked for its design, its sites, its entries and its reloads in a row.
type decoder struct {
	cache  x86.Cache
	recent [16]*decodedCode // what is in it is not changed any more
	next   int
}

var decoders = sync.Pool{New: func() any { return new(decoder) }}

func decodeAll(code []byte, addr image.Addr) (*decodedCode, error) {
	d := decoders.Get().(*decoder)
	defer decoders.Put(d)
	for _, c := range d.recent {
		if c != nil && c.addr == addr && bytes.Equal(c.code, code) {
			return c, nil
		}
	}
	c := &decodedCode{code: bytes.Clone(code), addr: addr, index: make([]int32, len(code)), insns: make([]x86.Inst, 0, len(code)/4+1)}
	for i := range c.index {
		c.index[i] = -1
	}
	for off := 0; off < len(code); {
		in, err := d.cache.Decode(code[off:], addr+image.Addr(off))
		if err != nil {
			return nil, fmt.Errorf("offset %#x: %w", off, err)
		}
		c.index[off] = int32(len(c.insns))
		c.insns = append(c.insns, in)
		off += int(in.Len)
	}
	d.recent[d.next%len(d.recent)] = c
	d.next++
	return c, nil
}

// off returns the offset of an instruction; that of the instruction after the last is the length.
func (c *decodedCode) off(i int) image.CodeOff {
	if i >= len(c.insns) {
		return image.CodeOff(len(c.code))
	}
	return image.CodeOff(c.insns[i].PC - c.addr)
}

// at returns the position of the instruction at an offset: ok is false if none begins there.
func (c *decodedCode) at(off image.CodeOff) (int, bool) {
	if off < 0 || int(off) >= len(c.code) || c.index[off] < 0 {
		return 0, off == image.CodeOff(len(c.code))
	}
	return int(c.index[off]), true
}

// target returns the offset that a direct branch goes to: ok is false if it leaves the function.
func (c *decodedCode) target(in *x86.Inst) (image.CodeOff, bool) {
	if !in.Branch.Direct() || in.Target < c.addr || in.Target >= c.addr+image.Addr(len(c.code)) {
		return 0, false
	}
	return image.CodeOff(in.Target - c.addr), true
}

// recogniser is what is known of one function while it is looked at.
type recogniser struct {
	*decodedCode
	sub   bool
	entry image.CodeOff
	body  int // position of the first instruction after the prologue if that is known, else 0
	pro   prologue
	sites []site
	// sibling is a function of the same program that has sites; nil without one.
	sibling *recogniser
}

// newRecogniser looks at a function; body is where its prologue ends, 0 if that is to be found out.
func newRecogniser(c *decodedCode, sub bool, body image.CodeOff) *recogniser {
	r := &recogniser{decodedCode: c, sub: sub}
	r.entry = r.cfiPreamble()
	if i, ok := r.at(body); ok {
		r.body = i
	}
	r.findPrologue()
	r.findSites()
	return r
}

// cfiPreamble returns the size of what lies before bpf_func if the code starts with a CFI preamble
// (cfi_get_offset, arch/x86/include/asm/cfi.h): a comparison of the hash, or its mov for kCFI, which the JIT puts before the
// nops (emit_kcfi) and compilers after them.
func (r *recogniser) cfiPreamble() image.CodeOff {
	const size, unpadded = 16, 5
	if len(r.insns) == 0 {
		return 0
	}
	if in := &r.insns[0]; in.Op == "mov" && in.Len == unpadded && in.Operands[0].Reg == x86.RAX {
		i := 1
		for i < len(r.insns) && r.insns[i].IsNop && r.insns[i].Len == 1 {
			i++
		}
		if at := r.off(i); i < len(r.insns) && r.insns[i].Op == "endbr64" && (at == size || at == unpadded) {
			return at
		}
	}
	if i, ok := r.at(size); !ok || i == len(r.insns) {
		return 0
	}
	for i := range r.insns {
		in := &r.insns[i]
		if in.IsNop || in.Op == "endbr64" {
			continue
		}
		_, imm := in.Imm()
		fine := imm && in.Op == "sub" && r.insns[0].Op == "endbr64" && in.OpBits == 32 &&
			(in.Operands[0].Reg == x86.R10 || in.Operands[0].Reg == x86.RAX)
		kcfi := imm && in.Op == "mov" && in.Len == 5 && in.Operands[0].Reg == x86.RAX && r.off(i+1) == size
		if fine || kcfi {
			return size
		}
		return 0
	}
	return 0
}

// fill writes everything that was found to f.
func (r *recogniser) fill(f *image.FuncImage) {
	f.Entry = r.entry
	f.ExceptionCB = r.pro.callback
	f.Frame = r.frame()
	f.Frame.RunCtx = r.takesRunCtx()
	f.TailCalls = nil
	for i := range r.sites {
		f.TailCalls = append(f.TailCalls, r.sites[i].TailCallSite)
	}
	f.Calls = r.calls()
	f.Faults = r.faults()
}

// calls returns the calls of the body.
func (r *recogniser) calls() []image.CallSite {
	var calls []image.CallSite
	for i := range r.insns {
		in := &r.insns[i]
		if in.Branch != x86.BranchCall && in.Branch != x86.BranchCallIndirect || i < r.pro.end {
			continue
		}
		if to, ok := r.target(in); ok && to != r.entry {
			continue // an inline retpoline calls over its loop
		}
		calls = append(calls, image.CallSite{Insn: -1, Off: r.off(i), Target: in.Target, Func: -1})
	}
	return calls
}

// takesRunCtx reports whether the function takes a struct of the context and a pointer to the counter apart before it
// sets up its frame.
func (r *recogniser) takesRunCtx() bool {
	const most = 8
	i, _ := r.at(r.entry)
	counter := false
	for end := min(i+most, len(r.insns)); i < end && r.insns[i].Op != "push"; i++ {
		in := &r.insns[i]
		if in.Op != "mov" || !in.Load || in.Mem.Base != x86.RDI || in.Mem.Index != x86.RegNone || in.OpBits != 64 {
			continue
		}
		switch {
		case in.Mem.Disp == 8 && in.Operands[0].Reg == x86.RAX:
			counter = true
		case in.Mem.Disp == 0 && in.Operands[0].Reg == x86.RDI:
			return counter
		}
	}
	return false
}
