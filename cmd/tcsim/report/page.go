// SPDX-License-Identifier: GPL-2.0-only

package report

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/tcsim/tcsim/cmd/tcsim/render"
	"github.com/tcsim/tcsim/jit/outfile"
)

//go:embed page/report.html
var pageText string

//go:embed page/report.css
var style string

//go:embed page/report.js
var script string

var page = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("report").Funcs(template.FuncMap{"plural": render.Plural}).Parse(pageText))
})

// view is what the template is filled with.
type view struct {
	Policy, Title, Command string
	Style                  template.CSS
	Script                 template.JS
	Subjects               []viewSubject
	Matrix                 *matrix
	Blocks                 []block

	Filmed, HasDiffs, HasCosts, HasSchedules bool
}

// block is data for the script.
type block struct {
	ID   string
	JSON template.JS // escaped for a script element
}

type viewSubject struct {
	*subject
	Plays []viewPlay
}

type viewPlay struct {
	*play
	Runs   []viewRun
	Broken []banner
	Notes  []string
}

// viewRun is a row of the verdicts.
type viewRun struct {
	*filmed
	Class, Sign, Link string
}

// banner says what broke. Class is bad, or foreseen if the scenario expects it.
type banner struct{ Class, Sign, Head, Text, Link string }

// matrix is scenarios by targets.
type matrix struct {
	Targets []string
	Rows    []matrixRow
}

type matrixRow struct {
	Name  string
	Cells []cell
}

type cell struct{ Class, Sign, Text, Link string }

// Write writes the page.
func (r *Report) Write(w io.Writer) error {
	v := view{
		Policy: "default-src 'none'; style-src '" + hashOf(style) + "'; script-src '" + hashOf(script) + "'; base-uri 'none'; form-action 'none'",
		Title:  r.title(), Command: r.opt.Command, Style: template.CSS(style), Script: template.JS(script), Matrix: r.matrix(),
	}
	type entry struct {
		ID     string `json:"id"`
		Target string `json:"target"`
		Runs   int    `json:"runs"`
		Broken int    `json:"broken,omitempty"` // number of the run that breaks an invariant
		Bad    bool   `json:"bad,omitempty"`    // not as expected
	}
	type listed struct {
		Name  string  `json:"name"`
		Plays []entry `json:"plays"`
	}
	index := []listed{}
	for n, s := range r.subjects {
		vs := viewSubject{subject: s}
		in := listed{Name: s.Name}
		for k, p := range s.Plays {
			vs.Plays = append(vs.Plays, p.view())
			id := fmt.Sprintf("play-%d-%d", n, k)
			in.Plays = append(in.Plays, entry{id, p.Row.Target, len(p.Runs), p.broken(), !p.Row.OK})
			if err := v.add(id, p, r.opt.PageSize); err != nil {
				return err
			}
			v.Filmed = v.Filmed || len(p.Runs) > 0
			v.HasCosts = v.HasCosts || len(p.Costs)+len(p.Uncosted) > 0
		}
		index = append(index, in)
		v.Subjects = append(v.Subjects, vs)
		v.HasDiffs = v.HasDiffs || len(s.Diffs) > 0
		v.HasSchedules = v.HasSchedules || len(s.Schedules) > 0
	}
	b, err := json.Marshal(index)
	if err != nil {
		return err
	}
	v.Blocks = append(v.Blocks, block{"index", template.JS(b)})
	var out bytes.Buffer
	if err := page().Execute(&out, v); err != nil {
		return err
	}
	plain := render.Printable(w)
	_, err = out.WriteTo(plain)
	return errors.Join(err, plain.Close())
}

// add adds the blocks of a play.
func (v *view) add(id string, p *play, pageSize int) error {
	if len(p.Runs) == 0 {
		return nil
	}
	head, runs, err := p.data(pageSize)
	if err != nil {
		return err
	}
	v.Blocks = append(v.Blocks, block{id, template.JS(head)}) // json.Marshal escapes <, > and &
	for n, ps := range runs {
		for k, b := range ps {
			v.Blocks = append(v.Blocks, block{fmt.Sprintf("%s-run-%d-page-%d", id, n, k), template.JS(b)})
		}
	}
	return nil
}

// hashOf is the source by which a policy allows an inline text.
func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// title names scenarios and targets.
func (r *Report) title() string {
	var names []string
	for _, s := range r.subjects {
		names = append(names, s.Name)
	}
	if len(names) > 3 {
		names = []string{render.Plural(len(names), "scenario")}
	}
	targets := r.targets()
	if len(targets) > 4 {
		targets = []string{render.Plural(len(targets), "target")}
	}
	title := strings.Join(names, ", ") + " on " + strings.Join(targets, ", ")
	switch {
	case len(names) == 0:
		return "interrupted before anything was finished"
	case r.Interrupted:
		return title + " (interrupted, there was more)"
	}
	return title
}

// targets are those of all scenarios, in the order in which they come up.
func (r *Report) targets() []string {
	var out []string
	for _, s := range r.subjects {
		for _, p := range s.Plays {
			if !slices.Contains(out, p.Row.Target) {
				out = append(out, p.Row.Target)
			}
		}
	}
	return out
}

// matrix is the table of verdicts; nil if it has but one cell.
func (r *Report) matrix() *matrix {
	m := &matrix{Targets: r.targets()}
	for _, s := range r.subjects {
		row := matrixRow{Name: s.Name, Cells: make([]cell, len(m.Targets))}
		for _, p := range s.Plays {
			row.Cells[slices.Index(m.Targets, p.Row.Target)] = p.cell()
		}
		m.Rows = append(m.Rows, row)
	}
	if len(m.Rows) < 2 && len(m.Targets) < 2 {
		return nil
	}
	return m
}

// broken is the number of the run that breaks an invariant, 0 if none does.
func (p *play) broken() int {
	for _, f := range p.Runs {
		if f.Violation != nil {
			return f.Number
		}
	}
	return 0
}

// link is the address of a run in the page.
func (p *play) link(run int) string {
	return "#run=" + url.QueryEscape(fmt.Sprintf("%s/%d", p.Row.Scenario, run)) + "&targets=" + url.QueryEscape(p.Row.Target)
}

// cell is the verdict in a word.
func (p *play) cell() cell {
	c := cell{Class: "good", Sign: "✓", Text: "ok"}
	for _, f := range p.Runs {
		if c.Link == "" || f.Violation != nil || f.Killed != "" {
			c.Link = p.link(f.Number)
		}
		if f.Violation != nil || f.Killed != "" {
			c.Class, c.Sign, c.Text = "foreseen", "✗", f.Verdict()+", as expected"
		}
	}
	switch {
	case p.Row.Error != "":
		return cell{Class: "open", Sign: "○", Text: "cannot be tested"}
	case p.Row.OK:
		return c
	case len(p.Runs) == 0 && len(p.Row.Failed) > 0:
		return cell{Class: "bad", Sign: "✗", Text: "JIT fails"}
	case c.Text == "ok":
		c.Text = "not as expected"
	}
	c.Class, c.Sign, c.Text = "bad", "✗", strings.TrimSuffix(c.Text, ", as expected")
	return c
}

// view is the play with what the template shows of it.
func (p *play) view() viewPlay {
	v := viewPlay{play: p}
	for _, f := range p.Runs {
		r := viewRun{filmed: f, Class: "good", Sign: "✓", Link: p.link(f.Number)}
		if v := f.Violation != nil || f.Killed != ""; v || f.Unexpected {
			r.Class, r.Sign = "foreseen", "✗"
			if f.Unexpected {
				r.Class = "bad"
			}
		}
		v.Runs = append(v.Runs, r)
		b := banner{Class: r.Class, Sign: "⚠", Link: r.Link, Head: f.Verdict()}
		switch {
		case f.Violation != nil:
			b.Text = f.Violation.String() + "."
			if !f.Unexpected {
				b.Text += " The scenario expects it."
			}
			v.Broken = append(v.Broken, b)
		case f.Killed != "":
			v.Broken = append(v.Broken, b)
		}
		if f.More {
			v.Notes = append(v.Notes, fmt.Sprintf("run %d: the time line has the first %d events only (--events)", f.Number, len(f.shots)))
		}
	}
	for _, u := range p.Row.Updates {
		b := banner{Class: "bad", Sign: "⚠", Head: "an update breaks an invariant", Text: u}
		if p.Row.OK {
			b.Class = "foreseen"
		}
		v.Broken = append(v.Broken, b)
	}
	if len(p.Row.Flaws) > 0 {
		v.Broken = append(v.Broken, banner{Class: "bad", Sign: "⚠", Head: "the code is wrong where no run comes", Text: p.Row.Flaws[0]})
	}
	p.Row.InspectedLines(func(text string) { v.Notes = append(v.Notes, text) })
	if p.Row.Error != "" {
		v.Notes = append(v.Notes, p.Row.Target+": cannot be tested: "+p.Row.Error)
	}
	for _, text := range p.Row.Failed {
		v.Broken = append(v.Broken, banner{Class: "bad", Sign: "⚠", Head: "not as expected", Text: text})
	}
	if p.Row.Counted != "" {
		v.Notes = append(v.Notes, p.Row.Counted)
	}
	if len(p.Row.Refused) > 0 {
		v.Notes = append(v.Notes, "refused: "+strings.Join(p.Row.Refused, "; "))
	}
	return v
}

// Save writes the page to a file, or to w if no file is named.
func (r *Report) Save(file string, w io.Writer) error {
	if file == "" {
		return r.Write(w)
	}
	var text bytes.Buffer
	if err := r.Write(&text); err != nil {
		return err
	}
	return outfile.Write(file, text.Bytes())
}
