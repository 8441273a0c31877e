// SPDX-License-Identifier: GPL-2.0-only

package replay

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/imports"
	"github.com/tcsim/tcsim/scenarios/edits"
)

// TestImportedEdits makes random edits of prologues and tail calls of imported code, also in programs that do not run. A dump
// does not say what the rest of the code is. What changes something for the judge must be found, or be named as what the
// dump does not say.
func TestImportedEdits(t *testing.T) {
	n := *editCount
	if n == 0 {
		if n = 600; testing.Short() {
			n = 60
		}
	}
	e := newEditing(t, 3, edits.Kinds())
	e.eachFile(n, e.importFile)
	for _, k := range edits.Kinds() {
		t.Logf("%-20s %+v", k, *e.kinds[k])
	}
}

func (e *editing) importFile(file string, all []string, n int) {
	e.edits(all, n, func(line string) *Bare { return e.importable(file, all, line) }, func(good *bench, line string, ed *edit) bool {
		c := good.c
		if f := &c.Scenario.Progs[ed.prog].Funcs[ed.fn]; f.Recorded(capture.Populated) && ed.state != capture.Populated {
			return false
		}
		img, err := c.decoded.program(ed.prog, ed.state)
		if err != nil || !owned(&img.Funcs[ed.fn], ed) {
			return false
		}
		text, ok := ed.apply(e.t, line, c.Scenario)
		if !ok {
			return false
		}
		k := e.kinds[ed.Kind]
		bc := e.bare(all, text)
		if bc == nil {
			k.found++
			return true
		}
		im, err := e.imported(bc)
		if e.importVerdict(im, err) != survives || said(im) {
			k.found++
			return true
		}
		bad := &bench{t: e.t, rig: e.rig, c: bc, edits: ed}
		if why := e.changes(good, bad, ed); why != "" && !another(img, ed) {
			k.changed++
			k.missed++
			e.t.Errorf("MISSED %s %s: %s: %s", file, c.Scenario.Name, ed, why)
		} else {
			k.kept++
		}
		return true
	})
}

// importable is a scenario with tail calls that is called ok as a dump, nil if it is not.
func (e *editing) importable(file string, all []string, line string) *Bare {
	c := e.bare(all, line)
	if c == nil || c.skip() != "" || c.Scenario.ProgType == 26 || len(c.Scenario.Trampolines) > 0 || sites(c) == 0 {
		return nil
	}
	im, err := e.imported(c)
	if e.importVerdict(im, err) == survives {
		return c
	}
	if err == nil && len(im.Flaws) > 0 {
		e.t.Errorf("%s %s, not edited: %v", file, c.Scenario.Name, im.Flaws)
	}
	return nil
}

// bare reads a scenario without a source; nil if the line is something else, or the code does not decode.
func (e *editing) bare(all []string, line string) *Bare {
	src, err := alone(e.t, all, line)
	if err != nil {
		return nil
	}
	got, err := Capture(src, e.target, 0)
	if err != nil {
		return nil
	}
	c, ok := got.(*Bare)
	if !ok || c.decoded.undecoded(capture.States()...) != "" {
		return nil
	}
	return c
}

func sites(c *Bare) (n int) {
	for p := range c.Scenario.Progs {
		n += len(c.Scenario.Progs[p].TailCalls)
	}
	return n
}

// owned reports whether an edit is of code that the design owns: a prologue or a tail call.
func owned(f *image.FuncImage, ed *edit) bool {
	if ed.Lo < int(f.Frame.Body) {
		return true
	}
	for i := range f.TailCalls {
		if s := &f.TailCalls[i]; ed.Lo < int(s.End) && ed.Hi > int(s.Start) {
			return true
		}
	}
	return false
}

// another reports whether an edit leaves code that is right in another state of slots or trampolines.
func another(img *image.Image, ed *edit) bool {
	f := &img.Funcs[ed.fn]
	branch := len(ed.Repl) == image.PokeSize && (ed.Repl[0] == 0xe8 || ed.Repl[0] == 0xe9)
	nop := bytes.Equal(ed.Repl, []byte{0x0f, 0x1f, 0x44, 0, 0})
	if ed.Lo == int(f.Entry) || ed.Lo == int(f.Entry)+4 {
		return branch
	}
	for i := range f.TailCalls {
		if s := &f.TailCalls[i]; ed.Lo == int(s.Bypass) && f.Code[s.Jump] == 0xe9 {
			return nop
		}
	}
	return false
}

// imported imports the filled state of a scenario, as a dump of it would have it.
func (e *editing) imported(c *Bare) (*Imported, error) {
	var progs []imports.Prog
	for p := range c.Scenario.Progs {
		prog := &c.Scenario.Progs[p]
		if prog.LoadError != "" {
			continue
		}
		x := imports.Prog{Name: fmt.Sprint("p", p)}
		for i := range prog.Funcs {
			f := &prog.Funcs[i]
			state := capture.Empty
			if f.Recorded(capture.Populated) {
				state = capture.Populated
			}
			x.Funcs = append(x.Funcs, imports.Func{Name: f.Name, Addr: f.Addr, Place: imports.Known, Code: bytes.Clone(f.Code(state))})
		}
		progs = append(progs, x)
	}
	s := imports.NewSymbols()
	for name, a := range c.symbols.Addr {
		s.Add(a, name)
	}
	return Import(progs, ImportOptions{Target: e.target, Symbols: s, Entry: fmt.Sprint("p", c.testRun().Prog)})
}

// importVerdict says what becomes of imported code.
func (e *editing) importVerdict(im *Imported, err error) string {
	if err != nil {
		return "cannot run"
	}
	if len(im.Flaws) > 0 {
		return "flaw in code"
	}
	r, err := e.rp.RunImported(e.t.Context(), im)
	switch {
	case err != nil:
		return "cannot run"
	case r.Violation != nil || r.Killed != "":
		return "breaks an invariant"
	}
	return survives
}

// said reports whether a note names what is wrong as something that the dump does not say: which program there is, how the
// kernel is configured, or of which design the code is.
func said(im *Imported) bool {
	for _, n := range im.Notes {
		for _, what := range []string{"is not one of the programs here", "configuration is another", "prologues, exits", "its design is not known", "of another design"} {
			if strings.Contains(n, what) {
				return true
			}
		}
	}
	return false
}
