// SPDX-License-Identifier: GPL-2.0-only

package replay_test

import (
	"context"
	"testing"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/scenarios/measure"
	"github.com/tcsim/tcsim/scenarios/replay"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// TestCountCapture counts what images of a real kernel do, those included that it did not dare to
// run. Under -short every fifth scenario, and those whose counts are known.
func TestCountCapture(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	src, err := capture.Open("../../fixtures/kernels/6.1-off.jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	target, err := jit.TargetFor(src.Header.Kernel)
	if err != nil {
		t.Fatal(err)
	}
	r, err := replay.New(runner.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	known := map[string]string{
		"hier/sub-and-main/const/n1": "17179869182",
		"hier/self/const/n2/r6":      "17179869182",
		"hier/self/const/n3/r6":      "8338590849833283",
	}
	counted, dared := 0, 0
	for _, category := range []string{"tail/*", "hier/*"} {
		numbers, err := replay.Select(src, category)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range numbers {
			captured, err := replay.Capture(src, target, i)
			if err != nil {
				t.Fatal(err)
			}
			c := captured.Known()
			if len(c.Images) == 0 {
				continue // refused when it was loaded
			}
			got, err := r.Count(context.Background(), captured, measure.CountOptions{Sample: 1000})
			if err != nil {
				t.Fatalf("%s: %v", c.Scenario.Name, err)
			}
			if len(got.Wrong) != 0 || got.Endless != nil || got.Fault != nil {
				t.Errorf("%s: %v, endless %v, fault %v", c.Scenario.Name, got.Wrong, got.Endless, got.Fault)
			}
			if want := known[c.Scenario.Name]; want != "" && got.TailCalls.String() != want {
				t.Errorf("%s: %v tail calls, want %s", c.Scenario.Name, got.TailCalls, want)
			}
			counted++
			if c.Scenario.Run.Skipped == "" {
				dared++
			}
		}
	}
	t.Logf("%d scenarios counted, %d of them run by the kernel", counted, dared)
	if dared == counted || dared == 0 {
		t.Errorf("%d of %d scenarios were run by the kernel", dared, counted)
	}
}
