// SPDX-License-Identifier: GPL-2.0-only

package learn

import (
	"slices"
	"strings"

	"github.com/tcsim/tcsim/emu/timing/rows"
	"github.com/tcsim/tcsim/jit/x86"
)

// sample is a form that the emitters use, with memory operand or without.
type sample struct {
	form   x86.FormID
	memory bool
	lock   bool
	row    string // of the core's table
	op     string
	ops    []string // as the manual writes them: "r/m64", "imm8"
}

// samples returns one sample for each row of the table that the encoder's forms reach, in the order of
// the forms.
func samples() []sample {
	var out []sample
	seen := map[string]bool{}
	for f := x86.FormID(0); f < x86.NumForms; f++ {
		op, text, _ := strings.Cut(f.Syntax(), " ")
		s := sample{form: f, op: strings.ToLower(op)}
		for _, o := range strings.Split(text, ",") {
			if o = strings.TrimSpace(o); o != "" {
				s.ops = append(s.ops, o)
			}
		}
		if special(s.op) || slices.ContainsFunc(s.ops, func(o string) bool { return strings.HasPrefix(o, "rel") }) {
			continue
		}
		for _, v := range s.variants() {
			if v.row = v.name(); v.row != "" && !seen[v.row] {
				seen[v.row] = true
				out = append(out, v)
			}
		}
	}
	return out
}

// special names what has experiments of its own, or none: what changes rsp, branches and traps.
func special(op string) bool {
	switch op {
	case "push", "pop", "leave", "ret", "int", "ud2", "call", "jmp", "div", "idiv":
		return true
	}
	return false
}

// variants returns the sample with a register, with memory and with memory and lock, as far as there are such.
func (s sample) variants() []sample {
	at := slices.IndexFunc(s.ops, func(o string) bool { return strings.HasPrefix(o, "r/m") })
	if at < 0 || strings.HasSuffix(s.ops[at], "a") {
		return []sample{s}
	}
	m := s
	m.memory = true
	switch s.op {
	case "mul", "imul", "neg", "inc", "dec", "test", "shl", "shr", "sar", "rol", "ror", "shlx", "shrx", "sarx", "cmove":
		return []sample{s}
	case "xadd", "cmpxchg":
		m.lock = true
		return []sample{m}
	case "xchg":
		return []sample{s, m}
	case "add", "or", "and", "sub", "xor":
		if at == 0 && len(s.ops) == 2 && strings.HasPrefix(s.ops[1], "r") {
			l := m
			l.lock = true
			return []sample{s, m, l}
		}
	}
	return []sample{s, m}
}

// name is the row of the sample, "" if the decoder does not know it.
func (s sample) name() string {
	var b x86.Buf
	s.emit(&b, x86.RAX, x86.RBX, x86.M8(x86.RDI, 0))
	i, err := x86.Decode(b.Bytes(), 0)
	if err != nil {
		return ""
	}
	return rows.Of(&i)
}

// emit appends the instruction with dst and src as its registers, or with a memory operand.
func (s sample) emit(b *x86.Buf, dst, src x86.Reg, mem x86.RM) {
	rm := x86.R(dst)
	if s.memory {
		rm = mem
	}
	if s.lock {
		b.Lock()
	}
	switch kinds := s.kinds(); kinds {
	case "mr":
		b.MR(s.form, rm, src)
	case "rm", "ra": // the r/m operand is read
		b.RM(s.form, dst, s.source(src, mem))
	case "rmi8":
		b.RMI8(s.form, dst, s.source(src, mem), 3)
	case "rmi32":
		b.RMI32(s.form, dst, s.source(src, mem), 0x123456)
	case "mi8":
		b.MI8(s.form, rm, 3)
	case "mi16":
		b.MI16(s.form, rm, 3)
	case "mi32":
		b.MI32(s.form, rm, 0x123456)
	case "m":
		b.M(s.form, rm)
	case "o":
		b.O(s.form, dst)
	case "oi32":
		if strings.HasPrefix(s.form.Encoding(), "REX.W") {
			b.Mov64OI(dst, 0x123456789abc)
		} else {
			b.Mov32OI(dst, 0x123456)
		}
	case "ai32":
		b.I32(s.form, 0x123456)
	case "rmv":
		b.RMV(s.form, dst, x86.R(dst), src)
	default:
		b.ZO(s.form)
	}
}

func (s sample) source(src x86.Reg, mem x86.RM) x86.RM {
	if s.memory || s.op == "lea" {
		return mem
	}
	return x86.R(src)
}

// kinds is the operands as the encoder takes them.
func (s sample) kinds() string {
	out := ""
	for _, o := range s.ops {
		switch {
		case strings.HasSuffix(o, "op"):
			out += "o"
		case o == "EAX" || o == "RAX":
			out += "a"
		case o == "m":
			out += "m"
		case o == "1" || o == "CL":
		case strings.HasPrefix(o, "imm8"):
			out += "i8"
		case o == "imm16":
			out += "i16"
		case strings.HasPrefix(o, "imm"):
			out += "i32"
		case strings.HasPrefix(o, "r/m"):
			out += "m"
		case strings.HasSuffix(o, "b"):
			out += "v"
		default:
			out += "r"
		}
	}
	return out
}

// chains reports whether the sample takes its first register as an input to what it writes there, so that
// instances with the same one wait for each other.
func (s sample) chains() bool {
	var b x86.Buf
	s.emit(&b, x86.RAX, x86.RAX, x86.M8(x86.RDI, 0))
	i, err := x86.Decode(b.Bytes(), 0)
	return err == nil && !s.memory && i.Reads.Has(x86.RAX) && i.Writes.Has(x86.RAX)
}
