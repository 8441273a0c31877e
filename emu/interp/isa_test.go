// SPDX-License-Identifier: GPL-2.0-only

package interp_test

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/emu/interp"
	"github.com/tcsim/tcsim/jit/bpf"
)

// isaCase is one file of testdata/isa.
type isaCase struct {
	insns  []bpf.Insn
	mem    []byte
	result uint64
}

// parseISA reads a case in the format of bpf_conformance.
func parseISA(text string) (c isaCase, err error) {
	section, seen := "", map[string]bool{}
	for n, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "-- "); ok {
			section = name
			seen[section] = true
			continue
		}
		if line == "" {
			continue
		}
		switch section {
		case "asm":
		case "raw":
			var v uint64
			v, err = strconv.ParseUint(line, 0, 64)
			c.insns = append(c.insns, bpf.DecodeInsn(binary.LittleEndian.AppendUint64(nil, v)))
		case "mem":
			var b []byte
			b, err = hex.DecodeString(strings.ReplaceAll(line, " ", ""))
			c.mem = append(c.mem, b...)
		case "result":
			c.result, err = strconv.ParseUint(line, 0, 64)
		default:
			err = fmt.Errorf("unknown section %q", section)
		}
		if err != nil {
			return c, fmt.Errorf("line %d: %w", n+1, err)
		}
	}
	if !seen["raw"] || !seen["result"] {
		return c, fmt.Errorf("no raw or no result section")
	}
	return c, nil
}

// TestISA runs the instruction cases, and checks that between them they cover every operation.
func TestISA(t *testing.T) {
	files, err := filepath.Glob("testdata/isa/*.data")
	if err != nil || len(files) < 100 {
		t.Fatalf("%d cases, %v", len(files), err)
	}
	seen := map[string]bool{}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(strings.TrimSuffix(filepath.Base(name), ".data"), func(t *testing.T) {
			c, err := parseISA(string(text))
			if err != nil {
				t.Fatal(err)
			}
			m, err := interp.New(interp.Config{Programs: []interp.Program{{Program: &bpf.Program{Name: "isa", Insns: c.insns}}}})
			if err != nil {
				t.Fatal(err)
			}
			res, err := m.Run(0, interp.Ctx{Data: c.mem})
			if err != nil || res.Return != c.result || res.Uninit != 0 {
				t.Errorf("r0 = %#x, want %#x; %d uninitialised reads, %v", res.Return, c.result, res.Uninit, err)
			}
			for i := 0; i < len(c.insns); i++ {
				seen[form(c.insns[i])] = true
				if c.insns[i].Op == bpf.OpLdImm64 {
					i++
				}
			}
		})
	}
	for _, f := range allForms() {
		if !seen[f] {
			t.Errorf("no case has %s", f)
		}
	}
}

// form names an instruction by what selects its meaning.
func form(in bpf.Insn) string {
	switch in.Class() {
	case 4, 7:
		if in.Op>>4 == 0xd {
			return fmt.Sprintf("%#02x width %d", in.Op, in.Imm)
		}
		return fmt.Sprintf("%#02x off %d", in.Op&^8, in.Off)
	case 3:
		if in.Op&0xe0 == 0xc0 {
			return fmt.Sprintf("%#02x imm %#x", in.Op, in.Imm)
		}
	}
	return fmt.Sprintf("%#02x", in.Op)
}

// allForms lists what RFC 9669 and the kernel define, without helpers and packet access.
func allForms() (list []string) {
	for _, class := range []uint8{4, 7} {
		for code := range uint8(0xd) {
			list = append(list, form(bpf.Insn{Op: code<<4 | class}))
		}
		for _, in := range []bpf.Insn{{Op: bpf.ClassLD | bpf.ModeAbs | bpf.SizeB, Off: 1}, {Op: 0x90, Off: 1}, {Op: 0xb0, Off: 8}, {Op: 0xb0, Off: 16}} {
			in.Op |= class
			list = append(list, form(in))
		}
	}
	list = append(list, form(bpf.Insn{Op: bpf.OpMov, Off: 32}))
	for _, width := range []int32{16, 32, 64} {
		for _, op := range []uint8{0xd4, 0xdc, 0xd7} {
			list = append(list, form(bpf.Insn{Op: op, Imm: width}))
		}
	}
	for _, code := range []uint8{1, 2, 3, 4, 5, 6, 7, 0xa, 0xb, 0xc, 0xd} {
		for _, low := range []uint8{0x05, 0x0d, 0x06, 0x0e} {
			list = append(list, form(bpf.Insn{Op: code<<4 | low}))
		}
	}
	for _, size := range []uint8{0x00, 0x08, 0x10, 0x18} {
		for _, low := range []uint8{0x61, 0x62, 0x63, 0x81} {
			if low != 0x81 || size != 0x18 {
				list = append(list, form(bpf.Insn{Op: low | size}))
			}
		}
		list = append(list, form(bpf.Insn{Op: 0xc3 | size, Imm: 0x100}), form(bpf.Insn{Op: 0xc3 | size, Imm: 0x110}))
	}
	for _, imm := range []int32{0, 0x40, 0x50, 0xa0, 1, 0x41, 0x51, 0xa1, 0xe1, 0xf1} {
		list = append(list, form(bpf.Insn{Op: bpf.ClassSTX | bpf.ModeAtomic | bpf.SizeW, Imm: imm}), form(bpf.Insn{Op: bpf.ClassSTX | bpf.ModeAtomic | bpf.SizeDW, Imm: imm}))
	}
	return append(list, "0x18", "0x05", "0x06", "0x85", "0x95")
}
