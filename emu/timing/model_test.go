// SPDX-License-Identifier: GPL-2.0-only

package timing_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tcsim/tcsim/emu/record"
	"github.com/tcsim/tcsim/emu/timing"
	"github.com/tcsim/tcsim/emu/timing/measured"
	"github.com/tcsim/tcsim/emu/timing/timingtest"
	"github.com/tcsim/tcsim/jit/x86"
)

// text is code at an address.
func text(base x86.Addr, code ...byte) timing.Code {
	return func(pc x86.Addr) ([]byte, error) {
		if pc < base || pc >= base+x86.Addr(len(code)) {
			return nil, errors.New("not mapped")
		}
		return code[pc-base:], nil
	}
}

func TestUnknownForm(t *testing.T) {
	for _, c := range []struct {
		name string
		code []byte
		want string
	}{
		{"form without data", []byte{0x48, 0xd1, 0xd0}, "no timing data on glc for form rcl_r64_imm8 (rcl rax, 0x1)"},
		{"trap", []byte{0xcc}, "no timing data on glc for form int3"},
		{"not an instruction", []byte{0x06}, "code at 0x1000"},
		{"not mapped", nil, "not mapped"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := timing.New(timingtest.Core(t, ""), text(0x1000, c.code...))
			err := m.Step(record.Retired{RIP: 0x1000}, 0)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if m.Cycle() != 0 {
				t.Errorf("cycle %d after a failed step", m.Cycle())
			}
		})
	}
}

func TestCoreNamed(t *testing.T) {
	if c, err := timing.CoreNamed(""); err != nil || c.Name != "glc" {
		t.Errorf("default core %v, %v", c, err)
	}
	if _, err := timing.CoreNamed("zen9"); err == nil || !strings.Contains(err.Error(), "glc, icl, skx, zen5") {
		t.Errorf("error %v does not list the cores", err)
	}
}

// TestForget changes an instruction behind the model's back, as a poke does.
func TestForget(t *testing.T) {
	code := []byte{0x48, 0x01, 0xd8} // add rax,rbx
	m := timing.New(timingtest.Core(t, ""), func(pc x86.Addr) ([]byte, error) { return code, nil })
	run := func() timing.Cycle {
		before := m.Cycle()
		for range 100 {
			if err := m.Step(record.Retired{RIP: 0x1000}, 0x1000); err != nil {
				t.Fatal(err)
			}
		}
		return m.Cycle() - before
	}
	run()
	if got := run(); got != 100 {
		t.Fatalf("100 dependent additions take %d cycles", got)
	}
	code = []byte{0x0f, 0x1f, 0x00} // nop
	if got := run(); got != 100 {
		t.Errorf("code changed without Forget: %d cycles", got)
	}
	m.Forget(0x1001, 1)
	run()
	if got := run(); got >= 100 {
		t.Errorf("after Forget: %d cycles", got)
	}
}

// TestStamps checks the order of the stages and that the costs add up, on every sequence.
func TestStamps(t *testing.T) {
	c := timingtest.Load(t)
	for n := range c.Measured.Sequences {
		s := &c.Measured.Sequences[n]
		m := timing.New(timingtest.Core(t, ""), s.CodeAt)
		stream := c.Streams[s.Name]
		var sum, retire timing.Cycle
		var costs timing.Costs
		for i, r := range stream[:min(len(stream), 3000)] {
			next := x86.Addr(0)
			if i+1 < len(stream) {
				next = stream[i+1].RIP
			}
			if err := m.Step(r, next); err != nil {
				t.Fatal(s.Name, err)
			}
			l := m.Last()
			if l.RIP != r.RIP || l.Fetch >= l.Issue || l.Issue > l.Execute || l.Execute > l.Complete || l.Complete > l.Retire || l.Retire < retire {
				t.Fatalf("%s: record %d: stages out of order: %+v", s.Name, i, l)
			}
			if (l.Cost == 0) != (l.Cause == timing.CauseNone) {
				t.Fatalf("%s: record %d: cost %d with cause %s", s.Name, i, l.Cost, l.Cause)
			}
			retire, sum = l.Retire, sum+l.Cost
			costs.Add(l)
		}
		if sum != m.Cycle() || costs.Total() != sum {
			t.Errorf("%s: costs %d, by cause %d, cycles %d", s.Name, sum, costs.Total(), m.Cycle())
		}
	}
}

// TestCauses checks what the cycles of a sequence are put down to: the named cause must have at
// least the given share of them.
func TestCauses(t *testing.T) {
	c := timingtest.Load(t)
	for _, x := range []struct {
		sequence string
		cause    timing.Cause
		share    float64
	}{
		{"nop5", timing.CauseIssue, 0.8},
		{"add_rr_dep", timing.CauseDependency, 0.9},
		{"load_indep", timing.CausePort, 0.5},
		{"stfwd_fail", timing.CauseForwardFail, 0.7},
		{"tc33_v2020_direct", timing.CauseForwardFail, 0.6},
		{"jcc_random_fast", timing.CauseMispredict, 0.6},
		{"nest_40", timing.CauseReturnStack, 0.6},
		{"retpoline_mono", timing.CauseMispredict, 0.6},
		{"jmp_next", timing.CauseFrontEnd, 0.9},
		{"nop1", timing.CauseFrontEnd, 0.9},
		{"lfence", timing.CauseSerialize, 0.85},
		{"lock_add", timing.CauseSerialize, 0.9},
	} {
		s, stream := c.Sequence(t, x.sequence)
		m := timing.New(timingtest.Core(t, ""), s.CodeAt)
		var costs timing.Costs
		for i := 0; i+1 < len(stream); i++ {
			if err := m.Step(stream[i], stream[i+1].RIP); err != nil {
				t.Fatal(err)
			}
			if i > len(stream)/4 && stream[i].RIP < measured.CodeBase+x86.Addr(len(s.Code)) {
				costs.Add(m.Last())
			}
		}
		if got := float64(costs[x.cause]) / float64(costs.Total()); got < x.share {
			t.Errorf("%s: %s has %.0f %% of the cycles", x.sequence, x.cause, 100*got)
			for k, v := range costs.All {
				t.Logf("  %s %d", k, v)
			}
		}
	}
}

// TestNoAllocation: a warm model does not allocate.
func TestNoAllocation(t *testing.T) {
	c := timingtest.Load(t)
	s, stream := c.Sequence(t, "tc33_v2020_retpoline")
	stream = stream[:len(stream)-1]
	m := timing.New(timingtest.Core(t, ""), s.CodeAt)
	run := func() {
		for i := range len(stream) - 1 {
			if err := m.Step(stream[i], stream[i+1].RIP); err != nil {
				t.Fatal(err)
			}
		}
	}
	run()
	if n := testing.AllocsPerRun(3, run); n > 0 {
		t.Errorf("%v allocations for %d instructions", n, len(stream))
	}
}

func TestPipelineView(t *testing.T) {
	c := timingtest.Load(t)
	s, stream := c.Sequence(t, "stfwd_rdi_imul")
	m := timing.New(timingtest.Core(t, ""), s.CodeAt)
	var rows []timing.PipelineRow
	for i := range 400 {
		if err := m.Step(stream[i], stream[i+1].RIP); err != nil {
			t.Fatal(err)
		}
		if i >= 396 {
			code, _ := s.CodeAt(stream[i].RIP)
			in, err := x86.Decode(code, stream[i].RIP)
			if err != nil {
				t.Fatal(err)
			}
			rows = append(rows, timing.PipelineRow{Stamp: m.Last(), Text: in.String()})
		}
	}
	var b strings.Builder
	if err := timing.WritePipeline(&b, rows); err != nil {
		t.Fatal(err)
	}
	const want = `
0014 mov qword ptr [rdi], rax         0 |               EeR              |   2 dependency
0017 mov rax, qword ptr [rdi]         3 |                 R              |
001a imul rax, rbx                    3 |               EeeR             |   1 dependency
001e mov qword ptr [rdi], rax         3 |                  EeR           |   2 dependency
`
	if diff := cmp.Diff(want[1:], b.String()); diff != "" {
		t.Errorf("pipeline (-want +got):\n%s", diff)
	}
	if err := timing.WritePipeline(&b, nil); err != nil {
		t.Error(err)
	}
}

func BenchmarkModel(b *testing.B) {
	c := timingtest.Load(b)
	for _, name := range []string{"alu_mix", "tc33_v2024_jmp", "tc33_v2020_retpoline", "hier_v2023_limit", "xdp_parse"} {
		b.Run(name, func(b *testing.B) {
			s, stream := c.Sequence(b, name)
			m := timing.New(timingtest.Core(b, ""), s.CodeAt)
			n := 0
			for b.Loop() {
				if err := m.Run(stream); err != nil {
					b.Fatal(err)
				}
				n += len(stream)
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds()/1e6, "Minsn/s")
		})
	}
}

func BenchmarkNew(b *testing.B) {
	c := timingtest.Core(b, "")
	code := text(0x1000, 0xc3)
	for b.Loop() {
		timing.New(c, code)
	}
}
