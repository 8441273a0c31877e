// SPDX-License-Identifier: GPL-2.0-only

package inspect_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/scenarios/inspect"
	"github.com/tcsim/tcsim/scenarios/runner"
	"github.com/tcsim/tcsim/scenarios/runner/runnertest"
)

// TestOwn looks at what every target emits for the library: nothing is wrong with it, but where the design is known to do
// something wrong.
func TestOwn(t *testing.T) {
	targets := runnertest.AllTargets(t)
	looked, bugs := 0, 0
	for i, b := range runnertest.Library(t) {
		for k, target := range targets {
			if testing.Short() && (i+k)%7 != 0 {
				continue
			}
			c, err := runner.Compile(b, target)
			if errors.Is(err, kernels.ErrUnsupported) {
				continue
			}
			if err != nil {
				continue // the kernel refuses it
			}
			r, err := inspect.Code(c)
			if err != nil {
				t.Fatal(err)
			}
			looked++
			if target.Emit.UnroundedReload || target.Design.Traits().Wrong() != "" {
				bugs += len(r.Flaws)
				continue
			}
			if len(r.Flaws)+len(r.Differences) > 0 {
				t.Errorf("%s on %s: %q %q", b.Scenario.Name, target.Name, r.Flaws, r.Differences)
			}
		}
	}
	if looked < 100 || bugs == 0 && !testing.Short() {
		t.Errorf("%d were looked at, and known bugs were seen %d times", looked, bugs)
	}
}

// coldCode has an instruction that its run does not reach.
const coldCode = `version: 1
name: cold
programs:
  entry:
    asm: |
      r6 = *(u32 *)(r1 + 0)
      r0 = 7
      if r6 != 0x7654321 goto +1
      r0 += 0x1234
      exit
runs:
  - {run: entry, packet: 64, expect: {return: 7}}
`

// TestEdited edits what a target emits, as an edited source would.
func TestEdited(t *testing.T) {
	for _, row := range []struct {
		name, scenario, target, makes string
		edit                          func(*image.FuncImage, int)
		flaw, differs, unchecked      string
	}{
		{name: "nothing", scenario: "hierarchy", target: "6.12", makes: "6.12"},
		{name: "another encoding", scenario: "hierarchy", target: "6.12", makes: "6.12", edit: runnertest.Replaced("\x48\x89\xe5", "\x48\x8b\xec")},
		{name: "no endbr64", scenario: "hierarchy", target: "6.12", makes: "6.12", edit: runnertest.Replaced("\xf3\x0f\x1e\xfa\x0f\x1f\x44", "\x0f\x1f\x40\x00\x0f\x1f\x44"),
			flaw: "endbr64 is not here", differs: "an indirect branch may land in one of them only"},
		{name: "attach site in pieces", scenario: "hierarchy", target: "6.12", makes: "6.12", edit: runnertest.Replaced("\x0f\x1f\x44\x00\x00\x48", "\x90\x90\x90\x90\x90\x48"),
			flaw: "one instruction of five bytes", differs: "the kernel patches an instruction of five bytes here"},
		{name: "limit", scenario: "hierarchy", target: "6.12", makes: "6.12", edit: runnertest.Replaced("\x48\x83\x38\x21", "\x48\x83\x38\x20"), flaw: "the limit is 32, not 33"},
		{name: "count or pointer", scenario: "hierarchy", target: "6.12", makes: "6.12", edit: runnertest.Replaced("\x48\x83\xf8\x21\x77\x06", "\x48\x83\xf8\x21\x76\x06"),
			differs: "it goes somewhere else"},
		{name: "no reload", scenario: "hierarchy", target: "6.1", makes: "6.1", edit: func(f *image.FuncImage, _ int) {
			for _, call := range f.Calls {
				if call.Func >= 0 && call.Off >= 7 && f.Code[call.Off-7] == 0x48 {
					copy(f.Code[call.Off-7:], "\x0f\x1f\x80\x00\x00\x00\x00")
				}
			}
		}, flaw: "is called without tail_call_cnt in rax", differs: "rax"},
		{name: "code that is not reached", scenario: "cold", target: "6.12", makes: "6.12", edit: runnertest.Replaced("\x34\x12\x00\x00", "\x35\x12\x00\x00"),
			differs: "add rax, 0x1235"},
		{name: "another design", scenario: "hierarchy", target: "6.1", makes: "6.12", flaw: "one instruction of five bytes", unchecked: "another design than that of 6.1"},
		{name: "a trampoline", scenario: "tramp_hierarchy_both", target: "6.12", makes: "6.12", edit: func(f *image.FuncImage, fn int) {
			if fn < 0 {
				f.Code = bytes.Replace(f.Code, []byte("\x48\x83\xc0\x05"), []byte("\x48\x83\xc0\x04"), 1)
				f.Code = bytes.Replace(f.Code, []byte("\x48\x83\xec"), []byte("\x48\x83\xc4"), 1)
			}
		}, differs: "trampolines: "},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := runnertest.BuildText(t, "cold.yaml", []byte(coldCode))
			if row.scenario != "cold" {
				b = runnertest.Build(t, row.scenario)
			}
			target := *runnertest.Target(t, row.target)
			makes := runnertest.Target(t, row.makes)
			original := runnertest.Target(t, row.target)
			target.Emitter = &runnertest.Emitter{Makes: makes, Edit: row.edit, Is: &jit.Original{Target: original, Release: "6.12.107"}}
			r, err := inspect.Code(runnertest.Compiled(t, b, &target))
			if err != nil {
				t.Fatal(err)
			}
			for _, x := range []struct {
				what, want string
				got        []string
			}{{"flaws", row.flaw, r.Flaws}, {"differences", row.differs, r.Differences}, {"unchecked", row.unchecked, r.Unchecked}} {
				if has := slices.ContainsFunc(x.got, func(s string) bool { return strings.Contains(s, x.want) }); x.want != "" && !has || x.want == "" && len(x.got) > 0 {
					t.Errorf("%s: expected %q, got %q", x.what, x.want, x.got)
				}
			}
		})
	}
}
