// SPDX-License-Identifier: GPL-2.0-only

package jit_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tcsim/tcsim/jit/image"
)

// TestProposalPokes plays insert, replace, delete, insert and two deletes on the direct tail call of a
// program and compares the steps, their results, and what bypass and jump are after each: "jmp",
// "nop", or "-" without a bypass.
func TestProposalPokes(t *testing.T) {
	const (
		a image.Addr = 0xffffffffc0101000
		b image.Addr = 0xffffffffc0102000
	)
	changes := []struct {
		name     string
		old, new image.Addr
	}{
		{"insert", 0, a}, {"replace", a, b}, {"delete", b, 0}, {"insert", 0, a}, {"delete", a, 0}, {"delete", 0, 0},
	}
	final := []string{
		"insert: pointer, jump changed (jmp jmp), bypass changed (nop jmp)",
		"replace: pointer, jump changed (nop jmp)",
		"delete: pointer, bypass changed (jmp jmp), wait, jump changed (jmp nop)",
		"insert: pointer, jump changed (jmp jmp), bypass changed (nop jmp)",
		"delete: pointer, bypass changed (jmp jmp), wait, jump changed (jmp nop)",
		"delete: pointer, bypass already so (jmp nop), wait, jump already so (jmp nop)",
	}
	for target, want := range map[string][]string{
		"hier-rfc1": final, "hier-rfc2": final, "maciej-hidden16": final, "hier-percpu": final, "hier-percpu-dec": final,
		"hier-percpu-prog-a": final, "hier-percpu-prog-b": final, "hier-task": final, "hier-runctx": final,
		"backprop-poke": final, "backprop-check": final,
		"pop-nop-push": {
			"insert: pointer, jump changed (- jmp)", "replace: pointer, jump changed (- jmp)", "delete: pointer, jump changed (- nop)",
			"insert: pointer, jump changed (- jmp)", "delete: pointer, jump changed (- nop)", "delete: pointer, jump already so (- nop)",
		},
		"ip-aux": {
			"insert: pointer, jump changed (jmp jmp), bypass changed (nop jmp)",
			"replace: pointer, jump changed (nop jmp), bypass already so (nop jmp)",
			"delete: pointer, jump changed (nop nop), bypass changed (jmp nop)", // the window
			"insert: pointer, jump changed (jmp jmp), bypass changed (nop jmp)",
			"delete: pointer, jump changed (nop nop), bypass changed (jmp nop)",
			"delete: pointer, jump already so (jmp nop), bypass already so (jmp nop)",
		},
		"jmp-always-valid": {
			"insert: pointer, jump changed (jmp jmp), bypass changed (nop jmp)",
			"replace: pointer, jump changed (nop jmp)",
			"delete: pointer, bypass changed (jmp jmp)",
			"insert: pointer, jump -EBUSY (jmp jmp), bypass changed (nop jmp)", // still to b
			"delete: pointer, bypass changed (jmp jmp)",
			"delete: pointer",
		},
	} {
		t.Run(target, func(t *testing.T) {
			img, err := compile(t, target, verified(16, insns(tailDirect, exit), nil))
			must(t, err)
			var got []string
			for _, c := range changes {
				plan, err := named(t, target).UpdatePlan(img.PokeSites(0, 0), c.old, c.new)
				must(t, err)
				got = append(got, c.name+": "+strings.Join(applied(t, img, plan), ", "))
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
}

// applied does the steps of a plan on the image's only tail call.
func applied(t *testing.T, img *image.Image, plan []image.Patch) (steps []string) {
	t.Helper()
	f := &img.Funcs[0]
	s := f.TailCalls[0]
	state := func(off image.CodeOff) string {
		switch {
		case off < 0:
			return "-"
		case f.Code[off] == 0xe9:
			return "jmp"
		}
		return "nop"
	}
	for i := range plan {
		switch p := &plan[i]; p.Kind {
		case image.PatchPointer:
			steps = append(steps, "pointer")
		case image.PatchWait:
			steps = append(steps, "wait")
		default:
			part := "jump"
			if p.Part == image.PartBypass {
				part = "bypass"
			}
			r := p.Apply(f.Code[p.Addr-f.Addr:])
			steps = append(steps, fmt.Sprintf("%s %v (%s %s)", part, r, state(s.Bypass), state(s.Jump)))
		}
	}
	return steps
}
