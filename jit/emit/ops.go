// SPDX-License-Identifier: GPL-2.0-only

package emit

import (
	"errors"
	"fmt"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/x86"
)

// opKind says how the passes treat an instruction.
type opKind uint8

const (
	kindInvalid  opKind = iota
	kindPlain           // fixed size
	kindWide            // ld_imm64
	kindSecond          // its second half
	kindCond            // comparison and conditional jump
	kindJump            // unconditional jump
	kindExit            // the first exit: the epilogue
	kindExitJump        // a later exit: jump to the epilogue
)

// operand says which register fields an opcode uses.
type operand uint8

const (
	usesDst operand = 1 << iota
	usesSrc
)

// opRow is what the compiler knows of an opcode. emit appends all but the jump.
type opRow struct {
	kind opKind
	regs operand
	isa  kernels.ISA
	emit func(*Writer, *bpf.Insn) error
}

// opTable is indexed by the opcode byte; a row without emit is no instruction.
var opTable = makeOpTable()

func makeOpTable() *[256]opRow {
	var t [256]opRow
	for _, class := range []uint8{bpf.ClassALU, bpf.ClassALU64} {
		addALU(&t, class)
	}
	for class, isa := range map[uint8]kernels.ISA{bpf.ClassJmp: 0, bpf.ClassJmp32: kernels.ISAJump32} {
		for op := bpf.JmpEq; op <= bpf.JmpSle; op += 0x10 {
			if op == bpf.JmpCall || op == bpf.JmpExit {
				continue
			}
			isa := isa
			if op == bpf.JmpLt || op == bpf.JmpLe || op == bpf.JmpSlt || op == bpf.JmpSle {
				isa |= kernels.ISAJumpLess
			}
			t[uint8(op)|class] = opRow{kind: kindCond, isa: isa, regs: usesDst, emit: (*Writer).compareImm}
			t[uint8(op)|bpf.SrcReg|class] = opRow{kind: kindCond, isa: isa, regs: usesDst | usesSrc, emit: (*Writer).compareReg}
		}
	}
	none := func(*Writer, *bpf.Insn) error { return nil }
	t[bpf.OpJA] = opRow{kind: kindJump, emit: none}
	t[bpf.OpJA32] = opRow{kind: kindJump, isa: kernels.ISAGotol, emit: none}
	t[bpf.OpCall] = opRow{kind: kindPlain, emit: (*Writer).call}
	t[bpf.OpTailCall] = opRow{kind: kindPlain, emit: (*Writer).tailCall}
	t[bpf.OpExit] = opRow{kind: kindExit, emit: (*Writer).exit}
	t[bpf.OpLdImm64] = opRow{kind: kindWide, regs: usesDst, emit: (*Writer).loadImm64}
	t[bpf.OpNoSpec] = opRow{kind: kindPlain, emit: func(e *Writer, _ *bpf.Insn) error { e.Lfence(); return nil }}
	for size := uint8(0); size < 4; size++ {
		sz := size << 3
		t[bpf.ClassLDX|bpf.ModeMem|sz] = opRow{kindPlain, usesDst | usesSrc, 0, (*Writer).load}
		t[bpf.ClassST|bpf.ModeMem|sz] = opRow{kindPlain, usesDst, 0, (*Writer).storeImm}
		t[bpf.ClassSTX|bpf.ModeMem|sz] = opRow{kindPlain, usesDst | usesSrc, 0, (*Writer).storeReg}
		t[bpf.ClassLDX|bpf.ModeProbeMem|sz] = opRow{kindPlain, usesDst | usesSrc, 0, (*Writer).probeLoad}
		t[bpf.ClassSTX|bpf.ModeAtomic|sz] = opRow{kindPlain, usesDst | usesSrc, 0, (*Writer).atomic}
		t[bpf.ClassLDX|bpf.ModeProbe32|sz] = opRow{kindPlain, usesDst | usesSrc, kernels.ISAArena, (*Writer).arenaLoad}
		t[bpf.ClassST|bpf.ModeProbe32|sz] = opRow{kindPlain, usesDst, kernels.ISAArena, (*Writer).arenaStoreImm}
		t[bpf.ClassSTX|bpf.ModeProbe32|sz] = opRow{kindPlain, usesDst | usesSrc, kernels.ISAArena, (*Writer).arenaStoreReg}
		t[bpf.ClassSTX|bpf.ModeProbeAtomic|sz] = opRow{kindPlain, usesDst | usesSrc, kernels.ISAArena, (*Writer).arenaAtomic}
		if sz != bpf.SizeDW {
			t[bpf.ClassLDX|bpf.ModeMemSX|sz] = opRow{kindPlain, usesDst | usesSrc, kernels.ISASignExtend, (*Writer).load}
			t[bpf.ClassLDX|bpf.ModeArenaSX|sz] = opRow{kindPlain, usesDst | usesSrc, kernels.ISAArenaSignExtend, (*Writer).arenaLoadSX}
			t[bpf.ClassLDX|bpf.ModeProbeMemSX|sz] = opRow{kindPlain, usesDst | usesSrc, kernels.ISASignExtend, (*Writer).probeLoad}
		}
	}
	return &t
}

func addALU(t *[256]opRow, class uint8) {
	both := func(op uint8, imm, reg func(*Writer, *bpf.Insn) error) {
		t[op|class] = opRow{kind: kindPlain, regs: usesDst, emit: imm}
		t[op|bpf.SrcReg|class] = opRow{kind: kindPlain, regs: usesDst | usesSrc, emit: reg}
	}
	for _, op := range []uint8{bpf.ALUAdd, bpf.ALUSub, bpf.ALUOr, bpf.ALUAnd, bpf.ALUXor} {
		both(op, (*Writer).aluImm, (*Writer).aluReg)
	}
	both(bpf.ALUMul, (*Writer).mul, (*Writer).mul)
	both(bpf.ALUDiv, (*Writer).div, (*Writer).div)
	both(bpf.ALUMod, (*Writer).div, (*Writer).div)
	for _, op := range []uint8{bpf.ALULsh, bpf.ALURsh, bpf.ALUArsh} {
		both(op, (*Writer).shiftImm, (*Writer).shiftReg)
	}
	both(bpf.ALUMov, (*Writer).movImm, (*Writer).movReg)
	t[bpf.ALUNeg|class] = opRow{kind: kindPlain, regs: usesDst, emit: (*Writer).neg}
	if class == bpf.ClassALU {
		t[bpf.ALUEnd|class] = opRow{kind: kindPlain, regs: usesDst, emit: (*Writer).toLE}
		t[bpf.ALUEnd|bpf.SrcReg|class] = opRow{kind: kindPlain, regs: usesDst, emit: (*Writer).bswap}
	} else {
		t[bpf.ALUEnd|class] = opRow{kind: kindPlain, regs: usesDst, isa: kernels.ISASignExtend, emit: (*Writer).bswap}
	}
}

// check refuses what the target does not have and what is no valid instruction, and finds where
// a jump goes.
func (f *Func) check(i int, p *insnPlan) error {
	in := &f.insns[i]
	row := &opTable[in.Op]
	if row.emit == nil {
		return fmt.Errorf("unknown opcode %#02x: %w", in.Op, kernels.ErrUnsupported)
	}
	if row.isa&^f.Config.Emit.ISA != 0 {
		return fmt.Errorf("opcode %#02x: %w", in.Op, kernels.ErrUnsupported)
	}
	if row.regs&usesDst != 0 && f.c.regs[in.Dst] == x86.RegNone ||
		row.regs&usesSrc != 0 && f.c.regs[in.Src] == x86.RegNone {
		return errors.New("register number out of range")
	}
	n := len(f.insns)
	switch p.kind {
	case kindWide:
		if i+1 >= n || f.insns[i+1].Op != 0 {
			return errors.New("second half is missing")
		}
		return nil
	case kindExitJump:
		p.to = toCleanup
		return nil
	case kindCond, kindJump:
	default:
		return nil
	}
	off := int64(in.Off)
	if in.Op == bpf.OpJA32 {
		off = int64(in.Imm)
	}
	if p.kind == kindJump && off == -1 {
		p.to = selfLoop
		return nil
	}
	to := int64(i) + 1 + off
	if to < 0 || to >= int64(n) || to > 0 && f.insns[to-1].Op == bpf.OpLdImm64 {
		return fmt.Errorf("jump to slot %d, which is not an instruction of the function", int64(f.Info.Start)+to)
	}
	p.to = int32(to)
	return nil
}

// Writer appends machine code for one function.
type Writer struct {
	x86.Buf
	Func *Func
	regs *[16]x86.Reg // by BPF register
	base int          // where the current instruction begins in the buffer
	cur  int          // its index in the function
	// label is where the tail call goes on that is being emitted, if it is not taken: an offset from base.
	label *int
	err   error // of a design that calls a kernel routine
}

func newWriter(f *Func, code []byte) *Writer {
	return &Writer{Buf: x86.NewBuf(code), Func: f, regs: f.regs}
}

// insn appends instruction i without its jump.
func (e *Writer) insn(i int) error {
	e.cur = i
	in := &e.Func.insns[i]
	if e.Func.plan[i].kind == kindExitJump {
		return nil
	}
	from := e.Len()
	if err := e.code(i, in); err != nil {
		return err
	}
	return e.varyInsn(in, from)
}

// code appends what instruction i is translated to.
func (e *Writer) code(i int, in *bpf.Insn) error {
	if e.Func.drawn != nil {
		if done, err := e.blinded(i); done {
			return err
		}
	}
	if in.Op == bpf.OpLdImm64 {
		return e.wide(in, &e.Func.insns[i+1])
	}
	return opTable[in.Op].emit(e, in)
}

// ip returns the address of the next byte; before placement it counts from 0, as in the kernel.
func (e *Writer) ip() image.Addr { return e.Func.addr + image.Addr(e.Len()) }

// nops appends n bytes of nops, the longest first: emit_nops with ASM_NOP_MAX 8.
func (e *Writer) nops(n int) {
	for n > 8 {
		e.Nop(8)
		n -= 8
	}
	if n > 0 {
		e.Nop(n)
	}
}

// bpfRegs maps BPF registers to x86 registers: reg2hex and is_ereg. BPF_REG_AX, which the verifier
// uses, has a number that depends on the target.
func bpfRegs(t *Config) [16]x86.Reg {
	m := [16]x86.Reg{
		0: x86.RAX, 1: x86.RDI, 2: x86.RSI, 3: x86.RDX, 4: x86.RCX, 5: x86.R8,
		6: x86.RBX, 7: x86.R13, 8: x86.R14, 9: x86.R15,
		bpf.RegFP: x86.RBP,
	}
	for i := 11; i < len(m); i++ {
		m[i] = x86.RegNone
	}
	m[t.Emit.AX] = ax
	return m
}

// off is the offset of a load or store.
func (e *Writer) off(in *bpf.Insn) int32 {
	if in.Src == bpf.RegFP || in.Dst == bpf.RegFP {
		return int32(in.Off) + e.Func.c.fpShift
	}
	return int32(in.Off)
}

// aux is AUX_REG, a register outside the range of BPF for the compiler's own use; ax is that of
// BPF_REG_AX.
const (
	aux = x86.R11
	ax  = x86.R10
)

// Mem is [base+off] with the shortest displacement but never none: emit_insn_suffix.
func Mem(base x86.Reg, off int32) x86.RM {
	if isImm8(off) {
		return x86.M8(base, int8(off))
	}
	return x86.M32(base, off)
}

func isImm8(v int32) bool { return v >= -128 && v <= 127 }
