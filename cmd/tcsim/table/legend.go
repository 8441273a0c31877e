// SPDX-License-Identifier: GPL-2.0-only

package table

import (
	"cmp"
	"strings"
)

// legends say what the heads of the tables of commands mean. Tables of other commands explain themselves.
var legends = map[string]string{
	"run": "taken, refused: tail calls; stack: bytes; insns: x86; cold, warm: cycles of the first run, of many",
	"replay": "as the kernel: runs that did what the kernel says; traced: of runs with tracing programs; apart: nothing can be " +
		"compared; taken, refused: tail calls; stack: bytes; insns: x86 instructions",
	"import --run": "taken, refused: tail calls; stack: bytes; insns: x86 instructions",
	"trace":        "d: depth of calls; tcc: tail_call_cnt; name[n]: instruction n of a program, slot n of a prog array",
	"trace --cost": "insns: x86 instructions executed; BPF: number of the instruction; causes: what cycles are spent on",
	"conform":      "identical: functions, in each state of the prog arrays, with the kernel's bytes",
	"fuzz":         ofFuzz,
	"merge":        ofFuzz,
	"explore":      "schedules: ways in which the steps fall between instructions; classes: of those that act alike",
	"worst": "bytes; stack: of the BPF programs of the callers; last, saved: of the program that runs last, and for saved registers; one " +
		"caller, alone: the worst of those; left/8K, left/16K: of the verifier's estimate and of a kernel stack",
	"worst --scenario": "",
	"verify":           "insns: instructions that the verifier follows; states, peak: that it keeps, in all and at one time; stack, size: in bytes",
	"cycles":           "p10, median, p90: of the measured cycles; error: 0 where the prediction lies between p10 and p90; MAPE: mean absolute error",
}

// ofFuzz explains a campaign, whether one machine played it or several.
const ofFuzz = "ok: as the reference interpreter; foreseen: beyond the limit, a known property of the design"

// notTables are the options with which commands print something else, or a table for programs.
var notTables = []string{
	"json", "tap", "ktap", "junit", "sarif", "csv", "pprof", "folded", "perfetto", "svg", "pipeline", "at", "trace", "sweep", "shard",
}

// legendWidth is how many columns a legend may take where nothing else is asked for.
const legendWidth = 100

// Legend is what explains the heads of the table that a command prints with these options, in lines of width columns or,
// if that is 0, of 100; "" if there is nothing to explain.
func Legend(command string, isSet func(option string) bool, width int) string {
	width = cmp.Or(width, legendWidth)
	if command != "run" && isSet("events") { // the verdicts of run are there beside the file
		return ""
	}
	for _, o := range notTables {
		if isSet(o) {
			return ""
		}
	}
	for _, o := range []string{"run", "cost", "scenario"} {
		if text, ok := legends[command+" --"+o]; ok && isSet(o) {
			return fold(text, width)
		}
	}
	return fold(legends[command], width)
}

// fold breaks text into lines at blanks.
func fold(text string, width int) string {
	var b strings.Builder
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > width {
			b.WriteString(line + "\n")
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	if line != "" {
		b.WriteString(line + "\n")
	}
	return b.String()
}
