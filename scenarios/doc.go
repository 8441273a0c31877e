// SPDX-License-Identifier: GPL-2.0-only

// Package scenarios owns the scenario file: its format, the checks that a file must pass, the
// programs that its graphs and assembly texts stand for, and the comparison of a run with what the
// file expects. docs/scenario-format.md describes the format for those who write such files.
//
// Everything here is pure data: Load reads text into a Scenario, Build turns it into programs as
// they would be submitted to the kernel, Expect.Check judges an Outcome that somebody else
// observed. The package must not import the emulator.
package scenarios

//go:generate go test -run ^TestSchema$ . -args -update
