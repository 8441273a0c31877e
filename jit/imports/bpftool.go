// SPDX-License-Identifier: GPL-2.0-only

package imports

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// bpftoolItem is a function in the output of bpftool -j prog dump jited ... opcodes
// (tools/bpf/bpftool/jit_disasm.c, disasm_print_insn), or a program if several match: the list of its
// functions is then in Insns (tools/bpf/bpftool/prog.c, do_dump).
type bpftoolItem struct {
	ID    *uint32           `json:"id"` // of programs
	Type  string            `json:"type"`
	Proto string            `json:"proto"`
	Name  string            `json:"name"`
	Insns []json.RawMessage `json:"insns"`
	Error string            `json:"error"`
}

type bpftoolInsn struct {
	PC        string   `json:"pc"`
	Operation string   `json:"operation"`
	Operands  []string `json:"operands"`
	Opcodes   []string `json:"opcodes"`
	Disasm    string   `json:"disasm"` // of xlated dumps
	Src       string   `json:"src"`    // source line, alone or with an instruction
}

var errRecord = errors.New("record bpftool -j prog dump jited id N opcodes")

// readBpftool reads the JSON of one program, or of all that a name or tag matched.
func readBpftool(data []byte) (*Dump, error) {
	var items []json.RawMessage
	if err := json.Unmarshal(data, &items); err != nil {
		var one bpftoolItem
		if json.Unmarshal(data, &one) == nil {
			if one.Error != "" {
				return nil, fmt.Errorf("bpftool says %q instead of code: use one that was built with a disassembler, or read the "+
					"program with tcsim capture --id", one.Error)
			}
			return nil, fmt.Errorf("an object, not the list of functions of a jited dump: %w", errRecord)
		}
		return nil, fmt.Errorf("bpftool's JSON: %w", err)
	}
	d := &Dump{}
	var funcs []Func
	var wrong mistakes
	for i, text := range items {
		place := fmt.Sprintf("item %d", i)
		var b bpftoolItem
		err := json.Unmarshal(text, &b)
		switch {
		case err != nil:
		case b.ID != nil && b.Insns == nil:
			err = fmt.Errorf("program %d (%s) without its functions: %w", *b.ID, b.Name, errRecord)
		case b.ID != nil:
			var inner []Func
			place = fmt.Sprintf("program %d (%s)", *b.ID, b.Name)
			if inner, err = readFuncs(b.Insns); err == nil {
				d.Progs = append(d.Progs, Prog{Name: b.Name, Funcs: inner})
			}
		default:
			var f *Func
			place = fmt.Sprintf("function %d (%s)", i, b.Name)
			if f, err = b.read(); err == nil {
				funcs = append(funcs, *f)
			}
		}
		if !wrong.add(place, err) {
			break
		}
	}
	switch {
	case len(wrong) > 0:
		return nil, wrong.join()
	case len(funcs) > 0 && len(d.Progs) > 0:
		return nil, fmt.Errorf("functions and programs in one list: %w", errRecord)
	case len(funcs) > 0:
		d.Progs = []Prog{{Funcs: funcs}}
	case len(d.Progs) == 0:
		return nil, fmt.Errorf("no functions: %w", errRecord)
	}
	return d, nil
}

func readFuncs(items []json.RawMessage) ([]Func, error) {
	var out []Func
	var wrong mistakes
	for i, text := range items {
		var b bpftoolItem
		var f *Func
		err := json.Unmarshal(text, &b)
		if err == nil {
			f, err = b.read()
		}
		if !wrong.add(strings.TrimSuffix(fmt.Sprintf("function %d (%s)", i, b.Name), " ()"), err) {
			break
		}
		if err == nil {
			out = append(out, *f)
		}
	}
	if len(wrong) > 0 {
		return nil, wrong.join()
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("no functions: %w", errRecord)
	}
	return out, nil
}

func (b *bpftoolItem) read() (*Func, error) {
	f := newFunc(b.Name)
	f.Proto = b.Proto
	for i, text := range b.Insns {
		var in bpftoolInsn
		if err := json.Unmarshal(text, &in); err != nil {
			return nil, fmt.Errorf("instruction %d: %w", i, err)
		}
		switch {
		case in.Operation == "" && in.Opcodes == nil && in.Src != "":
			continue // a source line
		case in.Disasm != "":
			return nil, fmt.Errorf("a dump of BPF instructions (xlated), not of machine code: %w", errRecord)
		case in.Opcodes == nil:
			return nil, fmt.Errorf("instruction %d has no opcodes, and its text %q does not say which encoding the JIT chose: %w",
				i, in.text(), errRecord)
		}
		if err := f.add(&in); err != nil {
			return nil, fmt.Errorf("instruction %d (%s): %w", i, in.text(), err)
		}
	}
	if len(f.Code) == 0 {
		return nil, fmt.Errorf("no instructions: %w", errRecord)
	}
	return f, nil
}

func (in *bpftoolInsn) text() string {
	return strings.TrimSpace(in.Operation + " " + strings.Join(in.Operands, " "))
}

// newFunc makes a function of the name that bpftool prints, which is its address where /proc/kallsyms
// does not name it (tools/bpf/bpftool/prog.c, prog_dump).
func newFunc(name string) *Func {
	f := &Func{Name: name}
	if text, ok := strings.CutPrefix(name, "0x"); ok {
		if a, err := strconv.ParseUint(text, 16, 64); err == nil {
			f.Name = ""
			if kernelAddr(image.Addr(a)) {
				f.Addr, f.Place = image.Addr(a), Known
			}
		}
	}
	return f
}

// kernelAddr reports whether the kernel can have code at a.
func kernelAddr(a image.Addr) bool { return uint64(a)>>47 == 1<<17-1 }

// add appends one instruction and learns the function's address from branches.
func (f *Func) add(in *bpftoolInsn) error {
	pc, err := strconv.ParseUint(in.PC, 0, 31)
	if err != nil {
		return fmt.Errorf("pc %q: expected an offset such as 0x1f", in.PC)
	}
	if int(pc) != len(f.Code) {
		return fmt.Errorf("it is at offset %#x, but the instructions before it have %#x bytes", pc, len(f.Code))
	}
	if n := len(in.Opcodes); n == 0 || n > 15 {
		return fmt.Errorf("%d opcode bytes", n)
	}
	for _, o := range in.Opcodes {
		b, err := strconv.ParseUint(o, 0, 8)
		if err != nil {
			return fmt.Errorf("opcode %q: expected a byte such as 0x0f", o)
		}
		f.Code = append(f.Code, byte(b))
	}
	if len(in.Operands) == 0 {
		return nil
	}
	return f.learn(int(pc), in.Operands[len(in.Operands)-1])
}

// learn takes the function's address from the instruction at offset pc, if it is a direct branch, and
// the target that the disassembler printed. LLVM prints addresses, libbfd offsets from the function.
func (f *Func) learn(pc int, operand string) error {
	base, ok := branchBase(f.Code[pc:], pc, operand)
	switch {
	case !ok || base == 0:
		return nil
	case f.Place == Known && base != f.Addr:
		return fmt.Errorf("its target puts the function at %#x, an earlier one or its name at %#x", uint64(base), uint64(f.Addr))
	case !kernelAddr(base):
		return fmt.Errorf("its target puts the function at %#x, which is not an address of the kernel's", uint64(base))
	}
	f.Addr, f.Place = base, Known
	return nil
}

// branchBase returns the address of a function from a direct branch at offset pc of it and the
// address that the branch leads to; ok is false for other instructions.
func branchBase(code []byte, pc int, operand string) (image.Addr, bool) {
	target, ok := strings.CutPrefix(operand, "0x")
	if !ok {
		return 0, false
	}
	to, err := strconv.ParseUint(target, 16, 64)
	if err != nil {
		return 0, false
	}
	in, err := x86.Decode(code, 0)
	if err != nil || !in.Branch.Direct() {
		return 0, false
	}
	return image.Addr(to) - in.Target - image.Addr(pc), true // in.Target is from address 0
}
