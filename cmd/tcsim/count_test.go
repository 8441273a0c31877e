// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"os"
	"strings"
	"testing"
)

// TestCountDocs holds the summaries that docs/counting.md shows to what -v lists; the console block there is
// run by TestREADME.
func TestCountDocs(t *testing.T) {
	_, _, details := tcsim(t, "", "count", "hierarchy", "--target", "6.1", "-v")
	doc, err := os.ReadFile("docs/counting.md")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(details, "\n")
	if len(lines) < 4 {
		t.Fatalf("no summaries:\n%s", details)
	}
	for _, line := range lines[1:4] {
		if !strings.Contains(string(doc), line) {
			t.Errorf("not in docs/counting.md: %s", line)
		}
	}
}
