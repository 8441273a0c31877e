// SPDX-License-Identifier: GPL-2.0-only

package compare

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/tcsim/tcsim/cmd/tcsim/render"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// Side is what scenarios do on one target: what is compared of two.
type Side struct {
	Code    []Code          `json:"code"`
	Results []render.RunRow `json:"results"`
}

// Code is the size of a function.
type Code struct {
	Scenario string `json:"scenario"`
	Function string `json:"function"`
	Bytes    int    `json:"bytes"`
	Insns    int    `json:"instructions"`
}

// Add adds the code of a scenario.
func (s *Side) Add(c *runner.Compiled) {
	for _, f := range render.Listing(c.Images) {
		n := Code{Scenario: c.Built.Scenario.Name, Function: f.Name, Bytes: f.Size}
		for _, l := range f.Lines {
			if l.Bytes != "" {
				n.Insns++
			}
		}
		s.Code = append(s.Code, n)
	}
}

// Sides compares what two targets make of the same scenarios.
func Sides(a, b *Side) ([]Difference, error) {
	for _, s := range []*Side{a, b} {
		for i := range s.Results {
			s.Results[i].Target = "" // that they differ in
		}
	}
	return values(a, b)
}

// values compares two values as JSON.
func values(a, b any) ([]Difference, error) {
	var m [2]map[string]any
	for i, v := range []any{a, b} {
		text, err := json.Marshal(v)
		if err != nil {
			return nil, err
		}
		if m[i], _, err = decode(text); err != nil {
			return nil, err
		}
	}
	return Values(m[0], m[1]), nil
}

// captured is what is compared of a scenario of a capture.
type captured struct {
	Scenario  string     `json:"scenario"`
	Error     string     `json:"error,omitempty"`
	Functions []function `json:"functions,omitempty"`
	Runs      []ran      `json:"runs,omitempty"`
}

type function struct {
	Program  string `json:"program"`
	Function string `json:"function"`
	Bytes    int    `json:"bytes"`
	Refused  string `json:"refused,omitempty"`
	Sites    int    `json:"tail_calls"`
}

type ran struct {
	Error  string   `json:"error,omitempty"`
	Return uint32   `json:"return"`
	Out    []uint64 `json:"out,omitempty"`
	Taken  string   `json:"taken,omitempty"`
}

// Captures compares what two kernels made of the scenarios that both captures have; only says which of the two others
// have.
func Captures(a, b *capture.File) (l []Difference, only []string, err error) {
	var sides [2][]captured
	has := [2]map[string]bool{{}, {}}
	for i, f := range []*capture.File{a, b} {
		for k := range f.Scenarios {
			has[i][f.Scenarios[k].Name] = true
		}
	}
	for i, f := range []*capture.File{a, b} {
		for k := range f.Scenarios {
			s := &f.Scenarios[k]
			if !has[1-i][s.Name] {
				only = append(only, fmt.Sprintf("%s: only in %s", s.Name, f.Name))
				continue
			}
			sides[i] = append(sides[i], capturedOf(s))
		}
	}
	type side struct {
		Scenarios []captured `json:"scenarios"`
	}
	l, err = values(side{sides[0]}, side{sides[1]})
	return l, only, err
}

func capturedOf(s *capture.Scenario) captured {
	out := captured{Scenario: s.Name, Error: s.Error}
	for i := range s.Progs {
		p := &s.Progs[i]
		if p.LoadError != "" {
			out.Functions = append(out.Functions, function{Program: p.Name, Refused: p.LoadError})
		}
		for k := range p.Funcs {
			f := function{Program: p.Name, Function: p.Funcs[k].Name, Bytes: p.Funcs[k].Len}
			for _, t := range p.TailCalls {
				if t.Func == k {
					f.Sites++
				}
			}
			out.Functions = append(out.Functions, f)
		}
	}
	for _, r := range []*capture.Run{s.Run, s.RunTraced} {
		if r == nil {
			continue
		}
		x := ran{Error: r.Error, Return: r.Retval, Out: r.Out}
		if n := r.Taken(); n != nil {
			x.Taken = n.String()
		}
		out.Runs = append(out.Runs, x)
	}
	return out
}

// Result is the object of tcsim compare.
type Result struct {
	A           string        `json:"a"`
	B           string        `json:"b"`
	Differences []Difference  `json:"differences"`
	Interrupted bool          `json:"interrupted,omitempty"` // there may be more
	Only        []string      `json:"only,omitempty"`        // what one side alone has, of captures
	Targets     []string      `json:"targets,omitempty"`     // of a and of b, if rows of one target were compared with rows of another
	Schema      render.Schema `json:"schema"`
}

// Write prints the differences as text.
func (r *Result) Write(w io.Writer) error {
	t := Table(r.Differences)
	if len(r.Differences) == 0 {
		_, err := fmt.Fprintf(w, "no difference between %s and %s\n", r.A, r.B)
		return err
	}
	a, b := r.A, r.B
	if len(r.Targets) == 2 {
		a, b = fmt.Sprintf("%s (%s)", a, r.Targets[0]), fmt.Sprintf("%s (%s)", b, r.Targets[1])
	}
	fmt.Fprintf(w, "a is %s, b is %s\n", a, b)
	if err := t.Text(w); err != nil {
		return err
	}
	for _, o := range r.Only {
		if _, err := fmt.Fprintln(w, o); err != nil {
			return err
		}
	}
	return nil
}
