// SPDX-License-Identifier: GPL-2.0-only

package filekind_test

import (
	"errors"
	"strings"
	"testing"

	_ "github.com/tcsim/tcsim/fixtures/golden" // knows -update, which go test passes to every package
	"github.com/tcsim/tcsim/jit/filekind"
)

// TestExplain adds only what helps.
func TestExplain(t *testing.T) {
	wrong := errors.New("wrong")
	for text, want := range map[string]string{"\x7fELF": "wrong; it is an ELF file", "hello": "wrong", "\x90\xc3\xff\xff\xff\xff": "wrong"} {
		if got := filekind.Explain(wrong, []byte(text)); !errors.Is(got, wrong) || !strings.HasPrefix(got.Error(), want) || (want == "wrong") != (got == wrong) {
			t.Errorf("%q: %v, want %q", text, got, want)
		}
	}
	if filekind.Explain(nil, nil) != nil {
		t.Error("no mistake became one")
	}
}

func TestInstead(t *testing.T) {
	for text, want := range map[string]string{
		"":                                  "empty",
		"\xef\xbb\xbfversion: 1\n":          "byte order mark",
		"\xff\xfev\x00e\x00":                "UTF-16",
		"v\x00e\x00r\x00s\x00i\x00":         "UTF-16",
		"\x00v\x00e\x00r\x00s\x00i":         "UTF-16",
		"\x1f\x8b\x08":                      "gzip",
		"\x7fELF\x02":                       "ELF",
		"\xd4\xc3\xb2\xa1":                  "packets",
		"\x0a\x0d\x0d\x0a":                  "packets",
		`{"type":"header","format":2}`:      "text of a capture",
		"[{\"name\":\"x\"":                  "bpftool",
		"[  1.0] flen=2 proglen=3 pass":     "kernel log",
		"# a comment\nversion: 1\n":         "a scenario",
		"\x90\x90\xc3\xff\xff\xff\xff":      "no text",
		"/* BPF */\n#include <x.h>\n":       "C source",
		"#define SEC(x)\n":                  "C source",
		"#include: no\nversion: 1\n":        "a scenario",
		"hello\n":                           "",
		"BUG: x\n RIP: 0010:f+0x1/0x2\n":    "tcsim splat",
		"[ 1.0] Call Trace:\n":              "tcsim splat",
		"{\n  \"schema\": \"tcsim.run/v1\"": "tcsim compare",
		`{"kind": "insns", "of": 2}`:        "",
	} {
		if got := filekind.Instead([]byte(text)); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
