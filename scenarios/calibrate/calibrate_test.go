// SPDX-License-Identifier: GPL-2.0-only

package calibrate_test

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/timing"
	"github.com/tcsim/tcsim/emu/timing/learn"
	"github.com/tcsim/tcsim/emu/timing/measured"
	"github.com/tcsim/tcsim/fixtures"
	"github.com/tcsim/tcsim/scenarios/calibrate"
	"github.com/tcsim/tcsim/scenarios/measure"
)

// modelled is a machine that takes as long as the model of a core says.
type modelled struct {
	m      *emu.Machine
	core   *timing.Core
	passes int
	failAt int // the pass that ends the run, 0: none
	// slow is an experiment that takes three times as long in the first three processes of five.
	slow   string
	slowed int
}

var errPulled = errors.New("the plug was pulled")

// cycles are those of a trip.
func (x *modelled) cycles(ctx context.Context, s *measured.Sequence) (float64, error) {
	stream, err := measure.Stream(ctx, x.m, s)
	if err != nil {
		return 0, err
	}
	return s.Predict(x.core, stream)
}

// pass is a calibrate.Pass: a tick is a cycle.
func (x *modelled) pass(ctx context.Context, s *measured.Sequence, reps int) ([]measured.HostRep, error) {
	if x.passes++; x.passes == x.failAt {
		return nil, errPulled
	}
	c, err := x.cycles(ctx, s)
	if err != nil {
		return nil, err
	}
	if s.Name == x.slow {
		if x.slowed++; x.slowed <= 3 {
			c *= 3
		}
	}
	ticks := func(trips int) uint64 { return uint64(c*float64(trips) + 0.5) }
	nops := uint64(measured.HostNops / x.core.Rename.Width)
	rep := measured.HostRep{
		Chain: [2]uint64{measured.HostChain, measured.HostChain}, Nops: [2]uint64{nops, nops},
		Part: ticks(measured.HostPart(s.Trips)), Full: ticks(s.Trips),
	}
	out := make([]measured.HostRep, reps)
	for i := range out {
		out[i] = rep
	}
	return out, nil
}

func machine(t *testing.T, name string) *modelled {
	t.Helper()
	m, err := emu.New(emu.Config{})
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	core, err := timing.CoreNamed(name)
	if err != nil {
		t.Fatal(err)
	}
	return &modelled{m: m, core: core}
}

// series are the experiments that show structures, and those of a few forms.
func series() []learn.Experiment {
	var out []learn.Experiment
	for _, e := range learn.Plan() {
		form, _, isForm := strings.Cut(e.Name, " ")
		if strings.Contains(form, "_r64") || !isForm || !strings.Contains(form, "_") {
			out = append(out, e)
		}
	}
	return out
}

// TestDeduce measures cores that are known, and expects what the experiments tell to be true, also if the
// core is made from one of another kind.
func TestDeduce(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	ctx := context.Background()
	for name, base := range map[string]string{"glc": "zen5", "zen5": "glc"} {
		x := machine(t, name)
		fig := learn.Figures{}
		for _, e := range series() {
			c, err := x.cycles(ctx, &e.Sequence)
			if err != nil {
				t.Fatalf("%s: %v", e.Name, err)
			}
			fig[e.Name] = c / float64(e.Copies)
		}
		from, err := timing.CoreNamed(base)
		if err != nil {
			t.Fatal(err)
		}
		d, err := learn.Deduce(from, "learned", "learned", fig)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		t.Logf("%s, made from %s:\n%s", name, base, strings.Join(d.Told, "\n"))
		got, want := d.Core, x.core
		check := func(what string, a, b any) {
			t.Helper()
			if a != b {
				t.Errorf("%s: %s is %v, want %v", name, what, a, b)
			}
		}
		check("width", got.Rename.Width, want.Rename.Width)
		check("eliminates moves", got.Rename.MoveSlots, want.Rename.MoveSlots)
		check("eliminates additions", got.Rename.AddImmMax != 0, want.Rename.AddImmMax != 0)
		check("load latency", got.Memory.LoadLatency, want.Memory.LoadLatency)
		check("ports of loads", len(got.Memory.LoadPorts), len(want.Memory.LoadPorts))
		check("ports of stores", len(got.Memory.StoreDataPorts), len(want.Memory.StoreDataPorts))
		check("renames loads", got.Memory.RenameLoads, want.Memory.RenameLoads)
		check("renames add [m],imm", got.Memory.RenameRMW, want.Memory.RenameRMW)
		check("renames add [m],reg", got.Memory.RenameRMWReg, want.Memory.RenameRMWReg)
		check("renames leave", got.Memory.RenameLeave, want.Memory.RenameLeave)
		check("load of two stores", got.Memory.ForwardFail+commits(got), want.Memory.ForwardFail+commits(want))
		check("taken branches a cycle", max(1, got.Front.TakenPerCycle), max(1, want.Front.TakenPerCycle))
		if a, b := got.Branch.ReturnStack, want.Branch.ReturnStack; a < b-2 || a > b+2 {
			t.Errorf("%s: return stack of %d, want %d", name, a, b)
		}
		if a, b := got.Branch.Mispredict, want.Branch.Mispredict; a < b-1 || a > b+1 {
			t.Errorf("%s: a wrong prediction costs %d, want %d", name, a, b)
		}
	}
}

// commits is how long it takes from the data of the first of two stores to the commit of the second.
func commits(c *timing.Core) timing.Cycle {
	n := c.Memory.StoreRetire + c.Memory.StoreCommit
	if c.Memory.CommitAlone {
		n++
	}
	return n
}

// TestLearn makes a core of a machine that is modelled, is ended on the way, and goes on.
func TestLearn(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	raw, err := fixtures.FS.ReadFile("uarch/measured.json")
	if err != nil {
		t.Fatal(err)
	}
	file, err := measured.Read("measured.json", bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	var few []measured.Sequence
	for _, s := range file.Sequences {
		if s.Kind == "mem" || s.Kind == "alu" || s.Kind == "stack" {
			few = append(few, s)
		}
	}
	file.Sequences = few
	x := machine(t, "skx")
	x.failAt = 300
	x.slow = "load of a store's upper half"
	opt := calibrate.Options{
		Pass: x.pass, Machine: "modelled", Name: "mine", Journal: filepath.Join(t.TempDir(), "mine.partial"),
		Progress: func(string, int, int) {}, Stopped: func(err error) bool { return errors.Is(err, errPulled) },
	}
	if _, err := calibrate.Learn(t.Context(), x.m, file, opt); !errors.Is(err, errPulled) {
		t.Fatalf("error %v", err)
	}
	done := x.passes
	r, err := calibrate.Learn(t.Context(), x.m, file, opt)
	if err != nil {
		t.Fatal(err)
	}
	if total := x.passes - done; total > 5*len(learn.Plan())+8*len(few)+20-done/2 {
		t.Errorf("%d passes after %d: nothing was kept", total, done)
	}
	if core, err := timing.ReadCore("mine.yaml", r.File); err != nil || core.Name != "mine" {
		t.Errorf("the file is not a core: %v", err)
	}
	if got, want := r.Core.Memory.Forward, x.core.Memory.Forward; got != want || x.slowed < 4 {
		t.Errorf("a store's data reach a load after %d cycles, want %d: what some processes are slow at was taken for the core's", got, want)
	}
	var text strings.Builder
	if err := r.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	t.Log(text.String())
	if e := r.HeldOut(); e > 8 {
		t.Errorf("the error on the last third is %.1f %%", e)
	}
}
