// SPDX-License-Identifier: GPL-2.0-only

package manual

import (
	"embed"
	"path"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/cmd/tcsim/catalogue"
	"github.com/tcsim/tcsim/emu/stack"
	"github.com/tcsim/tcsim/emu/trace"
)

// Candidate is a word that a shell can put in, with what it says of it.
type Candidate struct{ Word, About string }

//go:embed completion
var completion embed.FS

// Shells are those that tcsim completion knows.
func Shells() []string { return []string{"bash", "zsh", "fish"} }

// Completion returns the script that makes a shell complete command lines of tcsim; ok is false if the shell is not known.
func Completion(shell string) (script []byte, ok bool) {
	if !slices.Contains(Shells(), shell) {
		return nil, false
	}
	script, err := completion.ReadFile(path.Join("completion", "tcsim."+shell))
	return script, err == nil
}

// Complete returns what the last word of a command line can become. words are those after the program's name. Where
// files are expected the shell adds them itself.
func Complete(app *cli.Command, words []string) []Candidate {
	if len(words) == 0 {
		return nil
	}
	last := words[len(words)-1]
	before := words[:len(words)-1]
	var out []Candidate
	switch c, at := verb(app, before), ""; {
	case c == nil:
		out = commands(app)
	case expects(app, c, before, &at):
		out = listed(last, values(at, c))
	case strings.HasPrefix(last, "--") && strings.Contains(last, "="):
		name, rest, _ := strings.Cut(last, "=")
		if f := flagOf(app, c, name); f != nil {
			for _, v := range listed(rest, values(f.Names()[0], c)) {
				out = append(out, Candidate{name + "=" + v.Word, v.About})
			}
		}
	case strings.HasPrefix(last, "-"):
		out = options(app, c)
	default:
		out = arguments(app, c)
	}
	return slices.DeleteFunc(out, func(v Candidate) bool { return !strings.HasPrefix(v.Word, last) })
}

// verb is the command of a command line, nil if it is not there yet.
func verb(app *cli.Command, words []string) *cli.Command {
	args := append([]string{app.Name}, words...)
	if at := CommandAt(app, args); at < len(args) {
		return app.Command(args[at])
	}
	return nil
}

// flagOf is the option that is written as word.
func flagOf(app, c *cli.Command, word string) cli.Flag {
	for _, f := range allFlags(app, c) {
		if slices.Contains(dashed(f), word) {
			return f
		}
	}
	return nil
}

// expects reports whether the next word is the value of an option, and puts the option's name into name.
func expects(app, c *cli.Command, before []string, name *string) bool {
	f := flagOf(app, c, before[len(before)-1])
	d, ok := f.(cli.DocGenerationFlag)
	if !ok || !d.TakesValue() {
		return false
	}
	*name = f.Names()[0]
	return true
}

// Attached returns the one-letter option that a begins with, if a is that option with its value written to it, as
// -t6.12 is; else "". before are the words before it.
func Attached(app, c *cli.Command, before []string, a string) string {
	var of string
	if len(a) < 3 || a[0] != '-' || a[1] == '-' || len(before) > 0 && expects(app, c, before, &of) {
		return ""
	}
	if d, ok := flagOf(app, c, a[:2]).(cli.DocGenerationFlag); !ok || !d.TakesValue() {
		return ""
	}
	return a[:2]
}

func commands(app *cli.Command) []Candidate {
	var out []Candidate
	for _, c := range app.Commands {
		if !c.Hidden {
			out = append(out, Candidate{c.Name, c.Usage})
		}
	}
	return append(out, Candidate{"--help", "show help"}, Candidate{"--version", "say which version this is"})
}

func options(app, c *cli.Command) []Candidate {
	var out []Candidate
	for _, f := range allFlags(app, c) {
		if _, text, ok := parts(f); ok {
			for _, n := range dashed(f) {
				out = append(out, Candidate{n, text})
			}
		}
	}
	return append(out, Candidate{"--help", "show help"})
}

// listed makes candidates of the last item of a list that is separated by commas.
func listed(word string, items []Candidate) []Candidate {
	done := word[:strings.LastIndexByte(word, ',')+1]
	var out []Candidate
	for _, v := range items {
		out = append(out, Candidate{done + v.Word, v.About})
	}
	return out
}

// flagKinds says which names an option takes; what is not here takes files, numbers or free text.
var flagKinds = map[string]string{
	"target": "targets", "diff": "targets", "core": "cores", "only": "events", "at": "moments",
}

// flagWords are values of options that no list has.
var flagWords = map[string][]string{
	"update": {"insert", "replace", "delete", "delete-empty", "all"},
	"format": {"auto", "bpftool", "bpftool-text", "raw", "log"},
	"accel":  {"kvm", "tcg"},
	"target": {"all"},
}

func values(flag string, c *cli.Command) []Candidate {
	kind := flagKinds[flag]
	if flag == "scenario" && c.Name == "matrix" {
		kind = "scenarios"
	}
	out := names(kind)
	if flag == "at" {
		out = moments()
	}
	for _, w := range flagWords[flag] {
		out = append(out, Candidate{Word: w})
	}
	return out
}

// moments are the forms of --at as far as they can be completed.
func moments() []Candidate {
	out := []Candidate{{"deepest", ""}, {"violation", ""}}
	for _, f := range stack.Forms() {
		for i := range out {
			if out[i].Word == f.Name {
				out[i].About = f.About
			}
		}
	}
	for _, k := range trace.Kinds() {
		if k != trace.KindPoke {
			out = append(out, Candidate{k.String() + ":", k.About()}, Candidate{"each:" + k.String(), "each " + k.String()})
		}
	}
	return out
}

func names(kind string) []Candidate {
	k := catalogue.Find(kind)
	if k == nil {
		return nil
	}
	var out []Candidate
	for _, e := range k.List() {
		out = append(out, Candidate{e.Name, e.About})
	}
	return out
}

// arguments are what a command works on, as far as that has names.
func arguments(app, c *cli.Command) []Candidate {
	var out []Candidate
	switch {
	case strings.Contains(c.ArgsUsage, "SCENARIO"):
		return names("scenarios")
	case c.Name == "list":
		for _, k := range catalogue.Kinds() {
			out = append(out, Candidate{k.Name, k.About})
		}
	case c.Name == "new":
		for _, e := range catalogue.Starters() {
			out = append(out, Candidate{e.Name, e.About})
		}
	case c.Name == "completion":
		for _, s := range Shells() {
			out = append(out, Candidate{Word: s})
		}
	case c.Name == "man" || c.Name == "help":
		out = commands(app)
		for _, t := range Topics() {
			out = append(out, Candidate{t, About(t)})
		}
	}
	return out
}
