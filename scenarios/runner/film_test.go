// SPDX-License-Identifier: GPL-2.0-only

package runner_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tcsim/tcsim/emu/stack"
	"github.com/tcsim/tcsim/jit/x86"
	"github.com/tcsim/tcsim/scenarios/files"
	"github.com/tcsim/tcsim/scenarios/runner"
	"github.com/tcsim/tcsim/scenarios/runner/runnertest"
)

// TestFilm stops at each event of each run of the library: where the event says, with its registers and
// with the stack that Stack draws there.
func TestFilm(t *testing.T) {
	names := files.Builtin()
	if testing.Short() {
		names = []string{"hierarchy", "poke_one_site", "tramp_context", "exc_throw", "test_bpf"}
	}
	stills, broken := 0, 0
	for _, name := range names {
		for _, on := range []string{"6.1", "6.12", "pop-nop-push"} {
			b := runnertest.Build(t, name)
			c, err := runner.Compile(b, runnertest.Target(t, on))
			if err != nil {
				continue // not on this target
			}
			s := runnertest.Opened(t, c, runner.Options{})
			res := runnertest.Play(t, s)
			for n := range res.Runs {
				i, drawn := 0, drawings(t, s, n+1)
				run, err := s.Film(context.Background(), n+1, 1000, func(st runner.Still) error {
					stills++
					if st.Event == nil {
						broken++
						return nil
					}
					i++
					ev := st.Event
					if st.Layout == nil {
						t.Errorf("%s on %s: event %d: %s", name, on, i, st.Why)
					}
					if ev.No != uint64(i) || ev.RIP != st.RIP && ev.Kind.String() != "poke" {
						t.Errorf("%s on %s: still %d is of event %d at %#x, which is at %#x", name, on, i, ev.No, st.RIP, ev.RIP)
					}
					if ev.Kind.String() != "poke" && (uint64(ev.RSP) != st.Regs[x86.RSP] || uint64(ev.RAX) != st.Regs[x86.RAX]) {
						t.Errorf("%s on %s: event %d: rsp %#x, rax %#x, event says %#x, %#x", name, on, i, st.Regs[x86.RSP], st.Regs[x86.RAX], ev.RSP, ev.RAX)
					}
					if want, ok := drawn[ev.No]; !ok {
						return nil
					} else if d := cmp.Diff(want, st.Layout); d != "" {
						t.Errorf("%s on %s: event %d (-stack +film):\n%s", name, on, i, d)
					}
					return nil
				})
				if err != nil {
					t.Errorf("%s on %s: run %d: %v", name, on, n+1, err)
					continue
				}
				if i != len(run.Events) || len(run.Events) == 0 {
					t.Errorf("%s on %s: run %d: %d stills of %d events", name, on, n+1, i, len(run.Events))
				}
			}
			s.Close()
		}
	}
	if stills < 500 || broken == 0 {
		t.Errorf("%d stills, %d of violations", stills, broken)
	}
}

// drawings are those of Stack at some eight events of a run.
func drawings(t *testing.T, s *runner.Session, n int) map[uint64]*stack.Layout {
	t.Helper()
	out := map[uint64]*stack.Layout{}
	run, err := s.PlayTo(context.Background(), n)
	if err != nil {
		t.Fatal(err)
	}
	every := uint64(1 + len(run.Events)/8)
	for no := uint64(0); no < uint64(len(run.Events)); no += every {
		at, err := stack.ParseAt(fmt.Sprint(no + 1))
		if err != nil {
			t.Fatal(err)
		}
		d, err := s.Stack(context.Background(), n, at)
		if err != nil {
			out[no+1] = nil // rsp is elsewhere
			continue
		}
		out[no+1] = d[0].Layout
	}
	return out
}
