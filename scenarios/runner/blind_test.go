// SPDX-License-Identifier: GPL-2.0-only

package runner_test

import (
	"testing"

	"github.com/tcsim/tcsim/scenarios/runner"
)

// TestBlinded plays the library with blinded constants: everything is as without, and no tail call is
// direct. Under -short each kernel plays every fourth scenario.
func TestBlinded(t *testing.T) {
	for k, name := range []string{"5.10", "6.1", "6.12", "7.2"} {
		for n, b := range library(t) {
			if testing.Short() && n%16 != k {
				continue
			}
			if b.Scenario.Name == "verifier_tailcall_jit" {
				continue // it expects machine code
			}
			plain, err := runner.Compile(b, target(t, name))
			c, err2 := runner.Compile(b, target(t, name+"-blinded"))
			if (err == nil) != (err2 == nil) {
				t.Errorf("%s on %s: plain %v, blinded %v", b.Scenario.Name, name, err, err2)
			}
			if err != nil || err2 != nil {
				continue
			}
			for _, img := range c.Images {
				for f := range img.Funcs {
					for _, s := range img.Funcs[f].TailCalls {
						if s.Direct {
							t.Errorf("%s on %s: a tail call is direct", b.Scenario.Name, name)
						}
					}
				}
			}
			want, got := play(t, opened(t, plain, runner.Options{})), play(t, opened(t, c, runner.Options{}))
			if !got.OK() && want.OK() {
				t.Errorf("%s on %s: %v, violation %v", b.Scenario.Name, name, got.Mismatches(), got.Violation())
			}
		}
	}
}
