// SPDX-License-Identifier: GPL-2.0-only

package scenariotest

import (
	"bytes"
	"cmp"
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/object"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// updates reports whether files are to be rewritten.
func (o Options) updates() bool {
	f := flag.Lookup("update")
	return o.Update || f != nil && f.Value.String() == "true"
}

// update rewrites the numbers that a scenario file expects and that do not come out. It leaves the file alone if the new
// ones do not hold on every target.
func update(t *testing.T, file string, o Options, names []string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil || object.Is(text) {
		return // a built-in scenario, or expectations that stand in the test
	}
	wrong, err := mismatches(t, file, text, o, names)
	if err != nil || len(wrong) == 0 {
		return // the test itself says what is wrong with it
	}
	changed, err := replaced(text, wrong)
	if err != nil {
		t.Errorf("-update: %v", err)
		return
	}
	if bytes.Equal(changed, text) {
		return
	}
	if still, err := mismatches(t, file, changed, o, names); err != nil || slices.ContainsFunc(still, number) {
		t.Errorf("-update: %s: numbers differ from target to target, write them under \"on\" (%v)", file, still)
		return
	}
	if err := os.WriteFile(file, changed, 0o666); err != nil {
		t.Errorf("-update: %v", err)
		return
	}
	t.Logf("-update: %s is rewritten", file)
}

// number reports whether a mismatch is of a number.
func number(m scenarios.Mismatch) bool { return m.Found != nil }

// mismatches plays a scenario on targets; those without code for it are left out.
func mismatches(t *testing.T, file string, text []byte, o Options, names []string) ([]scenarios.Mismatch, error) {
	b, err := object.LoadText(file, text, o.Object)
	if err != nil {
		return nil, err
	}
	var out []scenarios.Mismatch
	for _, name := range names {
		target, err := o.target(name)
		if err != nil {
			return nil, err
		}
		c, err := runner.Compile(b, target)
		if errors.Is(err, kernels.ErrUnsupported) {
			continue
		}
		if err != nil {
			return nil, err
		}
		s, err := runner.Open(c, runner.Options{})
		if err != nil {
			return nil, err
		}
		res, err := s.Play(t.Context())
		switch err = errors.Join(err, s.Close()); {
		case errors.Is(err, kernels.ErrUnsupported):
			continue
		case err != nil:
			return nil, err
		}
		out = append(out, res.Mismatches()...)
	}
	return out, nil
}

// numberForm is a number as scenario files have it.
var numberForm = regexp.MustCompile(`^-?[0-9][0-9a-fA-FxX_]*`)

// replaced puts the numbers that were found where others were expected, from the end of the file so that places stay.
func replaced(text []byte, wrong []scenarios.Mismatch) ([]byte, error) {
	wrong = slices.DeleteFunc(slices.Clone(wrong), func(m scenarios.Mismatch) bool { return !number(m) })
	slices.SortFunc(wrong, func(a, b scenarios.Mismatch) int {
		return cmp.Or(cmp.Compare(b.Pos.Line, a.Pos.Line), cmp.Compare(b.Pos.Col, a.Pos.Col), cmp.Compare(*a.Found, *b.Found))
	})
	lines := bytes.SplitAfter(slices.Clone(text), []byte("\n"))
	for i, m := range wrong {
		if i > 0 && wrong[i-1].Pos == m.Pos {
			if *wrong[i-1].Found != *m.Found {
				return nil, fmt.Errorf("%v: %d comes out, too: write it under \"on\"", m, *wrong[i-1].Found)
			}
			continue
		}
		if m.Pos.Line < 1 || m.Pos.Line > len(lines) {
			return nil, fmt.Errorf("%v: not in the file", m)
		}
		line := []rune(string(lines[m.Pos.Line-1]))
		at := m.Pos.Col - 1
		if at < 0 || at > len(line) {
			return nil, fmt.Errorf("%v: not in the file", m)
		}
		was := numberForm.FindString(string(line[at:]))
		if was == "" {
			return nil, fmt.Errorf("%v: no number stands there", m)
		}
		lines[m.Pos.Line-1] = fmt.Appendf(nil, "%s%d%s", string(line[:at]), *m.Found, string(line[at:])[len(was):])
	}
	return bytes.Join(lines, nil), nil
}
