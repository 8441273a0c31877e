// SPDX-License-Identifier: GPL-2.0-only

package render

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/scenarios/replay"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// CodeState is which state of the prog arrays code is of.
type CodeState string

// The states: as after loading, and as the scenario begins.
const (
	Empty  CodeState = "empty"
	Filled CodeState = "filled"
)

// StateOf reads --state; att is the form that shows filled prog arrays where nothing is said.
func StateOf(s string, att bool) (CodeState, error) {
	switch {
	case s == "" && att:
		return Filled, nil
	case s == "" || s == string(Empty):
		return Empty, nil
	case s == string(Filled):
		return Filled, nil
	}
	return "", fmt.Errorf("expected %s or %s, found %q", Empty, Filled, s)
}

// heading says which state is shown.
func (s CodeState) heading() string {
	if s == Filled {
		return "# prog arrays filled, as the scenario begins"
	}
	return "# prog arrays empty, as after loading"
}

// Code is the object of tcsim jit.
type Code struct {
	Functions []ListingFunc `json:"functions"`
	Schema    Schema        `json:"schema"`
	State     CodeState     `json:"state"`
	Target    string        `json:"target"`
}

// CodeOf makes it.
func CodeOf(c *runner.Compiled, state CodeState) Code {
	return Code{Functions: Listing(c.Images), Schema: SchemaJIT, State: state, Target: c.Target.Name}
}

// CodeText lists code.
func CodeText(w io.Writer, c *runner.Compiled, state CodeState, look Look) error {
	fmt.Fprintln(w, state.heading())
	return listings(w, c.Images, look)
}

func listings(w io.Writer, images []*image.Image, look Look) error {
	for _, img := range images {
		for i := range img.Funcs {
			if err := image.WriteListingIn(w, &img.Funcs[i], img.Program, look.Columns()); err != nil {
				return err
			}
			if _, err := fmt.Fprintln(w); err != nil {
				return err
			}
		}
	}
	return nil
}

// CodeATT prints functions as the kernel's selftests see them.
func CodeATT(w io.Writer, c *runner.Compiled, state CodeState) error {
	fmt.Fprintln(w, state.heading())
	for _, img := range c.Images {
		fmt.Fprintf(w, "# %s\n", img.Funcs[0].Name)
		for k := range img.Funcs {
			lines, err := image.ATTListing(&img.Funcs[k], nil)
			if err != nil {
				return err
			}
			fmt.Fprintf(w, "func #%d:\n", k)
			for _, l := range lines {
				fmt.Fprintln(w, l)
			}
		}
	}
	return nil
}

// CodeDiff is the object of tcsim jit --diff.
type CodeDiff struct {
	Bytes        [2]int          `json:"bytes"` // of all functions
	Differences  []DiffFunc      `json:"differences"`
	Instructions [2]int          `json:"instructions"`
	Schema       Schema          `json:"schema"`
	State        CodeState       `json:"state"`
	Targets      []string        `json:"targets"`
	Why          []runner.Reason `json:"why"`
}

// DiffGroup is the code of one BPF instruction that differs.
type DiffGroup struct {
	Bytes [2]int    `json:"bytes"`
	Rows  []DiffRow `json:"rows"`
	Where string    `json:"where"`
}

// DiffRow is one row of it: an instruction on each side, "" where one has none.
type DiffRow struct {
	A      string `json:"a,omitempty"`
	ABytes string `json:"a_bytes,omitempty"`
	AOff   int    `json:"a_off"`
	B      string `json:"b,omitempty"`
	BBytes string `json:"b_bytes,omitempty"`
	BOff   int    `json:"b_off"`
	Mark   string `json:"mark"` // as in the text
}

// CodeDiffOf makes it.
func CodeDiffOf(cs []*runner.Compiled, state CodeState, why []runner.Reason) CodeDiff {
	out := CodeDiff{
		Differences: Differences(cs), Schema: SchemaJIT, State: state, Targets: []string{cs[0].Target.Name, cs[1].Target.Name}, Why: why,
	}
	for _, d := range out.Differences {
		for i := range 2 {
			out.Bytes[i] += d.Bytes[i]
			out.Instructions[i] += d.Insns[i]
		}
	}
	return out
}

// diffGroup is a group in JSON.
func diffGroup(g *image.DiffGroup) DiffGroup {
	out := DiffGroup{Where: g.Where(), Bytes: [2]int{g.BytesA, g.BytesB}}
	for _, r := range g.Rows {
		row := DiffRow{Mark: string(rune(r.Mark))}
		if r.A != nil {
			row.A, row.ABytes, row.AOff = r.A.Text, hex.EncodeToString(r.A.Bytes), int(r.A.Off)
		}
		if r.B != nil {
			row.B, row.BBytes, row.BOff = r.B.Text, hex.EncodeToString(r.B.Bytes), int(r.B.Off)
		}
		out.Rows = append(out.Rows, row)
	}
	return out
}

// CodeDiffText prints a comparison; context is how many BPF instructions around differences are shown, all if it is
// negative.
func CodeDiffText(w io.Writer, cs []*runner.Compiled, state CodeState, context int, why []runner.Reason, look Look) error {
	fmt.Fprintln(w, state.heading())
	for _, d := range Diffs(cs) {
		if err := look.Diff(w, &d, context); err != nil {
			return err
		}
		fmt.Fprintln(w)
	}
	all := CodeDiffOf(cs, state, why)
	sum := fmt.Sprintf("all functions: %s %d bytes, %d instructions; %s %d bytes, %d instructions (%+d, %+d)", all.Targets[0], all.Bytes[0],
		all.Instructions[0], all.Targets[1], all.Bytes[1], all.Instructions[1], all.Bytes[1]-all.Bytes[0], all.Instructions[1]-all.Instructions[0])
	fmt.Fprintln(w, strings.Join(Fold(sum, look.Columns()), "\n"))
	if len(why) == 0 {
		return nil
	}
	fmt.Fprintln(w, "\nWhy:")
	for _, r := range why {
		fmt.Fprintln(w, strings.Join(Fold(fmt.Sprintf("- %s, only %s: %s", r.Name, r.Only, r.Text), look.Columns()-4), "\n    "))
	}
	return nil
}

// CapturedCodes is the object of tcsim jit of a capture.
type CapturedCodes struct {
	Scenarios []CapturedCode `json:"scenarios"`
	Schema    Schema         `json:"schema"`
	State     CodeState      `json:"state"`
}

// CapturedCode is a scenario of a capture.
type CapturedCode struct {
	Functions []ListingFunc  `json:"functions"`
	Scenario  string         `json:"scenario"`
	Sites     []CapturedSite `json:"sites"`

	images []*image.Image
}

// CapturedSite is a tail call or a call of captured code.
type CapturedSite struct {
	Function string `json:"function"`
	Off      int    `json:"off"`
	Text     string `json:"text"`
}

// CapturedOf lists scenario i of a capture, only one program if that is not "".
func CapturedOf(src *capture.Source, t *jit.Target, i int, state CodeState, program string) (CapturedCode, error) {
	at := capture.Empty
	if state == Filled {
		at = capture.Populated
	}
	name, images, err := replay.Listed(src, t, i, at)
	out := CapturedCode{Scenario: name}
	if err != nil {
		return out, err
	}
	for _, img := range images {
		if program == "" || img.Funcs[0].Name == program {
			out.images = append(out.images, img)
		}
	}
	if len(out.images) == 0 {
		return out, errors.New(name + ": no program " + program)
	}
	out.Functions = Listing(out.images)
	for _, img := range out.images {
		for k := range img.Funcs {
			out.Sites = append(out.Sites, sitesOf(img, k, src.Symbols.Table())...)
		}
	}
	return out, nil
}

// sitesOf lists the tail calls and calls of a function.
func sitesOf(img *image.Image, fn int, names *capture.SymbolTable) (out []CapturedSite) {
	f := &img.Funcs[fn]
	for i := range f.TailCalls {
		s := &f.TailCalls[i]
		out = append(out, CapturedSite{f.Name, int(s.Start), siteText(s)})
	}
	for _, c := range f.Calls {
		to := names.Name(c.Target)
		switch {
		case c.Func >= 0:
			to = img.Funcs[c.Func].Name
		case to == "":
			to = fmt.Sprintf("%#x", uint64(c.Target))
		}
		out = append(out, CapturedSite{f.Name, int(c.Off), "call of " + to})
	}
	return out
}

// CapturedText lists scenarios of a capture.
func CapturedText(w io.Writer, all []CapturedCode, state CodeState, look Look) error {
	fmt.Fprintln(w, state.heading())
	for i := range all {
		c := &all[i]
		fmt.Fprintf(w, "\n== %s\n\n", c.Scenario)
		for _, s := range c.Sites {
			fmt.Fprintln(w, strings.Join(Fold(fmt.Sprintf("%s+%#x: %s", s.Function, s.Off, s.Text), Width-4), "\n    "))
		}
		fmt.Fprintln(w)
		if err := listings(w, c.images, look); err != nil {
			return err
		}
	}
	return nil
}
