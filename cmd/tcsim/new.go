// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/cmd/tcsim/render"
	"github.com/tcsim/tcsim/scenarios/asm"
	"github.com/tcsim/tcsim/scenarios/files"
)

func (e env) newCommand() *cli.Command {
	return &cli.Command{
		Name:      "new",
		Usage:     "write a scenario with comments, to begin with",
		ArgsUsage: "graph|asm|trampoline",
		Description: "Prints a scenario that tcsim run plays as it is: a call graph in steps, programs in assembly, or tracing\n" +
			"programs with their trampolines. tcsim help scenario-format describes the format.\n\n" +
			"Examples:\n   tcsim new graph\n   tcsim new asm --name dispatcher -o dispatcher.yaml\n\n" + exitCodesInHelp,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "name", Value: "mine", Usage: "what the scenario is called"},
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "write this file, which must not exist, instead of standard output"},
		},
		Action: e.newScenario,
	}
}

func (e env) newScenario(_ context.Context, cmd *cli.Command) error {
	kind, name := cmd.Args().First(), cmd.String("name")
	switch {
	case cmd.NArg() != 1:
		return badUsage("new takes one of %s, found %s", render.Words(files.Starters()), render.Plural(cmd.NArg(), "argument"))
	case !slices.Contains(files.Starters(), kind):
		return badUsage("%s", render.Unknown("new", kind, files.Starters()))
	case !asm.NameForm.MatchString(name):
		return badUsage("--name: expected letters, digits, _, . and -, beginning with a letter, found %q", name)
	}
	text := bytes.Replace(files.Starter(kind), []byte("name: mine\n"), []byte("name: "+name+"\n"), 1)
	path := cmd.String("output")
	if path == "" {
		_, err := e.stdout.Write(text)
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if errors.Is(err, fs.ErrExist) {
		return badUsage("-o: %s is there already, and is left alone: choose another name", path)
	}
	if err != nil {
		return badInput(err)
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return badInput(errors.Join(err, os.Remove(path)))
	}
	fmt.Fprintf(e.stderr, "written to %s: tcsim run %s\n", path, path)
	return nil
}
