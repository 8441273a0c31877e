// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"encoding/json"
	"math/big"
	"os"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/scenarios/measure"
	"github.com/tcsim/tcsim/scenarios/object"
	"github.com/tcsim/tcsim/scenarios/runner"
)

func TestCount(t *testing.T) {
	code, out, _ := tcsim(t, "", "count", "fixtures/scenarios/hierarchy.yaml", "--target", "6.1")
	if code != exitOK { // the scenario says that this design breaks the limit
		t.Errorf("exit code %d", code)
	}
	for _, want := range []string{
		"17,179,869,182 (limit 33)", "17,179,869,184 by the limit", "34,359,738,366 of functions", "17,179,869,183 entry",
		"755,914,244,054", "count[0] = 4,294,967,295", "soft lockup (20 s) and RCU stall (21 s)",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

// TestCountDocs holds the example of the documentation to what is printed.
func TestCountDocs(t *testing.T) {
	_, out, details := tcsim(t, "", "count", "hierarchy", "--target", "6.1", "-v")
	doc, err := os.ReadFile("docs/counting.md")
	if err != nil {
		t.Fatal(err)
	}
	shown, _, _ := strings.Cut(out, "  cycles")
	if !strings.Contains(string(doc), shown) {
		t.Errorf("not in docs/counting.md:\n%s", shown)
	}
	for _, line := range strings.Split(details, "\n")[1:4] {
		if !strings.Contains(string(doc), line) {
			t.Errorf("not in docs/counting.md: %s", line)
		}
	}
}

func TestCountJSON(t *testing.T) {
	code, out, _ := tcsim(t, "", "count", "hierarchy", "--target", "6.1", "--limit", "120", "--json", "--ghz", "2")
	if code != exitOK {
		t.Errorf("exit code %d", code)
	}
	var got struct {
		Schema  string
		Results []struct {
			TailCalls   *big.Int `json:"tail_calls"`
			LimitBroken bool     `json:"limit_broken"`
			Timing      struct {
				Cycles     *big.Int
				Seconds    float64
				SoftLockup bool `json:"soft_lockup"`
			}
			Work struct{ Summaries int }
		}
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	if got.Schema != "tcsim.count/v1" || len(got.Results) != 1 {
		t.Fatalf("schema %q, %d results", got.Schema, len(got.Results))
	}
	r := got.Results[0]
	want := new(big.Int).Lsh(big.NewInt(1), 121)
	want.Sub(want, big.NewInt(2))
	if r.TailCalls.Cmp(want) != 0 || !r.LimitBroken || r.Work.Summaries != 121 {
		t.Errorf("%v tail calls, want %v; broken %v, %d summaries", r.TailCalls, want, r.LimitBroken, r.Work.Summaries)
	}
	cycles, _ := new(big.Float).SetInt(r.Timing.Cycles).Float64()
	if s := cycles / 2e9; r.Timing.Seconds < s*0.999 || r.Timing.Seconds > s*1.001 || !r.Timing.SoftLockup {
		t.Errorf("%v seconds for %v cycles at 2 GHz, soft lockup %v", r.Timing.Seconds, r.Timing.Cycles, r.Timing.SoftLockup)
	}
}

func TestCountOutcomes(t *testing.T) {
	const capture = "fixtures/kernels/6.1-off.jsonl.gz"
	for _, tc := range []struct {
		name string
		args []string
		want int
		says []string // on stdout or stderr
	}{
		{"ends", []string{"hierarchy"}, exitOK, []string{"33 tail calls", "no soft lockup"}},
		{"never ends", []string{"bug_returned_count", "--target", "backprop-check"}, exitFailed, []string{"never ends", "rax = 0x", "tail call to entry", "for ever"}},
		{"not decided", []string{"hierarchy", "--target", "6.1", "--max-summaries", "5"}, exitUntestable, []string{"not decided", "summaries"}},
		{"steps", []string{"hierarchy", "--target", "6.1", "--no-reuse", "--max-steps", "9999"}, exitUntestable, []string{"not decided: more than 9999 steps"}},
		{"details", []string{"hierarchy", "--target", "6.1", "-v"}, exitOK, []string{"34 summaries used 34 times", "if rax = 0x", "MB at the peak"}},
		{"capture", []string{"--capture", capture, "--scenario", "hier/self/const/n2/r6"}, exitFailed, []string{"17,179,869,182", "more than the limit"}},
		{"captured, as the kernel", []string{"--capture", capture, "--scenario", "tail/self/const/stack0/*"}, exitOK, []string{"33 tail calls"}},
		{"two questions", []string{"hierarchy", "--capture", capture}, exitUsage, []string{"not both"}},
		{"no capture", []string{"--scenario", "x"}, exitUsage, []string{"--capture is missing"}},
		{"bad frequency", []string{"hierarchy", "--ghz", "0"}, exitUsage, []string{"--ghz"}},
		{"bad core", []string{"hierarchy", "--core", "z80"}, exitUsage, []string{"z80"}},
		{"no such run", []string{"hierarchy", "--run", "9"}, exitUsage, []string{"no run 9"}},
		{"interrupted", []string{"nested_resets"}, exitUntestable, []string{"interrupted"}},
		{"not judged", []string{"refused_keeps_state", "--target", "6.1"}, exitOK, []string{"expects a violation of semantics"}},
		{
			"captured without a run", []string{"--capture", "fixtures/live/6.18-library.jsonl.gz", "--scenario", "hierarchy"},
			exitUsage, []string{"nothing to run"},
		},
		{
			"several runs", []string{"--capture", "fixtures/kernels/extra-7.2-off.jsonl.gz", "--scenario", "tramp/kernel1/fentry"},
			exitUntestable, []string{"several runs"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			code, out, errs := tcsim(t, "", append([]string{"count"}, tc.args...)...)
			if code != tc.want {
				t.Errorf("exit code %d, want %d: %s", code, tc.want, errs)
			}
			for _, s := range tc.says {
				if !strings.Contains(out+errs, s) {
					t.Errorf("no %q in\n%s%s", s, out, errs)
				}
			}
		})
	}
}

func TestCountSentence(t *testing.T) {
	for _, tc := range []struct{ scenario, target, want string }{
		{"hierarchy", "6.1", "17,179,869,182 tail calls, 34,359,738,366 calls, 755,914,244,054 instructions"},
		{"bug_returned_count", "backprop-check", "never ends: the same 37 instructions with 2 tail calls"},
	} {
		b, err := object.Load(tc.scenario, object.Options{})
		if err != nil {
			t.Fatal(err)
		}
		ts, err := targets([]string{tc.target}, 0)
		if err != nil {
			t.Fatal(err)
		}
		image, err := runner.Compile(b, ts[0])
		if err != nil {
			t.Fatal(err)
		}
		s, err := runner.Open(image, runner.Options{})
		if err != nil {
			t.Fatal(err)
		}
		res, err := s.Play(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		c, err := s.CountOpen(t.Context(), res, measure.CountOptions{})
		if err != nil || c == nil {
			t.Fatalf("nothing counted, error %v", err)
		}
		if got := countSentence(c, defaultGHz); !strings.Contains(got, tc.want) {
			t.Errorf("%s on %s: %s", tc.scenario, tc.target, got)
		}
		s.Close()
	}
}

func TestGrouped(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -1234567: "-1,234,567", 17179869182: "17,179,869,182"} {
		if got := grouped(big.NewInt(n)); got != want {
			t.Errorf("grouped(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestDuration(t *testing.T) {
	for s, want := range map[float64]string{
		4.17e-7: "0.417 µs", 0.25: "250 ms", 152.2: "152 s", 10 * 86400: "10 days", 1e9: "32 years", 1e20: "3.2e+12 years",
	} {
		if got := duration(s); got != want {
			t.Errorf("duration(%v) = %q, want %q", s, got, want)
		}
	}
}
