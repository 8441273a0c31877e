// SPDX-License-Identifier: GPL-2.0-only

package manual

import (
	"strings"

	"github.com/urfave/cli/v3"
)

// Words are the arguments as the library takes them: values apart from one-letter options, and --help alone.
func Words(app *cli.Command, args []string) []string { return helpAlone(attached(app, args)) }

// attached takes values off the one-letter options that they are written to, as in -t6.12, which the library does not
// know.
func attached(app *cli.Command, args []string) []string {
	c := app
	var out []string
	for i, a := range args {
		if own := app.Command(a); own != nil && c == app {
			c = own
		}
		if a == "--" {
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
func helpAlone(args []string) []string {
	for i, a := range args {
		if a == "--" {
			break
		}
		if i > 1 && (a == "--help" || a == "-h") {
			return []string{args[0], args[1], a}
		}
	}
	return args
}
