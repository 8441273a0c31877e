// SPDX-License-Identifier: GPL-2.0-only

//go:build ignore

// Genforms writes the table of forms of a core file from files of the form of
// fixtures/uarch/instructions.json: the rows that have data in a column (a member of arch), in the
// order of the files.
// Usage, in emu/timing: go run genforms/main.go -column ADL-P cores/glc.yaml ../../fixtures/uarch/instructions.json ...
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"maps"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
)

type file struct {
	Forms []struct {
		ID    string              `json:"id"`
		Class string              `json:"class"`
		Fuse  string              `json:"macro_fuses_with"`
		Arch  map[string]archData `json:"arch"`
	} `json:"forms"`
}

type archData struct {
	Fused int            `json:"uops_fused"`
	Ports map[string]int `json:"ports"`
	TP    float64        `json:"tp_measured"`
	Lat   struct {
		Reg    *float64 `json:"reg_to_reg"`
		RegMin *float64 `json:"reg_to_reg_min"`
		Addr   *float64 `json:"addr_to_reg"`
	} `json:"lat"`
	Source  string            `json:"source"`
	Sources map[string]string `json:"sources"` // of the single values, where they differ
}

const head = "\nforms: |\n"

func main() {
	log.SetFlags(0)
	column := flag.String("column", "", "member of arch")
	flag.Parse()
	if flag.NArg() < 2 || *column == "" {
		log.Fatal("usage: genforms -column NAME core.yaml instructions.json [more.json...]")
	}
	if err := run(*column, flag.Arg(0), flag.Args()[1:]); err != nil {
		log.Fatal(err)
	}
}

func run(column, core string, tables []string) error {
	text, err := os.ReadFile(core)
	if err != nil {
		return err
	}
	at := bytes.Index(text, []byte(head))
	if at < 0 {
		return fmt.Errorf("%s: no line %q to write the table after", core, strings.TrimSpace(head))
	}
	rows := [][]string{{"# id", "class", "slots", "ports", "tp", "lat", "latmin", "addr", "fuses", "source"}}
	for _, name := range tables {
		raw, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		var f file
		if err := json.Unmarshal(raw, &f); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		rows = append(rows, rowsOf(&f, column)...)
	}
	if len(rows) == 1 {
		return fmt.Errorf("no rows have data for %s", column)
	}
	return os.WriteFile(core, append(text[:at+len(head)], layOut(rows)...), 0o644)
}

// rowsOf returns the table rows of a file for one core.
func rowsOf(f *file, column string) (rows [][]string) {
	for _, r := range f.Forms {
		a, ok := r.Arch[column]
		if !ok {
			continue
		}
		if a.Lat.RegMin == nil {
			a.Lat.RegMin = a.Lat.Reg // one figure for all pairs
		}
		rows = append(rows, []string{
			r.ID, r.Class, strconv.Itoa(a.Fused), or(ports(a.Ports)), number(&a.TP, 2),
			number(a.Lat.Reg, 1), number(a.Lat.RegMin, 1), number(a.Lat.Addr, 1), or(r.Fuse), a.source(),
		})
	}
	return rows
}

// source names the row that a value is from, or what each value is from.
func (a *archData) source() string {
	if a.Sources == nil {
		return a.Source
	}
	return fmt.Sprintf("slots %s, ports %s, tp %s, lat %s",
		or(a.Sources["uops_fused"]), or(a.Sources["ports"]), or(a.Sources["tp_measured"]), or(a.Sources["lat"]))
}

func or(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// number writes a figure rounded to so many digits after the point.
func number(v *float64, digits int) string {
	if v == nil {
		return "-"
	}
	p := math.Pow10(digits)
	if x := math.Round(*v*p) / p; x != 0 {
		return strconv.FormatFloat(x, 'f', -1, 64)
	}
	return "-"
}

// layOut aligns the columns.
func layOut(rows [][]string) []byte {
	width := make([]int, len(rows[0]))
	for _, r := range rows {
		for n, c := range r {
			width[n] = max(width[n], len(c))
		}
	}
	var b bytes.Buffer
	for _, r := range rows {
		line := " "
		for n, c := range r {
			if n > 0 {
				line += " |"
			}
			line += fmt.Sprintf(" %-*s", width[n], c)
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.Bytes()
}

// ports writes a port map as "0156 23*2", sorted.
func ports(m map[string]int) string {
	var s []string
	for _, p := range slices.Sorted(maps.Keys(m)) {
		if m[p] > 1 {
			p = fmt.Sprintf("%s*%d", p, m[p])
		}
		s = append(s, p)
	}
	return strings.Join(s, " ")
}
