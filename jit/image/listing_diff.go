// SPDX-License-Identifier: GPL-2.0-only

package image

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"github.com/tcsim/tcsim/jit/bpf"
	"io"
	"strings"
)

// DiffMark says how the two sides of a DiffRow compare.
type DiffMark byte

// The marks.
const (
	DiffSame  DiffMark = ' '
	DiffText  DiffMark = '|' // different instructions
	DiffBytes DiffMark = '~' // the same instruction, encoded differently
	DiffOnlyA DiffMark = '<'
	DiffOnlyB DiffMark = '>'
)

// alignLimit bounds the cells of the alignment table; larger groups are paired line by line.
const alignLimit = 4 << 20

// DiffRow is one row of two listings side by side. A or B is nil where the side has nothing.
type DiffRow struct {
	Mark DiffMark
	A, B *ListingLine
}

// DiffGroup is the code of one BPF instruction, or the prologue, on both sides.
type DiffGroup struct {
	// Insn and InsnB are the numbers of the instruction in the two programs: -1 is the prologue, or all
	// of the code if a side does not know where instructions begin, NoInsn what a program lacks.
	Insn, InsnB bpf.InsnIndex
	BPF         string
	Rows        []DiffRow
	// BytesA and BytesB are the sizes of the code.
	BytesA, BytesB int
	Same           bool
}

// FuncDiff is the code of one function of a program on two targets, or from a compiler and a
// kernel, aligned by BPF instruction.
type FuncDiff struct {
	NameA, NameB   string // headings
	Groups         []DiffGroup
	BytesA, BytesB int // sizes of the code
	InsnsA, InsnsB int // numbers of x86 instructions
	Same           bool
}

// DiffFuncs compares two images of the same function. Branches are the same if they go to the same
// BPF instruction, calls to other functions and helpers wherever these are placed. p may be nil.
func DiffFuncs(a, b *FuncImage, p *bpf.Program) FuncDiff { return DiffPrograms(a, b, p, p) }

// DiffPrograms is DiffFuncs for a function that two kernels' verifiers have made different programs
// of: their instructions are aligned first. pa and pb may be nil.
func DiffPrograms(a, b *FuncImage, pa, pb *bpf.Program) FuncDiff {
	d := FuncDiff{NameA: a.Name, NameB: b.Name, BytesA: len(a.Code), BytesB: len(b.Code), Same: true}
	la, lb := Listing(a, pa), Listing(b, pb)
	if a.InsnOff == nil || b.InsnOff == nil {
		g := DiffGroup{Insn: -1, InsnB: -1}
		g.fill(a, b, la, lb, nil)
		d.InsnsA, d.InsnsB, d.Same, d.Groups = count(la), count(lb), g.Same, []DiffGroup{g}
		return d
	}
	units := alignInsns(la, lb, pa, pb)
	nums := numberUnits(units)
	for _, u := range units {
		g := DiffGroup{Insn: u.a, InsnB: u.b}
		na, nb := groupLen(la, u.a), groupLen(lb, u.b)
		for _, l := range append(la[:na:na], lb[:nb]...) {
			if l.BPF != "" {
				g.BPF = l.BPF
				break
			}
		}
		g.fill(a, b, la[:na], lb[:nb], nums)
		d.InsnsA += count(la[:na])
		d.InsnsB += count(lb[:nb])
		d.Same = d.Same && g.Same
		d.Groups = append(d.Groups, g)
		la, lb = la[na:], lb[nb:]
	}
	return d
}

func groupLen(l []ListingLine, i bpf.InsnIndex) int {
	n := 0
	for n < len(l) && l[n].Insn == i {
		n++
	}
	return n
}

func count(l []ListingLine) (n int) {
	for i := range l {
		if len(l[i].Bytes) > 0 {
			n++
		}
	}
	return n
}

// fill aligns the lines of both sides.
func (g *DiffGroup) fill(a, b *FuncImage, la, lb []ListingLine, nums *unitNumbers) {
	g.Same = true
	add := func(x, y *ListingLine, m DiffMark) {
		g.Rows = append(g.Rows, DiffRow{Mark: m, A: x, B: y})
		g.Same = g.Same && m == DiffSame
	}
	if nums == nil {
		nums = &unitNumbers{}
	}
	ka, kb := keys(a, la, nums.a), keys(b, lb, nums.b)
	i, j := 0, 0
	gap := func(toA, toB int) {
		for ; i < toA && j < toB; i, j = i+1, j+1 {
			add(&la[i], &lb[j], DiffText)
		}
		for ; i < toA; i++ {
			add(&la[i], nil, DiffOnlyA)
		}
		for ; j < toB; j++ {
			add(nil, &lb[j], DiffOnlyB)
		}
	}
	for _, m := range align(ka, kb) {
		gap(m[0], m[1])
		add(&la[i], &lb[j], sameBytes(&la[i], &lb[j]))
		i, j = i+1, j+1
	}
	gap(len(la), len(lb))
	for n := range la {
		g.BytesA += len(la[n].Bytes)
	}
	for n := range lb {
		g.BytesB += len(lb[n].Bytes)
	}
}

// sameBytes compares two lines with the same key. Displacements of branches depend on where things
// are, so only their sizes count.
func sameBytes(a, b *ListingLine) DiffMark {
	if len(a.Bytes) != len(b.Bytes) || !a.inst.Branch.Direct() && !bytes.Equal(a.Bytes, b.Bytes) {
		return DiffBytes
	}
	return DiffSame
}

// keys returns what makes lines comparable across images. nums are common numbers of BPF instructions.
func keys(f *FuncImage, lines []ListingLine, nums map[bpf.InsnIndex]int) []string {
	k := make([]string, len(lines))
	for i := range lines {
		l := &lines[i]
		k[i] = l.Text
		in := &l.inst
		if !in.Branch.Direct() {
			continue
		}
		off := CodeOff(in.Target - f.Addr)
		switch {
		case in.Target < f.Addr || in.Target >= f.End():
			k[i] = in.Op + " out"
		case f.InsnOff == nil:
		case InsnAt(f, off) >= 0:
			to := InsnAt(f, off)
			k[i] = fmt.Sprintf("%s %d+%d", in.Op, nums[to], off-f.InsnOff[to-f.FirstInsn])
		}
	}
	return k
}

// align returns the pairs of indexes of a longest common subsequence.
func align(a, b []string) (pairs [][2]int) {
	lo := 0
	for lo < len(a) && lo < len(b) && a[lo] == b[lo] {
		pairs = append(pairs, [2]int{lo, lo})
		lo++
	}
	ea, eb := len(a), len(b)
	for ea > lo && eb > lo && a[ea-1] == b[eb-1] {
		ea, eb = ea-1, eb-1
	}
	n, m := ea-lo, eb-lo
	if n > 0 && m > 0 && n*m <= alignLimit {
		pairs = append(pairs, longest(a[lo:ea], b[lo:eb], lo)...)
	}
	for ; ea < len(a); ea, eb = ea+1, eb+1 {
		pairs = append(pairs, [2]int{ea, eb})
	}
	return pairs
}

// longest is the table of the longest common subsequence, with base added to the indexes.
func longest(a, b []string, base int) (pairs [][2]int) {
	w := len(b) + 1
	t := make([]int32, (len(a)+1)*w)
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				t[i*w+j] = t[(i+1)*w+j+1] + 1
			} else {
				t[i*w+j] = max(t[(i+1)*w+j], t[i*w+j+1])
			}
		}
	}
	for i, j := 0, 0; i < len(a) && j < len(b); {
		switch {
		case a[i] == b[j]:
			pairs = append(pairs, [2]int{base + i, base + j})
			i, j = i+1, j+1
		case t[(i+1)*w+j] >= t[i*w+j+1]:
			i++
		default:
			j++
		}
	}
	return pairs
}

// DiffOptions say how a comparison is printed.
type DiffOptions struct {
	// Context is how many BPF instructions without a difference are shown around each with one; negative shows all.
	Context int
	// Width is how many columns there are for both sides; 0 means 100.
	Width int
	// Paint colours what differs, on the second side if b is true; nil leaves it.
	Paint func(b bool, text string) string
}

// Write prints the comparison side by side in at most 100 columns. context is that of DiffOptions.
func (d *FuncDiff) Write(w io.Writer, context int) error {
	return d.Print(w, DiffOptions{Context: context})
}

// Print prints the comparison side by side.
func (d *FuncDiff) Print(w io.Writer, o DiffOptions) error {
	b, context := bufio.NewWriter(w), o.Context
	if o.Width == 0 {
		o.Width = listingWidth
	}
	size := (o.Width - 3) / 2 // of one side: the mark and two blanks are between them
	row := func(l, mark, r string) {
		left, right := pieces(l, size), pieces(r, size)
		differs := mark != " " && mark != string(rune(DiffBytes))
		for i := range max(len(left), len(right)) {
			l, r := pieceAt(left, i, size), strings.TrimRight(pieceAt(right, i, size), " ")
			if o.Paint != nil && differs {
				l, r = o.paint(false, l), o.paint(true, r)
			}
			fmt.Fprintln(b, strings.TrimRight(l+" "+mark+" "+r, " "))
			mark = " "
		}
	}
	row(d.NameA, " ", d.NameB)
	skipped := false
	for i := range d.Groups {
		if !d.shown(i, context) {
			skipped = true
			continue
		}
		if skipped {
			fmt.Fprintln(b, "...")
			skipped = false
		}
		g := &d.Groups[i]
		fmt.Fprintln(b, g.heading(2*size))
		for _, r := range g.Rows {
			row(cell(r.A), string(rune(r.Mark)), cell(r.B))
			if r.Mark != DiffSame {
				x, y := codeOf(r.A), codeOf(r.B)
				line := o.bytes(x, y, size, false) + "   " + o.bytes(y, x, 0, true)
				if strings.TrimSpace(line) != "" {
					fmt.Fprintln(b, strings.TrimRight(line, " "))
				}
			}
		}
	}
	if skipped {
		fmt.Fprintln(b, "...")
	}
	row(fmt.Sprintf("%d bytes, %d instructions", d.BytesA, d.InsnsA), " ", fmt.Sprintf("%d bytes, %d instructions", d.BytesB, d.InsnsB))
	return b.Flush()
}

// paint colours a side that is not empty.
func (o *DiffOptions) paint(second bool, text string) string {
	if strings.TrimSpace(text) == "" {
		return text
	}
	return o.Paint(second, text)
}

// bytes are those of an instruction, coloured where the other side has others, and padded to a size.
func (o *DiffOptions) bytes(code, other []byte, size int, second bool) string {
	out := "      "
	for i := range code {
		text := hex.EncodeToString(code[i : i+1])
		if o.Paint != nil && (i >= len(other) || other[i] != code[i]) {
			text = o.Paint(second, text)
		}
		out += text
	}
	return out + strings.Repeat(" ", max(0, size-6-2*len(code)))
}

// shown reports whether group i is within context groups of a difference.
func (d *FuncDiff) shown(i, context int) bool {
	if context < 0 {
		return true
	}
	for n := max(0, i-context); n <= min(len(d.Groups)-1, i+context); n++ {
		if !d.Groups[n].Same {
			return true
		}
	}
	return false
}

// Where names the BPF instruction, with its number on both sides if these differ.
func (g *DiffGroup) Where() string {
	switch {
	case g.Insn == NoInsn && g.InsnB < 0, g.InsnB == NoInsn && g.Insn < 0, g.Insn == -1:
		return "prologue"
	case g.Insn == NoInsn:
		return fmt.Sprintf("- | %d: %s", g.InsnB, g.BPF)
	case g.InsnB == NoInsn:
		return fmt.Sprintf("%d | -: %s", g.Insn, g.BPF)
	case g.InsnB != g.Insn:
		return fmt.Sprintf("%d | %d: %s", g.Insn, g.InsnB, g.BPF)
	}
	return fmt.Sprintf("%d: %s", g.Insn, g.BPF)
}

func (g *DiffGroup) heading(width int) string {
	sizes := ""
	if g.BytesA != g.BytesB {
		sizes = fmt.Sprintf("%d | %d bytes (%+d)", g.BytesA, g.BytesB, g.BytesB-g.BytesA)
	}
	return strings.TrimRight(fmt.Sprintf("%-*.*s %s", width-24, width-24, g.Where(), sizes), " ")
}

// cell is one side of a row, an instruction without code being a dash.
func cell(l *ListingLine) string {
	switch {
	case l == nil:
		return ""
	case len(l.Bytes) == 0:
		return "    -"
	}
	return fmt.Sprintf("%5x %s", int(l.Off), l.Text)
}

// codeOf is the bytes of a line, none of a side that has nothing.
func codeOf(l *ListingLine) []byte {
	if l == nil {
		return nil
	}
	return l.Bytes
}

// pieces breaks a cell at blanks into pieces of at most width columns; those after the first stand under its text.
func pieces(s string, width int) (out []string) {
	const indent = "        "
	for len(s) > width {
		at := strings.LastIndexByte(s[:width+1], ' ')
		if at <= len(indent) {
			at = width
		}
		out = append(out, s[:at])
		s = indent + strings.TrimLeft(s[at:], " ")
	}
	return append(out, s)
}

// pieceAt is a piece brought to its width, "" after the last.
func pieceAt(l []string, i, width int) string {
	if i >= len(l) {
		return strings.Repeat(" ", width)
	}
	return fmt.Sprintf("%-*s", width, l[i])
}
