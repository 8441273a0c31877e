// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestImport(t *testing.T) {
	const dir = "fixtures/imports/"
	const v61, v618 = dir + "6.1/", dir + "6.18/"
	for _, tc := range []struct {
		args string
		want int
		says string
	}{
		{"import " + v618 + "hierarchy.json", exitOK, "program entry (bpftool): 2 functions: hier-6.12, limit 33"},
		{"import " + v618 + "hierarchy.txt", exitOK, "program entry (bpftool-text): 2 functions: hier-6.12, limit 33"},
		{"import --json " + v618 + "hierarchy.json", exitOK, `"schema": "tcsim.import/v1"`},
		{"import --listing --func-lens 85,59 " + v618 + "hierarchy.bin", exitOK, "cmp rax, 0x21"},
		{"import " + v61 + "jit-enable-2.log", exitOK, "12 of 12 functions have no address"},
		{"import --prog main --kallsyms " + v61 + "kallsyms " + v61 + "jit-enable-2.log", exitOK, "call of subprog_tail0"},
		{"import --prog x " + v61 + "jit-enable-2.log", exitUsage, `there is no program "x": there are prog1, prog2`},
		{"import " + v618 + "hierarchy.bin", exitUsage, "does not say where functions begin"},
		{"import --func-lens x --addrs y --helper z --kallsyms nonesuch " + v618 + "hierarchy.bin", exitUsage, `"y" is no address`},
		{"import " + v618 + "hierarchy-without-opcodes.json", exitUsage, "has no opcodes"},
		{"import " + v618 + "no-disassembler.json", exitUsage, "No libbfd support"},
		{"import --format perf " + v618 + "hierarchy.bin", exitUsage, `no format "perf"`},
		{"import --func-lens 85,59 " + v618 + "hierarchy.bin " + v618 + "hierarchy.json", exitUsage, "are for one file"},
		{"import --slot 0=entry " + v618 + "hierarchy.json", exitUsage, "--slot is for --run"},
		{"import nonesuch", exitUsage, "nonesuch"},
		{"import", exitUsage, "import takes files"},

		{"import --run " + v618 + "hierarchy.json", exitOK, "entry    hier-6.12     33       35   1392   1670       1  ok"},
		{"import --run --json " + v618 + "hierarchy.json", exitOK, `"taken": 33`},
		{"import --run --trace --last 1 " + v618 + "hierarchy.json", exitOK, "events shown"},
		{"import --run --at deepest " + v618 + "hierarchy.json", exitOK, "tail_call_cnt_ptr"},
		{"import --run --limit 32 " + v618 + "hierarchy.json", exitFailed, "violates limit"},
		{"import --run --slot 0= " + v618 + "hierarchy.json", exitOK, "entry    hier-6.12      0        2"},
		{"import --run --prog entry --kallsyms " + v61 + "kallsyms " + v61 + "jit-enable-2.log", exitFailed, "the 34th tail call was taken"},
		{"import --run --prog entry#2 --kallsyms " + v61 + "kallsyms " + v61 + "jit-enable-2.log", exitOK, "33        1"},
		{"import --run --prog prog3 " + v61 + "jit-enable-2.log", exitUsage, "give --kallsyms FILE"},
		{"import --run " + v618 + "handle_policy.json", exitUsage, "0xffffffff8151b2c0"},
		{"import --run --helper ffffffff8151b2c0=__htab_map_lookup_elem " + v618 + "handle_policy.json", exitOK, "is an empty hash here"},
		{"import --run --helper ffffffff8151b2c0=bpf_none " + v618 + "handle_policy.json", exitUntestable, "bpf_none"},
		{"import --run --slot x --slot y=entry --type z --packet 00 --target 1 " + v618 + "hierarchy.json", exitUsage, "expected KEY=PROG"},
		{"import --run --packet 00 " + v618 + "hierarchy.json", exitUsage, "give --target"},
		{"import --run --kallsyms " + v618 + "objects.kallsyms --target 6.18 --type tc --slot 0=handle_policy --slot 1=handle_ipv4 " +
			"--packet 0000000000000000000000000800" + strings.Repeat("00", 40) + " " + v618 + "from_container.json " + v618 +
			"handle_ipv4.json " + v618 + "handle_policy.json", exitOK, "from_container  hier-6.12      2        0"},
	} {
		code, out, errs := tcsim(t, "", strings.Fields(tc.args)...)
		if code != tc.want || !strings.Contains(out+errs, tc.says) {
			t.Errorf("%s: exit code %d, want %d and %q\n%s%s", tc.args, code, tc.want, tc.says, out, errs)
		}
	}
}

// TestImportBad gives damaged recordings to both ways of import: each is refused, and running what is
// not never crashes.
func TestImportBad(t *testing.T) {
	t.Chdir("../..")
	for _, name := range []string{"6.18/hierarchy.json", "6.18/hierarchy.txt", "6.1/jit-enable-2.log", "6.18/two-programs.json"} {
		data, err := os.ReadFile("fixtures/imports/" + name)
		if err != nil {
			t.Fatal(err)
		}
		for i, bad := range [][]byte{data[:len(data)/3], nil, []byte("\x7fELF"), data[len(data)/2:]} {
			path := filepath.Join(t.TempDir(), "bad")
			if err := os.WriteFile(path, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			for _, args := range [][]string{{"import", path}, {"import", "--run", path}, {"import", "--kallsyms", path, path}} {
				code, out, errs := tcsim(t, "", args...)
				if code != exitUsage || !strings.Contains(errs, path) {
					t.Errorf("%s cut %d: %v: exit code %d\n%s%s", name, i, args[1:], code, out, errs)
				}
			}
		}
	}
}
