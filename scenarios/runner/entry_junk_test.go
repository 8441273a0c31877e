// SPDX-License-Identifier: GPL-2.0-only

package runner_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/scenarios/runner"
	"github.com/tcsim/tcsim/scenarios/runner/runnertest"
)

// constants has a load of ten bytes before a call of a helper, and one before the return.
const constants = `version: 1
name: constants
programs:
  entry:
    asm: |
      r2 = 0x1122334455667788 ll
      call bpf_ktime_get_ns
      r0 = 0x100000007 ll
      exit
runs:
  - {run: entry, packet: 64, expect: {return: 7}}
`

// TestEdges edits code at each edge with the kernel: what it reads at its entry, and what it leaves at a call of a helper
// and at its return.
func TestEdges(t *testing.T) {
	const (
		before = "\x48\xbe\x88\x77\x66\x55\x44\x33\x22\x11" // movabs rsi
		after  = "\x48\xb8\x07\x00\x00\x00\x01\x00\x00\x00" // movabs rax
	)
	for _, row := range []struct{ name, old, now, want string }{
		{"nothing", before, before, ""},
		{"rsi is read, not R1", after, "\x48\x89\xf0", "return"},
		{"upper half lost", after, "\xb8\x07\x00\x00\x00", "return"},
		{"lower half only", after, "\xb0\x07", "return"},
		{"std before the return", after, "\x31\xc0\xb0\x07\xfd", "direction flag"},
		{"cli before the return", after, "\x31\xc0\xb0\x07\xfa", "undecodable"},
		{"popf with AC before the return", after, "\x68\x02\x02\x04\x00\x9d", "undecodable"},
		{"std before a helper", before, "\xfd", "direction flag"},
		{"cli before a helper", before, "\xfa", "undecodable"},
		{"popf before a helper", before, "\x9c\x9d", "undecodable"},
		{"rsp is odd at a helper", before, "\x48\x83\xec\x01", "multiple of 8"},
		{"rsp is no multiple of 8 at a helper", before, "\x48\x8d\x64\x24\xfc", "multiple of 8"},
		{"rbx is lost", before, "\x31\xdb", "rbx"},
		{"r12 is lost", before, "\x45\x31\xe4", "r12"},
		{"r13 is lost", before, "\x45\x31\xed", "r13"},
		{"r14 is lost", before, "\x45\x31\xf6", "r14"},
		{"r15 is lost", before, "\x45\x31\xff", "r15"},
		{"rbp is lost", before, "\x31\xed", "rbp"},
	} {
		t.Run(row.name, func(t *testing.T) {
			now := row.now + strings.Repeat("\x90", len(row.old)-len(row.now))
			found := false
			tg := runnertest.Edited(runnertest.Target(t, "6.12"), func(f *image.FuncImage, _ int) {
				found = found || bytes.Contains(f.Code, []byte(row.old))
				runnertest.Replaced(row.old, now)(f, 0)
			})
			res := runnertest.Play(t, runnertest.Opened(t, runnertest.Compiled(t, runnertest.BuildText(t, "constants.yaml", []byte(constants)), tg), runner.Options{}))
			got := ""
			if v := res.Violation(); v != nil {
				got = v.String()
			}
			if !found {
				t.Fatal("nothing is edited")
			}
			if (row.want == "") != (got == "") || !strings.Contains(got, row.want) {
				t.Errorf("%q, want %q", got, row.want)
			}
		})
	}
}
