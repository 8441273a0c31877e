// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/tcsim/tcsim/cmd/tcsim/render"
)

// TestJitDiff has a program that two verifiers make different programs of: 7.2 leaves out three tests
// of constants in the middle. What is behind them still stands side by side, no wider than a mail.
func TestJitDiff(t *testing.T) {
	code, out, errs := tcsim(t, "", "jit", "refused_keeps_state", "--diff", "6.1,7.2")
	if code != exitOK || errs != "" {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	for i, line := range strings.Split(out, "\n") {
		if n := utf8.RuneCountInString(line); n > render.Width {
			t.Errorf("line %d has %d columns: %s", i+1, n, line)
		}
	}
	for _, want := range []string{
		"50 | -: if r6 != 1509949702 goto pc+3", "53 | 50: ", "67 | 64: call #12", "6.1 sub ", "7.2 sub\n",
		"all functions: 6.1 759 bytes, 204 instructions; 7.2 752 bytes, 209 instructions (-7, +5)",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if n := strings.Count(out, "| -: "); n != 3 {
		t.Errorf("%d instructions are on the left only, want 3", n)
	}
	if strings.Contains(out, "- | ") {
		t.Error("instructions are on the right only")
	}
}

// TestJitDiffContext leaves out what is the same on both sides.
func TestJitDiffContext(t *testing.T) {
	_, all, _ := tcsim(t, "", "jit", "tailcall_4", "--diff", "5.10,6.1")
	_, some, _ := tcsim(t, "", "jit", "tailcall_4", "--diff", "5.10,6.1", "--context", "0")
	if !strings.Contains(all, "0: r0 = 1\n") || strings.Contains(some, "0: r0 = 1\n") || !strings.Contains(some, "...\n") {
		t.Errorf("all:\n%s\nsome:\n%s", all, some)
	}
}

// TestJitATT prints what the scenario's own expectation accepts: with the slot of the direct tail call
// filled.
func TestJitATT(t *testing.T) {
	code, out, errs := tcsim(t, "", "jit", "verifier_tailcall_jit", "--att", "--target", "7.2")
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	for _, want := range []string{
		"# main\nfunc #0:\nendbr64\nnopl (%rax,%rax)\nxorq %rax, %rax\n", "L0: pushq %rax\nL1: pushq %rax\n",
		"func #1:\n", "jae L0\nnopl (%rax,%rax)\naddq $0x1, (%rax)\npopq %rax\npopq %rax\njmp 0xffffffffc0", "L0: leave\nretq\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if code, _, _ := tcsim(t, "", "jit", "hierarchy", "--att", "--diff", "6.1,6.12"); code != exitUsage {
		t.Errorf("--att with --diff: exit code %d", code)
	}
}

// TestRunCode prints expected and found machine code side by side and fails.
func TestRunCode(t *testing.T) {
	file := write(t, "code.yaml", `version: 1
name: code
programs:
  p:
    steps: [return: 1]
    jited:
      6.1: |
        pushq %rbp
        movq %rsp, %rbx
runs:
  - {run: p, packet: 64}
`)
	code, out, _ := tcsim(t, "", "run", file, "--target", "6.1,6.12")
	want := `expected machine code "movq %rsp, %rbx", found "movq %rsp, %rbp" at p+0x8`
	picture := "> movq %rsp, %rbx                          p+0x8          movq %rsp, %rbp"
	if joined := strings.Join(strings.Fields(out), " "); code != exitFailed || !strings.Contains(joined, want) || !strings.Contains(out, picture) {
		t.Errorf("exit code %d:\n%s", code, out)
	}
}
