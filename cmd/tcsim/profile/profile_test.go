// SPDX-License-Identifier: GPL-2.0-only

//go:build cgo

package profile_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	validator "github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/tcsim/tcsim/cmd/tcsim/profile"
	"github.com/tcsim/tcsim/emu/timing"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/fixtures/golden"
	"github.com/tcsim/tcsim/scenarios/measure"
	"github.com/tcsim/tcsim/scenarios/object"
	"github.com/tcsim/tcsim/scenarios/runner"
	"github.com/tcsim/tcsim/scenarios/runner/runnertest"
)

// profiled profiles the first run of a scenario: a built-in one, or an object file.
func profiled(t *testing.T, name, target string, warm bool) (*profile.Profile, *measure.Profile, *runner.Run) {
	t.Helper()
	core, err := timing.CoreNamed("")
	if err != nil {
		t.Fatal(err)
	}
	b, err := object.Load(name, object.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := runnertest.Opened(t, runnertest.Compiled(t, b, runnertest.Target(t, target)), runner.Options{Core: core})
	flat, err := s.Profile(t.Context(), 1, core, warm)
	if err != nil {
		t.Fatal(err)
	}
	run, inv, err := s.Invocation(t.Context(), 1, core, warm)
	if err != nil {
		t.Fatal(err)
	}
	p, err := profile.Of(name+" on "+target, run, inv, core, warm)
	if err != nil {
		t.Fatal(err)
	}
	return p, flat, run
}

// runs are of every kind: with a violation, helpers, an interrupt, trampolines, thunks.
var runs = []struct {
	name, target string
	warm         bool
}{
	{"hierarchy", "6.12", false}, {"hierarchy", "6.12", true}, {"hierarchy", "5.10", false}, {"chain33", "6.1", true},
	{"helper_before_call", "6.12", false}, {"nested_resets", "6.12", false}, {"tramp_hierarchy_both", "6.12", false},
	{"hierarchy", "6.1-retpoline", false}, {"exc_throw", "6.12", false},
}

// TestSums compares sums by function and BPF instruction with the profile that tcsim trace --cost prints.
func TestSums(t *testing.T) {
	for _, r := range runs {
		t.Run(fmt.Sprint(r.name, " ", r.target, " ", r.warm), func(t *testing.T) {
			p, flat, _ := profiled(t, r.name, r.target, r.warm)
			type sum struct {
				executed int64
				costs    timing.Costs
			}
			got, want := map[string]sum{}, map[string]sum{}
			add := func(m map[string]sum, key string, executed int64, c timing.Costs) {
				s := m[key]
				s.executed += executed
				for i := range c {
					s.costs[i] += c[i]
				}
				m[key] = s
			}
			for _, s := range p.Samples {
				key := "outside"
				if f := s.Stack[0]; f.File != "" {
					key = fmt.Sprint(f.Func, f.Line, strings.HasSuffix(f.Insn, "prologue, epilogue"))
				}
				add(got, key, s.Executed, s.Costs)
			}
			warmCall := int64(0)
			for _, f := range flat.Funcs {
				for _, in := range f.Insns {
					key := "outside"
					if f.Fn != nil {
						key = fmt.Sprint(f.Fn.String(), max(0, int(in.Insn)), in.Insn < 0)
					}
					add(want, key, int64(in.Executed), in.Costs)
				}
			}
			if r.warm { // the call of the loop is in one of the two
				warmCall = want["outside"].executed - got["outside"].executed
				if warmCall != 1 || flat.Total-p.Total() > 5 {
					t.Errorf("outside: %d instructions more, %d cycles of %d", warmCall, p.Total(), flat.Total)
				}
				delete(want, "outside")
				delete(got, "outside")
			} else if p.Total() != flat.Total {
				t.Errorf("%d cycles, want %d", p.Total(), flat.Total)
			}
			for k, w := range want {
				if got[k] != w {
					t.Errorf("%s: %+v, want %+v", k, got[k], w)
				}
			}
			if len(got) != len(want) {
				t.Errorf("%d places, want %d", len(got), len(want))
			}
		})
	}
}

// TestStacks looks at who called whom: in the hierarchy on 6.12 a stack is entry as often as there are frames, and then perhaps
// sub; the sub before was replaced by the tail call.
func TestStacks(t *testing.T) {
	p, _, _ := profiled(t, "hierarchy", "6.12", false)
	deepest := 0
	for _, s := range p.Samples {
		for i, f := range s.Stack {
			if f.Func != "entry" && (f.Func != "sub" || i != 0) {
				t.Fatalf("stack %+v", s.Stack)
			}
			if i > 0 && f.Line != 6 && f.Line != 8 {
				t.Errorf("a call at %+v", f)
			}
		}
		deepest = max(deepest, len(s.Stack))
	}
	if deepest != 35 {
		t.Errorf("%d frames, want 34 of entry and one of sub", deepest)
	}
	var helper *profile.Sample
	p, _, _ = profiled(t, "helper_before_call", "6.12", false)
	for i := range p.Samples {
		if s := &p.Samples[i]; strings.Contains(s.Stack[0].Func, "bpf_get_smp_processor_id") {
			helper = s
		}
	}
	if helper == nil || len(helper.Stack) < 2 || helper.Stack[1].Func != "entry" {
		t.Errorf("the helper's stack: %+v", helper)
	}
}

// TestPProf opens a profile with go tool pprof.
func TestPProf(t *testing.T) {
	goTool, err := exec.LookPath("go")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	p, flat, _ := profiled(t, "hierarchy", "6.12", false)
	file := filepath.Join(t.TempDir(), "profile.pb.gz")
	save := func(p *profile.Profile) {
		var b, again bytes.Buffer
		if err := p.WritePProf(&b); err != nil {
			t.Fatal(err)
		}
		if err := p.WritePProf(&again); err != nil || !bytes.Equal(b.Bytes(), again.Bytes()) {
			t.Errorf("%v: not the same bytes again", err)
		}
		if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	save(p)
	pprof := func(args ...string) string {
		cmd := exec.Command(goTool, append(append([]string{"tool", "pprof"}, args...), file)...)
		cmd.Env = append(os.Environ(), "PPROF_TMPDIR="+t.TempDir())
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("go tool pprof %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	golden.Check(t, "testdata/top.txt", pprof("-top", "-nodefraction=0"))
	golden.Check(t, "testdata/functions.txt", pprof("-top", "-noinlines", "-nodefraction=0"))
	golden.Check(t, "testdata/lines.txt", pprof("-top", "-lines", "-noinlines", "-nodefraction=0", "-sample_index=dependency"))
	raw := pprof("-raw")
	for c, n := range flat.Costs.All {
		if name := strings.ReplaceAll(c.String(), " ", "_") + "/count"; !strings.Contains(raw, name) || n == 0 {
			t.Errorf("no values %s", name)
		}
	}
	if !strings.Contains(pprof("-traces", "-noinlines"), "sub\n             entry\n             entry\n") {
		t.Error("no stack of sub called by entry called by entry")
	}
	// Of an object file the lines are those of its C file.
	p, _, _ = profiled(t, "../../../fixtures/objects/hierarchy.o", "6.12", false)
	save(p)
	golden.Check(t, "testdata/source.txt", pprof("-top", "-lines", "-noinlines", "-nodefraction=0"))
	if frames := "entry 8: call pc+9 entry.bpf:8 (inline)\n             hierarchy.c:25 sum = again(skb); hierarchy.c:25 (inline)\n             entry hierarchy.c:25\n"; !strings.Contains(pprof("-traces", "-lines"), frames) {
		t.Errorf("no instruction in its line of C: no %s", frames)
	}
}

// TestFolded adds up the lines.
func TestFolded(t *testing.T) {
	p, flat, _ := profiled(t, "hierarchy", "6.12", false)
	var b strings.Builder
	if err := p.WriteFolded(&b); err != nil {
		t.Fatal(err)
	}
	sum := 0
	for line := range strings.Lines(b.String()) {
		m := regexp.MustCompile(`^entry(;entry)*(;sub)?;[^;]+ (\d+)\n$`).FindStringSubmatch(line)
		if m == nil {
			t.Fatalf("line %q", line)
		}
		n, _ := strconv.Atoi(m[3])
		sum += n
	}
	if sum != int(flat.Total) {
		t.Errorf("%d cycles, want %d", sum, flat.Total)
	}
}

// TestPerfetto validates the file against the format's description, and compares slices and counters with the events.
func TestPerfetto(t *testing.T) {
	schema, err := validator.NewCompiler().Compile("testdata/trace.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range runs {
		t.Run(r.name+" "+r.target, func(t *testing.T) {
			_, _, run := profiled(t, r.name, r.target, r.warm)
			var b bytes.Buffer
			if err := profile.WritePerfetto(&b, "name", run); err != nil {
				t.Fatal(err)
			}
			doc, err := validator.UnmarshalJSON(bytes.NewReader(b.Bytes()))
			if err != nil {
				t.Fatal(err)
			}
			if err := schema.Validate(doc); err != nil {
				t.Fatal(err)
			}
			compareTimeline(t, b.Bytes(), run)
		})
	}
}

func compareTimeline(t *testing.T, file []byte, run *runner.Run) {
	t.Helper()
	var f struct {
		TraceEvents []struct {
			Ph, Name string
			Ts       int64
			Args     map[string]any
		}
	}
	if err := json.Unmarshal(file, &f); err != nil {
		t.Fatal(err)
	}
	open, begun, last := 0, 0, int64(0)
	var counts []float64
	for _, e := range f.TraceEvents {
		if e.Ph == "M" {
			continue
		}
		if e.Ts < last {
			t.Fatalf("time goes back from %d to %d", last, e.Ts)
		}
		last = e.Ts
		switch e.Ph {
		case "B":
			open++
			begun++
		case "E":
			open--
		case "C":
			if e.Name == "tail_call_cnt" {
				counts = append(counts, e.Args["count"].(float64))
			}
		}
		if open < 0 {
			t.Fatal("more ends than beginnings")
		}
	}
	wantBegun, n := 0, 0
	for i := range run.Events {
		e := &run.Events[i]
		if e.Begun != 0 {
			wantBegun++
		}
		if e.CounterAddr != 0 && e.Kind != trace.KindPoke {
			if n >= len(counts) || counts[n] != float64(e.Counter) {
				t.Fatalf("event %d: tail_call_cnt %d is not there", e.No, e.Counter)
			}
			n++
		}
	}
	if open != 0 || begun != wantBegun || n != len(counts) {
		t.Errorf("%d slices, %d open, want %d; %d values, want %d", begun, open, wantBegun, len(counts), n)
	}
}
