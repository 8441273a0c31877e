// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/cmd/tcsim/inputs"
	"github.com/tcsim/tcsim/cmd/tcsim/render"
	"github.com/tcsim/tcsim/cmd/tcsim/units"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/conform"
)

func (e env) conformCommand() *cli.Command {
	return &cli.Command{
		Name:      "conform",
		Usage:     "compare our JIT with what real kernels emitted",
		ArgsUsage: "CAPTURE...",
		Description: "Compiles every program of each capture at the addresses it had and compares the bytes of every\n" +
			"function in every state of the prog arrays, and those of trampolines. Prints identical/total per file and category.\n\n" +
			"Example:\n   tcsim conform fixtures/kernels/6.12-off.jsonl.gz\n\n" + exitCodesInHelp,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "target", Aliases: []string{"t"}, Usage: "compile for this target instead of the one the capture's header calls for"},
			&cli.IntFlag{Name: "show", Value: 3, Usage: "show the listings of at most this many mismatches per file"},
			units.ShardFlag("scenarios of all captures"), jsonFlag(),
		},
		Action: e.conform,
	}
}

func (e env) conform(ctx context.Context, cmd *cli.Command) error {
	var target *jit.Target
	if n := cmd.String("target"); n != "" {
		ts, err := e.targets([]string{n}, 0)
		if err != nil {
			return err
		}
		target = ts[0]
	}
	if cmd.NArg() == 0 {
		return badUsage("conform takes capture files, found none (see tcsim conform --help)")
	}
	var reports []*conform.Report
	var bad []render.ConformRow
	var errs []error
	paths, err := inputs.ExpandAll(cmd.Args().Slice(), inputs.CaptureFiles)
	errs = append(errs, badInput(err))
	w, err := units.Begin(cmd, e.args, paths, e.sum)
	if err != nil {
		return err
	}
	for _, path := range paths {
		if ctx.Err() != nil {
			break
		}
		r, err := e.conformFile(ctx, path, conform.Options{Target: target, Keep: cmd.Int("show"), Work: w})
		if err != nil {
			errs, bad = append(errs, err), append(bad, render.ConformRow{File: path, Bad: []string{err.Error()}})
			continue
		}
		reports = append(reports, r)
	}
	if w.Part() {
		return e.printPart(ctx, w, badInput(errors.Join(errs...)))
	}
	errs = append(errs, w.Err())
	if len(reports) == 0 && ctx.Err() == nil && !cmd.Bool("json") {
		return badInput(errors.Join(errs...))
	}
	interrupted := ctx.Err() != nil
	if cmd.Bool("json") {
		if err := render.JSON(e.stdout, render.Conform{Interrupted: interrupted, Captures: append(render.ConformRows(reports), bad...), Schema: render.SchemaConform}); err != nil {
			return err
		}
	} else {
		render.ConformText(e.stdout, reports)
	}
	if err := errors.Join(errs...); err != nil {
		return badInput(err)
	}
	if interrupted {
		return errInterrupted
	}
	for _, r := range reports {
		if !r.OK() {
			return errFailed
		}
	}
	return nil
}

func (e env) conformFile(ctx context.Context, path string, opt conform.Options) (*conform.Report, error) {
	src, err := e.openSource(path)
	if err != nil {
		return nil, err
	}
	if opt.Target, err = src.Header.TargetWith(opt.Target); err != nil {
		return nil, err
	}
	bar := e.progress(filepath.Base(path))
	defer bar.Done()
	opt.Done, opt.Progress = ctx.Done(), bar.Set
	r, err := conform.Compare(src, opt)
	if err == nil && (opt.Target == nil || r.Target.Note != opt.Target.Note) {
		e.note(r.Target)
	}
	return r, err
}
