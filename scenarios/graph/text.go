// SPDX-License-Identifier: GPL-2.0-only

package graph

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/tcsim/tcsim/scenarios"
)

// textWidth is how many columns a line of a scenario file may take.
const textWidth = 100

// Text writes a scenario that Graph.Scenario returned, with or without expectations, as a file that
// scenarios.Load reads.
func Text(sc *scenarios.Scenario) string {
	var b strings.Builder
	fmt.Fprintf(&b, "version: %d\nname: %s\n", sc.Version, sc.Name)
	if sc.About != "" {
		b.WriteString("about: >-\n  " + strings.Join(fold(sc.About, textWidth-2), "\n  ") + "\n")
	}
	if sc.Limit != 0 {
		fmt.Fprintf(&b, "limit: %d\n", sc.Limit)
	}
	if len(sc.Maps) > 0 {
		b.WriteString("maps:\n")
		for _, m := range sc.Maps {
			fmt.Fprintf(&b, "  %s: %s\n", m.Name, mapText(&m.Value))
		}
	}
	b.WriteString("programs:\n")
	for i := range sc.Programs {
		p := &sc.Programs[i]
		functionText(&b, p.Name, &p.Value.Function, p.Value.Functions, 2)
	}
	b.WriteString("runs:\n")
	for i := range sc.Runs {
		eventText(&b, &sc.Runs[i])
	}
	return b.String()
}

// fold breaks text at blanks.
func fold(s string, width int) []string {
	var lines []string
	for _, w := range strings.Fields(s) {
		if n := len(lines); n > 0 && len(lines[n-1])+1+len(w) <= width {
			lines[n-1] += " " + w
		} else {
			lines = append(lines, w)
		}
	}
	return lines
}

func mapText(m *scenarios.Map) string {
	f := []string{"type: " + string(cmp.Or(m.Type, scenarios.Array))}
	if m.ValueSize != 0 {
		f = append(f, fmt.Sprintf("value_size: %d", m.ValueSize))
	}
	if m.MaxEntries > 1 || m.Type == scenarios.ProgArray {
		f = append(f, fmt.Sprintf("max_entries: %d", m.MaxEntries))
	}
	var pairs []string
	for _, s := range m.Slots {
		pairs = append(pairs, s.Name+": "+s.Value.Text)
	}
	if len(pairs) > 0 {
		f = append(f, "slots: {"+strings.Join(pairs, ", ")+"}")
	}
	pairs = nil
	for _, v := range m.Values {
		pairs = append(pairs, fmt.Sprintf("%s: %d", v.Name, v.Value.V))
	}
	if len(pairs) > 0 {
		f = append(f, "values: {"+strings.Join(pairs, ", ")+"}")
	}
	return "{" + strings.Join(f, ", ") + "}"
}

// functionText writes a function, its steps in one line if they fit.
func functionText(b *strings.Builder, name string, f *scenarios.Function, subs scenarios.Named[scenarios.Function], indent int) {
	in := strings.Repeat(" ", indent)
	plain := f.Stack == 0 && len(f.Saved) == 0 && len(subs) == 0
	steps := stepsText(f.Steps)
	if line := in + name + ": " + steps; plain && len(line) <= textWidth {
		b.WriteString(line + "\n")
		return
	}
	b.WriteString(in + name + ":\n")
	in += "  "
	if f.Stack != 0 {
		fmt.Fprintf(b, "%sstack: %d\n", in, f.Stack)
	}
	if len(f.Saved) > 0 {
		var regs []string
		for _, r := range f.Saved {
			regs = append(regs, fmt.Sprintf("r%d", r))
		}
		fmt.Fprintf(b, "%ssaved: [%s]\n", in, strings.Join(regs, ", "))
	}
	if line := in + "steps: " + steps; len(line) <= textWidth {
		b.WriteString(line + "\n")
	} else {
		b.WriteString(in + "steps:\n")
		for i := range f.Steps {
			fmt.Fprintf(b, "%s  - {%s}\n", in, stepText(&f.Steps[i]))
		}
	}
	if len(subs) > 0 {
		b.WriteString(in + "functions:\n")
		for i := range subs {
			functionText(b, subs[i].Name, &subs[i].Value, nil, indent+4)
		}
	}
}

func stepsText(steps []scenarios.Step) string {
	var out []string
	for i := range steps {
		s := stepText(&steps[i])
		if strings.Count(s, ": ") > 1 { // a verb with modifiers; in a flow sequence a pair stands alone
			s = "{" + s + "}"
		}
		out = append(out, s)
	}
	return "[" + strings.Join(out, ", ") + "]"
}

// stepText writes a step without braces, for flow context.
func stepText(s *scenarios.Step) string {
	switch s.Verb {
	case "count":
		return "count: " + quoted(s.Count.Text)
	case "call":
		if s.With != nil {
			return "call: " + s.Call.Text + ", with: " + s.With.Text
		}
		return "call: " + s.Call.Text
	case "tail_call":
		return "tail_call: " + quoted(s.TailCall.Text)
	case "helper":
		return "helper: " + helperName(s.Helper.ID)
	case "clobber":
		return fmt.Sprintf("clobber: %d", *s.Clobber)
	case "atomic":
		text := "atomic: " + s.Atomic.Text + ", on: " + quoted(s.On.Text) + ", to: " + s.To.Text
		if s.Is != nil {
			text += ", is: " + s.Is.Text
		}
		return text
	case "set":
		return "set: " + quoted(s.Set.Text) + ", to: " + quoted(s.To.Text)
	case "check":
		return "check: " + quoted(s.Check.Text) + ", is: " + quoted(s.Is.Text)
	case "if":
		return "if: " + quoted(s.If.Text) + ", is: " + quoted(s.Is.Text) + ", then: " + stepsText(s.Then)
	case "return":
		return "return: " + quoted(s.Return.Text)
	}
	panic("BUG: a graph has no step " + s.Verb)
}

func helperName(id int32) string {
	i := slices.IndexFunc(helperNames, func(h helperInfo) bool { return h.id == id })
	return helperNames[i].name
}

// quoted protects what YAML takes for itself in flow context.
func quoted(s string) string {
	if strings.ContainsAny(s, "[]{},:") {
		return `"` + s + `"`
	}
	return s
}

func eventText(b *strings.Builder, e *scenarios.Event) {
	var f []string
	switch {
	case e.Run != nil:
		f = append(f, "run: "+e.Run.Text)
		for _, c := range e.Context {
			f = append(f, fmt.Sprintf("context: {%s: %d}", c.Name, c.Value.V))
		}
	case e.Delete != nil:
		f = append(f, "delete: "+quoted(e.Delete.Text))
	default:
		for _, u := range e.Update {
			f = append(f, fmt.Sprintf("update: {%s: %s}", quoted(u.Name), u.Value.Text))
		}
	}
	if e.Errno != "" {
		f = append(f, "errno: "+e.Errno)
	}
	if x := e.Expect; x != nil {
		f = append(f, "expect: "+expectText(x))
	}
	fmt.Fprintf(b, "  - {%s}\n", strings.Join(f, ", "))
}

func expectText(x *scenarios.Expect) string {
	var f []string
	if x.Return != nil {
		f = append(f, fmt.Sprintf("return: %d", x.Return.V))
	}
	if x.Taken != nil {
		f = append(f, fmt.Sprintf("taken: %d", x.Taken.V))
	}
	if len(x.Violates) > 0 {
		f = append(f, "violates: "+x.Violates[0].Text)
	}
	var on []string
	for i := range x.On {
		on = append(on, x.On[i].Name+": "+expectText(&x.On[i].Value))
	}
	if len(on) > 0 {
		f = append(f, "on: {"+strings.Join(on, ", ")+"}")
	}
	return "{" + strings.Join(f, ", ") + "}"
}
