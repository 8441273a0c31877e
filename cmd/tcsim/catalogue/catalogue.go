// SPDX-License-Identifier: GPL-2.0-only

// Package catalogue lists what can be named on the command line: scenarios, targets, designs and the like,
// each with a line about it. It reads the registries of the packages that own the names and owns none.
//
//	for _, e := range catalogue.Find("targets").List() {
//		fmt.Println(e.Name, e.About)
//	}
package catalogue

import (
	"fmt"
	"path"
	"strings"

	"github.com/tcsim/tcsim/emu/check"
	"github.com/tcsim/tcsim/emu/helper"
	"github.com/tcsim/tcsim/emu/stack"
	"github.com/tcsim/tcsim/emu/timing"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/design"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/files"
)

// Entry is a name.
type Entry struct {
	Name     string `json:"name"`
	About    string `json:"about"`              // a line
	Design   string `json:"design,omitempty"`   // of targets and kernels: how tail calls work
	Evidence string `json:"evidence,omitempty"` // of targets, designs and kernels: what their code was checked against
	Number   int32  `json:"number,omitempty"`   // of helpers: as programs call them
}

// Kind is a kind of names.
type Kind struct {
	Name  string
	About string // what is in the list
	Note  string // what else can be named, "" for nothing
	List  func() []Entry
}

// Kinds returns all kinds, in the order in which they are documented.
func Kinds() []Kind {
	return []Kind{
		{"scenarios", "built-in scenarios", "A scenario is also a file, a directory of files, a pattern such as 'dir/*.yaml', or - for standard input.", builtin},
		{"targets", "targets that lists name", "tcsim knows more: every mainline release since 4.4, what uname -r prints, each with the features below, and kernel sources as src:TREE.", targets},
		{"features", "words that can follow a kernel or design in the name of a target", "As in 6.12-retpoline-its.", features},
		{"designs", "tail-call designs", "docs/schemes.md explains them.", designs},
		{"kernels", "mainline releases", "", releases},
		{"cores", "processors whose timing is modelled", "A core is also a file.", cores},
		{"helpers", "kernel functions that are modelled", "", helpers},
		{"invariants", "what holds in every correct run", "", invariants},
		{"events", "kinds of events in a trace", "", events},
		{"moments", "forms in which --at names a moment of a run", "", moments},
	}
}

// Find returns a kind, nil if there is none of that name.
func Find(name string) *Kind {
	for _, k := range Kinds() {
		if k.Name == name {
			return &k
		}
	}
	return nil
}

// Names are the names of all kinds.
func Names() []string {
	var out []string
	for _, k := range Kinds() {
		out = append(out, k.Name)
	}
	return out
}

// Starters are the kinds of scenarios that tcsim new writes.
func Starters() []Entry {
	var out []Entry
	for _, n := range files.Starters() {
		out = append(out, Entry{Name: n, About: about(path.Join("starters", n+".yaml"), files.Starter(n))})
	}
	return out
}

func builtin() []Entry {
	var out []Entry
	for _, n := range files.Builtin() {
		file, src, err := files.Find(n)
		if err != nil {
			panic("BUG: " + err.Error()) // it is listed
		}
		out = append(out, Entry{Name: n, About: about(file, src)})
	}
	return out
}

// about is the first sentence of what a scenario says about itself.
func about(file string, src []byte) string {
	sc, err := scenarios.LoadAccepted(file, src)
	if err != nil {
		panic("BUG: " + err.Error()) // a test loads all
	}
	text := strings.Join(strings.Fields(sc.About), " ")
	for i := 0; i+1 < len(text); i++ {
		if text[i] == '.' && text[i+1] == ' ' {
			return text[:i]
		}
	}
	return strings.TrimSuffix(text, ".")
}

func targets() []Entry {
	var out []Entry
	for _, n := range jit.TargetNames() {
		t, err := jit.TargetByName(n)
		if err != nil {
			panic("BUG: " + err.Error()) // it is listed
		}
		out = append(out, Entry{Name: n, About: t.Source, Design: t.Design.String(), Evidence: t.Evidence.String()})
	}
	return out
}

func features() []Entry {
	var out []Entry
	for _, w := range jit.Features() {
		out = append(out, Entry{Name: w, About: jit.FeatureDoc(w)})
	}
	return out
}

func designs() []Entry {
	var out []Entry
	for _, d := range design.All() {
		t := d.Traits()
		text := "hands over " + t.Handover.String() + "; from " + t.Source
		if w := t.Wrong(); w != "" {
			text += "; known fault: " + w
		}
		out = append(out, Entry{Name: t.Name, About: text, Evidence: t.Evidence.String()})
	}
	return out
}

func releases() []Entry {
	var out []Entry
	for _, r := range kernels.Releases() {
		t, err := jit.TargetByName(r.Name())
		if err != nil {
			panic("BUG: " + err.Error()) // it is listed
		}
		text := r.Source()
		if n := r.Note(); n != "" {
			_, text, _ = strings.Cut(n, ": ")
		}
		out = append(out, Entry{Name: r.Name(), About: text, Design: t.Design.String(), Evidence: t.Evidence.String()})
	}
	return out
}

func cores() []Entry {
	var out []Entry
	for i, n := range timing.CoreNames() {
		e := Entry{Name: n, About: timing.Cores()[i].Title}
		if i == 0 {
			e.About += " (the default)"
		}
		out = append(out, e)
	}
	return out
}

func helpers() []Entry {
	var out []Entry
	for _, h := range helper.List() {
		var words []string
		if h.Number != 0 {
			words = append(words, fmt.Sprintf("number %d", h.Number))
		}
		if h.World {
			words = append(words, "the result depends on the outside world")
		}
		if h.Writes {
			words = append(words, "writes to memory of the program or to a map")
		}
		out = append(out, Entry{Name: h.Name, About: strings.Join(words, "; "), Number: h.Number})
	}
	return out
}

func invariants() []Entry {
	var out []Entry
	for _, i := range check.Invariants() {
		out = append(out, Entry{Name: string(i), About: i.About()})
	}
	return out
}

func events() []Entry {
	var out []Entry
	for _, k := range trace.Kinds() {
		out = append(out, Entry{Name: k.String(), About: k.About()})
	}
	return out
}

func moments() []Entry {
	var out []Entry
	for _, f := range stack.Forms() {
		out = append(out, Entry{Name: f.Name, About: f.About})
	}
	return out
}
