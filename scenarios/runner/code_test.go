// SPDX-License-Identifier: GPL-2.0-only

package runner_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/scenarios/files"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// TestExpectedCode plays the kernel's own expectation of 7.2's code: it holds on every target that it
// names, with direct tail calls patched as a full slot has them, and says where broken lines are.
func TestExpectedCode(t *testing.T) {
	file, src, err := files.Find("verifier_tailcall_jit")
	if err != nil {
		t.Fatal(err)
	}
	for _, tn := range []string{"6.12", "6.18", "7.2", "7.2-its", "6.12-stuff", "7.2-fineibt-bhi", "6.1"} {
		b := buildText(t, file, src)
		if res := play(t, opened(t, compiled(t, b, target(t, tn)), runner.Options{})); len(res.Code) != 0 {
			t.Errorf("%s: %v", tn, res.Code)
		}
	}
	for _, c := range []struct{ old, with, want string }{
		{"cmpq $0x21, (%rax)", "cmpq $0x20, (%rax)", `expected machine code "cmpq $0x20, (%rax)", found "cmpq $0x21, (%rax)" at sub+0x`},
		{"nopl (%rax,%rax)        # the bypass", "jmp L0 # the bypass", `expected machine code "jmp L0", found "nopl (%rax,%rax)" at sub+0x`},
		{"jmp {{.*}}", "nopl {{.*}}", `expected machine code "nopl {{.*}}", found "jmp 0xffffffffc0`},
		{"movq %rsp, %rax\n", "movq %rsp, %rbx\n", `expected machine code "movq %rsp, %rbx", found "movq %rsp, %rax" at main+0x`},
	} {
		first, _, found := bytes.Cut(src, []byte("6.18: |"))
		if !found || bytes.Count(first, []byte(c.old)) != 1 {
			t.Fatalf("%q is not once in the first listing of %s", c.old, file)
		}
		b := buildText(t, file, bytes.Replace(src, []byte(c.old), []byte(c.with), 1))
		s := opened(t, compiled(t, b, target(t, "6.12")), runner.Options{})
		for range 2 { // the second round begins with what the first left
			res := play(t, s)
			if res.OK() || len(res.Mismatches()) != 1 || !strings.HasPrefix(res.Code[0].Msg, c.want) {
				t.Errorf("%q: %v, want %s", c.with, res.Mismatches(), c.want)
			}
		}
		other := opened(t, compiled(t, b, target(t, "6.18")), runner.Options{})
		if res := play(t, other); !res.OK() {
			t.Errorf("6.18 has a listing of its own, yet %v", res.Mismatches())
		}
	}
}
