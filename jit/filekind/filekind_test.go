// SPDX-License-Identifier: GPL-2.0-only

package filekind_test

import (
	"strings"
	"testing"

	_ "github.com/tcsim/tcsim/fixtures/golden" // knows -update, which go test passes to every package
	"github.com/tcsim/tcsim/jit/filekind"
)

func TestInstead(t *testing.T) {
	for text, want := range map[string]string{
		"":                              "empty",
		"\xef\xbb\xbfversion: 1\n":      "byte order mark",
		"\xff\xfev\x00e\x00":            "UTF-16",
		"v\x00e\x00r\x00s\x00i\x00":     "UTF-16",
		"\x00v\x00e\x00r\x00s\x00i":     "UTF-16",
		"\x1f\x8b\x08":                  "gzip",
		"\x7fELF\x02":                   "ELF",
		"\xd4\xc3\xb2\xa1":              "packets",
		"\x0a\x0d\x0d\x0a":              "packets",
		`{"type":"header","format":2}`:  "text of a capture",
		"[{\"name\":\"x\"":              "bpftool",
		"[  1.0] flen=2 proglen=3 pass": "kernel log",
		"# a comment\nversion: 1\n":     "a scenario",
		"\x90\x90\xc3\xff\xff\xff\xff":  "no text",
		"/* BPF */\n#include <x.h>\n":   "C source",
		"#define SEC(x)\n":              "C source",
		"#include: no\nversion: 1\n":    "a scenario",
		"hello\n":                       "",
	} {
		if got := filekind.Instead([]byte(text)); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
