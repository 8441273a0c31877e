// SPDX-License-Identifier: GPL-2.0-only

//go:build cgo

package lockstep_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"flag"
	"fmt"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/fixtures/golden"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/emit"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/scenarios/lockstep"
	"github.com/tcsim/tcsim/scenarios/progen"
)

// edit is a wrong edit of an emitter, of what a verifier leaves, or of an option. Each is made alone.
type edit struct {
	target, name string
	on           func(bpf.Insn) bool // which instructions of BPF
	at           string              // which of their x86 instructions, by the beginning of the text
	with         func([]byte) []byte // what they become; nil leaves them out
	jump         func([]byte) []byte // likewise of their jumps
	config       func(*emit.Config)
	verifier     func(*bpf.Program)
	code         func(*image.Image)
	commit       string // of a kernel that had it; it fixed that
	survives     string // why nothing can see it
}

// editSeed is the seed of the programs that have to find edits, and editPrograms how many there may be.
const (
	editSeed     = 11
	editPrograms = 6000
	editBatch    = 200
)

// find plays programs until one fails, and says which and how.
func (e *edit) find(t *testing.T, p *lockstep.Player) string {
	t.Helper()
	v, n := e.search(t, p, editPrograms, func(tg *jit.Target, from, to int) []*progen.Program {
		return programs(tg, editSeed, from, to)
	})
	if n < 0 {
		return ""
	}
	return fmt.Sprintf("%s, program %d", v.Kind, n)
}

// search plays at most so many programs until one fails, and returns its number, -1 if none does.
func (e *edit) search(t *testing.T, p *lockstep.Player, most int, of func(tg *jit.Target, from, to int) []*progen.Program) (lockstep.Verdict, int) {
	t.Helper()
	tg := target(t, e.target)
	made := 0
	v := &emit.Variant{}
	if e.with != nil {
		v.Insn = func(in bpf.Insn, code []emit.Piece) []emit.Piece { return e.pieces(in, code, &made) }
	}
	if e.jump != nil {
		v.Jump = func(in bpf.Insn, code []byte) []byte {
			if e.on != nil && !e.on(in) {
				return code
			}
			out := e.jump(bytes.Clone(code))
			if !bytes.Equal(out, code) {
				made++
			}
			return out
		}
	}
	tg.Variant = v
	if e.config != nil {
		e.config(&tg.Config)
		made++
	}
	if e.verifier != nil || e.code != nil {
		made++
	}
	p.Edit(e.verifier, e.code)
	defer p.Edit(nil, nil)
	for from := 0; from < most; from += editBatch {
		all := of(tg, from, min(from+editBatch, most))
		got, err := p.Play(context.Background(), all, tg)
		if err != nil {
			t.Fatalf("%s: %v", e.name, err)
		}
		for i, v := range got {
			if v.Failed() {
				if made == 0 {
					t.Errorf("%s: %s: the edit is never made, but program %d fails: %s", e.target, e.name, from+i, v.Why)
				}
				return v, from + i
			}
		}
	}
	if made == 0 {
		t.Errorf("%s: %s: the edit is never made", e.target, e.name)
	}
	return lockstep.Verdict{}, -1
}

// pieces makes the edit in the code of one instruction.
func (e *edit) pieces(in bpf.Insn, code []emit.Piece, made *int) (out []emit.Piece) {
	if e.on != nil && !e.on(in) {
		return code
	}
	for _, p := range code {
		if !strings.HasPrefix(p.Inst.String(), e.at) {
			out = append(out, p)
			continue
		}
		changed := e.with(bytes.Clone(p.Code))
		if !bytes.Equal(changed, p.Code) {
			*made++
		}
		if changed != nil {
			p.Code = changed
			out = append(out, p)
		}
	}
	return out
}

// opcodeAt is where the opcode begins.
func opcodeAt(code []byte) int {
	i := 0
	for i < len(code) {
		switch b := code[i]; {
		case b == 0x66, b == 0xf0, b == 0x65, b == 0xf2, b == 0xf3, b&0xf0 == 0x40:
			i++
		default:
			return i
		}
	}
	return i
}

// Ways to change an instruction.

func drop([]byte) []byte { return nil }

// raw is another instruction.
func raw(text string) func([]byte) []byte {
	b, err := hex.DecodeString(text)
	if err != nil {
		panic(err)
	}
	return func([]byte) []byte { return b }
}

// opcode changes the bytes of the opcode.
func opcode(to ...byte) func([]byte) []byte {
	return func(code []byte) []byte {
		copy(code[opcodeAt(code):], to)
		return code
	}
}

// xor changes bits of the opcode: 2 exchanges the operands of most.
func xor(mask byte) func([]byte) []byte {
	return func(code []byte) []byte {
		code[opcodeAt(code)] ^= mask
		return code
	}
}

// digit changes the field of ModRM that says what some opcodes do.
func digit(d byte) func([]byte) []byte {
	return func(code []byte) []byte {
		i := opcodeAt(code) + 1
		code[i] = code[i]&^0x38 | d<<3
		return code
	}
}

// narrow takes REX.W away.
func narrow(code []byte) []byte {
	i := opcodeAt(code)
	if i > 0 && code[i-1]&0xf0 == 0x40 {
		code[i-1] &^= 8
	}
	return code
}

// wide adds REX.W.
func wide(code []byte) []byte {
	i := opcodeAt(code)
	if i > 0 && code[i-1]&0xf0 == 0x40 {
		code[i-1] |= 8
		return code
	}
	return append(code[:i:i], append([]byte{0x48}, code[i:]...)...)
}

// noREX takes a REX prefix away that only says that registers are the new ones.
func noREX(code []byte) []byte {
	if i := opcodeAt(code); i > 0 && code[i-1] == 0x40 {
		return append(code[:i-1:i-1], code[i:]...)
	}
	return code
}

// last changes the last byte.
func last(f func(byte) byte) func([]byte) []byte {
	return func(code []byte) []byte {
		code[len(code)-1] = f(code[len(code)-1])
		return code
	}
}

// without takes a prefix away.
func without(prefix byte) func([]byte) []byte {
	return func(code []byte) []byte {
		if code[0] == prefix {
			return code[1:]
		}
		return code
	}
}

// Which instructions.

// alu is an operation of both classes or one, with a register, an immediate or either.
func alu(op uint8, classes ...uint8) func(bpf.Insn) bool {
	return func(in bpf.Insn) bool {
		if c := in.Class(); c != bpf.ClassALU && c != bpf.ClassALU64 || in.Op&0xf0 != op {
			return false
		}
		return len(classes) == 0 || bytes.Contains(classes, []byte{in.Class()})
	}
}

// and is true where all are.
func and(conditions ...func(bpf.Insn) bool) func(bpf.Insn) bool {
	return func(in bpf.Insn) bool {
		for _, c := range conditions {
			if !c(in) {
				return false
			}
		}
		return true
	}
}

func byReg(in bpf.Insn) bool    { return in.Op&bpf.SrcReg != 0 }
func byImm(in bpf.Insn) bool    { return in.Op&bpf.SrcReg == 0 }
func signed(in bpf.Insn) bool   { return in.Off == 1 }
func unsigned(in bpf.Insn) bool { return in.Off == 0 }

// mem is an access of a class and mode, of sizes.
func mem(class, mode uint8, sizes ...uint8) func(bpf.Insn) bool {
	return func(in bpf.Insn) bool {
		return in.Class() == class && in.Op&bpf.ModeMask == mode && (len(sizes) == 0 || bytes.Contains(sizes, []byte{in.Op & bpf.SizeMask}))
	}
}

// atomic is one of atomic operations.
func atomic(ops ...int32) func(bpf.Insn) bool {
	return func(in bpf.Insn) bool {
		for _, op := range ops {
			if in.Class() == bpf.ClassSTX && in.Op&bpf.ModeMask == bpf.ModeAtomic && in.Imm == op {
				return true
			}
		}
		return false
	}
}

// cond is a conditional jump of a class.
func cond(op uint8, classes ...uint8) func(bpf.Insn) bool {
	return func(in bpf.Insn) bool {
		return (in.Class() == bpf.ClassJmp || in.Class() == bpf.ClassJmp32) && in.Op&0xf0 == op &&
			(len(classes) == 0 || bytes.Contains(classes, []byte{in.Class()}))
	}
}

// condition makes of a conditional jump one with another condition.
func condition(c byte) func([]byte) []byte {
	return func(code []byte) []byte {
		if i := len(code); i == 2 {
			code[0] = 0x70 | c
		} else {
			code[1] = 0x80 | c
		}
		return code
	}
}

var allEdits = flag.Bool("edits", false, "make every wrong edit, which takes minutes, not one in seven")

// TestEdits makes wrong edits alone and has programs find each.
func TestEdits(t *testing.T) {
	p := lockstep.New()
	defer p.Close()
	var report strings.Builder
	found, survive := 0, 0
	for i, e := range edits() {
		if !*allEdits && i%7 != 0 || testing.Short() && i%28 != 0 {
			continue
		}
		t.Run(e.target+" "+e.name, func(t *testing.T) {
			how := e.find(t, p)
			switch {
			case how == "" && e.survives == "":
				t.Errorf("%d programs do not find it", editPrograms)
			case how != "" && e.survives != "":
				t.Errorf("is found (%s), expected not to be: %s", how, e.survives)
			case how == "":
				survive++
				how = "survives: " + e.survives
			default:
				t.Log(how)
				found++
				how = "found"
			}
			if e.commit != "" {
				how += ", fixed by " + e.commit
			}
			fmt.Fprintf(&report, "%s: %s: %s\n", e.target, e.name, how)
		})
	}
	t.Logf("%d found, %d survive", found, survive)
	if *allEdits && found+survive == len(edits()) {
		golden.Check(t, "testdata/edits.txt", report.String())
	}
}
