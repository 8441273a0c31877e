// SPDX-License-Identifier: GPL-2.0-only

package conform

import (
	"fmt"
	"strings"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// line is one instruction of a listing.
type line struct {
	off  int
	code []byte
	text string
}

// listing shows the kernel's code (left) and ours, aligned by BPF instruction where ours says
// where each begins. Lines that differ are marked with "!".
func listing(f *image.FuncImage, p *bpf.Program, kernel []byte) string {
	var b strings.Builder
	left, right := disassemble(kernel, f.Addr), disassemble(f.Code, f.Addr)
	pairs := align(left, right)
	next := -1 // BPF slot shown last
	for _, pr := range pairs {
		if r := pr[1]; r != nil {
			if i, ok := f.InsnAt(image.CodeOff(r.off)); ok && int(i) != next {
				next = int(i)
				fmt.Fprintf(&b, "%4d: %s\n", i, bpf.TextAt(p.Insns, i))
			}
		}
		mark := " "
		if pr[0] == nil || pr[1] == nil || string(pr[0].code) != string(pr[1].code) {
			mark = "!"
		}
		fmt.Fprintf(&b, "%s %-52s | %s\n", mark, pr[0], pr[1])
	}
	return b.String()
}

// String shows offset, bytes and text; a missing line is empty.
func (l *line) String() string {
	if l == nil {
		return ""
	}
	return fmt.Sprintf("%5x: %-22x %s", l.off, l.code, l.text)
}

// disassemble decodes code to its end; bytes that are no instruction have a line each.
func disassemble(code []byte, at image.Addr) []line {
	var out []line
	for off := 0; off < len(code); {
		inst, err := x86.Decode(code[off:], at+image.Addr(off))
		n := int(inst.Len)
		if err != nil || n == 0 || off+n > len(code) {
			out = append(out, line{off, code[off : off+1], "(bad)"})
			off++
			continue
		}
		out = append(out, line{off, code[off : off+n], inst.String()})
		off += n
	}
	return out
}

// align pairs equal lines by a longest common subsequence and leaves the others side by side.
func align(a, b []line) [][2]*line {
	const most = 4000 // of either side: beyond it lines are paired by position
	if len(a) > most || len(b) > most {
		return zip(a, b)
	}
	n, m := len(a), len(b)
	lcs := make([][]uint16, n+1)
	for i := range lcs {
		lcs[i] = make([]uint16, m+1)
	}
	for i := n - 1; i >= 0; i-- {
		for j := m - 1; j >= 0; j-- {
			if string(a[i].code) == string(b[j].code) {
				lcs[i][j] = lcs[i+1][j+1] + 1
			} else {
				lcs[i][j] = max(lcs[i+1][j], lcs[i][j+1])
			}
		}
	}
	var out [][2]*line
	var onlyA, onlyB []line
	i, j := 0, 0
	flush := func() {
		out = append(out, zip(onlyA, onlyB)...)
		onlyA, onlyB = nil, nil
	}
	for i < n || j < m {
		switch {
		case i < n && j < m && string(a[i].code) == string(b[j].code):
			flush()
			out = append(out, [2]*line{&a[i], &b[j]})
			i, j = i+1, j+1
		case j == m || i < n && lcs[i+1][j] >= lcs[i][j+1]:
			onlyA = append(onlyA, a[i])
			i++
		default:
			onlyB = append(onlyB, b[j])
			j++
		}
	}
	flush()
	return out
}

func zip(a, b []line) [][2]*line {
	out := make([][2]*line, max(len(a), len(b)))
	for i := range a {
		out[i][0] = &a[i]
	}
	for i := range b {
		out[i][1] = &b[i]
	}
	return out
}
