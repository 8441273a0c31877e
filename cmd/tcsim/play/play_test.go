// SPDX-License-Identifier: GPL-2.0-only

package play_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tcsim/tcsim/cmd/tcsim/play"
	"github.com/tcsim/tcsim/cmd/tcsim/render"
	"github.com/tcsim/tcsim/emu/timing"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/runner/runnertest"
)

func options(t *testing.T) play.Options {
	t.Helper()
	core, err := timing.CoreNamed("")
	if err != nil {
		t.Fatal(err)
	}
	return play.Options{Core: core}
}

// TestAll compares what is played together with what is played alone.
func TestAll(t *testing.T) {
	var bs []*scenarios.Built
	for _, name := range []string{"hierarchy", "chain33", "bug_reinsert", "private_stack"} {
		bs = append(bs, runnertest.Build(t, name))
	}
	var ts []*jit.Target
	for _, name := range []string{"6.1", "6.12", "7.3", "fp-r12"} {
		ts = append(ts, runnertest.Target(t, name))
	}
	got, err := play.All(context.Background(), bs, ts, options(t))
	if err != nil {
		t.Fatal(err)
	}
	var want []render.RunRow
	for _, b := range bs {
		for _, tg := range ts {
			rows, err := play.All(context.Background(), []*scenarios.Built{b}, []*jit.Target{tg}, options(t))
			if err != nil || len(rows) != 1 {
				t.Fatal(rows, err)
			}
			want = append(want, rows[0])
		}
	}
	if d := cmp.Diff(render.RunText(want), render.RunText(got)); d != "" {
		t.Errorf("alone (-) and together (+) differ:\n%s", d)
	}
}

// TestPanic checks that a panic reaches the caller, with the stack of where it was.
func TestPanic(t *testing.T) {
	defer func() {
		c, ok := recover().(interface {
			error
			Stack() []byte
		})
		if !ok || !strings.Contains(c.Error(), "hierarchy on 6.12: broken") || !strings.Contains(string(c.Stack()), "TestPanic") {
			t.Errorf("recovered %v", c)
		}
	}()
	broken := runnertest.Edited(runnertest.Target(t, "6.12"), func(*image.FuncImage, int) { panic("broken") })
	rows, err := play.All(context.Background(), []*scenarios.Built{runnertest.Build(t, "hierarchy")}, []*jit.Target{broken}, options(t))
	t.Errorf("rows %v, error %v", rows, err)
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	b := runnertest.Build(t, "hierarchy")
	rows, err := play.All(ctx, []*scenarios.Built{b, b, b}, []*jit.Target{runnertest.Target(t, "6.12")}, options(t))
	if len(rows) != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("rows %v, error %v", rows, err)
	}
}
