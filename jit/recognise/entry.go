// SPDX-License-Identifier: GPL-2.0-only

package recognise

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/tcsim/tcsim/jit/design"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// EntryRules say what every function of a kernel begins and ends with.
type EntryRules struct {
	// Design is the kernel's; of those before 5.10, and of proposals, only what the kernel does with any code is demanded.
	Design design.ID
	// Attached says that functions begin with a place for trampolines (since 5.5).
	Attached bool
	// Fresh says that none is attached.
	Fresh bool
	// IBT says that indirect jumps and calls must land on endbr64.
	IBT bool
	// Poison is what stands at the entry instead, as something before it checks a hash; nil if nothing does.
	Poison []byte
	// Limit is how many tail calls an invocation may take.
	Limit uint32
}

// opening is the code between the attach site and the pushes of registers that a design has.
type opening struct {
	main, sub []byte // what stands before the frame of a main function that carries a counter, and of any other
	limitAt   int    // where in counter the limit stands; 0 if it does not
	// counter puts the counter, or the pointer to it, into the frame of a main function, subCounter into that
	// of a subprogram.
	counter, subCounter []byte
}

// openings are emit_prologue of arch/x86/net/bpf_jit_comp.c: 5.10 and 6.1 alike, and 6.12.
var openings = map[design.ID]opening{
	design.Rework510: {main: []byte{0x31, 0xc0}, sub: []byte{0x66, 0x90}, counter: []byte{0x50}, subCounter: []byte{0x50}},
	design.Rework67:  {main: []byte{0x31, 0xc0}, sub: []byte{0x66, 0x90}, counter: []byte{0x50}, subCounter: []byte{0x50}},
	design.Hier612: {
		main: []byte{0x48, 0x31, 0xc0}, sub: []byte{0x0f, 0x1f, 0x00},
		// cmp rax, limit; ja +6; push rax; mov rax, rsp; jmp +1; push rax; push rax
		counter: []byte{0x48, 0x83, 0xf8, 0, 0x77, 0x06, 0x50, 0x48, 0x89, 0xe0, 0xeb, 0x01, 0x50, 0x50}, limitAt: 3,
		subCounter: []byte{0x50, 0x50},
	},
}

// How much more stack a program has, in bytes, than what it uses itself: for the counter of may_goto, with a time from 6.15 on
// (do_misc_fixups), and for three registers around a bpf_loop that is inlined (optimize_bpf_loop, since 6.0).
const (
	counterRoom = 16
	loopRoom    = 24
)

var endbr64 = []byte{0xf3, 0x0f, 0x1e, 0xfa}

// patchedNops are the nops of five bytes that kernels patch, x86_nops[5] and what 5.10 has on early AMD processors
// (ideal_nops[NOP_ATOMIC5], arch/x86/kernel/alternative.c).
var patchedNops = [][]byte{{0x0f, 0x1f, 0x44, 0, 0}, {0x66, 0x66, 0x66, 0x66, 0x90}}

func isPatchedNop(code []byte) bool {
	return slices.ContainsFunc(patchedNops, func(n []byte) bool { return bytes.HasPrefix(code, n) })
}

// frameLink is push rbp; mov rbp, rsp.
var frameLink = []byte{0x55, 0x48, 0x89, 0xe5}

// EntryFlaws compares how the functions of an image begin and end with what the kernel and their design demand there,
// instruction by instruction, whether a run gets there or not: endbr64, one instruction of five bytes for
// trampolines, the initialisation of the counter, the frame, the choice between counter and pointer, and that
// each exit takes back what the prologue pushed. It errors if the code does not decode.
func EntryFlaws(img *image.Image, rules EntryRules) ([]SiteFlaw, error) {
	open, known := openings[rules.Design]
	if open.limitAt > 0 {
		open.counter = bytes.Clone(open.counter)
		open.counter[open.limitAt] = byte(rules.Limit)
	}
	var out []SiteFlaw
	for i := range img.Funcs {
		f := &img.Funcs[i]
		c, err := decodeAll(f.Code, f.Addr)
		if err != nil {
			return nil, fmt.Errorf("function %d (%s): %w", i, f.Name, err)
		}
		e := entryReader{c: c, off: f.Entry, counts: f.Frame.Counter.Form != image.CounterNone}
		if why := e.edge(&rules, f, i == 0); why != "" {
			out = append(out, SiteFlaw{Func: i, Off: e.off, Text: why, Always: true})
			continue
		}
		if !known || f.ExceptionCB || newRecogniser(c, i != 0, f.Frame.Body).pro.callback {
			continue // the last ones enter the frame of another function
		}
		if why := e.read(&open, &rules, i == 0); why != "" {
			out = append(out, SiteFlaw{Func: i, Off: e.off, Text: why})
			continue
		}
		for _, x := range e.exits() {
			x.Func = i
			out = append(out, x)
		}
	}
	return out, nil
}

// entryReader reads a function from its entry on.
type entryReader struct {
	c      *decodedCode
	off    image.CodeOff
	counts bool // the function carries a counter
	pushed []x86.Reg
}

// edge reads what the kernel does something with in every design: where it enters, and what trampolines are attached to. It
// returns what is wrong at e.off, "" if nothing is.
func (e *entryReader) edge(rules *EntryRules, f *image.FuncImage, main bool) string {
	switch {
	case rules.Poison != nil:
		if !e.take(rules.Poison) {
			return fmt.Sprintf("% x is expected, after which the kernel looks for the nop that it patches", rules.Poison)
		}
	case rules.IBT && !e.take(endbr64):
		return "the kernel enters by an indirect call, and endbr64 is not here"
	}
	if rules.Attached {
		if in := e.at(); in == nil || in.Len != 5 || !in.IsNop && (rules.Fresh || in.Branch != x86.BranchCall && in.Branch != x86.BranchJump) {
			return "trampolines are attached to one instruction of five bytes, and it is not here"
		} else if in.IsNop && !isPatchedNop(e.c.code[e.off:]) {
			return "trampolines are attached to a nop of five bytes, which the kernel compares with its own, and this is another"
		}
		e.off += 5
	}
	if at := f.Frame.Landing; rules.IBT && main && at >= 0 && !bytes.HasPrefix(e.c.code[min(int(at), len(e.c.code)):], endbr64) {
		e.off = at
		return "tail calls land here by an indirect jump, and endbr64 is not here"
	}
	return ""
}

// read goes through the rest of the prologue and returns what is wrong at e.off, "" if nothing is.
func (e *entryReader) read(open *opening, rules *EntryRules, main bool) string {
	before := open.sub
	if main && e.counts {
		before = open.main
	}
	if !e.take(before) {
		return fmt.Sprintf("% x is expected before the frame", before)
	}
	if !e.take(frameLink) {
		return "push rbp; mov rbp, rsp is expected"
	}
	if rules.IBT && !e.take(endbr64) {
		return "tail calls land here by an indirect jump, and endbr64 is not here"
	}
	if in := e.at(); in != nil && in.Op == "sub" && in.Writes.Has(x86.RSP) {
		v, imm := in.Imm()
		if !imm || v <= 0 || v%8 != 0 || v > maxBPFStack+counterRoom+loopRoom || in.Len != 7 {
			return "the stack of the program is not made as the kernel does"
		}
		e.off += 7
	}
	if counter := open.counterOf(main); e.counts && !e.take(counter) {
		return fmt.Sprintf("% x is expected, which keeps tail_call_cnt", counter)
	}
	return e.registers()
}

func (o *opening) counterOf(main bool) []byte {
	if main {
		return o.counter
	}
	return o.subCounter
}

// savedOrder is the order in which registers are pushed (push_r12, push_callee_regs).
var savedOrder = []x86.Reg{x86.R12, x86.RBX, x86.R13, x86.R14, x86.R15}

// registers reads the pushes of registers that the caller wants back.
func (e *entryReader) registers() string {
	for _, r := range savedOrder {
		if in := e.at(); in != nil && in.Is("push", r) {
			e.pushed = append(e.pushed, r)
			e.off += image.CodeOff(in.Len)
		}
	}
	if in := e.at(); in != nil && in.Op == "push" && in.Operands[0].Kind == x86.OpReg && calleeSavedSet.Has(in.Operands[0].Reg) {
		return "this push is out of order"
	}
	if in := e.at(); in != nil && (in.Op == "sub" || in.Op == "add") && in.Writes.Has(x86.RSP) {
		return "the stack of the program is made before registers are pushed, and this comes after"
	}
	return ""
}

// exits are the places at which the frame is taken down: each must pop what was pushed, in reverse.
func (e *entryReader) exits() (out []SiteFlaw) {
	first, _ := e.c.at(e.off)
	for i := first; i < len(e.c.insns); i++ {
		if e.c.insns[i].Op != "leave" {
			continue
		}
		for n, r := range e.pushed {
			at := i - 1 - n
			if at < first || !e.c.insns[at].Is("pop", r) {
				out = append(out, SiteFlaw{Off: e.c.off(i), Text: fmt.Sprintf("the frame is taken down here, and %s is not popped in its turn", r)})
				break
			}
		}
		if in := e.c.insns[i-1-min(len(e.pushed), i-1)]; in.Op == "pop" && in.Operands[0].Kind == x86.OpReg && calleeSavedSet.Has(in.Operands[0].Reg) {
			out = append(out, SiteFlaw{Off: e.c.off(i), Text: "the frame is taken down here, and more is popped than was pushed"})
		}
	}
	return out
}

// at returns the instruction at e.off, nil if none begins there.
func (e *entryReader) at() *x86.Inst {
	if i, ok := e.c.at(e.off); ok && i < len(e.c.insns) {
		return &e.c.insns[i]
	}
	return nil
}

// take skips code if it is here.
func (e *entryReader) take(code []byte) bool {
	if int(e.off)+len(code) > len(e.c.code) || !bytes.Equal(e.c.code[e.off:int(e.off)+len(code)], code) {
		return false
	}
	e.off += image.CodeOff(len(code))
	return true
}
