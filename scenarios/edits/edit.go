// SPDX-License-Identifier: GPL-2.0-only

package edits

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"strings"

	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// Kinds are the kinds of random edits.
func Kinds() []string {
	return []string{"bit", "byte", "instruction", "swap", "dropped", dropped, Doubled}
}

// Kinds of edits after which what follows moves.
const (
	dropped = "dropped, relinked"
	// Doubled is the kind of an instruction that is there twice.
	Doubled = "doubled, relinked"
)

// Edit is one change of the code of a function.
type Edit struct {
	Kind   string
	Lo, Hi int    // [Lo, Hi) of the old code
	Repl   []byte // what stands there now
	// Old and New are the instructions before and after.
	Old, New string
}

// Grow is by how many bytes the function becomes longer.
func (e *Edit) Grow() int { return len(e.Repl) - (e.Hi - e.Lo) }

// Draw draws an edit of code that lies at addr; ok is false if the one that is drawn is not possible, or changes nothing.
func Draw(r *rand.Rand, code []byte, addr image.Addr) (e Edit, ok bool) {
	insns := Disassemble(code, addr)
	i := r.IntN(len(insns))
	if r.IntN(3) == 0 {
		i = min(i, r.IntN(14)) // prologues are small
	}
	return e, e.at(r, code, insns, i)
}

// DrawAt is Draw for the instruction that begins at an offset.
func DrawAt(r *rand.Rand, code []byte, addr image.Addr, off int) (e Edit, ok bool) {
	insns := Disassemble(code, addr)
	for i := range insns {
		if int(insns[i].PC-addr) == off {
			return e, e.at(r, code, insns, i)
		}
	}
	return e, false
}

// at draws an edit of instruction i.
func (e *Edit) at(r *rand.Rand, code []byte, insns []x86.Inst, i int) (ok bool) {
	in, addr := insns[i], insns[0].PC
	kinds := Kinds()
	e.Kind = kinds[r.IntN(len(kinds))]
	e.Lo = int(in.PC - addr)
	e.Hi = e.Lo + int(in.Len)
	e.Old = in.String()
	if !e.draw(r, code, insns, i) || e.Repl != nil && bytes.Equal(e.Repl, code[e.Lo:e.Hi]) {
		return false
	}
	var now []string
	for _, in := range Disassemble(e.Repl, addr+image.Addr(e.Lo)) {
		now = append(now, in.String())
	}
	e.New = strings.Join(now, "; ")
	return true
}

// Disassemble reads instructions, up to the first that is none.
func Disassemble(code []byte, addr image.Addr) (insns []x86.Inst) {
	for off := 0; off < len(code); {
		in, err := x86.Decode(code[off:], addr+image.Addr(off))
		if err != nil {
			return insns
		}
		insns = append(insns, in)
		off += int(in.Len)
	}
	return insns
}

// draw chooses what stands in place of instruction i; ok is false if there is nothing.
func (e *Edit) draw(r *rand.Rand, code []byte, insns []x86.Inst, i int) (ok bool) {
	in, addr := insns[i], insns[0].PC
	switch e.Kind {
	case "bit", "byte":
		at := e.Lo + r.IntN(int(in.Len))
		b := code[at] ^ 1<<r.IntN(8)
		if e.Kind == "byte" {
			b = byte(r.Uint32())
		}
		e.Repl = bytes.Clone(code[e.Lo:e.Hi])
		e.Repl[at-e.Lo] = b
	case "instruction":
		var same []int
		for k := range insns {
			if insns[k].Len == in.Len && k != i {
				same = append(same, k)
			}
		}
		if len(same) == 0 {
			return false
		}
		k := same[r.IntN(len(same))]
		at := int(insns[k].PC - addr)
		e.Repl = moved(code[at:at+int(in.Len)], &insns[k], in.PC)
	case "swap":
		if i+1 >= len(insns) {
			return false
		}
		next := insns[i+1]
		e.Hi += int(next.Len)
		e.Old += "; " + next.String()
		a := moved(code[e.Lo:e.Lo+int(in.Len)], &in, in.PC+image.Addr(next.Len))
		b := moved(code[e.Lo+int(in.Len):e.Hi], &next, in.PC)
		e.Repl = append(bytes.Clone(b), a...)
	case "dropped":
		e.Repl = Nops(int(in.Len))
	case dropped:
	case Doubled:
		one := code[e.Lo:e.Hi]
		e.Repl = append(bytes.Clone(one), moved(one, &in, in.Next())...)
	}
	return true
}

// Nops are Nops as one instruction, as compilers write them.
func Nops(n int) []byte {
	all := [][]byte{{}, {0x90}, {0x66, 0x90}, {0x0f, 0x1f, 0}, {0x0f, 0x1f, 0x40, 0}, {0x0f, 0x1f, 0x44, 0, 0}, {0x66, 0x0f, 0x1f, 0x44, 0, 0},
		{0x0f, 0x1f, 0x80, 0, 0, 0, 0}, {0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0}}
	if n < len(all) {
		return bytes.Clone(all[n])
	}
	return append(bytes.Clone(all[8]), Nops(n-8)...)
}

// moved is an instruction at another address that means the same, if its displacement has room for that.
func moved(code []byte, in *x86.Inst, to image.Addr) []byte {
	out := bytes.Clone(code)
	delta := int64(to) - int64(in.PC)
	n := len(out)
	switch {
	case in.Branch.Direct() && n == 2:
		out[1] = byte(int64(int8(out[1])) - delta)
	case in.Branch.Direct() && n >= 5, in.HasMem && in.Mem.RIPRel && n >= 6:
		at := n - 4
		if in.HasMem && in.Mem.RIPRel {
			if _, imm := in.Imm(); imm {
				return out
			}
		}
		binary.LittleEndian.PutUint32(out[at:], uint32(int64(int32(binary.LittleEndian.Uint32(out[at:])))-delta))
	}
	return out
}

// Splice puts an edit into code: everything after it moves, and what refers to it follows. ok is false if a
// displacement is too short.
func (e *Edit) Splice(code []byte, addr image.Addr) (out []byte, ok bool) {
	grow := e.Grow()
	out = append(append(bytes.Clone(code[:e.Lo]), e.Repl...), code[e.Hi:]...)
	if grow == 0 {
		return out, true
	}
	for _, in := range Disassemble(code, addr) {
		at := int(in.PC - addr)
		if at >= e.Lo && at < e.Hi || !in.Branch.Direct() && !(in.HasMem && in.Mem.RIPRel) {
			if at == e.Lo && e.Kind == Doubled && in.Branch.Direct() {
				return nil, false
			}
			continue
		}
		now := at
		if at >= e.Hi {
			now += grow
		}
		delta := now - at
		if to := int(int64(in.Target) - int64(addr)); in.Branch.Direct() && to >= e.Hi && to <= len(code) {
			delta -= grow
		}
		n := int(in.Len)
		switch {
		case in.Branch.Direct() && n == 2:
			v := int(int8(code[at+1])) - delta
			if v < -128 || v > 127 {
				return nil, false
			}
			out[now+1] = byte(v)
		case in.Branch.Direct():
			binary.LittleEndian.PutUint32(out[now+n-4:], uint32(int(int32(binary.LittleEndian.Uint32(code[at+n-4:])))-delta))
		default:
			if delta != 0 {
				return nil, false
			}
		}
	}
	return out, true
}

// Elsewhere is what the edit puts in place of the same code at another address, nil if that is not known: the same bytes, or,
// of instructions that change places or are there twice, the same instructions.
func (e *Edit) Elsewhere(code []byte, addr image.Addr) []byte {
	insns := Disassemble(code, addr)
	switch {
	case e.Kind == "swap" && len(insns) == 2:
		a, b := insns[0], insns[1]
		first := moved(code[:a.Len], &a, a.PC+image.Addr(b.Len))
		return append(moved(code[a.Len:], &b, a.PC), first...)
	case e.Kind == "swap" || e.Kind == Doubled && len(insns) != 1:
		return nil
	case e.Kind == Doubled:
		return append(bytes.Clone(code), moved(code, &insns[0], insns[0].Next())...)
	}
	return e.Repl
}
