// SPDX-License-Identifier: GPL-2.0-only

//go:build cgo

package locate_test

import (
	"context"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/fixtures/golden"
	"github.com/tcsim/tcsim/jit/design"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/splat"
	"github.com/tcsim/tcsim/jit/x86"
	"github.com/tcsim/tcsim/scenarios/locate"
	"github.com/tcsim/tcsim/scenarios/measure"
	"github.com/tcsim/tcsim/scenarios/runner"
	"github.com/tcsim/tcsim/scenarios/runner/runnertest"
)

const header = "version: 1\nname: x\nlimit: LIMIT\nmaps: {m: {type: prog_array, slots: {0: entry}}}\nprograms:\n  entry:"

// programs are what the processors of TestRoundTrip run: the limit is filled in.
var programs = map[string]string{
	"hierarchy": header + `
    steps: [call: sub, call: sub, return: 1]
    functions: {sub: [tail_call: m, return: 0]}
runs: [{run: entry, packet: 64}]
`,
	"indirect": header + ` |
    r6 = r1
    r2 = m ll
    call sub
    r1 = r6
    r2 = m ll
    call sub
    r0 = 1
    exit
    sub:
    r3 = 0
    call bpf_tail_call
    r0 = 0
    exit
runs: [{run: entry, packet: 64}]
`,
	"alone": header + ` |
    r6 = r1
    *(u64 *)(r10 - 8) = r1
    r2 = m ll
    r3 = *(u32 *)(r1 + 8)
    call bpf_tail_call
    r0 = 1
    exit
runs: [{run: entry, packet: 64}]
`,
}

// TestRoundTrip stops emulated processors of every design inside tail calls, prints them as kernels do, and expects to
// read back where they were: functions, step, counter, and, where designs count alike, which tail call it was.
func TestRoundTrip(t *testing.T) {
	done := map[design.ID]int{}
	tried := 0
	for _, tg := range runnertest.AllTargets(t) {
		if done[tg.Design] > 0 && tg.Version == (kernels.Version{}) || testing.Short() && done[tg.Design] > 0 {
			continue
		}
		for name, text := range programs {
			for _, limit := range []string{"5", "33"} {
				if testing.Short() && (limit == "33") != (name == "alone") {
					continue
				}
				b := runnertest.BuildText(t, name+".yaml", []byte(strings.Replace(text, "LIMIT", limit, 1)))
				c, err := runner.Compile(b, tg)
				if errors.Is(err, kernels.ErrUnsupported) {
					continue
				}
				if err != nil {
					t.Fatalf("%s on %s: %v", name, tg.Name, err)
				}
				n := roundTrips(t, name+" on "+tg.Name, c, tried)
				tried += n
				done[tg.Design] += n
			}
		}
	}
	for _, d := range design.All() {
		if done[d] < 4 {
			t.Errorf("%s: %d moments were read back", d, done[d])
		}
	}
	t.Logf("%d moments", tried)
}

// roundTrips stops one scenario at several moments and returns at how many.
func roundTrips(t *testing.T, where string, c *runner.Compiled, turn int) (n int) {
	t.Helper()
	s, err := runner.Open(c, runner.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	run, err := s.PlayTo(context.Background(), 1)
	if err != nil {
		t.Fatal(err)
	}
	events := slices.Clone(run.Events)
	var tails []int
	for i := range events {
		if events[i].Kind == trace.KindTailCall {
			tails = append(tails, i)
		}
	}
	for k, i := range tails {
		if k > 1 && k < len(tails)-1 {
			continue
		}
		for back := uint64(0); back < 12 && (i == 0 || events[i-1].Seq < events[i].Seq-back); back++ {
			if testing.Short() && (uint64(turn)+back)%3 != 0 {
				continue
			}
			if roundTrip(t, where, s, events, i, back, turn+n) {
				n++
			}
		}
	}
	return n
}

// roundTrip stops so many instructions before the jump of a tail call. It reports false if that is not in the call.
func roundTrip(t *testing.T, where string, s *runner.Session, events []trace.Event, i int, back uint64, turn int) bool {
	t.Helper()
	e := &events[i]
	snap := stop(t, s, e.Seq-back)
	off := image.CodeOff(snap.res.RIP - e.Fn.Addr)
	if off < e.Tail.Start || off > e.Tail.Jump {
		return false
	}
	snap.head = "watchdog: BUG: soft lockup - CPU#3 stuck for 26s! [test_progs:4711]"
	dress := dressings[turn%len(dressings)]
	text := dress.do(snap.report(dress.old))
	log, err := splat.Read(text)
	if err != nil || len(log.Reports) != 1 {
		t.Fatalf("%s: %v, %+v\n%s", where, err, log, text)
	}
	a := splat.Analyse(&log.Reports[0])
	r := reader{t, where + ", " + dress.name, text, a, turn}
	r.place(snap)
	r.tailCall(s, e, off)
	r.position(s, events, i)
	return true
}

// stop runs up to an instruction.
func stop(t *testing.T, s *runner.Session, seq uint64) *snapshot {
	t.Helper()
	r, err := s.Before(context.Background(), 1)
	if err != nil {
		t.Fatal(err)
	}
	m := s.Machine()
	r.Level, r.Observer, r.StopSeq = emu.LevelRetired, m.Watch(), seq
	res, err := m.Run(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	return &snapshot{m: m, res: res, acts: m.Recorder().StackAt(res.RIP, image.Addr(res.Regs[x86.RSP]))}
}

// reader compares what was read with what was.
type reader struct {
	t     *testing.T
	where string
	text  string
	a     *splat.Analysis
	turn  int
}

func (r *reader) errorf(format string, args ...any) {
	r.t.Helper()
	r.t.Errorf(r.where+": "+format+"\n%s", append(args, r.text)...)
}

// place compares RIP, registers and the call trace.
func (r *reader) place(s *snapshot) {
	r.t.Helper()
	c := r.a.Ctx
	if c == nil || !r.a.Inside || c.RIP.String() != s.symbol(s.res.RIP) {
		r.t.Fatalf("%s: context %+v, want RIP in %s\n%s", r.where, c, s.symbol(s.res.RIP), r.text)
	}
	for i, v := range s.res.Regs {
		if got, ok := c.Regs.Get(x86.Reg(i)); !ok || got != v {
			r.errorf("%v = %#x, want %#x", x86.Reg(i), got, v)
		}
	}
	returns := s.returns()
	if len(r.a.Frames) != len(returns)-1 {
		r.errorf("%d frames, want %d", len(r.a.Frames), len(returns)-1)
		return
	}
	for i := range r.a.Frames {
		if got, want := r.a.Frames[i].String(), s.symbol(returns[len(returns)-2-i]); got != want {
			r.errorf("frame %d: %s, want %s", i, got, want)
		}
	}
	if r.a.Outer.Func != "bpf_test_run" || r.a.Report.Stuck != 26 || r.a.Report.CPU != 3 || r.a.Report.Kernel != "6.6.0-rc7-00042-gabcdef" {
		r.errorf("outside: %+v, %+v", r.a.Outer, r.a.Report)
	}
}

// tailCall compares the site, the design and the counter.
func (r *reader) tailCall(s *runner.Session, e *trace.Event, off image.CodeOff) {
	r.t.Helper()
	a, target := r.a, s.Compiled().Target
	if a.Code == nil || a.Site == nil {
		r.errorf("%+#x is not found to be in the tail call at %+#x", int(off), int(e.Tail.Start))
		return
	}
	if a.Seen.Limit >= 0 && !a.Seen.Called && splat.LimitOf(a.Seen) != target.Limit {
		r.errorf("limit %d, want %d", splat.LimitOf(a.Seen), target.Limit)
	}
	if a.Designs != 0 && !a.Designs.Has(target.Design) && !slices.Contains(a.Proposals, target.Design.String()) && !slices.Contains(a.Proposals, target.Name) {
		r.errorf("designs %v, proposals %v", a.Designs, a.Proposals)
	}
	if a.Counter.Known {
		want := e.Counter
		if e.Tail.Bump >= 0 && off <= e.Tail.Bump && !a.Counter.Counted {
			want--
		}
		if a.Counter.Value != want {
			r.errorf("counter %d (%s), want %d; event %+v", a.Counter.Value, a.Counter.Where, want, e)
		}
	}
}

// position compares which tail call it is, by the log alone and with the scenario.
func (r *reader) position(s *runner.Session, events []trace.Event, i int) {
	r.t.Helper()
	made := big.NewInt(0)
	for k := range events[:i] {
		if events[k].Kind == trace.KindTailCall {
			made.Add(made, big.NewInt(1))
		}
	}
	now := new(big.Int).Add(made, big.NewInt(1))
	if p := r.a.Position; p != nil && s.Compiled().Target.Version != (kernels.Version{}) {
		want := now
		if !p.Inside {
			want = made
		}
		if p.No.Cmp(want) != 0 {
			r.errorf("tail call %v of %v by the log, want %v", p.No, p.Total, want)
		}
	}
	if r.turn%8 != 0 && testing.Short() {
		return
	}
	f, err := locate.Find(context.Background(), s, 1, r.a, measure.CountOptions{Sample: 100}, 3)
	switch {
	case errors.Is(err, kernels.ErrUnsupported):
	case err != nil:
		r.errorf("%v", err)
	case f.Several && !r.a.Counter.Known && f.No.Cmp(now) <= 0: // the first of them
	case f.Inside && f.No.Cmp(now) != 0 || !f.Inside && f.No.Cmp(made) != 0:
		r.errorf("tail call %v (inside %t) by the scenario, want %v", f.No, f.Inside, now)
	}
}

// logs are reports of processors of ten kernels and designs, in the words of their time.
var logs = []struct {
	name, target, program string
	tail, back            int // stop so many instructions before the jump of this tail call, from 0
	dressing              int
	head                  string
}{
	{"soft-lockup-5.10", "5.10-retpoline", "indirect", 2, 3, 2, "BUG: soft lockup - CPU#3 stuck for 22s! [ping:4711]"},
	{"rcu-stall-6.1", "6.1", "hierarchy", 3, 2, 0, "rcu: INFO: rcu_sched self-detected stall on CPU"},
	{"nmi-6.12", "6.12", "indirect", 3, 5, 5, "NMI backtrace for cpu 3"},
	{"hard-lockup-7.2", "7.2-its", "hierarchy", 1, 1, 6, "watchdog: Watchdog detected hard LOCKUP on cpu 3"},
	{"page-fault-4.14", "fpshift-4.13", "alone", 4, 2, 3, "BUG: unable to handle kernel paging request at ffff888104000110"},
	{"oops-4.9", "classic-4.4", "alone", 6, 4, 2, "general protection fault: 0000 [#1] SMP"},
	{"stack-guard-5.4", "fp53", "alone", 3, 6, 4, "BUG: stack guard page was hit at ffffc90000203fd0 (stack is ffffc90000204000..ffffc90000207fff)"},
	{"panic-direct-poke", "direct-poke", "alone", 2, 1, 9, "Kernel panic - not syncing: softlockup: hung tasks"},
	{"quoted-rfc2", "hier-rfc2", "indirect", 4, 4, 1, "watchdog: BUG: soft lockup - CPU#3 stuck for 26s! [test_progs:4711]"},
	{"wrapped-percpu", "hier-percpu", "hierarchy", 2, 2, 7, "rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:"},
}

// TestLogs keeps what is read of these reports.
func TestLogs(t *testing.T) {
	for _, l := range logs {
		src := strings.Replace(programs[l.program], "LIMIT", "33", 1)
		s := runnertest.Opened(t, runnertest.Compiled(t, runnertest.BuildText(t, "x.yaml", []byte(src)), runnertest.Target(t, l.target)), runner.Options{})
		run, err := s.PlayTo(context.Background(), 1)
		if err != nil {
			t.Fatal(err)
		}
		var tails []uint64
		for i := range run.Events {
			if run.Events[i].Kind == trace.KindTailCall {
				tails = append(tails, run.Events[i].Seq)
			}
		}
		snap := stop(t, s, tails[l.tail]-uint64(l.back))
		snap.head = l.head
		d := dressings[l.dressing]
		text := d.do(snap.report(d.old))
		golden.Check(t, "testdata/"+l.name+".log", strings.ReplaceAll(text, "\r", ""))
		log, err := splat.Read(text)
		if err != nil || len(log.Reports) != 1 {
			t.Fatalf("%s: %v", l.name, err)
		}
		a := splat.Analyse(&log.Reports[0])
		var b strings.Builder
		f := a.Facts()
		if err := f.Write(&b); err != nil {
			t.Fatal(err)
		}
		if a.Site == nil {
			t.Errorf("%s: not in a tail call", l.name)
		}
		golden.Check(t, "testdata/"+l.name+".txt", b.String())
	}
}
