// SPDX-License-Identifier: GPL-2.0-only

package render

import (
	"fmt"
	"io"
	"strings"

	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/imports"
	"github.com/tcsim/tcsim/jit/recognise"
	"github.com/tcsim/tcsim/scenarios/replay"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// Imported is a program of a file.
type Imported struct {
	imports.Prog
	File   string
	Format imports.Format
}

func counterText(c image.Counter) string {
	switch c.Form {
	case image.CounterValue:
		return fmt.Sprintf("counter at rbp%+d", c.Off)
	case image.CounterPtr:
		return fmt.Sprintf("pointer to the counter at rbp%+d", c.Off)
	case image.CounterGS:
		return fmt.Sprintf("per-CPU counter at gs:%#x", uint32(c.Off))
	}
	return "no counter"
}

// ImportText shows a program of a record.
func ImportText(w io.Writer, p *Imported, img *image.Image, design *recognise.Design, listing bool) error {
	fmt.Fprintf(w, "program %s (%s): %s: %s", p.Name, p.Format, Plural(len(img.Funcs), "function"), DesignText(design.Name()))
	if design.Limit != 0 {
		fmt.Fprintf(w, ", limit %d", design.Limit)
	}
	if f := &img.Funcs[0].Frame; f.Landing >= 0 && len(f.Slots) > 0 {
		fmt.Fprintf(w, ", tail calls enter at +%#x", int(f.Landing))
	}
	fmt.Fprintln(w)
	for i := range img.Funcs {
		f := &img.Funcs[i]
		at := "address unknown"
		if p.Funcs[i].Place == imports.Known {
			at = fmt.Sprintf("at %#x", uint64(f.Addr))
		}
		fmt.Fprintf(w, "\n%s: %d bytes %s, body at +%#x, %d bytes of stack, %s\n",
			f.Name, len(f.Code), at, int(f.Frame.Body), f.Frame.Depth, counterText(f.Frame.Counter))
		for _, c := range f.Calls {
			to := fmt.Sprintf("%#x", uint64(c.Target))
			if c.Func >= 0 {
				to = img.Funcs[c.Func].Name
			} else if p.Funcs[i].Place != imports.Known {
				to = "an unknown place"
			}
			fmt.Fprintf(w, "  +%#x: call of %s\n", int(c.Off), to)
		}
		for n := range f.TailCalls {
			fmt.Fprintf(w, "  +%#x: %s\n", int(f.TailCalls[n].Start), siteText(&f.TailCalls[n]))
		}
		if listing {
			if err := image.WriteListing(w, f, nil); err != nil {
				return err
			}
		}
	}
	fmt.Fprintln(w)
	return nil
}

func siteText(s *image.TailCallSite) string {
	kind := "indirect"
	if s.Direct {
		kind = "direct"
	}
	text := kind + " tail call"
	for _, p := range []struct {
		name string
		off  image.CodeOff
	}{{"bounds", s.Bounds}, {"limit", s.Limit}, {"slot empty", s.Null}, {"count", s.Bump}, {"bypass", s.Bypass}, {"leaves", s.Jump}, {"ends", s.End}} {
		if p.off >= 0 {
			text += fmt.Sprintf(", %s +%#x", p.name, int(p.off))
		}
	}
	return text
}

func ImportOf(p *Imported, img *image.Image, design *recognise.Design) ImportProg {
	out := ImportProg{
		Name: p.Name, Format: string(p.Format), Design: DesignText(design.Name()), Limit: design.Limit, Landing: int(img.Funcs[0].Frame.Landing),
	}
	for i := range img.Funcs {
		f := &img.Funcs[i]
		row := ImportFunc{
			Name: f.Name, Size: len(f.Code), Body: int(f.Frame.Body), Stack: int(f.Frame.Depth), Counter: counterText(f.Frame.Counter),
			Calls: len(f.Calls), Proto: p.Funcs[i].Proto,
		}
		if p.Funcs[i].Place == imports.Known {
			row.Addr = fmt.Sprintf("%#x", uint64(f.Addr))
		}
		for n := range f.TailCalls {
			row.TailCalls = append(row.TailCalls, fmt.Sprintf("+%#x: %s", int(f.TailCalls[n].Start), siteText(&f.TailCalls[n])))
		}
		out.Functions = append(out.Functions, row)
	}
	return out
}

// ImportVerdict prints what a run gave.
// ImportVerdict shows what a run of imported code gave.
func ImportVerdict(w io.Writer, asJSON bool, im *replay.Imported, res *runner.Run, notes []string) error {
	sum := Summarise(res)
	if asJSON {
		return JSON(w, ImportRun{
			Program: res.Program, With: im.Names[1:], Design: DesignText(im.Design), Run: sum, Notes: notes,
			Flaws: im.Flaws, OK: res.Violation == nil && res.Killed == "" && len(im.Flaws) == 0, Schema: SchemaImport,
		})
	}
	t := NewTable("program", "design", "taken", "refused", "stack", "insns", "return", "verdict")
	t.Right(2, 3, 4, 5, 6)
	t.Add(res.Program, DesignText(im.Design), fmt.Sprint(sum.Taken), fmt.Sprint(sum.Refused.Total()), fmt.Sprint(sum.Stack),
		fmt.Sprint(sum.Insns), sum.Returned(), sum.Verdict())
	if res.Violation != nil {
		t.Note(res.Violation.String())
	}
	for _, f := range im.Flaws {
		t.Note("WRONG " + f)
	}
	if len(sum.World) > 0 {
		t.Note("depends on the outside world: " + strings.Join(sum.World, ", "))
	}
	fmt.Fprint(w, t)
	for _, n := range notes {
		fmt.Fprintln(w, strings.Join(Fold("note: "+n, Width-4), "\n    "))
	}
	return nil
}

func DesignText(name string) string {
	if name == "" {
		return "no tail calls"
	}
	return name
}
