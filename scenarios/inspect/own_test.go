// SPDX-License-Identifier: GPL-2.0-only

package inspect_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/scenarios/inspect"
	"github.com/tcsim/tcsim/scenarios/runner"
	"github.com/tcsim/tcsim/scenarios/runner/runnertest"
)

// changedOnce is what a target of our own makes of a scenario, with the first place changed that has some code.
func changedOnce(t *testing.T, c *runner.Compiled, old, now string) *runner.Compiled {
	t.Helper()
	out := *c
	out.Images = slices.Clone(c.Images)
	for p, img := range c.Images {
		for fn := range img.Funcs {
			at := bytes.Index(img.Funcs[fn].Code, []byte(old))
			if at < 0 {
				continue
			}
			edited := *img
			edited.Funcs = slices.Clone(img.Funcs)
			code := bytes.Clone(img.Funcs[fn].Code)
			copy(code[at:], now)
			edited.Funcs[fn].Code = code
			out.Images[p] = &edited
			return &out
		}
	}
	t.Fatalf("no function has % x", old)
	return nil
}

// TestPromised edits what our own emitter makes, in code that the run does not reach or in which it does not show: each
// edit breaks what the description of the function promises, or what the kernel does with any code.
func TestPromised(t *testing.T) {
	for _, row := range []struct{ name, scenario, target, old, now, want string }{
		{"no endbr64 where tail calls land", "hierarchy", "6.12", "\x48\x89\xe5\xf3\x0f\x1e\xfa", "\x48\x89\xe5\x0f\x1f\x40\x00", "tail calls land here"},
		{"another nop for trampolines, of a proposal", "hierarchy", "hier-runctx", "\x0f\x1f\x44\x00\x00\x48", "\x0f\x1f\x44\x00\x08\x48", "compares with its own"},
		{"a call for trampolines that are not attached", "hierarchy", "hier-percpu", "\x0f\x1f\x44\x00\x00\xe8", "\xe8\xf6\xff\xc0\xc1\xe8", "one instruction of five bytes"},
		{"count or pointer by another limit", "hierarchy", "6.12", "\x48\x83\xf8\x21", "\x48\x83\xf8\x61", "which keeps tail_call_cnt"},
		{"the counter is not prepared", "hierarchy", "hier-percpu-dec", "\xe8\xf6\x27\xc1\xc1", "\x0f\x1f\x44\x00\x00", "the kernel's tail_call_cnt is"},
		{"it is not counted", "empty_slot_indirect", "hier-percpu", "\xe8\xb7\x00\xc1\xc1", "\x0f\x1f\x44\x00\x00", "it is not taken"},
		{"the filler reads memory", "hierarchy", "hier-percpu-prog-b", "\x66\x66\x2e\x0f\x1f", "\x66\x66\x2e\x0f\x44", "it reads what is not its own"},
		{"no pointer to the counter", "hierarchy", "hier-rfc2", "\x50\x48\x89\xe0\xe8", "\x50\x0f\x1f\x00\xe8", "does not lead into its frame"},
		{"the program's stack by another register", "chain33", "fp-r12", "\x49\x89\xe4", "\x49\x89\xec", "r12 is not the end"},
		{"a saved register from elsewhere", "chain33", "fpshift-4.13", "\x4c\x89\x6d\x08", "\x4c\x89\x75\x08", "the caller's r13 is not"},
		{"an exit that keeps part of the frame", "hierarchy", "hier-task", "\x5b\xc9\xc3", "\x90\xc9\xc3", "the caller gets another rbx back"},
		{"the program in the slot is read before it is there", "empty_slot_indirect", "josh-simple", "\x74\x0a\x48\x8b\x40\x30", "\x48\x8b\x40\x30\x74\x06", "it reads what is not its own"},
		{"a call of other code", "hierarchy", "hier-percpu-prog-a", "\x83\xc2\x01\x89\x56\x00\x48\x8b\x85\xf8\xff\xff\xff\xe8\x83", "\x83\xc2\x01\x89\x56\x00\x48\x8b\x85\xf8\xff\xff\xff\xe8\x84", "a call of"},
		{"what the kernel patches goes elsewhere", "hierarchy", "6.12", "\x58\x58\x0f\x1f\x44\x00\x00", "\x58\x58\xe9\x00\x00\x00\x00", "while the slot is empty"},
		{"a pointer into the frame that is gone", "empty_slot_indirect", "7.2", "\x58\x58\x48\x8b\x49", "\x58\x5a\x48\x8b\x49", "goes with this frame"},
		{"another limit, of a proposal", "hierarchy", "hier-task", "\x83\x38\x21", "\x83\x38\x22", "it is taken"},
		{"one less, of a proposal", "chain33", "fp40", "\x83\xf8\x20", "\x83\xf8\x1f", "it is not taken"},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := runnertest.Compiled(t, runnertest.Build(t, row.scenario), runnertest.Target(t, row.target))
			r, err := inspect.Code(changedOnce(t, c, row.old, row.now))
			if err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(r.Flaws, func(s string) bool { return strings.Contains(s, row.want) }) {
				t.Errorf("expected %q, got %q", row.want, r.Flaws)
			}
		})
	}
}

// TestSourceJumps edits the jump of an indirect tail call in what a source makes, which no run comes to.
func TestSourceJumps(t *testing.T) {
	for _, row := range []struct{ name, target, old, now, want string }{
		{"to another place than the thunk", "7.2-retpoline", "\x48\x83\xc1\x10\xe9", "\x48\x83\xc1\x10\xe9\x01\x00\x00\x10", "where the kernel has nothing"},
		{"another field of the program", "6.12", "\x48\x8b\x49\x30", "\x48\x8b\x49\x10", "bpf_prog.bpf_func to be at 0x10"},
		{"it is gone, and a trap stands after it", "6.1", "\xff\xe1\xcc", "\x66\x90\xcc", "stands where"},
	} {
		t.Run(row.name, func(t *testing.T) {
			own := runnertest.Target(t, row.target)
			target := *own
			target.Emitter = &runnertest.Emitter{Makes: own, Is: &jit.Original{Target: own, Release: own.Name}}
			c := runnertest.Compiled(t, runnertest.Build(t, "empty_slot_indirect"), &target)
			r, err := inspect.Code(changedOnce(t, c, row.old, row.now))
			if err != nil {
				t.Fatal(err)
			}
			if found := append(r.Flaws, r.Differences...); !slices.ContainsFunc(found, func(s string) bool { return strings.Contains(s, row.want) }) {
				t.Errorf("expected %q, got %q", row.want, found)
			}
		})
	}
}
