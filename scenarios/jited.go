// SPDX-License-Identifier: GPL-2.0-only

package scenarios

import (
	"fmt"
	"slices"

	"github.com/goccy/go-yaml/ast"

	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/scenarios/jited"
)

// Jited is the machine code that somebody expects: see package jited. The zero value is no text.
type Jited struct {
	Text string
	Pos  Pos // of the first character of Text
}

func (x *Jited) decodeNode(d *decoder, n ast.Node) {
	x.Text, x.Pos = d.block(n, "machine code")
	_, errs := jited.Parse(x.Text, x.Pos)
	for _, e := range errs {
		d.failf(e.Pos, "%s", e.Msg)
	}
}

// jited checks the names of the targets.
func (b *builder) jited(x Named[Jited]) {
	for _, e := range x {
		if slices.Contains(selectors(e.Name), "") {
			b.failf(e.Pos, "expected names of targets separated by commas, found %q", e.Name)
		}
	}
}

// CheckJited compares machine code with what the scenario expects on a target with these names (see
// TargetNames). text lists a function of a program as it is after loading; both are indexes into
// Built.Programs and Funcs. The error is that of text.
func (b *Built) CheckJited(text func(prog, fn int) ([]image.ATTLine, error), names ...string) ([]Mismatch, error) {
	var out []Mismatch
	check := func(x *Jited, prog int, fns ...int) error {
		if x == nil {
			return nil
		}
		var found []jited.Found
		for _, fn := range fns {
			name := b.Programs[prog].Funcs[fn].Name
			lines, err := text(prog, fn)
			if err != nil {
				return err
			}
			// The kernel's listings keep functions apart so.
			found = append(found, jited.Found{Where: name, Text: fmt.Sprintf("func #%d:", fn)})
			for _, l := range lines {
				found = append(found, jited.Found{Where: fmt.Sprintf("%s+%#x", name, int(l.Off)), Text: l.String()})
			}
		}
		lines, _ := jited.Parse(x.Text, x.Pos)
		if m := jited.Compare(lines, found); m != nil {
			out = append(out, Mismatch{File: b.Scenario.File, Pos: m.Pos, Msg: m.Msg})
		}
		return nil
	}
	for i := range b.Scenario.Programs {
		p := &b.Scenario.Programs[i].Value
		var all []int
		for fn, f := range b.Programs[i].Funcs {
			all = append(all, fn)
			if e := p.Functions.Find(f.Name); e != nil {
				if err := check(jitedFor(e.Value.Jited, names), i, fn); err != nil {
					return nil, err
				}
			}
		}
		if err := check(jitedFor(p.Jited, names), i, all...); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// jitedFor returns the last entry for a target, nil if there is none.
func jitedFor(x Named[Jited], names []string) *Jited {
	for i := len(x) - 1; i >= 0; i-- {
		if slices.ContainsFunc(selectors(x[i].Name), func(s string) bool { return slices.Contains(names, s) }) {
			return &x[i].Value
		}
	}
	return nil
}
