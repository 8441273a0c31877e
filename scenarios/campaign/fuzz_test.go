// SPDX-License-Identifier: GPL-2.0-only

package campaign_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/scenarios/campaign"
	"github.com/tcsim/tcsim/scenarios/graph"
	"github.com/tcsim/tcsim/scenarios/runner"
	"github.com/tcsim/tcsim/scenarios/worker"
)

// correct and byValue are the targets with nothing wrong, and with nothing but a counter in each frame.
var (
	correct = campaign.TargetsNamed([]string{campaign.CorrectTargets})
	byValue = campaign.TargetsNamed([]string{campaign.ByValueTargets})
)

// inside are workers in this process.
var inside = worker.Inside(map[string]worker.Job{campaign.FuzzJob: campaign.Fuzzing})

func ran(t testing.TB, c campaign.Campaign) *campaign.CampaignReport {
	t.Helper()
	if c.Start == nil {
		c.Start = inside
	}
	r, err := c.Run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestFuzzKernels finds nothing wrong with the kernels but what is known, and that occurs.
func TestFuzzKernels(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	const n = 800
	r := ran(t, campaign.Campaign{Source: campaign.FuzzSource{Seed: 1}, Graphs: n, Targets: realKernels, Shrink: 3, During: 4})
	for i := range r.Failures {
		t.Errorf("%s\n%s", r.Failures[i].Why, failureText(t, &r.Failures[i], 1))
	}
	for _, x := range r.Targets {
		total := 0
		for _, n := range x.Verdicts {
			total += n
		}
		byValue := x.Target == "5.10" || x.Target == "6.1"
		atomics := x.Target == "5.10" // which has none that fetch
		if total != n || (x.Verdicts[campaign.VerdictForeseen] > 0) != byValue || (x.Verdicts[campaign.VerdictUnsupported] != 0) != atomics {
			t.Errorf("%s: %v, of %d", x.Target, x.Verdicts, n)
		}
	}
}

// TestFuzzFound plays what a campaign found: a counter per frame that shows in a run of a few tail calls
// before one without end.
func TestFuzzFound(t *testing.T) {
	var ts []*jit.Target
	for _, n := range realKernels {
		ts = append(ts, target(t, n))
	}
	f := campaign.NewFuzzer(ts)
	defer f.Close()
	tail := graph.Op{Kind: graph.OpTailCall, Key: graph.Key{Value: 1}}
	byMark := graph.Op{Kind: graph.OpTailCall, Key: graph.Key{Kind: graph.KeyMark}}
	endless := graph.Graph{
		Arrays:   []graph.Array{{Slots: []int{-1, 0}}},
		Programs: []graph.Program{{Funcs: []graph.Func{{Ops: []graph.Op{{Kind: graph.OpCall, Func: 1}, tail}}, {Ops: []graph.Op{byMark}}}}},
		Events:   []graph.Event{{Kind: graph.EventRun}, {Kind: graph.EventRun, Mark: 1}},
	}
	js, err := f.Play(context.Background(), &endless)
	if err != nil {
		t.Fatal(err)
	}
	for i, j := range js {
		if j.Failed() || (j.Verdict == campaign.VerdictForeseen) != (i < 2) {
			t.Errorf("%s: %s: %s", realKernels[i], j.Verdict, j.Why)
		}
	}
}

// TestFuzzKept plays a graph with a pointer that is stored around a call which kernels inline since 6.10: where it stays a
// call, the pointer has to be stored.
func TestFuzzKept(t *testing.T) {
	var ts []*jit.Target
	for _, n := range realKernels {
		ts = append(ts, target(t, n))
	}
	f := campaign.NewFuzzer(ts)
	defer f.Close()
	js, err := f.Play(context.Background(), graph.Random(graph.NewChoices(78, 535)))
	if err != nil {
		t.Fatal(err)
	}
	for i, j := range js {
		if j.Failed() {
			t.Errorf("%s: %s: %s", realKernels[i], j.Verdict, j.Why)
		}
	}
}

// TestFuzzAll plays every graph of up to three programs and sites.
func TestFuzzAll(t *testing.T) {
	size := 3
	if testing.Short() {
		size = 2
	}
	r := ran(t, campaign.Campaign{Source: campaign.FuzzSource{All: size}, Targets: realKernels})
	if r.Graphs != campaign.CountAll(size) || r.Interrupted || len(r.Failures) != 0 {
		t.Errorf("%d graphs of %d, failures %+v", r.Graphs, campaign.CountAll(size), r.Failures)
	}
}

func failureText(t testing.TB, f *campaign.FuzzFailure, seed uint64) string {
	t.Helper()
	sc, err := f.Scenario(campaign.FuzzSource{Seed: seed}, 0)
	if err != nil {
		t.Fatal(err)
	}
	return graph.Text(sc)
}

// TestFuzzFindsDesigns has designs that are known to be wrong: for each, a failure is found, made
// small, and its file reproduces it with the same verdict.
func TestFuzzFindsDesigns(t *testing.T) {
	for name, lines := range map[string]int{
		"maciej-hidden16": 16, "pop-nop-push": 16, "hier-rfc1": 24, "5.10-unrounded": 24,
	} {
		t.Run(name, func(t *testing.T) {
			if testing.Short() && name != "pop-nop-push" {
				t.Skip("the others only in full runs")
			}
			r := ran(t, campaign.Campaign{
				Source: campaign.FuzzSource{Seed: 1}, Graphs: 600, Targets: []string{name}, Shrink: 2, Tries: 1000,
			})
			if len(r.Failures) == 0 {
				t.Fatalf("nothing found: %v", r.Targets[0].Verdicts)
			}
			for i := range r.Failures[:min(2, len(r.Failures))] {
				f := &r.Failures[i]
				text := failureText(t, f, 1)
				t.Logf("%d graphs played to shrink\n%s\n%s", f.Tries, f.Why, text)
				if n := strings.Count(text, "\n"); n > lines {
					t.Errorf("the file has %d lines, want at most %d", n, lines)
				}
				b := buildText(t, "found.yaml", []byte(text))
				res := play(t, opened(t, compiled(t, b, target(t, name)), runner.Options{}))
				if v := res.Violation(); res.OK() || v != nil && campaign.Verdict(v.Invariant) != f.Verdict {
					t.Errorf("the file gives %v, want %s", v, f.Verdict)
				}
			}
		})
	}
}

// TestTargetsNamed has every listed target in one of the groups unless something is wrong with it.
func TestTargetsNamed(t *testing.T) {
	all := campaign.TargetsNamed([]string{campaign.AllTargets})
	var wrong []string
	for _, n := range all {
		if campaign.Wrong(target(t, n)) != "" {
			wrong = append(wrong, n)
		}
	}
	groups := campaign.TargetsNamed([]string{campaign.CorrectTargets, campaign.ByValueTargets})
	if len(groups)+len(wrong) != len(all) || len(correct)+len(byValue) != len(groups) {
		t.Errorf("%d correct, %d by value, %d wrong, of %d", len(correct), len(byValue), len(wrong), len(all))
	}
	for n, want := range map[string]bool{"6.12": true, "7.2-its": true, "fp53": true, "6.1": false, "hier-rfc1": false} {
		if slices.Contains(correct, n) != want {
			t.Errorf("%s is correct: want %v", n, want)
		}
	}
	got := campaign.TargetsNamed([]string{"fp53", "nosuch", campaign.CorrectTargets, "fp53"})
	if len(got) != len(correct)+1 || got[0] != "fp53" || got[1] != "nosuch" {
		t.Errorf("%q", got)
	}
}

// TestFuzzGroups finds nothing wrong with the correct targets and those that count by value, and something
// with every other one. All that is found is as foreseen on the latter only.
func TestFuzzGroups(t *testing.T) {
	n := 100
	if testing.Short() {
		n = 25
	}
	groups := slices.Concat(correct, byValue)
	r := ran(t, campaign.Campaign{Source: campaign.FuzzSource{Seed: 2}, Graphs: n, Targets: groups, During: 4})
	for i := range r.Failures {
		t.Errorf("%s\n%s", r.Failures[i].Why, failureText(t, &r.Failures[i], 2))
	}
	for i, x := range r.Targets {
		foreseen := x.Verdicts[campaign.VerdictForeseen] > 0
		few := testing.Short() && x.Verdicts[campaign.VerdictUnsupported] > 0 // 5.10 lacks what some graphs of a few have
		if x.Verdicts[campaign.VerdictOK] < n/4 || foreseen && i < len(correct) || !foreseen && i >= len(correct) && !few {
			t.Errorf("%s: %v", x.Target, x.Verdicts)
		}
	}
	if testing.Short() {
		return // finding what is wrong with each of the others takes many graphs
	}
	wrong := slices.DeleteFunc(campaign.TargetsNamed([]string{campaign.AllTargets}), func(n string) bool { return slices.Contains(groups, n) })
	r = ran(t, campaign.Campaign{Source: campaign.FuzzSource{Seed: 1}, Graphs: 600, Targets: wrong})
	for _, x := range r.Targets {
		if !slices.ContainsFunc(r.Failures, func(f campaign.FuzzFailure) bool { return f.Target == x.Target }) {
			t.Errorf("nothing is wrong with %s: %v", x.Target, x.Verdicts)
		}
	}
}

// TestFuzzDuring finds that a slot cannot be filled again while a program runs through it in a design
// that leaves no time for that, and nothing of the kind in a kernel.
func TestFuzzDuring(t *testing.T) {
	if testing.Short() {
		t.Skip("only in full runs")
	}
	r := ran(t, campaign.Campaign{
		Source: campaign.FuzzSource{Seed: 1}, Graphs: 600, Targets: []string{"6.12", "ip-aux", "pop-nop-push"}, Shrink: 0, During: 20,
	})
	found := map[string]int{}
	for _, x := range r.Targets {
		found[x.Target] = x.Verdicts[campaign.VerdictDuring]
	}
	if found["6.12"] != 0 || found["ip-aux"] == 0 {
		t.Errorf("updates that break runs: %v", found)
	}
}

// TestFuzzDeterministic has the same report from one worker and from three.
func TestFuzzDeterministic(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	run := func(workers int) *campaign.CampaignReport {
		return ran(t, campaign.Campaign{
			Source: campaign.FuzzSource{Seed: 5}, Graphs: 150, Targets: []string{"pop-nop-push", "6.12", "hier-rfc1"}, Workers: workers,
			Shrink: 1, Tries: 60,
		})
	}
	one, three := run(1), run(3)
	opt := cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".target" || p.Last().String() == ".made" }, cmp.Ignore())
	if d := cmp.Diff(one, three, opt); d != "" {
		t.Error(d)
	}
	if len(one.Failures) == 0 {
		t.Error("no failure to compare")
	}
}

// BenchmarkFuzz reports how many graphs are played on a target per second, by one worker.
func BenchmarkFuzz(b *testing.B) {
	var ts []*jit.Target
	for _, n := range realKernels {
		ts = append(ts, target(b, n))
	}
	f := campaign.NewFuzzer(ts)
	defer f.Close()
	i := uint64(0)
	for b.Loop() {
		if _, err := f.Play(context.Background(), graph.Random(graph.NewChoices(1, i))); err != nil {
			b.Fatal(err)
		}
		i++
	}
	b.ReportMetric(float64(len(ts))*float64(b.N)/b.Elapsed().Seconds(), "runs/s")
}

// startBreaking is a worker that ends in place of the answer for a graph, or waits until it is killed.
func startBreaking(graph int, hangs bool) worker.Start {
	return func(ctx context.Context) (*worker.Process, error) {
		w, err := inside(ctx)
		if err != nil {
			return nil, err
		}
		r, broken := io.Pipe()
		answers := json.NewDecoder(w.Out)
		go func() {
			for {
				var m struct {
					Answer *struct{ Graph int }
					line   json.RawMessage
				}
				err := answers.Decode(&m.line)
				if err == nil {
					err = json.Unmarshal(m.line, &m)
				}
				if err != nil || m.Answer != nil && m.Answer.Graph == graph {
					if err != nil || !hangs {
						broken.CloseWithError(io.EOF)
					}
					return
				}
				if _, err := broken.Write(append(m.line, '\n')); err != nil {
					return
				}
			}
		}()
		kill := w.Kill
		w.Out, w.Kill = r, func() { kill(); r.Close() }
		return w, nil
	}
}

// TestFuzzCrash has workers that die of a graph: it alone is lost, and counted.
func TestFuzzCrash(t *testing.T) {
	if testing.Short() {
		t.Skip("only in full runs")
	}
	for name, hangs := range map[string]bool{"ends": false, "hangs": true} {
		t.Run(name, func(t *testing.T) { oneLost(t, hangs) })
	}
}

func oneLost(t *testing.T, hangs bool) {
	const n, deadly = 100, 40
	c := campaign.Campaign{
		Source: campaign.FuzzSource{Seed: 1}, Graphs: n, Targets: []string{"6.12", "7.2"}, Start: startBreaking(deadly, hangs),
	}
	if hangs {
		c.Hang = 4 * time.Second
	}
	r := ran(t, c)
	for _, x := range r.Targets {
		if x.Verdicts[campaign.VerdictOK] != n-1 || x.Verdicts[campaign.VerdictCrash] != 1 {
			t.Errorf("%s: %v", x.Target, x.Verdicts)
		}
	}
	for i := range r.Failures {
		if f := &r.Failures[i]; hangs != strings.Contains(f.Why, "no answer within 4s") || f.First != deadly || f.Verdict != campaign.VerdictCrash || f.Graph == nil || f.Why == "" {
			t.Errorf("%+v", f)
		}
	}
	lost := slices.DeleteFunc(slices.Clone(r.Lost), func(l campaign.LostWorker) bool { return l.Graph != deadly })
	if r.Graphs != n || len(r.Failures) != 2 || r.Interrupted || len(lost) != 1+2*len(c.Targets) {
		t.Errorf("%d graphs, %d failures, interrupted %v, lost %v", r.Graphs, len(r.Failures), r.Interrupted, r.Lost)
	}
}

// TestFuzzStart has workers that cannot be started for a while, and from some time on: what was found until
// then is not lost.
func TestFuzzStart(t *testing.T) {
	starts := 0
	start := func(works func(n int) bool) worker.Start {
		starts = 0
		return worker.Patient(func(ctx context.Context) (*worker.Process, error) {
			if starts++; works(starts) {
				return startBreaking(20, false)(ctx)
			}
			return nil, errors.New("no process")
		}, 5, 0)
	}
	c := campaign.Campaign{Source: campaign.FuzzSource{Seed: 1}, Graphs: 40, Targets: []string{"pop-nop-push"}, Workers: 1}
	c.Start = start(func(n int) bool { return n > 2 })
	if r := ran(t, c); r.Graphs != 40 || starts < 3 {
		t.Errorf("%d graphs, %d tries to start", r.Graphs, starts)
	}
	c.Start = start(func(n int) bool { return n == 1 })
	r, err := c.Run(context.Background())
	if err == nil || !strings.Contains(err.Error(), "no process") || r == nil || r.Graphs != 20 || len(r.Failures) == 0 || !r.Interrupted {
		t.Errorf("%v, %+v", err, r)
	}
}

// TestFuzzInterrupted keeps what was found before the end.
func TestFuzzInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	c := campaign.Campaign{
		Source: campaign.FuzzSource{Seed: 1}, Graphs: 100_000, Targets: []string{"pop-nop-push"}, Start: inside, Shrink: 1,
		Progress: func(done, _ int) {
			if done == 100 {
				cancel()
			}
		},
	}
	r, err := c.Run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Interrupted || r.Graphs < 100 || r.Graphs > 200 || len(r.Failures) == 0 || r.Failures[0].Graph == nil || r.Failures[0].Shrunk {
		t.Errorf("%+v", r)
	}
}
