// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"os"
	"strings"
	"testing"
)

// TestDocsListVerbs expects each verb in the README's table and in docs/architecture.md.
func TestDocsListVerbs(t *testing.T) {
	t.Chdir("../..")
	text := func(name string) string {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	readme, arch := text("README.md"), text("docs/architecture.md")
	for _, name := range visible(newApp(env{}).Commands) {
		if name == "help" || name == "completion" {
			continue
		}
		if !strings.Contains(readme, "| `tcsim "+name) {
			t.Errorf("README.md does not list %s", name)
		}
		if !strings.Contains(arch, "`"+name+"`") {
			t.Errorf("docs/architecture.md does not list %s", name)
		}
	}
}
