// SPDX-License-Identifier: GPL-2.0-only

package runner_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/emu/check"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// The target of the tail call is loaded before the program that has it, or after.
const loadedBefore = `
version: 1
name: before
maps:
  t: {type: prog_array, slots: {0: one}}
programs:
  one: [return: 1]
  entry: [tail_call: "t[0]", return: 7]
runs:
  - {run: entry, expect: {return: 1, taken: 1}}
`

const loadedAfter = `
version: 1
name: after
maps:
  t: {type: prog_array, slots: {0: one}}
programs:
  entry: [tail_call: "t[0]", return: 7]
  one: [return: 1]
runs:
  - {run: entry, expect: {return: 1, taken: 1}}
`

// TestLoad has both ways in which a direct tail call comes to lead to a program: fixed up when its own
// program is loaded, poked when the slot is filled.
func TestLoad(t *testing.T) {
	for _, text := range []string{loadedBefore, loadedAfter} {
		for _, tn := range []string{"5.10", "6.12", "direct-poke", "pop-nop-push", "ip-aux", "jmp-always-valid", "fp53"} {
			b := buildText(t, "load.yaml", []byte(text))
			res := play(t, opened(t, compiled(t, b, target(t, tn)), runner.Options{}))
			if !res.OK() {
				t.Errorf("%s on %s: %v %v", b.Scenario.Name, tn, res.Violation(), res.Mismatches())
			}
		}
	}
}

// patched compiles a scenario and changes the patched places of its first direct tail call.
func patched(t *testing.T, text, tn string, change func(bypass, jump []byte)) *runner.Compiled {
	t.Helper()
	c := compiled(t, buildText(t, "load.yaml", []byte(text)), target(t, tn))
	for _, img := range c.Images {
		f := &img.Funcs[0]
		if len(f.TailCalls) == 0 {
			continue
		}
		f.Code = slices.Clone(f.Code)
		s := &f.TailCalls[0]
		change(f.Code[s.Bypass:s.Bypass+image.PokeSize], f.Code[s.Jump:s.Jump+image.PokeSize])
		return c
	}
	t.Fatal("no tail call")
	return nil
}

// TestPokesLive breaks the code before it is loaded: the invariant must be found broken.
func TestPokesLive(t *testing.T) {
	nop := []byte{0x0f, 0x1f, 0x44, 0, 0}
	empty := strings.Replace(loadedBefore, ", slots: {0: one}", "", 1)
	for _, row := range []struct {
		name, text string
		change     func(bypass, jump []byte)
		want       string
	}{
		{"both nops at load", empty, func(bypass, _ []byte) { copy(bypass, nop) }, "both nops"},
		{"jump in an empty slot", empty, func(bypass, jump []byte) { copy(bypass, nop); jump[0] = 0xe9 }, "the slot to nothing"},
		{"not what is expected", loadedBefore, func(_, jump []byte) { jump[0] = 0xe9 }, "-EBUSY"},
		{"not what an insert expects", loadedAfter, func(bypass, _ []byte) { copy(bypass, nop) }, "both nops"},
	} {
		c := patched(t, row.text, "6.12", row.change)
		res := play(t, opened(t, c, runner.Options{}))
		v := res.Violation()
		if v == nil || v.Invariant != check.Pokes || !strings.Contains(v.Text, row.want) || len(res.Runs) != 0 || res.OK() {
			t.Errorf("%s: %v, want pokes: %s", row.name, v, row.want)
		}
	}
}
