// SPDX-License-Identifier: GPL-2.0-only

// Package runner runs one scenario on one target, or one captured scenario: the only place that
// wires compiler, machine, recorder and invariants together.
//
//	b, err := scenarios.Build(sc)
//	c, err := runner.Compile(b, target)
//	s, err := runner.Open(c, runner.Options{})
//	defer s.Close()
//	res, err := s.Play(ctx)
//
// A Session and its machine belong to one goroutine; Compiled values may be shared.
package runner
