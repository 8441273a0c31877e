// SPDX-License-Identifier: GPL-2.0-only

// Package scenariotest plays scenarios and object files in go test, of this module or another one:
//
//	func TestDispatcher(t *testing.T) {
//		scenariotest.Run(t, scenariotest.Options{Targets: []string{"6.1", "6.12"}}, "testdata/dispatcher.yaml")
//	}
//
// Numbers that files expect can be rewritten by those that come out, as golden files are: with Options.Update, or where the
// tests have a flag of their own that is called update, and it is given. A new violation is never taken as expected.
//
// The example of this package makes the calls one by one, for whoever builds on them.
//
// Each file is a subtest, each target one of that. A subtest fails if an invariant breaks that the
// file does not say to break, or an expectation is not met; it is skipped if the target has no code
// for the file. Tests need the emulation engine: libunicorn and cgo.
package scenariotest

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/emu/stack"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/object"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// Options say what to play on. The zero value plays on every kernel release, as shipped.
type Options struct {
	// Targets are names of kernels and designs; nil means one of each kernel release.
	Targets []string
	// Limit is the number of tail calls that one invocation may take; 0 means the target's own.
	Limit uint32
	// Parallel plays all of it in parallel, with other parallel tests.
	Parallel bool
	// Object says what to run of object files, and what that must give.
	Object object.Options
	// Update rewrites the numbers that scenario files expect where others come out, the same on all targets. A flag
	// -update of the tests does the same.
	Update bool
}

// Run plays files on targets: scenarios, names of built-in scenarios, and object files that clang made
// for BPF.
func Run(t *testing.T, o Options, files ...string) {
	t.Helper()
	names := o.Targets
	if names == nil {
		names = releases()
	}
	for _, file := range files {
		t.Run(strings.ReplaceAll(file, "/", "."), func(t *testing.T) {
			if o.Parallel {
				t.Parallel()
			}
			if o.updates() {
				update(t, file, o, names)
			}
			b, err := object.Load(file, o.Object)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range names {
				t.Run(name, func(t *testing.T) {
					if o.Parallel {
						t.Parallel()
					}
					target, err := o.target(name)
					if err != nil {
						t.Fatal(err)
					}
					play(t, b, target)
				})
			}
		})
	}
}

// Play plays one scenario, given as text, on a target and returns what happened, for a test that
// judges for itself. It fails the test if the scenario cannot be played, and skips it if the target has
// no code for it. Events and code of the runs are not in the result.
func Play(t testing.TB, target, text string) *runner.Result {
	t.Helper()
	sc, err := scenarios.Load(t.Name(), []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	b, err := scenarios.Build(sc)
	if err != nil {
		t.Fatal(err)
	}
	tgt, err := jit.TargetByName(target)
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, b, tgt)
	defer closed(t, s)
	res, err := s.Play(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range res.Runs {
		res.Runs[i].Events, res.Runs[i].Code = nil, nil // the session's
	}
	return res
}

// target is the one of a name.
func (o Options) target(name string) (*jit.Target, error) {
	t, err := jit.TargetByName(name)
	if err == nil && o.Limit != 0 {
		t.Limit = o.Limit
	}
	return t, err
}

// releases are the targets that are kernels as they were released.
func releases() []string {
	var out []string
	for _, n := range jit.TargetNames() {
		if t, err := jit.TargetByName(n); err == nil && t.Version != (kernels.Version{}) && len(t.Features) == 0 {
			out = append(out, n)
		}
	}
	return out
}

func open(t testing.TB, b *scenarios.Built, target *jit.Target) *runner.Session {
	t.Helper()
	c, err := runner.Compile(b, target)
	if errors.Is(err, kernels.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	s, err := runner.Open(c, runner.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func closed(t testing.TB, s *runner.Session) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// play fails the test with what is not as expected, and with the stack where an invariant broke.
func play(t *testing.T, b *scenarios.Built, target *jit.Target) {
	t.Helper()
	s := open(t, b, target)
	defer closed(t, s)
	res, err := s.Play(t.Context())
	if errors.Is(err, kernels.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if res.OK() {
		return
	}
	for _, m := range res.Mismatches() {
		t.Error(m)
	}
	if v := res.Violation(); v != nil {
		t.Errorf("%v%s", v, drawn(t.Context(), s, res))
	}
}

// drawn is the stack where the last run broke an invariant, "" if it broke none.
func drawn(ctx context.Context, s *runner.Session, res *runner.Result) string {
	n := len(res.Runs)
	if n == 0 || res.Runs[n-1].Violation == nil {
		return ""
	}
	at, err := stack.ParseAt("violation")
	if err != nil {
		return err.Error()
	}
	d, err := s.Stack(ctx, n, at)
	if err != nil {
		return err.Error()
	}
	return "\n" + d[0].Layout.Picture(stack.Options{Title: d[0].Moment.Name})
}
