// SPDX-License-Identifier: GPL-2.0-only

package learn_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/tcsim/tcsim/emu/timing"
	"github.com/tcsim/tcsim/emu/timing/learn"
	"github.com/tcsim/tcsim/emu/timing/measured"
	"github.com/tcsim/tcsim/emu/timing/rows"
	"github.com/tcsim/tcsim/emu/timing/timingtest"
	"github.com/tcsim/tcsim/jit/x86"
)

// TestPlan: experiments have names of their own, are code that can be decoded to the end of the loop, and
// cover the forms of the emitters.
func TestPlan(t *testing.T) {
	names := map[string]bool{}
	reached := map[string]bool{}
	for _, e := range learn.Plan() {
		if names[e.Name] || e.Copies < 1 || e.Sequence.Trips < 32 {
			t.Errorf("%s: named twice, or %d copies and %d trips", e.Name, e.Copies, e.Sequence.Trips)
		}
		names[e.Name] = true
		s := &e.Sequence
		for at := 0; at < s.End; {
			i, err := x86.Decode(s.Code[at:], s.At+x86.Addr(at))
			if err != nil {
				t.Fatalf("%s: offset %d: %v", e.Name, at, err)
			}
			reached[rows.Of(&i)] = true
			at += int(i.Len)
		}
	}
	measuredRows := 0
	for _, c := range timing.Cores() {
		n := 0
		for _, r := range c.Rows() {
			if reached[r.ID] {
				n++
			}
		}
		measuredRows = max(measuredRows, n)
	}
	t.Logf("%d experiments, %d rows", len(names), measuredRows)
	if len(names) < 300 || measuredRows < 120 {
		t.Errorf("%d experiments reach %d rows", len(names), measuredRows)
	}
}

// TestSearch takes a core with wrong values back to where its own measurements are.
func TestSearch(t *testing.T) {
	c := timingtest.Load(t)
	var cases []learn.Case
	for i := range c.Measured.Sequences {
		if s := &c.Measured.Sequences[i]; s.Kind == "mem" || s.Name == "frame_sub_leave" {
			cases = append(cases, learn.Case{Sequence: s, Stream: c.Streams[s.Name][:4000]})
		}
	}
	wrong := timingtest.Core(t, "glc")
	wrong.Memory.Forward, wrong.Memory.LoadLatency = 7, 5
	d := &learn.Deduced{Core: wrong, Fixed: map[string]bool{}}
	for _, p := range wrong.Params() {
		d.Fixed[p.Path] = p.Path != "memory.forward"
	}
	got, steps, err := learn.Search(t.Context(), d, cases, func(int, int) {})
	if err != nil {
		t.Fatal(err)
	}
	if got.Memory.Forward != 5 || len(steps) == 0 {
		t.Errorf("forward is %d after %v, want 5", got.Memory.Forward, steps)
	}
}

// TestJournal: what was measured is there after a run that was cut off in the middle of a line.
func TestJournal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j")
	s := measured.Sequence{Name: "a", Code: []byte{0x90}, Trips: 5}
	for n := range 2 {
		j, err := learn.OpenJournal(path)
		if err != nil {
			t.Fatal(err)
		}
		c, _, ok := j.Get("here", &s)
		if ok != (n == 1) || ok && c.Median != 7 {
			t.Errorf("pass %d: %v, %v", n, c, ok)
		}
		if _, _, ok := j.Get("elsewhere", &s); ok {
			t.Error("another machine has figures of this one")
		}
		if err := j.Put("here", &s, measured.HostCycles{Median: 7}, ""); err != nil {
			t.Fatal(err)
		}
		j.Close()
	}
	link := path + ".link"
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if j, err := learn.OpenJournal(link); err == nil {
		t.Errorf("%v follows a link", j)
	}
}

// TestReturnStack: depths that could not be measured leave it to the others, and one that was disturbed does not end it.
func TestReturnStack(t *testing.T) {
	for _, size := range []int{16, 22, 52, 100} {
		fig := learn.Figures{}
		for depth := 4; depth <= 64; depth++ {
			cycles := 4 * float64(depth)
			if depth > size {
				cycles += 30 * float64(depth-size)
			}
			if depth == 14 {
				cycles *= 1.5
			}
			if depth != 4 && depth != 20 && depth != 24 {
				fig[fmt.Sprintf("%d nested calls", depth)] = cycles
			}
		}
		d, err := learn.Deduce(timingtest.Core(t, "glc"), "x", "x", fig)
		if err != nil {
			t.Fatal(err)
		}
		if n := d.Core.Branch.ReturnStack; n != min(size, 64) {
			t.Errorf("return stack of %d, want %d", n, size)
		}
	}
}

// TestNothingMeasured: what no experiment tells is as in the core that a learned one is made from.
func TestNothingMeasured(t *testing.T) {
	for _, base := range timing.Cores() {
		d, err := learn.Deduce(base, "x", "x", learn.Figures{})
		if err != nil {
			t.Fatal(err)
		}
		got, want := d.Core, base
		for what, n := range map[string][2]int{
			"ports of loads":       {len(got.Memory.LoadPorts), len(want.Memory.LoadPorts)},
			"ports of stores":      {len(got.Memory.StoreDataPorts), len(want.Memory.StoreDataPorts)},
			"ports of addresses":   {len(got.Memory.StoreAddressPorts), len(want.Memory.StoreAddressPorts)},
			"ports of jumps":       {len(got.Back.NotTaken), len(want.Back.NotTaken)},
			"ports of taken jumps": {len(got.Back.Taken), len(want.Back.Taken)},
			"width":                {got.Rename.Width, want.Rename.Width},
			"return stack":         {got.Branch.ReturnStack, want.Branch.ReturnStack},
			"parameters decided":   {len(d.Fixed), 0},
		} {
			if n[0] != n[1] {
				t.Errorf("%s: %s: %d, want %d", base.Name, what, n[0], n[1])
			}
		}
	}
}
