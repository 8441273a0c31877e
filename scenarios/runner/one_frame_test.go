// SPDX-License-Identifier: GPL-2.0-only

package runner_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/emu/stack"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// TestOneFrameDesigns plays scenarios of the library on the designs before 5.10, also with the
// retpoline inline: it is refused as unsupported exactly where the kernels of that time have no
// bpf-to-bpf calls or do not allow tail calls together with them, else it gives what its file says.
func TestOneFrameDesigns(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
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
				tg := target(t, tn)
				c, err := runner.Compile(b, tg)
				if want := mixed[scenario] || scenario == "fp40_other_frame" && tg.Verifier.NoSubprogs; want {
					if !errors.Is(err, kernels.ErrUnsupported) {
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

// TestHandedOverFrame has what is known of a frame that a program with a smaller one goes on in: the
// drawing shows it as it was made.
func TestHandedOverFrame(t *testing.T) {
	b := buildText(t, "small.yaml", []byte(`
version: 1
name: small
maps:
  m: {type: prog_array, slots: {0: leaf}}
programs:
  entry: [tail_call: m, return: 0]
  leaf:
    stack: 8
    steps: [{set: fp-8, to: 3}, {helper: get_prandom_u32}, {return: fp-8}]
runs:
  - {run: entry, expect: {return: 3, taken: 1}}
`))
	for _, name := range []string{"fp-r12", "fp40", "fp-dbl", "fp53", "direct-poke"} {
		s := opened(t, compiled(t, b, target(t, name)), runner.Options{})
		if res := play(t, s); !res.OK() {
			t.Errorf("%s: %v, violation %v", name, res.Mismatches(), res.Violation())
		}
		at, err := stack.ParseAt("3") // leaf calls the helper
		if err != nil {
			t.Fatal(err)
		}
		d, err := s.Stack(context.Background(), 1, at)
		if err != nil || len(d) != 1 {
			t.Fatalf("%s: %d drawings, %v", name, len(d), err)
		}
		stackBytes, tcc := 0, uint64(0)
		for _, slot := range d[0].Layout.Slots {
			switch {
			case strings.HasPrefix(slot.Label, "fp-"):
				stackBytes += slot.Size
			case slot.Count != nil:
				tcc = *slot.Count
			case slot.Label == "?":
				t.Errorf("%s: slot %+v is not explained", name, slot)
			}
		}
		if stackBytes != 512 || tcc != 1 {
			t.Errorf("%s: %d bytes of BPF stack and a count of %d, expected 512 and 1", name, stackBytes, tcc)
		}
	}
}
