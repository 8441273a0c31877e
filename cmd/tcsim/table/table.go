// SPDX-License-Identifier: GPL-2.0-only

// Package table holds rows that a command prints: sorted and filtered by column, as aligned text or as CSV. Columns
// have names that --sort and --filter take.
//
//	t := table.New(rows, table.Text("target", func(r *Row) string { return r.Target }),
//		table.Number("bytes", func(r *Row) float64 { return float64(r.Bytes) }))
//	err := t.Choose(table.Choice{Sort: "-bytes", Filter: []string{"bytes>100"}})
//	err = t.Text(os.Stdout)
package table

import (
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Column is one of a table of rows.
type Column[R any] struct {
	Name   string
	number func(*R) float64 // nil of text
	text   func(*R) string
	// Aside says that the text has no place in lines: it is in CSV and filters only.
	Aside bool
}

// Text is a column of text.
func Text[R any](name string, of func(*R) string) Column[R] { return Column[R]{Name: name, text: of} }

// Number is a column of numbers.
func Number[R any](name string, of func(*R) float64) Column[R] {
	return Column[R]{Name: name, number: of}
}

// Aside is a column of text that is too long for lines.
func Aside[R any](name string, of func(*R) string) Column[R] {
	return Column[R]{Name: name, text: of, Aside: true}
}

// Table is rows as they are printed.
type Table[R any] struct {
	Columns []Column[R]
	Rows    []R
}

// New returns a table. It owns the rows from then on.
func New[R any](rows []R, columns ...Column[R]) *Table[R] {
	return &Table[R]{columns, rows}
}

// Choice is what --sort and --filter ask for.
type Choice struct {
	Sort   string   // a column, "-COLUMN" from high to low; "" leaves the order
	Filter []string // conditions, all of which must be true
}

// Choose filters and sorts. The error has every mistake.
func (t *Table[R]) Choose(c Choice) error {
	var errs []error
	for _, f := range c.Filter {
		errs = append(errs, t.Filter(f))
	}
	if c.Sort != "" {
		errs = append(errs, t.Sort(c.Sort))
	}
	return errors.Join(errs...)
}

func (t *Table[R]) column(name string) (*Column[R], error) {
	var names []string
	for i := range t.Columns {
		if t.Columns[i].Name == name {
			return &t.Columns[i], nil
		}
		names = append(names, t.Columns[i].Name)
	}
	return nil, fmt.Errorf("no column %q: there are %s", name, strings.Join(names, ", "))
}

// cell is a value as it is printed.
func (c *Column[R]) cell(r *R) string {
	if c.number != nil {
		return strconv.FormatFloat(c.number(r), 'f', -1, 64)
	}
	return c.text(r)
}

func (c *Column[R]) compare(a, b *R) int {
	if c.number != nil {
		return cmp.Compare(c.number(a), c.number(b))
	}
	return cmp.Compare(c.text(a), c.text(b))
}

// Sort orders the rows by a column, "-NAME" from high to low; rows that are equal keep their order.
func (t *Table[R]) Sort(by string) error {
	name, down := strings.CutPrefix(by, "-")
	c, err := t.column(name)
	if err != nil {
		return fmt.Errorf("sort %q: %w", by, err)
	}
	slices.SortStableFunc(t.Rows, func(a, b R) int {
		if down {
			return c.compare(&b, &a)
		}
		return c.compare(&a, &b)
	})
	return nil
}

// operators of a filter, the longer ones first.
var operators = []string{"<=", ">=", "!=", "=", "<", ">", "~"}

// holds says for each operator whether it is true of the result of a comparison.
var holds = map[string]func(int) bool{
	"=": func(n int) bool { return n == 0 }, "!=": func(n int) bool { return n != 0 },
	"<": func(n int) bool { return n < 0 }, "<=": func(n int) bool { return n <= 0 },
	">": func(n int) bool { return n > 0 }, ">=": func(n int) bool { return n >= 0 },
}

// Filter keeps the rows of which a condition such as "bytes>1000", "verdict=ok" or "program~xdp" is true.
func (t *Table[R]) Filter(condition string) error {
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
	limit, wrong := strconv.ParseFloat(value, 64)
	switch {
	case c.number != nil && (wrong != nil || op == "~"):
		return fmt.Errorf("filter %q: %s is a number, to be compared with = != < <= > >=", condition, name)
	case c.number == nil && strings.ContainsAny(op, "<>"):
		return fmt.Errorf("filter %q: %s is text, to be compared with = != ~", condition, name)
	}
	t.Rows = slices.DeleteFunc(t.Rows, func(r R) bool {
		switch {
		case op == "~":
			return !strings.Contains(c.text(&r), value)
		case c.number != nil:
			return !holds[op](cmp.Compare(c.number(&r), limit))
		}
		return !holds[op](cmp.Compare(c.text(&r), value))
	})
	return nil
}

// Text writes aligned columns, numbers to the right. Columns aside are left out.
func (t *Table[R]) Text(w io.Writer) error {
	var cols []*Column[R]
	for i := range t.Columns {
		if !t.Columns[i].Aside {
			cols = append(cols, &t.Columns[i])
		}
	}
	lines := [][]string{nil}
	for _, c := range cols {
		lines[0] = append(lines[0], c.Name)
	}
	for i := range t.Rows {
		var line []string
		for _, c := range cols {
			line = append(line, c.cell(&t.Rows[i]))
		}
		lines = append(lines, line)
	}
	widths := make([]int, len(cols))
	for _, l := range lines {
		for i, s := range l {
			widths[i] = max(widths[i], utf8.RuneCountInString(s))
		}
	}
	for _, l := range lines {
		var b strings.Builder
		for i, s := range l {
			gap := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(s))
			if cols[i].number != nil {
				s = gap + s
			} else {
				s += gap
			}
			b.WriteString(s + "  ")
		}
		if _, err := fmt.Fprintln(w, strings.TrimRight(b.String(), " ")); err != nil {
			return err
		}
	}
	return nil
}

// CSV writes all columns, with a line of names.
func (t *Table[R]) CSV(w io.Writer) error {
	out := csv.NewWriter(w)
	var line []string
	for i := range t.Columns {
		line = append(line, t.Columns[i].Name)
	}
	if err := out.Write(line); err != nil {
		return err
	}
	for i := range t.Rows {
		line = line[:0]
		for k := range t.Columns {
			line = append(line, t.Columns[k].cell(&t.Rows[i]))
		}
		if err := out.Write(line); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}
