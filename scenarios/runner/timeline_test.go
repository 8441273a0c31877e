// SPDX-License-Identifier: GPL-2.0-only

package runner_test

import (
	"errors"
	"os"
	"slices"
	"testing"

	"github.com/tcsim/tcsim/emu/check"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// begun returns a timeline of a built-in scenario.
func begun(t *testing.T, name, on string) (*runner.Session, *runner.Timeline) {
	t.Helper()
	s := opened(t, compiled(t, build(t, name), target(t, on)), runner.Options{})
	tl, err := s.Begin()
	if err != nil {
		t.Fatal(err)
	}
	return s, tl
}

// listing is the code of the first function as it is in memory.
func listing(t *testing.T, s *runner.Session) []image.ATTLine {
	t.Helper()
	lines, err := s.ATT(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// TestTimelineStops goes up to an update that breaks an invariant, which the file foresees: what comes after
// it is not reached, and nothing goes on.
func TestTimelineStops(t *testing.T) {
	_, tl := begun(t, "poke_one_site", "jmp-always-valid")
	if err := tl.ToRun(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	if a, at := tl.Next(); a == nil || a.Kind != scenarios.ActRun || at != 4 || len(tl.Result().Runs) != 2 || len(tl.Result().Updates) != 2 {
		t.Errorf("before run 3: event %d, %d runs, %d updates", at, len(tl.Result().Runs), len(tl.Result().Updates))
	}
	var early *runner.NotReached
	if err := tl.ToRun(t.Context(), 4); !errors.As(err, &early) || early.Run != 4 || !early.Stopped.Foreseen || early.Stopped.Violation.Invariant != check.Pokes {
		t.Fatalf("run 4: %v", err)
	}
	if a, _ := tl.Next(); a != nil || tl.Stopped() == nil {
		t.Errorf("it goes on with %v", a)
	}
	if err := tl.Step(t.Context()); err == nil {
		t.Error("a step after the end is no error")
	}
}

// TestFirstUpdate has the first event stop everything.
func TestFirstUpdate(t *testing.T) {
	src, err := os.ReadFile("testdata/first_update.yaml")
	if err != nil {
		t.Fatal(err)
	}
	s := opened(t, compiled(t, buildText(t, "first_update.yaml", src), target(t, "jmp-always-valid")), runner.Options{})
	var early *runner.NotReached
	if _, err := s.PlayTo(t.Context(), 1); !errors.As(err, &early) || early.Stopped.Foreseen || early.Stopped.What != "put next into jt[0]" {
		t.Errorf("%v", err)
	}
	if _, err := s.Before(t.Context(), 1); !errors.As(err, &early) {
		t.Errorf("%v", err)
	}
}

// TestPlayToEndsThere has an update after a run, which is not part of playing up to the run.
func TestPlayToEndsThere(t *testing.T) {
	s, _ := begun(t, "poke_one_site", "6.12")
	loaded := listing(t, s)
	if _, err := s.PlayTo(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if now := listing(t, s); !slices.Equal(now, loaded) {
		t.Errorf("after run 1 the code is\n%s\nand not as after loading:\n%s", now, loaded)
	}
	tl, err := s.Begin()
	if err != nil {
		t.Fatal(err)
	}
	if err := tl.ToRun(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	if slices.Equal(listing(t, s), loaded) {
		t.Error("the update before run 2 has changed nothing")
	}
}

// TestLeaveOut leaves out the update before run 2, which then finds what run 1 found, and a run, after which
// there is one less.
func TestLeaveOut(t *testing.T) {
	for event, returns := range map[int][]uint64{-1: {1, 2, 7, 1}, 1: {1, 1, 7, 1}, 0: {2, 7, 1}} {
		_, tl := begun(t, "poke_one_site", "6.12")
		tl.LeaveOut(event)
		if err := tl.ToEnd(t.Context()); err != nil {
			t.Fatal(err)
		}
		var got []uint64
		for _, r := range tl.Result().Runs {
			got = append(got, r.Return)
		}
		if !slices.Equal(got, returns) {
			t.Errorf("without event %d: %d, want %d", event, got, returns)
		}
	}
}

// TestLoadingBreaks changes the code of a direct tail call so that filling its slot finds other bytes than the
// kernel expects: nothing is reached.
func TestLoadingBreaks(t *testing.T) {
	c := compiled(t, build(t, "poke_one_site"), target(t, "6.12"))
	f := &c.Images[0].Funcs[0]
	f.Code[f.TailCalls[0].Jump+4] ^= 1 // a nop of another form
	s := opened(t, c, runner.Options{})
	tl, err := s.Begin()
	if err != nil {
		t.Fatal(err)
	}
	if st := tl.Stopped(); st == nil || st.What != "loading" || st.Violation.Invariant != check.Pokes || st.Foreseen {
		t.Errorf("stopped: %v", st)
	}
	var early *runner.NotReached
	if _, err := s.PlayTo(t.Context(), 1); !errors.As(err, &early) {
		t.Errorf("run 1: %v", err)
	}
	if res := play(t, s); res.OK() || len(res.Runs) != 0 || res.Violation() == nil {
		t.Errorf("%+v", res)
	}
}
