// SPDX-License-Identifier: GPL-2.0-only

package interp

import (
	"errors"
	"fmt"
	"slices"

	"github.com/tcsim/tcsim/jit/bpf"
)

// kind selects how the loop handles an instruction.
type kind uint8

// The kinds. kindHole is the second slot of ld_imm64, which is never reached.
const (
	kindHole kind = iota
	kindALU64
	kindALU32
	kindSwap
	kindSext
	kindCast
	kindImm64
	kindLoad
	kindLoadSext
	kindStore
	kindAtomic
	kindPacket
	kindJump
	kindJump32
	kindGoto
	kindMayGoto
	kindCall
	kindHelper
	kindKfunc
	kindTail
	kindExit
)

// op is a decoded instruction. There is one for each slot.
type op struct {
	kind     kind
	code     uint8 // operation within the kind
	dst, src uint8
	size     uint8  // of a memory access in bytes, of a byte swap or sign extension in bits
	reg      bool   // the operand is src, else imm
	off      int32  // displacement, or the slot a jump or call goes to
	imm      uint64 // sign-extended
}

// program is a decoded Program.
type program struct {
	index int
	def   *Program
	code  []op
	funcs []function // by start; funcs[0] is the entry
	onThr int        // index into funcs of the exception callback, 0 for the default
}

// function is one function of a program. id is its index in bpf.Program.Funcs, -1 if that does not
// list it (the verifier removes functions that only dead code calls).
type function struct {
	id         int
	start, end int
	traces     []Trace  // attached to it
	by         *program // whose entry is called in its place; nil for none
}

// funcAt returns the bpf.Program.Funcs index of the function that contains a slot.
func (p *program) funcAt(slot int) int { return p.funcs[p.inner(slot)].id }

// inner returns the index in p.funcs of the function that contains a slot.
func (p *program) inner(slot int) int {
	i, ok := slices.BinarySearchFunc(p.funcs, slot, func(f function, s int) int { return f.start - s })
	if !ok {
		i--
	}
	return i
}

// decode makes the ops of program i. Its error joins one error per mistake.
func (m *Machine) decode(i int, def *Program) (*program, error) {
	if def.Program == nil || len(def.Insns) == 0 {
		return nil, fmt.Errorf("program %d: no instructions", i)
	}
	d := decoder{m: m, p: &program{index: i, def: def, code: make([]op, len(def.Insns))}}
	for slot := 0; slot < len(def.Insns); slot++ {
		if err := d.insn(slot); err != nil {
			d.failed(slot, err)
		}
		if def.Insns[slot].Op == bpf.OpLdImm64 {
			slot++
		}
	}
	if len(d.errs) == 0 {
		d.functions()
	}
	if len(d.errs) > 0 {
		return nil, errors.Join(d.errs...)
	}
	return d.p, nil
}

// decoder collects the mistakes of one program.
type decoder struct {
	m    *Machine
	p    *program
	errs []error
}

func (d *decoder) failed(slot int, err error) {
	d.errs = append(d.errs, fmt.Errorf("decode %s: insn %d (opcode %#02x): %w",
		d.p.def.Name, slot, d.p.def.Insns[slot].Op, err))
}

// functions finds where functions begin, and checks that jumps stay inside them and that none
// runs off its end, as check_subprogs in kernel/bpf/verifier.c does.
func (d *decoder) functions() {
	p := d.p
	starts := map[int]int{0: -1}
	for id, f := range p.def.Funcs {
		if f.Start < 0 || int(f.Start) >= len(p.code) || (id == 0 && f.Start != 0) {
			d.errs = append(d.errs, fmt.Errorf("decode %s: function %d %q starts at slot %d", p.def.Name, id, f.Name, f.Start))
			return
		}
		starts[int(f.Start)] = id
	}
	for _, o := range p.code {
		if o.kind == kindCall || o.kind == kindImm64 && o.code == bpf.PseudoFunc {
			if _, ok := starts[int(o.off)]; !ok {
				starts[int(o.off)] = -1
			}
		}
	}
	for s, id := range starts {
		p.funcs = append(p.funcs, function{id: id, start: s})
	}
	slices.SortFunc(p.funcs, func(a, b function) int { return a.start - b.start })
	for i := range p.funcs {
		f := &p.funcs[i]
		if len(p.def.Funcs) == 0 {
			f.id = i
		}
		f.end = len(p.code)
		if i+1 < len(p.funcs) {
			f.end = p.funcs[i+1].start
		}
		if cb := p.def.ExceptionCallback; cb > 0 && f.id == cb {
			p.onThr = i
		}
		d.flow(f)
	}
	for slot := range p.code {
		if o := &p.code[slot]; o.kind == kindCall {
			o.imm = uint64(p.inner(int(o.off)))
		}
	}
	if p.def.ExceptionCallback != 0 && p.onThr == 0 {
		d.errs = append(d.errs, fmt.Errorf("decode %s: exception callback %d is not a function",
			p.def.Name, p.def.ExceptionCallback))
	}
}

// flow checks the jumps and the end of one function.
func (d *decoder) flow(f *function) {
	last := -1
	for slot := f.start; slot < f.end; slot++ {
		o := &d.p.code[slot]
		if o.kind != kindHole {
			last = slot
		}
		switch o.kind {
		case kindJump, kindJump32, kindGoto, kindMayGoto:
			if to := int(o.off); to < f.start || to >= f.end || d.p.code[to].kind == kindHole {
				d.failed(slot, fmt.Errorf("jump to slot %d, which is not an instruction of this function (slots %d to %d)", to, f.start, f.end-1))
			}
		case kindCall, kindImm64:
			if o.kind == kindImm64 && o.code != bpf.PseudoFunc {
				continue
			}
			if d.p.code[o.off].kind == kindHole {
				d.failed(slot, fmt.Errorf("function at slot %d, the second half of an instruction", o.off))
			}
		}
	}
	if last < 0 || d.p.code[last].kind != kindExit && d.p.code[last].kind != kindGoto {
		d.failed(max(last, f.start), errors.New("the function does not end with exit or a jump"))
	}
}
