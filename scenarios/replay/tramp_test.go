// SPDX-License-Identifier: GPL-2.0-only

package replay_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"io/fs"
	"path"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/fixtures"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/scenarios/replay"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// TestReplayTraced runs everything that the kernels traced with the kernels' own trampolines, with the
// tracing programs attached and without. 5.10 loses the counter: its runs go beyond the limit.
func TestReplayTraced(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	names, err := fs.Glob(fixtures.FS, "kernels/extra-*.jsonl.gz")
	if err != nil || len(names) != 10 {
		t.Fatalf("%d captures: %v", len(names), err)
	}
	r, err := replay.New(runner.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, name := range names {
		src, err := capture.OpenFS(fixtures.FS, name, path.Base(name))
		if err != nil {
			t.Fatal(err)
		}
		tg, err := jit.TargetFor(src.Header.Kernel)
		if err != nil {
			t.Fatal(err)
		}
		picked, err := replay.Select(src, "tramp/*")
		if err != nil {
			t.Fatal(err)
		}
		var ran, traced, hooks, beyond int
		for _, i := range picked {
			for _, c := range capturedRuns(t, src, tg, i) {
				res, err := r.Run(context.Background(), c)
				if err != nil {
					t.Fatal(err)
				}
				if res.Skipped != "" {
					continue
				}
				ran++
				for _, w := range res.Wrong {
					t.Errorf("%s: %s, traced %v: %s", path.Base(name), res.Scenario, res.Traced, w)
				}
				n := 0
				for j := range res.Events {
					if res.Events[j].Kind == trace.KindHook {
						n++
					}
				}
				if !res.Traced {
					if n != 0 {
						t.Errorf("%s: %s: %d trampolines in a run without tracing programs", path.Base(name), res.Scenario, n)
					}
					continue
				}
				traced++
				hooks += n
				if res.Counts.Taken > 33 {
					beyond++
				}
			}
		}
		t.Logf("%s: %d runs as the kernel's, %d of them traced through %d trampolines; in %d the limit does not hold", path.Base(name), ran, traced, hooks, beyond)
		if traced < 49 || hooks < 300 {
			t.Errorf("%s: only %d runs traced through %d trampolines", path.Base(name), traced, hooks)
		}
		if lost := strings.Contains(name, "5.10"); (beyond > 0) != lost {
			t.Errorf("%s: the limit does not hold in %d runs", path.Base(name), beyond)
		}
	}
}

// capturedRuns is a scenario of a capture as it was run without tracing programs, and with them if it has any.
func capturedRuns(t *testing.T, src *capture.Source, tg *jit.Target, i int) []replay.Captured {
	t.Helper()
	c, err := replay.Capture(src, tg, i)
	if err != nil {
		t.Fatal(err)
	}
	if w, ok := replay.WithTracing(c); ok {
		return []replay.Captured{c, w}
	}
	return []replay.Captured{c}
}

// edited is a capture of one scenario with its text changed.
func edited(t *testing.T, file, scenario, old, new string) *capture.Source {
	t.Helper()
	f, err := fixtures.FS.Open("kernels/" + file + ".jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	head, rest, _ := strings.Cut(lines[0], `"scenarios":`)
	_, rest, _ = strings.Cut(rest, ",")
	keep := []string{head + `"scenarios":1,` + rest}
	for _, l := range lines {
		if strings.HasPrefix(l, `{"type":"scenario","name":"`+scenario+`"`) {
			if !strings.Contains(l, old) {
				t.Fatalf("%q is not in %s", old, l)
			}
			keep = append(keep, strings.Replace(l, old, new, 1))
		}
	}
	keep = append(keep, lines[len(lines)-1])
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, strings.Join(keep, "\n")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	src, err := capture.Read(&b, file)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

// TestReplayTracedBroken changes one instruction of a kernel's trampoline and expects the invariant
// that it breaks.
func TestReplayTracedBroken(t *testing.T) {
	r, err := replay.New(runner.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for what, c := range map[string]struct{ file, scenario, old, new, want string }{
		"nothing":               {"6.12", "tramp/leaf2/fexit", "c9", "c9", ""},
		"rbx not restored":      {"5.10", "tramp/leaf2/fexit", "5bc94883c408c3", "90c94883c408c3", "callee-saved"},
		"return not skipped":    {"6.12", "tramp/leaf2/fexit", "c94883c408c3", "c94883c400c3", "result"},
		"skipped for fentry":    {"5.10", "tramp/leaf2/fentry+fexit", "c94883c408c3", "c94883c410c3", "balance"},
		"frame below rsp":       {"6.12", "tramp/leaf2/fexit", "554889e54883ec38", "554889e54883ec18", "frame"},
		"argument not restored": {"7.2", "tramp/leaf2/fexit", "488b7de8", "48897de8", "result"},
		"rbp not saved":         {"7.2", "tramp/leaf2/fexit", `"image":"554889e5`, `"image":"504889e5`, "capture"},
		"counter not kept":      {"7.2", "tramp/sub-self/fexit", "488b85c8ffffff", "488b85d0ffffff", "any"},
		"program not called":    {"6.1", "tramp/plain/fexit", "4885c07409", "4885c0eb09", "result"},
	} {
		t.Run(what, func(t *testing.T) {
			src := edited(t, "extra-"+c.file+"-off", c.scenario, c.old, c.new)
			tg, err := jit.TargetFor(src.Header.Kernel)
			if err != nil {
				t.Fatal(err)
			}
			cd, err := replay.Capture(src, tg, 0)
			if c.want == "capture" {
				if err == nil {
					t.Fatal("no error")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			traced, _ := replay.WithTracing(cd)
			res, err := r.Run(context.Background(), traced)
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if res.Violation != nil {
				got = string(res.Violation.Invariant)
			} else if len(res.Wrong) > 0 {
				got = "result"
			}
			t.Logf("%s: %v %v", got, res.Violation, res.Wrong)
			if got != c.want && !(c.want == "any" && got != "") {
				t.Errorf("got %q, expected %q", got, c.want)
			}
		})
	}
}
