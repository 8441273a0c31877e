// SPDX-License-Identifier: GPL-2.0-only

package callgraph_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/callgraph"
	"github.com/tcsim/tcsim/scenarios/object"
)

func graph(t *testing.T, b *scenarios.Built) *callgraph.Graph {
	t.Helper()
	target, err := jit.TargetByName("6.12")
	if err != nil {
		t.Fatal(err)
	}
	return callgraph.New(b, target)
}

func read(t *testing.T, name string) *scenarios.Built {
	t.Helper()
	f, err := object.Open("../../fixtures/objects/"+name, object.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := f.Load(nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestFindings looks for what is wrong with the object files: see their sources.
func TestFindings(t *testing.T) {
	for name, want := range map[string][2][]string{
		"hierarchy.o": {{}, {}},
		"globals.o":   {{}, {}},
		"xdp.o": {{}, {
			"entry, instruction 24: of by_protocol[0-31] 30 slots are never filled, and the key may be beyond the last",
		}},
		"dispatcher.o": {{
			"from_container, instruction 20: calls[2] is never filled",
			"handle_arp, instruction 3: key 9 is out of range: calls has 4 entries",
			"handle_ipv4, instruction 25: key 9 is out of range: calls has 4 entries",
		}, {}},
	} {
		g := graph(t, read(t, name))
		if d := cmp.Diff(want, [2][]string{g.Findings, g.Notes}); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// TestUpdatesFill takes a slot as filled that an update of the scenario fills.
func TestUpdatesFill(t *testing.T) {
	const text = `
version: 1
name: later
maps:
  table: {type: prog_array, max_entries: 3}
programs:
  entry: {steps: [tail_call: "table[0]", tail_call: "table[1]", return: 1]}
  other: {steps: [return: 2]}
runs:
  - run: entry
  - update: {"table[0]": other}
  - run: entry
`
	sc, err := scenarios.Load("later.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	b, err := scenarios.Build(sc)
	if err != nil {
		t.Fatal(err)
	}
	g := graph(t, b)
	if len(g.Findings) != 1 || !strings.Contains(g.Findings[0], "table[1] is never filled") {
		t.Errorf("findings %q", g.Findings)
	}
	if !strings.Contains(g.Text(), "tail call table[0] → other") {
		t.Errorf("no way to other in\n%s", g.Text())
	}
}

// TestUnreached notes a program that is in a slot that no tail call uses.
func TestUnreached(t *testing.T) {
	f, err := object.Open("../../fixtures/objects/config.o", object.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for entry, want := range map[string][]string{
		"from_netdev": {},
		"ipv6":        {}, // it has no prog array
	} {
		b, err := f.Scenario(object.Options{Entry: entry, Fill: []string{"calls[2]=ipv6"}})
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, graph(t, b).Notes); d != "" {
			t.Errorf("%s: %s", entry, d)
		}
	}
	// The call of slot 2 is switched off by a constant.
	b, err := f.Scenario(object.Options{Entry: "from_netdev", Fill: []string{"calls[1]=ipv4", "calls[2]=ipv6"}})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"ipv6: no tail call leads to this program"}, graph(t, b).Notes); d != "" {
		t.Error(d)
	}
}

func TestFold(t *testing.T) {
	line := "  calls " + strings.Repeat("some_function, ", 12) + "last"
	for _, l := range strings.Split(callgraph.Fold(line), "\n") {
		if len(l) > 100 || l != "" && !strings.HasPrefix(l, "  ") {
			t.Errorf("%d columns: %q", len(l), l)
		}
	}
	if got := strings.Join(strings.Fields(callgraph.Fold(line)), " "); got != strings.TrimSpace(line) {
		t.Errorf("words changed: %q", got)
	}
}

// TestDOT lets Graphviz read the drawing where it is there.
func TestDOT(t *testing.T) {
	text := graph(t, read(t, "dispatcher.o")).DOT()
	for _, want := range []string{"digraph", `label="handle_policy"`, `label="calls[9]"`, `label="nothing"`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	dot, err := exec.LookPath("dot")
	if err != nil {
		return
	}
	cmd := exec.Command(dot, "-Tsvg")
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("dot: %v: %.300s", err, out)
	}
}
