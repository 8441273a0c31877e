// SPDX-License-Identifier: GPL-2.0-only

package jit_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/image"
)

// Addresses of a site and of the landings of two programs, all in reach of each other.
const (
	siteBypass image.Addr = 0xffffffffc0001020
	siteJump   image.Addr = 0xffffffffc0001030
	siteOut    image.Addr = 0xffffffffc0001035
	progA      image.Addr = 0xffffffffc0002010
	progB      image.Addr = 0xffffffffc0003010
)

var testSite = image.PokeSite{Bypass: siteBypass, Jump: siteJump, Out: siteOut}

// insnAt names one of the instructions that the sites of these tests can hold.
func insnAt(at image.Addr, b [image.PokeSize]byte) string {
	if b[0] != 0xe9 {
		return "nop"
	}
	p := image.Patch{Addr: at, New: b}
	switch p.Trap() {
	case siteOut:
		return "out"
	case progA:
		return "A"
	case progB:
		return "B"
	}
	return fmt.Sprintf("%#x", p.Trap())
}

func planText(plan []image.Patch) string {
	var words []string
	for _, p := range plan {
		switch p.Kind {
		case image.PatchPointer:
			words = append(words, "ptr")
		case image.PatchWait:
			words = append(words, fmt.Sprintf("wait(%d)", p.After))
		case image.PatchText:
			part := "bypass"
			if p.Part == image.PartJump {
				part = "jump"
			}
			words = append(words, fmt.Sprintf("%s %s>%s", part, insnAt(p.Addr, p.Old), insnAt(p.Addr, p.New)))
		}
	}
	return strings.Join(words, ", ")
}

// TestPlans has the poke protocol since 5.10 (kernel/bpf/arraymap.c) as rows.
func TestPlans(t *testing.T) {
	for _, target := range []string{"5.10", "6.1", "6.12", "7.2"} {
		tgt, err := jit.TargetByName(target)
		must(t, err)
		for _, row := range []struct {
			name     string
			old, new image.Addr
			want     string
		}{
			{"insert", 0, progA, "ptr, jump nop>A, bypass out>nop"},
			{"replace", progA, progB, "ptr, jump A>B"},
			{"delete", progA, 0, "ptr, bypass nop>out, wait(1), jump A>nop"},
			{"delete of empty", 0, 0, "ptr, bypass out>out, wait(1), jump nop>nop"},
		} {
			plan, err := tgt.UpdatePlan([]image.PokeSite{testSite}, row.old, row.new)
			must(t, err)
			if got := planText(plan); got != row.want {
				t.Errorf("%s, %s: plan is %q, expected %q", target, row.name, got, row.want)
			}
		}
		plan, err := tgt.LoadPlan([]image.PokeSite{testSite, testSite}, []image.Addr{0, progA})
		must(t, err)
		if got, want := planText(plan), "jump nop>A, bypass out>nop"; got != want || plan[0].Site != 1 {
			t.Errorf("%s, load: plan is %q, expected %q at site 1", target, got, want)
		}
	}
}

func TestApply(t *testing.T) {
	tgt, err := jit.TargetByName("6.12")
	must(t, err)
	insert, err := tgt.UpdatePlan([]image.PokeSite{testSite}, 0, progA)
	must(t, err)
	empty, err := tgt.UpdatePlan([]image.PokeSite{testSite}, 0, 0)
	must(t, err)
	jump := insert[1]

	code := append([]byte{}, jump.Old[:]...)
	if r := empty[3].Apply(code); r != image.PokeAlready {
		t.Errorf("nop to nop: %v", r)
	}
	if r := jump.Apply(code); r != image.PokeChanged {
		t.Errorf("insert: %v", r)
	}
	if diff := cmp.Diff(jump.New[:], code); diff != "" {
		t.Errorf("code (-want +got):\n%s", diff)
	}
	if r := jump.Apply(code); r != image.PokeBusy {
		t.Errorf("insert over a jump: %v, expected -EBUSY", r)
	}
	if r := empty[3].Apply(code); r != image.PokeBusy {
		t.Errorf("nop to nop over a jump: %v, expected -EBUSY", r)
	}
	if diff := cmp.Diff(jump.New[:], code); diff != "" {
		t.Errorf("a refused patch changed code (-want +got):\n%s", diff)
	}
}

// TestSteps checks that the writes to live code end with the new instruction and that a CPU in the
// middle goes where the new instruction goes.
func TestSteps(t *testing.T) {
	tgt, err := jit.TargetByName("6.12")
	must(t, err)
	plan, err := tgt.UpdatePlan([]image.PokeSite{testSite}, 0, progA)
	must(t, err)
	for i, trap := range map[int]image.Addr{1: progA, 2: siteBypass + image.PokeSize} {
		p := plan[i]
		code := append([]byte{}, p.Old[:]...)
		for _, s := range p.Steps() {
			copy(code[s.Off:], s.Bytes)
		}
		if diff := cmp.Diff(p.New[:], code); diff != "" {
			t.Errorf("step %d (-want +got):\n%s", i, diff)
		}
		if p.Trap() != trap {
			t.Errorf("step %d: breakpoint goes on at %#x, expected %#x", i, p.Trap(), trap)
		}
	}
}

func TestPlanOutOfRange(t *testing.T) {
	tgt, err := jit.TargetByName("6.12")
	must(t, err)
	if _, err := tgt.UpdatePlan([]image.PokeSite{testSite}, 0, 0xffff888000000000); err == nil {
		t.Error("a target out of reach of a jump was accepted")
	}
}
