// SPDX-License-Identifier: GPL-2.0-only

package scenarios

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/filekind"
	"github.com/tcsim/tcsim/scenarios/bounds"
)

// Load reads a scenario file; name is its path, used in messages only. The error is an Errors that
// holds every mistake, and then there is no scenario.
func Load(name string, src []byte) (*Scenario, error) { return load(newSource(name, src), src) }

// LoadAccepted is Load for a file that a kernel has loaded and played: what it replaces are global functions,
// also where the file does not say so. Files of captures did not before global was known here.
func LoadAccepted(name string, src []byte) (*Scenario, error) {
	s := newSource(name, src)
	s.accepted = true
	return load(s, src)
}

func load(s *source, src []byte) (*Scenario, error) {
	sc := &Scenario{File: s.file}
	s.load(sc, src)
	if err := s.err(); err != nil {
		return nil, err
	}
	return sc, nil
}

// replacedAreGlobal makes the functions that a scenario replaces global ones.
func (sc *Scenario) replacedAreGlobal() {
	for i := range sc.Runs {
		for _, r := range sc.Runs[i].Replace {
			prog, fn, _ := strings.Cut(r.Name, ":")
			p := sc.Programs.Find(prog)
			if p == nil {
				continue // which is a mistake that build tells
			}
			if f := p.Value.Functions.Find(fn); f != nil {
				f.Value.Global = true
			}
		}
	}
}

func (s *source) load(sc *Scenario, src []byte) {
	if len(src) > bounds.MaxSource {
		s.failf(Pos{Line: 1, Col: 1}, "expected at most %d bytes, found %d", bounds.MaxSource, len(src))
		return
	}
	what := filekind.Instead(src)
	if what == filekind.NoText {
		s.failf(Pos{Line: 1, Col: 1}, "expected a scenario (text: tcsim help scenario-format) or an object file of clang (it begins with 7f 45 4c 46); "+
			"it is no text and begins with % x", src[:min(8, len(src))])
		return
	}
	if !strings.HasPrefix(what, "a scenario") && len(src) > 0 && what != "" {
		s.failf(Pos{Line: 1, Col: 1}, "expected a scenario; it is %s", what)
		return
	}
	if line, col, ok := bounds.Nesting(s.lines); ok {
		s.failf(Pos{Line: line, Col: col}, "nested too deeply: expected at most %d levels", bounds.MaxNesting)
		return
	}
	body := s.parseYAML(src)
	if body == nil {
		return
	}
	d := &decoder{s}
	d.decodeStruct(body, reflect.ValueOf(sc).Elem())
	at := map[string]ast.Node{}
	quiet := decoder{&source{}} // duplicates are already recorded
	for _, p := range quiet.pairs(body, "") {
		at[p.key] = p.value
	}
	var missing []string
	for _, key := range []string{"version", "name", "programs", "runs"} {
		if at[key] == nil {
			missing = append(missing, key)
		}
	}
	if len(missing) > 0 {
		s.failf(nodePos(body), "a scenario needs version, name, programs and runs: no %s here", strings.Join(missing, ", "))
		return
	}
	if sc.Version != Version {
		s.failf(nodePos(at["version"]), "expected version %d, found %d", Version, sc.Version)
	}
	if n := at["limit"]; n != nil && (sc.Limit < 1 || sc.Limit > jit.MaxLimit) {
		s.failf(nodePos(n), "expected a limit of 1 to %d, found %d; leave it out for the target's own", jit.MaxLimit, sc.Limit)
	}
	if _, text := at["name"].(*ast.StringNode); text || sc.Name != "" { // what is no text is a mistake already
		d.checkName("scenario", sc.Name, nodePos(at["name"]))
	}
	if len(sc.Programs) == 0 {
		s.failf(nodePos(at["programs"]), "expected at least one program")
	}
	if len(sc.Runs) == 0 {
		s.failf(nodePos(at["runs"]), "expected at least one run")
	}
	if s.accepted {
		sc.replacedAreGlobal()
	}
	s.build(sc)
}

// Build turns a scenario into programs as they would be submitted to the kernel. Scenarios from
// Load always build; for one made by other means the error holds every mistake as far as it has
// positions.
func Build(sc *Scenario) (*Built, error) {
	if sc == nil || len(sc.Programs) == 0 {
		return nil, fmt.Errorf("build scenario: no programs")
	}
	s := &source{file: sc.File}
	b := s.build(sc)
	if err := s.err(); err != nil {
		return nil, fmt.Errorf("build scenario %s: %w", sc.Name, err)
	}
	return b, nil
}

// build checks and translates everything; the result is of use only if no mistake was recorded.
func (s *source) build(sc *Scenario) *Built {
	b := &builder{source: s, sc: sc, out: &Built{Scenario: sc}}
	b.findTracing()
	b.maps()
	for i := range sc.Programs {
		b.program(i)
	}
	for i := range sc.Runs {
		b.event(&sc.Runs[i])
	}
	return b.out
}
