// SPDX-License-Identifier: GPL-2.0-only

package bare_test

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/timing"
	"github.com/tcsim/tcsim/emu/timing/measured"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/bare"
	"github.com/tcsim/tcsim/scenarios/measure"
	"github.com/tcsim/tcsim/scenarios/object"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// collected are the sequences of scenarios of the library on targets.
func collected(t *testing.T, names, targets []string) (*bare.Collection, []*scenarios.Built, []*jit.Target) {
	t.Helper()
	var bs []*scenarios.Built
	for _, n := range names {
		b, err := object.Load(n, object.Options{})
		if err != nil {
			t.Fatal(err)
		}
		bs = append(bs, b)
	}
	var ts []*jit.Target
	for _, n := range targets {
		x, err := jit.TargetByName(n)
		if err != nil {
			t.Fatal(err)
		}
		ts = append(ts, x)
	}
	c, err := bare.Collect(t.Context(), bs, ts, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c, bs, ts
}

// TestMoved: what a run costs in the model is the same before and after it was moved.
func TestMoved(t *testing.T) {
	moved(t, []string{"chain33"}, []string{"5.10", "6.1-retpoline", "6.12", "7.2-its"})
	moved(t, []string{"hierarchy"}, []string{"6.12", "6.12-retpoline"}) // on older ones it does not end
}

func moved(t *testing.T, scenarios, targets []string) {
	t.Helper()
	c, bs, ts := collected(t, scenarios, targets)
	if len(c.Sequences) != len(bs)*len(ts) || len(c.LeftOut) != 0 {
		t.Fatalf("%d sequences of %d, left out: %v", len(c.Sequences), len(bs)*len(ts), c.LeftOut)
	}
	core, err := timing.CoreNamed("")
	if err != nil {
		t.Fatal(err)
	}
	m, err := emu.New(emu.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for i := range c.Sequences {
		q := &c.Sequences[i]
		got, err := measure.Sequence(t.Context(), m, core, q)
		if err != nil {
			t.Fatal(err)
		}
		compiled, err := runner.Compile(bs[i/len(ts)], ts[i%len(ts)])
		if err != nil {
			t.Fatal(err)
		}
		s, err := runner.Open(compiled, runner.Options{})
		if err != nil {
			t.Fatal(err)
		}
		_, inv, err := s.Invocation(t.Context(), 1, core, true)
		if err != nil {
			t.Fatal(err)
		}
		want, _, err := inv.Loop(core)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		t.Logf("%-24s %8.1f cycles, in place %8.1f", q.Name, got.Predicted, want)
		if math.Abs(got.Predicted-want) > 3+0.05*want { // the loops around it differ
			t.Errorf("%s: %.1f cycles, in place %.1f", q.Name, got.Predicted, want)
		}
	}
}

// TestWritten: a file of the sequences has them again, also of scenarios that use more and less memory.
func TestWritten(t *testing.T) {
	c, _, _ := collected(t, []string{"tailcall_3", "bpf2bpf_1", "bpf2bpf_4", "hierarchy"}, []string{"6.1", "6.12"})
	if len(c.Sequences) == 0 {
		t.Fatal("no sequences: ", c.LeftOut)
	}
	raw, err := measured.Write("c", "d", c.Sequences)
	if err != nil {
		t.Fatal(err)
	}
	f, err := measured.Read("f", bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	for i, got := range f.Sequences {
		want := c.Sequences[i]
		if got.Name != want.Name || got.Kind != want.Kind || got.Regs != want.Regs || !bytes.Equal(got.Code, want.Code) || got.Trips != want.Trips ||
			got.Data != want.Data || got.Stack != want.Stack || len(got.Mem) != len(want.Mem) || got.End != want.End {
			t.Errorf("%s is another one: %+v", want.Name, got)
		}
	}
}

// TestLeftOut: what needs a kernel is left out and says why.
func TestLeftOut(t *testing.T) {
	c, _, _ := collected(t, []string{"tramp_bpf2bpf_fentry", "helper_before_call", "exc_throw", "freplace_loop", "test_bpf"}, []string{"6.12", "5.10"})
	var text strings.Builder
	if err := c.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + text.String())
	for _, want := range []string{
		"left out: run 1 of scenario tramp_bpf2bpf_fentry on 6.12: it calls __bpf_prog_enter",
		"left out: run 1 of scenario helper_before_call on 6.12, 5.10: it calls bpf_",
		"left out: scenario exc_throw on 5.10: ",
		"left out: runs 1, 2, 3, 4, 5, 6, 7 of scenario exc_throw on 6.12: it calls bpf_throw\n",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q is missing", want)
		}
	}
}
