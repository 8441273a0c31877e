// SPDX-License-Identifier: GPL-2.0-only

//go:build cgo

package source_test

import (
	"maps"
	"testing"

	"github.com/tcsim/tcsim/jit"
)

// The ways through a C file are the same each time, and others where a branch in it is taken.
func TestWays(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles three files")
	}
	own, err := jit.TargetByName("6.12")
	if err != nil {
		t.Fatal(err)
	}
	const jae = "EMIT2(X86_JAE, offset);                   /* jae out */"
	ways := func(to string) map[uint64]bool {
		theirs, seen := *own, map[uint64]bool{}
		theirs.Emitter = compile(t, edit(t, jae, to), own)
		for range 2 {
			before := len(seen)
			theirs.Ways = func(w uint64) { seen[w] = true }
			if err := tailCall(t, &theirs); err != nil {
				t.Fatal(err)
			}
			if before != 0 && len(seen) != before {
				t.Errorf("%d ways, and %d the second time", before, len(seen))
			}
		}
		return seen
	}
	plain := ways(jae)
	if len(plain) < 50 {
		t.Errorf("%d ways through the file", len(plain))
	}
	if same := ways("if (ip == (u8 *)1) EMIT1(0x90); " + jae); len(same) < len(plain) || len(same) > len(plain)+2 {
		t.Errorf("%d ways with a condition that does not hold, %d without", len(same), len(plain))
	}
	if more := ways("if (prog) EMIT1(0x90); " + jae); maps.Equal(more, plain) {
		t.Error("no other way by a branch that is taken")
	}
}
