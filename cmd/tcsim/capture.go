// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/jit/capture"
)

func (e env) captureCommand() *cli.Command {
	return &cli.Command{
		Name:      "capture",
		Usage:     "have the running kernel compile programs, and store what it emitted",
		ArgsUsage: "SCENARIO|DIRECTORY|FILE.o...",
		Description: "Loads the programs (\"" + wholeLibrary + "\" means all built-in scenarios) into the running kernel without running\n" +
			"them and writes code, addresses and everything that decides them to a capture file, for tcsim conform\n" +
			"and tcsim replay. Everything that was loaded is gone afterwards. Needs Linux on x86-64 and root.\n\n" +
			"Examples:\n   tcsim capture -o here.jsonl.gz " + wholeLibrary + "\n" +
			"   tcsim capture -o here.jsonl.gz --run hierarchy my-scenarios/\n" +
			"   tcsim capture -o now.jsonl.gz --all\n\n" + exitCodesInHelp,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "file to write; it appears when it is complete"},
			&cli.BoolFlag{Name: "run", Usage: "also run the scenarios in the kernel, those that the emulator has run without harm, and store the results"},
			&cli.Uint32SliceFlag{Name: "id", Usage: "capture the loaded program with this id"},
			&cli.StringSliceFlag{Name: "pinned", Usage: "capture the loaded program that is pinned at this path"},
			&cli.BoolFlag{Name: "all", Usage: "capture all loaded programs"},
			&cli.StringFlag{Name: "config", Usage: "file with the kernel's configuration, if it is in none of the usual places"},
			&cli.StringFlag{Name: "variant", Value: "running", Usage: "name of the kernel's variant in the file's header"},
			jsonFlag(),
		},
		Action: interruptible(e.capture),
	}
}

// errInterrupted ends a command that a signal ended, which says nothing of what it tests.
var errInterrupted = errors.New("interrupted")

// interruptible makes the errors of an action that was interrupted say so.
func interruptible(action cli.ActionFunc) cli.ActionFunc {
	return func(ctx context.Context, cmd *cli.Command) error {
		err := action(ctx, cmd)
		if err != nil && ctx.Err() != nil {
			return errInterrupted
		}
		return err
	}
}

// captured is a summary of a capture.
type captured struct {
	File      string   `json:"file"`
	Kernel    string   `json:"kernel"`
	Scenarios int      `json:"scenarios"`
	Programs  int      `json:"programs"`
	Refused   []string `json:"refused_by_kernel,omitempty"`
	Failed    []string `json:"failed,omitempty"`
	LeftOut   []string `json:"left_out,omitempty"`
	Run       int      `json:"run_by_kernel,omitempty"`
	NotRun    []string `json:"not_run_by_kernel,omitempty"`
	Functions int      `json:"functions"`
	Bytes     int      `json:"bytes"`
	TailCalls int      `json:"tail_calls"`
}

// describe counts what is in a capture.
func (c *captured) describe(f *capture.File) {
	c.Kernel, c.Scenarios = f.Header.Kernel.Release, len(f.Scenarios)
	for i := range f.Scenarios {
		sc := &f.Scenarios[i]
		if sc.Error != "" {
			c.Failed = append(c.Failed, fmt.Sprintf("%s: %s", sc.Name, sc.Error))
			continue
		}
		for j := range sc.Progs {
			p := &sc.Progs[j]
			c.Programs++
			if p.LoadError != "" {
				c.Refused = append(c.Refused, fmt.Sprintf("%s: program %s: %s", sc.Name, p.Name, p.LoadError))
				continue
			}
			c.TailCalls += len(p.TailCalls)
			c.Functions += len(p.Funcs)
			for k := range p.Funcs {
				c.Bytes += p.Funcs[k].Len
			}
		}
	}
}

// printCaptured says what was captured.
func (e env) printCaptured(cmd *cli.Command, c *captured) error {
	if cmd.Bool("json") {
		return e.printJSON("capture", map[string]any{"capture": c})
	}
	c.print(e.stdout)
	if cmd.Bool("run") {
		fmt.Fprintf(e.stdout, "run by the kernel: %s\n", plural(c.Run, "scenario"))
	}
	_, err := fmt.Fprintf(e.stdout, "written to %s\n", c.File)
	return err
}

// joined makes one line of those that give the same reason: behind the first ": ", or behind the second
// if what stands before that is a program.
func joined(lines []string) []string {
	var reasons []string
	of := map[string][]string{}
	for _, line := range lines {
		what, why, _ := strings.Cut(line, ": ")
		if prog, rest, ok := strings.Cut(why, ": "); ok && strings.HasPrefix(prog, "program ") {
			what, why = what+" ("+strings.TrimPrefix(prog, "program ")+")", rest
		}
		if of[why] == nil {
			reasons = append(reasons, why)
		}
		of[why] = append(of[why], what)
	}
	var out []string
	for _, why := range reasons {
		out = append(out, strings.Join(of[why], ", ")+": "+why)
	}
	return out
}

// print says what is in a capture and what is not.
func (c *captured) print(w io.Writer) {
	fmt.Fprintf(w, "kernel %s: %s, %s in %s and %d bytes, %s\n", c.Kernel, plural(c.Scenarios, "scenario"),
		plural(c.Programs-len(c.Refused), "program"), plural(c.Functions, "function"), c.Bytes, plural(c.TailCalls, "tail call"))
	lists := []struct {
		what  string
		lines []string
	}{
		{"left out", c.LeftOut}, {"failed", c.Failed}, {"refused by the kernel", c.Refused}, {"not run", c.NotRun},
	}
	for _, l := range lists {
		for _, line := range joined(l.lines) {
			for i, part := range fold(l.what+": "+line, width-4) {
				indent := "  "
				if i > 0 {
					indent = "    "
				}
				fmt.Fprintln(w, indent+part)
			}
		}
	}
}
