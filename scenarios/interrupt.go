// SPDX-License-Identifier: GPL-2.0-only

package scenarios

import (
	"slices"
	"strconv"
	"strings"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/nearest"
	"github.com/tcsim/tcsim/scenarios/asm"
)

// Moment is when an interrupt comes.
type Moment struct {
	Program int // index into Built.Programs, of the program that runs then
	// Kind and N name an event, such as the 20th "tailcall"; N is from 1. Kind is "" if After counts.
	Kind string
	N    int
	// After counts machine instructions.
	After int
}

// moments are the kinds of events that an interrupt can come at.
var moments = []string{"tailcall", "refused", "call", "helper", "return"}

// interrupt checks the interrupt of a run.
func (b *builder) interrupt(in *Interrupt) *Moment {
	m := &Moment{Program: b.programIndex(in.Run), After: in.After}
	if in.Run.Text == "" {
		b.failf(in.Pos, "an interrupt needs run, the program that it runs")
	}
	switch at := in.At; {
	case at.Text == "" && in.After == 0:
		b.failf(in.Pos, "an interrupt needs at, such as tailcall:20, or after, a number of instructions from 1")
	case at.Text != "" && in.After != 0:
		b.failf(in.Pos, "an interrupt has both at and after: expected one of them")
	case at.Text != "":
		kind, n, _ := strings.Cut(at.Text, ":")
		i, err := strconv.Atoi(n)
		if err != nil || i < 1 || !slices.Contains(moments, kind) {
			b.failf(at.Pos, "expected an event such as tailcall:20, found %q; the kind %s", at.Text, expected(kind, moments))
		}
		m.Kind, m.N = kind, i
	}
	return m
}

// none is what a function is replaced by if the program that replaces it is detached.
const none = "none"

// replace translates one "program:function: by" of an event.
func (b *builder) replace(ev *Event, r Entry[Name]) {
	prog, fn, ok := strings.Cut(r.Name, ":")
	i := b.sc.Programs.Index(prog)
	if !ok || i < 0 {
		b.failf(r.Pos, "expected program:function, the program %s, found %q%s", asm.OneOf(entryNames(b.sc.Programs)), r.Name, nearest.DidYouMean(prog, entryNames(b.sc.Programs)))
		return
	}
	a := Action{Kind: ActReplace, Event: ev, Program: -1, Map: -1, Replaced: i}
	p := &b.out.Programs[i]
	a.Func = slices.IndexFunc(p.Funcs, func(f bpf.Func) bool { return f.Name == fn })
	if a.Func <= 0 {
		if len(p.Funcs) > 0 {
			b.failf(r.Pos, "%s has no subprogram %q: expected %s", prog, fn, expected(fn, entryNames(b.sc.Programs[i].Value.Functions)))
		}
		return
	}
	if !p.Funcs[a.Func].Global {
		b.failf(r.Pos, "%s is a static function: the kernel replaces global ones only (give it global: true)", fn)
		return
	}
	if r.Value.Text != none {
		if a.Program = b.programIndex(r.Value); a.Program == i {
			b.failf(r.Value.Pos, "%s cannot replace a function of itself", prog)
		}
		if a.Program >= 0 && !slices.Contains(b.out.Extensions, a.Program) {
			b.out.Extensions = append(b.out.Extensions, a.Program)
		}
	}
	b.out.Actions = append(b.out.Actions, a)
}

// ErrnoOf returns the error that an action must give on a target with these names (see Expect.For), ""
// for success.
func (a *Action) ErrnoOf(names ...string) string {
	if a.Event.Expect != nil {
		if e := a.Event.Expect.For(names...).Errno; e == success {
			return ""
		} else if e != "" {
			return e
		}
	}
	return a.Event.Errno
}

// success is the Errno that means none.
const success = "success"

// checkErrno checks the errno of a set of expectations.
func (b *builder) checkErrno(ev *Event, x *Expect) {
	switch {
	case x.Errno == "":
	case ev.Run != nil:
		b.failf(ev.Pos, "errno does not belong to a run")
	case x == ev.Expect:
		b.failf(ev.Pos, "errno belongs next to expect, not inside it; only entries of on may hold it")
	case x.Errno != success && !slices.Contains(errnos, x.Errno):
		b.failf(ev.Pos, "expected errno %s or success, found %q%s", asm.OneOf(errnos), x.Errno, nearest.DidYouMean(x.Errno, errnos))
	}
}
