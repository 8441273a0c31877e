// SPDX-License-Identifier: GPL-2.0-only

package measured_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tcsim/tcsim/emu/timing"
	"github.com/tcsim/tcsim/emu/timing/measured"
	"github.com/tcsim/tcsim/emu/timing/timingtest"
)

// TestStatesOf groups passes; single ones are disturbed and belong to no state.
func TestStatesOf(t *testing.T) {
	for _, c := range []struct {
		passes []float64
		want   []measured.State
	}{
		{[]float64{10, 10.1, 10.05}, []measured.State{{10, 10.05, 10.1}}},
		{[]float64{20, 10, 10.1, 20.2}, []measured.State{{10, 10.05, 10.1}, {20, 20.1, 20.2}}},
		{[]float64{10, 10.1, 10.2, 30}, []measured.State{{10, 10.1, 10.2}}},
		{nil, nil},
	} {
		if diff := cmp.Diff(c.want, measured.StatesOf(c.passes)); diff != "" {
			t.Errorf("%v: %s", c.passes, diff)
		}
	}
	s := measured.Sequence{Median: 20, P10: 19.9, P90: 20.1, States: measured.StatesOf([]float64{10, 10.1, 20, 20.1})}
	if r := s.Judge(10.05); r.Error != 0 || r.States != 2 {
		t.Errorf("in the other state: %+v", r)
	}
	if r := s.Judge(11); r.Error < 9 || r.Error > 10 {
		t.Errorf("near the other state: %+v", r)
	}
}

// TestHeldOut fixes which sequences are held out.
func TestHeldOut(t *testing.T) {
	var held []string
	for _, s := range timingtest.Load(t).Measured.Sequences {
		if measured.HeldOut(s.Name) {
			held = append(held, s.Name)
		}
	}
	if len(held) != 51 || !slices.Contains(held, "rmw_reg") || slices.Contains(held, "jcc_random") {
		t.Errorf("%d held out: %v", len(held), held)
	}
}

// TestSweep: a value that changes a prediction names the sequence.
func TestSweep(t *testing.T) {
	c := timingtest.Load(t)
	glc := timingtest.Core(t, "glc")
	predict := func(k *timing.Core) (rs []measured.Result) {
		for _, n := range []string{"load_chain", "add_rr_dep", "rmw_reg"} {
			rs = append(rs, c.Predict(t, k, n))
		}
		return rs
	}
	slow, err := glc.With("memory.load_latency", "6")
	if err != nil {
		t.Fatal(err)
	}
	base := predict(glc)
	s := measured.NewSweep(glc, timing.Param{Path: "memory.load_latency", Value: "5"}, base, []string{"5", "6"}, [][]measured.Result{base, predict(slow)})
	if len(s.Points) != 2 || len(s.Points[0].Moved) != 0 || len(s.Points[1].Moved) == 0 || s.Points[1].Moved[0].Name != "load_chain" {
		t.Errorf("%+v", s)
	}
	var b strings.Builder
	if err := s.WriteText(&b); err != nil || !strings.Contains(b.String(), "memory.load_latency = 6\n  load_chain") {
		t.Errorf("%v\n%s", err, b.String())
	}
}

// TestSweepInterrupted keeps the values before one that cannot be measured to its end.
func TestSweepInterrupted(t *testing.T) {
	glc := timingtest.Core(t, "glc")
	for finished, want := range []int{-1, 0, 1} {
		n := 0
		s, err := measured.TrySweep(glc, "memory.load_latency=5,6,7", func(*timing.Core) ([]measured.Result, error) {
			if n++; n > finished {
				return nil, context.Canceled
			}
			return nil, nil
		})
		if !errors.Is(err, context.Canceled) || (s == nil) != (want < 0) || s != nil && (!s.Interrupted || len(s.Points) != want) {
			t.Errorf("%d measured: %+v, %v", finished, s, err)
		}
	}
}
