// SPDX-License-Identifier: GPL-2.0-only

package count

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/tcsim/tcsim/jit/x86"
)

// writer makes random code of which nothing but the machine knows what it does.
type writer struct {
	r    *rand.Rand
	at   uint64 // where the code will be
	code []byte
	// callee is what may be called: 0 for nothing.
	callee uint64
	helper bool
}

// operandOf is the r/m operand of an instruction: a register, or memory at base + index*scale + disp, where base
// RegNone and no index stand for an absolute address.
type operandOf struct {
	direct      bool
	reg         x86.Reg // direct
	base, index x86.Reg
	scale       byte // 0 to 3, of the index
	disp        int32
	gs, rip     bool // disp is an absolute address with rip, too
}

// emit writes an instruction with a ModRM byte: op is that of eight bits, one more is for others, but where fixed.
func (w *writer) emit(width uint8, fixed bool, op []byte, reg x86.Reg, m operandOf, imm ...byte) {
	if m.gs {
		w.code = append(w.code, 0x65)
	}
	if width == 2 {
		w.code = append(w.code, 0x66)
	}
	rex, rm := byte(0x40), m.base
	if m.direct {
		rm = m.reg
	}
	if width == 8 {
		rex |= 8
	}
	rex |= byte(reg>>3) << 2
	if rm != x86.RegNone {
		rex |= byte(rm >> 3)
	}
	if !m.direct && m.index != x86.RegNone {
		rex |= byte(m.index>>3) << 1
	}
	w.code = append(w.code, rex)
	last := op[len(op)-1]
	if !fixed && width > 1 {
		last++
	}
	w.code = append(append(w.code, op[:len(op)-1]...), last)
	r := byte(reg&7) << 3
	switch {
	case m.direct:
		w.code = append(w.code, 0xc0|r|byte(rm&7))
	case m.rip:
		next := w.at + uint64(len(w.code)) + 5 + uint64(len(imm))
		w.code = binary.LittleEndian.AppendUint32(append(w.code, r|5), uint32(m.disp)-uint32(next))
	case m.index != x86.RegNone:
		w.code = append(w.code, 0x84|r, m.scale<<6|byte(m.index&7)<<3|byte(m.base&7))
		w.code = binary.LittleEndian.AppendUint32(w.code, uint32(m.disp))
	case m.base == x86.RegNone:
		w.code = binary.LittleEndian.AppendUint32(append(w.code, 4|r, 0x25), uint32(m.disp))
	default:
		w.code = append(w.code, 0x84|r, 0x20|byte(m.base&7))
		w.code = binary.LittleEndian.AppendUint32(w.code, uint32(m.disp))
	}
	w.code = append(w.code, imm...)
}

func (w *writer) bytes(b ...byte) { w.code = append(w.code, b...) }

// sized is a number of four bytes.
func sized(n uint32) []byte { return binary.LittleEndian.AppendUint32(nil, n) }

func reg(r x86.Reg) operandOf { return operandOf{direct: true, reg: r} }

func at(base x86.Reg, disp int32) operandOf {
	return operandOf{base: base, index: x86.RegNone, disp: disp}
}

func (w *writer) pick(regs ...x86.Reg) x86.Reg { return regs[w.r.IntN(len(regs))] }

// value is a register that holds anything.
func (w *writer) value() x86.Reg {
	return w.pick(x86.RAX, x86.RCX, x86.RDX, x86.RBX, x86.R8, x86.R9)
}

func (w *writer) width() uint8 { return 1 << w.r.IntN(4) }

// The memory that random code uses: data around a word, and of the stack what belongs to the function, or to the
// first one.
const (
	dataMid   = wordsAt + 0x100
	frameSize = 0x400
	outerAt   = topAt - 0x100 - 8 - frameSize/2 // in the middle of the frame of the first function
)

// memory is an operand in memory.
func (w *writer) memory() operandOf {
	d := int32(w.r.IntN(33)) - 16
	if w.r.IntN(2) == 0 {
		d &^= 7
	}
	switch w.r.IntN(9) {
	case 0:
		return operandOf{base: w.pick(x86.RDI, x86.R10), index: x86.RSI, scale: byte(w.r.IntN(4)), disp: d}
	case 1:
		return at(x86.RegNone, dataMid+d)
	case 2:
		m := at(x86.RegNone, 0x100+d)
		m.gs = true // its base is where data begin
		return m
	case 3:
		return operandOf{rip: true, base: x86.RegNone, index: x86.RegNone, disp: dataMid + d}
	case 4:
		return at(x86.RBP, d-frameSize/2)
	case 5:
		return at(x86.RSP, d+frameSize/2)
	case 6:
		return at(x86.RegNone, outerAt+d)
	}
	return at(w.pick(x86.RDI, x86.R10), d)
}

// operand is a register or memory.
func (w *writer) operand() operandOf {
	if w.r.IntN(3) > 0 {
		return reg(w.value())
	}
	return w.memory()
}

// number is one of few, so that what is called comes with the same ones again.
func (w *writer) number() byte { return []byte{1, 2, 0xff, 0x80}[w.r.IntN(4)] }

func (w *writer) imm(width uint8) []byte {
	v := int64(int8(w.number()))
	b := binary.LittleEndian.AppendUint32(nil, uint32(v))
	return b[:min(width, 4)]
}

// body writes n things to do.
func (w *writer) body(n, depth int) {
	for range n {
		w.thing(depth)
	}
}

func (w *writer) thing(depth int) {
	width := w.width()
	switch w.r.IntN(22) {
	case 0, 1, 2: // mov r, r/m
		w.emit(width, false, []byte{0x8a}, w.value(), w.operand())
	case 3, 4, 5: // mov r/m, r
		w.emit(width, false, []byte{0x88}, w.value(), w.operand())
	case 6: // mov r/m, imm
		w.emit(width, false, []byte{0xc6}, 0, w.operand(), w.imm(width)...)
	case 7, 8: // add, or, and, sub, xor
		op := []byte{0x00, 0x08, 0x20, 0x28, 0x30, 0x00, 0x28}[w.r.IntN(7)]
		if w.r.IntN(2) == 0 {
			w.emit(width, false, []byte{op}, w.value(), w.operand())
			return
		}
		w.emit(width, false, []byte{op + 2}, w.value(), w.operand())
	case 9, 10: // add, or, and, sub, xor of a number
		w.emit(width, false, []byte{0x80}, []x86.Reg{0, 1, 4, 5, 6, 0, 5}[w.r.IntN(7)], w.operand(), w.imm(width)...)
	case 11: // movzx
		w.emit([]uint8{2, 4, 8}[w.r.IntN(3)], true, []byte{0x0f, 0xb6 + byte(w.r.IntN(2))}, w.value(), w.operand())
	case 12: // lea
		w.emit([]uint8{4, 8}[w.r.IntN(2)], true, []byte{0x8d}, w.value(), w.memory())
	case 13: // xadd, xchg
		w.emit(width, false, [][]byte{{0x0f, 0xc0}, {0x86}}[w.r.IntN(2)], w.value(), w.operand())
	case 14: // shl by cl and by a number, neg, not, imul
		switch m := w.operand(); w.r.IntN(5) {
		case 0:
			w.emit(width, false, []byte{0xd2}, 4, m)
		case 1:
			w.emit(width, false, []byte{0xc0}, 4, m, byte(w.r.IntN(8)))
		case 2:
			w.emit(width, false, []byte{0xf6}, 3, m)
		case 3:
			w.emit(width, false, []byte{0xf6}, 2, m)
		default:
			w.emit(max(width, 2), true, []byte{0x0f, 0xaf}, w.value(), m)
		}
	case 15: // push and pop of registers and memory
		w.emit(4, true, []byte{0xff}, 6, w.operand())
		w.body(w.r.IntN(2), depth+1)
		w.emit(4, true, []byte{0x8f}, 0, reg(w.value()))
	case 16: // ah and the like: no REX
		w.bytes([]byte{0x88, 0x8a, 0x00}[w.r.IntN(3)], 0xc0|byte(w.r.IntN(64)))
	case 17: // a pointer moves
		w.emit(8, true, []byte{0x83}, []x86.Reg{0, 5}[w.r.IntN(2)], reg(w.pick(x86.RDI, x86.R10)), 8)
	case 18, 19:
		w.branch(depth)
	case 20, 21:
		w.call()
	}
}

// branch compares, and does something if it comes out so: it jumps, sets a byte, moves, or adds with carry. What keeps the
// flags may come in between.
func (w *writer) branch(depth int) {
	width := w.width()
	switch w.r.IntN(6) {
	case 0:
		w.emit(width, false, []byte{0x38}, w.value(), w.operand()) // cmp r/m, r
	case 1:
		w.emit(width, false, []byte{0x84}, w.value(), w.operand()) // test
	case 2:
		w.emit(width, false, []byte{0x80}, 7, w.operand(), w.imm(width)...) // cmp of a number
	case 3:
		w.emit(width, false, []byte{0x28}, w.value(), w.operand()) // sub
	case 4:
		w.emit(width, false, []byte{0x00}, w.value(), w.operand()) // add
	case 5:
		w.emit(width, false, []byte{[]byte{0x08, 0x20, 0x30}[w.r.IntN(3)]}, w.value(), w.operand()) // or, and, xor
	}
	switch w.r.IntN(5) {
	case 0:
		w.emit(8, true, []byte{0x8b}, w.value(), w.operand())
	case 1:
		w.emit(width, false, []byte{0xfe}, x86.Reg(w.r.IntN(2)), w.operand()) // inc, dec: not of the carry
	case 2:
		w.emit(width, false, []byte{0xd2}, 4, w.operand()) // shl by cl, which may be 0
	}
	cond := byte(2 + w.r.IntN(4)) // b, ae, e, ne
	switch w.r.IntN(6) {
	case 0:
		w.emit(1, true, []byte{0x0f, 0x90 + cond}, 0, w.operand())
	case 1:
		w.emit(max(width, 2), true, []byte{0x0f, 0x40 + cond}, w.value(), w.operand())
	case 2:
		w.emit(width, false, []byte{0x10}, w.value(), w.operand()) // adc
	default:
		inner := *w
		inner.at, inner.code = w.at+uint64(len(w.code))+6, nil
		if depth < 3 {
			inner.body(1+w.r.IntN(3), depth+1)
		}
		w.bytes(0x0f, 0x80+cond)
		w.code = binary.LittleEndian.AppendUint32(w.code, uint32(len(inner.code)))
		w.code = append(w.code, inner.code...)
	}
}

// call calls what there is to call, with pointers that it can use, and has its own ones again afterwards.
func (w *writer) call() {
	to := w.callee
	if w.helper && (to == 0 || w.r.IntN(3) == 0) {
		to = helperAt
	}
	if to == 0 {
		return
	}
	w.bytes(0x57, 0x56, 0x41, 0x52) // push rdi; push rsi; push r10
	if w.r.IntN(3) == 0 {
		w.emit(8, true, []byte{0x8d}, w.pick(x86.RDI, x86.R10), at(x86.RBP, -frameSize/2-8*int32(w.r.IntN(2))))
	}
	if w.r.IntN(4) == 0 {
		w.emit(8, false, []byte{0xc6}, 0, reg(x86.RSI), byte(w.r.IntN(4)), 0, 0, 0)
	}
	odd := w.r.IntN(4) == 0
	if odd {
		w.bytes(0x50) // push rax: the callee's stack is another one
	}
	w.callTo(to)
	if odd {
		w.bytes(0x59)
	}
	w.bytes(0x41, 0x5a, 0x5e, 0x5f)
}

func (w *writer) callTo(to uint64) {
	if w.r.IntN(5) == 0 { // mov r11, to; call r11
		w.emit(8, false, []byte{0xc6}, 0, reg(x86.R11), sized(uint32(to))...)
		w.bytes(0x41, 0xff, 0xd3)
		return
	}
	w.bytes(0xe8)
	w.code = binary.LittleEndian.AppendUint32(w.code, uint32(to-(w.at+uint64(len(w.code))+4)))
}

// function writes one with a frame.
func (w *writer) function() []byte {
	w.bytes(0x55, 0x48, 0x89, 0xe5)                                     // push rbp; mov rbp, rsp
	w.emit(8, true, []byte{0x81}, 5, reg(x86.RSP), sized(frameSize)...) // sub rsp, frameSize
	w.body(2+w.r.IntN(7), 0)
	if w.r.IntN(2) == 0 {
		w.bytes(0xc9, 0xc3)
		return w.code
	}
	w.emit(8, true, []byte{0x81}, 0, reg(x86.RSP), sized(frameSize)...)
	w.bytes(0x5d, 0xc3)
	return w.code
}

// first writes the function that calls another one again and again, with values of which most come back.
func (w *writer) first(calls int) []byte {
	w.emit(8, true, []byte{0x81}, 5, reg(x86.RSP), sized(frameSize)...)
	depth := int32(0)
	for i := range calls {
		for _, r := range []x86.Reg{x86.RAX, x86.RCX, x86.RDX, x86.RBX, x86.R8, x86.R9} {
			if i == 0 || w.r.IntN(8) == 0 {
				w.emit(8, false, []byte{0xc6}, 0, reg(r), w.imm(8)...)
			}
		}
		for _, r := range []x86.Reg{x86.RDI, x86.R10} {
			switch {
			case w.r.IntN(4) == 0:
				w.emit(8, true, []byte{0x8d}, r, at(x86.RSP, depth+frameSize/2+8*int32(w.r.IntN(2))))
			case i == 0 || w.r.IntN(4) == 0:
				w.emit(8, false, []byte{0xc6}, 0, reg(r), sized(dataMid+8*uint32(w.r.IntN(2)))...)
			}
		}
		if i == 0 || w.r.IntN(4) == 0 {
			w.emit(8, false, []byte{0xc6}, 0, reg(x86.RSI), byte(w.r.IntN(3)), 0, 0, 0)
		}
		if w.r.IntN(4) == 0 {
			w.emit(8, false, []byte{0xc6}, 0, at(x86.RegNone, dataMid+8*int32(w.r.IntN(3))-8), w.imm(8)...)
		}
		if w.r.IntN(6) == 0 {
			w.bytes(0x50)
			depth += 8
		}
		w.bytes(0x57, 0x56, 0x41, 0x52, 0x53)
		w.callTo(w.callee)
		w.bytes(0x5b, 0x41, 0x5a, 0x5e, 0x5f)
		w.emit(8, false, []byte{0x88}, x86.RAX, at(x86.RegNone, wordsAt+0x800+8*int32(i)))
	}
	w.emit(8, true, []byte{0x81}, 0, reg(x86.RSP), sized(uint32(frameSize+depth))...)
	w.bytes(0xc3)
	return w.code
}

// randomProgram is a function that calls one that calls another one, and a helper that says truly what it looks at.
func randomProgram(seed uint64) (code map[uint64][]byte, h Helper, does func(p *processor)) {
	r := rand.New(rand.NewPCG(seed, 7))
	third := writer{r: r, at: thirdAt, helper: r.IntN(2) == 0}
	other := writer{r: r, at: otherAt, callee: thirdAt, helper: r.IntN(2) == 0}
	main := writer{r: r, at: codeAt, callee: otherAt}
	code = map[uint64][]byte{helperAt: {0xc3}, thirdAt: third.function(), otherAt: other.function(), codeAt: main.first(24)}
	h = Helper{Name: "h"}
	if r.IntN(2) == 0 {
		h.Regs = append(h.Regs, x86.RSI)
	}
	reads, writes := r.IntN(2) == 0, r.IntN(3) == 0
	size := 1 << r.IntN(4)
	if reads {
		h.Mem = append(h.Mem, HelperMem{x86.RDI, 8, size})
	}
	if writes {
		h.Writes = append(h.Writes, HelperMem{x86.R10, ^uint64(7), size})
	}
	return code, h, func(p *processor) {
		v := uint64(0x1111)
		if len(h.Regs) > 0 {
			v += p.r.R[x86.RSI] * 3
		}
		if reads {
			m, _ := p.Load(p.r.R[x86.RDI]+8, uint8(size))
			v += m * 5
		}
		if writes {
			_ = p.Store(p.r.R[x86.R10]-8, uint8(size), v*7)
		}
		for _, x := range []x86.Reg{x86.RCX, x86.RDX, x86.RSI, x86.RDI, x86.R8, x86.R9, x86.R10, x86.R11} {
			p.r.R[x] = 0xbad
		}
		p.r.R[x86.RAX] = v
	}
}

// TestRandomCode runs random code with summaries and without: registers, memory and numbers are the same. Many calls
// must not have been executed, or nothing was tried.
func TestRandomCode(t *testing.T) {
	calls, reused := uint64(0), uint64(0)
	n := uint64(800)
	if testing.Short() {
		n = 300
	}
	for seed := range n {
		code, h, does := randomProgram(seed)
		run := func() *processor { return &processor{code: code, mem: new(space), helper: does, gs: wordsAt} }
		reused += same(t, run, func(r *Regs) (Helper, bool) { return h, r.RIP == helperAt })
		calls += 24
		if t.Failed() {
			t.Fatalf("seed %d: f % x, g % x, first % x, helper %+v", seed, code[otherAt], code[thirdAt], code[codeAt], h)
		}
	}
	if t.Logf("%d calls by the first function, %d calls were not executed", calls, reused); reused < calls/4 {
		t.Errorf("of %d calls only %d were not executed", calls, reused)
	}
}
