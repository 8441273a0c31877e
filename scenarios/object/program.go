// SPDX-License-Identifier: GPL-2.0-only

package object

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"

	"github.com/tcsim/tcsim/jit"
)

// maxInsns is how many slots the kernel's verifier takes (BPF_COMPLEXITY_LIMIT_INSNS).
const maxInsns = 1_000_000

// linker makes the slots of one program of cilium/ebpf's instructions.
type linker struct {
	r     *reader
	insns asm.Instructions
	at    []int          // slot of each instruction
	start map[string]int // slot of each symbol
	funcs map[int]string // slot of each function's start to its name
	errs  []error
}

// program translates one program with its functions, which cilium/ebpf has put behind the entry.
func (r *reader) program(p *ebpf.ProgramSpec) (jit.Program, []error) {
	l := linker{r: r, insns: p.Instructions, start: map[string]int{}, funcs: map[int]string{0: p.Name}}
	out := jit.Program{Name: p.Name, Type: jit.ProgType(p.Type), Maps: r.file.Maps}
	slots := 0
	for i := range l.insns {
		in := &l.insns[i]
		if sym := in.Symbol(); sym != "" {
			l.start[sym] = slots
		}
		l.at = append(l.at, slots)
		slots += int(in.Width())
	}
	if slots > maxInsns {
		return out, []error{fmt.Errorf("%d instructions: the kernel takes %d", slots, maxInsns)}
	}
	for i := range l.insns {
		code, err := l.instruction(i)
		if err != nil {
			l.errs = append(l.errs, fmt.Errorf("insn %d (%v): %w", l.at[i], l.insns[i].OpCode, err))
			continue
		}
		for ; len(code) >= jit.InsnSize; code = code[jit.InsnSize:] {
			out.Insns = append(out.Insns, jit.DecodeInsn(code))
		}
	}
	for _, s := range slices.Sorted(maps.Keys(l.funcs)) {
		out.Funcs = append(out.Funcs, jit.Func{Name: l.funcs[s], Start: jit.InsnIndex(s)})
	}
	return out, l.errs
}

// instruction returns the slots of instruction i with its reference resolved.
func (l *linker) instruction(i int) ([]byte, error) {
	in := l.insns[i] // a copy
	if r := btf.CORERelocationMetadata(&in); r != nil {
		return nil, fmt.Errorf("CO-RE relocation %v: it needs the BTF of a kernel, and there is none here", r)
	}
	ref := in.Reference()
	switch {
	case in.IsLoadFromMap():
		m, ok := l.r.maps[ref]
		if !ok {
			return nil, fmt.Errorf("no map %q", ref)
		}
		in.Constant = in.Constant&^0xffff_ffff | int64(m)
	case in.IsKfuncCall():
		return nil, fmt.Errorf("call of kernel function %q: kernel functions are not modelled", ref)
	case in.IsFunctionReference():
		to, err := l.function(i, ref, in.Constant)
		if err != nil {
			return nil, err
		}
		in.Constant = int64(to - l.at[i] - 1)
	case ref != "" && in.OpCode.JumpOp() != asm.InvalidJumpOp:
		return nil, fmt.Errorf("jump to symbol %q", ref)
	case ref != "" || in.IsLoadOfFunctionPointer():
		return nil, fmt.Errorf("reference to %q, which the file does not define", ref)
	}
	var code bytes.Buffer
	if _, err := in.WithReference("").Marshal(&code, binary.LittleEndian); err != nil {
		return nil, err
	}
	return code.Bytes(), nil
}

// function returns the slot of the function that instruction i refers to, by name or by distance.
func (l *linker) function(i int, name string, distance int64) (int, error) {
	to, ok := l.start[name]
	if name == "" {
		to = l.at[i] + 1 + int(distance)
		n, found := slices.BinarySearch(l.at, to)
		if ok = found; ok {
			name = l.insns[n].Symbol()
		}
	}
	if !ok {
		return 0, fmt.Errorf("no function %q", name)
	}
	if l.funcs[to] == "" {
		if name == "" {
			name = fmt.Sprintf("func_%d", to)
		}
		l.funcs[to] = name
	}
	return to, nil
}
