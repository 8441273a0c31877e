// SPDX-License-Identifier: GPL-2.0-only

package trace

import (
	"fmt"
	"strings"

	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// Width is the longest line that Text writes, in columns, MinWidth the least that TextIn can be asked for.
const (
	Width    = 100
	MinWidth = 72
)

// The heads of columns after the number of the event and its cycle.
const (
	wideHead   = " event     d      rip      rsp      rbp              rax  tcc what"
	narrowHead = " event     d      rip      rsp  tcc what"
)

// Text returns the lines of events under a header. Addresses of text and stack are shown without
// their upper half, which the first line names; an address with another upper half is shown whole. What happened goes
// on in further lines where one does not hold it.
func Text(c *Code, events []Event) string { return TextIn(c, events, Width) }

// TextIn is Text in lines of at most width columns, from MinWidth. Where that is less than Width rbp and rax
// are left out. Under each event that has registers are those of regs.
func TextIn(c *Code, events []Event, width int, regs ...x86.Reg) string {
	p := NewPrinter(c, width, regs...)
	for i := range events {
		p.Measure(&events[i])
	}
	var b strings.Builder
	b.WriteString(p.Head())
	for i := range events {
		b.WriteString(p.Lines(&events[i]))
	}
	return b.String()
}

// Printer makes the text of events one after the other, once it has been shown all of them.
type Printer struct {
	c     *Code
	h     high
	width int
	regs  []x86.Reg
}

// NewPrinter returns a printer for lines of at most width columns, see TextIn.
func NewPrinter(c *Code, width int, regs ...x86.Reg) *Printer {
	return &Printer{c: c, width: width, regs: regs, h: high{no: 3, narrow: width < Width}}
}

// Measure looks at an event that is to be printed.
func (p *Printer) Measure(e *Event) { p.h.measure(e) }

// Head returns the first lines.
func (p *Printer) Head() string {
	h := p.h.complete()
	names, columns := "rsp and rbp are", wideHead
	if h.narrow {
		names, columns = "rsp is", narrowHead
	}
	var b strings.Builder
	fmt.Fprintf(&b, "rip is %08x........, %s %08x........ unless shown whole\n", uint64(h.rip)>>32, names, uint64(h.rsp)>>32)
	fmt.Fprintf(&b, "%*s", h.no, "#")
	if h.cycle > 0 {
		fmt.Fprintf(&b, " %*s", h.cycle, "cycle")
	}
	b.WriteString(columns + "\n")
	return b.String()
}

// Lines returns the lines of an event.
func (p *Printer) Lines(e *Event) string {
	h, perLine := p.h.complete(), 4
	if h.narrow {
		perLine = 2
	}
	var b strings.Builder
	flow(&b, head(e, h), e.What(p.c), p.width)
	if e.Regs != nil {
		regsText(&b, e.Regs, p.regs, perLine)
	}
	return b.String()
}

// regsText writes registers, so many in a line.
func regsText(b *strings.Builder, values *[16]uint64, regs []x86.Reg, columns int) {
	for i, r := range regs {
		if i%columns == 0 {
			b.WriteString("      ")
		}
		fmt.Fprintf(b, " %3s %016x", r, values[r])
		if i%columns == columns-1 || i == len(regs)-1 {
			b.WriteString("\n")
		}
	}
}

// Line returns one event as Text shows it, in one line without line feed.
func Line(c *Code, e *Event) string {
	one := []Event{*e}
	h := highOf(one)
	h.rip, h.rsp = e.RIP, e.RSP
	return head(e, h) + e.What(c)
}

// high is what the lines of a list have in common.
type high struct {
	rip, rsp  image.Addr
	no, cycle int  // columns of the number, and of the cycle: 0 for none
	narrow    bool // without rbp and rax
}

func highOf(events []Event) high {
	h := high{no: 3}
	for i := range events {
		h.measure(&events[i])
	}
	return h.complete()
}

// measure makes room for an event.
func (h *high) measure(e *Event) {
	h.no = max(h.no, digits(e.No))
	if e.Cycle != 0 {
		h.cycle = max(h.cycle, len("cycle"), digits(uint64(e.Cycle)))
	}
	if h.rip == 0 && e.Kind != KindPoke {
		h.rip, h.rsp = e.RIP, e.RSP
	}
}

// digits is how many a number has.
func digits(n uint64) int {
	d := 1
	for ; n >= 10; n /= 10 {
		d++
	}
	return d
}

// complete is h when all events are measured: numbers have less room where there are cycles.
func (h high) complete() high {
	if h.cycle == 0 {
		h.no = max(h.no, 4)
	}
	return h
}

// head is the line of an event up to what happened.
func head(e *Event, h high) string {
	var regs string
	switch rsp := low(e.RSP, h.rsp); {
	case e.Kind == KindPoke && h.narrow:
		regs = strings.Repeat(" ", 8)
	case e.Kind == KindPoke:
		regs = strings.Repeat(" ", 8+1+8+1+16)
	case h.narrow:
		regs = rsp
	default:
		regs = fmt.Sprintf("%s %s %016x", rsp, low(e.RBP, h.rsp), uint64(e.RAX))
	}
	tcc := ""
	if e.CounterAddr != 0 {
		tcc = fmt.Sprint(e.Counter)
	}
	cycle := ""
	if h.cycle > 0 {
		cycle = fmt.Sprintf(" %*d", h.cycle, e.Cycle)
	}
	return fmt.Sprintf("%*d%s %-8s %2d %s %s %4s ", h.no, e.No, cycle, e.Kind, e.Depth, low(e.RIP, h.rip), regs, tcc)
}

// flow writes text after the beginning of a line, and goes on under itself where there is no more room.
func flow(b *strings.Builder, begin, text string, width int) {
	room := max(width-len(begin), 16)
	line := ""
	end := func() {
		b.WriteString(strings.TrimRight(begin+line, " ") + "\n")
		begin, line = strings.Repeat(" ", len(begin)), ""
	}
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > room {
			end()
		}
		for len(word) > room {
			line, word = word[:room], word[room:]
			end()
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	end()
}

func low(a, h image.Addr) string {
	if a>>32 == h>>32 {
		return fmt.Sprintf("%08x", uint32(a))
	}
	return fmt.Sprintf("%x", uint64(a))
}

// What says in words what happened: who called whom, with which key, or why not.
func (e *Event) What(c *Code) string {
	where := e.Fn.String()
	if e.HasInsn {
		where = fmt.Sprintf("%s[%d]", where, e.Insn)
	}
	to := e.Name
	if e.Target != nil {
		to = e.Target.String()
	}
	if to == "" && e.TargetAddr != 0 {
		to = fmt.Sprintf("%#x", uint64(e.TargetAddr))
	}
	switch e.Kind {
	case KindEntry:
		if e.Inner {
			return e.Fn.String() + ", an interrupt"
		}
		if e.Depth > 1 {
			return e.Fn.String() + " from " + to
		}
		return e.Fn.String() + " from outside"
	case KindHook:
		return e.Fn.String() + " for " + to
	case KindCall, KindHelper:
		return where + " -> " + to
	case KindReturn:
		if e.Target != nil {
			to = c.Where(e.TargetAddr)
		}
		return e.Fn.String() + " to " + to
	case KindTailCall:
		if to == "" {
			to = "?"
		}
		return fmt.Sprintf("%s -> %s %s", where, to, e.slot())
	case KindRefused:
		s := fmt.Sprintf("%s %s, %s", where, e.slot(), e.Reason)
		if e.FellThrough {
			s += ", fell through"
		}
		return s
	}
	return fmt.Sprintf("%s %s", c.Where(e.RIP), e.Name)
}

// slot names the prog array and the index asked for.
func (e *Event) slot() string {
	m := e.MapName()
	if m == "" {
		return fmt.Sprintf("key %d", e.Key)
	}
	return fmt.Sprintf("%s[%d]", m, e.Key)
}

// MapName returns the name of the prog array of a tail call, "" if it is not known.
func (e *Event) MapName() string {
	if e.Tail == nil || e.Fn == nil || e.Fn.Image.Program == nil {
		return ""
	}
	maps := e.Fn.Image.Program.Maps
	if e.Tail.Map < 0 || e.Tail.Map >= len(maps) {
		return ""
	}
	return maps[e.Tail.Map].Name
}
