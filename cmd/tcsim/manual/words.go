// SPDX-License-Identifier: GPL-2.0-only

package manual

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v3"
)

// Words are the arguments as the library takes them: values apart from one-letter options, and --help alone.
func Words(app *cli.Command, args []string) []string { return helpAlone(app, attached(app, args)) }

// attached takes values off the one-letter options that they are written to, as in -t6.12, which the library does not
// know.
func attached(app *cli.Command, args []string) []string {
	c, at := app, CommandAt(app, args)
	var out []string
	for i, a := range args {
		if own := app.Command(a); i == at && own != nil {
			c = own
		}
		if a == "--" && i >= at {
			return append(out, args[i:]...)
		}
		if name := Attached(app, c, args[:i], a); name != "" {
			out = append(out, name)
			a = strings.TrimPrefix(a[len(name):], "=")
		}
		out = append(out, a)
	}
	return out
}

// helpAlone drops all other arguments of a command if one is --help: the library takes them for topics.
func helpAlone(app *cli.Command, args []string) []string {
	at := CommandAt(app, args)
	for i, a := range args {
		if a == "--" && i >= at {
			break
		}
		if i > at && (a == "--help" || a == "-h") {
			return []string{args[0], args[at], a}
		}
	}
	return args
}

// CommandAt returns the index of the word that is to name a command, len(args) if there is none: the first word after the
// program's name that is neither an option of all commands nor the value of one. Words after an option that is not known are
// not looked at, as it is not known either whether one is its value.
func CommandAt(app *cli.Command, args []string) int {
	for i := 1; i < len(args); i++ {
		a := args[i]
		if !strings.HasPrefix(a, "-") {
			return i
		}
		name, _, valued := strings.Cut(a, "=")
		f := ownFlag(app, name)
		switch d, ok := f.(cli.DocGenerationFlag); {
		case a == "--" || a == "--help" || a == "-h":
		case f == nil:
			return len(args)
		case ok && d.TakesValue() && !valued:
			i++
		}
	}
	return len(args)
}

// Takes reports whether an option of c itself is written as word, --target or -t.
func Takes(c *cli.Command, word string) bool { return ownFlag(c, word) != nil }

// ownFlag is the option of c itself that is written as word.
func ownFlag(c *cli.Command, word string) cli.Flag {
	for _, f := range c.Flags {
		if slices.Contains(dashed(f), word) {
			return f
		}
	}
	return nil
}
