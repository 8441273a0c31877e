// SPDX-License-Identifier: GPL-2.0-only

package timing

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Row is the cost of one form as a core file has it; a figure of 0 is not known.
type Row struct {
	ID, Class           string
	Slots               int
	Ports               string // sets with a count: "0156 23*2"
	TP                  float64
	Lat, LatMin, AddrTo float64 // from a register, the smallest of those, from an address register
	Fuses               string  // conditions of a jcc with which the form fuses, or "all conditions"
	Source              string
}

// Rows returns the table of forms in the order of the file.
func (c *Core) Rows() []Row {
	out := make([]Row, 0, len(c.forms))
	for _, f := range c.forms {
		out = append(out, Row{f.id, f.class, int(f.slots), f.ports, f.tp, f.lat, f.latMin, f.addr, f.fuses, f.source})
	}
	return out
}

// SetRows replaces the table of forms.
func (c *Core) SetRows(rows []Row) {
	c.forms = make([]form, 0, len(rows))
	for _, r := range rows {
		c.forms = append(c.forms, form{
			id: r.ID, class: r.Class, slots: uint8(min(r.Slots, 255)), ports: r.Ports, tp: r.TP,
			lat: r.Lat, latMin: r.LatMin, addr: r.AddrTo, fuses: r.Fuses, source: r.Source,
		})
	}
	c.index()
}

// index is called when the table of forms is complete: what models have in common need not be made for each.
func (c *Core) index() {
	c.byID = make(map[string]*form, len(c.forms))
	for i := range c.forms {
		c.byID[c.forms[i].id] = &c.forms[i]
	}
}

// SetSource says where the value of a parameter is from.
func (c *Core) SetSource(path, source string) {
	c.sources = maps.Clone(c.sources)
	if c.sources == nil {
		c.sources = map[string]string{}
	}
	c.sources[path] = source
}

// Check reports every mistake of a core that was put together in a program, as ReadCore would.
func (c *Core) Check() error {
	_, err := ReadCore("core "+c.Name, c.File(nil))
	return err
}

// unsaid is the source of a value of which nothing is known.
const unsaid = "S"

// File returns a core as a core file. letters explains the sources; those that the values use and that
// it lacks are listed without an explanation.
func (c *Core) File(letters map[string]string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "# SPDX-License-Identifier: GPL-2.0-only\nname: %s\ntitle: %s\nsources:\n", quoted(c.Name), quoted(c.Title))
	all := map[string]string{unsaid: "assumed"}
	for _, s := range c.sources {
		all[letterOf(s)] = "as in the core that this one was made from"
	}
	for _, s := range c.Special {
		all[letterOf(s.Source)] = "as in the core that this one was made from"
	}
	maps.Copy(all, letters)
	for _, k := range slices.Sorted(maps.Keys(all)) {
		fmt.Fprintf(&b, "  %s: %s\n", quoted(k), quoted(all[k]))
	}
	top := reflect.ValueOf(c).Elem()
	for n := range top.NumField() {
		group := top.Type().Field(n).Tag.Get("core")
		if group == "" || top.Field(n).Kind() != reflect.Struct {
			continue
		}
		fmt.Fprintf(&b, "%s:\n", group)
		c.writeGroup(&b, group, top.Field(n))
	}
	b.WriteString("special:")
	if len(c.Special) == 0 {
		b.WriteString(" []")
	}
	b.WriteString("\n")
	for _, s := range c.Special {
		fmt.Fprintf(&b, "  - %s\n", flow(reflect.ValueOf(s)))
	}
	b.WriteString("forms: |\n")
	b.WriteString(c.table())
	return []byte(b.String())
}

// writeGroup writes the parameters of a group; mechanisms that are off are left out.
func (c *Core) writeGroup(b *strings.Builder, group string, v reflect.Value) {
	for n := range v.NumField() {
		f := fieldOf(v.Type().Field(n))
		if f.optional && v.Field(n).IsZero() {
			continue
		}
		source := c.sources[group+"."+f.name]
		if source == "" {
			source = unsaid
		}
		fmt.Fprintf(b, "  %s: {value: %s, source: %s}\n", f.name, flow(v.Field(n)), quoted(source))
	}
}

// flow writes a value on one line.
func flow(v reflect.Value) string {
	switch v.Kind() {
	case reflect.String:
		return quoted(v.String())
	case reflect.Slice:
		var out []string
		for n := range v.Len() {
			out = append(out, flow(v.Index(n)))
		}
		return "[" + strings.Join(out, ", ") + "]"
	case reflect.Struct:
		var out []string
		for n := range v.NumField() {
			f := fieldOf(v.Type().Field(n))
			if !f.optional || !v.Field(n).IsZero() {
				out = append(out, f.name+": "+flow(v.Field(n)))
			}
		}
		return "{" + strings.Join(out, ", ") + "}"
	}
	return fmt.Sprint(v)
}

// quoted writes text so that YAML reads it as text.
func quoted(s string) string { return strconv.Quote(s) }

// letterOf is the key of sources that a source begins with.
func letterOf(source string) string {
	if i := strings.IndexAny(source, ":;, "); i >= 0 {
		return source[:i]
	}
	return source
}

// table writes the forms in aligned columns.
func (c *Core) table() string {
	rows := [][]string{slices.Clone(formColumns)}
	rows[0][0] = "# " + rows[0][0]
	cell := func(s string) string {
		if s == "" {
			return "-"
		}
		return s
	}
	number := func(v float64) string {
		if v == 0 {
			return "-"
		}
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	for _, f := range c.forms {
		rows = append(rows, []string{
			f.id, f.class, strconv.Itoa(int(f.slots)), cell(f.ports), number(f.tp), number(f.lat), number(f.latMin),
			number(f.addr), cell(f.fuses), f.source,
		})
	}
	width := make([]int, len(formColumns))
	for _, r := range rows {
		for n, s := range r {
			width[n] = max(width[n], len(s))
		}
	}
	var b strings.Builder
	for _, r := range rows {
		line := " "
		for n, s := range r {
			if n > 0 {
				line += " |"
			}
			line += fmt.Sprintf(" %-*s", width[n], s)
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}
