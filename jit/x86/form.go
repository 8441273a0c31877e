// SPDX-License-Identifier: GPL-2.0-only

package x86

import (
	"fmt"
	"strconv"
	"strings"
)

// form is a row of formText in the shape that the encoder wants.
type form struct {
	opcode  [3]byte
	nop     uint8 // bytes of opcode
	digit   uint8 // ModRM.reg of a /digit form
	op66    bool  // operand-size prefix
	rexW    bool
	modrm   bool
	imm     uint8 // bytes of immediate or displacement: 0, 1, 2, 4 or 8
	byteRM  bool  // the r/m operand is a byte register if it is a register
	byteReg bool
	vex     bool
	vexPP   byte // VEX.pp
	vexMap  byte // VEX.mmmmm
}

var forms = func() (t [NumForms]form) {
	for id, row := range formText {
		f, err := parseForm(row.syntax, row.encoding)
		if err != nil {
			panic(fmt.Sprintf("BUG: form %q: %v", row.syntax, err))
		}
		t[id] = f
	}
	return t
}()

// Syntax returns the manual's instruction text, such as "MOV r/m64, r64".
func (f FormID) Syntax() string { return formText[f].syntax }

// Encoding returns the manual's encoding text, such as "REX.W + 89 /r".
func (f FormID) Encoding() string { return formText[f].encoding }

// parseForm reads the manual's text (Intel SDM vol. 2A, section 3.1.1).
func parseForm(syntax, encoding string) (form, error) {
	var f form
	_, ops, _ := strings.Cut(syntax, " ")
	for i, op := range strings.Split(ops, ",") {
		switch op = strings.TrimSpace(op); op {
		case "r16", "r/m16":
			f.op66 = f.op66 || i == 0
		case "r8":
			f.byteReg = true
		case "r/m8":
			f.byteRM = true
		}
	}
	for _, tok := range strings.Fields(encoding) {
		if err := f.token(tok); err != nil {
			return form{}, err
		}
	}
	if f.nop == 0 {
		return form{}, fmt.Errorf("no opcode in %q", encoding)
	}
	return f, nil
}

var immBytes = map[string]uint8{"ib": 1, "cb": 1, "iw": 2, "id": 4, "cd": 4, "io": 8}

// token reads one word of an encoding string.
func (f *form) token(tok string) error {
	switch {
	case tok == "+":
	case tok == "REX.W":
		f.rexW = true
	case strings.HasPrefix(tok, "VEX."):
		return f.vexToken(tok)
	case immBytes[tok] != 0:
		f.imm = immBytes[tok]
	case tok == "/r":
		f.modrm = true
	case tok[0] == '/':
		d, err := strconv.ParseUint(tok[1:], 8, 3)
		if err != nil {
			return err
		}
		f.modrm, f.digit = true, uint8(d)
	default:
		hex, _, _ := strings.Cut(tok, "+r") // "B8+rd"
		v, err := strconv.ParseUint(hex, 16, 8)
		if err != nil {
			return err
		}
		if int(f.nop) == len(f.opcode) {
			return fmt.Errorf("opcode longer than %d bytes", len(f.opcode))
		}
		f.opcode[f.nop] = byte(v)
		f.nop++
	}
	return nil
}

// vexToken reads a word such as "VEX.NDS.LZ.66.0F38.W1" (Intel SDM vol. 2A, section 3.1.1.2).
func (f *form) vexToken(tok string) error {
	f.vex = true
	for _, part := range strings.Split(tok, ".")[1:] {
		switch part {
		case "NDS", "LZ", "W0":
		case "W1":
			f.rexW = true
		case "66":
			f.vexPP = 1
		case "F3":
			f.vexPP = 2
		case "F2":
			f.vexPP = 3
		case "0F38":
			f.vexMap = 2
		default:
			return fmt.Errorf("unknown VEX field %q", part)
		}
	}
	return nil
}
