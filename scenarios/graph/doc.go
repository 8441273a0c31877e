// SPDX-License-Identifier: GPL-2.0-only

// Package graph owns graphs of programs that tail call each other: random ones, all small ones, and
// what becomes of them.
//
//	c := graph.NewChoices(seed, i)
//	g := graph.Random(c)
//	b, err := scenarios.Build(g.Scenario("name"))
//
// A graph is made from a stream of choices, and every stream makes a valid graph: Shrink works on
// the stream and needs to know nothing of graphs. All walks through every graph up to a size. A
// graph becomes a scenario (Scenario, Text) or C code (C).
//
// Everything here is pure data and deterministic; the package must not import the emulator.
package graph
