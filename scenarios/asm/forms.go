// SPDX-License-Identifier: GPL-2.0-only

package asm

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/tcsim/tcsim/jit/bpf"
)

// isJump reports whether in jumps by its 16-bit offset.
func IsJump(in bpf.Insn) bool {
	class, op := in.Class(), in.Op&0xf0
	switch {
	case class == bpf.ClassJmp:
		return op != bpf.JmpCall && op != bpf.JmpExit
	case class == bpf.ClassJmp32:
		return op >= bpf.JmpEq && op != bpf.JmpCall && op != bpf.JmpExit
	}
	return false
}

func IsPseudoCall(in bpf.Insn) bool { return in.Op == bpf.OpCall && in.Src == bpf.PseudoCall }

// asmForm is one way to write an instruction: re matches the text with runs of blanks made one
// blank. emit appends the instruction, or appends nothing to decline.
type asmForm struct {
	re   *regexp.Regexp
	emit func(*statement) error
}

// Parts of the forms: a register, a number, an offset, a memory operand "(u64 *)(r1 +8)", a jump
// target.
const (
	reReg = `([rw]\d+)`
	reNum = `([-+]?(?:0x[0-9a-fA-F]+|\d+))`
	reOff = `([-+] ?(?:0x[0-9a-fA-F]+|\d+))`
	reMem = `\(([us]\d+) ?\*\) ?\((r\d+) ?` + reOff + `?\)`
	reTo  = `(\S+)`
	// reBase is clang's memory operand without a type: an empty submatch stands for it.
	reBase = `()(r\d+) ?` + reOff
)

// form compiles a pattern in which {reg}, {num} and so on stand for the parts above and a blank for
// an optional one.
func form(pattern string, emit func(*statement) error) asmForm {
	p := strings.NewReplacer(" ", " ?", "{reg}", reReg, "{num}", reNum, "{mem}", reMem, "{to}", reTo, "{off}", reOff, "{base}", reBase).Replace(pattern)
	return asmForm{regexp.MustCompile("^" + p + "$"), emit}
}

// asmForms are the forms of kernel/bpf/disasm.c (7.2, print_bpf_insn) and those that clang adds,
// the most specific first.
var asmForms = sync.OnceValue(func() []asmForm { // compiling them takes longer than much that tcsim does
	return []asmForm{
		form(`exit`, func(s *statement) error { return s.emit(bpf.Insn{Op: bpf.OpExit}) }),
		form(`nospec`, func(s *statement) error { return s.emit(bpf.Insn{Op: bpf.OpNoSpec}) }),
		form(`call\b {to}`, (*statement).call),
		form(`(goto|gotol|may_goto)\b {to}`, (*statement).jump),
		form(`if\b {reg} (==|!=|s?[<>]=?|&) (?:{reg}|{num}) goto\b {to}`, (*statement).branch),
		form(`lock \*{mem} ([+&|^])= {reg}`, (*statement).lockOp),
		form(`{reg} = atomic(64)?_fetch_(add|or|and|xor)\({mem}, {reg}\)`, (*statement).fetchOp),
		form(`{reg} = atomic(64)?_xchg\({mem}, {reg}\)`, (*statement).xchg),
		form(`{reg} = xchg(_64|32_32)\({base}, {reg}\)`, (*statement).xchg),
		form(`{reg} = atomic(64)?_cmpxchg\({mem}, [rw]0, {reg}\)`, (*statement).cmpxchg),
		form(`{reg} = cmpxchg(_64|32_32)\({base}, [rw]0, {reg}\)`, (*statement).cmpxchg),
		form(`{reg} = load_acquire\({mem}\)`, (*statement).loadAcquire),
		form(`store_release\({mem}, {reg}\)`, (*statement).storeRelease),
		form(`\*{mem} = {reg}`, (*statement).storeReg),
		form(`\*{mem} = {num}`, (*statement).storeImm),
		form(`{reg} = \*{mem}`, (*statement).load),
		form(`r0 = \*\((u\d+) \*\) ?skb\[{num}\]`, (*statement).loadAbs),
		form(`r0 = \*\((u\d+) \*\) ?skb\[{reg} {off}\]`, (*statement).loadInd),
		form(`{reg} = map\[([\w.]+)\](\[0\](?:\+{num})?)?(?: ll)?`, (*statement).loadMap),
		form(`{reg} = {num} ll`, (*statement).loadImm64),
		form(`{reg} = ([A-Za-z_]\w*) ll`, (*statement).loadMapName),
		form(`{reg} = - ?{reg}`, (*statement).negate),
		form(`{reg} = (be|le|bswap)(16|32|64) {reg}`, (*statement).swap),
		form(`{reg} = \(s(8|16|32)\) {reg}`, (*statement).moveSigned),
		form(`{reg} = addr_space_cast\({reg}, {num}, {num}\)`, (*statement).castSpace),
		form(`{reg} = &\(void __percpu \*\) ?\({reg}\)`, (*statement).movePerCPU),
		form(`{reg} (\+|-|\*|/|%|s/|s%|\||&|\^|<<|>>|s>>)= (?:{reg}|{num})`, (*statement).alu),
		form(`{reg} = {reg}`, (*statement).moveReg),
		form(`{reg} = {num}`, (*statement).moveImm),
	}
})

// reg reads submatch i as a register; wide is false for the w names.
func (s *statement) reg(i int) (r uint8, wide bool, err error) {
	text := s.m[i]
	n, ok := ParseRegister("r" + text[1:])
	if !ok {
		return 0, false, fmt.Errorf("expected a register from %c0 to %c10, found %q", text[0], text[0], text)
	}
	return uint8(n), text[0] == 'r', nil
}

// imm32 reads submatch i as a 32-bit immediate; hex may use the sign bit, as the kernel prints it.
func (s *statement) imm32(i int) (int32, error) {
	n, err := asmNumber(s.m[i])
	if err != nil {
		return 0, err
	}
	hi := int64(math.MaxInt32)
	if strings.HasPrefix(s.m[i], "0x") {
		hi = math.MaxUint32
	}
	if n < math.MinInt32 || n > hi {
		return 0, fmt.Errorf("expected a number of 32 bits, found %s", s.m[i])
	}
	return int32(n), nil
}

// asmNumber is ParseInt with an optional plus sign and blanks after the sign.
func asmNumber(text string) (int64, error) {
	return ParseInt(strings.TrimPrefix(strings.ReplaceAll(text, " ", ""), "+"))
}

// mem reads the three submatches of a memory operand that begin at i.
func (s *statement) mem(i int) (size string, base uint8, off int16, err error) {
	size = s.m[i]
	base, _, err = s.reg(i + 1)
	if err != nil || s.m[i+2] == "" {
		return size, base, 0, err
	}
	n, err := asmNumber(s.m[i+2])
	if err == nil && (n < math.MinInt16 || n > math.MaxInt16) {
		err = fmt.Errorf("expected an offset from -32768 to 32767, found %s", s.m[i+2])
	}
	return size, base, int16(n), err
}

// Size bits of load and store opcodes.
var sizeBits = map[string]uint8{
	"u32": bpf.SizeW, "u16": bpf.SizeH, "u8": bpf.SizeB, "u64": bpf.SizeDW,
	"s32": bpf.SizeW, "s16": bpf.SizeH, "s8": bpf.SizeB,
}

// access combines class and mode with the bits of one of the allowed sizes.
func access(op uint8, size string, allowed ...string) (uint8, error) {
	for _, a := range allowed {
		if a == size {
			return op | sizeBits[size], nil
		}
	}
	return 0, fmt.Errorf("expected %s in this instruction, found %s", OneOf(allowed), size)
}

// call reads a helper by number or name, a function by distance or name.
func (s *statement) call() error {
	to := s.m[1]
	in := bpf.Insn{Op: bpf.OpCall}
	if _, id, ok := strings.Cut(to, "#"); ok && id != "" {
		to = id // the kernel prints the name and the number
	}
	if dist, ok := strings.CutPrefix(to, "pc"); ok && dist != "" && strings.ContainsAny(dist[:1], "+-") {
		s.m[1] = dist
		n, err := s.imm32(1)
		if err != nil {
			return err
		}
		s.unit.Calls = append(s.unit.Calls, Ref{len(s.unit.Insns), "", s.pos})
		in.Src, in.Imm = bpf.PseudoCall, n
		return s.emit(in)
	}
	if to[0] >= '0' && to[0] <= '9' || to[0] == '-' {
		s.m[1] = to
		n, err := s.imm32(1)
		if err != nil {
			return err
		}
		in.Imm = n
		return s.emit(in)
	}
	if id, ok := HelperID(to); ok {
		in.Imm = id
		return s.emit(in)
	}
	if i := slices.Index(Kfuncs, to); i >= 0 {
		in.Src, in.Imm = bpf.PseudoKfunc, int32(i)
		return s.emit(in)
	}
	if !NameForm.MatchString(to) {
		return fmt.Errorf("expected a helper, a function or pc+N to call, found %q", to)
	}
	s.unit.Calls = append(s.unit.Calls, Ref{len(s.unit.Insns), to, s.pos})
	in.Src = bpf.PseudoCall
	return s.emit(in)
}

// to fills in the target of a jump: a distance or a label.
func (s *statement) to(in bpf.Insn, text string) error {
	dist := strings.TrimPrefix(text, "pc")
	if dist == "" || !strings.ContainsAny(dist[:1], "+-") {
		if !labelForm.MatchString(text + ":") {
			return fmt.Errorf("expected a jump target such as +3, pc-2 or a label, found %q", text)
		}
		s.unit.jumps = append(s.unit.jumps, Ref{len(s.unit.Insns), text, s.pos})
		return s.emit(in)
	}
	n, err := asmNumber(dist)
	long := in.Op == bpf.OpJA32
	switch {
	case err != nil:
		return err
	case long && (n < math.MinInt32 || n > math.MaxInt32), !long && (n < math.MinInt16 || n > math.MaxInt16):
		return fmt.Errorf("jump distance %s does not fit the instruction", dist)
	case long:
		in.Imm = int32(n)
	default:
		in.Off = int16(n)
	}
	return s.emit(in)
}

func (s *statement) jump() error {
	op := map[string]uint8{"goto": bpf.OpJA, "gotol": bpf.OpJA32, "may_goto": bpf.OpMayGoto}[s.m[1]]
	return s.to(bpf.Insn{Op: op}, s.m[2])
}

var branchOps = map[string]uint8{
	"==": bpf.JmpEq, ">": bpf.JmpGt, ">=": bpf.JmpGe, "&": bpf.JmpSet, "!=": bpf.JmpNe, "s>": bpf.JmpSgt, "s>=": bpf.JmpSge,
	"<": bpf.JmpLt, "<=": bpf.JmpLe, "s<": bpf.JmpSlt, "s<=": bpf.JmpSle,
}

func (s *statement) branch() error {
	dst, wide, err := s.reg(1)
	if err != nil {
		return err
	}
	in := bpf.Insn{Op: bpf.ClassJmp32 | branchOps[s.m[2]], Dst: dst}
	if wide {
		in.Op = bpf.ClassJmp | branchOps[s.m[2]]
	}
	if err := s.operand(&in, 3, wide); err != nil {
		return err
	}
	return s.to(in, s.m[5])
}

// operand fills in a register (submatch i) or an immediate (submatch i+1).
func (s *statement) operand(in *bpf.Insn, i int, wide bool) error {
	if s.m[i] == "" {
		n, err := s.imm32(i + 1)
		in.Imm = n
		return err
	}
	src, w, err := s.reg(i)
	if err == nil && w != wide {
		err = fmt.Errorf("expected registers of one width, found %s and %s", s.m[1], s.m[i])
	}
	in.Op |= bpf.SrcReg
	in.Src = src
	return err
}

var aluOps = map[string]uint8{
	"+": bpf.ALUAdd, "-": bpf.ALUSub, "*": bpf.ALUMul, "/": bpf.ALUDiv, "|": bpf.ALUOr, "&": bpf.ALUAnd, "<<": bpf.ALULsh,
	">>": bpf.ALURsh, "%": bpf.ALUMod, "^": bpf.ALUXor, "s>>": bpf.ALUArsh, "s/": bpf.ALUDiv, "s%": bpf.ALUMod,
}

// aluInsn begins an ALU instruction whose destination is submatch 1.
func (s *statement) aluInsn(op uint8) (in bpf.Insn, wide bool, err error) {
	in.Dst, wide, err = s.reg(1)
	in.Op = bpf.ClassALU | op
	if wide {
		in.Op = bpf.ClassALU64 | op
	}
	return in, wide, err
}

func (s *statement) alu() error {
	in, wide, err := s.aluInsn(aluOps[s.m[2]])
	if err != nil {
		return err
	}
	if s.m[2] == "s/" || s.m[2] == "s%" {
		in.Off = 1
	}
	if err := s.operand(&in, 3, wide); err != nil {
		return err
	}
	return s.emit(in)
}

func (s *statement) moveReg() error {
	in, wide, err := s.aluInsn(bpf.ALUMov)
	if err != nil {
		return err
	}
	if err := s.operand(&in, 2, wide); err != nil {
		return err
	}
	return s.emit(in)
}

func (s *statement) moveImm() error {
	if s.op == bpf.OpLdImm64 {
		return s.loadImm64() // the verifier log writes (18) r1 = 0x5 without "ll"
	}
	in, _, err := s.aluInsn(bpf.ALUMov)
	if err != nil {
		return err
	}
	if in.Imm, err = s.imm32(2); err != nil {
		return err
	}
	return s.emit(in)
}

func (s *statement) moveSigned() error {
	in, wide, err := s.aluInsn(bpf.ALUMov)
	if err != nil {
		return err
	}
	bits, _ := strconv.Atoi(s.m[2]) // the form allows 8, 16 and 32
	in.Off, in.Op = int16(bits), in.Op|bpf.SrcReg
	src, w, err := s.reg(3)
	in.Src = src
	if err == nil && (w != wide || !wide && bits == 32) {
		err = fmt.Errorf("expected registers wider than s%d and of one width, found %s and %s", bits, s.m[1], s.m[3])
	}
	if err != nil {
		return err
	}
	return s.emit(in)
}

func (s *statement) negate() error {
	in, _, err := s.aluInsn(bpf.ALUNeg)
	if err == nil && s.m[1] != s.m[2] {
		err = fmt.Errorf("expected %s = -%s, found -%s", s.m[1], s.m[1], s.m[2])
	}
	if err != nil {
		return err
	}
	return s.emit(in)
}

func (s *statement) swap() error {
	dst, wide, err := s.reg(1)
	if err == nil && (s.m[1] != s.m[4] || !wide) {
		err = fmt.Errorf("expected one 64-bit register on both sides, found %s and %s", s.m[1], s.m[4])
	}
	if err != nil {
		return err
	}
	bits, _ := strconv.Atoi(s.m[3]) // the form allows 16, 32 and 64
	op := map[string]uint8{
		"le": bpf.ClassALU | bpf.ALUEnd, "be": bpf.ClassALU | bpf.ALUEnd | bpf.SrcReg, "bswap": bpf.ClassALU64 | bpf.ALUEnd,
	}[s.m[2]]
	return s.emit(bpf.Insn{Op: op, Dst: dst, Imm: int32(bits)})
}
