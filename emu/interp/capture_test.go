// SPDX-License-Identifier: GPL-2.0-only

package interp_test

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/emu/interp"
	"github.com/tcsim/tcsim/fixtures"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/design"
)

// inputSlot is where the inputs begin in the io map (fixtures/kernels/README.md).
const inputSlot = 32

// kernelRules are the rules of the kernel a capture is of.
func kernelRules(t testing.TB, h *capture.Header) interp.Rules {
	t.Helper()
	target, err := h.Target()
	if err != nil {
		t.Fatal(err)
	}
	d := target.Design.Traits()
	return interp.Rules{BurnEmpty: d.Empty == design.EmptyCounts, PerFrame: d.Counting.PerFrame(), TraceDropsCounter: target.Emit.Tramp.LosesRAX}
}

// scenarioConfig makes the configuration for a captured scenario.
func scenarioConfig(sc *capture.Scenario, rules interp.Rules) interp.Config {
	cfg := interp.Config{Rules: rules, MaxInsns: 1 << 24}
	for _, m := range sc.Maps {
		cfg.Maps = append(cfg.Maps, m.Map)
	}
	for i := range sc.Progs {
		p := &sc.Progs[i]
		def := interp.Program{
			Program: &bpf.Program{Name: p.Name, Type: sc.ProgType, Insns: p.Insns, Maps: cfg.Maps},
			Kfuncs:  p.Kfuncs,
		}
		for id, f := range p.Funcs {
			if f.Start < 0 { // added by the verifier
				continue
			}
			def.Funcs = append(def.Funcs, bpf.Func{Name: f.Name, Start: f.Start})
			if f.Name == "handler" {
				def.ExceptionCallback = id
			}
		}
		cfg.Programs = append(cfg.Programs, def)
	}
	for _, s := range sc.ProgArrays {
		cfg.ProgArrays = append(cfg.ProgArrays, interp.Slot{Map: s.Map, Key: s.Key, Prog: s.Prog})
	}
	return cfg
}

// ioSlots is the only value of the io map.
func ioSlots(m *interp.Machine) []byte { return m.Lookup(0, make([]byte, 4)) }

// runScenario runs a captured scenario and returns what differs from the kernel's run; "" if nothing does.
func runScenario(sc *capture.Scenario, h *capture.Header, rules interp.Rules, out interp.Outside) (diff string, res interp.Result) {
	cfg := scenarioConfig(sc, rules)
	cfg.Outside = out
	m, err := interp.New(cfg)
	if err != nil {
		return err.Error(), res
	}
	fillInputs(m, sc, h)
	res, err = m.Run(sc.Run.Prog, interp.ForType(sc.ProgType, h.RunData))
	if err != nil {
		return err.Error(), res
	}
	if res.Verdict != interp.Done {
		return "not done within the budget", res
	}
	return compareOut(m, uint32(res.Return), sc.Run), res
}

// fillInputs writes the inputs of a scenario to the io map.
func fillInputs(m *interp.Machine, sc *capture.Scenario, h *capture.Header) {
	inputs := slices.Clone(h.DefaultInputs)
	for _, in := range sc.Inputs {
		inputs[in.N] = in.Value
	}
	for i, v := range inputs {
		putSlot(ioSlots(m), inputSlot+i, v)
	}
}

// compareOut returns how return value and output slots differ from a run of the kernel.
func compareOut(m *interp.Machine, retval uint32, run *capture.Run) (diff string) {
	if retval != run.Retval {
		diff = fmt.Sprintf("return value %#x, kernel %#x; ", retval, run.Retval)
	}
	for i := range inputSlot {
		want := uint64(0)
		if i < len(run.Out) {
			want = run.Out[i]
		}
		if got := slot(ioSlots(m), i); got != want {
			diff += fmt.Sprintf("out[%d] = %#x, kernel %#x; ", i, got, want)
		}
	}
	return diff
}

// asked is an Outside that counts questions and gives other answers than Fixed.
type asked struct{ n int }

func (a *asked) Value(helper int32, n uint64) uint64 {
	a.n++
	return ^interp.Fixed{}.Value(helper, n+100)
}

// tally is what became of the runs of one or more captures.
type tally struct {
	ran, agree int
	asked      int // of ran: use helpers that ask the outside world
	depend     int // of those: the result depends on the answers
	oneCounter int // of ran: agree with one counter per invocation, too
	otherRule  int // of ran: agree with the budget rule of the other kernels, too
	skipped    map[string]int
}

func (a *tally) add(b tally) {
	a.ran, a.agree, a.asked = a.ran+b.ran, a.agree+b.agree, a.asked+b.asked
	a.depend, a.oneCounter, a.otherRule = a.depend+b.depend, a.oneCounter+b.oneCounter, a.otherRule+b.otherRule
}

func (a tally) String() string {
	return fmt.Sprintf("%d/%d agree (of which %d ask for time, random numbers and the like, and %d have results that depend on it; %d agree with one counter per invocation, %d with the other budget rule)",
		a.agree, a.ran, a.asked, a.depend, a.oneCounter, a.otherRule)
}

// whyNot says why a scenario has no run to compare with; "" if it has.
func whyNot(sc *capture.Scenario) string {
	switch {
	case sc.Run == nil:
		return "no run"
	case sc.Run.Skipped != "":
		return sc.Run.Skipped
	case sc.Run.Error != "":
		return sc.Run.Error
	case sc.ProgType == bpf.Tracing:
		return "runs kernel functions, no program"
	}
	return ""
}

// compareCapture runs everything in one capture.
func compareCapture(t *testing.T, name string) tally {
	src, err := capture.OpenFS(fixtures.FS, name, path.Base(name))
	if err != nil {
		t.Fatal(err)
	}
	rules := kernelRules(t, &src.Header)
	sum := tally{skipped: map[string]int{}}
	for sc, err := range src.All() {
		if err != nil {
			t.Fatal(err)
		}
		if why := whyNot(sc); why != "" {
			sum.skipped[why]++
			continue
		}
		sum.ran++
		diff, res := runScenario(sc, &src.Header, rules, nil)
		if diff == "" {
			sum.agree++
		} else if t.Errorf("%s: %s: %s", path.Base(name), sc.Name, diff); sum.ran-sum.agree > 20 {
			t.Fatal("too many differences")
		}
		if res.Uninit > 0 {
			t.Errorf("%s: %s reads %d times what it has not written", path.Base(name), sc.Name, res.Uninit)
		}
		var other asked
		diff, _ = runScenario(sc, &src.Header, rules, &other)
		if other.n > 0 {
			sum.asked++
		}
		if diff != "" {
			sum.depend++
			t.Logf("%s: %s depends on the outside world: %s", path.Base(name), sc.Name, diff)
		}
		if diff, _ := runScenario(sc, &src.Header, interp.Rules{BurnEmpty: rules.BurnEmpty}, nil); diff == "" {
			sum.oneCounter++
		}
		if diff, _ := runScenario(sc, &src.Header, interp.Rules{BurnEmpty: !rules.BurnEmpty}, nil); diff == "" {
			sum.otherRule++
		}
	}
	return sum
}

// TestCaptures compares the interpreter with every test run in every capture.
func TestCaptures(t *testing.T) {
	names, err := fs.Glob(fixtures.FS, "kernels/*.jsonl.gz")
	if err != nil || len(names) == 0 {
		t.Fatalf("no captures: %v", err)
	}
	var total tally
	for _, name := range names {
		if testing.Short() && !strings.HasSuffix(name, "-default.jsonl.gz") {
			continue
		}
		sum := compareCapture(t, name)
		t.Logf("%-26s %v; not run: %v", path.Base(name), sum, sum.skipped)
		total.add(sum)
	}
	t.Logf("all captures: %v", total)
	if total.agree != total.ran || total.ran == 0 {
		t.Errorf("%d of %d runs agree", total.agree, total.ran)
	}
	if total.otherRule == total.ran {
		t.Error("no run tells the two budget rules apart: this test could not fail for them")
	}
}
