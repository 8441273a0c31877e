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

	"github.com/tcsim/tcsim/cmd/tcsim/render"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/imports"
	"github.com/tcsim/tcsim/jit/recognise"
)

func (e env) importCommand() *cli.Command {
	return &cli.Command{
		Name:      "import",
		Usage:     "decode machine code that other tools recorded, and run it",
		ArgsUsage: "FILE...|-",
		Description: "Reads programs as bpftool prog dump jited id N opcodes shows them, with -j or without, bpftool\n" +
			"prog dump jited id N file F, or the kernel log with net.core.bpf_jit_enable=2; names the tail-call\n" +
			"design and lists frames and tail calls. With --run, runs the code and checks every invariant that\n" +
			"needs no BPF program to compare with. What a record does not contain is made up, and listed; every\n" +
			"slot of a prog array that is not filled holds the program that runs, which is the hardest test of\n" +
			"the limit.\n\n" +
			"Examples:\n   tcsim import fixtures/imports/6.18/hierarchy.json\n" +
			"   tcsim import --run fixtures/imports/6.18/hierarchy.json\n" +
			"   tcsim import --run --prog entry --kallsyms fixtures/imports/6.1/kallsyms fixtures/imports/6.1/jit-enable-2.log\n" +
			"   tcsim import fixtures/imports/6.18/hierarchy.bin --func-lens 85,59 --listing\n\n" + exitCodesInHelp,
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "format", Value: string(imports.Auto), Usage: "bpftool, bpftool-text, raw, log, or auto"},
			&cli.StringFlag{Name: "func-lens", Usage: "raw dumps: sizes of the functions in bytes, in order"},
			&cli.StringFlag{Name: "addrs", Usage: "addresses of the functions in hex, in order, as in /proc/kallsyms"},
			&cli.StringFlag{Name: "kallsyms", Usage: "/proc/kallsyms of the kernel, or lines of it: names and addresses"},
			&cli.StringSliceFlag{Name: "helper", Usage: "ADDRESS=NAME: name a function or variable of the kernel"},
			&cli.StringFlag{Name: "prog", Usage: "only the program of this name; with --run, the one that runs"},
			&cli.BoolFlag{Name: "listing", Usage: "also print the code"},
			jsonFlag(),
		}, importRunFlags()...),
		Action: e.importDump,
	}
}

func (e env) importDump(ctx context.Context, cmd *cli.Command) error {
	if cmd.NArg() == 0 {
		return badUsage("import takes files, found none (see tcsim import --help)")
	}
	opt, err := e.importOptions(cmd)
	if err != nil {
		return badInput(err)
	}
	progs, notes, err := e.importFiles(cmd, opt)
	if err != nil {
		return badInput(err)
	}
	if cmd.Bool("run") {
		return e.importRun(ctx, cmd, progs, notes, opt.Symbols)
	}
	if given := givenWithoutRun(cmd); given != "" {
		return badUsage("--%s is for --run", given)
	}
	return e.importList(cmd, progs, notes)
}

// importOptions reads what the user says in addition to the files.
func (e env) importOptions(cmd *cli.Command) (imports.Options, error) {
	var opt imports.Options
	var errs []error
	for _, s := range commas(cmd.String("func-lens")) {
		n, err := strconv.Atoi(s)
		if err != nil || n <= 0 {
			errs = append(errs, fmt.Errorf("--func-lens: expected a size in bytes, found %q", s))
		}
		opt.Lens = append(opt.Lens, n)
	}
	for _, s := range commas(cmd.String("addrs")) {
		a, err := image.ParseAddr(s)
		if err != nil {
			errs = append(errs, fmt.Errorf("--addrs: %w", err))
		}
		opt.Addrs = append(opt.Addrs, a)
	}
	opt.Symbols = imports.NewSymbols()
	if name := cmd.String("kallsyms"); name != "" {
		data, err := e.readInput(name)
		if err == nil {
			var s *imports.Symbols
			if s, err = imports.ReadSymbols(data); err == nil {
				opt.Symbols = s
			}
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("--kallsyms: %s: %w", name, err))
		}
	}
	for _, s := range cmd.StringSlice("helper") {
		at, name, ok := strings.Cut(s, "=")
		a, err := image.ParseAddr(at)
		if !ok || err != nil || name == "" {
			errs = append(errs, fmt.Errorf("--helper: %q: expected ADDRESS=NAME", s))
			continue
		}
		opt.Symbols.Add(a, name)
	}
	return opt, errors.Join(errs...)
}

// importFiles reads all files. A name that occurs again gets a number.
func (e env) importFiles(cmd *cli.Command, opt imports.Options) ([]render.Imported, []string, error) {
	if cmd.NArg() > 1 && (opt.Lens != nil || opt.Addrs != nil) {
		return nil, nil, errors.New("--func-lens and --addrs are for one file")
	}
	var out []render.Imported
	var notes []string
	var errs []error
	seen := map[string]int{}
	for _, name := range cmd.Args().Slice() {
		data, err := e.readInput(name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		d, err := imports.Read(imports.Format(cmd.String("format")), data, opt)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
			continue
		}
		for _, n := range d.Notes {
			notes = append(notes, name+": "+n)
		}
		for _, p := range d.Progs {
			if seen[p.Name]++; seen[p.Name] > 1 {
				p.Name = fmt.Sprintf("%s#%d", p.Name, seen[p.Name])
			}
			out = append(out, render.Imported{Prog: p, File: name, Format: d.Format})
		}
	}
	return out, notes, errors.Join(errs...)
}

// importList shows what was imported.
func (e env) importList(cmd *cli.Command, progs []render.Imported, notes []string) error {
	var rows []render.ImportProg
	for i := range progs {
		p := &progs[i]
		if only := cmd.String("prog"); only != "" && only != p.Name {
			continue
		}
		img, err := p.Image()
		if err != nil {
			return badInput(fmt.Errorf("%s: program %s: %w", p.File, p.Name, err))
		}
		design, err := recognise.RecogniseDesign(img)
		if err != nil {
			return badInput(fmt.Errorf("%s: program %s: %w", p.File, p.Name, err))
		}
		rows = append(rows, render.ImportOf(p, img, &design))
		if cmd.Bool("json") {
			continue
		}
		if err := render.ImportText(e.stdout, p, img, &design, cmd.Bool("listing")); err != nil {
			return err
		}
	}
	if len(rows) == 0 {
		return badInput(fmt.Errorf("no program %q; the file has %s", cmd.String("prog"), strings.Join(progNames(progs), ", ")))
	}
	if cmd.Bool("json") {
		return render.JSON(e.stdout, render.Import{Notes: notes, Programs: rows, Schema: render.SchemaImport})
	}
	for _, n := range notes {
		fmt.Fprintln(e.stdout, strings.Join(render.Fold("note: "+n, render.Width-4), "\n    "))
	}
	return nil
}

func progNames(progs []render.Imported) []string {
	var out []string
	for i := range progs {
		out = append(out, progs[i].Name)
	}
	return out
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
