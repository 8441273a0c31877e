// SPDX-License-Identifier: GPL-2.0-only

package render_test

import (
	"strings"
	"testing"

	"github.com/tcsim/tcsim/cmd/tcsim/render"
)

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"entry → sub\tok\n":      "entry → sub\tok\n",
		"\x1b]0;pwn\x07\x1b[2J":  `\x1b]0;pwn\x07\x1b[2J`,
		"a\rb\x7f":               `a\x0db\x7f`,
		"\u0085\u009b31m":        `\u0085\u009b31m`,
		"x\u202ey":               `x\u202ey`,
		"x\u2028y\u2029z":        `x\u2028y\u2029z`,
		"bad \xff\xfe byte":      `bad \xff\xfe byte`,
		"cut \xe2\x86":           `cut \xe2\x86`,
		"\x00":                   `\x00`,
		"größer 世界 🙂 plain text": "größer 世界 🙂 plain text",
	} {
		for _, chunk := range []int{1, 2, 3, 1000} {
			var b strings.Builder
			w := render.Printable(&b)
			for rest := in; rest != ""; {
				n := min(chunk, len(rest))
				if got, err := w.Write([]byte(rest[:n])); got != n || err != nil {
					t.Fatalf("wrote %d of %d: %v", got, n, err)
				}
				rest = rest[n:]
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			if b.String() != want {
				t.Errorf("%q by %d: %q, want %q", in, chunk, b.String(), want)
			}
		}
	}
}
