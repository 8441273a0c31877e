// SPDX-License-Identifier: GPL-2.0-only

package conform_test

import (
	"strings"
	"testing"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/conform"
	"github.com/tcsim/tcsim/jit/design"
)

// sources are captures that are not of the kernels of the registry, with the targets that make the same code.
var sources = []struct {
	file, target string // "": what the header calls for
	note         string // part of it
	short        bool
}{
	{"source/4.9.45", "4.9", "", true},
	{"source/4.9.45", "classic-4.4", "", false},
	{"source/4.14.5", "4.14", "", true},
	{"source/4.14.5", "fpshift-4.13", "", false},
	{"source/5.4.18", "5.4", "", true},
	{"source/5.4.18", "fp53", "", false},
	{"source/5.15.135", "5.15", "", false},
	{"source/6.9.0-rfc2", "hier-rfc2", "", false},
	{"source/6.12-kcfi", "6.12-kcfi", "", false},
	{"source/6.12-fineibt", "6.12-fineibt", "", false},
	{"source/7.2-fineibt-bhi", "7.2-fineibt-bhi", "", false},
	{"cfi/6.12-clang-kcfi", "", "bpf_map.max_entries is at 0x1c, bpf_array.ptrs at 0xf8, bpf_prog.bpf_func at 0x30", true},
	{"cfi/6.12-clang-fineibt", "", "bpf_map.max_entries is at 0x1c, bpf_array.ptrs at 0xf8, bpf_prog.bpf_func at 0x30", true},
	{"blinded/6.12-harden2", "", "", false},
}

// TestEvidence checks that "identical with its own source" is said of the targets that are compared so, and of no
// other.
func TestEvidence(t *testing.T) {
	compared := map[string]bool{}
	for _, c := range sources {
		if !strings.HasPrefix(c.file, "source/") {
			continue
		}
		compared[c.target] = true
		tgt, err := jit.TargetByName(c.target)
		if err != nil {
			t.Fatal(err)
		}
		if e := tgt.Evidence; e != design.ByOwnSource && e != design.ByCapture {
			t.Errorf("%s is compared with %s and %s", c.target, c.file, e)
		}
	}
	for _, name := range append(jit.TargetNames(), "4.9", "4.14", "5.4", "5.15") {
		tgt, err := jit.TargetByName(name)
		if err != nil {
			t.Fatal(err)
		}
		if tgt.Evidence == design.ByOwnSource && !compared[name] {
			t.Errorf("%s is %s, and with nothing compared", name, tgt.Evidence)
		}
	}
}

// TestConformSources compares with what the JIT of kernels' own source emitted, and with kernels that were
// built otherwise than the one of the registry.
func TestConformSources(t *testing.T) {
	for _, c := range sources {
		t.Run(c.file+" "+c.target, func(t *testing.T) {
			if testing.Short() && !c.short {
				t.Skip("only in full runs")
			}
			t.Parallel()
			src, err := capture.Open("../../fixtures/" + c.file + ".jsonl.gz")
			if err != nil {
				t.Fatal(err)
			}
			opt := conform.Options{Keep: 5}
			if c.target != "" {
				if opt.Target, err = jit.TargetByName(c.target); err != nil {
					t.Fatal(err)
				}
			}
			r, err := conform.Compare(src, opt)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range r.Mismatches {
				t.Errorf("%s (line %d) prog %d func %d %s: %s\n%.3000s", m.Scenario, m.Line, m.Prog, m.Func, m.State, m.Reason, m.Listing)
			}
			if !r.OK() || r.Total().Total < 500 {
				t.Errorf("%s images and %s facts identical", r.Total(), r.Facts)
			}
			if !strings.Contains(r.Target.Note, c.note) {
				t.Errorf("note %q, expected %q", r.Target.Note, c.note)
			}
		})
	}
}
