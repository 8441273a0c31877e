// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/jit"
)

func TestExplore(t *testing.T) {
	for _, tc := range []struct {
		name string
		args []string
		want int
		out  []string // on stdout
		errs []string // on stderr
	}{
		{
			"passes", []string{"poke_one_site", "--target", "6.12", "--update", "all"}, exitOK,
			[]string{"poke_one_site on 6.12", "replace jmp_table[0]: one -> two", "111930", "passes", "schedules in"}, nil,
		},
		{
			"own updates", []string{"poke_one_site"}, exitOK,
			[]string{"insert jmp_table[0]: empty -> one", "delete jmp_table[0]: two -> empty"}, nil,
		},
		{
			"without the wait", []string{"poke_one_site", "--slot", "jmp_table[0]", "--to", "empty", "--no-rcu"}, exitFailed,
			[]string{
				"FAILS pokes in", "Shortest failing schedule", "falls through after its frame was taken down", "after instruction",
				"5. target jmp one", "bypass: breakpoint", "refused", "RBP, RSP",
			}, nil,
		},
		{
			"cannot insert again", []string{"poke_one_site", "--target", "jmp-always-valid", "--update", "delete"}, exitFailed,
			[]string{"a later update FAILS", "-EBUSY"}, nil,
		},
		{
			"bound", []string{"poke_one_site", "--update", "replace", "--max", "1"}, exitUntestable,
			[]string{"not exhaustive"}, []string{"--max"},
		},
		{
			"several targets", []string{"poke_one_site", "--target", "6.12,jmp-always-valid", "--update", "delete"}, exitFailed,
			[]string{"poke_one_site on 2 targets", "6.12             delete", "jmp-always-valid delete", "-EBUSY"}, nil,
		},
		{
			"several failures", []string{"poke_one_site", "--target", "6.1,6.12", "--update", "delete", "--no-rcu", "--each"}, exitFailed,
			[]string{"one -> empty on 6.1 (run", "one -> empty on 6.12 (run"}, nil,
		},
		{
			"some unsupported", []string{"bpf2bpf_1", "--target", "fp53,6.12", "--update", "replace"}, exitUntestable,
			[]string{"fp53    unsupported", "classifier_0 -> classifier_1", "passes"}, []string{"for fp53: "},
		},
		{"bad kind", []string{"poke_one_site", "--update", "dance"}, exitUsage, nil, []string{"dance", "delete-empty"}},
		{"bad slot", []string{"poke_one_site", "--slot", "t[7]", "--to", "one"}, exitUsage, nil, []string{"t[7]"}},
		{"bad program", []string{"poke_one_site", "--slot", "jmp_table[0]", "--to", "three"}, exitUsage, nil, []string{"three", "entry"}},
		{"bad count", []string{"poke_one_site", "--max", "0"}, exitUsage, nil, []string{"--max"}},
		{"two scenarios", []string{"poke_one_site", "poke_two_sites"}, exitUsage, nil, []string{"one scenario"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			code, out, errs := tcsim(t, "", append([]string{"explore"}, tc.args...)...)
			if code != tc.want {
				t.Errorf("exit code %d, want %d\n%s%s", code, tc.want, out, errs)
			}
			for _, s := range tc.out {
				if !strings.Contains(out, s) {
					t.Errorf("stdout does not say %q:\n%s", s, out)
				}
			}
			for _, s := range tc.errs {
				if !strings.Contains(errs, s) {
					t.Errorf("stderr does not say %q:\n%s", s, errs)
				}
			}
		})
	}
}

func TestExploreJSON(t *testing.T) {
	code, out, errs := tcsim(t, "", "explore", "poke_one_site", "--target", "ip-aux", "--update", "delete,replace", "--json")
	if code != exitFailed {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	var got struct {
		Schema  string
		Updates []struct {
			Kind, Slot, Schedules string
			Classes               int
			OK, Exhaustive        bool
			Failed                map[string]struct{ Schedules string }
			UpdateViolation       *struct{ Invariant string } `json:"update_violation"`
			Shortest              *struct {
				Violation struct{ Invariant string }
				Steps     []struct {
					After uint64
					Where string
				}
				Events []any
				Stack  any
			}
		}
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	if got.Schema != "tcsim.explore/v1" || len(got.Updates) != 2 {
		t.Fatalf("%+v", got)
	}
	del, rep := got.Updates[0], got.Updates[1]
	if del.OK || !del.Exhaustive || del.Failed["pokes"].Schedules == "" || del.UpdateViolation == nil || del.Shortest == nil {
		t.Errorf("delete: %+v", del)
	} else if s := del.Shortest; s.Violation.Invariant != "pokes" || len(s.Steps) != 2 || s.Steps[0].After == 0 || s.Stack == nil || len(s.Events) == 0 {
		t.Errorf("shortest: %+v", s)
	}
	if !rep.OK || rep.Shortest != nil || rep.Schedules == "0" {
		t.Errorf("replace: %+v", rep)
	}
}

// TestExploreAll explores every target.
func TestExploreAll(t *testing.T) {
	code, out, errs := tcsim(t, "", "explore", "poke_one_site", "--target", "all", "--update", "replace", "--json")
	var got struct {
		Targets []struct {
			Target, Error string
			Updates       []json.RawMessage
		}
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil || code == exitUsage || code == exitInternal {
		t.Fatalf("exit code %d, %v: %s", code, err, errs)
	}
	var names []string
	for _, x := range got.Targets {
		names = append(names, x.Target)
		if (len(x.Updates) == 0) == (x.Error == "") {
			t.Errorf("%s: %d updates, error %q", x.Target, len(x.Updates), x.Error)
		}
	}
	if !slices.Equal(names, jit.TargetNames()) {
		t.Errorf("targets %q", names)
	}
}

// TestOneTarget has commands that work on one target refuse several.
func TestOneTarget(t *testing.T) {
	for _, args := range [][]string{
		{"trace", "hierarchy"},
		{"stack", "hierarchy", "--at", "tailcall:1"},
		{"count", "hierarchy"},
		{"jit", "hierarchy"},
		{"graph", "hierarchy"},
		{"plugin"},
	} {
		for _, target := range []string{"all", "6.1,6.12"} {
			if code, out, errs := tcsim(t, "95 00 00 00 00 00 00 00", append(args, "--target", target)...); code != exitUsage || out != "" || !strings.Contains(errs, "takes one target") {
				t.Errorf("%q: exit code %d\n%s%s", append(args, "--target", target), code, out, errs)
			}
		}
	}
}
