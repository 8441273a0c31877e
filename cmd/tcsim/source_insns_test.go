// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/jit/source"
	"github.com/tcsim/tcsim/jit/source/compiler"
	"github.com/tcsim/tcsim/jit/source/ktree"
	"github.com/tcsim/tcsim/scenarios/choices"
	"github.com/tcsim/tcsim/scenarios/lockstep"
	"github.com/tcsim/tcsim/scenarios/progen"
)

var allSourceEdits = flag.Bool("edits", false, "make every wrong edit of the C file's instructions, not one in nine")

// insnHunter judges a source by random programs.
type insnHunter struct {
	tree     string
	player   *lockstep.Player
	programs int // at most
}

// judge returns how the first program fails whose code the JIT of a C text makes, "" if none does.
func (h *insnHunter) judge(t *testing.T, text string) string {
	t.Helper()
	if err := os.WriteFile(filepath.Join(h.tree, ktree.JITFile), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	o := &source.Opener{Processor: func() (source.Processor, error) { return emu.NewProcessor(2 << 30) }, Cache: compiler.CacheDir()}
	target, err := o.Open(h.tree)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := target.Emitter.(*source.JIT).Close(); err != nil {
			t.Error(err)
		}
	}()
	const batch = 100
	for from := 0; from < h.programs; from += batch {
		var all []*progen.Program
		for i := range batch {
			all = append(all, progen.Random(choices.New(11, uint64(from+i)), progen.Of(&target.Kernel)))
		}
		got, err := h.player.Play(context.Background(), all, target)
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range got {
			if v.Failed() {
				return fmt.Sprintf("%s, program %d: %s", v.Kind, from+i, v.Why)
			}
		}
	}
	return ""
}

// TestSourceInsnMutations edits what the C file of 6.12 emits for ALU, memory and jump instructions, wrongly and in one way
// at a time, and has random programs find it. Unedited, nothing is found.
func TestSourceInsnMutations(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	all := sourceMutations(t, "testdata/mutations/6.12-insns.txt")
	inSourceFolder(t, "6.12")
	h := &insnHunter{tree: "linux", player: lockstep.New(), programs: 400}
	if *allSourceEdits {
		h.programs = 3000
	}
	defer h.player.Close()
	b, err := os.ReadFile(filepath.Join(h.tree, ktree.JITFile))
	if err != nil {
		t.Fatal(err)
	}
	if what := h.judge(t, string(b)); what != "" {
		t.Fatalf("unedited: %s", what)
	}
	found := 0
	for i, m := range all {
		if !*allSourceEdits && i%9 != 0 {
			continue
		}
		t.Run(m.name, func(t *testing.T) {
			text, err := m.apply(string(b))
			if err != nil {
				t.Fatal(err)
			}
			switch what := h.judge(t, text); {
			case what == "" && m.survives == "":
				t.Error("nothing finds it")
			case what != "" && m.survives != "":
				t.Errorf("found by %s, although %s", what, m.survives)
			case what != "":
				found++
				t.Logf("found by %s", what)
			}
		})
	}
	t.Logf("%d of %d found", found, len(all))
}
