// SPDX-License-Identifier: GPL-2.0-only

package imports

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// The two kinds of lines (include/linux/filter.h, bpf_jit_dump): one that begins the block of a
// function, and its bytes.
const (
	logHead = "flen="
	logCode = "JIT code: "
)

// block is one function in the log.
type block struct {
	line  int // of the head
	image string
	from  string
	size  int
	code  []byte
}

// readLog reads kernel log text. Timestamps and other prefixes may stand before each line, other
// messages between the lines. A function that the kernel compiled again, as it does when it knows
// the addresses of the functions that are called, counts as last compiled.
func readLog(data []byte) (*Dump, error) {
	var blocks []*block
	for i, line := range strings.Split(string(data), "\n") {
		line = strings.TrimRight(line, "\r")
		if at := strings.Index(line, logCode); at >= 0 {
			if len(blocks) == 0 {
				return nil, fmt.Errorf("line %d: code before the first line with %q: the log is cut at its start", i+1, logHead)
			}
			if err := blocks[len(blocks)-1].add(line[at+len(logCode):]); err != nil {
				return nil, fmt.Errorf("line %d: %w", i+1, err)
			}
		} else if at := strings.Index(line, logHead); at >= 0 && strings.Contains(line, "proglen=") {
			b, err := newBlock(line[at:], i+1)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", i+1, err)
			}
			blocks = append(blocks, b)
		}
	}
	if len(blocks) == 0 {
		return nil, fmt.Errorf("no lines with %q: expected the kernel log of net.core.bpf_jit_enable=2", logHead)
	}
	d := &Dump{}
	at := map[string]int{} // index in d.Funcs by image
	for _, b := range blocks {
		if len(b.code) != b.size {
			return nil, fmt.Errorf("line %d: %d of the function's %d bytes are there: the log is cut or lost lines", b.line, len(b.code), b.size)
		}
		if n, again := at[b.image]; again && len(d.Funcs[n].Code) == len(b.code) {
			d.Funcs[n].Code = b.code
			continue
		}
		at[b.image] = len(d.Funcs)
		d.Funcs = append(d.Funcs, Func{Code: b.code})
	}
	if len(d.Funcs) > 1 {
		d.Notes = append(d.Notes, "the log does not say which functions belong to one program: they are taken as one")
	}
	return d, nil
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
		case "image":
			b.image = value
		case "from":
			b.from = value
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
