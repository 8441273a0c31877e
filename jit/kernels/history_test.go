// SPDX-License-Identifier: GPL-2.0-only

package kernels_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/fixtures/golden"
	"github.com/tcsim/tcsim/jit/kernels"
)

// TestHistory keeps docs/history.md in step with the registry; -update rewrites it.
func TestHistory(t *testing.T) {
	var b strings.Builder
	b.WriteString(`# A history of the BPF JIT

What changed from one mainline release to the next in all that tcsim models, made from the registry of kernels
(` + "`jit/kernels`" + `). A release that is not listed is as the one before. A commit stands where it is known. Where a stable
tree is otherwise, the patch level is the one in which that was seen; it may have come before.

| release | kind | from here on | commit | stable trees |
|---|---|---|---|---|
`)
	for _, r := range kernels.Releases() {
		for i := range kernels.Facts {
			f := &kernels.Facts[i]
			text := ""
			switch r.Version {
			case f.Since:
				text = f.Doc
			case f.Until:
				text = "no longer: " + f.Doc
			default:
				continue
			}
			if f.Replaced() && r.Version == f.Until {
				continue
			}
			if r.Version == f.Since && f.After != (kernels.Version{}) {
				text += fmt.Sprintf(" (after %s, at the latest here)", f.After)
			}
			var stable []string
			for _, s := range f.Stable {
				stable = append(stable, fmt.Sprintf("%s.%d", s.Base, s.Patch))
			}
			commit := f.Commit
			if commit != "" {
				commit = "`" + commit + "`"
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", r.Name(), f.Kind, text, commit, strings.Join(stable, ", "))
		}
	}
	b.WriteString("\n## Releases\n\nHow each is known. Builds are those of the kernels that were captured; the others have no option of the build set.\n\n" +
		"| release | source | known |\n|---|---|---|\n")
	for _, r := range kernels.Releases() {
		known := "verified against captures"
		if note := r.Note(); note != "" {
			known = strings.TrimPrefix(note, r.Name()+": ")
		}
		if r.Captured() && r.Note() != "" {
			known = "verified against captures; " + known
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", r.Name(), r.Source(), known)
	}
	golden.Check(t, "../../docs/history.md", b.String())
}
