// SPDX-License-Identifier: GPL-2.0-only

package imports

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// What bpftool prog dump jited ... opcodes prints without -j (tools/bpf/bpftool/jit_disasm.c): a line
// for each instruction and one for its bytes; before the instructions of a function its prototype, if
// there is type information, and its name; before a program a header, if several match.
var (
	textInsn = regexp.MustCompile(`(?m)^ *([0-9a-f]+):\t([^\n\r]*)`)
	textName = regexp.MustCompile(`^(bpf_prog_\w+|0x[0-9a-f]{16}):$`)
	textProg = regexp.MustCompile(`^[0-9]+: \w+ +(?:name (\S+) +)?tag [0-9a-f]{16}`)
)

var errRecordText = errors.New("record bpftool prog dump jited id N opcodes")

// textReader collects what the lines say.
type textReader struct {
	d     *Dump
	f     *Func
	proto string
	insn  bpftoolInsn // without opcodes: read and not yet complete
}

// readText reads bpftool's text.
func readText(data []byte) (*Dump, error) {
	r := textReader{d: &Dump{}}
	var wrong mistakes
	for i, line := range strings.Split(string(data), "\n") {
		if err := r.line(strings.TrimRight(line, "\r")); err != nil && !wrong.add(lineNo(i), err) {
			break
		}
	}
	if len(wrong) > 0 {
		return nil, wrong.join()
	}
	if r.insn.PC != "" {
		return nil, fmt.Errorf("the last instruction has no bytes: the text is cut, or %w", errRecordText)
	}
	for i := range r.d.Progs {
		p := &r.d.Progs[i]
		if len(p.Funcs) == 0 {
			return nil, fmt.Errorf("program %d (%s) has no functions: %w", i, p.Name, errRecordText)
		}
		for j := range p.Funcs {
			if len(p.Funcs[j].Code) == 0 {
				return nil, fmt.Errorf("function %d (%s) has no instructions: %w", j, p.Funcs[j].Name, errRecordText)
			}
		}
	}
	if len(r.d.Progs) == 0 {
		return nil, fmt.Errorf("no functions: %w", errRecordText)
	}
	return r.d, nil
}

// isTextCode reports whether a line is one of bytes: a tab, pairs of digits with a space between them, perhaps one more
// space.
func isTextCode(line string) bool {
	rest, ok := strings.CutPrefix(line, "\t")
	rest = strings.TrimSuffix(rest, " ")
	if !ok || len(rest)%3 != 2 {
		return false
	}
	for i := range len(rest) {
		c := rest[i]
		if i%3 == 2 && c != ' ' || i%3 != 2 && (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func (r *textReader) line(line string) error {
	if r.insn.PC != "" {
		if !isTextCode(line) {
			r.insn = bpftoolInsn{} // the next line is read on its own
			return fmt.Errorf("expected the bytes of the instruction before, found %.80q: its text does not say which encoding "+
				"the JIT chose: %w", line, errRecordText)
		}
		for _, b := range strings.Fields(line) {
			r.insn.Opcodes = append(r.insn.Opcodes, "0x"+b)
		}
		err := r.f.add(&r.insn)
		r.insn = bpftoolInsn{}
		return err
	}
	if m := textInsn.FindStringSubmatch(line); m != nil {
		if r.f == nil {
			return fmt.Errorf("an instruction before the name of its function: the text is cut at its start")
		}
		r.insn = bpftoolInsn{PC: "0x" + m[1], Operands: strings.Fields(m[2])}
		return nil
	}
	switch name, prog := textName.FindStringSubmatch(line), textProg.FindStringSubmatch(line); {
	case name != nil:
		if len(r.d.Progs) == 0 {
			r.d.Progs = append(r.d.Progs, Prog{})
		}
		p := &r.d.Progs[len(r.d.Progs)-1]
		f := newFunc(name[1])
		f.Proto = r.proto
		p.Funcs = append(p.Funcs, *f)
		r.f = &p.Funcs[len(p.Funcs)-1]
	case prog != nil:
		r.d.Progs = append(r.d.Progs, Prog{Name: prog[1]})
		r.f = nil
	}
	r.proto = ""
	if strings.HasSuffix(line, "):") && !strings.HasPrefix(line, ";") {
		r.proto = strings.TrimSuffix(line, ":")
	}
	return nil
}
