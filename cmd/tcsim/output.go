// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/tcsim/tcsim/emu/check"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// width is how many columns text output may use, so that it fits a mail.
const width = 100

// printJSON writes the one object of --json: the fields and the schema's name and version.
func (e env) printJSON(verb string, fields map[string]any) error {
	fields["schema"] = "tcsim." + verb + "/v1"
	enc := json.NewEncoder(e.stdout)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(fields)
}

// runSummary is a run in numbers.
type runSummary struct {
	Program    string           `json:"program"`
	Return     uint32           `json:"return"`
	Taken      uint64           `json:"taken"`
	Refused    refused          `json:"refused"`
	Calls      uint64           `json:"calls"`
	Helpers    uint64           `json:"helper_calls"`
	Stack      uint64           `json:"stack_bytes"`
	Insns      uint64           `json:"instructions"`
	Cycles     *runCycles       `json:"cycles,omitempty"`
	Violation  *check.Violation `json:"violation,omitempty"`
	Killed     string           `json:"ended_by,omitempty"`
	World      []string         `json:"outside_world,omitempty"`
	Unexpected bool             `json:"unexpected,omitempty"`
}

type refused struct {
	Limit   uint64 `json:"limit"`
	Bounds  uint64 `json:"bounds"`
	Empty   uint64 `json:"empty"`
	Unknown uint64 `json:"unknown,omitempty"`
}

func (r refused) total() uint64 { return r.Limit + r.Bounds + r.Empty + r.Unknown }

func summarise(r *runner.Run) runSummary {
	c := &r.Counts
	return runSummary{
		Program: r.Program, Return: uint32(r.Return), Taken: c.Taken, Calls: c.Calls, Helpers: c.Helpers,
		Refused: refused{
			c.Refused[trace.ReasonLimit], c.Refused[trace.ReasonBounds],
			c.Refused[trace.ReasonEmpty], c.Refused[trace.ReasonUnknown],
		},
		Stack: r.Deepest, Insns: r.Retired, Violation: r.Violation, Killed: r.Killed, World: r.World,
		Unexpected: len(r.Mismatches) != 0, Cycles: cyclesOf(r.Cycles),
	}
}

// runCycles is what a run costs: the first run after loading, and one of many in a row.
type runCycles struct {
	Core  string  `json:"core"`
	Cold  int64   `json:"cold,omitempty"`
	Warm  float64 `json:"warm,omitempty"`
	Error string  `json:"error,omitempty"`
}

func cyclesOf(c *runner.Cycles) *runCycles {
	if c == nil {
		return nil
	}
	out := &runCycles{Core: c.Core, Cold: int64(c.Cold), Warm: c.Warm}
	if c.Err != nil {
		out.Cold, out.Warm, out.Error = 0, 0, c.Err.Error()
	}
	return out
}

func (c *runCycles) cold() string {
	if c == nil || c.Cold == 0 {
		return "-"
	}
	return fmt.Sprint(c.Cold)
}

func (c *runCycles) warm() string {
	if c == nil || c.Warm == 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f", c.Warm)
}

// table is aligned text with notes under its rows.
type table struct {
	head  []string
	rows  [][]string // a row of one cell is a note
	flush map[int]bool
	gap   int // blanks between columns
}

func newTable(head ...string) *table { return &table{head: head, flush: map[int]bool{}, gap: 2} }

// right aligns columns to the right.
func (t *table) right(cols ...int) {
	for _, c := range cols {
		t.flush[c] = true
	}
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// note puts text under the last row, folded to the width of the page.
func (t *table) note(text string) {
	for _, line := range fold(text, width-4) {
		t.rows = append(t.rows, []string{"    " + line})
	}
}

// picture puts lines under the last row as they are.
func (t *table) picture(text string) {
	for line := range strings.Lines(text) {
		t.rows = append(t.rows, []string{strings.TrimSuffix(line, "\n")})
	}
}

// String aligns the columns. A table that is too wide gets less space between them, and then the first
// column as lines of their own, above the rows that share them.
func (t *table) String() string {
	w := t.widths()
	gap, group := t.gap, false
	total := func() int { return sum(w) + gap*(len(w)-1) }
	if total() > width {
		gap = 1
	}
	if total() > width && len(w) > 2 {
		group, w = true, w[1:]
	}
	if group && 2+sum(w)+t.gap*(len(w)-1) <= width {
		gap = t.gap
	}
	var b strings.Builder
	above := ""
	for _, r := range append([][]string{t.head}, t.rows...) {
		if len(r) != len(t.head) {
			fmt.Fprintln(&b, r[0])
			continue
		}
		first := 0
		if group {
			if r[0] != above {
				fmt.Fprintln(&b, r[0])
			}
			above, first = r[0], 1
			b.WriteString("  ")
		}
		b.WriteString(t.line(r[first:], w, gap, first))
	}
	return b.String()
}

// line aligns cells, the first of which is in column number first.
func (t *table) line(cells []string, w []int, gap, first int) string {
	var line strings.Builder
	for i, c := range cells {
		if t.flush[first+i] {
			fmt.Fprintf(&line, "%*s%*s", w[i], c, gap, "")
		} else {
			fmt.Fprintf(&line, "%-*s%*s", w[i], c, gap, "")
		}
	}
	return strings.TrimRight(line.String(), " ") + "\n"
}

func (t *table) widths() []int {
	w := make([]int, len(t.head))
	for _, r := range append([][]string{t.head}, t.rows...) {
		if len(r) != len(t.head) {
			continue
		}
		for i, c := range r {
			w[i] = max(w[i], utf8.RuneCountInString(c))
		}
	}
	return w
}

func sum(l []int) (n int) {
	for _, v := range l {
		n += v
	}
	return n
}

// sortedKeys returns the keys in order.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// oneOf joins names for a cell of a table.
func oneOf(names []string) string {
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// fold breaks text at blanks into lines of at most n columns. Lines that begin with two blanks are
// pictures and stay as they are.
func fold(text string, n int) []string {
	var out []string
	for _, para := range strings.Split(text, "\n") {
		if strings.HasPrefix(para, "  ") {
			out = append(out, para)
			continue
		}
		line := ""
		for _, word := range strings.Fields(para) {
			if line != "" && len(line)+1+len(word) > n {
				out = append(out, line)
				line = ""
			}
			if line != "" {
				line += " "
			}
			line += word
		}
		out = append(out, line)
	}
	return out
}
