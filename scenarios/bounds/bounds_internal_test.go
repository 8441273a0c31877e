// SPDX-License-Identifier: GPL-2.0-only

package bounds

import (
	"fmt"
	"strings"
	"testing"

	"github.com/goccy/go-yaml/lexer"
)

// TestBelow: names of one mapping may not be too many, one below the other; those of several mappings, of entries of a
// list and in braces may.
func TestBelow(t *testing.T) {
	names := func(indent string, n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "%sk%d: 1\n", indent, i)
		}
		return b.String()
	}
	for _, row := range []struct {
		name, text string
		nth, line  int
	}{
		{"few", names("", 10), 0, 0},
		{"as many as may be", names("", 100), 0, 0}, // 5,050 steps
		{"one more", names("", 101), 101, 101},
		{"deeper", "a:\n  b:\n" + names("    ", 101), 101, 103},
		{"half of them in each", "a:\n" + names("  ", 50) + "b:\n" + names("  ", 50), 0, 0},
		{"in each of many", strings.Repeat("- a: 1\n  b: 2\n", 1600), 0, 0},
		{"with what is below them", strings.Repeat("k:\n  a: 1\n", 99), 0, 0},
		{"too many with what is below them", strings.Repeat("k:\n  a: 1\n", 101), 100, 199},
		{"in braces", "a: {" + strings.ReplaceAll(names("", 500), "\n", ", ") + "z: 1}\n", 0, 0},
		{"a list", strings.Repeat("- 1\n", 500), 0, 0},
	} {
		key, nth := below(lexer.Tokenize(row.text), 5_060)
		line := 0
		if key != nil {
			line = key.Position.Line
		}
		if nth != row.nth || line != row.line {
			t.Errorf("%s: name %d in line %d, want %d in line %d", row.name, nth, line, row.nth, row.line)
		}
	}
	for _, text := range []string{"", ":", ": 1\n", "? a\n: b\n", "&a\n", "- : 1\n", "a: |\n  x: y\n"} {
		if key, _ := Below(lexer.Tokenize(text)); key != nil {
			t.Errorf("%q: %v", text, key)
		}
	}
}

func TestNesting(t *testing.T) {
	for text, want := range map[string]string{
		strings.Repeat("[", 64): "", strings.Repeat("[", 65): "1:65", strings.Repeat("[\n", 65): "65:1", strings.Repeat("[]", 100): "",
		strings.Repeat("- ", 128) + "a": "", strings.Repeat("- ", 129) + "a": "1:257", "é" + strings.Repeat("[", 65): "1:66", "{" + strings.Repeat("a: 1, ", 500) + "}": "",
	} {
		got := ""
		if line, col, ok := Nesting(strings.Split(text, "\n")); ok {
			got = fmt.Sprintf("%d:%d", line, col)
		}
		if got != want {
			t.Errorf("%.20q: %s, want %s", text, got, want)
		}
	}
}
