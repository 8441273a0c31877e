// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"strings"
	"testing"
)

func TestImport(t *testing.T) {
	const dir = "fixtures/imports/"
	for _, tc := range []struct {
		args string
		want int
		says string
	}{
		{"import " + dir + "bpftool.json", exitOK, "hier-6.12, limit 33"},
		{"import --json " + dir + "bpftool.json", exitOK, `"schema": "tcsim.import/v1"`},
		{"import --listing --func-lens 93,108 " + dir + "raw.bin", exitOK, "endbr64"},
		{"import " + dir + "jit-enable-2.log", exitOK, "2 of 2 functions have no address"},
		{"import " + dir + "raw.bin", exitUsage, "does not say where functions begin"},
		{"import --func-lens x --addrs y " + dir + "raw.bin", exitUsage, `"y" is no address`},
		{"import " + dir + "bpftool-without-opcodes.json", exitUsage, "has no opcodes"},
		{"import --format perf " + dir + "raw.bin", exitUsage, `no format "perf"`},
		{"import nonesuch", exitUsage, "nonesuch"},
	} {
		code, out, errs := tcsim(t, "", strings.Fields(tc.args)...)
		if code != tc.want || !strings.Contains(out+errs, tc.says) {
			t.Errorf("%s: exit code %d, want %d and %q\n%s%s", tc.args, code, tc.want, tc.says, out, errs)
		}
	}
}
