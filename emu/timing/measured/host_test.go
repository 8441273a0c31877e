// SPDX-License-Identifier: GPL-2.0-only

package measured_test

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/emu/timing/measured"
)

// pass returns repetitions of a machine of two core cycles per tick, on which 800 trips take ten
// cycles each, with a small spread.
func pass(n int) []measured.HostRep {
	var reps []measured.HostRep
	for i := range n {
		reps = append(reps, measured.HostRep{
			Chain: [2]uint64{10000, 10000}, Nops: [2]uint64{500, 510}, Part: 600, Full: 600 + 3500 + uint64(i%11),
		})
	}
	return reps
}

func TestHost(t *testing.T) {
	s := measured.Sequence{Name: "s", Trips: 800, Copies: 2}
	// A tenth of the repetitions is disturbed in each of the ways that the method drops.
	disturbed := func(change func(*measured.HostRep)) []measured.HostRep {
		reps := pass(110)
		for i := 0; i < len(reps); i += 10 {
			change(&reps[i])
			reps[i].Full += 90000
		}
		return reps
	}
	for _, c := range []struct {
		name string
		reps []measured.HostRep
		kept int
	}{
		{"quiet", pass(110), 110},
		{"chains differ", disturbed(func(r *measured.HostRep) { r.Chain[1] = 10101 }), 99},
		{"other frequency", disturbed(func(r *measured.HostRep) { r.Chain = [2]uint64{10500, 10500} }), 99},
		{"neighbour", disturbed(func(r *measured.HostRep) { r.Nops[1] = 600 }), 99},
	} {
		all := [][]measured.HostRep{c.reps, pass(110), c.reps}
		h, err := s.Host(all, measured.BestNops(all))
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if h.Kept != 110+2*c.kept || h.Reps != 330 || len(h.PassMedians) != 3 {
			t.Errorf("%s: %+v", c.name, h)
		}
		for what, v := range map[string][2]float64{"median": {h.Median, 10.014}, "p10": {h.P10, 10.003}, "p90": {h.P90, 10.026}, "min": {h.Min, 10}} {
			if math.Abs(v[0]-v[1]) > 0.002 {
				t.Errorf("%s: %s %v, want %v", c.name, what, v[0], v[1])
			}
		}
	}
}

func TestHostUnstable(t *testing.T) {
	s := measured.Sequence{Name: "s", Trips: 800}
	bad := pass(100)
	for i := range bad {
		bad[i].Chain[i%2] += 200
	}
	for name, passes := range map[string][][]measured.HostRep{
		"nothing": nil, "empty pass": {{}}, "chains differ": {bad}, "most passes": {bad, pass(100), bad}, "zeros": {make([]measured.HostRep, 5)},
	} {
		if h, err := s.Host(passes, measured.BestNops(passes)); err == nil || !strings.Contains(err.Error(), "calibration unstable") {
			t.Errorf("%s: %+v, error %v", name, h, err)
		}
	}
	if h, err := s.Host([][]measured.HostRep{bad, pass(100), pass(100)}, 1000); err != nil || len(h.PassMedians) != 2 || h.Kept != 200 {
		t.Errorf("one bad pass of three: %+v, error %v", h, err)
	}
}

// TestHostNeighbour: a neighbour that is busy during a whole process shows beside a process without one.
func TestHostNeighbour(t *testing.T) {
	s := measured.Sequence{Name: "s", Trips: 800, Copies: 2}
	busy := pass(100)
	for i := range busy {
		busy[i].Nops = [2]uint64{600, 605}
		busy[i].Full += 700
	}
	all := [][]measured.HostRep{busy, pass(100), pass(100)}
	best := measured.BestNops(all)
	if best != 1000 {
		t.Fatalf("the best nops take %v cycles, want 1000", best)
	}
	h, err := s.Host(all, best)
	if err != nil || len(h.PassMedians) != 2 || h.Kept != 200 || math.Abs(h.Median-10.014) > 0.002 {
		t.Errorf("%+v, error %v", h, err)
	}
	if h, err := s.Host([][]measured.HostRep{busy, busy, busy}, best); err == nil {
		t.Errorf("only with the neighbour: %+v", h)
	}
	if b := measured.BestNops(nil); b != 0 {
		t.Errorf("of nothing: %v", b)
	}
}

func TestRewritten(t *testing.T) {
	two := strings.Replace(sequenceJSON, "}}]}", "}},"+strings.Replace(sequenceJSON[strings.Index(sequenceJSON, `{"name"`):], `"a"`, `"b"`, 1), 1)
	h := measured.HostCycles{Median: 3.00049, Min: 2, P10: 2.5, P90: 4, PassMedians: []float64{3, 3.1}, Kept: 9, Reps: 10}
	out, err := measured.Rewritten([]byte(two), "host", "2026-01-02", map[string]measured.HostCycles{"b": h})
	if err != nil {
		t.Fatal(err)
	}
	m, err := measured.Read("out", bytes.NewReader(out))
	if err != nil {
		t.Fatalf("%v in\n%s", err, out)
	}
	if len(m.Sequences) != 1 || m.Core != "host" || m.Date != "2026-01-02" {
		t.Fatalf("%+v", m)
	}
	s := m.Sequences[0]
	if s.Name != "b" || s.Median != 3 || s.P10 != 2.5 || s.P90 != 4 || len(s.Mem) != 1 || s.Trips != 10 || len(s.Code) != 9 {
		t.Errorf("%+v", s)
	}
}
