// SPDX-License-Identifier: GPL-2.0-only

package verdicts

import (
	"cmp"
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// Column is one of a table of rows.
type Column struct {
	Name   string
	number func(*Row) int64 // nil of text
	text   func(*Row) string
}

// columns are those of every table; Times is one more, which is not the same from run to run.
var columns = []Column{
	{Name: "target", text: func(r *Row) string { return r.Target }},
	{Name: "program", text: func(r *Row) string { return r.Program }},
	{Name: "verdict", text: func(r *Row) string { return string(r.Verdict) }},
	{Name: "insns", number: func(r *Row) int64 { return int64(r.Insns) }},
	{Name: "states", number: func(r *Row) int64 { return int64(r.States) }},
	{Name: "peak", number: func(r *Row) int64 { return int64(r.PeakStates) }},
	{Name: "stack", number: func(r *Row) int64 { return int64(r.Stack) }},
	{Name: "size", number: func(r *Row) int64 { return int64(r.Size) }},
	{Name: "reason", text: func(r *Row) string { return r.Reason }},
}

// timeColumn is the time that the analysis took.
var timeColumn = Column{Name: "µs", number: func(r *Row) int64 { return r.Time.Microseconds() }}

// Table is rows as they are printed.
type Table struct {
	Columns []Column
	Rows    []Row
}

// NewTable returns a table of rows; with says that it has the time that each took.
func NewTable(rows []Row, times bool) *Table {
	t := &Table{Columns: slices.Clone(columns), Rows: rows}
	if times {
		t.Columns = slices.Insert(t.Columns, len(columns)-1, timeColumn)
	}
	return t
}

func (t *Table) column(name string) (*Column, error) {
	var names []string
	for i := range t.Columns {
		if t.Columns[i].Name == name {
			return &t.Columns[i], nil
		}
		names = append(names, t.Columns[i].Name)
	}
	return nil, fmt.Errorf("no column %q: there are %s", name, strings.Join(names, ", "))
}

func (c *Column) cell(r *Row) string {
	if c.number != nil {
		return strconv.FormatInt(c.number(r), 10)
	}
	return c.text(r)
}

// Sort orders the rows by a column, "-NAME" from high to low; rows that are equal keep their order.
func (t *Table) Sort(by string) error {
	name, down := strings.CutPrefix(by, "-")
	c, err := t.column(name)
	if err != nil {
		return err
	}
	slices.SortStableFunc(t.Rows, func(a, b Row) int {
		n := 0
		if c.number != nil {
			n = cmp.Compare(c.number(&a), c.number(&b))
		} else {
			n = cmp.Compare(c.text(&a), c.text(&b))
		}
		if down {
			n = -n
		}
		return n
	})
	return nil
}

// operators of a filter, the longer ones first.
var operators = []string{"<=", ">=", "!=", "=", "<", ">", "~"}

// Filter keeps the rows of which a condition such as "insns>1000", "verdict=refused" or "program~xdp" is true.
func (t *Table) Filter(condition string) error {
	at, op := -1, ""
	for _, o := range operators {
		if i := strings.Index(condition, o); i > 0 && (at < 0 || i < at) {
			at, op = i, o
		}
	}
	if at < 0 {
		return fmt.Errorf("filter %q: expected COLUMN, one of %s, and a value", condition, strings.Join(operators, " "))
	}
	name, value := condition[:at], condition[at+len(op):]
	c, err := t.column(name)
	if err != nil {
		return fmt.Errorf("filter %q: %w", condition, err)
	}
	limit, err := strconv.ParseInt(value, 0, 64)
	if c.number != nil && (err != nil || op == "~") {
		return fmt.Errorf("filter %q: %s is a number, to be compared with = != < <= > >=", condition, name)
	}
	if c.number == nil && strings.ContainsAny(op, "<>") {
		return fmt.Errorf("filter %q: %s is text, to be compared with = != ~", condition, name)
	}
	t.Rows = slices.DeleteFunc(t.Rows, func(r Row) bool {
		n := 0
		if c.number != nil {
			n = cmp.Compare(c.number(&r), limit)
		} else {
			n = cmp.Compare(c.text(&r), value)
		}
		switch op {
		case "=":
			return n != 0
		case "!=":
			return n == 0
		case "<":
			return n >= 0
		case "<=":
			return n > 0
		case ">":
			return n <= 0
		case ">=":
			return n < 0
		}
		return !strings.Contains(c.text(&r), value)
	})
	return nil
}

// Text writes the table with aligned columns and the reasons below it, where there is more room.
func (t *Table) Text(w io.Writer) error {
	cols := t.Columns[:len(t.Columns)-1]
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for i, c := range cols {
		fmt.Fprint(tw, c.Name, ends(i, len(cols)))
	}
	for i := range t.Rows {
		for j := range cols {
			fmt.Fprint(tw, cols[j].cell(&t.Rows[i]), ends(j, len(cols)))
		}
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	for i := range t.Rows {
		if r := &t.Rows[i]; r.Reason != "" {
			if _, err := fmt.Fprintf(w, "\n%s on %s: %s: %s\n", r.Program, r.Target, r.Verdict, r.Reason); err != nil {
				return err
			}
		}
	}
	return nil
}

func ends(i, n int) string {
	if i == n-1 {
		return "\n"
	}
	return "\t"
}

// CSV writes the table with a line of names.
func (t *Table) CSV(w io.Writer) error {
	out := csv.NewWriter(w)
	var line []string
	for _, c := range t.Columns {
		line = append(line, c.Name)
	}
	if err := out.Write(line); err != nil {
		return err
	}
	for i := range t.Rows {
		line = line[:0]
		for j := range t.Columns {
			line = append(line, t.Columns[j].cell(&t.Rows[i]))
		}
		if err := out.Write(line); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}
