// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestPlugin runs the instruction cases of the reference interpreter, which are in the format of
// bpf_conformance, as its runner would: on the newest target, which has all instructions.
func TestPlugin(t *testing.T) {
	files, err := filepath.Glob("../../emu/interp/testdata/isa/*.data")
	if err != nil || len(files) < 100 {
		t.Fatalf("%d cases, %v", len(files), err)
	}
	for n, path := range files {
		if testing.Short() && n%8 != 0 {
			continue
		}
		src, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(strings.TrimSuffix(filepath.Base(path), ".data"), func(t *testing.T) {
			part := sections(string(src))
			args := []string{"plugin", "--target", "7.2"}
			if m := part["mem"]; m != "" {
				args = append(args, m)
			}
			code, out, errs := tcsim(t, slots(t, part["raw"]), args...)
			want := strings.TrimPrefix(strings.TrimSpace(part["result"]), "0x")
			if got := strings.TrimSpace(out); code != exitOK || got != strings.ToLower(want) {
				t.Errorf("exit code %d, r0 %s, want %s\n%s", code, got, want, errs)
			}
		})
	}
}

// TestPluginOfRunner gives the words in the order of the runner of bpf_conformance: memory, which may be empty, then
// all options as one word. The memory ends with blanks, as it has it.
func TestPluginOfRunner(t *testing.T) {
	first := "71 10 00 00 00 00 00 00 95 00 00 00 00 00 00 00\n" // r0 = *(u8 *)r1
	none := "b7 00 00 00 2a 00 00 00 95 00 00 00 00 00 00 00\n"  // r0 = 42
	for _, tt := range []struct {
		name, program, want string
		args                []string
	}{
		{"memory first", first, "aa\n", []string{"aa  bb  ", "plugin"}},
		{"options in one word", first, "aa\n", []string{"aa  bb  ", "plugin --target 7.2"}},
		{"options in several words", first, "aa\n", []string{"aa  bb  ", "plugin", "--target", "7.2"}},
		{"no memory", none, "2a\n", []string{"", "plugin --debug"}},
		{"JSON", none, "{\n  \"return\": \"2a\",\n  \"schema\": \"tcsim.plugin/v1\"\n}\n", []string{"", "plugin --json"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if code, out, errs := tcsim(t, tt.program, tt.args...); code != exitOK || out != tt.want {
				t.Errorf("exit code %d, printed %q, want %q\n%s", code, out, tt.want, errs)
			}
		})
	}
	if code, _, errs := tcsim(t, none, "aa b", "plugin"); code != exitUsage || !strings.Contains(errs, `unknown command "aa b"`) {
		t.Errorf("memory that is no hex: exit code %d\n%s", code, errs)
	}
}

// slots turns numbers, one 8-byte instruction slot each, into hex bytes with blanks between them,
// which is what the runner of bpf_conformance hands over.
func slots(t *testing.T, raw string) string {
	t.Helper()
	var b []byte
	for _, line := range strings.Fields(raw) {
		v, err := strconv.ParseUint(line, 0, 64)
		if err != nil {
			t.Fatal(err)
		}
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	return fmt.Sprintf("% x\n", b)
}

// sections splits a case at its "-- name" lines.
func sections(src string) map[string]string {
	out := map[string]string{}
	name := ""
	for _, line := range strings.Split(src, "\n") {
		if n, ok := strings.CutPrefix(line, "-- "); ok {
			name = strings.TrimSpace(n)
			continue
		}
		if line, _, _ = strings.Cut(line, "#"); name != "" {
			out[name] += line + "\n"
		}
	}
	for k, v := range out {
		out[k] = strings.TrimSpace(v)
	}
	return out
}
