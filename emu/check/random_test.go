// SPDX-License-Identifier: GPL-2.0-only

package check_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/tcsim/tcsim/emu/check"
	"github.com/tcsim/tcsim/emu/record"
	"github.com/tcsim/tcsim/emu/stack"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/emu/trace/tracetest"
	"github.com/tcsim/tcsim/jit/image"
)

// Whatever stream comes, checking and drawing end with a verdict or an error: records missing, out
// of order, with registers that make no sense.
func TestAnyStream(t *testing.T) {
	g := tracetest.Graph{Design: tracetest.Hier, Calls: 2, Direct: true, Helper: true, Around: true}
	c, m, err := g.Record(options(full), 20000, nil)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		sites := slices.Clone(m.Sites[:rapid.IntRange(0, 60).Draw(t, "sites")])
		retired := slices.Clone(m.Retired[:rapid.IntRange(0, 800).Draw(t, "retired")])
		for range rapid.IntRange(0, 6).Draw(t, "changes") {
			sites, retired = damage(t, sites, retired)
		}
		ck := check.New(c, trace.Config{}, check.Config{})
		ck.Consume(trace.Batch{Retired: retired, Sites: sites})
		ck.Finish()
		if v := ck.Violation(); v != nil && v.Text == "" {
			t.Errorf("%s without a text", v.Invariant)
		}
		_ = trace.Text(c, ck.Recorder().Events())
		if len(sites) == 0 {
			return
		}
		last := sites[len(sites)-1]
		l, err := stack.Dump(stack.Input{
			Code: c, Mem: m.Mem, RIP: last.RIP, RSP: last.RSP, RBP: last.RBP, Acts: ck.Recorder().StackAt(last.RIP, last.RSP),
		})
		if (l == nil) == (err == nil) {
			t.Errorf("layout %v, error %v", l, err)
		}
		if err == nil {
			_ = l.Picture(stack.Options{})
		}
	})
}

// damage changes one record or removes it.
func damage(t *rapid.T, sites []record.Site, retired []record.Retired) ([]record.Site, []record.Retired) {
	value := func(name string, v image.Addr) image.Addr {
		near := rapid.SampledFrom([]uint64{0, 8, uint64(v) - 8, uint64(v) + 8, 1 << 63})
		return image.Addr(rapid.OneOf(near, rapid.Uint64()).Draw(t, name))
	}
	kind := rapid.IntRange(0, 6).Draw(t, "kind")
	if kind < 4 && len(sites) > 0 {
		i := rapid.IntRange(0, len(sites)-1).Draw(t, "site")
		s := &sites[i]
		switch kind {
		case 0:
			s.RSP = value("rsp", s.RSP)
		case 1:
			s.RBP = value("rbp", s.RBP)
		case 2:
			s.RIP = sites[rapid.IntRange(0, len(sites)-1).Draw(t, "other")].RIP
		case 3:
			sites = slices.Delete(sites, i, i+1)
		}
	}
	if kind >= 4 && len(retired) > 0 {
		i := rapid.IntRange(0, len(retired)-1).Draw(t, "instruction")
		switch kind {
		case 4:
			retired[i].EA = value("ea", retired[i].EA)
		case 5:
			retired[i].RIP = value("rip", retired[i].RIP)
		case 6:
			retired = slices.Delete(retired, i, i+1)
		}
	}
	return sites, retired
}
