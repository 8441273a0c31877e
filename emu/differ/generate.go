// SPDX-License-Identifier: GPL-2.0-only

package differ

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"slices"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/jit/x86"
)

// Variant is a form with registers and an address, and what it may be called with.
type Variant struct {
	Form *Form
	Code []byte
	Inst x86.Inst // the instruction that is compared, which other instructions may precede
	// target is the address in Code that a memory operand has to hold, -1 if it need hold none.
	target int
}

// skipped is an instruction after a branch, which shows whether it was taken: lea rax, [rax+1].
var skipped = []byte{0x48, 0x8d, 0x40, 0x01}

// NewVariant chooses registers, an address and immediates.
func NewVariant(f *Form, r *rand.Rand) (v Variant, err error) {
	v = Variant{Form: f, target: -1}
	n := len(f.op)
	rel := f.imm > 0 && !f.modRM && (n == 1 && (f.op[0]&0xf0 == 0x70 || f.op[0] == 0xe8 || f.op[0] == 0xe9 || f.op[0] == 0xeb) ||
		n == 2 && f.op[1]&0xf0 == 0x80)
	indirect := f.modRM && n == 1 && f.op[0] == 0xff && (f.digit == 2 || f.digit == 4)
	ret := n == 1 && (f.op[0] == 0xc3 || f.op[0] == 0xc2)
	reg := byte(r.IntN(15))
	if reg >= 4 {
		reg++ // never rsp
	}
	at := 0
	switch {
	case ret || indirect && !f.mem:
		if ret {
			reg = 0
		}
		// lea reg, [rip+…]; for a return, push reg
		lea := []byte{0x48 | reg>>3<<2, 0x8d, 0x05 | reg&7<<3, 0, 0, 0, 0}
		at = len(lea)
		if ret {
			lea = append(lea, 0x50)
			at++
		}
		insn := encode(f, r, reg)
		binary.LittleEndian.PutUint32(lea[3:], uint32(at-7+len(insn)+len(skipped)))
		v.Code = append(append(lea, insn...), skipped...)
	case rel:
		v.Code = encode(f, r, reg)
		imm := v.Code[len(v.Code)-int(f.imm):]
		clear(imm)
		imm[0] = byte(len(skipped))
		v.Code = append(v.Code, skipped...)
	case indirect:
		v.Code = append(encode(f, r, reg), skipped...)
		v.target = len(v.Code)
	default:
		v.Code = encode(f, r, reg)
	}
	v.Inst, err = x86.Decode(v.Code[at:], emu.BesideCode+x86.Addr(at))
	return v, err
}

// encode writes the instruction; a register that is its operand is rm.
func encode(f *Form, r *rand.Rand, rm byte) []byte {
	code := slices.Clone(f.prefixes)
	reg := byte(f.digit)
	if f.digit < 0 {
		reg = byte(r.IntN(16))
		if reg == 4 {
			reg = 3
		}
	}
	vvvv := byte(r.IntN(16))
	if vvvv == 4 {
		vvvv = 5
	}
	if f.vex != nil && f.vex[1]&0x1f == 3 {
		vvvv = 0 // rorx has no such register
	}
	m := modRM{index: 4}
	if f.mem {
		m.random(f, r)
	} else {
		m.mod, m.base = 3, rm
	}
	rexR, rexX, rexB := reg>>3&1, m.index>>3&1, m.base>>3&1
	if !f.modRM {
		rexR, rexX = 0, 0
	}
	switch {
	case f.vex == nil:
		rex := rexR<<2 | rexX<<1 | rexB
		if !f.modRM && !f.inOp {
			rex = 0
		}
		if f.wide {
			rex |= 0x48
		} else if rex != 0 || f.modRM && r.IntN(4) == 0 {
			rex |= 0x40 // byte registers are others with it
		}
		if rex != 0 {
			code = append(code, rex)
		}
	default:
		// The two-byte prefix has no X and B; the three-byte one says the same.
		one, two := byte(0xe1), f.vex[len(f.vex)-1]
		if f.vex[0] == 0xc4 {
			one = f.vex[1]
		}
		one = one&0x1f | (^rexR&1)<<7 | (^rexX&1)<<6 | (^rexB&1)<<5
		code = append(code, 0xc4, one, two&0x87|(^vvvv&0xf)<<3)
	}
	code = append(code, f.op...)
	if f.inOp {
		code[len(code)-1] |= rm & 7
	}
	if f.modRM {
		code = m.append(code, reg)
	}
	for range f.imm {
		code = append(code, byte(r.Uint32()))
	}
	if f.imm == 4 && r.IntN(2) == 0 {
		v := interesting(r)
		binary.LittleEndian.PutUint32(code[len(code)-4:], uint32(v))
	}
	if f.imm == 1 && r.IntN(4) == 0 {
		code[len(code)-1] = []byte{0, 1, 31, 32, 63, 64, 0x7f, 0x80, 0xff}[r.IntN(9)]
	}
	return code
}

// modRM is an operand. index 4 means none.
type modRM struct {
	mod, base, index, scale byte
	disp                    int32
	rip, abs                bool
}

func (m *modRM) random(f *Form, r *rand.Rand) {
	gs := slices.Contains(f.prefixes, 0x65)
	switch k := r.IntN(8); {
	case k == 0 && !gs:
		m.rip, m.base = true, 5
		return
	case gs && k < 4: // as kernels reach per-CPU variables
		m.abs, m.base, m.disp = true, 5, int32(emu.BesideWindow-emu.BesideGS)+64+8*int32(r.IntN(8))
		return
	}
	m.base = byte(r.IntN(16))
	if r.IntN(3) == 0 {
		m.index, m.scale = byte(r.IntN(16)), byte(r.IntN(4))
		if m.index == m.base {
			m.index = 4
		}
	}
	m.mod = byte(r.IntN(3))
	switch {
	case m.mod == 0 && m.base&7 == 5:
		m.mod = 1
		fallthrough
	case m.mod == 1:
		m.disp = int32(int8(r.Uint32()))
	case m.mod == 2:
		m.disp = int32(r.Uint32())
	}
}

// append writes ModRM, SIB and displacement. An address relative to rip is filled in for the middle of
// the window, whatever follows it.
func (m *modRM) append(code []byte, reg byte) []byte {
	low := m.mod<<6 | reg&7<<3
	switch {
	case m.mod == 3:
		return append(code, low|m.base&7)
	case m.rip:
		at := emu.BesideCode + x86.Addr(len(code)+5)
		return binary.LittleEndian.AppendUint32(append(code, low|5), uint32(emu.BesideWindow+96-at))
	case m.abs:
		return binary.LittleEndian.AppendUint32(append(code, low|4, 0x25), uint32(m.disp))
	case m.index != 4 || m.base&7 == 4:
		code = append(code, low|4, m.scale<<6|m.index&7<<3|m.base&7)
	default:
		code = append(code, low|m.base&7)
	}
	switch m.mod {
	case 1:
		code = append(code, byte(m.disp))
	case 2:
		code = binary.LittleEndian.AppendUint32(code, uint32(m.disp))
	}
	return code
}

// interesting is a number at the edge of something, or any.
func interesting(r *rand.Rand) uint64 {
	edges := [...]uint64{
		0, 1, 2, ^uint64(0), ^uint64(1), 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff,
		1 << 32, 1<<63 - 1, 1 << 63, 0xffffffff80000000,
	}
	switch r.IntN(4) {
	case 0:
		return edges[r.IntN(len(edges))]
	case 1:
		return uint64(r.IntN(256))
	case 2:
		return uint64(int64(int32(r.Uint32())))
	}
	return r.Uint64()
}

// Input is what the variant is called with: the address that it accesses is in the window.
func (v *Variant) Input(r *rand.Rand) emu.CPU {
	in := emu.CPU{RIP: emu.BesideCode, Flags: r.Uint64() & 0x8d5} // status flags, not DF
	for i := range in.Regs {
		in.Regs[i] = interesting(r)
	}
	for i := 0; i < emu.WindowSize; i += 8 {
		binary.LittleEndian.PutUint64(in.Window[i:], interesting(r))
	}
	in.Regs[x86.RSP] = uint64(emu.BesideWindow) + 128 + 8*uint64(r.IntN(4))
	if v.Inst.Op == "leave" {
		in.Regs[x86.RBP] = uint64(emu.BesideWindow) + 128 + 8*uint64(r.IntN(4))
	}
	if op := v.Inst.Op; (op == "div" || op == "idiv") && r.IntN(4) != 0 {
		in.Regs[x86.RDX] = 0
		if op == "idiv" && in.Regs[x86.RAX]>>(max(v.Inst.OpBits, 8)-1)&1 != 0 {
			in.Regs[x86.RDX] = ^uint64(0)
		}
	}
	at := v.address(&in, r)
	if at >= 0 && v.target >= 0 {
		binary.LittleEndian.PutUint64(in.Window[at:], uint64(emu.BesideCode)+uint64(v.target))
	}
	if at >= 0 && r.IntN(2) == 0 && v.Inst.Op == "cmpxchg" {
		mask := uint64(1)<<(v.Inst.OpBits-1)<<1 - 1
		held := binary.LittleEndian.Uint64(in.Window[at:]) & mask
		if m := &v.Inst.Mem; m.Base != x86.RAX && m.Index != x86.RAX {
			in.Regs[x86.RAX] = in.Regs[x86.RAX]&^mask | held
		} else { // the address is made of rax: memory follows it
			word := binary.LittleEndian.Uint64(in.Window[at:])&^mask | in.Regs[x86.RAX]&mask
			binary.LittleEndian.PutUint64(in.Window[at:], word)
		}
	}
	return in
}

// address sets the registers of an address and returns where in the window it is, -1 if nothing is
// accessed.
func (v *Variant) address(in *emu.CPU, r *rand.Rand) int {
	m := &v.Inst.Mem
	if !v.Inst.HasMem {
		return -1
	}
	if m.RIPRel || m.Base == x86.RegNone && m.Index == x86.RegNone {
		a := x86.Addr(m.Disp)
		if m.RIPRel {
			a += v.Inst.Next()
		}
		if m.Seg == x86.SegGS {
			a += emu.BesideGS
		}
		return int(a - emu.BesideWindow)
	}
	at := 64 + 16*r.IntN(7)
	if r.IntN(4) == 0 && !v.Inst.Lock {
		at += r.IntN(16)
	}
	want := uint64(emu.BesideWindow) + uint64(at) - uint64(m.Disp)
	if m.Seg == x86.SegGS {
		want -= uint64(emu.BesideGS)
	}
	switch {
	case m.Index == x86.RegNone:
		in.Regs[m.Base] = want
	case m.Base == x86.RSP: // the stack stays in the window
		in.Regs[m.Base] = uint64(emu.BesideWindow) + 128
		k := bits.TrailingZeros8(m.Scale)
		rest := want - in.Regs[m.Base]
		in.Regs[m.Index] = rest >> k
		if rest&(uint64(m.Scale)-1) != 0 {
			in.Regs[m.Base] += rest & (uint64(m.Scale) - 1)
		}
		if int64(rest) < 0 {
			in.Regs[m.Index] = uint64(int64(rest) >> k)
		}
	default:
		in.Regs[m.Base] = want - in.Regs[m.Index]*uint64(m.Scale)
	}
	if m.Base == x86.RSP && m.Index == x86.RegNone {
		return int(want + uint64(m.Disp) - uint64(emu.BesideWindow))
	}
	return at
}
