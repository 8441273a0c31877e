// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/cmd/tcsim/render"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/runner"
)

func (e env) pluginCommand() *cli.Command {
	return &cli.Command{
		Name:      "plugin",
		Usage:     "run one program as a plugin of bpf_conformance",
		ArgsUsage: "[MEMORY]",
		Description: "Reads the program in hex from standard input, places the memory given in hex as argument, runs\n" +
			"the program with r1 pointing to it and r2 its length, and prints r0 in hex. The runner of\n" +
			"bpf_conformance gives the memory before its --plugin_options: tcsim MEMORY \"plugin OPTIONS\".\n\n" +
			"Examples:\n   echo b7 00 00 00 2a 00 00 00 95 00 00 00 00 00 00 00 | tcsim plugin\n" +
			"   bpf_conformance_runner --plugin_path tcsim --plugin_options \"plugin --target 6.12\" …\n\n" + exitCodesInHelp,
		Flags: []cli.Flag{
			targetFlag(true),
			&cli.StringFlag{Name: "program", Usage: "the program in hex, instead of standard input"},
			jsonFlag(),
			&cli.BoolFlag{Name: "debug", Usage: "ignored; the protocol has it"},
		},
		Action: e.plugin,
	}
}

func (e env) plugin(ctx context.Context, cmd *cli.Command) error {
	if cmd.NArg() > 1 {
		return badUsage("plugin takes the memory as one argument, found %d", cmd.NArg())
	}
	text := cmd.String("program")
	if text == "" {
		raw, err := io.ReadAll(io.LimitReader(e.stdin, 16<<20))
		if err != nil {
			return badInput(err)
		}
		text = string(raw)
	}
	code, wrongCode := scenarios.HexBytes("program", text)
	memory, wrongMemory := scenarios.HexBytes("memory", cmd.Args().First())
	if err := errors.Join(wrongCode, wrongMemory); err != nil {
		return badInput(err)
	}
	p, err := scenarios.RawProgram(code)
	if err != nil {
		return badInput(err)
	}
	t, err := e.oneTarget(cmd)
	if err != nil {
		return err
	}
	r0, err := runner.Raw(ctx, p, t, memory)
	if err != nil {
		return badInput(err)
	}
	if cmd.Bool("json") {
		return render.JSON(e.stdout, render.Plugin{Return: fmt.Sprintf("%x", r0), Schema: render.SchemaPlugin})
	}
	_, err = fmt.Fprintf(e.stdout, "%x\n", r0)
	return err
}
