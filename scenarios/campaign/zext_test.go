// SPDX-License-Identifier: GPL-2.0-only

package campaign_test

import (
	"context"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/scenarios/campaign"
	"github.com/tcsim/tcsim/scenarios/graph"
	"github.com/tcsim/tcsim/scenarios/runner"
	"github.com/tcsim/tcsim/scenarios/runner/runnertest"
)

// withoutZext is a kernel that does not clear the upper half of rax after a 32-bit cmpxchg.
func withoutZext(t *testing.T) *jit.Target {
	return runnertest.Edited(target(t, "6.12"), runnertest.Replaced("\xf0\x0f\xb1\x56\x00\x89\xc0", "\xf0\x0f\xb1\x56\x00\x66\x90"))
}

const cmpxchg32 = `
version: 1
name: cmpxchg32
maps:
  words: {type: array, value_size: 16, max_entries: 1}
programs:
  entry:
    - {atomic: cmpxchg, on: u32 words, is: 0, to: 5}
    - {set: u64 words+8, to: result}
    - return: 0
runs:
  - {run: entry, packet: 64, expect: {values: {"words": 5, "words+8": 0}}}
`

// TestZext has the missing zero-extension after cmpxchg found by a run and by random graphs. Replay is asked in
// scenarios/replay.
func TestZext(t *testing.T) {
	b := buildText(t, "cmpxchg32.yaml", []byte(cmpxchg32))
	if r := play(t, opened(t, compiled(t, b, target(t, "6.12")), runner.Options{})); !r.OK() {
		t.Errorf("as it is: %v", r.Mismatches())
	}
	bad := withoutZext(t)
	r := play(t, opened(t, compiled(t, b, bad), runner.Options{}))
	if v := r.Violation(); v == nil || v.Invariant != "semantics" {
		t.Errorf("without it: %v", v)
	}
	f := campaign.NewFuzzer([]*jit.Target{bad})
	defer f.Close()
	for n := range uint64(600) {
		g := graph.Random(graph.NewChoices(5, n))
		if !strings.Contains(graph.Text(g.Scenario("g")), "atomic: cmpxchg, on: u32") {
			continue
		}
		js, err := f.Play(context.Background(), g)
		if err != nil {
			t.Fatal(err)
		}
		if js[0].Verdict == "semantics" {
			t.Logf("found by graph %d: %s", n, js[0].Why)
			return
		}
	}
	t.Error("no random graph finds it")
}
