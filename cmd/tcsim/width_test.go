// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/tcsim/tcsim/cmd/tcsim/render"
	"github.com/tcsim/tcsim/scenarios/files"
)

// tooWide returns the first line of more columns than a mail has, "" if there is none.
func tooWide(text string) string {
	for line := range strings.Lines(text) {
		if utf8.RuneCountInString(strings.TrimSuffix(line, "\n")) > render.Width {
			return line
		}
	}
	return ""
}

// TestLibraryOutput prints each built-in scenario in every form: text no wider than a mail, nothing
// else on stdout than under --json, one object that names its schema.
func TestLibraryOutput(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	targets := []string{"6.1", "6.12", "pop-nop-push"}
	names := files.Builtin()
	for _, name := range names {
		for _, on := range targets {
			for _, args := range [][]string{
				{"run"}, {"trace"}, {"trace", "--cost"}, {"trace", "--pipeline", "1+20"}, {"stack"}, {"stack", "--at", "each:tailcall"},
				{"stack", "--all"}, {"jit"}, {"graph"}, {"count", "--max-steps", "100000"},
			} {
				args = append(args, name, "--target", on)
				code, out, errs := tcsim(t, "", args...)
				if code == exitUntestable || code == exitUsage && strings.Contains(errs, "moment each:tailcall") {
					continue // no code for it, or nothing to draw
				}
				if code > exitFailed || out == "" {
					t.Errorf("%v: exit code %d: %s", args, code, errs)
				}
				if l := tooWide(out); l != "" {
					t.Errorf("%v: %d columns: %s", args, utf8.RuneCountInString(l), l)
				}
				again, out, errs := tcsim(t, "", append(args, "--json")...)
				var v struct{ Schema string }
				if err := json.Unmarshal([]byte(out), &v); again != code || err != nil || v.Schema != "tcsim."+args[0]+"/v1" {
					t.Errorf("%v --json: exit code %d, as text %d: %v, schema %q: %s", args, again, code, err, v.Schema, errs)
				}
			}
		}
		if _, out, _ := tcsim(t, "", "jit", name, "--diff", "6.1,6.12"); tooWide(out) != "" {
			t.Errorf("jit %s --diff: %s", name, tooWide(out))
		}
	}
}

// TestExploreWidth keeps failures within a mail, too.
func TestExploreWidth(t *testing.T) {
	for _, on := range []string{"6.12", "pop-nop-push", "ip-aux"} {
		_, out, errs := tcsim(t, "", "explore", "poke_one_site", "--target", on, "--update", "all", "--no-rcu", "--each")
		if l := tooWide(out); l != "" || !strings.Contains(out, "Shortest failing schedule") {
			t.Errorf("%s: too wide %q, %s", on, l, errs)
		}
	}
}

// TestWidths prints drawings in lines of the width that is asked for.
func TestWidths(t *testing.T) {
	names := files.Builtin()
	if testing.Short() && os.Getenv("CI") == "" {
		names = []string{"bug_empty_slot_r6", "tramp_context", "hierarchy"}
	}
	for _, name := range names {
		for _, args := range [][]string{
			{"stack", "--target", "6.1"}, {"stack", "--all", "--box"}, {"trace", "--target", "6.1"}, {"trace"}, {"jit"},
			{"jit", "--diff", "6.1,6.12"}, {"graph"},
		} {
			for _, width := range []int{72, 80, 100} {
				args := append(args, name, "--width", fmt.Sprint(width))
				code, out, errs := tcsim(t, "", args...)
				if code == exitUntestable {
					continue
				}
				if code > exitFailed || out == "" {
					t.Errorf("%v: exit code %d: %s", args, code, errs)
				}
				for line := range strings.Lines(out) {
					if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > width {
						t.Errorf("%v: %d columns: %s", args, n, line)
					}
				}
			}
		}
	}
}
