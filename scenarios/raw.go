// SPDX-License-Identifier: GPL-2.0-only

package scenarios

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/scenarios/asm"
)

// RawProgram makes a program from instruction bytes, 8 per slot, as bpf_conformance and object
// files hold them. Functions begin where BPF-to-BPF calls lead. The type is socket filter; there
// are no maps.
func RawProgram(insns []byte) (*bpf.Program, error) {
	if len(insns) == 0 || len(insns)%bpf.InsnSize != 0 {
		return nil, fmt.Errorf("raw program: expected a multiple of %d bytes, found %d", bpf.InsnSize, len(insns))
	}
	p := &bpf.Program{Name: "raw", Type: bpf.SocketFilter}
	for ; len(insns) > 0; insns = insns[bpf.InsnSize:] {
		p.Insns = append(p.Insns, bpf.DecodeInsn(insns))
	}
	second := asm.SecondHalves(p.Insns)
	starts := []int{0}
	var wrong []error
	for i, in := range p.Insns {
		if !asm.IsPseudoCall(in) || second[i] {
			continue
		}
		to := i + 1 + int(in.Imm)
		if to < 0 || to >= len(p.Insns) || second[to] {
			wrong = append(wrong, fmt.Errorf("raw program: insn %d (byte %#x) calls slot %d, which is not an instruction", i, i*bpf.InsnSize, to))
			continue
		}
		starts = append(starts, to)
	}
	if len(wrong) > maxRawMistakes {
		wrong = append(wrong[:maxRawMistakes], fmt.Errorf("raw program: %d more", len(wrong)-maxRawMistakes))
	}
	if len(wrong) > 0 {
		return nil, errors.Join(wrong...)
	}
	slices.Sort(starts)
	for _, at := range slices.Compact(starts) {
		name := "raw"
		if at != 0 {
			name = fmt.Sprintf("raw_%d", at)
		}
		p.Funcs = append(p.Funcs, bpf.Func{Name: name, Start: bpf.InsnIndex(at)})
	}
	return p, nil
}

// maxRawMistakes bounds what is told of a bad program.
const maxRawMistakes = 20

// HexBytes reads hex digits; blanks between them do not count. Errors name what was read, line and column.
func HexBytes(what, text string) ([]byte, error) {
	var digits strings.Builder
	var wrong []error
	line, col := 1, 0
	for _, r := range text {
		col++
		switch {
		case r == '\n':
			line, col = line+1, 0
		case unicode.IsSpace(r):
		case r < unicode.MaxASCII && strings.ContainsRune("0123456789abcdefABCDEF", r):
			digits.WriteRune(r)
		case len(wrong) == maxRawMistakes:
			wrong = append(wrong, fmt.Errorf("%s: and more", what))
		case len(wrong) < maxRawMistakes:
			wrong = append(wrong, fmt.Errorf("%s:%d:%d: expected a hex digit, found %q", what, line, col, r))
		}
	}
	if len(wrong) == 0 && digits.Len()%2 != 0 {
		wrong = append(wrong, fmt.Errorf("%s:%d:%d: it ends in the middle of a byte: %d digits", what, line, col, digits.Len()))
	}
	if len(wrong) > 0 {
		return nil, errors.Join(wrong...)
	}
	return hex.DecodeString(digits.String())
}
