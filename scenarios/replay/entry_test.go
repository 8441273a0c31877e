// SPDX-License-Identifier: GPL-2.0-only

package replay_test

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/fixtures"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/scenarios/replay"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// replayWrong replays the scenario of a capture with a number and wants one of its mistakes to say so.
func replayWrong(t *testing.T, src *capture.Source, n int, change func(c replay.Captured), want string) {
	t.Helper()
	target, err := replay.TargetOf(src)
	must(t, err)
	c, err := replay.Capture(src, target, n)
	must(t, err)
	if change != nil {
		change(c)
	}
	rp, err := replay.New(runner.Options{})
	must(t, err)
	defer rp.Close()
	r, err := rp.Run(context.Background(), c)
	must(t, err)
	if !slices.ContainsFunc(r.Wrong, func(w string) bool { return strings.Contains(w, want) }) {
		t.Errorf("%q, want %q", r.Wrong, want)
	}
}

// TestReplayFlags: a program that returns to the kernel with the direction flag set.
func TestReplayFlags(t *testing.T) {
	src, err := capture.OpenFS(os.DirFS("testdata"), "flag-std.jsonl.gz", "flag-std")
	must(t, err)
	replayWrong(t, src, 0, nil, "the direction flag is set")
}

// TestReplayMiddle: a call that goes past the first instruction of a function.
func TestReplayMiddle(t *testing.T) {
	const name = "kernels/6.12-off.jsonl.gz"
	src, err := capture.OpenFS(fixtures.FS, name, name)
	must(t, err)
	picked, err := replay.Select(src, "hier/self/const/n2/r6")
	must(t, err)
	replayWrong(t, src, picked[0], func(c replay.Captured) {
		for _, img := range c.Known().Images {
			for f := range img.Funcs {
				for i := range img.Funcs[f].Calls {
					s := &img.Funcs[f].Calls[i]
					if s.Func > 0 {
						code := slices.Clone(img.Funcs[f].Code)
						code[s.Off+1] += 5
						img.Funcs[f].Code = code
						s.Target += 5
						return
					}
				}
			}
		}
		t.Fatal("no call of a subprogram")
	}, "the call goes into the middle of sub, to +0x5; it begins at +0x0")
}

// TestReplayUncounted: a counter that is not set to 0 refuses tail calls that an empty slot would refuse.
func TestReplayUncounted(t *testing.T) {
	src, err := capture.OpenFS(os.DirFS("testdata"), "noinit-6.1.jsonl.gz", "noinit-6.1")
	must(t, err)
	replayWrong(t, src, 0, nil, "limit: the limit of 33 refuses a tail call, and 0 were tried before")
}
