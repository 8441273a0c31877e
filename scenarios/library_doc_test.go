// SPDX-License-Identifier: GPL-2.0-only

package scenarios_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/scenarios/files"
)

// TestLibraryDoc: docs/scenario-library.md names every scenario, and no other.
func TestLibraryDoc(t *testing.T) {
	doc, err := os.ReadFile("../docs/scenario-library.md")
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for _, m := range regexp.MustCompile("`([a-z0-9_]+)`").FindAllStringSubmatch(string(doc), -1) {
		named[m[1]] = true
	}
	all := files.Builtin()
	for _, name := range all {
		if !named[name] {
			t.Errorf("%s is not there", name)
		}
		delete(named, name)
	}
	for _, line := range strings.Split(string(doc), "\n") {
		cells := strings.Split(line, "|")
		if len(cells) < 6 {
			continue
		}
		for _, m := range regexp.MustCompile("^ `([a-z0-9_]+)`").FindAllStringSubmatch(cells[2], -1) {
			if !slices.Contains(all, m[1]) {
				t.Errorf("there is no scenario %s", m[1])
			}
		}
	}
}
