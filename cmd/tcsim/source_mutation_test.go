// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/source"
	"github.com/tcsim/tcsim/jit/source/compiler"
	"github.com/tcsim/tcsim/jit/source/ktree"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/files"
	"github.com/tcsim/tcsim/scenarios/inspect"
	"github.com/tcsim/tcsim/scenarios/interleave"
	"github.com/tcsim/tcsim/scenarios/object"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// sourceMutation is a wrong edit of a C file: see testdata/mutations.
type sourceMutation struct {
	name, function string
	pairs          [][2]string
	survives       string // why no scenario sees it
	differs        string // why inspection cannot show that a right one does the same
	untested       string // what is said of it, if it cannot be tested
}

// sourceMutations reads a file of them.
func sourceMutations(t *testing.T, file string) []sourceMutation {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out []sourceMutation
	for i, block := range strings.Split(string(text), "\n== ") {
		if i < 2 {
			continue // the introduction, in which the form stands as one
		}
		name, rest, _ := strings.Cut(block, "\n")
		m := sourceMutation{name: name}
		old := false // the line before is one that is replaced
		for _, line := range strings.Split(rest, "\n") {
			text, last := line, len(m.pairs)-1
			if line != "" {
				text = line[1:] + "\n"
			}
			switch {
			case strings.HasPrefix(line, "in "):
				m.function = line[3:]
			case strings.HasPrefix(line, "survives "):
				m.survives = strings.TrimPrefix(line, "survives ")
			case strings.HasPrefix(line, "differs "):
				m.differs = strings.TrimPrefix(line, "differs ")
			case strings.HasPrefix(line, "untested "):
				m.untested = strings.TrimPrefix(line, "untested ")
			case strings.HasPrefix(line, "-") && old:
				m.pairs[last][0] += text
			case strings.HasPrefix(line, "-"):
				m.pairs, old = append(m.pairs, [2]string{text}), true
			case strings.HasPrefix(line, "+") && last >= 0:
				m.pairs[last][1] += text
				old = false
			case line != "":
				t.Fatalf("%s: %s: unexpected line %q", file, name, line)
			}
		}
		out = append(out, m)
	}
	return out
}

// apply returns the text with the edit.
func (m *sourceMutation) apply(text string) (string, error) {
	from, to := 0, len(text)
	if m.function != "" {
		at := regexp.MustCompile(`(?m)^[a-z][\w \t*]*\b` + m.function + `\(`).FindStringIndex(text)
		if at == nil {
			return "", fmt.Errorf("no function %s", m.function)
		}
		from = at[0]
		to = from + strings.Index(text[from:], "\n}\n")
	}
	part := text[from:to]
	for _, p := range m.pairs {
		old := strings.TrimSpace(p[0])
		if !strings.Contains(part, old) {
			return "", fmt.Errorf("there is no %q", old)
		}
		part = strings.ReplaceAll(part, old, strings.TrimSpace(p[1]))
	}
	return text[:from] + part + text[to:], nil
}

// sourceHunter judges a source by the library.
type sourceHunter struct {
	tree    string // whose C file is written anew for each edit
	library []*scenarios.Built
	session *runner.Session
	refused string // what cannot be tested of the last source
	// inspected is what its code shows without being run, of two scenarios.
	inspected []string
	// flaws are those of inspected that say what is wrong in every design.
	flaws []string
}

// listing is the scenario that compares code byte by byte. What code does has to be enough.
const listing = "verifier_tailcall_jit"

func newSourceHunter(t *testing.T) *sourceHunter {
	h := &sourceHunter{tree: "linux"}
	names := files.Builtin()
	// Those come first that find most.
	first := []string{"chain33", "hierarchy", "tailcall_poke", "bpf2bpf_3", "test_bpf", "poke_one_site", "bpf2bpf_4", "empty_slot_indirect"}
	for _, n := range append(first, names...) {
		if n == listing || slices.ContainsFunc(h.library, func(b *scenarios.Built) bool { return b.Scenario.Name == n }) {
			continue
		}
		b, err := object.Load(n, object.Options{})
		if err != nil {
			t.Fatal(err)
		}
		h.library = append(h.library, b)
	}
	t.Cleanup(func() {
		if h.session != nil {
			h.session.Close()
		}
	})
	return h
}

// judge returns what is found first in the JIT of a C text, "" if nothing is.
func (h *sourceHunter) judge(t *testing.T, text string) string {
	t.Helper()
	if err := os.WriteFile(filepath.Join(h.tree, ktree.JITFile), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	o := &source.Opener{Processor: func() (source.Processor, error) { return emu.NewProcessor(2 << 30) }, Cache: compiler.CacheDir()}
	target, err := o.Open(h.tree)
	if err != nil {
		t.Fatal(err)
	}
	target.Name = "src:" + h.tree
	defer func() {
		if err := target.Emitter.(*source.JIT).Close(); err != nil {
			t.Error(err)
		}
	}()
	h.refused, h.inspected, h.flaws = "", nil, nil
	for _, b := range h.library {
		if what := h.run(t, b, target); what != "" {
			return b.Scenario.Name + ": " + what
		}
	}
	h.inspect(t, "hierarchy", target)           // calls and direct tail calls
	h.inspect(t, "empty_slot_indirect", target) // indirect ones
	for _, name := range []string{"poke_one_site", "poke_two_sites"} {
		if what := h.explore(t, name, target); what != "" {
			return "explore " + name + ": " + what
		}
	}
	return ""
}

// inspect looks at the code of a scenario.
func (h *sourceHunter) inspect(t *testing.T, name string, target *jit.Target) {
	t.Helper()
	i := slices.IndexFunc(h.library, func(b *scenarios.Built) bool { return b.Scenario.Name == name })
	c, err := runner.Compile(h.library[i], target)
	if err != nil {
		t.Fatal(err)
	}
	rep, err := inspect.Code(c)
	if err != nil {
		t.Fatal(err)
	}
	h.inspected, h.flaws = slices.Concat(h.inspected, rep.Flaws, rep.Differences), append(h.flaws, rep.Flaws...)
	if len(rep.Flaws)+len(rep.Differences) == 0 && rep.Release == "" && len(rep.Unchecked) == 0 {
		t.Error("the code was compared with nothing")
	}
}

func (h *sourceHunter) run(t *testing.T, b *scenarios.Built, target *jit.Target) string {
	t.Helper()
	c, err := runner.Compile(b, target)
	if err == nil {
		h.session, err = h.session.OpenNext(c, runner.Options{})
	}
	var res *runner.Result
	if err == nil {
		res, err = h.session.Play(context.Background())
	}
	switch {
	case errors.Is(err, kernels.ErrUnsupported):
		h.refused = err.Error()
	case errors.Is(err, jit.ErrEmitter):
		return err.Error()
	case err != nil:
		t.Errorf("%s: a failure, not a finding: %v", b.Scenario.Name, err)
	case !res.OK():
		for _, r := range res.Runs {
			if r.Violation != nil {
				return "violates " + string(r.Violation.Invariant)
			}
		}
		return "not as expected"
	}
	return ""
}

func (h *sourceHunter) explore(t *testing.T, name string, target *jit.Target) string {
	t.Helper()
	i := slices.IndexFunc(h.library, func(b *scenarios.Built) bool { return b.Scenario.Name == name })
	c, err := runner.Compile(h.library[i], target)
	var found []interleave.Explored
	if err == nil {
		found, err = interleave.Explore(context.Background(), c, runner.Options{}, interleave.Options{})
	}
	if err != nil && !errors.Is(err, kernels.ErrUnsupported) {
		t.Errorf("explore %s: a failure, not a finding: %v", name, err)
	}
	for i := range found {
		if found[i].Wrong() {
			return fmt.Sprintf("%s of %s", found[i].Kind, found[i].Slot)
		}
	}
	return ""
}

// eachEdit makes the edits of a file of mutations in the C file of a kernel, one at a time, and has each judged: with is
// called with what was found, "" for nothing. Unedited, nothing is found. Short runs make every 24th.
func eachEdit(t *testing.T, kernel, file string, with func(t *testing.T, h *sourceHunter, m *sourceMutation, what string)) {
	t.Helper()
	all := sourceMutations(t, "testdata/mutations/"+file)
	inSourceFolder(t, kernel)
	h := newSourceHunter(t)
	b, err := os.ReadFile(filepath.Join(h.tree, ktree.JITFile))
	if err != nil {
		t.Fatal(err)
	}
	if what := h.judge(t, string(b)); what != "" || len(h.inspected) > 0 {
		t.Fatalf("unedited: %s, %q", what, h.inspected)
	}
	for i := range all {
		m := &all[i]
		if testing.Short() && i%24 != 0 {
			continue
		}
		t.Run(m.name, func(t *testing.T) {
			text, err := m.apply(string(b))
			if err != nil {
				t.Fatal(err)
			}
			with(t, h, m, h.judge(t, text))
		})
	}
}

// TestSourceMutations edits C files wrongly and has run or explore find it by what the code does.
func TestSourceMutations(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	for kernel, atLeast := range map[string]int{"6.12": 40, "7.3": 25} {
		t.Run(kernel, func(t *testing.T) {
			found, refused, survive := 0, 0, 0
			eachEdit(t, kernel, kernel+".txt", func(t *testing.T, h *sourceHunter, m *sourceMutation, what string) {
				switch {
				case what == "" && m.untested != "" && strings.Contains(h.refused, m.untested):
					refused++
					t.Logf("cannot be tested: %s", h.refused)
				case what == "" && m.survives == "":
					t.Error("nothing finds it")
				case what != "" && m.survives+m.untested != "":
					t.Errorf("found by %s, although %s%s", what, m.survives, m.untested)
				case what != "":
					found++
					t.Logf("found by %s", what)
				default:
					survive++
					t.Logf("survives: %s; without running it: %q", m.survives, h.inspected)
				}
			})
			t.Logf("%d found, %d cannot be tested, %d survive", found, refused, survive)
			if found < atLeast {
				t.Errorf("%d are found, expected at least %d", found, atLeast)
			}
		})
	}
}

// TestSourceRight edits the C files so that the code is another and does the same: nothing may be said against it.
func TestSourceRight(t *testing.T) {
	for _, kernel := range []string{"6.12", "6.1", "7.3"} {
		t.Run(kernel, func(t *testing.T) {
			eachEdit(t, kernel, kernel+"-right.txt", func(t *testing.T, h *sourceHunter, m *sourceMutation, what string) {
				if what != "" {
					t.Errorf("found by %s", what)
				}
				if len(h.flaws) > 0 {
					t.Errorf("accused: %q", h.flaws)
				}
				if (m.differs == "") != (len(h.inspected) == 0) {
					t.Errorf("inspected: %q, expected %q", h.inspected, m.differs)
				}
			})
		})
	}
}
