// SPDX-License-Identifier: GPL-2.0-only

package scenariotest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/scenarios/scenariotest"
)

// TestRun plays a built-in scenario, a file and an object file.
func TestRun(t *testing.T) {
	scenariotest.Run(t, scenariotest.Options{}, "hierarchy")
	scenariotest.Run(t, scenariotest.Options{Targets: []string{"6.12", "fp40"}},
		"../../fixtures/scenarios/chain33.yaml", "../../fixtures/objects/dispatcher.o")
}

// TestPlay has a test judge for itself.
func TestPlay(t *testing.T) {
	res := scenariotest.Play(t, "6.1", `
version: 1
name: mine
maps:
  jmp_table: {type: prog_array, slots: {0: entry}}
programs:
  entry:
    steps: [call: sub, return: 1]
    functions:
      sub: [tail_call: jmp_table, return: 0]
runs:
  - run: entry
`)
	if len(res.Runs) != 1 || res.Runs[0].Counts.Taken != 33 || !res.OK() {
		t.Errorf("%+v", res)
	}
}

// userTest is what a project outside would write.
const userTest = `package user

import (
	"flag"
	"testing"

	"github.com/tcsim/tcsim/scenarios/scenariotest"
)

var _ = flag.Bool("update", false, "rewrite what scenarios expect")

func TestOld(t *testing.T) {
	scenariotest.Run(t, scenariotest.Options{Targets: []string{"6.1", "6.12"}}, "old.yaml")
}

func TestDiffers(t *testing.T) {
	scenariotest.Run(t, scenariotest.Options{Targets: []string{"6.1", "6.12"}}, "differs.yaml")
}

func TestGood(t *testing.T) { scenariotest.Run(t, scenariotest.Options{}, "hierarchy") }

func TestBad(t *testing.T) {
	scenariotest.Run(t, scenariotest.Options{Targets: []string{"6.1"}}, "bad.yaml")
}
`

// oldScenario expects what it did once.
const oldScenario = `version: 1
name: old
maps:
  jmp_table: {type: prog_array, slots: {0: entry}}
programs:
  entry:
    steps: [call: sub, return: 1]
    functions:
      sub: [tail_call: jmp_table, return: 0]
runs:
  - run: entry
    expect: {taken: 1}
`

const badScenario = `version: 1
name: bad
maps:
  jmp_table: {type: prog_array, slots: {0: entry}}
programs:
  entry:
    steps: [call: sub, call: sub, return: 1]
    functions:
      sub: [tail_call: jmp_table, return: 0]
runs:
  - run: entry
`

// TestOtherModule uses the package from a module of its own.
func TestOtherModule(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a module")
	}
	top, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	mod, err := os.ReadFile(filepath.Join(top, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	sum, err := os.ReadFile(filepath.Join(top, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(mod), "\n")
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod": "module example.com/user\n" + rest + "\nrequire github.com/tcsim/tcsim v0.0.0\n" +
			"replace github.com/tcsim/tcsim => " + top + "\n",
		"go.sum": string(sum), "user_test.go": userTest, "bad.yaml": badScenario,
		"old.yaml": oldScenario, "differs.yaml": strings.Replace(oldScenario, "taken: 1", "stack_at_most: 1", 1),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("go", "test", "-v", ".", "-update")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod "+os.Getenv("GOFLAGS"), "GOPROXY=off", "GOWORK=off")
	b, err := cmd.CombinedOutput()
	out := string(b)
	if err == nil {
		t.Error("the wrong scenario passes")
	}
	for _, want := range []string{
		"--- PASS: TestGood/hierarchy/6.12", "--- FAIL: TestBad/bad.yaml/6.1", "expected no violation, found limit",
		"the 34th tail call was taken", "STACK of entry() #1", "--- PASS: TestOld/old.yaml/6.1", "-update: old.yaml is rewritten",
		"--- FAIL: TestDiffers/differs.yaml", "comes out, too: write it under",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("go test does not say %q:\n%s", want, out)
		}
	}
	for name, want := range map[string]string{"old.yaml": "taken: 33", "differs.yaml": "stack_at_most: 1}"} {
		if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !strings.Contains(string(b), want) {
			t.Errorf("%s: %v, want %q in\n%s", name, err, want, b)
		}
	}
}
