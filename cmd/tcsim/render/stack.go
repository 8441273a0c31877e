// SPDX-License-Identifier: GPL-2.0-only

package render

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/tcsim/tcsim/emu/check"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/jit/x86"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// StacksOf makes the object of stack drawings.
func StacksOf(drawings []runner.Drawing) Stacks {
	out := Stacks{Schema: SchemaStack}
	for _, d := range drawings {
		out.Stacks = append(out.Stacks, Drawing{d.Moment.Name, int64(d.Cycle), d.Moment.Event, d.Layout})
	}
	return out
}

// StackTitle names the moment of a drawing.
func StackTitle(d *runner.Drawing) string {
	if d.Cycle != 0 {
		return fmt.Sprintf("%s, cycle %d", d.Moment.Name, d.Cycle)
	}
	return d.Moment.Name
}

// StackText draws stacks; all shows every frame of a long one.
func StackText(w io.Writer, drawings []runner.Drawing, all bool, look Look) {
	for i, d := range drawings {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprint(w, look.Picture(d.Layout, StackTitle(&d), all))
	}
}

// TraceOf makes the object of those events of a run that are shown.
func TraceOf(run *runner.Run, events []trace.Event) (Trace, error) {
	raw, err := trace.JSON(run.Code, events)
	if err != nil {
		return Trace{}, err
	}
	return Trace{Events: json.RawMessage(raw), Run: Summarise(run), Schema: SchemaTrace}, nil
}

// TraceText prints those events of a run that are shown, and the violation that ended it.
func TraceText(w io.Writer, run *runner.Run, events []trace.Event, look Look, regs ...x86.Reg) {
	fmt.Fprint(w, look.Events(trace.TextIn(run.Code, events, look.Columns(), regs...)))
	if len(events) < len(run.Events) {
		fmt.Fprintf(w, "(%d of %s shown)\n", len(events), Plural(len(run.Events), "event"))
	}
	TraceEnd(w, run.Violation, run.More, look)
}

// TraceEnd prints what comes after the events of a run: the violation that ended it, and more of them.
func TraceEnd(w io.Writer, v *check.Violation, more []check.Again, look Look) {
	if v != nil {
		fmt.Fprintf(w, "\n%s\n", look.Paint(Red, Plain(strings.Join(Fold(v.String(), look.Columns()), "\n"))))
	}
	for i := range more {
		fmt.Fprintln(w, strings.Join(Fold(moreText(&more[i]), Width), "\n"))
	}
}

// moreText is a violation after the first.
func moreText(m *check.Again) string {
	if m.Times > 1 {
		return fmt.Sprintf("then %s, and %s more there", m.Violation.String(), plural(fmt.Sprint(m.Times-1), "time"))
	}
	return "then " + m.Violation.String()
}
