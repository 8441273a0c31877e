// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"errors"
	"io"
	"os"
	"strings"

	"github.com/urfave/cli/v3"
	"golang.org/x/term"

	"github.com/tcsim/tcsim/cmd/tcsim/render"
)

// The values of --color.
const (
	colorAuto   = "auto"
	colorAlways = "always"
	colorNever  = "never"
)

func colorFlag() cli.Flag {
	return &cli.StringFlag{Name: "color", Value: colorAuto, Usage: "auto (on a terminal, unless NO_COLOR is set), always or never"}
}

func widthFlag() cli.Flag {
	return &cli.IntFlag{Name: "width", HideDefault: true, Usage: "columns of text, from 72 (default: those of the terminal, 100 elsewhere)"}
}

// lookFlags say how a stack is drawn.
func lookFlags() []cli.Flag {
	return []cli.Flag{
		widthFlag(), colorFlag(),
		&cli.BoolFlag{Name: "ascii", Usage: "ASCII, also on a terminal"},
		&cli.BoolFlag{Name: "box", Usage: "lines, also where output is no terminal"},
	}
}

// leastWidth is the least that --width takes.
const leastWidth = 72

// look is how the flags of a command, and what its output goes to, want text to be.
func (e env) look(cmd *cli.Command) (l render.Look, err error) {
	columns, terminal := 0, e.screen != nil && term.IsTerminal(int(e.screen.Fd()))
	if terminal {
		columns, _, err = term.GetSize(int(e.screen.Fd()))
		if err != nil {
			columns = render.Width
		}
	}
	var errs []error
	switch l.Width = cmd.Int("width"); {
	case l.Width == 0:
		l.Width = max(columns, leastWidth)
		if !terminal {
			l.Width = render.Width
		}
	case l.Width < leastWidth:
		errs = append(errs, badUsage("--width: expected a number from %d, found %d", leastWidth, l.Width))
	}
	switch color := cmd.String("color"); color {
	case colorAuto, "":
		l.Colour = terminal && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	case colorAlways:
		l.Colour = true
	case colorNever:
	default:
		errs = append(errs, badUsage("--color: expected auto, always or never, found %q", color))
	}
	if cmd.Bool("ascii") && cmd.Bool("box") {
		errs = append(errs, badUsage("--ascii and --box exclude each other"))
	}
	l.Box = cmd.Bool("box") || terminal && utf8Locale() && !cmd.Bool("ascii")
	return l, errors.Join(errs...)
}

// utf8Locale reports whether a terminal is likely to show lines.
func utf8Locale() bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := os.Getenv(name); v != "" {
			return strings.Contains(strings.ToUpper(strings.ReplaceAll(v, "-", "")), "UTF8")
		}
	}
	return false
}

// drawn is where text goes that a look may have coloured.
func (e env) drawn(l render.Look) io.Writer {
	if l.Colour {
		return e.coloured
	}
	return e.stdout
}
