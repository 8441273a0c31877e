// SPDX-License-Identifier: GPL-2.0-only

package runner_test

import (
	"strings"
	"testing"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/check"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// TestProposalBugs has what each rejected design does wrong: the first broken invariant with every
// store seen, and with only calls and returns seen, which shows what the wrong store leads to.
func TestProposalBugs(t *testing.T) {
	for _, c := range []struct {
		scenario, target string
		all, later       check.Invariant
		text             string // of the first
	}{
		{"bug_empty_slot_r6", "pop-nop-push", check.CalleeSaved, check.CalleeSaved, "rbx (R6) is 0xc10bbe4ed0000003 after a refused tail call"},
		{"bug_stale_pointer", "hier-rfc1", check.Frame, check.Limit, "the program writes 8 bytes at 0xffffc90000203fb8: tail_call_cnt lives there"},
		{"bug_hidden_slots", "maciej-hidden16", check.Frame, check.FaultFree, "tail_call_cnt_ptr in the frame of entry"},
		{"bpf2bpf_3", "maciej-hidden16", check.Frame, check.FaultFree, "tail_call_cnt_ptr in the frame of entry"},
		{"bug_counter_per_program", "hier-percpu-prog-b", check.Limit, check.Limit, "the 34th tail call was taken"},
		{"bug_reinsert", "jmp-always-valid", check.Pokes, check.Pokes, "EBUSY"},
		{"bug_returned_count", "backprop-check", check.Limit, check.Limit, "the 34th tail call was taken"},
		{"hierarchy", "pop-nop-push", check.Limit, check.Limit, "the 34th tail call was taken"},
	} {
		t.Run(c.scenario+"/"+c.target, func(t *testing.T) {
			cc := compiled(t, build(t, c.scenario), target(t, c.target))
			for level, want := range map[emu.Level]check.Invariant{emu.LevelRetired: c.all, emu.LevelSites: c.later} {
				v := play(t, opened(t, cc, runner.Options{Level: level})).Violation()
				switch {
				case v == nil || v.Invariant != want:
					t.Errorf("level %d: violation %v, want %s", level, v, want)
				case level == emu.LevelRetired && !strings.Contains(v.Text, c.text):
					t.Errorf("%q does not say %q", v.Text, c.text)
				}
			}
		})
	}
}

// TestProposalsRight plays the scenarios of the hierarchy and of the bugs on the designs that were not
// wrong, only refused: 33 tail calls and nothing broken.
func TestProposalsRight(t *testing.T) {
	for _, name := range []string{
		"hier-rfc2", "hier-percpu", "hier-percpu-dec", "hier-percpu-prog-a", "hier-task", "hier-runctx", "backprop-poke",
		"hier-rfc2-retpoline", "hier-rfc2-endbr-sls",
	} {
		if testing.Short() && name != "hier-rfc2" && name != "backprop-poke" {
			continue
		}
		for scenario, taken := range map[string]uint64{
			"hierarchy": 33, "hierarchy_1": 33, "hierarchy_2": 33, "hierarchy_3": 33, "bpf2bpf_2": 33, "bug_stale_pointer": 33,
			"bug_hidden_slots": 1, "bug_counter_per_program": 33, "bug_returned_count": 33, "bug_empty_slot_r6": 0,
		} {
			res := play(t, opened(t, compiled(t, build(t, scenario), target(t, name)), runner.Options{}))
			if v := res.Violation(); v != nil || !res.OK() || res.Runs[0].Counts.Taken != taken {
				t.Errorf("%s on %s: %v, %v, %d tail calls", scenario, name, v, res.Mismatches(), res.Runs[0].Counts.Taken)
			}
		}
	}
}

// TestFramesOfRFC2 has what a main program of hier-rfc2 looks like from outside: the chain of frame
// pointers leads to the caller, but the return address beside the saved rbp is in the prologue.
func TestFramesOfRFC2(t *testing.T) {
	s := opened(t, compiled(t, build(t, "hierarchy"), target(t, "hier-rfc2")), runner.Options{})
	run, err := s.PlayTo(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	var returns, calls uint64
	for _, e := range run.Events {
		switch e.Kind {
		case trace.KindReturn:
			returns++
		case trace.KindCall, trace.KindEntry:
			calls++
		}
	}
	if returns != calls || returns == 0 {
		t.Errorf("%d calls, %d returns", calls, returns)
	}
	// Two words more, once: the counter and the second return address.
	plain, err := opened(t, compiled(t, build(t, "hierarchy"), target(t, "hier-runctx")), runner.Options{}).PlayTo(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if run.Deepest != plain.Deepest+16 {
		t.Errorf("%d bytes of stack, %d with the counter in the caller", run.Deepest, plain.Deepest)
	}
}
