// SPDX-License-Identifier: GPL-2.0-only

// Package report makes one HTML file of scenarios on targets: a time line of each run with the stack, the
// code, the registers and the call tree at each event, and tables of verdicts, code and costs. The file
// needs no network and nothing else.
//
//	r := report.New(report.Options{Core: core})
//	err := r.Add(ctx, built, targets)
//	err = r.Write(file)
//
// What is shown are the results that commands print for --json: it computes none of its own. It must not import
// the command line. The page itself is in the folder page: a template, a style sheet and a script, which draws the
// time line alone; every table is in the template and can be read without the script.
package report
