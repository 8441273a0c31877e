// SPDX-License-Identifier: GPL-2.0-only

package replay_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"testing"

	"github.com/tcsim/tcsim/fixtures"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/scenarios/replay"
	"github.com/tcsim/tcsim/scenarios/runner"
)

var soakCount = flag.Int("soak", 0, "how many replays TestSoak does in one process; 0 is 3,000")

// TestSoak replays scenarios of several kernels again and again in one machine: the memory of the process does not grow after
// its first quarter, of which the engine's caches have the most. Each scenario is prepared anew every 20 replays.
func TestSoak(t *testing.T) {
	if testing.Short() {
		t.Skip("replays for long")
	}
	n := *soakCount
	if n == 0 {
		n = 3000
	}
	rp, err := replay.New(runner.Options{MaxInsns: 1 << 18, MaxEvents: 1 << 14})
	if err != nil {
		t.Fatal(err)
	}
	defer rp.Close()
	var after, last uint64
	done := 0
	for round := 0; done < n; round++ {
		for _, name := range []string{"5.10-off", "6.1-off", "6.12-off", "7.2-off", "extra-6.12-off"} {
			file := "kernels/" + name + ".jsonl.gz"
			src, err := capture.OpenFS(fixtures.FS, file, file)
			if err != nil {
				t.Fatal(err)
			}
			target, err := replay.TargetOf(src)
			if err != nil {
				t.Fatal(err)
			}
			for i := 0; i < 10 && done < n; i++ {
				c, err := replay.Capture(src, target, (round*10+i)*7%src.Len())
				if err != nil {
					t.Fatal(err)
				}
				for range min(20, n-done) {
					if r, err := rp.Run(context.Background(), c); err != nil || r.Violation != nil || len(r.Wrong) > 0 {
						t.Fatalf("after %d: %s: %v, %+v", done, c.Known().Scenario.Name, err, r)
					}
					done++
				}
			}
		}
		debug.FreeOSMemory() // what is garbage is no growth
		if last = resident(t); after == 0 && done >= n/4 {
			after = last
			t.Logf("%d replays: %d KiB resident", done, after)
		}
	}
	t.Logf("%d replays: %d KiB resident", done, last)
	if last > after+after/10+16<<10 {
		t.Errorf("the process grew from %d KiB to %d KiB", after, last)
	}
}

// resident is how much memory the process has, in KiB.
func resident(t *testing.T) uint64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip(err)
	}
	var size, pages uint64
	if _, err := fmt.Sscan(string(text), &size, &pages); err != nil {
		t.Fatal(err)
	}
	return pages * uint64(os.Getpagesize()) / 1024
}
