// SPDX-License-Identifier: GPL-2.0-only

package image

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"io"
	"strings"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/x86"
)

// ListingLine is one x86 instruction of a function, or a BPF instruction that has no code.
type ListingLine struct {
	Off   CodeOff
	Bytes []byte // shares the function's code; empty where a BPF instruction has no code
	// Text is in Intel syntax. Branches inside the function go to "+0x" and the offset; bytes that
	// are no instruction are "(bad)".
	Text string
	// Insn is the slot of the BPF instruction, -1 in the prologue and where it is not known. BPF is
	// its text, on its first line only and if the program is known.
	Insn bpf.InsnIndex
	BPF  string
	// Note says what the frame and site descriptions know of this place: "landing", "limit".
	Note string

	inst x86.Inst
}

// Listing lists a function. p may be nil; then BPF instructions have numbers (if f.InsnOff is
// known) but no text. It never fails: what does not decode is listed byte by byte.
func Listing(f *FuncImage, p *bpf.Program) []ListingLine {
	notes := f.notes()
	lines := make([]ListingLine, 0, len(f.Code)/4+1)
	for off := 0; off < len(f.Code); {
		at := CodeOff(off)
		lines = f.codeless(lines, at, p)
		l := ListingLine{Off: at, Insn: InsnAt(f, at), Note: notes[at]}
		in, err := x86.Decode(f.Code[off:], f.Addr+Addr(off))
		if err != nil {
			in = x86.Inst{PC: f.Addr + Addr(off), Len: 1, Op: "(bad)"}
		}
		l.inst, l.Bytes, l.Text = in, f.Code[off:off+int(in.Len)], f.text(&in)
		if l.Insn >= 0 && f.InsnOff[l.Insn-f.FirstInsn] == at {
			l.BPF = bpfText(p, l.Insn)
		}
		lines = append(lines, l)
		off += int(in.Len)
	}
	return lines
}

// codeless adds lines for BPF instructions at off that have no code: elided jumps.
func (f *FuncImage) codeless(lines []ListingLine, off CodeOff, p *bpf.Program) []ListingLine {
	last := InsnAt(f, off)
	if last < 0 || p == nil {
		return lines
	}
	first := last
	for first > f.FirstInsn && f.InsnOff[first-1-f.FirstInsn] == off {
		first--
	}
	for i := first; i < last; i++ {
		if int(i) < len(p.Insns) && !secondHalf(p, i) {
			lines = append(lines, ListingLine{Off: off, Insn: i, BPF: bpfText(p, i)})
		}
	}
	return lines
}

// secondHalf reports whether slot i is the second one of an ld_imm64; no instruction has opcode 0.
func secondHalf(p *bpf.Program, i bpf.InsnIndex) bool {
	return i > 0 && int(i) < len(p.Insns) && p.Insns[i].Op == 0
}

func bpfText(p *bpf.Program, i bpf.InsnIndex) string {
	if p == nil || i < 0 || int(i) >= len(p.Insns) {
		return ""
	}
	return bpf.TextAt(p.Insns, i)
}

// text is in.String with targets inside the function as offsets.
func (f *FuncImage) text(in *x86.Inst) string {
	if in.Branch.Direct() && in.Target >= f.Addr && in.Target < f.End() {
		return fmt.Sprintf("%s +%#x", in.Op, uint64(in.Target-f.Addr))
	}
	return in.String()
}

// notes collects what is known of places in the code.
func (f *FuncImage) notes() map[CodeOff]string {
	n := map[CodeOff]string{}
	add := func(off CodeOff, what string) {
		switch {
		case off < 0:
		case n[off] == "":
			n[off] = what
		default:
			n[off] += ", " + what
		}
	}
	if f.Entry > 0 {
		add(f.Entry, "entry")
	}
	if f.Frame.Landing > 0 {
		add(f.Frame.Landing, "landing")
	}
	for i := range f.TailCalls {
		s := &f.TailCalls[i]
		kind, jump := "indirect tail call", "jump"
		if s.Direct {
			kind, jump = "direct tail call", "target"
		}
		add(s.Start, kind)
		add(s.Bounds, "bounds")
		add(s.Limit, "limit")
		add(s.Null, "empty slot")
		add(s.Bump, "count")
		add(s.Bypass, "bypass")
		add(s.Unwind, "unwind")
		add(s.Jump, jump)
	}
	for _, c := range f.Calls {
		if c.Func >= 0 {
			add(c.Off, fmt.Sprintf("function %d", c.Func))
		}
	}
	return n
}

// WriteListing prints a listing: offset, bytes, instruction, and after a semicolon the BPF
// instruction that begins there or a note. The function's address is in the heading.
func WriteListing(w io.Writer, f *FuncImage, p *bpf.Program) error {
	return WriteListingIn(w, f, p, listingWidth)
}

// WriteListingIn is WriteListing in lines of at most width columns, if no single word is longer. Where that is less than
// those of WriteListing, notes stand above their instruction.
func WriteListingIn(w io.Writer, f *FuncImage, p *bpf.Program, width int) error {
	b := bufio.NewWriter(w)
	text, _ := listingText(f, p, width)
	for _, line := range text {
		fmt.Fprintln(b, line)
	}
	return b.Flush()
}

// ListingText returns the lines that WriteListing prints, and the index of the one that each instruction is on.
func ListingText(f *FuncImage, p *bpf.Program) (text []string, at map[CodeOff]int) {
	return listingText(f, p, listingWidth)
}

func listingText(f *FuncImage, p *bpf.Program, width int) (text []string, at map[CodeOff]int) {
	name := f.Name
	if name == "" {
		name = "function"
	}
	text, at = append(text, fmt.Sprintf("%s at %#x, %d bytes", name, uint64(f.Addr), len(f.Code))), map[CodeOff]int{}
	for _, l := range Listing(f, p) {
		var notes []string
		if l.BPF != "" {
			notes = append(notes, fmt.Sprintf("%d: %s", l.Insn, l.BPF))
		}
		if l.Note != "" {
			notes = append(notes, "["+l.Note+"]")
		}
		if len(l.Bytes) > 0 {
			at[l.Off] = len(text)
		}
		line := fmt.Sprintf("%5x  %-22s %s", int(l.Off), hex.EncodeToString(l.Bytes), l.Text)
		if width < listingWidth {
			for _, note := range foldNotes(notes, noteIndent, noteIndent, width) {
				text = append(text, fmt.Sprintf("%*s ; %s", noteIndent, "", note))
			}
			if len(l.Bytes) > 0 {
				at[l.Off] = len(text)
				text = append(text, strings.TrimRight(line, " "))
			}
			continue
		}
		for _, note := range foldNotes(notes, max(66, len(line)), 66, width) {
			text = append(text, fmt.Sprintf("%-66s ; %s", line, note))
			line = ""
		}
		if line != "" {
			text = append(text, strings.TrimRight(line, " "))
		}
	}
	return text, at
}

// noteIndent is where notes begin that stand above their instruction.
const noteIndent = 6

// listingWidth is how many columns a listing has at most, if no single word is longer.
const listingWidth = 100

// foldNotes breaks notes at blanks into lines: the first goes after so many columns of code, the
// others after the column where notes begin.
func foldNotes(notes []string, used, begin, width int) []string {
	var out []string
	line := ""
	for _, word := range strings.Fields(strings.Join(notes, " ")) {
		if line != "" && used+3+len(line)+1+len(word) > width {
			out = append(out, line)
			line, used = "", begin
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	if line != "" {
		out = append(out, line)
	}
	return out
}
