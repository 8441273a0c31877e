// SPDX-License-Identifier: GPL-2.0-only

package scenarios_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/scenarios"
)

const expectations = `version: 1
name: x
maps:
  count: {value_size: 8}
  h: {type: hash, key_size: 8}
programs:
  p: [return: 1]
runs:
  - run: p
    expect:
      return: -1
      taken: 33
      refused: {limit: 1, empty: 2}
      stack_at_most: 4096
      values:
        count: 34
        u16 count+2: 0
        h[7]: 1
      on:
        6.1, 5.10: {taken: 32, refused: 5, values: {count: 33, "h[8]": 2}}
        by-value: {violates: [limit, balance], taken: 34}
  - run: p
`

// check judges the first run of expectations against an outcome.
func check(t *testing.T, run int, o scenarios.Outcome, names ...string) []string {
	t.Helper()
	sc, err := scenarios.Load("x.yaml", []byte(expectations))
	if err != nil {
		t.Fatal(err)
	}
	b, err := scenarios.Build(sc)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, m := range b.Check(&b.Actions[run], &o, names...) {
		out = append(out, m.String())
	}
	return out
}

// values answers Lookup from a list of values by map and key.
func values(v map[[2]byte][]byte) func(int, []byte) ([]byte, bool) {
	return func(m int, key []byte) ([]byte, bool) {
		x, ok := v[[2]byte{byte(m), key[0]}]
		return x, ok
	}
}

func TestCheck(t *testing.T) {
	met := scenarios.Outcome{
		Return: 0xffffffff, Taken: 33, DeepestStack: 4096,
		Refused: scenarios.RefusedCount{Limit: 1, Empty: 2, Bounds: 7},
		Lookup: values(map[[2]byte][]byte{
			{0, 0}: {34, 0, 0, 0, 0, 0, 0, 0}, {1, 7}: {1, 0, 0, 0},
		}),
	}
	off := scenarios.Outcome{
		Return: 1, Taken: 34, DeepestStack: 4097,
		Refused: scenarios.RefusedCount{Limit: 2, Empty: 1},
		Lookup:  values(map[[2]byte][]byte{{0, 0}: {33, 0, 1, 0, 0, 0, 0, 0}}),
	}
	old := met
	old.Taken = 32
	old.Refused = scenarios.RefusedCount{Limit: 1, Empty: 2, Bounds: 2}
	old.Lookup = values(map[[2]byte][]byte{{0, 0}: {33, 0, 0, 0, 0, 0, 0, 0}, {1, 7}: {1, 0, 0, 0}, {1, 8}: {2, 0, 0, 0}})
	negative := met
	negative.Return = 0xfffffffe
	for _, c := range []struct {
		name  string
		run   int
		o     scenarios.Outcome
		names []string
		want  []string
	}{
		{"met", 0, met, []string{"6.12"}, nil},
		{"everything is off", 0, off, []string{"6.12"}, []string{
			"x.yaml:11:15: expected return 4294967295 (-1), found 1",
			"x.yaml:12:14: expected 33 tail calls taken, found 34",
			"x.yaml:13:24: expected 1 tail calls refused by the limit, found 2",
			"x.yaml:13:34: expected 2 tail calls refused by an empty slot, found 1",
			"x.yaml:14:22: expected at most 4096 bytes of stack, found 4097",
			"x.yaml:16:16: expected count = 34, found 65569",
			"x.yaml:17:22: expected u16 count+2 = 0, found 1",
			"x.yaml:18:9: expected h[7] = 1, found no such entry",
		}},
		{"negative", 0, negative, []string{"6.12"}, []string{"x.yaml:11:15: expected return 4294967295 (-1), found 4294967294 (-2)"}},
		{"other numbers on a target", 0, old, []string{"6.1-retpoline", "6.1"}, nil},
		{"the first in a list counts too", 0, met, []string{"5.10"}, []string{
			"x.yaml:20:28: expected 32 tail calls taken, found 33",
			"x.yaml:20:41: expected 5 refused tail calls, found 10",
			"x.yaml:20:60: expected count = 33, found 34",
			"x.yaml:20:64: expected h[8] = 2, found no such entry",
		}},
		{"violation as expected", 0, scenarios.Outcome{Violation: "balance", Taken: 34}, []string{"by-value"}, nil},
		{"another violation", 0, scenarios.Outcome{Violation: "fault", Taken: 34}, []string{"by-value"}, []string{
			"x.yaml:21:31: expected a violation of limit or balance, found fault",
		}},
		{"no violation", 0, met, []string{"by-value"}, []string{
			"x.yaml:21:31: expected a violation of limit or balance, found none",
		}},
		{"unexpected violation", 0, scenarios.Outcome{Violation: "limit"}, []string{"6.12"}, []string{
			"x.yaml:11:7: expected no violation, found limit",
		}},
		{"not judged", 1, off, []string{"6.12"}, nil},
		{"not judged, but broken", 1, scenarios.Outcome{Violation: "fault"}, []string{"6.12"}, []string{
			"x.yaml:22:5: expected no violation, found fault",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if d := cmp.Diff(c.want, check(t, c.run, c.o, c.names...)); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
}

func TestTargetNames(t *testing.T) {
	for _, c := range []struct{ name, want string }{
		{"6.1-retpoline", "6.1-retpoline rework-6.7 6.1 retpoline by-value burns-empty"},
		{"6.12", "6.12 hier-6.12 6.12"},
		{"ip-aux", "ip-aux ip-aux loses-rax by-value burns-empty per-function"},
		{"hier-rfc2", "hier-rfc2 hier-rfc2 burns-empty"},
	} {
		tg, err := jit.TargetByName(c.name)
		if err != nil {
			t.Fatal(err)
		}
		got := strings.Join(scenarios.TargetNames(tg), " ")
		if got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}
