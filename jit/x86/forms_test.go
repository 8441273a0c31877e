// SPDX-License-Identifier: GPL-2.0-only

package x86_test

import (
	"encoding/csv"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/jit/x86"
	"golang.org/x/arch/x86/x86asm"
)

// TestFormsInManual requires each form to be a row of the manual's tables as golang.org/x/arch has
// them, and each copied row to be a form.
func TestFormsInManual(t *testing.T) {
	f, err := os.Open("testdata/x86.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.Comment = '#'
	r.FieldsPerRecord = -1
	rows, err := r.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	manual := map[string]bool{}
	for _, row := range rows {
		manual[strings.Join(strings.Fields(row[0]), " ")+" = "+row[1]] = true
	}
	seen := map[string]bool{}
	for id := x86.FormID(0); id < x86.NumForms; id++ {
		key := id.Syntax() + " = " + id.Encoding()
		if !manual[key] {
			t.Errorf("form %q is not in the manual", key)
		}
		if seen[key] {
			t.Errorf("form %q is there twice", key)
		}
		seen[key] = true
	}
	for key := range manual {
		if !seen[key] {
			t.Errorf("row %q has no form", key)
		}
	}
}

// operands returns the operand words of a form.
func operands(id x86.FormID) (mnemonic string, ops []string) {
	mnemonic, rest, _ := strings.Cut(id.Syntax(), " ")
	if rest != "" {
		ops = strings.Split(rest, ", ")
	}
	return mnemonic, ops
}

// encoding is one instruction to be encoded: the operands that a form can take.
type encoding struct {
	reg, v x86.Reg
	rm     x86.RM
	// base and index of rm, RegNone if it has none; disp; direct if it is a register.
	base, index x86.Reg
	scale       uint8
	disp        int32
	direct      bool
}

// memoryOperands has every displacement class with every base, and indexes.
func memoryOperands() []encoding {
	var list []encoding
	add := func(rm x86.RM, base, index x86.Reg, scale uint8, disp int32) {
		list = append(list, encoding{rm: rm, base: base, index: index, scale: scale, disp: disp})
	}
	for b := x86.RAX; b <= x86.R15; b++ {
		if b != x86.RBP && b != x86.R13 {
			add(x86.M0(b), b, x86.RegNone, 0, 0)
		}
		for _, d := range []int8{0, 1, -1, 127, -128} {
			add(x86.M8(b, d), b, x86.RegNone, 0, int32(d))
		}
		for _, d := range []int32{0, 1, -1, 128, -129, 1<<31 - 1, -1 << 31} {
			add(x86.M32(b, d), b, x86.RegNone, 0, d)
		}
	}
	for _, b := range []x86.Reg{x86.RAX, x86.RSP, x86.RBP, x86.RSI, x86.R12, x86.R13} {
		for i := x86.RAX; i <= x86.R15; i++ {
			if i == x86.RSP {
				continue // no index
			}
			add(x86.X8(b, i, 1, -8), b, i, 1, -8)
			add(x86.X32(b, i, 8, 0x110), b, i, 8, 0x110)
		}
	}
	add(x86.Abs32(-0x7c2452d8), x86.RegNone, x86.RegNone, 0, -0x7c2452d8)
	add(x86.RIP32(0x1234), x86.RegNone, x86.RegNone, 0, 0x1234)
	return list
}

// encode appends the form with the operands, by the generic method that its operands ask for.
func encode(b *x86.Buf, id x86.FormID, e encoding) {
	const imm = 0x5a
	_, ops := operands(id)
	kinds := ""
	for _, op := range ops {
		switch {
		case strings.HasPrefix(op, "r/m"), op == "m":
			kinds += "M"
		case strings.HasSuffix(op, "op"):
			kinds += "O"
		case op == "imm8", op == "imm8u", op == "rel8":
			kinds += "b"
		case op == "imm16":
			kinds += "w"
		case op == "imm32", op == "rel32":
			kinds += "d"
		case op == "imm64":
			kinds += "q"
		case op[0] == 'r':
			kinds += "R"
		}
	}
	switch kinds {
	case "":
		b.ZO(id)
	case "M":
		b.M(id, e.rm)
	case "MR":
		b.MR(id, e.rm, e.reg)
	case "RM":
		b.RM(id, e.reg, e.rm)
	case "RMR":
		b.RMV(id, e.reg, e.rm, e.v)
	case "Mb":
		b.MI8(id, e.rm, imm)
	case "Mw":
		b.MI16(id, e.rm, imm)
	case "Md":
		b.MI32(id, e.rm, imm)
	case "RMb":
		b.RMI8(id, e.reg, e.rm, imm)
	case "RMd":
		b.RMI32(id, e.reg, e.rm, imm)
	case "O":
		b.O(id, e.reg)
	case "Od":
		b.Mov32OI(e.reg, imm)
	case "Oq":
		b.Mov64OI(e.reg, imm)
	case "b":
		b.I8(id, imm)
	case "d":
		b.I32(id, imm)
	default:
		panic("operands " + kinds + " of " + id.Syntax())
	}
}

// TestForms encodes every form with every register in every place and every displacement class
// and has x86asm judge the bytes.
func TestForms(t *testing.T) {
	memory := memoryOperands()
	for id := x86.FormID(0); id < x86.NumForms; id++ {
		t.Run(id.Syntax(), func(t *testing.T) {
			_, ops := operands(id)
			cases := []encoding{}
			for r := x86.RAX; r <= x86.R15; r++ {
				for _, other := range []x86.Reg{x86.RAX, x86.RSP, x86.RDI, x86.R9, x86.R15} {
					if !slices.Contains(ops, "m") {
						cases = append(cases,
							encoding{reg: r, v: r ^ 5, rm: x86.R(other), base: other, direct: true},
							encoding{reg: other, v: r ^ 10, rm: x86.R(r), base: r, direct: true})
					}
				}
			}
			for _, m := range memory {
				for _, r := range []x86.Reg{x86.RCX, x86.RSI, x86.R14} {
					m.reg, m.v = r, r^7
					cases = append(cases, m)
				}
			}
			for _, e := range cases {
				var b x86.Buf
				encode(&b, id, e)
				if err := judge(id, e, b.Bytes()); err != nil {
					t.Fatalf("%+v encoded as % x: %v", e, b.Bytes(), err)
				}
			}
		})
	}
}

// judge compares what x86asm reads with what was asked for.
func judge(id x86.FormID, e encoding, code []byte) error {
	mnemonic, ops := operands(id)
	padded := append(slices.Clone(code), make([]byte, 16)...)
	d, err := x86asm.Decode(padded, 64)
	if err != nil {
		return err
	}
	if d.Len != len(code) {
		return fmt.Errorf("%v has %d of %d bytes", d, d.Len, len(code))
	}
	if d.Op.String() != mnemonic {
		return fmt.Errorf("read as %v", d)
	}
	n := 0
	for _, op := range ops {
		var err error
		switch arg := d.Args[n]; {
		case strings.HasPrefix(op, "r/m"), op == "m":
			err = judgeRM(op, e, arg)
		case op == "r32b", op == "r64b":
			err = judgeReg(op, e.v, arg)
		case op[0] == 'r' && !strings.HasPrefix(op, "rel"):
			err = judgeReg(op, e.reg, arg)
		case strings.HasPrefix(op, "imm"):
			if v, ok := arg.(x86asm.Imm); !ok || v != 0x5a {
				err = fmt.Errorf("immediate is %v", arg)
			}
		case strings.HasPrefix(op, "rel"):
			if v, ok := arg.(x86asm.Rel); !ok || v != 0x5a {
				err = fmt.Errorf("displacement is %v", arg)
			}
		}
		if err != nil {
			return fmt.Errorf("%v: operand %s: %w", d, op, err)
		}
		n++
	}
	return nil
}

// first is the register of x86asm with number 0 for each operand size.
func first(op string) x86asm.Reg {
	switch {
	case strings.Contains(op, "64"):
		return x86asm.RAX
	case strings.Contains(op, "32"):
		return x86asm.EAX
	case strings.Contains(op, "16"):
		return x86asm.AX
	}
	return x86asm.AL
}

func judgeReg(op string, r x86.Reg, arg x86asm.Arg) error {
	want := first(op) + x86asm.Reg(r)
	if want >= x86asm.AH && first(op) == x86asm.AL {
		want += 4 // x86asm has AH, CH, DH and BH between BL and SPB
	}
	if arg != want {
		return fmt.Errorf("register is %v, expected %v", arg, want)
	}
	return nil
}

func judgeRM(op string, e encoding, arg x86asm.Arg) error {
	if e.direct {
		return judgeReg(op, e.base, arg)
	}
	m, ok := arg.(x86asm.Mem)
	if !ok {
		return fmt.Errorf("%v is no memory operand", arg)
	}
	reg := func(r x86.Reg) x86asm.Reg {
		if r == x86.RegNone {
			return 0
		}
		return x86asm.RAX + x86asm.Reg(r)
	}
	base := m.Base
	if base == x86asm.RIP {
		base = 0
	}
	if base != reg(e.base) || m.Index != reg(e.index) || m.Index != 0 && m.Scale != e.scale || int32(m.Disp) != e.disp {
		return fmt.Errorf("memory operand is %+v", m)
	}
	return nil
}
