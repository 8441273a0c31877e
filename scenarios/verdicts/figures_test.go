// SPDX-License-Identifier: GPL-2.0-only

package verdicts_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/scenarios/object"
	"github.com/tcsim/tcsim/scenarios/verdicts"
)

// figures are what a 6.18.44 kernel prints of programs of fixtures/objects, some of which it refuses: instructions processed,
// states in all, states at one time. Where paths are compared, with what, and what two states must have in common decides them.
const figures = `
loader/callbacks.o arrays 556 29 29
loader/callbacks.o drained 34 4 4
loader/callbacks.o hashes 744 44 44
loader/callbacks.o loops 273 26 26
loader/functions.o deepest 10 1 1
loader/functions.o nothing 9 1 1
loader/kernel.o dynptrs 203 11 11
loader/kernel.o numbers 478 19 19
loader/large.o text 38 3 3
loader/license.o alive 1 0 0
loader/license.o dead 5 0 0
loader/license.o free_one 3 0 0
loader/tails.o absolute 17 1 1
loader/tails.o gives 21 2 2
loader/tails.o gives_and_reads 19 2 2
loader/tails.o keeps 12 1 1
loader/tails.o keeps_own 16 1 1
loader/tails.o not_five 15 1 1
loader/tails.o signs 16 0 0
loader/tails.o stacks 189 15 15
loader/tails.o unbounded 6 0 0
globals.o sum 46 2 2
hierarchy.o entry 37 4 4
loops.o callbacks 160 17 17
loops.o callbacks_and_calls 143 14 14
loops.o text 40 1 1
mangle.o nat 155 14 14
mangle.o push 71 6 6
maps.o count 87 4 4
maps.o record 72 5 5
maps.o route 92 6 6
`

func TestFigures(t *testing.T) {
	target, err := jit.TargetByName("6.18")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, line := range strings.Split(strings.TrimSpace(figures), "\n") {
		name, _, _ := strings.Cut(line, " ")
		if _, done := files[name]; done {
			continue
		}
		f, err := object.Open("../../fixtures/objects/"+name, object.ReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		rows, err := verdicts.File(t.Context(), f, nil, target, func(int) {})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			files[name] += fmt.Sprintf("%s %s %d %d %d\n", name, r.Program, r.Insns, r.States, r.PeakStates)
		}
	}
	for _, want := range strings.Split(strings.TrimSpace(figures), "\n") {
		name, _, _ := strings.Cut(want, " ")
		if !strings.Contains(files[name], want+"\n") {
			t.Errorf("want %q of\n%s", want, files[name])
		}
	}
}

// TestLicense: what is for programs under the GPL is refused where a path leads to it.
func TestLicense(t *testing.T) {
	target, err := jit.TargetByName("6.18")
	if err != nil {
		t.Fatal(err)
	}
	f, err := object.Open("../../fixtures/objects/loader/license.o", object.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	rows, err := verdicts.File(t.Context(), f, nil, target, func(int) {})
	if err != nil || len(rows) != 3 {
		t.Fatal(rows, err)
	}
	for _, r := range rows {
		want := map[string]verdicts.Kind{"alive": verdicts.Refused, "dead": verdicts.Accepted, "free_one": verdicts.Accepted}[r.Program]
		if r.Verdict != want || want == verdicts.Refused && !strings.Contains(r.Reason, "cannot call GPL-restricted function bpf_get_current_task") {
			t.Errorf("%s is %s: %s", r.Program, r.Verdict, r.Reason)
		}
	}
}
