// SPDX-License-Identifier: GPL-2.0-only

package conform_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/fixtures"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/conform"
	"github.com/tcsim/tcsim/jit/jittest"
)

// TestConform compiles every program of every capture and compares all code with the kernel's.
func TestConform(t *testing.T) {
	for _, name := range jittest.CaptureNames(t) {
		if testing.Short() && !strings.Contains(name, "lfence") && !strings.Contains(name, "extra-") {
			continue
		}
		t.Run(strings.TrimSuffix(strings.TrimPrefix(name, "kernels/"), ".jsonl.gz"), func(t *testing.T) {
			src, err := capture.OpenFS(fixtures.FS, name, name)
			if err != nil {
				t.Fatal(err)
			}
			r, err := conform.Compare(src, conform.Options{Keep: 5})
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("target %s: %s images, %s facts, %d refused, %d not JITed; %v", r.Target.Name, r.Total(), r.Facts, r.Refused, r.NotJITed, r.Images)
			for _, m := range r.Mismatches {
				t.Errorf("%s (line %d) prog %d func %d %s: %s\n%.3000s", m.Scenario, m.Line, m.Prog, m.Func, m.State, m.Reason, m.Listing)
			}
			if !r.OK() || r.Total().Total == 0 {
				t.Errorf("%s images and %s facts identical", r.Total(), r.Facts)
			}
		})
	}
}

// excerpt makes a capture of the scenarios with the given names, changed by edit.
func excerpt(t testing.TB, file string, edit func(string) string, names ...string) *capture.Source {
	t.Helper()
	f, err := fixtures.FS.Open("kernels/" + file + ".jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	i := strings.Index(lines[0], `"scenarios":`) + len(`"scenarios":`)
	j := i + strings.Index(lines[0][i:], ",")
	keep := []string{lines[0][:i] + string('0'+rune(len(names))) + lines[0][j:]}
	for _, l := range lines {
		for _, n := range names {
			if strings.HasPrefix(l, `{"type":"scenario","name":"`+n+`"`) {
				keep = append(keep, edit(l))
			}
		}
	}
	if len(keep) != len(names)+1 {
		t.Fatalf("%s has %d of the scenarios %v", file, len(keep)-1, names)
	}
	keep = append(keep, lines[len(lines)-1])
	src, err := capture.Read(bytes.NewReader(jittest.Pack(t, strings.Join(keep, "\n"))), file)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

// TestConformFinds changes a capture and expects the difference to be found.
func TestConformFinds(t *testing.T) {
	const name = "tail/sub/const/stack8-16"
	for what, c := range map[string]struct {
		old, new     string
		images       string
		wrongFacts   int
		reason, list string
	}{
		"nothing": {"", "", "9/9", 0, "", ""},
		"limit":   {"4883382173", "4883382273", "7/9", 0, "differs at offset", "! "},
		"patched jump only": {
			`"populated":"f30f1efa`, `"populated":"f30f1efb`, "8/9", 0, "differs at offset 3: the kernel has fb", "",
		},
		"kind of tail call": {`"kind":"direct"`, `"kind":"indirect"`, "9/9", 1, "the kernel has {Func:1", ""},
		"place of an insn":  {`"insn_map":[[0,0,0,0],[2,2,0,51`, `"insn_map":[[0,0,0,0],[2,2,0,50`, "9/9", 1, "the kernel has it at 50", ""},
		"stack depth":       {"4883f8217706504889e0eb0150", "4883f8227706504889e0eb0150", "", 0, "differs at offset", "cmp rax"},
	} {
		t.Run(what, func(t *testing.T) {
			src := excerpt(t, "6.12-off", func(l string) string {
				if c.old != "" && !strings.Contains(l, c.old) {
					t.Fatalf("%q is not in %s", c.old, l)
				}
				return strings.Replace(l, c.old, c.new, 1)
			}, name)
			r, err := conform.Compare(src, conform.Options{Keep: 9})
			if err != nil {
				t.Fatal(err)
			}
			if c.images != "" && r.Total().String() != c.images {
				t.Errorf("%s images identical, expected %s", r.Total(), c.images)
			}
			if n := r.Facts.Total - r.Facts.Same; n != c.wrongFacts {
				t.Errorf("%d facts differ, expected %d", n, c.wrongFacts)
			}
			if r.OK() != (c.old == "") {
				t.Errorf("OK is %v", r.OK())
			}
			if c.reason == "" {
				return
			}
			if len(r.Mismatches) == 0 || !strings.Contains(r.Mismatches[0].Reason, c.reason) || !strings.Contains(r.Mismatches[0].Listing, c.list) {
				t.Errorf("mismatches %+v, expected %s with a listing of %q", r.Mismatches, c.reason, c.list)
			}
		})
	}
}

// TestConformOtherTarget compares with a target of another kernel, which must differ.
func TestConformOtherTarget(t *testing.T) {
	src := excerpt(t, "6.12-off", func(l string) string { return l }, "tail/sub/const/stack8-16")
	other, err := jit.TargetByName("6.1")
	if err != nil {
		t.Fatal(err)
	}
	r, err := conform.Compare(src, conform.Options{Target: other})
	if err != nil {
		t.Fatal(err)
	}
	if r.OK() || r.Target.Name != "6.1" || len(r.Mismatches) != 0 {
		t.Errorf("target %s: %s, %d mismatches kept", r.Target.Name, r.Total(), len(r.Mismatches))
	}
}

// TestConformUnknownKernel expects an error that names what is missing.
func TestConformUnknownKernel(t *testing.T) {
	src := excerpt(t, "6.12-off", func(l string) string { return l }, "tail/sub/const/stack8-16")
	src.Header.Kernel.Release = "4.2.0"
	if _, err := conform.Compare(src, conform.Options{}); err == nil || !strings.Contains(err.Error(), "4.2.0") {
		t.Errorf("got %v", err)
	}
}
