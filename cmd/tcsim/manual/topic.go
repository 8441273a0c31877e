// SPDX-License-Identifier: GPL-2.0-only

package manual

import (
	"io/fs"
	"path"
	"strings"

	"github.com/tcsim/tcsim/docs"
)

// shown are the pages of the documentation that are for users of the command line, the most asked for first. Those of explore and
// matrix are left to the help of these commands, which have their names.
var shown = []string{
	"glossary", "exit-codes", "targets", "scenario-format", "ci", "object-files", "source-jit", "counting", "fuzzing", "timing",
	"trampolines", "worst-stack", "schemes", "imports", "capture-format", "scenario-library", "newer-features",
}

// Topics returns the names of the topics of tcsim help.
func Topics() []string {
	var out []string
	for _, t := range shown {
		if _, ok := Topic(t); ok {
			out = append(out, t)
		}
	}
	return out
}

// Topic returns the text of a topic; ok is false if there is none of that name.
func Topic(name string) (text string, ok bool) {
	if path.Base(name) != name {
		return "", false
	}
	page, err := fs.ReadFile(docs.FS, name+".md")
	return string(page), err == nil
}

// About is the heading of a topic.
func About(name string) string {
	text, _ := Topic(name)
	head, _, _ := strings.Cut(strings.TrimPrefix(text, "# "), "\n")
	return head
}
