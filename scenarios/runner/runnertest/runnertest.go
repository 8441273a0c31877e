// SPDX-License-Identifier: GPL-2.0-only

// Package runnertest has what tests of runner, and of packages above it, begin with: built-in scenarios,
// targets, open sessions. Whatever fails ends the test.
//
//	s := runnertest.Opened(t, runnertest.Compiled(t, runnertest.Build(t, "hierarchy"), runnertest.Target(t, "6.12")), runner.Options{})
//	res := runnertest.Play(t, s)
package runnertest

import (
	"context"
	"testing"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/files"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// Kernels are the targets that lists begin with.
var Kernels = jit.KernelNames()

// Build returns a built-in scenario.
func Build(t testing.TB, name string) *scenarios.Built {
	t.Helper()
	file, src, err := files.Find(name)
	if err != nil {
		t.Fatal(err)
	}
	return BuildText(t, file, src)
}

// BuildText builds the text of a scenario. Errors name it file.
func BuildText(t testing.TB, file string, src []byte) *scenarios.Built {
	t.Helper()
	sc, err := scenarios.Load(file, src)
	if err != nil {
		t.Fatal(err)
	}
	b, err := scenarios.Build(sc)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Library returns every built-in scenario.
func Library(t testing.TB) []*scenarios.Built {
	t.Helper()
	var bs []*scenarios.Built
	for _, n := range files.Builtin() {
		bs = append(bs, Build(t, n))
	}
	return bs
}

// Target returns the target of a name.
func Target(t testing.TB, name string) *jit.Target {
	t.Helper()
	tg, err := jit.TargetByName(name)
	if err != nil {
		t.Fatal(err)
	}
	return tg
}

// AllTargets returns every target.
func AllTargets(t testing.TB) []*jit.Target {
	t.Helper()
	var ts []*jit.Target
	for _, n := range jit.TargetNames() {
		ts = append(ts, Target(t, n))
	}
	return ts
}

// Compiled compiles a scenario for a target.
func Compiled(t testing.TB, b *scenarios.Built, tg *jit.Target) *runner.Compiled {
	t.Helper()
	c, err := runner.Compile(b, tg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Opened opens a session that the end of the test closes.
func Opened(t testing.TB, c *runner.Compiled, o runner.Options) *runner.Session {
	t.Helper()
	s, err := runner.Open(c, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Play plays all of a session.
func Play(t testing.TB, s *runner.Session) *runner.Result {
	t.Helper()
	res, err := s.Play(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return res
}
