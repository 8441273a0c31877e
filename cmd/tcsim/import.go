// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/imports"
)

func (e env) importCommand() *cli.Command {
	return &cli.Command{
		Name:      "import",
		Usage:     "decode machine code that other tools recorded",
		ArgsUsage: "FILE|-",
		Description: "Reads one program as bpftool -j prog dump jited id N opcodes, bpftool prog dump jited id N file F or\n" +
			"the kernel log with net.core.bpf_jit_enable=2 show it, names the tail-call design and lists frames\n" +
			"and tail calls.\n\n" +
			"Examples:\n   tcsim import fixtures/imports/bpftool.json\n" +
			"   tcsim import fixtures/imports/raw.bin --func-lens 93,108 --listing\n\n" + exitCodesInHelp,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "format", Value: string(imports.Auto), Usage: "bpftool, raw, log, or auto"},
			&cli.StringFlag{Name: "func-lens", Usage: "raw dumps: sizes of the functions in bytes, in order"},
			&cli.StringFlag{Name: "addrs", Usage: "addresses of the functions in hex, in order, as in /proc/kallsyms"},
			&cli.BoolFlag{Name: "listing", Usage: "print the code too"},
			jsonFlag(),
		},
		Action: e.importDump,
	}
}

func (e env) importDump(_ context.Context, cmd *cli.Command) error {
	if cmd.NArg() != 1 {
		return badUsage("import takes one file, found %d arguments", cmd.NArg())
	}
	name := cmd.Args().First()
	var opt imports.Options
	var errs []error
	for _, s := range commas(cmd.String("func-lens")) {
		n, err := strconv.Atoi(s)
		if err != nil || n <= 0 {
			errs = append(errs, fmt.Errorf("--func-lens: %q is no size", s))
		}
		opt.Lens = append(opt.Lens, n)
	}
	for _, s := range commas(cmd.String("addrs")) {
		a, err := strconv.ParseUint(strings.TrimPrefix(s, "0x"), 16, 64)
		if err != nil {
			errs = append(errs, fmt.Errorf("--addrs: %q is no address", s))
		}
		opt.Addrs = append(opt.Addrs, jit.Addr(a))
	}
	if err := errors.Join(errs...); err != nil {
		return badInput(err)
	}
	data, err := e.readInput(name)
	if err != nil {
		return badInput(err)
	}
	d, err := imports.Read(imports.Format(cmd.String("format")), data, opt)
	if err != nil {
		return badInput(fmt.Errorf("%s: %w", name, err))
	}
	img, err := d.Image()
	if err != nil {
		return badInput(fmt.Errorf("%s: %w", name, err))
	}
	design, err := jit.RecogniseDesign(img)
	if err != nil {
		return badInput(fmt.Errorf("%s: %w", name, err))
	}
	if cmd.Bool("json") {
		return e.printJSON("import", importJSON(d, img, &design))
	}
	return e.importText(d, img, &design, cmd.Bool("listing"))
}

func commas(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
}

// readInput reads a file, standard input for "-". It reads little more than imports.Read takes.
func (e env) readInput(name string) ([]byte, error) {
	in := e.stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	return io.ReadAll(io.LimitReader(in, imports.MaxSource+1))
}

// designName says which design it is, also where there is none to see.
func designName(d *jit.Design) string {
	if d.Name == "" {
		return "no tail calls"
	}
	return d.Name
}

func counterText(c jit.Counter) string {
	switch c.Form {
	case jit.CounterValue:
		return fmt.Sprintf("counter at rbp%+d", c.Off)
	case jit.CounterPtr:
		return fmt.Sprintf("pointer to the counter at rbp%+d", c.Off)
	case jit.CounterGS:
		return fmt.Sprintf("per-CPU counter at gs:%#x", uint32(c.Off))
	}
	return "no counter"
}

func (e env) importText(d *imports.Dump, img *jit.Image, design *jit.Design, listing bool) error {
	fmt.Fprintf(e.stdout, "%s dump of %s: %s", d.Format, plural(len(img.Funcs), "function"), designName(design))
	if design.Limit != 0 {
		fmt.Fprintf(e.stdout, ", limit %d", design.Limit)
	}
	if f := &img.Funcs[0].Frame; f.Landing >= 0 && len(f.Slots) > 0 {
		fmt.Fprintf(e.stdout, ", tail calls enter at +%#x", int(f.Landing))
	}
	fmt.Fprintln(e.stdout)
	for i := range img.Funcs {
		f := &img.Funcs[i]
		at := "address unknown"
		if d.Funcs[i].Known {
			at = fmt.Sprintf("at %#x", uint64(f.Addr))
		}
		fmt.Fprintf(e.stdout, "\n%s: %d bytes %s, body at +%#x, %d bytes of stack, %s\n",
			f.Name, len(f.Code), at, int(f.Frame.Body), f.Frame.Depth, counterText(f.Frame.Counter))
		for _, c := range f.Calls {
			to := fmt.Sprintf("%#x", uint64(c.Target))
			if c.Func >= 0 {
				to = img.Funcs[c.Func].Name
			} else if !d.Funcs[i].Known {
				to = "an unknown place"
			}
			fmt.Fprintf(e.stdout, "  +%#x: call of %s\n", int(c.Off), to)
		}
		for n := range f.TailCalls {
			fmt.Fprintf(e.stdout, "  +%#x: %s\n", int(f.TailCalls[n].Start), siteText(&f.TailCalls[n]))
		}
		if listing {
			if err := jit.WriteListing(e.stdout, f, nil); err != nil {
				return err
			}
		}
	}
	for _, n := range d.Notes {
		fmt.Fprintln(e.stdout, "note: "+n)
	}
	return nil
}

func siteText(s *jit.TailCallSite) string {
	kind := "indirect"
	if s.Direct {
		kind = "direct"
	}
	text := kind + " tail call"
	for _, p := range []struct {
		name string
		off  jit.CodeOff
	}{{"bounds", s.Bounds}, {"limit", s.Limit}, {"slot empty", s.Null}, {"count", s.Bump}, {"bypass", s.Bypass}, {"leaves", s.Jump}, {"ends", s.End}} {
		if p.off >= 0 {
			text += fmt.Sprintf(", %s +%#x", p.name, int(p.off))
		}
	}
	return text
}

func importJSON(d *imports.Dump, img *jit.Image, design *jit.Design) map[string]any {
	var funcs []map[string]any
	for i := range img.Funcs {
		f := &img.Funcs[i]
		row := map[string]any{
			"name": f.Name, "size": len(f.Code), "body": f.Frame.Body, "stack": f.Frame.Depth,
			"counter": counterText(f.Frame.Counter), "calls": len(f.Calls),
		}
		if d.Funcs[i].Known {
			row["addr"] = fmt.Sprintf("%#x", uint64(f.Addr))
		}
		if p := d.Funcs[i].Proto; p != "" {
			row["proto"] = p
		}
		var sites []string
		for n := range f.TailCalls {
			sites = append(sites, fmt.Sprintf("+%#x: %s", int(f.TailCalls[n].Start), siteText(&f.TailCalls[n])))
		}
		row["tail_calls"] = sites
		funcs = append(funcs, row)
	}
	return map[string]any{
		"format": d.Format, "design": designName(design), "limit": design.Limit, "landing": img.Funcs[0].Frame.Landing,
		"functions": funcs, "notes": d.Notes,
	}
}
