// SPDX-License-Identifier: GPL-2.0-only

package scenariotest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/scenarios/scenariotest"
)

// outdated expects numbers that do not come out, but for one of them on one target.
const outdated = `version: 1
name: outdated
maps:
  jmp_table: {type: prog_array, slots: {0: entry}}
  count: {type: array}
programs:
  entry:
    steps: [count: count, call: sub, return: 7]
    functions:
      sub: [tail_call: jmp_table, return: 0]
runs:
  - run: entry
    expect: {return: 0x1, taken: 3, values: {count: 30}} # ü stays
  - delete: "jmp_table[0]"
  - run: entry
    expect:
      return: 7
      refused: {empty: 0, limit: 9}
      stack_at_most: 1
`

// TestUpdate rewrites a file, and plays it.
func TestUpdate(t *testing.T) {
	file := filepath.Join(t.TempDir(), "outdated.yaml")
	if err := os.WriteFile(file, []byte(outdated), 0o600); err != nil {
		t.Fatal(err)
	}
	scenariotest.Run(t, scenariotest.Options{Targets: []string{"6.12"}, Update: true}, file)
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"    expect: {return: 7, taken: 33, values: {count: 34}} # ü stays\n", "      return: 7\n      refused: {empty: 1, limit: 0}\n      stack_at_most: ",
	} {
		if !strings.Contains(string(b), want) {
			t.Errorf("no %q in\n%s", want, b)
		}
	}
	if strings.Contains(string(b), "stack_at_most: 1\n") {
		t.Error("stack_at_most is as it was")
	}
	scenariotest.Run(t, scenariotest.Options{Targets: []string{"6.12"}}, file)
}
