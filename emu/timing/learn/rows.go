// SPDX-License-Identifier: GPL-2.0-only

package learn

import (
	"fmt"
	"math"
	"strings"

	"github.com/tcsim/tcsim/emu/timing"
)

// rows fills the table of forms: what was measured, and the rest as in the core that this one is made from,
// on the ports of this one.
func (d *deduction) rows() {
	fuses := d.fusions()
	rows := d.core.Rows()
	for n := range rows {
		r := &rows[n]
		r.Ports = d.portsOf(r)
		r.Source = "S"
		d.measuredRow(r)
		if f, ok := fuses[family(r.ID)]; ok && !strings.Contains(r.ID, "_m") {
			r.Fuses = f
		}
	}
	d.core.SetRows(rows)
	d.divider()
}

// measuredRow puts the figures of a form's experiments into its row.
func (d *deduction) measuredRow(r *timing.Row) {
	var from []string
	if t := d.fig[r.ID+" throughput"]; t > 0 {
		r.TP = cents(t)
		from = append(from, "tp M")
	}
	if l := d.fig[r.ID+" latency"]; l > 0 && r.Class != "load" && r.Class != "lea" {
		r.Lat, r.LatMin = cents(l), cents(l)
		from = append(from, "lat M")
		if l < 0.6 && r.Class != "nop" {
			r.Lat, r.LatMin = 0, 0
		}
	}
	if s := d.fig[r.ID+" slots"]; s > 0 && r.TP < 3 {
		if k := whole(s*d.width) - slotNops; k >= 1 && k <= 8 {
			r.Slots = k
			from = append(from, "slots M")
		}
	}
	if len(from) != 0 {
		r.Source = strings.Join(from, ", ") + ", rest S"
	}
	// A throughput below that of the ports says that there are fewer of them.
	if n := whole(1 / max(r.TP, 0.01)); r.Slots == 1 && r.Ports == d.p.alu && len(d.p.alu) > n+1 && r.TP > 0 && d.fig[r.ID+" throughput"] > 0 {
		r.Ports = d.p.alu[:max(1, n)]
	}
}

// portsOf gives the micro-operations of a row the ports of the new core that do the same.
func (d *deduction) portsOf(r *timing.Row) string {
	p := d.p
	load, store, arith := 0, 0, 0
	for _, w := range strings.Fields(r.Ports) {
		_, count, _ := strings.Cut(w, "*")
		k := 1
		if count != "" {
			_, _ = fmt.Sscan(count, &k)
		}
		arith += k
	}
	reads := r.Class == "load" || r.Class == "load_alu" || r.Class == "rmw" || r.Class == "pop" || r.Class == "leave" ||
		r.Class == "ret" || r.Class == "atomic" || strings.Contains(r.ID, "_m") && (r.Class == "jmp" || r.Class == "call" || r.Class == "push")
	writes := r.Class == "store" || r.Class == "rmw" || r.Class == "push" || r.Class == "call" || r.Class == "atomic"
	if reads {
		load = 1
	}
	if writes {
		store = 1
	}
	arith = max(0, arith-load-2*store)
	var out []string
	if arith == 0 && (r.Class == "jmp" || r.Class == "jcc") {
		arith = 1
	}
	switch {
	case arith == 0:
	case r.Class == "shift":
		out = append(out, times(p.shift, arith))
	case r.Class == "mul":
		out = append(out, p.mul)
		if arith > 1 {
			out = append(out, times(p.alu, arith-1))
		}
	case r.Class == "div":
		out = append(out, times(p.alu[:1], arith))
	case r.Class == "jmp" || r.Class == "jcc" || r.Class == "call" || r.Class == "ret":
		out = append(out, times(d.core.Back.Taken, arith))
	default:
		out = append(out, times(p.alu, arith))
	}
	switch {
	case load == 1 && store == 1 && p.address == p.load:
		out = append(out, p.load+"*2", p.data)
	case load == 1 && store == 1:
		out = append(out, p.load, p.address, p.data)
	case load == 1:
		out = append(out, p.load)
	case store == 1:
		out = append(out, p.address, p.data)
	}
	return strings.Join(out, " ")
}

func times(ports string, n int) string {
	if n == 1 {
		return ports
	}
	return fmt.Sprintf("%s*%d", ports, min(n, 64))
}

func cents(v float64) float64 { return math.Round(v*100) / 100 }

// family is the mnemonic of a row.
func family(row string) string {
	op, _, _ := strings.Cut(row, "_")
	return op
}

// fusions returns the conditions with which mnemonics fuse: those of the table, if their experiment took
// one slot for both.
func (d *deduction) fusions() map[string]string {
	out := map[string]string{}
	var does, not []string
	for _, f := range fusing {
		exp := fusion(f.row)
		if !d.has(exp) || strings.Contains(f.row, "_m") {
			continue
		}
		op := family(f.row)
		if _, seen := out[op]; seen {
			continue
		}
		out[op] = ""
		if slots := d.fig[exp]*d.width - slotNops; slots < 1.5 {
			out[op] = d.conditions(f.row)
			does = append(does, op)
		} else {
			not = append(not, op)
		}
	}
	if len(does) != 0 {
		d.tell("fuses conditional jumps with %s%s", strings.Join(does, ", "), but(not))
	}
	return out
}

func but(not []string) string {
	if len(not) == 0 {
		return ""
	}
	return ", not with " + strings.Join(not, ", ")
}

// conditions are those of the row in the core that this one is made from.
func (d *deduction) conditions(row string) string {
	for _, r := range d.core.Rows() {
		if r.ID == row && r.Fuses != "" {
			return r.Fuses
		}
	}
	return "all conditions"
}

// divider puts the figures of divisions into the rows of div and idiv.
func (d *deduction) divider() {
	rows := d.core.Rows()
	for _, div := range []struct {
		row  string
		bits float64 // that the quotients differ by
	}{{"div_r64", 53}, {"div_r32", 22}} {
		short, long, tp := div.row+" short quotient", div.row+" long quotient", div.row+" throughput"
		if !d.has(short, long, tp) {
			continue
		}
		for n := range rows {
			r := &rows[n]
			if r.ID != div.row && r.ID != "i"+div.row {
				continue
			}
			r.Lat = cents(d.fig[short] - 1) // the or after it
			r.LatMin, r.TP, r.Source = r.Lat, cents(d.fig[tp]), "lat M, tp M, rest S"
		}
		if div.row == "div_r64" {
			d.core.Back.DivBits = 0
			if more := d.fig[long] - d.fig[short]; more >= 1 {
				d.core.Back.DivBits = max(1, whole(div.bits/more))
				d.tell("divides longer the larger the quotient is, by a cycle for %d bits", d.core.Back.DivBits)
			}
			d.says(long, "back.div_bits")
		}
	}
	d.core.SetRows(rows)
}
