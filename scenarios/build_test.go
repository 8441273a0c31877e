// SPDX-License-Identifier: GPL-2.0-only

package scenarios_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/fixtures/golden"
	"github.com/tcsim/tcsim/scenarios"
)

// TestSteps compares what steps become with a listing that somebody has read, and runs it.
func TestSteps(t *testing.T) {
	src, err := os.ReadFile("testdata/build/steps.yaml")
	if err != nil {
		t.Fatal(err)
	}
	sc, err := scenarios.Load("steps.yaml", src)
	if err != nil {
		t.Fatal(err)
	}
	b, err := scenarios.Build(sc)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for _, p := range b.Programs {
		for i, f := range p.Funcs {
			end := len(p.Insns)
			if i+1 < len(p.Funcs) {
				end = int(p.Funcs[i+1].Start)
			}
			fmt.Fprintf(&out, "%s/%s:\n", p.Name, f.Name)
			for _, line := range strings.Split(strings.TrimSpace(listing(p.Insns[f.Start:end])), "\n") {
				fmt.Fprintf(&out, "\t%s\n", line)
			}
		}
	}
	golden.Check(t, "testdata/build/steps.txt", out.String())
	for _, m := range replay(t, sc, worlds[0]) {
		t.Error(m)
	}
}

// TestCheckFailedIsSeen guards the point of CheckFailed: a check that fails shows in the
// return value wherever the program runs.
func TestCheckFailedIsSeen(t *testing.T) {
	const src = `version: 1
name: x
maps: {one: {}}
programs:
  p: [{check: one, is: 1}, {return: 5}]
runs:
  - {run: p, packet: 60, expect: {return: 5}}
`
	sc, err := scenarios.Load("x.yaml", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	got := replay(t, sc, worlds[0])
	want := "x.yaml:7:43: expected return 5, found 2989"
	if len(got) != 1 || got[0] != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
