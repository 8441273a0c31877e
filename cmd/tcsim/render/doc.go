// SPDX-License-Identifier: GPL-2.0-only

// Package render is what commands print, and what they print for --json: tables, verdicts on
// runs and captures, stack drawings, TAP and JUnit, and a type for the one object of each command. It
// turns results into text and decides nothing; a command calls
//
//	render.JSON(os.Stdout, render.Run{Schema: render.SchemaRun, Results: rows})
//
// It must not import the command line: package main alone knows flags and exit codes.
package render
