// SPDX-License-Identifier: GPL-2.0-only

package runner_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/emu/stack"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/jit/x86"
	"github.com/tcsim/tcsim/scenarios/runner"
	"github.com/tcsim/tcsim/scenarios/runner/runnertest"
)

// hierarchyOn opens the small hierarchy.
func hierarchyOn(t *testing.T, target string, opt runner.Options) *runner.Session {
	t.Helper()
	b := runnertest.Build(t, "hierarchy_limit_4")
	return runnertest.Opened(t, runnertest.Compiled(t, b, runnertest.Target(t, target)), opt)
}

// drawn is the one drawing at a moment.
func drawn(t *testing.T, s *runner.Session, at string) *stack.Layout {
	t.Helper()
	m, err := stack.ParseAt(at)
	if err != nil || m.String() != at {
		t.Fatalf("%s: %v, %v", at, m, err)
	}
	d, err := s.Stack(context.Background(), 1, m)
	if err != nil || len(d) != 1 {
		t.Fatalf("%s: %v", at, err)
	}
	return d[0].Layout
}

// TestMoments comes to the same place by an event, an instruction number and an offset.
func TestMoments(t *testing.T) {
	s := hierarchyOn(t, "6.1", runner.Options{})
	run, err := s.PlayTo(context.Background(), 1)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, e := range append([]trace.Event(nil), run.Events...) {
		if e.Kind != trace.KindTailCall {
			continue
		}
		n++
		off := int(e.RIP - e.Fn.Addr)
		byEvent := drawn(t, s, num("", e.No))
		for _, at := range []string{num("insn:", e.Seq+1), e.Fn.String() + offset(off, n)} {
			if l := drawn(t, s, at); l.RIP != byEvent.RIP || l.RSP != byEvent.RSP || len(l.Slots) != len(byEvent.Slots) {
				t.Errorf("%s: at %v, rsp %v; event %d is at %v, rsp %v", at, l.RIP, l.RSP, e.No, byEvent.RIP, byEvent.RSP)
			}
		}
		after := drawn(t, s, num("after:", e.No))
		if target := e.Target.Addr + x86.Addr(e.Target.Frame.Landing); uint64(after.RIP) != uint64(target) {
			t.Errorf("after event %d: at %v, want %#x", e.No, after.RIP, uint64(target))
		}
		if n == 3 {
			break
		}
	}
	for at, want := range map[string]string{
		"sub+0x1": "no instruction begins there", "sub+0x1000": "has 60 bytes", "nonesuch+0x0": "there are entry, sub",
		"sub+0x32:1000": "is not there", "insn:999999": "instructions",
	} {
		m, err := stack.ParseAt(at)
		if err == nil {
			_, err = s.Stack(context.Background(), 1, m)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", at, err, want)
		}
	}
	for _, at := range []string{"sub+0xzz", "+0x4", "after:each:call", "after:after:3", "insn:0", "sub+0x4:0", "insn:x"} {
		if _, err := stack.ParseAt(at); err == nil {
			t.Errorf("%s: taken", at)
		}
	}
}

func num(prefix string, n uint64) string { return fmt.Sprint(prefix, n) }

func offset(off, times int) string {
	if times > 1 {
		return fmt.Sprintf("+%#x:%d", off, times)
	}
	return fmt.Sprintf("+%#x", off)
}

// TestRegisters gives events the registers that the trace knows of, and the argument in rdi.
func TestRegisters(t *testing.T) {
	s := hierarchyOn(t, "6.12", runner.Options{})
	run, err := s.PlayTo(context.Background(), 1)
	if err != nil {
		t.Fatal(err)
	}
	events := append([]trace.Event(nil), run.Events...)
	if err := s.AddRegisters(context.Background(), 1, events); err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		if e.Regs == nil || e.Regs[x86.RSP] != uint64(e.RSP) || e.Regs[x86.RBP] != uint64(e.RBP) || e.Regs[x86.RAX] != uint64(e.RAX) {
			t.Fatalf("event %d: %+v", e.No, e)
		}
		if e.Kind == trace.KindCall && e.Regs[x86.RDI] != e.Regs[x86.RBX] {
			t.Errorf("event %d: rdi %#x, the context in rbx %#x", e.No, e.Regs[x86.RDI], e.Regs[x86.RBX])
		}
	}
}

// TestKeepGoing goes on to the end of a run that breaks the limit, and counts what else breaks.
func TestKeepGoing(t *testing.T) {
	run, err := hierarchyOn(t, "6.1", runner.Options{KeepGoing: true}).PlayTo(context.Background(), 1)
	if err != nil {
		t.Fatal(err)
	}
	more := uint64(0)
	for _, m := range run.More {
		more += m.Times
	}
	if run.Violation == nil || run.Counts.Taken != 30 || run.Return != 1 || more != 30-4-1 {
		t.Errorf("taken %d, return %d, %v and %d more", run.Counts.Taken, run.Return, run.Violation, more)
	}
	stopped, err := hierarchyOn(t, "6.1", runner.Options{}).PlayTo(context.Background(), 1)
	if err != nil || stopped.Counts.Taken != 5 || len(stopped.More) != 0 {
		t.Errorf("without: %v, taken %d, %v", err, stopped.Counts.Taken, stopped.More)
	}
	good, err := hierarchyOn(t, "6.12", runner.Options{KeepGoing: true}).PlayTo(context.Background(), 1)
	if err != nil || good.Violation != nil || len(good.More) != 0 {
		t.Errorf("6.12: %v, %v", err, good.Violation)
	}
}

// TestStale finds below rsp what the last call left: its return address and the counter that it had.
func TestStale(t *testing.T) {
	s := hierarchyOn(t, "6.1", runner.Options{Stale: true})
	run, err := s.PlayTo(context.Background(), 1)
	if err != nil {
		t.Fatal(err)
	}
	at := uint64(0)
	returned := false
	for _, e := range run.Events {
		if returned = returned || e.Kind == trace.KindReturn; returned && e.Kind == trace.KindCall {
			at = e.No
			break
		}
	}
	l := drawn(t, s, num("", at))
	if len(l.Stale) < 3 || l.Stale[0].Label != "rip" || !strings.Contains(l.Stale[0].Owner, "has returned") || l.Stale[0].Addr >= l.RSP {
		t.Fatalf("event %d: %+v", at, l.Stale)
	}
	found := false
	for _, x := range l.Stale {
		found = found || x.Count != nil && *x.Count == 4
	}
	if !found || !strings.Contains(l.Picture(stack.Options{}), "left by sub #") {
		t.Errorf("no counter of the last call in\n%s", l.Picture(stack.Options{}))
	}
	if l := drawn(t, hierarchyOn(t, "6.1", runner.Options{}), num("", at)); len(l.Stale) != 0 {
		t.Errorf("not asked for: %+v", l.Stale)
	}
}
