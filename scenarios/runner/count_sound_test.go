// SPDX-License-Identifier: GPL-2.0-only

package runner

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/count"
	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/emu/record"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/design"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/files"
	"github.com/tcsim/tcsim/scenarios/measure"
)

var graphs = flag.Int("graphs", 0, "number of random graphs that counts are compared on, instead of the usual one")

// ci reports whether there is time for everything.
func ci() bool { return os.Getenv("CI") != "" }

// plainBudget is how many instructions plain emulation may take. What takes more is counted only.
const plainBudget = 400_000

// ending is everything that a run leaves behind.
type ending struct {
	Regs    emu.Regs
	Memory  map[string]string
	Taken   uint64
	Refused [3]uint64
	Calls   uint64
	Helpers uint64
	Insns   uint64
	Fault   bool
}

// recorder counts sites, and goes on whatever they are.
type recorder struct{ *trace.Recorder }

func (r recorder) Retired([]record.Retired) bool { return false }

func (r recorder) Sites(b []record.Site) bool { return r.Consume(trace.Batch{Sites: b}) }

// plain executes a run instruction by instruction; ok is false if it takes too many of them.
func plain(t testing.TB, s *Session, run int) (e ending, ok bool) {
	t.Helper()
	r := prepare(t, s, run)
	rec := recorder{trace.NewRecorder(s.m.Code, trace.Config{Keep: -1, MaxEvents: 1 << 40})}
	r.Level, r.Observer, r.MaxInsns = emu.LevelSites, rec, plainBudget
	res, err := s.m.Run(context.Background(), r)
	var f *emu.Fault
	if err != nil && !errors.As(err, &f) {
		t.Fatal(err)
	}
	rec.Finish()
	c := rec.Counts()
	e = ending{Regs: res.Regs, Memory: snapshot(t, s.m), Taken: c.Taken, Calls: c.Calls, Helpers: c.Helpers, Insns: res.Retired, Fault: f != nil}
	e.Refused = [3]uint64{c.Refused[trace.ReasonLimit], c.Refused[trace.ReasonBounds], c.Refused[trace.ReasonEmpty]}
	return e, res.Stop != emu.StopInsns
}

// counted counts the same run.
func counted(t testing.TB, s *Session, run int, o measure.CountOptions) (ending, *Counted, error) {
	t.Helper()
	c, err := s.count(context.Background(), run, o)
	if err != nil || c.Endless != nil {
		return ending{}, c, err
	}
	return ending{
		Regs: c.Final.R, Memory: snapshot(t, s.m), Taken: c.TailCalls.Uint64(), Calls: c.Calls.Uint64(),
		Helpers: c.Helpers.Uint64(), Insns: c.Insns.Uint64(), Fault: c.Fault != nil,
		Refused: [3]uint64{c.RefusedLimit.Uint64(), c.RefusedBounds.Uint64(), c.RefusedEmpty.Uint64()},
	}, c, nil
}

func prepare(t testing.TB, s *Session, run int) emu.Run {
	t.Helper()
	r, err := s.Before(context.Background(), run)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// snapshot reads all memory that a program can change.
func snapshot(t testing.TB, m *Machine) map[string]string {
	t.Helper()
	out := map[string]string{}
	read := func(name string, at image.Addr, n int) {
		b := make([]byte, n)
		if err := m.ReadMemory(at, b); err != nil {
			t.Fatal(err)
		}
		out[name] = string(b)
	}
	read("stack", guest.StackTop-16<<10, 16<<10)
	for i := range m.setup.Maps {
		for k, r := range m.MapMemory(i) {
			read(fmt.Sprintf("map %d.%d", i, k), r.Addr, int(r.Size))
		}
	}
	for i, r := range m.setup.Data {
		read(fmt.Sprintf("data %d", i), r.Addr, len(r.Bytes))
	}
	return out
}

// diff compares two endings. At a fault the engine's registers may be those before or after, and the
// recorder has counted the call that faulted.
func diff(want, got ending) string {
	if want.Fault {
		want.Regs, got.Regs = emu.Regs{}, emu.Regs{}
		want.Calls, got.Calls = 0, 0
		want.Helpers, got.Helpers = 0, 0
	}
	out := ""
	for _, name := range slices.Sorted(maps.Keys(want.Memory)) {
		a, b := want.Memory[name], got.Memory[name]
		for i := 0; a != b && i < len(a); i++ {
			if a[i] != b[i] {
				out += fmt.Sprintf("%s differs first at %#x: % x, counted % x\n", name, i, a[i:min(i+8, len(a))], b[i:min(i+8, len(b))])
				break
			}
		}
	}
	want.Memory, got.Memory = nil, nil
	return cmp.Diff(want, got) + out
}

// soundTargets are the targets of the comparisons: one of every design, and all that there are if
// all is true.
func soundTargets(all bool) []*jit.Target {
	var out []*jit.Target
	seen := map[design.ID]bool{}
	for _, n := range jit.TargetNames() {
		t, err := jit.TargetByName(n)
		if err != nil {
			panic("BUG: " + err.Error())
		}
		if all || !seen[t.Design] {
			out = append(out, t)
		}
		seen[t.Design] = true
	}
	return out
}

// untestable reports whether a target lacks what a program needs, or calls a kernel function that
// the machine does not have.
func untestable(err error) bool {
	return errors.Is(err, kernels.ErrUnsupported) || err != nil && strings.Contains(err.Error(), "is not modelled")
}

func limited(t *jit.Target, limit uint32) *jit.Target {
	l := *t
	l.Limit = limit
	return &l
}

// TestCountEqualsPlainLibrary compares counts with plain emulation on the whole scenario library.
func TestCountEqualsPlainLibrary(t *testing.T) {
	t.Parallel()
	var tr tried
	var s *Session
	turn := 0 // all limits come, but not all with each target
	for n, name := range files.Builtin() {
		if testing.Short() && n%27 != 0 {
			continue
		}
		b := library(t, name)
		if slices.ContainsFunc(b.Programs, func(p bpf.Program) bool { return slices.Contains(p.Kfuncs, "bpf_throw") }) {
			continue // refused, see TestExceptionsNotCounted
		}
		if slices.ContainsFunc(b.Maps, func(m bpf.Map) bool { return m.Type == bpf.ArenaMap }) {
			continue // refused too
		}
		if slices.ContainsFunc(b.Actions, func(a scenarios.Action) bool { return a.Interrupt != nil }) {
			continue // refused too
		}
		for _, target := range soundTargets(ci()) {
			turn++
			for limit := uint32(1); limit <= 12; limit++ {
				if (int(limit)+turn)%4 != 0 || testing.Short() && limit > 4 {
					continue
				}
				free := *b
				sc := *b.Scenario
				sc.Limit = 0
				free.Scenario = &sc
				c, err := Compile(&free, limited(target, limit))
				if untestable(err) {
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				s = reopen(t, s, c)
				for n := 1; n <= runs(b); n++ {
					tr.same(t, s, n, measure.CountOptions{})
				}
			}
		}
	}
	tr.enough(t)
	s.Close()
}

func runs(b *scenarios.Built) int {
	n := 0
	for i := range b.Actions {
		if b.Actions[i].Kind == scenarios.ActRun {
			n++
		}
	}
	return n
}

func reopen(t testing.TB, s *Session, c *Compiled) *Session {
	t.Helper()
	var err error
	if s == nil {
		s, err = Open(c, Options{})
	} else {
		s, err = s.OpenNext(c, Options{})
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func library(t testing.TB, name string) *scenarios.Built {
	t.Helper()
	n, src, err := files.Find(name)
	if err != nil {
		t.Fatal(err)
	}
	sc, err := scenarios.Load(n, src)
	if err != nil {
		t.Fatal(err)
	}
	b, err := scenarios.Build(sc)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// same fails the test if a count differs from plain emulation.
func (tr *tried) same(t testing.TB, s *Session, run int, o measure.CountOptions) {
	t.Helper()
	if d := tr.compare(t, s, run, o); d != "" {
		t.Errorf("%s: counted (+) is not as executed (-):\n%s", where(s, run), d)
	}
}

// tried says what comparisons came to.
type tried struct {
	Equal     int // compared and equal
	Long      int // plain emulation took too long
	Endless   int // and the count has a proof that it never ends
	Undecided int
	Lacking   int // the target cannot run it
	Hits      uint64
	Tails     uint64 // of those compared
	why       map[string]int
}

// compare returns how a count differs from plain emulation.
func (tr *tried) compare(t testing.TB, s *Session, run int, o measure.CountOptions) string {
	t.Helper()
	var early *NotReached
	if _, err := s.Before(context.Background(), run); errors.As(err, &early) {
		tr.Lacking++
		return ""
	}
	want, ended := plain(t, s, run)
	got, c, err := counted(t, s, run, o)
	switch {
	case errors.Is(err, count.ErrUndecided):
		tr.Undecided++
		if tr.why == nil {
			tr.why = map[string]int{}
		}
		tr.why[s.c.Target.Name+": "+err.Error()]++
		return ""
	case err != nil:
		t.Fatalf("%s: %v", where(s, run), err)
	case c.Endless != nil && ended:
		return fmt.Sprintf("called endless, but it ends: %+v", c.Endless)
	case c.Endless != nil:
		tr.Endless++
		return ""
	case !ended:
		tr.Long++
		return ""
	}
	tr.Hits += c.Hits
	tr.Tails += got.Taken
	tr.Equal++
	return diff(want, got)
}

// enough fails the test if too little was compared to mean anything.
func (tr *tried) enough(t testing.TB) {
	t.Helper()
	t.Logf("%+v", *tr)
	if tr.Equal < 20*(tr.Long+tr.Undecided) || tr.Hits == 0 || tr.Tails == 0 {
		t.Errorf("too little was compared: %+v", *tr)
	}
}

func where(s *Session, run int) string {
	return fmt.Sprintf("%s on %s, limit %d, run %d", s.c.Built.Scenario.Name, s.c.Target.Name, s.c.Target.Limit, run)
}

// TestCountEqualsPlainGraphs compares counts with plain emulation on random graphs.
func TestCountEqualsPlainGraphs(t *testing.T) {
	t.Parallel()
	n := 2000
	switch {
	case *graphs != 0:
		n = *graphs
	case testing.Short():
		n = 60
	case ci():
		n = 8_000
	}
	targets := soundTargets(true)
	var s *Session
	var tr tried
	for i := 0; tr.Equal < n && !t.Failed(); i++ {
		target := limited(targets[i%len(targets)], uint32(1+i/len(targets)%12))
		c, err := Compile(randomGraph(uint64(i)), target)
		if untestable(err) {
			tr.Lacking++
			continue
		}
		if err != nil {
			t.Fatalf("graph %d: %v", i, err)
		}
		s = reopen(t, s, c)
		tr.same(t, s, 1, measure.CountOptions{WatchAfter: []uint64{0, 1, 2, 5}[i%4]})
		if i%20 == 0 {
			tr.same(t, s, 1, measure.CountOptions{NoReuse: true, MaxSteps: plainBudget})
		}
	}
	tr.enough(t)
	s.Close()
}

// TestCountUnsoundIsCaught forgets preconditions and expects the comparison to notice.
func TestCountUnsoundIsCaught(t *testing.T) {
	for _, c := range []struct{ target, forgotten string }{
		{"6.1", "rax"},   // the counter by value
		{"6.1", "[0x"},   // map values
		{"6.12", "[rsp"}, // the counter that a pointer leads to
	} {
		target, err := jit.TargetByName(c.target)
		if err != nil {
			t.Fatal(err)
		}
		var s *Session
		var tr tried
		caught := false
		for i := 0; i < 500 && !caught; i++ {
			image, err := Compile(randomGraph(uint64(i)), limited(target, uint32(2+i%4)))
			if err != nil {
				t.Fatal(err)
			}
			s = reopen(t, s, image)
			caught = tr.compare(t, s, 1, measure.CountOptions{DropPin: func(l string) bool { return strings.HasPrefix(l, c.forgotten) }}) != ""
		}
		if !caught {
			t.Errorf("%s: forgetting what %s holds is not noticed: %+v", c.target, c.forgotten, tr)
		}
		s.Close()
	}
}
