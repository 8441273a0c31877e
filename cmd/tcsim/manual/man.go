// SPDX-License-Identifier: GPL-2.0-only

package manual

import (
	"fmt"
	"strings"

	"github.com/cpuguy83/go-md2man/v2/md2man"
	"github.com/urfave/cli/v3"
)

// Pages returns the manual pages by the names of their files: one for tcsim and each of its commands, in section 1,
// and one for each topic, in section 7.
func Pages(app *cli.Command) map[string]string {
	out := map[string]string{app.Name + ".1": Page(app, app)}
	for _, c := range app.Commands {
		if !c.Hidden {
			out[app.Name+"-"+c.Name+".1"] = Page(app, c)
		}
	}
	for _, t := range Topics() {
		text, _ := Topic(t)
		out[app.Name+"-"+t+".7"] = roff(fmt.Sprintf("%% %s-%s 7\n%s", app.Name, t, text))
	}
	return out
}

// Page is the manual page of a command, or of app itself.
func Page(app, c *cli.Command) string {
	name := app.Name
	if c != app {
		name += "-" + c.Name
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%% %s 1\n# NAME\n\n%s - %s\n\n# SYNOPSIS\n\n", name, name, words(c.Usage))
	flags := c.Flags
	if c == app {
		fmt.Fprintf(&b, "**%s** COMMAND [*options*] [*arguments*]\n\n", app.Name)
	} else {
		fmt.Fprintf(&b, "**%s %s** [*options*] %s\n\n", app.Name, c.Name, words(c.ArgsUsage))
		flags = allFlags(app, c)
	}
	fmt.Fprintf(&b, "# DESCRIPTION\n\n%s\n", described(c.Description))
	if c == app {
		b.WriteString("\n# COMMANDS\n\n")
		for _, v := range app.Commands {
			if !v.Hidden {
				fmt.Fprintf(&b, "**%s**\n: %s\n\n", v.Name, words(v.Usage))
			}
		}
	}
	b.WriteString("\n# OPTIONS\n\n")
	for _, f := range flags {
		if left, text, ok := parts(f); ok {
			fmt.Fprintf(&b, "**%s**\n: %s\n\n", words(left), words(text))
		}
	}
	fmt.Fprintf(&b, "**-h, --help**\n: show a page of help\n\n# SEE ALSO\n\n**%s**(1)", app.Name)
	for _, t := range Topics() {
		fmt.Fprintf(&b, ", **%s-%s**(7)", app.Name, t)
	}
	return roff(b.String() + "\n")
}

// literalWidth is how wide an indented line of a description may be, so that a manual page of Width columns has it whole.
const literalWidth = Width - 8

// described is the description of a command: paragraphs, and lines that stay as they are.
func described(text string) string {
	var b strings.Builder
	for _, p := range strings.Split(continued(text, literalWidth), "\n\n") {
		head, lines, literal := strings.Cut(p, "\n   ")
		b.WriteString(words(head) + "\n\n")
		if literal {
			b.WriteString("```\n" + strings.ReplaceAll(lines, "\n   ", "\n") + "\n```\n\n")
		}
	}
	return b.String()
}

// words keeps Markdown from seeing marks in plain text.
func words(s string) string {
	return strings.NewReplacer("\\", "\\\\", "*", "\\*", "_", "\\_", "`", "\\`", "[", "\\[", "]", "\\]", "<", "\\<", ">", "\\>", "|", "\\|").Replace(s)
}

func roff(markdown string) string { return string(md2man.Render([]byte(markdown))) }
