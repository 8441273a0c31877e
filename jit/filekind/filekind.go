// SPDX-License-Identifier: GPL-2.0-only

// Package filekind tells, from how a file begins, what it is instead of what a reader expects, and which command
// reads that. It must not read more than the beginning.
package filekind

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

// Instead says what a file is that a reader cannot read, "" if nothing is known. It is a part of a sentence that
// begins with "it is".
func Instead(b []byte) string {
	b = b[:min(len(b), 4096)]
	has := func(prefix string) bool { return bytes.HasPrefix(b, []byte(prefix)) }
	switch {
	case len(b) == 0:
		return "empty"
	case has("\xef\xbb\xbf"):
		return "UTF-8 with a byte order mark: save it without one"
	case has("\xff\xfe"), has("\xfe\xff"), utf16(b):
		return "UTF-16 text: save it as UTF-8"
	case has("\x1f\x8b"):
		return "compressed with gzip, as captures are: tcsim replay and tcsim conform read those"
	case has("tcsim events "):
		return "a file of events: tcsim trace, stack and report read it"
	case has("\x7fELF"):
		return "an ELF file: if clang made it for BPF, tcsim run and tcsim graph read it"
	case has("\xd4\xc3\xb2\xa1"), has("\xa1\xb2\xc3\xd4"), has("\x4d\x3c\xb2\xa1"), has("\xa1\xb2\x3c\x4d"), has("\x0a\x0d\x0d\x0a"):
		return "a file of packets: --packet takes it"
	case has(`{"type":"header"`):
		return "the text of a capture: compress it with gzip, then tcsim replay reads it"
	case has("[{") || has("[\n"), bytes.Contains(b, []byte(`"insns":`)) && has("{"):
		return "JSON, as bpftool prints it: tcsim import reads that"
	case bytes.Contains(b, []byte("flen=")) && bytes.Contains(b, []byte("proglen=")):
		return "a kernel log: tcsim import reads that"
	case has(`{`) && bytes.Contains(b, []byte(`"schema": "tcsim.`)):
		return "what tcsim printed with --json: tcsim compare reads two of those"
	case bytes.Contains(b, []byte("Call Trace:")), bytes.Contains(b, []byte("RIP: 0010:")):
		return "what a kernel printed of a crash: tcsim splat reads that"
	case scenario(b):
		return "a scenario: tcsim run reads it"
	case has("#include "), has("#define "), bytes.Contains(b, []byte("\n#include ")), bytes.Contains(b, []byte("\n#define ")):
		return "C source: tcsim run reads what clang -O2 -g --target=bpf -c makes of it"
	case !utf8.Valid(b[:max(0, len(b)-3)]):
		return NoText
	}
	return ""
}

// Explain adds to what is wrong with a file what it is instead, if that is known. b is how the file begins.
func Explain(wrong error, b []byte) error {
	what := Instead(b)
	if wrong == nil || what == "" || what == NoText {
		return wrong
	}
	return fmt.Errorf("%w; it is %s", wrong, what)
}

// NoText is what Instead says of a file that is no kind of text, and of no other kind that is known.
const NoText = "no text"

// utf16 reports whether every other byte of what looks like text is 0.
func utf16(b []byte) bool {
	if len(b) < 8 {
		return false
	}
	var zeros [2]int
	for i, c := range b {
		if c == 0 {
			zeros[i%2]++
		}
	}
	most, least := max(zeros[0], zeros[1]), min(zeros[0], zeros[1])
	return least == 0 && most*3 > len(b)
}

// scenario reports whether a file has a line of a scenario that nothing else has.
func scenario(b []byte) bool {
	for line := range bytes.Lines(b) {
		if bytes.HasPrefix(line, []byte("version: 1")) || bytes.HasPrefix(line, []byte("programs:")) {
			return true
		}
	}
	return false
}
