// SPDX-License-Identifier: GPL-2.0-only

package debug

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/tcsim/tcsim/emu/stack"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/jit/bpf"
)

// command is one of the monitor's.
type command struct {
	name, args, what string
	do               func(s *Session, args []string, w io.Writer) error
}

// commands are all of them but help.
var commands = []command{
	{"stack", "[all]", "draw the stack as it is here; all draws every frame of a long one", (*Session).showStack},
	{"trace", "[N|all]", "the last events before here, 10 if no number is given", (*Session).showTrace},
	{"tcc", "", "every tail_call_cnt that is alive: whose it is, where it lives, its value", (*Session).showCounters},
	{"event", "MOMENT", "the next continue goes there: a number of an event, or what tcsim stack --at takes", (*Session).setEvent},
	{"bpf", "[all]", "the BPF instructions around here; all shows the whole function", (*Session).showBPF},
}

// Monitor implements gdb.Machine.
func (s *Session) Monitor(_ context.Context, line string, w io.Writer) error {
	words := strings.Fields(line)
	if len(words) == 0 {
		words = []string{"help"}
	}
	for _, c := range commands {
		if c.name == words[0] {
			return c.do(s, words[1:], w)
		}
	}
	if words[0] != "help" {
		return fmt.Errorf("no command %q; monitor help lists those there are", words[0])
	}
	for _, c := range commands {
		fmt.Fprintf(w, "monitor %-14s %s\n", strings.TrimSpace(c.name+" "+c.args), c.what)
	}
	fmt.Fprintf(w, "registers: tail_call_cnt and tail_call_cnt_at (where it lives), bpf_pc, cycles, retired, events\n")
	return nil
}

// option reads a command's one optional word.
func option(args []string, word string) (bool, error) {
	switch {
	case len(args) == 0:
		return false, nil
	case len(args) == 1 && args[0] == word:
		return true, nil
	}
	return false, fmt.Errorf("expected nothing or %q, found %q", word, strings.Join(args, " "))
}

func (s *Session) showStack(args []string, w io.Writer) error {
	all, err := option(args, "all")
	if err != nil {
		return err
	}
	l, err := s.layout()
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, l.Picture(stack.Options{All: all}))
	return err
}

func (s *Session) showTrace(args []string, w io.Writer) error {
	n := 10
	if all, err := option(args, "all"); all {
		n = int(s.events())
	} else if err != nil {
		if n, err = strconv.Atoi(args[0]); err != nil || n < 1 || len(args) > 1 {
			return fmt.Errorf("expected a number of events, or all, found %q", strings.Join(args, " "))
		}
	}
	events := s.timed()
	if kept, had := uint64(len(events)), s.events(); kept < had {
		fmt.Fprintf(w, "(the first %d of %d events are kept)\n", kept, had)
	}
	if len(events) == 0 {
		_, err := fmt.Fprintln(w, "nothing has happened yet")
		return err
	}
	_, err := io.WriteString(w, trace.Text(s.code, events[max(0, len(events)-n):]))
	return err
}

// timed returns the events up to here, with their cycles as far as these are known.
func (s *Session) timed() []trace.Event {
	events := s.rec.Events()
	for i := range events {
		if i < len(s.w.Judged.Events) {
			events[i].Cycle = s.w.Judged.Events[i].Cycle
		}
	}
	return events
}

func (s *Session) showCounters(args []string, w io.Writer) error {
	if len(args) != 0 {
		return fmt.Errorf("expected nothing, found %q", strings.Join(args, " "))
	}
	acts, shown := s.acts(), 0
	for i := range acts {
		a := &acts[i]
		c, ok := s.counterOf(a, i == len(acts)-1)
		if !ok {
			continue
		}
		shown++
		how := "by value"
		if c.ptr != 0 {
			how = fmt.Sprintf("through the pointer at %#x", uint64(c.ptr))
		}
		fmt.Fprintf(w, "%s #%d: %d at %#x, %s\n", a.Fn, a.N, c.value, uint64(c.at), how)
	}
	if shown == 0 {
		fmt.Fprintln(w, "no frame that is whole holds a counter here")
	}
	return nil
}

func (s *Session) setEvent(args []string, w io.Writer) error {
	if len(args) != 1 {
		return fmt.Errorf("expected one moment, such as 71, tailcall:33 or violation, found %q", strings.Join(args, " "))
	}
	at, err := stack.ParseAt(args[0])
	if err != nil {
		return err
	}
	run := s.w.Judged
	found := stack.Run{Events: run.Events, Deepest: run.DeepestAt}
	if v := run.Violation; v != nil {
		found.Violation = v.Moment()
	}
	moments, err := at.Resolve(found)
	if err != nil {
		return err
	}
	if len(moments) != 1 {
		return fmt.Errorf("%s is %d moments, expected one", at, len(moments))
	}
	s.going = &moments[0]
	what := ""
	if n := moments[0].Event; n > 0 && n <= uint64(len(run.Events)) {
		what = ": " + run.Events[n-1].What(s.code)
	}
	_, err = fmt.Fprintf(w, "continue goes to %s%s\n", moments[0].Name, what)
	return err
}

// bpfLine is a BPF instruction of a function.
type bpfLine struct {
	slot bpf.InsnIndex
	text string
}

// bpfAround is how many BPF instructions are shown before and after the present one.
const bpfAround = 5

func (s *Session) showBPF(args []string, w io.Writer) error {
	all, err := option(args, "all")
	if err != nil {
		return err
	}
	f := s.code.Lookup(s.rip)
	if f == nil {
		return fmt.Errorf("%s is no program's code", s.code.Where(s.rip))
	}
	lines := bpfOf(s.code, f)
	if len(lines) == 0 {
		return fmt.Errorf("what BPF program %s was is not known", f)
	}
	n, known := s.insn()
	here := -1
	for i, l := range lines {
		if known && int64(l.slot) <= n {
			here = i
		}
	}
	fmt.Fprintf(w, "%s\n", s.code.Where(s.rip))
	for i, l := range lines {
		if !all && (i < here-bpfAround || i > max(here, 0)+bpfAround) {
			continue
		}
		mark := "  "
		if i == here {
			mark = "=>"
		}
		fmt.Fprintf(w, "%s %4d: %s\n", mark, l.slot, l.text)
	}
	if here < 0 {
		fmt.Fprintln(w, "no BPF instruction here: prologue or epilogue")
	}
	return nil
}

// bpfOf lists the BPF instructions of a function.
func bpfOf(code *trace.Code, f *trace.Fn) []bpfLine {
	var out []bpfLine
	for i := 0; i+1 < len(f.InsnOff); i++ {
		slot := f.FirstInsn + bpf.InsnIndex(i)
		if p := f.Image.Program; p == nil || int(slot) >= len(p.Insns) || p.Insns[slot].Op == 0 {
			continue // unknown, or the second half of one
		}
		out = append(out, bpfLine{slot, code.InsnText(f, slot)})
	}
	return out
}
