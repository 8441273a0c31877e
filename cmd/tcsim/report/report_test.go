// SPDX-License-Identifier: GPL-2.0-only

package report_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/cmd/tcsim/report"
	"github.com/tcsim/tcsim/emu/timing"
	_ "github.com/tcsim/tcsim/fixtures/golden" // for go test ./... -update
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/interleave"
	"github.com/tcsim/tcsim/scenarios/replay"
	"github.com/tcsim/tcsim/scenarios/runner/runnertest"
)

// made is the page of scenarios on targets.
func made(t testing.TB, o report.Options, on string, bs ...*scenarios.Built) string {
	t.Helper()
	var ts []*jit.Target
	for _, name := range strings.Split(on, ",") {
		ts = append(ts, runnertest.Target(t, name))
	}
	r := report.New(o)
	for _, b := range bs {
		if err := r.Add(context.Background(), b, ts); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	if err := r.Write(&out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func core(t testing.TB) *timing.Core {
	t.Helper()
	c, err := timing.CoreNamed("")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// full are the options of a page with everything.
func full(t testing.TB) report.Options {
	return report.Options{Core: core(t), Command: "tcsim report hierarchy", Explore: &interleave.Options{}}
}

// TestPage expects a page that may load nothing, whose own style and script its policy allows, and that is the
// same each time.
// TestInterrupted expects a page of what was finished that says that there was more.
func TestInterrupted(t *testing.T) {
	r := report.New(report.Options{Core: core(t)})
	tg, err := jit.TargetByName("6.12")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Add(context.Background(), runnertest.Build(t, "hierarchy"), []*jit.Target{tg}); err != nil {
		t.Fatal(err)
	}
	r.Interrupted = true
	var page strings.Builder
	if err := r.Write(&page); err != nil || !strings.Contains(page.String(), "<title>hierarchy on 6.12 (interrupted, there was more)") {
		t.Errorf("%v: %.300s", err, page.String())
	}
}

func TestPage(t *testing.T) {
	b := runnertest.Build(t, "hierarchy")
	text := made(t, report.Options{Core: core(t)}, "6.1,6.12", b)
	if !strings.Contains(text, "✗ violates limit (expected)</td>") {
		t.Error("the table of verdicts does not say that the violation is expected")
	}
	if len(text) > 2<<20 {
		t.Errorf("%d bytes", len(text))
	}
	policy := strings.ReplaceAll(regexp.MustCompile(`Security-Policy" content="([^"]*)"`).FindStringSubmatch(text)[1], "&#43;", "+")
	policy = strings.ReplaceAll(policy, "&#39;", "'")
	if !strings.HasPrefix(policy, "default-src 'none';") || strings.Contains(policy, "unsafe") {
		t.Errorf("policy %s", policy)
	}
	for what, re := range map[string]string{"style-src": `(?s)<style>(.*?)</style>`, "script-src": `(?s)<script>(.*?)</script>`} {
		found := regexp.MustCompile(re).FindAllStringSubmatch(text, -1)
		if len(found) != 1 {
			t.Fatalf("%d of %s", len(found), what)
		}
		sum := sha256.Sum256([]byte(found[0][1]))
		if want := fmt.Sprintf("%s 'sha256-%s'", what, base64.StdEncoding.EncodeToString(sum[:])); !strings.Contains(policy, want) {
			t.Errorf("policy %s does not allow %s", policy, want)
		}
	}
	if m := regexp.MustCompile(`(?i)\b(src|href)="?(https?:|//)|@import|url\(`).FindString(text); m != "" {
		t.Errorf("loads %s", m)
	}
	if again := made(t, report.Options{Core: core(t)}, "6.1,6.12", b); again != text {
		t.Error("not the same again")
	}
}

// TestBlocks expects data that json reads, in pages of the size that was asked for, the first still of each
// whole.
func TestBlocks(t *testing.T) {
	text := made(t, report.Options{PageSize: 50, Most: 120}, "6.12", runnertest.Build(t, "hierarchy"))
	blocks := regexp.MustCompile(`(?s)<script type="application/json" id="([^"]*)">(.*?)</script>`).FindAllStringSubmatch(text, -1)
	sizes := map[string]int{}
	for _, b := range blocks {
		if strings.ContainsAny(b[2], "<>&") {
			t.Errorf("%s: markup in data", b[1])
		}
		if !strings.Contains(b[1], "-page-") {
			if !json.Valid([]byte(b[2])) {
				t.Errorf("%s is not JSON", b[1])
			}
			continue
		}
		var shots []struct {
			N uint64 `json:"n"`
			Z bool   `json:"z"`
		}
		if err := json.Unmarshal([]byte(b[2]), &shots); err != nil {
			t.Fatalf("%s: %v", b[1], err)
		}
		sizes[b[1]] = len(shots)
		if !shots[0].Z {
			t.Errorf("%s begins with a still that is not whole", b[1])
		}
	}
	if want := "map[play-0-0-run-0-page-0:50 play-0-0-run-0-page-1:50 play-0-0-run-0-page-2:20]"; fmt.Sprint(sizes) != want {
		t.Errorf("pages %v, want %s", sizes, want)
	}
	if !strings.Contains(text, "has the first 120 events only") {
		t.Error("does not say that events are left out")
	}
}

// TestWhy expects reasons in the view of code: of the prologue the design, with the release since which it holds.
func TestWhy(t *testing.T) {
	text := made(t, report.Options{}, "6.1,6.12", runnertest.Build(t, "hierarchy"))
	for _, want := range []string{
		`<dt>hier-6.12, only 6.12</dt>`, `<th scope="col">why</th>`, `<td class="why">hier-6.12 (since 6.12), endbr</td>`, `<td class="why">hier-6.12 (since 6.12)</td>`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s", want)
		}
	}
	groups := regexp.MustCompile(`(?s)<tbody class="(same|differs)">.*?<td class="why">([^<]*)</td>`).FindAllStringSubmatch(text, -1)
	for _, g := range groups {
		if (g[1] == "same") != (g[2] == "") {
			t.Errorf("code that is %s has the reason %q", g[1], g[2])
		}
	}
	if len(groups) < 10 {
		t.Errorf("%d groups", len(groups))
	}
}

// TestLong expects a page of a run that is too long for its cost as one of many, which says so.
func TestLong(t *testing.T) {
	b := runnertest.BuildText(t, "long.yaml", []byte(`version: 1
name: long
maps: {n: {type: array}}
programs:
  entry: [{repeat: 30000, do: [count: n]}, return: 1]
runs: [run: entry]
`))
	text := made(t, report.Options{Core: core(t)}, "6.12", b)
	for _, want := range []string{"<h2>Cost</h2>", "the first run after loading", "long on 6.12: the run is too long: what one of many runs in a row costs"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q", want)
		}
	}
}

// nasty is markup and more, where a name could be.
const nasty = `</script><img src=x onerror="document.title='bad'">&amp;"'` + "\u202e"

// hostile is a scenario whose names are markup.
func hostile(t testing.TB) *scenarios.Built {
	b := *runnertest.Build(t, "poke_one_site")
	sc := *b.Scenario
	b.Scenario = &sc
	sc.Name, sc.About = "name"+nasty, "about"+nasty
	for i := range b.Programs {
		p := &b.Programs[i]
		p.Name += nasty
		for k := range p.Funcs {
			p.Funcs[k].Name += nasty
		}
		for k := range p.Maps {
			p.Maps[k].Name = "map" + nasty
		}
	}
	for i := range b.Maps {
		b.Maps[i].Name = "map" + nasty
	}
	return &b
}

// TestHostile expects markup in names to be text.
func TestHostile(t *testing.T) {
	text := made(t, full(t), "6.12,ip-aux", hostile(t))
	for _, bad := range []string{"\u202e", "<img", "</script><", `onerror="`} {
		if i := strings.Index(text, bad); i >= 0 {
			t.Errorf("markup in the page: ...%.80s", text[max(0, i-40):])
		}
	}
}

// BenchmarkHierarchy makes the report of the hierarchy on two targets.
func BenchmarkHierarchy(b *testing.B) {
	built, o := runnertest.Build(b, "hierarchy"), report.Options{Core: core(b)}
	for b.Loop() {
		made(b, o, "6.1,6.12", built)
	}
}

// captured is the page of scenarios of a capture.
func captured(t *testing.T, file, pattern string) (string, error) {
	t.Helper()
	src, err := capture.Open("../../../fixtures/" + file)
	if err != nil {
		t.Fatal(err)
	}
	target, err := replay.TargetOf(src)
	if err != nil {
		t.Fatal(err)
	}
	r := report.New(report.Options{Core: core(t)})
	if err := r.AddCapture(context.Background(), src, target, pattern); err != nil {
		return "", err
	}
	var out bytes.Buffer
	if err := r.Write(&out); err != nil {
		t.Fatal(err)
	}
	return out.String(), nil
}

// TestCapture shows code that a kernel made, with and without the file of the scenario.
func TestCapture(t *testing.T) {
	text, err := captured(t, "kernels/6.12-off.jsonl.gz", "hier/self/const/n2/r6")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"hier/self/const/n2/r6 on hier-6.12", `id="play-0-0-run-0-page-0"`, "made, at the addresses"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q", want)
		}
	}
	if _, err := captured(t, "kernels/6.12-off.jsonl.gz", "hier/*"); err == nil || !strings.Contains(err.Error(), "choose with --scenario") {
		t.Errorf("81 scenarios: %v", err)
	}
	text, err = captured(t, "live/6.18-vm.jsonl.gz", "hierarchy")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text, `id="play-0-0-run-0-page-0"`) || !strings.Contains(text, "<h2>Cost</h2>") {
		t.Errorf("no run, or no cost, of a capture with the scenario's file")
	}
}
