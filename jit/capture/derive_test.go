// SPDX-License-Identifier: GPL-2.0-only

package capture_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tcsim/tcsim/fixtures"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/image"
)

// TestDerive forgets what the captures say of address-dependent operands and finds it again.
func TestDerive(t *testing.T) {
	files := []string{"5.10-default", "6.1-default", "6.12-off", "6.12-stuff", "6.18-host", "7.2-its-eibrs", "extra-5.10-off", "extra-6.1-off", "extra-6.12-default", "extra-7.2-default"}
	if testing.Short() {
		files = files[len(files)-5:]
	}
	for _, name := range files {
		t.Run(name, func(t *testing.T) {
			src, err := capture.OpenFS(fixtures.FS, "kernels/"+name+".jsonl.gz", name)
			if err != nil {
				t.Fatal(err)
			}
			names := symbolNames(&src.Symbols)
			step, tails, maps, tramps := 1, 0, 0, 0
			if src.Len() > 1000 {
				step = 3
			}
			for i := 0; i < src.Len(); i += step {
				want, _ := src.Scenario(i)
				got, err := src.Scenario(i)
				if err != nil {
					t.Fatal(err)
				}
				if want.Category == "exc" || want.Category == "misc" {
					continue // these were recorded with what is not derived: hidden functions, arenas
				}
				for m := range got.Maps {
					got.Maps[m].Addr, got.Maps[m].ValueAddr = 0, 0
				}
				if err := got.Derive(names); err != nil {
					t.Fatalf("%s: %v", want.Name, err)
				}
				for p := range want.Progs {
					w, g := &want.Progs[p], &got.Progs[p]
					if d := cmp.Diff([]any{w.TailCalls, w.MapsAt, w.Refs, w.Undecoded}, []any{g.TailCalls, g.MapsAt, g.Refs, g.Undecoded}); d != "" {
						t.Fatalf("%s: program %d: (-recorded +derived)\n%s", want.Name, p, d)
					}
					tails += len(g.TailCalls)
					maps += len(g.MapsAt)
				}
				if d := cmp.Diff(want.Maps, got.Maps); d != "" {
					t.Fatalf("%s: maps (-recorded +derived)\n%s", want.Name, d)
				}
				if d := cmp.Diff(want.Trampolines, got.Trampolines); d != "" {
					t.Fatalf("%s: trampolines (-recorded +derived)\n%s", want.Name, d)
				}
				tramps += len(got.Trampolines)
			}
			if tails == 0 || maps == 0 || tramps == 0 == strings.HasPrefix(name, "extra") {
				t.Errorf("derived %d tail calls, %d map addresses and %d trampolines", tails, maps, tramps)
			}
		})
	}
}

// symbolNames answers as /proc/kallsyms of the capture's kernel would.
func symbolNames(s *capture.Symbols) func(image.Addr) string {
	table := s.Table()
	return func(a image.Addr) string {
		if n := table.Name(a); n != "" {
			return n
		}
		if at, ok := table.Addr("const_pcpu_hot"); ok && a == at+0x10 {
			return "const_pcpu_hot+0x10"
		}
		return ""
	}
}

// TestDeriveFound forgets where the code of each instruction begins, too, which is unknown in programs that
// others loaded, and finds tail calls and maps all the same.
func TestDeriveFound(t *testing.T) {
	for _, name := range []string{"kernels/5.10-default", "kernels/6.12-off", "kernels/7.2-its-eibrs", "live/6.18-vm"} {
		t.Run(name, func(t *testing.T) {
			src, err := capture.OpenFS(fixtures.FS, name+".jsonl.gz", name)
			if err != nil {
				t.Fatal(err)
			}
			tails, maps := 0, 0
			for i := 0; i < src.Len(); i += 1 + src.Len()/300 {
				want, err := src.Scenario(i)
				if err != nil {
					t.Fatal(err)
				}
				got, _ := src.Scenario(i)
				got.Found = true
				for p := range got.Progs {
					if len(got.Progs[p].Xlated) > 0 {
						got.Progs[p].Insns, got.Progs[p].InsnMap = nil, nil
					}
				}
				for m := range got.Maps {
					got.Maps[m].Addr, got.Maps[m].ValueAddr = 0, 0
				}
				if strings.HasPrefix(want.Name, "exc_") {
					continue // nothing says where the callback begins
				}
				if err := got.Derive(symbolNames(&src.Symbols)); err != nil {
					t.Errorf("%s: %v", want.Name, err)
					continue
				}
				for p := range want.Progs {
					w, g := &want.Progs[p], &got.Progs[p]
					if d := cmp.Diff([]any{w.TailCalls, w.MapsAt}, []any{g.TailCalls, g.MapsAt}, cmpopts.EquateEmpty()); d != "" {
						t.Errorf("%s: program %d: (-recorded +found)\n%s", want.Name, p, d)
					}
					tails += len(g.TailCalls)
					maps += len(g.MapsAt)
				}
				if d := cmp.Diff(want.Maps, got.Maps); d != "" {
					t.Errorf("%s: maps (-recorded +found)\n%s", want.Name, d)
				}
			}
			if tails == 0 || maps == 0 {
				t.Errorf("found %d tail calls and %d map addresses", tails, maps)
			}
		})
	}
}
