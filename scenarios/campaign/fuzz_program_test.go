// SPDX-License-Identifier: GPL-2.0-only

package campaign_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/choices"
	"github.com/tcsim/tcsim/scenarios/progen"
)

// TestProgramFiles: the scenario file of a random program has the program's instructions.
func TestProgramFiles(t *testing.T) {
	can := progen.Of(&target(t, "7.3").Kernel)
	n, maps := 400, map[bpf.MapType]bool{}
	if testing.Short() {
		n = 40
	}
	for i := range n {
		p := progen.Random(choices.New(7, uint64(i)), can)
		text := p.Scenario("p", "random", 0)
		sc, err := scenarios.Load("p.yaml", []byte(text))
		if err != nil {
			t.Fatalf("program %d: %v\n%s", i, err, text)
		}
		b, err := scenarios.Build(sc)
		if err != nil {
			t.Fatalf("program %d: %v\n%s", i, err, text)
		}
		for _, m := range b.Maps {
			maps[m.Type] = true
		}
		have := b.Programs[0]
		for k := range have.Insns {
			if in := &have.Insns[k]; in.IsLdImm64() {
				in.Imm = p.BPF.Insns[k].Imm // numbers of maps, and of the functions after others
			}
		}
		if d := cmp.Diff(p.BPF.Insns, have.Insns); d != "" {
			t.Errorf("program %d (-want +got): %s\n%s", i, d, text)
		}
	}
	if !maps[bpf.ArenaMap] {
		t.Errorf("no arena among %v", maps)
	}
}
