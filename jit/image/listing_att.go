// SPDX-License-Identifier: GPL-2.0-only

package image

import (
	"fmt"
	"slices"

	"github.com/tcsim/tcsim/jit/x86"
)

// ATTLine is one line of a function in AT&T syntax.
type ATTLine struct {
	Off   CodeOff // from FuncImage.Addr
	Label string  // "L0", "" if no jump of the function goes here
	Text  string  // blanks instead of tabs; a lock prefix is a line of its own
}

// String returns the line as expectations are compared with it: "L0: leave".
func (l ATTLine) String() string {
	if l.Label != "" {
		return l.Label + ": " + l.Text
	}
	return l.Text
}

// ATTListing lists a function from its entry point on as the kernel's selftests see it
// (tools/testing/selftests/bpf/jit_disasm_helpers.c, 7.2): LLVM's spelling, jumps inside the function
// to labels L0, L1 and so on in order of address. code is its text as it is now, of the length of
// f.Code; nil means f.Code. It fails on bytes that are no instruction.
//
// Every place has one label; where two jumps go to one place, the kernel's helper counts it twice.
func ATTListing(f *FuncImage, code []byte) ([]ATTLine, error) {
	if code == nil {
		code = f.Code
	}
	if len(code) != len(f.Code) {
		return nil, fmt.Errorf("%s: %d bytes of text, expected %d", f.Name, len(code), len(f.Code))
	}
	var insns []x86.Inst
	var targets []Addr
	start := f.Addr + Addr(f.Entry)
	for off := int(f.Entry); off < len(code); {
		in, err := x86.Decode(code[off:], f.Addr+Addr(off))
		if err != nil {
			return nil, fmt.Errorf("%s+%#x: %w", f.Name, off, err)
		}
		insns = append(insns, in)
		if in.Branch.Direct() && in.Target >= start && in.Target < f.End() {
			targets = append(targets, in.Target)
		}
		off += int(in.Len)
	}
	slices.Sort(targets)
	targets = slices.Compact(targets)
	var lines []ATTLine
	for i := range insns {
		in := &insns[i]
		l := ATTLine{Off: CodeOff(in.PC - f.Addr)}
		if n, ok := slices.BinarySearch(targets, in.PC); ok {
			l.Label = fmt.Sprintf("L%d", n)
		}
		if in.LockPrefix {
			l.Text = "lock"
			lines = append(lines, l)
			l.Label = ""
		}
		l.Text = in.ATT()
		if n, ok := slices.BinarySearch(targets, in.Target); ok && in.Branch.Direct() {
			l.Text = fmt.Sprintf("%s L%d", in.Op, n)
		}
		lines = append(lines, l)
	}
	return lines, nil
}
