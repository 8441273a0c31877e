// SPDX-License-Identifier: GPL-2.0-only

package runner_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/emu/check"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// broken is a scenario whose code is made wrong in one place.
const broken = `
version: 1
name: broken
maps:
  jmp_table: {type: prog_array, slots: {0: entry}}
  count: {type: array}
programs:
  entry:
    stack: 8
    saved: [r7]
    steps:
      - count: count
      - set: fp-8
        to: 1
      - helper: get_smp_processor_id
      - call: sub
      - return: 1
    functions:
      sub:
        stack: 16
        saved: [r6]
        steps: [tail_call: jmp_table, return: 0]
runs:
  - run: entry
    expect: {return: 1, taken: 33}
`

// patch changes code of a compiled scenario; fn 0 is entry, 1 is sub.
type patch struct {
	fn        int
	old, with string // bytes in hex; "" for old: see at
	at        func(f *image.FuncImage) image.CodeOff
}

// TestBrokenCode breaks an image in one place and expects the invariant that it violates. The same
// image unbroken violates none.
func TestBrokenCode(t *testing.T) {
	limit := func(f *image.FuncImage) image.CodeOff { return f.TailCalls[0].Limit }
	unwind := func(f *image.FuncImage) image.CodeOff { return f.TailCalls[0].Unwind }
	for _, tc := range []struct {
		name  string
		want  check.Invariant
		patch patch
	}{
		{"limit test never jumps", check.Limit, patch{fn: 1, at: limit, with: "6690"}},
		{"epilogue does not restore rsp", check.Balance, patch{fn: 1, old: "c9c3", with: "5dc3"}},
		{"tail call pops one word less", check.Balance, patch{fn: 1, old: "5858", with: "5890"}},
		{"epilogue restores the wrong register", check.CalleeSaved, patch{fn: 1, old: "5bc9c3", with: "59c9c3"}},
		{"tail call keeps a callee-saved register", check.CalleeSaved, patch{fn: 1, at: unwind, with: "59"}},
		{"store through the frame hits the return address", check.Frame,
			patch{fn: 0, old: "48c745f800000000", with: "48c7450800000000"}},
		{"prologue takes more stack than there is", check.StackBudget,
			patch{fn: 1, old: "4881ec10000000", with: "4881ec00400000"}},
		{"int3 in the body", check.FaultFree, patch{fn: 1, at: unwind, with: "cc"}},
		{"prologue saves another register for rbp", check.Backtrace, patch{fn: 0, old: "554889e5", with: "534889e5"}},
		{"counter kept in rcx over a helper", check.HelperClobber,
			patch{fn: 0, at: lastReload, with: "4889c80f1f4000"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := compiled(t, buildText(t, "broken.yaml", []byte(broken)), target(t, "6.12"))
			if v := play(t, opened(t, c, runner.Options{})).Violation(); v != nil {
				t.Fatalf("unbroken: %v", v)
			}
			tc.patch.apply(t, c)
			v := play(t, opened(t, c, runner.Options{})).Violation()
			if v == nil || v.Invariant != tc.want {
				t.Fatalf("violation %v, want %s", v, tc.want)
			}
			if v.Where == "" || v.Text == "" || v.RIP == 0 {
				t.Errorf("%+v does not say where", v)
			}
		})
	}
}

func (p *patch) apply(t *testing.T, c *runner.Compiled) {
	t.Helper()
	f := &c.Images[0].Funcs[p.fn]
	with := unhex(t, p.with)
	if p.at != nil {
		copy(f.Code[p.at(f):], with)
		return
	}
	old := unhex(t, p.old)
	if len(old) != len(with) || bytes.Count(f.Code, old) != 1 {
		t.Fatalf("% x occurs %d times in %s: % x", old, bytes.Count(f.Code, old), f.Name, f.Code)
	}
	copy(f.Code[bytes.Index(f.Code, old):], with)
}

// lastReload is the load of rax before the call of the subprogram.
func lastReload(f *image.FuncImage) image.CodeOff {
	for _, s := range f.Calls {
		if s.Func >= 0 {
			return s.Off - 7
		}
	}
	return -1
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	var out []byte
	for i := 0; i+1 < len(s); i += 2 {
		d := strings.IndexByte("0123456789abcdef", s[i])<<4 | strings.IndexByte("0123456789abcdef", s[i+1])
		out = append(out, byte(d))
	}
	return out
}
