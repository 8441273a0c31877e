//go:build cgo

// SPDX-License-Identifier: GPL-2.0-only

package campaign_test

import (
	"context"
	"slices"
	"testing"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/campaign"
)

// TestBugs compares what runs show on every mainline release, and on the stable trees that were looked at, with
// what the registry says of the bug's fact.
func TestBugs(t *testing.T) {
	if testing.Short() {
		t.Skip("plays every release")
	}
	shown := map[string]int{}
	check := func(tg *jit.Target, patch int) {
		checks, err := campaign.CheckTarget(context.Background(), tg, patch, func(int) {})
		if err != nil {
			t.Fatalf("%s: %v", tg.Name, err)
		}
		for _, c := range checks {
			in := c.Bug.In(tg.Version, patch)
			if c.Here == campaign.BugUnknown || c.Here.Here() != in {
				t.Errorf("%s, patch level %d: %s is here: %v (%s), the registry says %v", tg.Name, patch, c.Bug.Name, c.Here, c.Why, in)
			}
			if c.Here == campaign.BugShown {
				shown[c.Bug.Name]++
			}
		}
	}
	for _, r := range kernels.Releases() {
		check(jit.TargetOfRelease(kernels.Mainline(r.Version)), 0)
		if r.Patch > 0 {
			check(jit.TargetOfRelease(r), r.Patch)
		}
	}
	for i := range campaign.Bugs {
		if b := &campaign.Bugs[i]; b.Scenario != "" && shown[b.Name] == 0 {
			t.Errorf("%s: no release shows it", b.Name)
		}
	}
}

// TestHistory has verdicts that change with one fact, with several together, and not at all.
func TestHistory(t *testing.T) {
	h, err := campaign.PlayHistory(context.Background(), []*scenarios.Built{build(t, "hierarchy"), build(t, "bpf2bpf_6"), build(t, "chain33")}, campaign.MatrixOptions{})
	if err != nil {
		t.Fatal(err)
	}
	v := func(major, minor int) kernels.Version { return kernels.Version{Major: major, Minor: minor} }
	type span struct {
		from, to kernels.Version
		verdict  campaign.Verdict
		causes   []string
		together bool
	}
	newest := kernels.Newest().Version
	want := map[string][]span{
		"hierarchy": {
			{v(4, 4), v(5, 9), campaign.VerdictUnsupported, nil, false},
			{v(5, 10), v(6, 11), "limit", []string{"rework-5.10", "no-mix", "whole-stack"}, true},
			{v(6, 12), newest, campaign.VerdictOK, []string{"hier-6.12"}, false},
		},
		"bpf2bpf_6": {
			{v(4, 4), v(5, 9), campaign.VerdictUnsupported, nil, false},
			{v(5, 10), v(5, 18), "semantics", []string{"no-mix"}, false},
			{v(5, 19), newest, campaign.VerdictOK, []string{"unrounded-reload"}, false},
		},
		"chain33": {{v(4, 4), newest, campaign.VerdictOK, nil, false}},
	}
	for _, got := range h {
		if len(got.Spans) != len(want[got.Scenario]) {
			t.Errorf("%s: %+v", got.Scenario, got.Spans)
			continue
		}
		for i, w := range want[got.Scenario] {
			g := &got.Spans[i]
			var causes []string
			for _, f := range g.Causes {
				causes = append(causes, f.Name)
			}
			if g.From != w.from || g.To != w.to || g.Cell.Verdict != w.verdict || !slices.Equal(causes, w.causes) || g.Together != w.together {
				t.Errorf("%s from %s: to %s, %s by %v (together: %v); want from %s to %s, %s by %v (%v)",
					got.Scenario, g.From, g.To, g.Cell.Verdict, causes, g.Together, w.from, w.to, w.verdict, w.causes, w.together)
			}
		}
	}
}
