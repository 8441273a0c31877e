// SPDX-License-Identifier: GPL-2.0-only

package emit

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/verify"
	"github.com/tcsim/tcsim/jit/x86"
)

// Variant changes what a design does without writing it anew: instructions left out, added, exchanged
// or in another order, another stack depth, other pokes. A copy of a target with a Variant is how the
// consequences of a small change, or of a mistake, are tried out. What stays of the code is laid out
// again, so that jumps lead to the instructions that they led to. Fields that are nil change nothing.
// The functions are called several times for one function of a program and must always do the same.
type Variant struct {
	// Depth returns the size of a stack frame's BPF part in bytes, for the depth that the verifier
	// found. Without it that is rounded up to 8.
	Depth func(depth int32) int32
	// Saved returns which of rbx, r13, r14, r15 a function saves, given which ones it uses.
	Saved func(used [4]bool) [4]bool
	// Code returns the instructions of a part of a function, given those that the design emits. It
	// may keep or change code and its elements.
	Code func(p CodePart, f *verify.FuncInfo, code []Piece) []Piece
	// Insn returns the code of an instruction of BPF, without its jump if it is one, given that which the compiler emits.
	// Calls, tail calls and exits are not asked about: what a design decides is for Code.
	Insn func(in bpf.Insn, code []Piece) []Piece
	// Jump returns the jump of an instruction, of the same size, given that which the compiler emits.
	Jump func(in bpf.Insn, jump []byte) []byte
	// Poke returns what a change of a slot does to one site, given what the design does. Patch.After
	// is an index into the list.
	Poke func(steps []image.Patch) []image.Patch
}

// CodePart is a part of a function's code that a design decides.
type CodePart uint8

// The parts.
const (
	CodePrologue CodePart = iota // after the CFI preamble, with the pushes of registers
	CodeReload                   // what puts the counter or its pointer into rax before a call
	CodeIndirect                 // an indirect tail call
	CodeDirect                   // a direct one
	CodeEpilogue                 // of the first exit, with the return
)

// Piece is an instruction of a part. A new one has Code only, in which nothing is relative to its
// place.
type Piece struct {
	Code []byte
	// Inst is what the design emits, at its offset in the function; the zero value in a new piece.
	Inst x86.Inst
}

// vary changes the part that was emitted from offset from on as the target's Variant wants it. s is
// the site of a tail call, nil in other parts.
func (e *Writer) vary(p CodePart, from int, s *image.TailCallSite) error {
	v := e.Func.Config.Variant
	if v == nil || v.Code == nil {
		return nil
	}
	return e.varied(from, s, func(code []Piece) []Piece { return v.Code(p, &e.Func.Info, code) })
}

// varyInsn changes the code of an instruction that was emitted from offset from on.
func (e *Writer) varyInsn(in *bpf.Insn, from int) error {
	v := e.Func.Config.Variant
	if v == nil || v.Insn == nil || in.Op == bpf.OpTailCall || in.Op == bpf.OpExit || in.Op == bpf.OpCall {
		return nil
	}
	return e.varied(from, nil, func(code []Piece) []Piece { return v.Insn(*in, code) })
}

// varied puts what change makes of the code from offset from on in its place.
func (e *Writer) varied(from int, s *image.TailCallSite, change func([]Piece) []Piece) error {
	l := &relayout{from: image.CodeOff(from), end: image.CodeOff(e.Len()), site: s}
	all := append([]byte(nil), e.Bytes()...)
	code, err := l.pieces(all)
	if err != nil {
		return err
	}
	l.place(code, change(append([]Piece(nil), code...)))
	for i := range l.out {
		if err := l.link(i); err != nil {
			return fmt.Errorf("variant: %s: %w", l.out[i].Inst.String(), err)
		}
	}
	l.moveSite()
	l.moveFaults(e.Func.img)
	e.Reset()
	e.Raw(all[:from]...)
	for i := range l.out {
		e.Raw(l.out[i].Code...)
	}
	return nil
}

// relayout puts the instructions of a part at their new places.
type relayout struct {
	from, end image.CodeOff // of the part, as the design emits it
	site      *image.TailCallSite
	out       []Piece
	at        []image.CodeOff                 // where each of out begins
	kept      map[image.CodeOff]image.CodeOff // from old places to new ones
	moved     map[image.CodeOff]image.CodeOff // the same for what is left out and the end: what comes next
	leads     map[image.CodeOff]x86.Addr      // jumps to the end of the part, whose label may not be known yet
}

// pieces decodes the part.
func (l *relayout) pieces(code []byte) (out []Piece, err error) {
	for off := l.from; off < l.end; {
		in, err := x86.Decode(code[off:], x86.Addr(off))
		if err != nil {
			return nil, fmt.Errorf("variant: at %#x: %w", off, err)
		}
		next := off + image.CodeOff(in.Len)
		out = append(out, Piece{Code: code[off:next:next], Inst: in})
		off = next
	}
	return out, nil
}

// place gives the pieces their new places. What led to one that is left out leads to the one that came
// after it.
func (l *relayout) place(old, out []Piece) {
	l.out, l.at, l.kept = out, make([]image.CodeOff, len(out)), map[image.CodeOff]image.CodeOff{}
	to := l.from
	for i := range out {
		l.at[i] = to
		if out[i].Inst.Len != 0 {
			l.kept[image.CodeOff(out[i].Inst.PC)] = to
		}
		to += image.CodeOff(len(out[i].Code))
	}
	l.moved = maps.Clone(l.kept)
	l.moved[l.end] = to
	for i := len(old) - 1; i >= 0; i-- {
		off := image.CodeOff(old[i].Inst.PC)
		if _, kept := l.moved[off]; kept {
			continue
		}
		l.moved[off] = l.moved[off+image.CodeOff(old[i].Inst.Len)]
	}
	l.leads = map[image.CodeOff]x86.Addr{}
	if s := l.site; s != nil {
		for _, jump := range []image.CodeOff{s.Bounds, s.Limit, s.Null, s.Bypass} {
			l.leads[jump] = x86.Addr(l.end)
		}
	}
}

// link makes a relative jump or call lead where it did.
func (l *relayout) link(i int) error {
	p := &l.out[i]
	if p.Inst.HasMem && p.Inst.Mem.RIPRel {
		return fmt.Errorf("operand relative to rip: %w", kernels.ErrUnsupported)
	}
	if !p.Inst.Branch.Direct() {
		return nil
	}
	to, ok := l.leads[image.CodeOff(p.Inst.PC)]
	if !ok {
		to = p.Inst.Target
	}
	if at, inside := l.moved[image.CodeOff(to)]; inside {
		to = x86.Addr(at)
	}
	rel := int64(to) - int64(l.at[i]) - int64(len(p.Code))
	code := append([]byte(nil), p.Code...)
	p.Code = code
	switch n := len(code); {
	case n == 2 && (code[0]&0xf0 == 0x70 || code[0] == 0xeb):
		if rel != int64(int8(rel)) {
			return fmt.Errorf("distance %d does not fit a byte", rel)
		}
		code[1] = byte(rel)
	case n >= 5 && (code[0]&0xfe == 0xe8 || code[0] == 0x0f && code[1]&0xf0 == 0x80):
		if rel < math.MinInt32 || rel > math.MaxInt32 {
			return fmt.Errorf("distance %d does not fit 4 bytes", rel)
		}
		binary.LittleEndian.PutUint32(code[n-4:], uint32(rel))
	}
	return nil
}

// moveSite moves what is known of a tail call. Marks of instructions that are left out go, but for what
// is patched and where the unwinding begins: that is wherever the next instruction is.
func (l *relayout) moveSite() {
	if l.site == nil {
		return
	}
	s := l.site
	for _, off := range []*image.CodeOff{&s.Unwind, &s.Bypass, &s.Jump} {
		if at, ok := l.moved[*off]; ok {
			*off = at
		}
	}
	for _, off := range []*image.CodeOff{&s.Bounds, &s.Limit, &s.Null, &s.Bump} {
		at, ok := l.kept[*off]
		if !ok {
			at = -1
		}
		*off = at
	}
}

// moveFaults moves what is known of instructions that may fault.
func (l *relayout) moveFaults(f *image.FuncImage) {
	if f == nil {
		return
	}
	for i := range f.Faults {
		s := &f.Faults[i]
		if s.Off < l.from {
			continue
		}
		s.Off, s.Next = l.moved[s.Off], l.moved[s.Next]
	}
}

// poke appends what a change of a slot does to a site.
func (t *Config) poke(p *PokePlan, code Code, s image.PokeSite, old, new image.Addr) {
	n := len(p.steps)
	code.Poke(p, s, old, new)
	if t.Variant == nil || t.Variant.Poke == nil {
		return
	}
	steps := append([]image.Patch(nil), p.steps[n:]...)
	for i := range steps {
		steps[i].After -= n
	}
	steps = t.Variant.Poke(steps)
	for i := range steps {
		steps[i].After += n
	}
	p.steps = append(p.steps[:n], steps...)
}
