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

// Header is the head of the columns of Line, CycleHeader what follows its first column if events
// have their cycles.
const (
	Header      = "   # event     d      rip      rsp      rbp              rax  tcc what"
	CycleHeader = "  cycle"

	NarrowHeader = "   # event     d      rip      rsp  tcc what"
)

// Text returns the lines of events under a header. Addresses of text and stack are shown without
// their upper half, which the first line names; an address with another upper half is shown whole.
func Text(c *Code, events []Event) string { return TextIn(c, events, Width) }

// TextIn is Text in lines of at most width columns, from MinWidth. Where that is less than Width rbp and rax
// are left out, and what happened goes on in further lines. Under each event that has registers are those of regs.
func TextIn(c *Code, events []Event, width int, regs ...x86.Reg) string {
	var b strings.Builder
	h := highOf(events)
	h.width = width
	if width < Width {
		fmt.Fprintf(&b, "rip is %08x........, rsp is %08x........ unless shown whole\n", uint64(h.rip)>>32, uint64(h.rsp)>>32)
		head := NarrowHeader
		if h.cycles {
			head = NarrowHeader[:4] + CycleHeader + NarrowHeader[4:]
		}
		b.WriteString(head + "\n")
		for i := range events {
			narrow(&b, c, &events[i], h)
			if events[i].Regs != nil {
				regsText(&b, events[i].Regs, regs, 2)
			}
		}
		return b.String()
	}
	fmt.Fprintf(&b, "rip is %08x........, rsp and rbp are %08x........ unless shown whole\n", uint64(h.rip)>>32, uint64(h.rsp)>>32)
	head := Header
	if h.cycles {
		head = Header[:4] + CycleHeader + Header[4:]
	}
	b.WriteString(head + "\n")
	for i := range events {
		b.WriteString(line(c, &events[i], h) + "\n")
		if events[i].Regs != nil {
			regsText(&b, events[i].Regs, regs, 4)
		}
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

// Line returns one event as Text shows it, without line feed.
func Line(c *Code, e *Event) string {
	return line(c, e, high{rip: e.RIP, rsp: e.RSP, cycles: e.Cycle != 0, width: Width})
}

// high is what the lines of a list have in common.
type high struct {
	rip, rsp image.Addr
	cycles   bool
	width    int
}

func highOf(events []Event) high {
	var h high
	for i := range events {
		e := &events[i]
		h.cycles = h.cycles || e.Cycle != 0
		if h.rip == 0 && e.Kind != KindPoke {
			h.rip, h.rsp = e.RIP, e.RSP
		}
	}
	return h
}

func line(c *Code, e *Event, h high) string {
	regs := strings.Repeat(" ", 8+1+8+1+16)
	if e.Kind != KindPoke {
		regs = fmt.Sprintf("%s %s %016x", low(e.RSP, h.rsp), low(e.RBP, h.rsp), uint64(e.RAX))
	}
	tcc := ""
	if e.CounterAddr != 0 {
		tcc = fmt.Sprint(e.Counter)
	}
	cycle := ""
	if h.cycles {
		cycle = fmt.Sprintf(" %6d", e.Cycle)
	}
	s := fmt.Sprintf("%4d%s %-8s %2d %s %s %4s ", e.No, cycle, e.Kind, e.Depth, low(e.RIP, h.rip), regs, tcc)
	what := e.What(c)
	if len(s)+len(what) > h.width && e.Tail != nil {
		what = strings.Replace(what, e.slot(), fmt.Sprintf("[%d]", e.Key), 1) // the map's name is the least of it
	}
	s += what
	if len(s) > h.width {
		s = s[:h.width-2] + ".."
	}
	return s
}

// narrow writes an event in lines that are shorter than those of line.
func narrow(b *strings.Builder, c *Code, e *Event, h high) {
	rsp, tcc, cycle := strings.Repeat(" ", 8), "", ""
	if e.Kind != KindPoke {
		rsp = low(e.RSP, h.rsp)
	}
	if e.CounterAddr != 0 {
		tcc = fmt.Sprint(e.Counter)
	}
	if h.cycles {
		cycle = fmt.Sprintf(" %6d", e.Cycle)
	}
	head := fmt.Sprintf("%4d%s %-8s %2d %s %s %4s ", e.No, cycle, e.Kind, e.Depth, low(e.RIP, h.rip), rsp, tcc)
	room := max(h.width-len(head), 16)
	text := ""
	for _, word := range strings.Fields(e.What(c)) {
		for text != "" && len(text)+1+len(word) > room || len(word) > room {
			if text == "" {
				text, word = word[:room], word[room:]
			}
			b.WriteString(head + text + "\n")
			head, text = strings.Repeat(" ", len(head)), ""
		}
		if text != "" {
			text += " "
		}
		text += word
	}
	b.WriteString(strings.TrimRight(head+text, " ") + "\n")
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
