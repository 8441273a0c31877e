// SPDX-License-Identifier: GPL-2.0-only

package replay_test

import (
	"context"
	"io/fs"
	"path"
	"testing"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/fixtures"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/scenarios/replay"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// TestReplayNewer runs what newer kernels know (exceptions, may_goto, private stacks, arenas, guarded
// loads) with the kernels' own bytes, at both recording levels.
func TestReplayNewer(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	names, err := fs.Glob(fixtures.FS, "kernels/extra-*-off.jsonl.gz")
	if err != nil || len(names) != 6 {
		t.Fatalf("%d captures: %v", len(names), err)
	}
	for level, r := range map[string]emu.Level{"sites": emu.LevelSites, "retired": emu.LevelRetired} {
		r, err := replay.New(runner.Options{Level: r})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		for _, name := range names {
			src, err := capture.OpenFS(fixtures.FS, name, path.Base(name))
			if err != nil {
				t.Fatal(err)
			}
			tg, err := jit.TargetFor(src.Header.Kernel)
			if err != nil {
				t.Fatal(err)
			}
			ran, faults, throws := 0, 0, 0
			for _, category := range []string{"exc/*", "misc/*"} {
				picked, err := replay.Select(src, category)
				if err != nil {
					continue // older kernels have no exceptions
				}
				for _, i := range picked {
					runs := capturedRuns(t, src, tg, i)
					for _, c := range runs {
						res, err := r.Run(context.Background(), c)
						if err != nil {
							t.Fatal(err)
						}
						ran++
						for _, w := range res.Wrong {
							t.Errorf("%s: %s at level %s, traced %t: %s", path.Base(name), res.Scenario, level, res.Traced, w)
						}
						for j := range res.Events {
							if e := &res.Events[j]; e.Kind == trace.KindHelper && e.Name == "bpf_throw" {
								throws++
							}
						}
					}
					for _, img := range runs[0].Known().Images {
						for f := range img.Funcs {
							faults += len(img.Funcs[f].Faults)
						}
					}
				}
			}
			t.Logf("%s at level %s: %d runs, %d exceptions, %d instructions that may fault", path.Base(name), level, ran, throws, faults)
			if ran < 30 || faults < 16 || tg.Emit.ISA&kernels.ISAExceptions != 0 && throws < 11 {
				t.Errorf("%s: %d runs, %d exceptions, %d instructions that may fault", path.Base(name), ran, throws, faults)
			}
		}
	}
}
