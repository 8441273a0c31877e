// SPDX-License-Identifier: GPL-2.0-only

package runner_test

import (
	"testing"

	"github.com/tcsim/tcsim/emu/check"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/jit/design"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// TestBelowRSP: the counter that programs of the first proposal hand over lies below rsp while they do.
func TestBelowRSP(t *testing.T) {
	for name, want := range map[string]string{
		"hier-rfc1": "reads 0xffffc90000203fb8, which lies 8 bytes below rsp",
		"hier-rfc2": "", "maciej-hidden16": "", "hier-percpu": "", "5.10": "", "7.2": "",
	} {
		r := play(t, opened(t, compiled(t, build(t, "chain33"), target(t, name)), runner.Options{})).Runs[0]
		got := ""
		if v := r.Violation; v != nil {
			got = string(v.Invariant) + ": " + v.Text
		}
		if want != "" {
			want = string(check.BelowRSP) + ": " + want + ": an interrupt may have changed it"
		}
		if got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// TestBelowRSPWritten makes a prologue store under its frame: what it finds there later was at the mercy
// of interrupts. The store itself is not judged, as the frame is described to reach down there.
func TestBelowRSPWritten(t *testing.T) {
	c := compiled(t, build(t, "chain33"), target(t, "hier-rfc1"))
	f := &c.Images[0].Funcs[0]
	code, err := trace.NewCode(c.Images, trace.Options{})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for off := range image.CodeOff(len(f.Code)) {
		if code.Lookup(f.Addr).OpAt(off)&trace.OpBelow != 0 {
			n++
		}
	}
	if n != 2 {
		t.Errorf("%d instructions of the prologue store below rsp, want those of tail_call_cnt and its pointer", n)
	}
}

// TestLevels compares where rsp is at the instructions of tail calls, as followed through the code,
// with the frame as the compiler describes it.
func TestLevels(t *testing.T) {
	seen := map[string]int{}
	for _, name := range []string{"bpf2bpf_3", "refused_keeps_state", "tailcall_4"} {
		for _, target := range allTargets(t) {
			c, err := runner.Compile(build(t, name), target)
			if err != nil {
				continue // the design lacks something
			}
			code, err := trace.NewCode(c.Images, trace.Options{})
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range code.Funcs() {
				const top = 0x10000
				want := f.FrameBase(top) + image.Addr(int64(f.FrameLow()))
				for _, tc := range f.TailCalls {
					end := tc.Jump
					if tc.Unwind >= 0 {
						end = tc.Unwind
					}
					for off := tc.Start; off < end; off++ {
						if f.OpAt(off)&trace.OpReach == 0 {
							continue
						}
						seen[target.Name]++
						if got, ok := f.Level(off, top); !ok || got != want {
							t.Errorf("%s on %s: %s+%#x: rsp is at %#x (%v), the frame ends at %#x", name, target.Name, f, int(off), uint64(got), ok, uint64(want))
						}
					}
				}
			}
		}
	}
	for _, target := range allTargets(t) {
		if seen[target.Name] == 0 && target.Design != design.Classic44 {
			t.Errorf("%s: no instruction looked at", target.Name)
		}
	}
}
