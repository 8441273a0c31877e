// SPDX-License-Identifier: GPL-2.0-only

package differ

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/tcsim/tcsim/jit/x86"
)

// Untried says why instructions of a form are not compared; "" if they are. What they do is not between
// registers, flags and a small piece of memory.
func Untried(i *x86.Inst) string {
	switch {
	case i.Op == "hlt" || i.Op == "in" || i.Op == "out" || i.Op == "cpuid" || strings.HasPrefix(i.Op, "rd"):
		return "not the program's"
	case i.Op == "enter":
		return "nothing emits it"
	case i.Rep:
		return "string instruction"
	case strings.HasPrefix(i.Op, "bt") && i.HasMem && i.Operands[1].Kind == x86.OpReg:
		return "bit string in memory"
	case i.Mem.Seg == x86.SegFS:
		return "fs is this process's own"
	case i.Mem.Addr32:
		return "addresses of 32 bits"
	}
	for _, o := range i.Ops() {
		if o.Kind == x86.OpOther {
			return "other registers than general ones"
		}
	}
	return ""
}

// ReadForms reads samples, one a line: bytes in hex, and after # whatever it is. Those that are not compared
// are left out and counted by the reason.
func ReadForms(r io.Reader) (out []Form, untried map[string]int, err error) {
	untried = map[string]int{}
	s := bufio.NewScanner(r)
	for n := 1; s.Scan(); n++ {
		text, _, _ := strings.Cut(s.Text(), "#")
		code, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(text), " ", ""))
		if err == nil && len(code) > 0 {
			why := "not known to the decoder, so never executed"
			if i, err := x86.Decode(code, 0); err == nil {
				why = Untried(&i)
			}
			if why != "" {
				untried[why]++
				continue
			}
			var f Form
			if f, err = Parse(code); err == nil {
				out = append(out, f)
			}
		}
		if err != nil {
			return nil, nil, fmt.Errorf("line %d: %w", n, err)
		}
	}
	return out, untried, s.Err()
}

// Unique sorts forms and leaves out those that are there already.
func Unique(forms []Form) []Form {
	slices.SortFunc(forms, func(a, b Form) int { return strings.Compare(a.Key(), b.Key()) })
	return slices.CompactFunc(forms, func(a, b Form) bool { return a.Key() == b.Key() })
}
