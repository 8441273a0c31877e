// SPDX-License-Identifier: GPL-2.0-only

package manual

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/cmd/tcsim/render"
)

// Width is how many columns help takes: those of the smallest terminal.
const Width = 80

// The columns in which the texts of options and commands begin.
const (
	optionColumn  = 24
	commandColumn = 13
)

// SetHelp gives every command a page of its own form in place of the library's, which is as wide as the
// longest option and shows defaults that mean nothing.
func SetHelp(app *cli.Command) {
	for _, c := range app.Commands {
		c.CustomHelpTemplate = literal(helpPage(app, c))
	}
	app.CustomRootCommandHelpTemplate = literal(rootPage(app))
}

// AsksHelp reports whether a command line can come to a page of help.
func AsksHelp(app *cli.Command, args []string) bool {
	return CommandAt(app, args) == len(args) || slices.ContainsFunc(args[1:], func(a string) bool {
		return a == "--help" || a == "-h" || a == "help" || a == "h"
	})
}

// literal makes text a template that prints it.
func literal(text string) string { return strings.ReplaceAll(text, "{{", `{{"{{"}}`) }

func helpPage(app, c *cli.Command) string {
	var b strings.Builder
	name := app.Name + " " + c.Name
	fmt.Fprintf(&b, "NAME:\n%s\nUSAGE:\n   %s [options] %s\n\n", foldHelp(name+" - "+c.Usage, 3), name, c.ArgsUsage)
	fmt.Fprintf(&b, "DESCRIPTION:\n%s\nOPTIONS:\n", foldHelp(c.Description, 3))
	for _, f := range allFlags(app, c) {
		b.WriteString(optionHelp(f))
	}
	b.WriteString(option("-h, --help", "show this page"))
	return b.String()
}

func rootPage(app *cli.Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, "NAME:\n   %s - %s\n\nUSAGE:\n   %s COMMAND [options] [arguments]\n   %s COMMAND --help\n\n", app.Name, app.Usage, app.Name, app.Name)
	fmt.Fprintf(&b, "DESCRIPTION:\n%s\nCOMMANDS:\n", foldHelp(app.Description, 3))
	for _, c := range app.Commands {
		if !c.Hidden {
			b.WriteString(inColumn("   "+c.Name, commandColumn, c.Usage))
		}
	}
	b.WriteString("\nTOPICS (" + app.Name + " help TOPIC):\n" + foldHelp(strings.Join(Topics(), ", "), 3))
	b.WriteString("\nOPTIONS:\n")
	for _, f := range app.Flags {
		b.WriteString(optionHelp(f))
	}
	b.WriteString(option("-h, --help", "show this page, or that of a command"))
	return b.String()
}

// allFlags are the flags of a command, and those of app that it does not have itself.
func allFlags(app, c *cli.Command) []cli.Flag {
	out := slices.Clone(c.Flags)
	for _, f := range app.Flags {
		if l, ok := f.(cli.LocalFlag); ok && l.IsLocal() {
			continue
		}
		if !slices.ContainsFunc(c.Flags, func(own cli.Flag) bool { return own.Names()[0] == f.Names()[0] }) {
			out = append(out, f)
		}
	}
	return out
}

// optionHelp is an option with its text.
func optionHelp(f cli.Flag) string {
	left, text, ok := parts(f)
	if !ok {
		return ""
	}
	return option(left, text)
}

// parts are the names of an option and its text; ok is false if it is not shown.
func parts(f cli.Flag) (left, text string, ok bool) {
	d, ok := f.(cli.DocGenerationFlag)
	if v, visible := f.(cli.VisibleFlag); !ok || visible && !v.IsVisible() {
		return "", "", false
	}
	left = strings.Join(dashed(f), ", ")
	if d.TakesValue() {
		left += " " + placeholder(d)
	}
	text = strings.ReplaceAll(d.GetUsage(), "\n", " ")
	if v := defaultText(d); v != "" {
		text += " (default: " + v + ")"
	}
	return left, text, true
}

// dashed are the names of an option as they are written, short ones first.
func dashed(f cli.Flag) []string {
	var names []string
	for _, n := range f.Names() {
		if len(n) == 1 {
			names = slices.Insert(names, 0, "-"+n)
		} else {
			names = append(names, "--"+n)
		}
	}
	return names
}

func option(left, text string) string { return inColumn("   "+left, optionColumn, text) }

// inColumn puts text into a column to the right of left, below it if left is too long.
func inColumn(left string, column int, text string) string {
	var b strings.Builder
	for _, line := range render.Fold(text, Width-column) {
		if len(left) > column-2 {
			b.WriteString(left + "\n")
			left = ""
		}
		fmt.Fprintf(&b, "%-*s%s\n", column, left, line)
		left = ""
	}
	return b.String()
}

// placeholder stands for the value of an option.
func placeholder(f cli.DocGenerationFlag) string {
	if m, ok := f.(cli.DocGenerationMultiValueFlag); ok && m.IsMultiValueFlag() {
		return "LIST"
	}
	switch f.TypeName() {
	case "int", "uint", "float":
		return "N"
	case "duration":
		return "TIME"
	}
	return "VALUE"
}

// defaultText is the default value of an option, "" if it only says that nothing was given.
func defaultText(f cli.DocGenerationFlag) string {
	if !f.IsDefaultVisible() || !f.TakesValue() {
		return ""
	}
	text := strings.NewReplacer("[", "", "]", "", `"`, "").Replace(f.GetValue())
	if slices.Contains([]string{"", "0", "-1", "false"}, text) {
		return ""
	}
	return text
}

// foldHelp folds the paragraphs of a description, indented. Those that have indented lines stay as they are.
func foldHelp(text string, indent int) string {
	margin := strings.Repeat(" ", indent)
	var b strings.Builder
	for i, p := range strings.Split(text, "\n\n") {
		if i > 0 {
			b.WriteString("\n")
		}
		lines := strings.Split(continued(p, Width-indent), "\n")
		if !strings.Contains(p, "\n  ") {
			lines = render.Fold(strings.ReplaceAll(p, "\n", " "), Width-indent)
		}
		for _, l := range lines {
			b.WriteString(margin + l + "\n")
		}
	}
	return b.String()
}

// continued breaks indented lines that are too long, which are commands, as a shell reads them: the next line goes on after a
// backslash. Words in quotes stay whole, and options with their values.
func continued(text string, width int) string {
	var out []string
	for line := range strings.SplitSeq(text, "\n") {
		margin := line[:len(line)-len(strings.TrimLeft(line, " "))]
		for margin != "" && len(line) > width {
			cut := strings.LastIndex(line[:width-1], " ")
			for cut > len(margin) && (strings.Count(line[:cut], "'")%2 != 0 || strings.HasPrefix(line[strings.LastIndex(line[:cut], " ")+1:cut], "--")) {
				cut = strings.LastIndex(line[:cut], " ")
			}
			if cut <= len(margin)+3 {
				break
			}
			out = append(out, line[:cut]+" \\")
			line = margin + "   " + line[cut+1:]
		}
		out = append(out, line)
	}
	return strings.Join(out, "\n")
}
