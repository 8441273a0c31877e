// SPDX-License-Identifier: GPL-2.0-only

// Package runner runs one scenario on one target: it wires compiler, machine, recorder, invariants and
// reference interpreter together.
//
//	b, err := scenarios.Build(sc)
//	c, err := runner.Compile(b, target)
//	s, err := runner.Open(c, runner.Options{})
//	defer s.Close()
//	res, err := s.Play(ctx)
//
// What there is to run is a Compiled: a plan that never changes and that sessions may share. A Rig is a machine that
// one plan after the other is loaded into, which gives a Session; where the session's scenario stands is a
// Timeline, the only thing that advances it. A Machine is the same for code without a scenario.
//
// The package must not import what is built on it: interleave, replay, campaign. A Rig, with all that is loaded
// into it, belongs to one goroutine.
package runner
