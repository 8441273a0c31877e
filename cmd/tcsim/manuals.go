// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/cmd/tcsim/manual"
	"github.com/tcsim/tcsim/cmd/tcsim/render"
	"github.com/tcsim/tcsim/jit/outfile"
)

func (e env) helpCommand() *cli.Command {
	return &cli.Command{
		Name:      "help",
		Usage:     "explain a command or a topic",
		ArgsUsage: "[COMMAND|TOPIC]",
		Description: "Topics are the pages of the documentation.\n\n" +
			"Examples:\n   tcsim help run\n   tcsim help glossary\n   tcsim help scenario-format\n\n" + exitCodesInHelp,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			word := cmd.Args().First()
			switch c := cmd.Root().Command(word); {
			case cmd.NArg() > 1:
				return badUsage("help takes one command or topic, found %d", cmd.NArg())
			case word == "":
				return cli.ShowRootCommandHelp(cmd.Root())
			case c != nil:
				return cli.ShowCommandHelp(ctx, cmd.Root(), word)
			}
			text, ok := manual.Topic(word)
			if !ok {
				return badUsage("%s", render.Unknown("help", word, append(visible(cmd.Root().Commands), manual.Topics()...)))
			}
			_, err := fmt.Fprint(e.stdout, text)
			return err
		},
	}
}

func (e env) manCommand() *cli.Command {
	return &cli.Command{
		Name:      "man",
		Usage:     "print manual pages, or write all of them into a folder",
		ArgsUsage: "[COMMAND]",
		Description: "Prints the manual page of tcsim or of one of its commands, as man reads it. With --dir it writes\n" +
			"those of all commands (section 1) and topics (section 7) into a folder, which is how packages get them.\n\n" +
			"Examples:\n   tcsim man run | man -l -\n   tcsim man explore\n\n" + exitCodesInHelp,
		Flags: []cli.Flag{&cli.StringFlag{Name: "dir", Usage: "write all pages into this folder, which is made if it is not there"}},
		Action: func(_ context.Context, cmd *cli.Command) error {
			root := cmd.Root()
			word, c := cmd.Args().First(), root
			switch {
			case cmd.NArg() > 1, cmd.NArg() == 1 && cmd.IsSet("dir"):
				return badUsage("man takes one command, or --dir")
			case cmd.IsSet("dir"):
				return writePages(root, cmd.String("dir"))
			case word != "":
				if c = root.Command(word); c == nil {
					return badUsage("%s", render.Unknown("man", word, visible(root.Commands)))
				}
			}
			_, err := fmt.Fprint(e.stdout, manual.Page(root, c))
			return err
		},
	}
}

func writePages(app *cli.Command, dir string) error {
	if err := outfile.Folder(dir); err != nil {
		return err
	}
	pages := manual.Pages(app)
	for _, name := range slices.Sorted(maps.Keys(pages)) {
		if err := outfile.Write(filepath.Join(dir, name), []byte(pages[name])); err != nil {
			return err
		}
	}
	return nil
}

func (e env) completionCommand() *cli.Command {
	return &cli.Command{
		Name:      "completion",
		Usage:     "print the script by which a shell completes command lines",
		ArgsUsage: "bash|zsh|fish",
		Description: "Commands, options and names of scenarios, targets, cores, events and moments are completed. To begin with it:\n\n" +
			"   bash: source <(tcsim completion bash)\n   zsh:  source <(tcsim completion zsh)    (after compinit)\n" +
			"   fish: tcsim completion fish | source\n\nExample:\n   tcsim completion bash\n\n" + exitCodesInHelp,
		Action: func(_ context.Context, cmd *cli.Command) error {
			script, ok := manual.Completion(cmd.Args().First())
			if !ok || cmd.NArg() != 1 {
				return badUsage("completion takes a shell: %s", render.Words(manual.Shells()))
			}
			_, err := e.stdout.Write(script)
			return err
		},
	}
}

// completeCommand is what the scripts of completion call.
func (e env) completeCommand() *cli.Command {
	return &cli.Command{
		Name: "complete", Hidden: true, SkipFlagParsing: true, Usage: "prints what the last argument can become, a tab, and a word about it",
		Action: func(_ context.Context, cmd *cli.Command) error {
			words := cmd.Args().Slice()
			if len(words) > 0 && words[0] == "--" {
				words = words[1:]
			}
			for _, c := range manual.Complete(cmd.Root(), words) {
				fmt.Fprintf(e.stdout, "%s\t%s\n", c.Word, c.About)
			}
			return nil
		},
	}
}
