// SPDX-License-Identifier: GPL-2.0-only

package timing_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/emu/timing/timingtest"
	"github.com/tcsim/tcsim/fixtures/golden"
)

// TestCoresPage holds the tables of parameters in docs/cores.md against the core files.
func TestCoresPage(t *testing.T) {
	const page = "../../docs/cores.md"
	src, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	text := string(src)
	for _, name := range []string{"glc", "zen5"} {
		begin, end := "<!-- "+name+" -->\n", "<!-- end of "+name+" -->"
		before, rest, ok := strings.Cut(text, begin)
		_, after, ok2 := strings.Cut(rest, end)
		if !ok || !ok2 {
			t.Fatalf("%s: no %q", page, begin)
		}
		b := "\n| parameter | value | source, and what it explains |\n|---|---|---|\n"
		for _, p := range timingtest.Core(t, name).Params() {
			if p.Source != "" {
				b += fmt.Sprintf("| `%s` | %s | %s |\n", p.Path, p.Value, p.Source)
			}
		}
		text = before + begin + b + "\n" + end + after
	}
	golden.Check(t, page, text)
}
