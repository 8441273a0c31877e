// SPDX-License-Identifier: GPL-2.0-only

// Package adapt fits targets to the kernel of a capture: to what its header says, and to what its code shows.
package adapt

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/design"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/x86"
)

// Target is Header.Target with what the code shows where the header does not say it: see To.
func Target(s *capture.Source) (*jit.Target, error) {
	t, err := s.Header.Target()
	if err != nil {
		return nil, err
	}
	return To(s, t)
}

// To fits a target to the kernel of a capture: structure offsets and context layout are those of the
// header. If it has none, the offsets are read from the tail calls; whether images begin with a CFI
// preamble, and the hashes in it, are always read from the code. Of a target that no capture confirms, the
// features of the build that its name does not say are read, too. Note of the result says what was
// read and differs.
func To(s *capture.Source, t *jit.Target) (*jit.Target, error) {
	a := *t
	if s.Header.Blinds() && a.Emit.Blind == nil {
		blinded, err := jit.TargetByName(t.Name + "-blinded")
		if err != nil {
			return nil, err
		}
		blinded.Note, blinded.Emitter = t.Note, t.Emitter
		a = *blinded
	}
	if s.Header.Context != nil {
		a.Context = kernels.NewContext(*s.Header.Context)
	}
	c := look(s, t.Evidence == design.ByCapture && s.Header.Offsets != nil)
	var said []string
	if s.Header.Offsets != nil {
		a.Offsets = *s.Header.Offsets
	} else if o := c.offsets(t.Offsets, t.Evidence == design.ByCapture); o != t.Offsets {
		a.Offsets = o
		said = append(said, fmt.Sprintf("bpf_map.max_entries is at %#x, bpf_array.ptrs at %#x, bpf_prog.bpf_func at %#x",
			o.MapMaxEntries, o.ArrayPtrs, o.ProgBPFFunc))
	}
	c.preamble(&a.Emit)
	if t.Evidence != design.ByCapture {
		said = append(said, c.build(&a)...)
	}
	if len(said) > 0 {
		if a.Note != "" {
			a.Note += "\n"
		}
		a.Note += fmt.Sprintf("%s: as the code has it, %s", a.Name, strings.Join(said, "; "))
	}
	return &a, nil
}

// shown is what code shows of the build of its kernel.
type shown struct {
	entries, ptrs, fn   map[int32]int // offsets, with how many tail calls have them
	sites               int
	endbr, sls, jumpSLS [2]int // functions or tail calls without and with
	cfi                 kernels.CFIKind
	hashes              [2]uint32 // of main programs and subprograms
}

// enough is how many tail calls and functions are looked at.
const enough = 32

// look reads code until enough was seen; little is enough if nothing of it can matter but a preamble.
func look(s *capture.Source, little bool) *shown {
	c := &shown{entries: map[int32]int{}, ptrs: map[int32]int{}, fn: map[int32]int{}}
	for i := range s.Len() {
		indirect := s.Mentions(i, `"indirect"`)
		first := c.endbr[0]+c.endbr[1] < enough
		if !first && (little || c.sites >= enough) {
			break
		}
		if !first && !indirect {
			continue
		}
		sc, err := s.Scenario(i)
		if err != nil {
			continue // whoever reads that scenario is told
		}
		for n := range sc.Progs {
			if p := &sc.Progs[n]; p.LoadError == "" {
				c.program(p)
			}
		}
	}
	return c
}

// program reads one program.
func (c *shown) program(p *capture.Prog) {
	for i := range p.Funcs {
		code := p.Funcs[i].Code(capture.Empty)
		c.function(code, min(i, 1))
	}
	for _, t := range p.TailCalls {
		if t.Func < len(p.Funcs) {
			c.tailCall(&p.Funcs[t.Func], t.Off)
		}
	}
}

var (
	endbr64   = []byte{0xf3, 0x0f, 0x1e, 0xfa}
	fine      = []byte{0xf3, 0x0f, 0x1e, 0xfa, 0x41, 0x81, 0xea} // endbr64; sub r10d, hash
	fineEAX   = []byte{0xf3, 0x0f, 0x1e, 0xfa, 0x2d}             // endbr64; sub eax, hash
	kcfiNops  = bytes.Repeat([]byte{0x90}, 11)
	preambles = 16 // bytes
)

// function reads what one begins and ends with; of is 0 for a main program and 1 for another function.
func (c *shown) function(code []byte, of int) {
	if len(code) < preambles+4 {
		return
	}
	hash := -1
	switch {
	case bytes.HasPrefix(code, fine):
		c.cfi, hash = kernels.CFIFine, len(fine)
	case bytes.HasPrefix(code, fineEAX):
		c.cfi, hash = kernels.CFIFineEAX, len(fineEAX)
	case code[0] == 0xb8 && bytes.Equal(code[5:preambles], kcfiNops):
		c.cfi, hash = kernels.CFIKernel, 1
	}
	if hash >= 0 {
		c.hashes[of] = uint32(code[hash]) | uint32(code[hash+1])<<8 | uint32(code[hash+2])<<16 | uint32(code[hash+3])<<24
		code = code[preambles:]
	}
	count(&c.endbr, bytes.HasPrefix(code, endbr64))
	switch {
	case bytes.HasSuffix(code, []byte{0xc9, 0xc3, 0xcc}):
		count(&c.sls, true)
	case bytes.HasSuffix(code, []byte{0xc9, 0xc3}):
		count(&c.sls, false)
	}
}

func count(n *[2]int, yes bool) {
	if yes {
		n[1]++
	} else {
		n[0]++
	}
}

// longest is how many instructions of a tail call are read, the prologue included.
const longest = 48

// tailCall reads an indirect tail call: what is loaded through the array in rsi, and through what was
// loaded before.
func (c *shown) tailCall(f *capture.Func, off image.CodeOff) {
	code := f.Code(capture.Empty)
	var entries, ptrs, fn int32
	var holds x86.Reg = x86.RegNone // the pointer to the program
	for n := 0; n < longest && int(off) < len(code); n++ {
		in, err := x86.Decode(code[off:], f.Addr+image.Addr(off))
		if err != nil {
			return
		}
		off += image.CodeOff(in.Len)
		m := &in.Mem
		switch {
		case in.Branch == x86.BranchJumpIndirect:
			count(&c.jumpSLS, int(off) < len(code) && code[off] == 0xcc)
			fallthrough
		case in.Branch == x86.BranchJump, in.Branch == x86.BranchRet:
			if entries != 0 && ptrs != 0 && fn != 0 {
				c.entries[entries]++
				c.ptrs[ptrs]++
				c.fn[fn]++
				c.sites++
			}
			return
		case !in.HasMem || in.N == 0:
		case m.Base == x86.RSI && m.Index == x86.RegNone && entries == 0:
			entries = int32(m.Disp)
		case m.Base == x86.RSI && m.Index == x86.RDX && m.Scale == 8:
			ptrs, holds = int32(m.Disp), in.Operands[0].Reg
		case in.Load && in.Op == "mov" && m.Base == holds && m.Index == x86.RegNone && m.Disp != 0 && fn == 0:
			fn = int32(m.Disp)
		}
	}
}

// offsets are those that the tail calls agree on, else those of the target. What a kernel is known to have is
// doubted only if all of many say otherwise.
func (c *shown) offsets(known kernels.Offsets, captured bool) kernels.Offsets {
	const many = 8
	agreed := len(c.entries) == 1 && len(c.ptrs) == 1 && len(c.fn) == 1
	if c.sites == 0 || captured && (!agreed || c.sites < many) {
		return known
	}
	return kernels.Offsets{MapMaxEntries: most(c.entries), ArrayPtrs: most(c.ptrs), ProgBPFFunc: most(c.fn)}
}

// most returns the value seen most often, the smallest of several.
func most(votes map[int32]int) int32 {
	best, n := int32(0), 0
	for v, times := range votes {
		if times > n || times == n && v < best {
			best, n = v, times
		}
	}
	return best
}

// preamble says where images begin.
func (c *shown) preamble(e *kernels.Emission) {
	switch {
	case e.CFI == kernels.CFINone:
	case c.cfi == kernels.CFINone:
		e.CFIApart = true
	default:
		e.CFIHashes = kernels.CFIHashes{Main: c.hashes[0], Subprog: c.hashes[1]}
	}
}

// build reads the features of the build that the name of the target does not say, and names those that
// differ.
func (c *shown) build(t *jit.Target) []string {
	var said []string
	for _, f := range []struct {
		field *bool
		seen  [2]int
		words []string
		what  string
	}{
		{&t.Emit.ENDBR, c.endbr, []string{"endbr", "noendbr", "kcfi", "fineibt"}, "endbr64 at the entry"},
		{&t.Emit.SLS, c.sls, []string{"sls", "nosls"}, "int3 after returns"},
		{&t.Emit.JumpSLS, c.jumpSLS, []string{"sls", "jumpsls", "nojumpsls"}, "int3 after indirect jumps"},
	} {
		has := f.seen[1] > f.seen[0]
		asked := slices.ContainsFunc(f.words, func(w string) bool { return slices.Contains(t.Features, w) })
		if f.seen == [2]int{} || has == *f.field || asked {
			continue
		}
		*f.field = has
		if has {
			said = append(said, f.what)
		} else {
			said = append(said, "no "+f.what)
		}
	}
	return said
}
