// SPDX-License-Identifier: GPL-2.0-only

package runner

import (
	"testing"

	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/scenarios"
)

// TestLikewise: in place of an address in a stack, or half of one, only another one is right, no error number and no address of
// something else, nor another element of a map.
func TestLikewise(t *testing.T) {
	sc, err := scenarios.Load("x.yaml", []byte(`
version: 1
name: x
type: kprobe
maps:
  h: {type: hash, value_size: 8, max_entries: 4, values: {0: 1}}
  a: {type: array, value_size: 8, max_entries: 4}
programs:
  entry: |
    r1 = h ll
    r1 = a ll
    r0 = r10
    exit
runs: [{run: entry}]
`))
	if err != nil {
		t.Fatal(err)
	}
	b, err := scenarios.Build(sc)
	if err != nil {
		t.Fatal(err)
	}
	tg, err := jit.TargetByName("6.12")
	if err != nil {
		t.Fatal(err)
	}
	c, err := Compile(b, tg)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(c, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	element, array := uint64(s.m.MapMemory(0)[0].Addr), uint64(s.m.MapMemory(1)[0].Addr)
	stack := uint64(guest.EntryRSP) - 8
	res, err := s.ref.run(&b.Actions[0], nil)
	if err != nil || !s.ref.m.OnStack(res.Return) {
		t.Fatalf("%#x, %v", res.Return, err)
	}
	for name, x := range map[string]struct {
		got, want uint64
		right     bool
	}{
		"stack": {stack, res.Return, true}, "error for stack": {^uint64(0), res.Return, false}, "text for stack": {uint64(guest.TextBase), res.Return, false},
		"map for stack": {element, res.Return, false}, "stack for element": {stack, element, false}, "another element": {element + 32, element + 16, false},
		"half": {stack << 32 >> 32, res.Return << 32 >> 32, true}, "whole for half": {stack, res.Return << 32 >> 32, false},
		"half for whole": {stack << 32 >> 32, res.Return, false}, "half for number": {stack << 32 >> 32, 8, false},
		"half of another": {array << 32 >> 32, res.Return << 32 >> 32, false}, "another number": {stack, 7, false}, "another array": {array + 8, array, false},
	} {
		if s.ref.likewise(s.m, x.got, x.want) != x.right {
			t.Errorf("%s: right is %t", name, x.right)
		}
	}
}
