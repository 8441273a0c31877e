// SPDX-License-Identifier: GPL-2.0-only

package x86

import (
	"fmt"
	"strings"

	"golang.org/x/arch/x86/x86asm"
)

// MaxInstLen is the longest an instruction can be, in bytes (Intel SDM vol. 2A, section 2.3.11).
const MaxInstLen = 15

// Decode decodes the instruction at the start of code, which is to be at address pc. It uses no
// more than MaxInstLen bytes. It fails on invalid and truncated encodings, on prefixes that no
// instruction follows, and on AVX instructions. It is safe for concurrent use.
func Decode(code []byte, pc Addr) (Inst, error) {
	if len(code) > MaxInstLen {
		code = code[:MaxInstLen]
	}
	if len(code) >= 4 && code[0] == 0xf3 && code[1] == 0x0f && code[2] == 0x1e && code[3] == 0xfa {
		// x86asm takes the first byte for an instruction of its own.
		return Inst{PC: pc, Len: 4, Op: "endbr64", Cond: CondNone, Known: true}, nil
	}
	padded := code
	if len(code) > 0 && (code[0] == 0xc4 || code[0] == 0xc5) && len(code) < MaxInstLen {
		padded = make([]byte, MaxInstLen) // x86asm does not see the end of VEX instructions
		copy(padded, code)
	}
	d, err := x86asm.Decode(padded, 64)
	if err != nil {
		return Inst{}, fmt.Errorf("decode % x: %w", code, err)
	}
	if d.Op == 0 {
		return Inst{}, fmt.Errorf("decode % x: prefix without an instruction", code)
	}
	if d.Len <= 0 || d.Len > len(code) {
		return Inst{}, fmt.Errorf("decode % x: %w", code, x86asm.ErrTruncated)
	}
	if vector(&d) {
		return Inst{}, fmt.Errorf("decode % x: %v: vector instructions are not supported", code[:d.Len], d.Op)
	}
	o := &opTable[d.Op]
	i := Inst{PC: pc, Len: uint8(d.Len), Op: o.name, Cond: o.cond}
	if d.Op == x86asm.INT {
		if n, ok := d.Args[0].(x86asm.Imm); ok && n == 3 && code[0] == 0xcc {
			i.Op, d.Args[0] = "int3", nil
			o = &int3Info
		}
	}
	if !i.operands(&d) {
		return Inst{}, fmt.Errorf("decode % x: more operands than supported", code[:d.Len])
	}
	i.vexAddress(code)
	i.prefixes(&d)
	i.width(&d)
	i.attributes(&o.attr, o.known)
	if i.Lock && !i.Store {
		return Inst{}, fmt.Errorf("decode % x: lock prefix without a memory destination", code[:d.Len])
	}
	return i, nil
}

// vector reports whether d is VEX or EVEX coded and not one of the few that work on general purpose
// registers: x86asm gets the length of some wrong, and no JIT emits them.
func vector(d *x86asm.Inst) bool {
	for _, p := range d.Prefix {
		if p == 0 {
			return false
		}
		if p.IsVEX() || p.IsEVEX() {
			break
		}
	}
	switch d.Op {
	case x86asm.SHLX, x86asm.SHRX, x86asm.SARX, x86asm.RORX, x86asm.ANDN, x86asm.BEXTR, x86asm.BZHI,
		x86asm.PDEP, x86asm.PEXT, x86asm.BLSR, x86asm.BLSI, x86asm.BLSMSK, x86asm.MULX:
		return false
	}
	return true
}

// opInfo is what attrOf says of one decoder opcode.
type opInfo struct {
	name  string
	attr  attr
	cond  Cond
	known bool
}

var int3Info = infoOf("int3")

// opTable is indexed by the decoder's opcode.
var opTable = func() []opInfo {
	t := make([]opInfo, x86asm.VZEROUPPER+1) // the decoder's last opcode
	for op := range t[1:] {
		t[op+1] = infoOf(strings.ToLower(x86asm.Op(op + 1).String()))
	}
	return t
}()

func infoOf(name string) opInfo {
	o := opInfo{name: name}
	o.attr, o.cond, o.known = attrOf(name)
	return o
}

// operands converts the decoder's arguments. It reports false if there are more than fit.
func (i *Inst) operands(d *x86asm.Inst) bool {
	for _, a := range d.Args {
		if a == nil {
			break
		}
		if int(i.N) == len(i.Operands) {
			return false
		}
		o := &i.Operands[i.N]
		i.N++
		switch a := a.(type) {
		case x86asm.Reg:
			*o = regOperand(a)
		case x86asm.Imm:
			*o = Operand{Kind: OpImm, Imm: int64(a)}
		case x86asm.Rel:
			*o = Operand{Kind: OpRel}
			i.Target = i.PC + Addr(d.Len) + Addr(int64(a))
		case x86asm.Mem:
			*o = Operand{Kind: OpMem, Bits: uint16(8 * d.MemBytes)}
			if !i.HasMem {
				i.HasMem = true
				i.Mem = memOperand(d, a)
			}
		}
	}
	return true
}

// regOperand converts a register; the decoder numbers each width in the order of the encoding.
func regOperand(r x86asm.Reg) Operand {
	switch {
	case r >= x86asm.RAX && r <= x86asm.R15:
		return Operand{Kind: OpReg, Bits: 64, Reg: Reg(r - x86asm.RAX)}
	case r >= x86asm.EAX && r <= x86asm.R15L:
		return Operand{Kind: OpReg, Bits: 32, Reg: Reg(r - x86asm.EAX)}
	case r >= x86asm.AX && r <= x86asm.R15W:
		return Operand{Kind: OpReg, Bits: 16, Reg: Reg(r - x86asm.AX)}
	case r >= x86asm.AL && r <= x86asm.BL:
		return Operand{Kind: OpReg, Bits: 8, Reg: Reg(r - x86asm.AL)}
	case r >= x86asm.AH && r <= x86asm.BH:
		return Operand{Kind: OpReg, Bits: 8, Reg: Reg(r - x86asm.AH), High: true}
	case r >= x86asm.SPB && r <= x86asm.R15B:
		return Operand{Kind: OpReg, Bits: 8, Reg: RSP + Reg(r-x86asm.SPB)}
	}
	return Operand{Kind: OpOther, Imm: int64(r)}
}

func otherName(o *Operand) string { return strings.ToLower(x86asm.Reg(o.Imm).String()) }

func memOperand(d *x86asm.Inst, a x86asm.Mem) Mem {
	m := Mem{Base: RegNone, Index: RegNone, Disp: a.Disp, Size: uint16(d.MemBytes), Addr32: d.AddrSize == 32}
	if op := d.Opcode >> 24; d.Op != x86asm.MOV || op < 0xa0 || op > 0xa3 {
		m.Disp = int64(int32(a.Disp)) // x86asm does not always extend the sign; only a0-a3 have 64 bits
	}
	switch a.Base {
	case 0:
	case x86asm.RIP, x86asm.EIP:
		m.RIPRel = true
	default:
		m.Base = regOperand(a.Base).Reg
	}
	if a.Index != 0 {
		m.Index = regOperand(a.Index).Reg
		m.Scale = a.Scale
	}
	switch a.Segment {
	case x86asm.FS:
		m.Seg = SegFS
	case x86asm.GS:
		m.Seg = SegGS
	}
	return m
}

// vexAddress mends the address relative to rip of an instruction with a VEX prefix, which x86asm takes for
// an absolute one.
func (i *Inst) vexAddress(code []byte) {
	n := 0
	switch code[0] {
	case 0xc4:
		n = 4
	case 0xc5:
		n = 3
	default:
		return
	}
	if i.HasMem && len(code) > n && code[n]&0xc7 == 0x05 {
		i.Mem.RIPRel = true
	}
}

func (i *Inst) prefixes(d *x86asm.Inst) {
	for _, p := range d.Prefix {
		if p == 0 {
			return
		}
		switch p & 0xff {
		case x86asm.PrefixVEX2Bytes, x86asm.PrefixVEX3Bytes:
			return // what follows is part of it
		case x86asm.PrefixLOCK:
			i.Lock, i.LockPrefix = true, true
		case x86asm.PrefixREP, x86asm.PrefixREPN:
			i.Rep = isString(d.Op)
		case x86asm.PrefixDS:
			i.NoTrack = (d.Op == x86asm.JMP || d.Op == x86asm.CALL) && i.Operands[0].Kind != OpRel
		}
	}
}

func isString(op x86asm.Op) bool {
	switch op {
	case x86asm.MOVSB, x86asm.MOVSW, x86asm.MOVSD, x86asm.MOVSQ,
		x86asm.STOSB, x86asm.STOSW, x86asm.STOSD, x86asm.STOSQ,
		x86asm.LODSB, x86asm.LODSW, x86asm.LODSD, x86asm.LODSQ,
		x86asm.CMPSB, x86asm.CMPSW, x86asm.CMPSD, x86asm.CMPSQ,
		x86asm.SCASB, x86asm.SCASW, x86asm.SCASD, x86asm.SCASQ,
		x86asm.INSB, x86asm.INSW, x86asm.INSD, x86asm.OUTSB, x86asm.OUTSW, x86asm.OUTSD:
		return true
	}
	return false
}

// width sets OpBits.
func (i *Inst) width(d *x86asm.Inst) {
	i.OpBits = uint16(d.DataSize)
	switch d.Op {
	case x86asm.PUSH, x86asm.POP, x86asm.CALL, x86asm.RET, x86asm.JMP, x86asm.LEAVE:
		i.OpBits = 64
		return
	}
	if i.N > 0 && i.Operands[0].Bits != 0 {
		i.OpBits = i.Operands[0].Bits
	}
}
