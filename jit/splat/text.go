// SPDX-License-Identifier: GPL-2.0-only

package splat

import (
	"fmt"
	"io"
	"strings"
)

// width is the widest line of text, in columns.
const width = 100

// printer remembers the first error.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintln(p.w, strings.TrimRight(fmt.Sprintf(format, args...), " "))
	}
}

// fold prints text in lines of at most width columns, those after the first indented.
func (p *printer) fold(text, indent string) {
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > width-len(indent) {
			p.line("%s", line)
			line = indent
		} else if line != "" {
			line += " "
		}
		line += word
	}
	p.line("%s", line)
}

// Write prints the facts as text.
func (f *Facts) Write(w io.Writer) error {
	p := &printer{w: w}
	f.writeHead(p)
	f.writeCode(p)
	f.writeTailCall(p)
	f.writeTrace(p)
	f.writePosition(p)
	f.writeStack(p)
	if len(f.Missing) > 0 {
		p.line("")
		p.line("Not in the log:")
		for _, m := range f.Missing {
			p.fold("  - "+m, "    ")
		}
	}
	return p.err
}

func (f *Facts) writeHead(p *printer) {
	for _, h := range f.Headers {
		p.fold(h, "    ")
	}
	var who []string
	if f.CPU >= 0 {
		who = append(who, fmt.Sprintf("CPU %d", f.CPU))
	}
	if f.Task != "" {
		who = append(who, f.Task)
	}
	if f.Kernel != "" {
		who = append(who, "kernel "+f.Kernel)
	}
	if len(who) > 0 {
		p.line("%s", strings.Join(who, ", "))
	}
	if f.RIP == nil {
		return
	}
	at := f.RIP.Func
	switch {
	case at == "":
		p.line("RIP %s, without a name", f.RIP.Addr)
		return
	case f.RIP.Tag != "":
		at = f.RIP.Name
		if at == "" {
			at = "a function without a name"
		}
	}
	p.line("RIP in %s at %+#x of %#x bytes%s", at, f.RIP.Off, f.RIP.Size, tagText(f.RIP.Tag))
}

func tagText(tag string) string {
	if tag == "" {
		return ""
	}
	return ", BPF program " + tag
}

func (f *Facts) writeCode(p *printer) {
	if len(f.Code) == 0 {
		return
	}
	p.line("")
	for i := range f.Code {
		c := &f.Code[i]
		mark := " "
		switch {
		case c.Mark:
			mark = ">"
		case c.Guess:
			mark = "?"
		}
		off := fmt.Sprintf("%4x", c.Off)
		if c.Off < 0 {
			off = fmt.Sprintf("%4s", fmt.Sprintf("-%x", -c.Off))
		}
		note := ""
		if c.Step != "" {
			note = "; [" + c.Step + "]"
		}
		p.line("%s %s  %-22s %-38s %s", mark, off, c.Bytes, c.Text, note)
	}
	if f.Code[0].Guess {
		p.line("(? is a guess: where instructions begin before the first that is sure is not in the log)")
	}
}

func (f *Facts) writeTailCall(p *printer) {
	s := f.TailCall
	if s == nil {
		return
	}
	p.line("")
	var text string
	switch {
	case !s.Inside:
		text = fmt.Sprintf("Not in a tail call; the one beside it is %s", s.Kind)
	case s.Step != "":
		text = fmt.Sprintf("In a tail call (%s), at the step %q", s.Kind, s.Step)
	}
	if s.Inside {
		switch {
		case s.Counted:
			text += ": past the limit, counted, not yet in the other program"
		case s.Passed:
			text += ": past the limit, not yet counted"
		case s.Limit > 0:
			text += ": before the decision"
		}
	}
	p.fold(text+".", "  ")
	if s.Limit > 0 {
		text = fmt.Sprintf("Limit %d (compares with %#x, %s)", s.Limit, s.Compared, s.Test)
		if s.Landing > 0 {
			text += fmt.Sprintf(", enters other programs at %+#x", s.Landing)
		}
		p.fold(text+".", "  ")
	}
	if len(f.Designs) > 0 {
		p.fold("Design: "+strings.Join(f.Designs, " or ")+".", "  ")
		p.fold("Targets whose tail calls look so: "+strings.Join(f.Targets, ", ")+".", "  ")
		if len(f.Proposed) > 0 {
			p.fold("Proposals look so too: "+strings.Join(f.Proposed, ", ")+".", "  ")
		}
	}
	if c := f.Counter; c != nil {
		text = "tail_call_cnt: " + c.Slot
		if c.Value != nil {
			text += fmt.Sprintf("; now %d, in %s", *c.Value, c.Where)
		}
		p.fold(text+".", "  ")
	}
}

// writeTrace prints the functions of programs, equal ones that follow each other as one line.
func (f *Facts) writeTrace(p *printer) {
	if len(f.Frames) == 0 {
		return
	}
	p.line("")
	p.line("Called from, the innermost first:")
	for i := 0; i < len(f.Frames); {
		n := 1
		for i+n < len(f.Frames) && f.Frames[i+n].Func == f.Frames[i].Func && f.Frames[i+n].Off == f.Frames[i].Off && f.Frames[i+n].Through == f.Frames[i].Through {
			n++
		}
		fr := &f.Frames[i]
		name := fr.Name
		if name == "" {
			name = fr.Func
		}
		times := ""
		if n > 1 {
			times = fmt.Sprintf("  %d times", n)
		}
		through := ""
		if fr.Through != "" {
			through = ", through " + fr.Through
		}
		p.line("  %s%+#x%s%s", name, fr.Off, through, times)
		i += n
	}
}

func (f *Facts) writePosition(p *printer) {
	q := f.Position
	if q == nil {
		return
	}
	p.line("")
	if len(q.Branches) > 1 && len(q.Branches) <= 10 {
		digits := ""
		for _, d := range q.Digits {
			digits += fmt.Sprint(d)
		}
		p.fold(fmt.Sprintf("Which calls led here, the outermost first (0 is the one that returns to %s): %s",
			strings.Join(q.Branches, ", 1 to "), digits), "  ")
	}
	what := "This is tail call"
	if !q.Inside {
		what = "Made so far: tail call"
	}
	p.fold(fmt.Sprintf("%s %s of %s: %.2f %%, %s remain.", what, Grouped(q.No), Grouped(q.Total), q.Percent, Grouped(q.Left)), "  ")
	if q.If != "" {
		p.fold("That is so if "+q.If+".", "  ")
	}
	if q.Seconds > 0 {
		p.fold(fmt.Sprintf("At the pace of the first %g s, by the watchdog, the invocation takes %.1f s; %.1f s remain.", f.Stuck, q.Seconds,
			q.Seconds-f.Stuck), "  ")
	}
}

// Grouped puts commas between groups of three digits.
func Grouped(n string) string {
	var b strings.Builder
	for i, d := range n {
		if i > 0 && (len(n)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}

// The frames at either end of a drawing that are always shown.
const shownFrames = 2

func (f *Facts) writeStack(p *printer) {
	if len(f.Stack) == 0 {
		return
	}
	p.line("")
	p.line("  |  STACK  | from high addresses to low")
	last, folded := f.Stack[len(f.Stack)-1].frame, false
	for i := 0; i < len(f.Stack); i++ {
		s := &f.Stack[i]
		if n := last + 1 - 2*shownFrames - 1; n > 0 && s.frame >= shownFrames && s.frame < last-shownFrames {
			if !folded {
				p.line("  |    :    | frames like these: %d", last-2*shownFrames)
			}
			folded = true
			continue
		}
		if n := equal(f.Stack[i:]); n > 2 {
			p.line("  |    :    | %s to %s: %d words like the one above", strings.TrimPrefix(s.Addr, "0x"),
				strings.TrimPrefix(f.Stack[i+n-1].Addr, "0x"), n)
			i += n - 1
			continue
		}
		note := s.Meaning
		if s.Addr != "" {
			note = strings.TrimPrefix(s.Addr, "0x") + "  " + note
			if s.Value != "" {
				note = strings.TrimPrefix(s.Addr, "0x") + " " + strings.TrimPrefix(s.Value, "0x") + "  " + s.Meaning
			}
		}
		p.line("  |%s| %s", centre(s.Label, 9), note)
		if s.base {
			mark := "rbp"
			if s.frame == last {
				mark = "RBP"
			}
			p.line("  +---------+ %s", mark)
		}
	}
	p.line("  +---------+ RSP")
}

// equal is how many words follow the first that are as meaningless and have its value, which is not the first of them.
func equal(stack []SlotFacts) (n int) {
	for n < len(stack) && stack[n].Label == "" && stack[n].Value == stack[0].Value && stack[n].Value != "" && stack[n].again {
		n++
	}
	return n
}

func centre(s string, n int) string {
	left := max(0, (n-len(s)+1)/2)
	return strings.Repeat(" ", left) + s + strings.Repeat(" ", max(0, n-left-len(s)))
}
