// SPDX-License-Identifier: GPL-2.0-only

package count

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// processor executes the few instructions that the tests of this file use, so that counts of real code are compared
// with its execution without an engine.
type processor struct {
	code   map[uint64][]byte // by address
	mem    *space
	r      Regs
	zero   bool // ZF
	carry  bool // CF
	helper func(p *processor)
	gs     uint64
}

const (
	codeAt   = 0x400000
	otherAt  = 0x410000
	thirdAt  = 0x420000
	helperAt = 0x500000
	returnAt = 0x600000
	wordsAt  = 0x10000 // of data
	bottomAt = 0x20000 // of the stack
	topAt    = 0x22000
	endAt    = 0x22100
)

// space is the memory.
type space [endAt - wordsAt]byte

func (p *processor) Regs() (Regs, error)  { return p.r, nil }
func (p *processor) SetRegs(r Regs) error { p.r = r; return nil }
func (p *processor) GSBase() uint64       { return p.gs }

// bytes are w bytes of memory.
func (p *processor) bytes(a uint64, w uint8) ([]byte, error) {
	if a < wordsAt || a+uint64(w) > endAt {
		return nil, fmt.Errorf("no memory at %#x", a)
	}
	return p.mem[a-wordsAt:][:w], nil
}

func (p *processor) Load(a uint64, w uint8) (uint64, error) {
	b, err := p.bytes(a, w)
	v := uint64(0)
	for i := range b {
		v |= uint64(b[i]) << (8 * i)
	}
	return v, err
}

func (p *processor) Store(a uint64, w uint8, v uint64) error {
	b, err := p.bytes(a, w)
	for i := range b {
		b[i] = byte(v >> (8 * i))
	}
	return err
}

func (p *processor) Inst(a image.Addr) (*x86.Inst, error) {
	for at, code := range p.code {
		if off := uint64(a) - at; off < uint64(len(code)) {
			in, err := x86.Decode(code[off:], a)
			return &in, err
		}
	}
	return nil, fmt.Errorf("no code at %#x", uint64(a))
}

func (p *processor) push(v uint64) {
	p.r.R[x86.RSP] -= 8
	_ = p.Store(p.r.R[x86.RSP], 8, v)
}

func (p *processor) pop() uint64 {
	v, _ := p.Load(p.r.R[x86.RSP], 8)
	p.r.R[x86.RSP] += 8
	return v
}

// Leave implements CPU: a helper is one instruction.
func (p *processor) Leave() (Regs, uint64, error) {
	p.helper(p)
	p.r.RIP = image.Addr(p.pop())
	return p.r, 1, nil
}

func (p *processor) address(in *x86.Inst) uint64 {
	a := uint64(in.Mem.Disp)
	if in.Mem.RIPRel {
		a += uint64(in.Next())
	}
	if in.Mem.Base != x86.RegNone {
		a += p.r.R[in.Mem.Base]
	}
	if in.Mem.Index != x86.RegNone {
		a += p.r.R[in.Mem.Index] * uint64(in.Mem.Scale)
	}
	if in.Mem.Seg == x86.SegGS {
		a += p.gs
	}
	return a
}

// get is an operand, zero-extended but for numbers.
func (p *processor) get(in *x86.Inst, n int) uint64 {
	switch o := in.Operands[n]; {
	case o.Kind == x86.OpImm:
		return uint64(o.Imm)
	case o.Kind == x86.OpReg && o.High:
		return p.r.R[o.Reg] >> 8 & 0xff
	case o.Kind == x86.OpReg:
		return mask(p.r.R[o.Reg], uint8(o.Bits/8))
	}
	v, _ := p.Load(p.address(in), uint8(in.Mem.Size))
	return v
}

// set writes an operand: of 64 and 32 bits the whole register.
func (p *processor) set(in *x86.Inst, n int, v uint64) {
	switch o := in.Operands[n]; {
	case o.Kind == x86.OpMem:
		_ = p.Store(p.address(in), uint8(in.Mem.Size), v)
	case o.High:
		p.r.R[o.Reg] = p.r.R[o.Reg]&^0xff00 | v&0xff<<8
	case o.Bits < 32:
		w := uint8(o.Bits / 8)
		p.r.R[o.Reg] = p.r.R[o.Reg]&^mask(^uint64(0), w) | mask(v, w)
	default:
		p.r.R[o.Reg] = mask(v, uint8(o.Bits/8))
	}
}

// holds says whether a condition does. The four that there are look at ZF and CF.
func (p *processor) holds(c x86.Cond) bool {
	switch c {
	case x86.CondE:
		return p.zero
	case x86.CondNE:
		return !p.zero
	case x86.CondB:
		return p.carry
	case x86.CondAE:
		return !p.carry
	}
	panic("the test's processor does not know the condition")
}

// alu computes what an instruction makes of its first operands, and sets the flags.
func (p *processor) alu(in *x86.Inst, a, b uint64) (v uint64, ok bool) {
	w := uint8(in.OpBits / 8)
	a, b = mask(a, w), mask(b, w)
	old := p.carry
	switch in.Op {
	case "add", "xadd":
		v = a + b
		p.carry = mask(v, w) < a
	case "adc":
		v = a + b
		if old {
			v++
		}
		p.carry = mask(v, w) < a || old && mask(v, w) == a
	case "sub", "cmp":
		v = a - b
		p.carry = a < b
	case "inc":
		v = a + 1
	case "dec":
		v = a - 1
	case "and", "test":
		v, p.carry = a&b, false
	case "or":
		v, p.carry = a|b, false
	case "xor":
		v, p.carry = a^b, false
	case "imul":
		v, p.carry = a*b, false
	case "shl":
		v = a << (b & 31)
		if b&31 == 0 {
			return v, true
		}
		p.carry = a>>(32-b&31)&1 != 0
	case "neg":
		v, p.carry = -a, a != 0
	case "not":
		return ^a, true
	default:
		return 0, false
	}
	p.zero = mask(v, w) == 0
	return v, true
}

// Step implements CPU.
func (p *processor) Step() (Regs, error) {
	in, err := p.Inst(p.r.RIP)
	if err != nil {
		return p.r, err
	}
	next := in.Next()
	switch in.Op {
	case "mov", "movzx":
		p.set(in, 0, p.get(in, 1))
	case "lea":
		p.set(in, 0, p.address(in))
	case "cmp", "test":
		p.alu(in, p.get(in, 0), p.get(in, 1))
	case "xadd":
		a, b := p.get(in, 0), p.get(in, 1)
		v, _ := p.alu(in, a, b)
		p.set(in, 1, a)
		p.set(in, 0, v)
	case "xchg":
		a, b := p.get(in, 0), p.get(in, 1)
		p.set(in, 1, a)
		p.set(in, 0, b)
	case "push":
		v := p.get(in, 0)
		p.push(v)
	case "pop":
		v := p.pop()
		p.set(in, 0, v)
	case "leave":
		p.r.R[x86.RSP] = p.r.R[x86.RBP]
		p.r.R[x86.RBP] = p.pop()
	case "call":
		to := in.Target
		if in.Branch == x86.BranchCallIndirect {
			to = image.Addr(p.get(in, 0))
		}
		p.push(uint64(next))
		next = to
	case "jmp":
		if next = in.Target; in.Branch == x86.BranchJumpIndirect {
			next = image.Addr(p.get(in, 0))
		}
	case "ret":
		next = image.Addr(p.pop())
	case "nop", "endbr64":
	default:
		switch {
		case in.Branch == x86.BranchCond:
			if p.holds(in.Cond) {
				next = in.Target
			}
		case strings.HasPrefix(in.Op, "set"):
			v := uint64(0)
			if p.holds(in.Cond) {
				v = 1
			}
			p.set(in, 0, v)
		case strings.HasPrefix(in.Op, "cmov"):
			v := p.get(in, 0)
			if p.holds(in.Cond) {
				v = p.get(in, 1)
			}
			p.set(in, 0, v)
		default:
			b := uint64(0)
			if in.N > 1 {
				b = p.get(in, 1)
			}
			v, ok := p.alu(in, p.get(in, 0), b)
			if !ok {
				return p.r, fmt.Errorf("the test's processor does not know %s", in.String())
			}
			p.set(in, 0, v)
		}
	}
	p.r.RIP = next
	return p.r, nil
}

// images are the functions that the processor has code of.
func (p *processor) images() []*image.Image {
	img := &image.Image{}
	for _, at := range []uint64{codeAt, otherAt, thirdAt} {
		if code := p.code[at]; code != nil {
			f := image.FuncImage{Name: fmt.Sprintf("f%x", at), Addr: image.Addr(at), Code: code}
			f.Frame.Landing = -1
			img.Funcs = append(img.Funcs, f)
		}
	}
	return []*image.Image{img}
}

// config is that of a run of the processor, which is made to begin.
func (p *processor) config() Config {
	p.r.RIP = codeAt
	p.r.R[x86.RSP] = topAt - 0x100
	p.push(returnAt)
	return Config{
		Images: p.images(), StackLow: bottomAt, StackHigh: topAt, Return: returnAt,
		Helper: func(*Regs) (Helper, bool) { return Helper{}, false },
	}
}

// counted runs code with summaries or without them.
func (p *processor) counted(t *testing.T, plain bool, h func(*Regs) (Helper, bool)) *Result {
	t.Helper()
	cfg := p.config()
	cfg.Helper, cfg.NoReuse = h, plain
	res, err := Count(context.Background(), p, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// execution is what a run of the processor does, counted one by one.
type execution struct {
	ended                        bool
	insns, calls, helpers, tails uint64
	refused                      uint64
	deepest                      uint64
	starts                       []uint64 // of each function
	moments                      []moment
}

// moment is when the processor is about to execute an instruction of a function.
type moment struct {
	path  []image.Addr
	at    image.Addr
	insns uint64 // executed before
	r     Regs
	top   uint64 // of the stack
}

func (e *execution) String() string {
	return fmt.Sprintf("%d instructions, %d calls, %d of helpers, %d tail calls, %d refused, %d bytes, starts %d",
		e.insns, e.calls, e.helpers, e.tails, e.refused, e.deepest, e.starts)
}

// numbers are those of a count in the same form.
func numbers(r *Result) string {
	e := &execution{
		insns: r.Insns.Uint64(), calls: r.Calls.Uint64(), helpers: r.Helpers.Uint64(), tails: r.TailCalls.Uint64(),
		refused: r.RefusedLimit.Uint64() + r.RefusedBounds.Uint64() + r.RefusedEmpty.Uint64(), deepest: r.Deepest,
	}
	for _, s := range r.Starts {
		e.starts = append(e.starts, s.N.Uint64())
	}
	return e.String()
}

// same compares registers and memory at the end.
func (p *processor) same(t *testing.T, want *processor) {
	t.Helper()
	if want.r != p.r {
		t.Errorf("registers %x, counted %x", want.r, p.r)
	}
	if *p.mem == *want.mem {
		return
	}
	for i := range p.mem {
		if p.mem[i] != want.mem[i] {
			t.Errorf("[%#x] is %#x, counted %#x", wordsAt+i, want.mem[i], p.mem[i])
		}
	}
}

// execute runs at most so many instructions.
func (p *processor) execute(t *testing.T, most uint64) *execution {
	t.Helper()
	cfg := p.config()
	e, began := &execution{}, map[uint64]uint64{codeAt: 1}
	var path []image.Addr
	first := p.r.R[x86.RSP] + 8
	for p.r.RIP != returnAt && e.insns < most {
		e.deepest = max(e.deepest, first-p.r.R[x86.RSP])
		e.insns++
		if p.r.RIP == helperAt {
			e.helpers++
			if _, _, err := p.Leave(); err != nil {
				t.Fatal(err)
			}
			continue
		}
		in, err := p.Inst(p.r.RIP)
		if err != nil {
			t.Fatal(err)
		}
		v, _ := p.Load(p.r.R[x86.RSP], 8)
		e.moments = append(e.moments, moment{slices.Clone(path), p.r.RIP, e.insns - 1, p.r, v})
		from := p.r.RIP
		if _, err := p.Step(); err != nil {
			t.Fatal(err)
		}
		to := uint64(p.r.RIP)
		switch {
		case in.Op == "call" && p.code[to] != nil && to != helperAt:
			path = append(path, in.Next())
			e.calls++
			began[to]++
		case in.Op == "ret" && len(path) > 0:
			path = path[:len(path)-1]
		case in.Op == "jmp": // the only ones are those of loops
			e.tails++
			began[otherAt]++
		case from+6+5 == p.r.RIP && in.Op == "je" && e.tails > 0:
			e.refused++
		}
	}
	for _, at := range []uint64{codeAt, otherAt, thirdAt} {
		if p.code[at] != nil {
			e.starts = append(e.starts, began[at])
		}
	}
	e.ended = p.r.RIP == cfg.Return
	return e
}
