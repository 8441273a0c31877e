// SPDX-License-Identifier: GPL-2.0-only

package runner_test

import (
	"errors"
	"testing"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// TestOneFrameDesigns plays scenarios of the library on the designs before 5.10, also with the
// retpoline inline: it is refused as unsupported exactly where the kernels of that time have no
// bpf-to-bpf calls or do not allow tail calls beside them, else it gives what its file says.
func TestOneFrameDesigns(t *testing.T) {
	mixed := map[string]bool{
		"bpf2bpf_1": true, "bpf2bpf_6": true, "hierarchy": true, "refused_keeps_state": true, "verifier_tailcall_jit": true,
	}
	for _, name := range []string{"classic-4.4", "fpshift-4.13", "josh-simple", "fp-r12", "fp40", "fp-dbl", "fp53", "direct-poke", "direct-poke-nodirect"} {
		ran := 0
		for _, scenario := range []string{
			"chain33", "empty_slot_budget", "fp40_add", "fp40_compare", "fp40_other_frame", "fp40_spill", "fp40_spill_copy", "runtime_jit",
			"tailcall_1", "tailcall_2", "tailcall_3", "tailcall_4", "tailcall_5", "tailcall_6", "test_bpf",
			"bpf2bpf_1", "bpf2bpf_6", "hierarchy", "refused_keeps_state", "verifier_tailcall_jit",
		} {
			b := build(t, scenario)
			for _, tn := range []string{name, name + "-inline"} {
				c, err := runner.Compile(b, target(t, tn))
				if want := mixed[scenario] || scenario == "fp40_other_frame" && name == "classic-4.4"; want {
					if !errors.Is(err, jit.ErrUnsupported) {
						t.Errorf("%s on %s: error is %v, expected ErrUnsupported", scenario, tn, err)
					}
					continue
				}
				if err != nil {
					t.Error(err)
					continue
				}
				ran++
				res := play(t, opened(t, c, runner.Options{}))
				if !res.OK() {
					t.Errorf("%s on %s: %v, violation %v", scenario, tn, res.Mismatches(), res.Violation())
				}
			}
		}
		if ran < 26 {
			t.Errorf("%s: only %d scenarios ran", name, ran)
		}
	}
}

// TestFrameWithoutChain has the complaint of 2019: at a call, rbp of the designs before 5.3 leads
// no unwinder to the caller. fp-dbl goes through a second frame, the others have a plain chain.
func TestFrameWithoutChain(t *testing.T) {
	b := buildText(t, "call.yaml", []byte(`
version: 1
name: call
programs:
  p: [helper: get_prandom_u32, return: 0]
runs: [run: p]
`))
	for name, want := range map[string]string{
		"classic-4.4": "", "fpshift-4.13": "backtrace", "josh-simple": "backtrace", "fp-r12": "", "fp40": "", "fp-dbl": "",
		"fp53": "", "direct-poke": "", "5.10": "", "6.12": "",
	} {
		res := play(t, opened(t, compiled(t, b, target(t, name)), runner.Options{}))
		got := ""
		if v := res.Violation(); v != nil {
			got = string(v.Invariant)
		}
		if got != want {
			t.Errorf("%s: violation is %q, expected %q", name, got, want)
		}
	}
}
