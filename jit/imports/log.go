// SPDX-License-Identifier: GPL-2.0-only

package imports

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// The two kinds of lines (include/linux/filter.h, bpf_jit_dump): one that begins the block of a
// function, and its bytes.
const (
	logHead = "flen="
	logCode = "JIT code: "
)

// block is a function in the log, once for each time that it was compiled.
type block struct {
	line        int // of the head
	image, task string
	again       bool // compiled a second time
	size        int
	code        []byte
}

// readLog reads kernel log text. Timestamps and other prefixes may stand before each line, other
// messages between the lines.
func readLog(data []byte) (*Dump, error) {
	var blocks []*block
	var wrong mistakes
	bad := false // something is wrong with the block that is read: what follows in it says nothing more
	for i, line := range strings.Split(string(data), "\n") {
		line = strings.TrimRight(line, "\r")
		var err error
		if at := strings.Index(line, logCode); at >= 0 {
			switch {
			case bad:
			case len(blocks) == 0:
				err = fmt.Errorf("code before the first line with %q: the log is cut at its start", logHead)
			default:
				err = blocks[len(blocks)-1].add(line[at+len(logCode):])
			}
			bad = bad || err != nil
		} else if at := strings.Index(line, logHead); at >= 0 && strings.Contains(line, "proglen=") {
			wrong.incomplete(blocks, bad)
			var b *block
			b, err = newBlock(line[at:], i+1)
			if bad = err != nil; !bad {
				blocks = append(blocks, b)
			}
		}
		if err != nil && !wrong.add(lineNo(i), err) {
			break
		}
	}
	wrong.incomplete(blocks, bad)
	switch {
	case len(wrong) > 0:
		return nil, wrong.join()
	case len(blocks) == 0:
		return nil, fmt.Errorf("no lines with %q: expected the kernel log of net.core.bpf_jit_enable=2", logHead)
	}
	progs, err := programs(blocks)
	if err != nil {
		return nil, err
	}
	return &Dump{Progs: progs}, nil
}

// incomplete notes that the last block has not all its bytes, unless something else is wrong with it.
func (m *mistakes) incomplete(blocks []*block, bad bool) {
	if n := len(blocks); n > 0 && !bad && len(blocks[n-1].code) != blocks[n-1].size {
		b := blocks[n-1]
		m.add(lineNo(b.line-1), fmt.Errorf("%d of the function's %d bytes are there: the log is cut or lost lines", len(b.code), b.size))
	}
}

// programs groups functions. The kernel compiles all functions of a program, and then, when it knows
// where they are, all of them again into the same buffers (jit_subprogs, kernel/bpf/verifier.c); only
// then a function needs one pass (bpf_int_jit_compile). A program of one function is compiled once.
func programs(blocks []*block) ([]Prog, error) {
	tasks := map[string][]*block{} // what each task had compiled and not yet again
	grown := map[string]int{}      // the program that grows, by task; its index plus 1
	var out []Prog
	var first []int // line of each program of out
	single := func(waiting []*block) {
		for _, b := range waiting {
			out, first = append(out, Prog{Funcs: []Func{{Code: b.code}}}), append(first, b.line)
		}
	}
	for _, b := range blocks {
		waiting := tasks[b.task]
		if !b.again {
			tasks[b.task] = append(waiting, b)
			grown[b.task] = 0
			continue
		}
		at := slices.IndexFunc(waiting, func(w *block) bool { return w.image == b.image && w.size == b.size })
		switch {
		case at < 0 || grown[b.task] > 0 && at > 0:
			return nil, fmt.Errorf("line %d: a function is compiled again whose first compilation is not before it: the log is cut at "+
				"its start; leave out the program", b.line)
		case grown[b.task] == 0:
			single(waiting[:at])
			out, first = append(out, Prog{}), append(first, waiting[at].line)
			grown[b.task] = len(out)
		}
		p := &out[grown[b.task]-1]
		p.Funcs = append(p.Funcs, Func{Code: b.code})
		tasks[b.task] = waiting[at+1:]
	}
	for _, waiting := range tasks {
		single(waiting)
	}
	order := make([]int, len(out))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(first[a], first[b]) })
	sorted := make([]Prog, len(out))
	for i, n := range order {
		sorted[i] = out[n]
	}
	return sorted, nil
}

// newBlock reads "flen=6 proglen=65 pass=5 image=0000000012345678 from=test pid=123".
func newBlock(text string, line int) (*block, error) {
	b := &block{line: line, size: -1}
	for _, field := range strings.Fields(text) {
		key, value, _ := strings.Cut(field, "=")
		switch key {
		case "proglen":
			n, err := strconv.ParseUint(value, 10, 24)
			if err != nil || n == 0 {
				return nil, fmt.Errorf("proglen %q: expected a number of bytes", value)
			}
			b.size = int(n)
		case "pass":
			b.again = value == "1"
		case "image":
			b.image = value
		case "from", "pid":
			b.task += " " + value
		}
	}
	if b.size < 0 || b.image == "" {
		return nil, fmt.Errorf("no proglen and image in %.80q", text)
	}
	return b, nil
}

// add reads "00000010: 0f 1f 44 00 00 ...", at most 16 bytes (lib/hexdump.c, print_hex_dump).
func (b *block) add(text string) error {
	off, rest, ok := strings.Cut(text, ":")
	at, err := strconv.ParseUint(strings.TrimSpace(off), 16, 31)
	if !ok || err != nil {
		return fmt.Errorf("expected an offset and bytes, found %.80q", text)
	}
	if int(at) != len(b.code) {
		return fmt.Errorf("bytes at offset %#x, but %#x are there: lines were lost, or two functions were logged at once", at, len(b.code))
	}
	digits := strings.ReplaceAll(strings.TrimSpace(rest), " ", "")
	code, err := hex.DecodeString(digits)
	if err != nil || len(code) == 0 || len(code) > 32 {
		return fmt.Errorf("expected up to 32 bytes in hex, found %.80q", rest)
	}
	if b.code = append(b.code, code...); len(b.code) > b.size {
		return fmt.Errorf("more than the function's %d bytes", b.size)
	}
	return nil
}
