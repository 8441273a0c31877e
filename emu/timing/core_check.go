// SPDX-License-Identifier: GPL-2.0-only

package timing

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// formColumns are the columns of the table of forms, separated by |; - stands for nothing. The
// latencies and the throughput are in cycles.
var formColumns = []string{"id", "class", "slots", "ports", "tp", "lat", "latmin", "addr", "fuses", "source"}

// formClasses are the classes of forms that the model tells apart or lists.
var formClasses = []string{
	"mov", "load", "store", "alu", "load_alu", "rmw", "shift", "mul", "div", "lea", "push", "pop", "leave",
	"call", "ret", "jmp", "jcc", "nop", "atomic", "serial",
}

// table reads the table of forms, a block of text with one row in each line.
func (r *coreReader) table(n ast.Node) {
	if _, ok := n.(*ast.LiteralNode); !ok || r.block == "" {
		r.failf(placeOf(n), "forms: expected a line \"forms: |\" and a block of indented rows after it, found %.40q", n.GetToken().Value)
		return
	}
	line := r.tableAt - 1
	for text := range strings.Lines(r.block) {
		line++
		text = strings.TrimRight(text, "\n")
		if t := strings.TrimSpace(text); t == "" || t[0] == '#' {
			continue
		}
		f, err := parseForm(text)
		if err != nil {
			r.failf(place{line, 3}, "forms: %w", err)
			continue
		}
		r.core.forms = append(r.core.forms, f)
		r.forms = append(r.forms, place{line, 3})
	}
}

// parseForm reads one row.
func parseForm(text string) (f form, err error) {
	var cols [10]string
	n := 0
	for n < len(cols)-1 {
		c, rest, more := strings.Cut(text, "|")
		if !more {
			break
		}
		cols[n], text = strings.TrimSpace(c), rest
		n++
	}
	cols[n] = strings.TrimSpace(text)
	if n != len(cols)-1 {
		return f, fmt.Errorf("row %.40s: expected %d columns (%s), found %d", cols[0], len(cols), strings.Join(formColumns, " | "), n+1)
	}
	for i := range cols {
		if cols[i] == "-" {
			cols[i] = ""
		}
	}
	f = form{id: cols[0], class: cols[1], ports: cols[3], fuses: cols[8], source: cols[9]}
	slots, err := strconv.ParseUint(cols[2], 10, 8)
	if err != nil {
		return f, fmt.Errorf("row %s: slots: expected a whole number from 0 to 255, found %q", f.id, cols[2])
	}
	f.slots = uint8(slots)
	for _, c := range []struct {
		name, text string
		to         *float64
	}{{"tp", cols[4], &f.tp}, {"lat", cols[5], &f.lat}, {"latmin", cols[6], &f.latMin}, {"addr", cols[7], &f.addr}} {
		if c.text == "" {
			continue
		}
		if *c.to, err = strconv.ParseFloat(c.text, 64); err != nil || !(*c.to >= 0 && *c.to <= maxValue) {
			return f, fmt.Errorf("row %s: %s: expected a number of cycles, found %q", f.id, c.name, c.text)
		}
	}
	if f.id == "" || f.source == "" || !slices.Contains(formClasses, f.class) {
		return f, fmt.Errorf("row %s: expected an id, a source and one of the classes %s; found class %q", f.id, strings.Join(formClasses, ", "), f.class)
	}
	return f, nil
}

// check looks for what only the whole file shows.
func (r *coreReader) check() {
	c := r.core
	var scheduled portSet
	for _, s := range c.Back.Schedulers {
		p, err := portsOf(s.Ports)
		if err != nil {
			r.failf(r.at["back.schedulers"], "back.schedulers: %w", err)
		}
		scheduled |= p
	}
	for _, p := range []struct{ path, text string }{
		{"back.taken", c.Back.Taken}, {"back.not_taken", c.Back.NotTaken}, {"memory.load_ports", c.Memory.LoadPorts},
		{"memory.store_address_ports", c.Memory.StoreAddressPorts}, {"memory.store_data_ports", c.Memory.StoreDataPorts},
	} {
		r.ports(r.at[p.path], p.path, p.text, scheduled)
	}
	rows := map[string]bool{}
	for n, f := range c.forms {
		if rows[f.id] {
			r.failf(r.forms[n], "forms: row %s stands here twice", f.id)
		}
		rows[f.id] = true
		for _, w := range strings.Fields(f.ports) {
			set, count, some := strings.Cut(w, "*")
			if k, err := strconv.Atoi(count); some && (err != nil || k < 1 || k > 64) {
				r.failf(r.forms[n], "forms: row %s: ports %q: expected a number from 1 to 64 after *", f.id, w)
			}
			r.ports(r.forms[n], "forms: row "+f.id, set, scheduled)
		}
	}
	if !rows["add_r64_r64"] {
		r.failf(place{1, 1}, "forms: no row add_r64_r64, whose ports eliminated adds and moves take where they are executed")
	}
	for n, s := range c.Special {
		if !rows[s.ID] {
			r.failf(r.special[n], "special: no row %s", s.ID)
		}
		for _, w := range strings.Fields(s.Ports) {
			set, _, _ := strings.Cut(w, "*")
			r.ports(r.special[n], "special: "+s.ID, set, scheduled)
		}
	}
	r.limits()
}

// limits checks what the model's own structures bound.
func (r *coreReader) limits() {
	c := r.core
	if h := c.Branch.History; !slices.IsSorted(h) || len(h) != 0 && h[len(h)-1] > histRing || len(h) > 16 {
		r.failf(r.at["branch.history"], "branch.history: expected at most 16 ascending lengths up to %d", histRing)
	}
	if c.Memory.StoreBuffer >= trackRing {
		r.failf(r.at["memory.store_buffer"], "memory.store_buffer: expected less than %d", trackRing)
	}
	if n := c.Memory.RenameLearned; n&(n-1) != 0 {
		r.failf(r.at["memory.rename_learned"], "memory.rename_learned: expected a power of two or 0, found %d", n)
	}
	if n := c.Front.CacheLineBytes; n&(n-1) != 0 {
		r.failf(r.at["front.cache_line_bytes"], "front.cache_line_bytes: expected a power of two, found %d", n)
	}
	if c.Rename.AddImmMin > c.Rename.AddImmMax {
		r.failf(r.at["rename.add_imm_min"], "rename.add_imm_min: %d is above add_imm_max, %d", c.Rename.AddImmMin, c.Rename.AddImmMax)
	}
}

// ports checks a set of ports that something is said to use.
func (r *coreReader) ports(at place, what, text string, scheduled portSet) {
	p, err := portsOf(text)
	switch {
	case err != nil:
		r.failf(at, "%s: %w", what, err)
	case p == 0:
		r.failf(at, "%s: no ports", what)
	case p&^scheduled != 0:
		r.failf(at, "%s: ports %s are in no scheduler of back.schedulers", what, text)
	}
}
