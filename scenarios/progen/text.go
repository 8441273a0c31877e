// SPDX-License-Identifier: GPL-2.0-only

package progen

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/tcsim/tcsim/jit/bpf"
)

// distance is what the text of a jump or call has for its end.
var distance = regexp.MustCompile(`pc[+-]\d+$`)

// ends returns the slots that jumps lead to.
func (p *Program) ends() map[int]bool {
	out := map[int]bool{}
	for i, in := range p.BPF.Insns {
		if to, ok := end(in, i); ok {
			out[to] = true
		}
	}
	return out
}

// end is where a jump leads.
func end(in bpf.Insn, at int) (to int, ok bool) {
	op := in.Op & 0xf0
	switch c := in.Class(); {
	case in.Op == bpf.OpJA32:
		return at + 1 + int(in.Imm), true
	case (c == bpf.ClassJmp || c == bpf.ClassJmp32) && op != bpf.JmpCall && op != bpf.JmpExit:
		return at + 1 + int(in.Off), true
	}
	return 0, false
}

// Asm is the program in the syntax of scenario files, a line for each instruction.
func (p *Program) Asm() string {
	var b strings.Builder
	ends := p.ends()
	name := func(slot int) string {
		for _, f := range p.BPF.Funcs[1:] {
			if int(f.Start) == slot {
				return f.Name
			}
		}
		return fmt.Sprintf("l%d", slot)
	}
	for i := bpf.InsnIndex(0); int(i) < len(p.BPF.Insns); i += p.BPF.Insns[i].Width() {
		in, at := p.BPF.Insns[i], int(i)
		if ends[at] || slices.ContainsFunc(p.BPF.Funcs[1:], func(f bpf.Func) bool { return f.Start == i }) {
			fmt.Fprintf(&b, "%s:\n", name(at))
		}
		text := bpf.TextAt(p.BPF.Insns, i)
		to, jumps := end(in, at)
		callee, calls := in.Callee(i)
		switch {
		case in.IsLdImm64() && in.Src == bpf.PseudoMap:
			text = fmt.Sprintf("r%d = map[%s] ll", in.Dst, Maps[in.Imm].Name)
		case in.IsLdImm64() && in.Src == bpf.PseudoMapValue:
			text = fmt.Sprintf("r%d = map[%s][0]+%d ll", in.Dst, Maps[in.Imm].Name, p.BPF.Insns[i+1].Imm)
		case in.IsLdImm64() && calls:
			text = fmt.Sprintf("r%d = %s ll", in.Dst, name(int(callee)))
		case calls:
			text = "call " + name(int(callee))
		case jumps:
			text = distance.ReplaceAllString(text, name(to))
		case in.Op == bpf.OpCall && in.Src == bpf.PseudoKfunc:
			text = "call " + p.BPF.Kfuncs[in.Imm]
		case in.Op == bpf.OpCall:
			text = fmt.Sprintf("call %d", in.Imm)
		}
		b.WriteString(text + "\n")
	}
	return b.String()
}

// mapWords are the types of maps in scenario files.
var mapWords = map[bpf.MapType]string{
	bpf.ArrayMap: "array", bpf.HashMap: "hash", bpf.PerCPUArrayMap: "percpu_array", bpf.ProgArray: "prog_array", bpf.ArenaMap: "arena",
}

// mapLines describe the maps that the program uses, as scenario files do.
func (p *Program) mapLines() []string {
	var lines []string
	for _, m := range p.BPF.MapsUsed() {
		def := &Maps[m]
		line := fmt.Sprintf("%s: {type: %s, max_entries: %d", def.Name, mapWords[def.Type], def.MaxEntries)
		if def.Type != bpf.ProgArray && def.Type != bpf.ArenaMap {
			line += fmt.Sprintf(", value_size: %d", def.ValueSize)
		}
		if m == MapIn {
			var values []string
			for at := 0; at < inSize; at += 4 {
				if v := binary.LittleEndian.Uint32(p.In[at:]); v != 0 {
					values = append(values, fmt.Sprintf("0+%d: %#x", at, v))
				}
			}
			if len(values) > 0 {
				line += ", values: {" + strings.Join(values, ", ") + "}"
			}
		}
		lines = append(lines, line+"}")
	}
	return lines
}

// Scenario is the program as a scenario file that expects a return value.
func (p *Program) Scenario(name, about string, returns uint32) string {
	maps := p.mapLines()
	var b strings.Builder
	fmt.Fprintf(&b, "version: 1\nname: %s\nabout: >-\n  %s\ntype: %s\n", name, about, p.BPF.Type)
	if len(maps) > 0 {
		b.WriteString("maps:\n  " + strings.Join(maps, "\n  ") + "\n")
	}
	b.WriteString("programs:\n  prog: |\n    " + strings.ReplaceAll(strings.TrimSpace(p.Asm()), "\n", "\n    ") + "\n")
	fmt.Fprintf(&b, "runs:\n  - {run: prog, packet: %q, expect: {return: %d}}\n", hex.EncodeToString(Packet), returns)
	return b.String()
}
