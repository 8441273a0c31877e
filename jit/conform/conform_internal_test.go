// SPDX-License-Identifier: GPL-2.0-only

package conform

import (
	"strings"
	"testing"

	"github.com/tcsim/tcsim/fixtures"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/crash"
)

// TestConformPanics: a panic of a worker reaches the caller, with its place and stack.
func TestConformPanics(t *testing.T) {
	src, err := capture.OpenFS(fixtures.FS, "kernels/extra-6.12-off.jsonl.gz", "file")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		c, ok := recover().(*crash.Panic)
		if !ok || !strings.HasPrefix(c.Error(), "scenario in line ") || !strings.Contains(string(c.Stack()), "(*conformer).scenario") {
			t.Errorf("recovered %v", c)
		}
	}()
	(&conformer{src: src}).run() // without a target
}
