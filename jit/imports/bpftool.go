// SPDX-License-Identifier: GPL-2.0-only

package imports

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/tcsim/tcsim/jit"
)

// bpftoolFunc is a function in the output of bpftool -j prog dump jited ... opcodes
// (tools/bpf/bpftool/jit_disasm.c, disasm_print_insn).
type bpftoolFunc struct {
	Proto string        `json:"proto"`
	Name  string        `json:"name"`
	Insns []bpftoolInsn `json:"insns"`
	Error string        `json:"error"`
}

type bpftoolInsn struct {
	PC        string   `json:"pc"`
	Operation string   `json:"operation"`
	Operands  []string `json:"operands"`
	Opcodes   []string `json:"opcodes"`
	Disasm    string   `json:"disasm"` // of xlated dumps
	Src       string   `json:"src"`    // of dumps with source lines
}

var errRecord = errors.New("record bpftool -j prog dump jited id N opcodes")

// readBpftool reads the JSON of one program.
func readBpftool(data []byte) (*Dump, error) {
	var funcs []bpftoolFunc
	if err := json.Unmarshal(data, &funcs); err != nil {
		var one bpftoolFunc
		if json.Unmarshal(data, &one) == nil {
			if one.Error != "" {
				return nil, fmt.Errorf("bpftool says %q instead of code: use one that was built with a disassembler, or read the "+
					"program with tcsim capture --id", one.Error)
			}
			return nil, fmt.Errorf("an object, not the list of functions of a jited dump: %w", errRecord)
		}
		return nil, fmt.Errorf("bpftool's JSON: %w", err)
	}
	if len(funcs) == 0 {
		return nil, fmt.Errorf("no functions: %w", errRecord)
	}
	d := &Dump{}
	for i := range funcs {
		f, err := funcs[i].read()
		if err != nil {
			return nil, fmt.Errorf("function %d (%s): %w", i, funcs[i].Name, err)
		}
		d.Funcs = append(d.Funcs, *f)
	}
	return d, nil
}

func (b *bpftoolFunc) read() (*Func, error) {
	f := &Func{Name: b.Name, Proto: b.Proto}
	for i := range b.Insns {
		in := &b.Insns[i]
		switch {
		case in.Operation == "" && in.Opcodes == nil && in.Src != "":
			continue // a source line
		case in.Disasm != "":
			return nil, fmt.Errorf("a dump of BPF instructions (xlated), not of machine code: %w", errRecord)
		case in.Opcodes == nil:
			return nil, fmt.Errorf("instruction %d has no opcodes, and its text %q does not say which encoding the JIT chose: %w",
				i, in.text(), errRecord)
		}
		if err := f.add(in); err != nil {
			return nil, fmt.Errorf("instruction %d (%s): %w", i, in.text(), err)
		}
	}
	if len(f.Code) == 0 {
		return nil, fmt.Errorf("no instructions: %w", errRecord)
	}
	return f, nil
}

func (in *bpftoolInsn) text() string {
	return strings.TrimSpace(in.Operation + " " + strings.Join(in.Operands, ","))
}

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
	base, ok := branchBase(f.Code[pc:], int(pc), in.Operands)
	switch {
	case !ok || base == 0: // some disassemblers print targets from the start of the function
	case f.Known && base != f.Addr:
		return fmt.Errorf("its target puts the function at %#x, an earlier one at %#x", uint64(base), uint64(f.Addr))
	case uint64(base)>>47 != 1<<17-1:
		return fmt.Errorf("its target puts the function at %#x, which is no address of the kernel's", uint64(base))
	default:
		f.Addr, f.Known = jit.Addr(base), true
	}
	return nil
}
