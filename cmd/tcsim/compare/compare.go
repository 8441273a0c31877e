// SPDX-License-Identifier: GPL-2.0-only

// Package compare finds what differs between two results: objects that commands print under --json, or anything else
// that can be written as one. Rows of lists are matched by their names, not by their places, so that a result with more
// scenarios can be compared with an older one.
package compare

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/tcsim/tcsim/cmd/tcsim/table"
	"github.com/tcsim/tcsim/jit/filekind"
	"github.com/tcsim/tcsim/scenarios/files"
)

// Difference is one value that is not the same.
type Difference struct {
	Where string  `json:"where"` // the rows that it is in: "hierarchy, 6.1, run 1"
	What  string  `json:"what"`  // the field
	A     string  `json:"a"`     // "" if that side does not have it
	B     string  `json:"b"`
	By    float64 `json:"by"`      // B less A, of numbers
	Part  float64 `json:"percent"` // of A; 999999 of a value that was 0
	Text  bool    `json:"text"`    // not a number
}

// most is the change in percent of a value that was 0.
const most = 999_999

// leaf is a value with the place where it is.
type leaf struct {
	where, what string
	value       any
}

// names are the fields by which a row of a list is known.
var names = []string{"scenario", "target", "core", "kind", "name", "program", "function", "kernel", "invariant", "file", "run"}

// passing are fields that say nothing of the result: paths, times, wording with addresses.
var passing = map[string]bool{"schema": true, "stack": true, "events": true, "where": true, "rip": true, "seq": true, "text": true, "counted": true,
	"event": true, "func": true, "insn": true, "site": true}

// MaxValues is how many values a result may have. That of all scenarios on all targets has 7,000.
const MaxValues = 300_000

// Files compares two files that --json wrote, see Objects. The error names each that is none.
func Files(a, b string) (l []Difference, targets []string, err error) {
	x, errA := files.ReadFile(a, files.MaxFile)
	y, errB := files.ReadFile(b, files.MaxFile)
	if err := errors.Join(errA, errB); err != nil {
		return nil, nil, fmt.Errorf("%w\nto compare targets, name scenarios after them", err)
	}
	return Objects(File{a, x}, File{b, y})
}

// File is the text of a file.
type File struct {
	Name string
	Text []byte
}

// Objects compares two objects in JSON. If each is of one target, and they are of two, the rows of the one are compared with
// those of the other, and targets are these two. The error says what is wrong with each.
func Objects(a, b File) (l []Difference, targets []string, err error) {
	va, errA := a.parse()
	vb, errB := b.parse()
	if err := errors.Join(errA, errB); err != nil {
		return nil, nil, err
	}
	// A schema that is no text is compared like any other value.
	x, _ := va["schema"].(string)
	y, _ := vb["schema"].(string)
	if x != y {
		return nil, nil, fmt.Errorf("%s has schema %q, %s %q: expected two of one command", a.Name, x, b.Name, y)
	}
	if s, t := target(va), target(vb); s != "" && t != "" && s != t {
		targets = []string{s, t}
		anyTarget(va)
		anyTarget(vb)
	}
	return Values(va, vb), targets, nil
}

// target returns the one target that rows of v have, "" if they have none or several.
func target(v any) string {
	found := map[string]bool{}
	eachTarget(v, func(m map[string]any) {
		if s, ok := m["target"].(string); ok && s != "" {
			found[s] = true
		}
	})
	if len(found) != 1 {
		return ""
	}
	for s := range found {
		return s
	}
	return ""
}

// anyTarget takes the targets of rows away.
func anyTarget(v any) { eachTarget(v, func(m map[string]any) { delete(m, "target") }) }

// eachTarget visits the objects that have a target.
func eachTarget(v any, visit func(map[string]any)) {
	switch v := v.(type) {
	case map[string]any:
		if _, ok := v["target"]; ok {
			visit(v)
		}
		for _, x := range v {
			eachTarget(x, visit)
		}
	case []any:
		for _, x := range v {
			eachTarget(x, visit)
		}
	}
}

func (f *File) parse() (map[string]any, error) {
	if n := f.values(); n > MaxValues {
		return nil, fmt.Errorf("%s: %d values are more than the %d that are compared", f.Name, n, MaxValues)
	}
	v, at, err := decode(f.Text)
	if err == nil {
		return v, nil
	}
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError // of the whole
	if errors.As(err, &syntax) {
		at = max(syntax.Offset-1, 0)
	} else if errors.As(err, &kind) {
		at = 0
	}
	before := f.Text[:min(at, int64(len(f.Text)))]
	line, col := 1+bytes.Count(before, []byte("\n")), len(before)-bytes.LastIndexByte(before, '\n')
	return nil, filekind.Explain(fmt.Errorf("%s:%d:%d: expected an object as --json prints it: %w", f.Name, line, col, err), f.Text)
}

// decode reads an object, and says up to where it was read.
func decode(text []byte) (v map[string]any, at int64, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	err = d.Decode(&v)
	at = d.InputOffset()
	if _, more := d.Token(); err == nil && !errors.Is(more, io.EOF) {
		err = errors.New("there is more after it")
	}
	return v, at, err
}

// values is how many values the text has at most.
func (f *File) values() int {
	n, quoted := 0, false
	for i := 0; i < len(f.Text); i++ {
		switch c := f.Text[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\':
			i++
		case !quoted && (c == ',' || c == '[' || c == '{'):
			n++
		}
	}
	return n
}

// Values compares two decoded objects, whose numbers are json.Number.
func Values(a, b map[string]any) []Difference {
	la, lb := map[string]leaf{}, map[string]leaf{}
	flatten(la, "", "", a)
	flatten(lb, "", "", b)
	out := append(missing(la, lb, "there", ""), missing(lb, la, "", "there")...)
	ra, rb := rows(la), rows(lb)
	maps.DeleteFunc(la, func(_ string, l leaf) bool { return !rb[l.where] })
	maps.DeleteFunc(lb, func(_ string, l leaf) bool { return !ra[l.where] })
	for _, k := range slices.Sorted(maps.Keys(la)) {
		x := la[k]
		y, ok := lb[k]
		if d, differs := difference(x, y, ok); differs {
			out = append(out, d)
		}
	}
	for _, k := range slices.Sorted(maps.Keys(lb)) {
		if _, ok := la[k]; !ok {
			y := lb[k]
			out = append(out, Difference{Where: y.where, What: y.what, B: text(y.value), Text: true})
		}
	}
	order(out)
	return out
}

// rows are the places of leaves.
func rows(leaves map[string]leaf) map[string]bool {
	out := map[string]bool{}
	for _, l := range leaves {
		out[l.where] = true
	}
	return out
}

// missing lists the rows that one side has and the other has not, without those inside of them.
func missing(has, lacks map[string]leaf, a, b string) (out []Difference) {
	other := rows(lacks)
	var last string
	for _, w := range slices.Sorted(maps.Keys(rows(has))) {
		if other[w] || last != "" && strings.HasPrefix(w, last+", ") {
			continue
		}
		last = w
		out = append(out, Difference{Where: w, What: "(all)", A: a, B: b, Text: true})
	}
	return out
}

// flatten puts the values below v into leaves.
func flatten(leaves map[string]leaf, where, what string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			if passing[k] || slices.Contains(names, k) && where != "" && what == "" {
				continue
			}
			flatten(leaves, where, join(what, k, "."), v[k])
		}
	case []any:
		seen := map[string]int{}
		for i, x := range v {
			at := label(x, i, what)
			if seen[at]++; seen[at] > 1 {
				at = fmt.Sprintf("%s #%d", at, seen[at])
			}
			if _, row := x.(map[string]any); row {
				flatten(leaves, join(where, at, ", "), "", x)
			} else {
				flatten(leaves, where, fmt.Sprintf("%s[%d]", what, i), x)
			}
		}
	default:
		leaves[where+"\x00"+what] = leaf{where, what, v}
	}
}

// label is what a row of a list is called.
func label(x any, i int, list string) string {
	m, ok := x.(map[string]any)
	if !ok {
		return strconv.Itoa(i)
	}
	var parts []string
	for _, n := range names {
		switch s := m[n].(type) {
		case string:
			if s != "" {
				parts = append(parts, s)
			}
		case json.Number:
			parts = append(parts, n+" "+s.String())
		}
	}
	if len(parts) == 0 || list == "runs" {
		parts = append(parts, fmt.Sprintf("%s %d", strings.TrimSuffix(list, "s"), i+1))
	}
	return strings.Join(parts, ", ")
}

func join(a, b, by string) string {
	if a == "" {
		return b
	}
	return a + by + b
}

func text(v any) string {
	if v == nil {
		return "null"
	}
	return fmt.Sprint(v)
}

// difference compares two values.
func difference(x, y leaf, both bool) (Difference, bool) {
	d := Difference{Where: x.where, What: x.what, A: text(x.value), Text: true}
	if !both {
		return d, true
	}
	d.B = text(y.value)
	if d.A == d.B {
		return d, false
	}
	m, okM := number(x.value)
	n, okN := number(y.value)
	if okM && okN {
		d.Text, d.By = false, n-m
		if d.Part = most; m != 0 {
			d.Part = 100 * (n - m) / math.Abs(m)
		}
	}
	return d, true
}

// number reads numbers, those in strings too: large ones are written so.
func number(v any) (float64, bool) {
	switch v := v.(type) {
	case json.Number:
		f, err := v.Float64()
		return f, err == nil
	case string:
		f, err := strconv.ParseFloat(v, 64)
		return f, err == nil && strings.Trim(v, "0123456789.-") == ""
	}
	return 0, false
}

// order puts what is no number first, then the largest change in percent.
func order(l []Difference) {
	slices.SortStableFunc(l, func(a, b Difference) int {
		switch {
		case a.Text != b.Text && a.Text:
			return -1
		case a.Text != b.Text:
			return 1
		case math.Abs(a.Part) != math.Abs(b.Part):
			if math.Abs(a.Part) > math.Abs(b.Part) {
				return -1
			}
			return 1
		}
		return 0
	})
}

// Table returns the differences as a table.
func Table(l []Difference) *table.Table[Difference] {
	return table.New(l,
		table.Text("where", func(d *Difference) string { return d.Where }),
		table.Text("what", func(d *Difference) string { return d.What }),
		table.Text("a", func(d *Difference) string { return short(d.A) }),
		table.Text("b", func(d *Difference) string { return short(d.B) }),
		table.Number("by", func(d *Difference) float64 { return d.By }),
		table.Number("percent", func(d *Difference) float64 { return math.Round(100*d.Part) / 100 }))
}

// short is a value that fits a line.
func short(s string) string {
	if s == "" {
		return "-"
	}
	if r := []rune(s); len(r) > 24 {
		return string(r[:22]) + ".."
	}
	return s
}
