// SPDX-License-Identifier: GPL-2.0-only

// Package units does the work of commands in units that several machines share (--shard) and tcsim merge adds up. It
// knows what a unit of each command is and which results are kept of it; how units are dealt out is package parts', and
// what a result looks like is package render's.
package units

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/cmd/tcsim/inputs"
	"github.com/tcsim/tcsim/jit/parts"
	"github.com/tcsim/tcsim/scenarios/campaign"
	"github.com/tcsim/tcsim/scenarios/files"
)

// ShardFlag is --shard of a command whose units these are.
func ShardFlag(units string) cli.Flag {
	return &cli.StringFlag{Name: "shard", Usage: "do part I of N of the " + units + " and print what tcsim merge adds up, as I/N"}
}

// local are the options that a machine may choose for itself: they change nothing of what is printed.
var local = []string{"shard", "workers", "progress", "time-limit"}

// Begin begins the work that --shard of a command asks for; nil without it. args is the command line without the name of
// the program, files are the arguments that may be files. If sum is not nil, parts were added up: the work is that, and
// its inputs have to be those that are here.
func Begin(cmd *cli.Command, args, files []string, sum *parts.Work) (*parts.Work, error) {
	text := cmd.String("shard")
	if sum == nil && text == "" {
		return nil, nil
	}
	shard, err := parts.ParseShard(text)
	if err != nil && sum == nil {
		return nil, inputs.Bad(fmt.Errorf("--shard: %w", err))
	}
	o := parts.Origin{Command: command(cmd, args)}
	for _, name := range files {
		if name == "-" {
			return nil, inputs.Bad(errors.New("--shard: every part and tcsim merge read the inputs, and standard input is there only once: give a file"))
		}
		if sum, err := sumOf(name); err == nil { // else it is built in
			o.Inputs = append(o.Inputs, fmt.Sprintf("%s %.8x", name, sum))
		}
	}
	slices.Sort(o.Inputs)
	o.Inputs = slices.Compact(o.Inputs)
	if sum != nil {
		return sum, inputs.Bad(sum.Check(o))
	}
	return parts.Begin(shard, o), nil
}

// sumOf is the SHA-256 of a file, which may be long but ends.
func sumOf(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file", name)
	}
	h := sha256.New()
	_, err = io.Copy(h, f)
	return h.Sum(nil), err
}

// command is the command line in one order: its name, then options of the program, then its own.
func command(cmd *cli.Command, args []string) []string {
	verb := len(args) - cmd.Root().Args().Len()
	out := append([]string{cmd.Name}, stripped(args[:verb])...)
	return append(out, stripped(args[min(verb+1, len(args)):])...)
}

// stripped leaves out the options that are local, with their values.
func stripped(args []string) []string {
	var out []string
	for i := 0; i < len(args); i++ {
		if args[i] == "--" {
			return append(out, args[i:]...)
		}
		name, _, valued := strings.Cut(strings.TrimLeft(args[i], "-"), "=")
		switch {
		case !strings.HasPrefix(args[i], "-") || !slices.Contains(local, name):
			out = append(out, args[i])
		case !valued:
			i++ // its value
		}
	}
	return out
}

// Read reads the files of parts: those of a campaign of fuzz, or the sum of those of another command.
func Read(names []string) ([]*campaign.FuzzShard, *parts.Work, error) {
	var fuzz []*campaign.FuzzShard
	var other []*parts.File
	var wrong []error
	for _, name := range names {
		text, err := files.ReadFile(name, files.MaxFile)
		switch {
		case err != nil:
		case parts.IsFile(text):
			var f *parts.File
			if f, err = parts.Read(text); err == nil {
				other = append(other, f)
			}
		default:
			var f *campaign.FuzzShard
			if f, err = campaign.ReadShard(text); err == nil {
				fuzz = append(fuzz, f)
			}
		}
		if err != nil && text != nil {
			err = fmt.Errorf("%s: %w", name, err)
		}
		wrong = append(wrong, err)
	}
	if err := errors.Join(wrong...); err != nil {
		return nil, nil, inputs.Bad(err)
	}
	if len(fuzz) > 0 && len(other) > 0 {
		return nil, nil, inputs.Bad(errors.New("expected parts of one command, found those of fuzz and of another"))
	}
	if len(other) == 0 {
		return fuzz, nil, nil
	}
	sum, err := parts.Sum(other, names)
	return nil, sum, inputs.Bad(err)
}
