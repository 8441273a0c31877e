// SPDX-License-Identifier: GPL-2.0-only

package campaign_test

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tcsim/tcsim/emu/timing"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/campaign"
	"github.com/tcsim/tcsim/scenarios/worker"
)

// served is what the processes of these tests play.
func served(t testing.TB) ([]*scenarios.Built, []*jit.Target) {
	t.Helper()
	bs := []*scenarios.Built{build(t, "hierarchy"), build(t, "chain33"), build(t, "bpf2bpf_6")}
	return bs, []*jit.Target{target(t, "6.12"), target(t, "5.10-unrounded"), target(t, "fp53")}
}

// TestServeProcess is no test but the process that others start.
func TestServeProcess(t *testing.T) {
	if os.Getenv("TCSIM_TEST_SERVE") == "" {
		t.Skip("it is a part of TestMatrixProcesses")
	}
	if err := worker.Main(context.Background(), faulty{os.Stdin}, os.Stdout, playing(t)); err != nil {
		t.Fatal(err)
	}
	os.Exit(0) // the test's own words are no answers
}

// playing are the jobs of such a process.
func playing(t *testing.T) map[string]worker.Job {
	return map[string]worker.Job{
		campaign.MatrixJob: campaign.Playing(func(json.RawMessage) ([]*scenarios.Built, []*jit.Target, *timing.Core, error) {
			bs, ts := served(t)
			return bs, ts, timing.Cores()[0], nil
		}),
	}
}

// faulty crashes or hangs at two of the questions.
type faulty struct{ r io.Reader }

func (f faulty) Read(b []byte) (int, error) {
	n, err := f.r.Read(b)
	switch q := string(b[:n]); {
	case os.Getenv("TCSIM_TEST_SERVE") != "faulty":
	case strings.Contains(q, `"target":1,"scenario":0`):
		_ = syscall.Kill(os.Getpid(), syscall.SIGSEGV)
		select {} // until it arrives
	case strings.Contains(q, `"target":2,"scenario":1`):
		time.Sleep(time.Hour)
	}
	return n, err
}

func serving(t *testing.T, how string) campaign.MatrixOptions {
	t.Helper()
	t.Setenv("TCSIM_TEST_SERVE", how)
	return campaign.MatrixOptions{Start: worker.Launch(os.Args[0], "-test.run=^TestServeProcess$")}
}

// TestMatrixProcesses gives the same matrix and costs in processes as without.
func TestMatrixProcesses(t *testing.T) {
	bs, ts := served(t)
	want, err := campaign.PlayMatrix(context.Background(), bs, ts, campaign.MatrixOptions{})
	if err != nil {
		t.Fatal(err)
	}
	opt := serving(t, "well")
	got, err := campaign.PlayMatrix(context.Background(), bs, ts, opt)
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Errorf("%v (-here +processes):\n%s", err, d)
	}
	wantCosts, err := campaign.MeasureCosts(context.Background(), ts, timing.Cores()[0], campaign.MatrixOptions{})
	if err != nil {
		t.Fatal(err)
	}
	gotCosts, err := campaign.MeasureCosts(context.Background(), ts, timing.Cores()[0], opt)
	if d := cmp.Diff(wantCosts, gotCosts); d != "" || err != nil {
		t.Errorf("%v (-here +processes):\n%s", err, d)
	}
}

// TestMatrixCrash has a process that a signal kills and one that hangs: each costs its own cell.
func TestMatrixCrash(t *testing.T) {
	if testing.Short() {
		t.Skip("only in full runs")
	}
	bs, ts := served(t)
	want, err := campaign.PlayMatrix(context.Background(), bs, ts, campaign.MatrixOptions{})
	if err != nil {
		t.Fatal(err)
	}
	opt := serving(t, "faulty")
	opt.Timeout = 10 * time.Second
	got, err := campaign.PlayMatrix(context.Background(), bs, ts, opt)
	if err != nil {
		t.Fatal(err)
	}
	for i := range ts {
		for j := range bs {
			c, why := got.Cells[i][j], ""
			switch {
			case i == 1 && j == 0:
				why = "worker process ended: "
			case i == 2 && j == 1:
				why = "worker process ended: no answer within 10s"
			}
			if why != "" {
				if c.Verdict != campaign.VerdictError || c.Expected || !strings.HasPrefix(c.Why, why) {
					t.Errorf("cell %d, %d is %+v, want %q", i, j, c, why)
				}
				continue
			}
			if d := cmp.Diff(want.Cells[i][j], c); d != "" {
				t.Errorf("cell %d, %d (-here +processes):\n%s", i, j, d)
			}
		}
	}
	opt.Start = worker.Launch("/no/such/program", "")
	if got, err = campaign.PlayMatrix(context.Background(), bs, ts, opt); err != nil || got.Unexpected() != 9 {
		t.Errorf("without program: %v, %v", got, err)
	}
}

// TestPlayingBad refuses what is no question, and goes on.
func TestPlayingBad(t *testing.T) {
	work, err := playing(t)[campaign.MatrixJob](nil)
	if err != nil {
		t.Fatal(err)
	}
	answers := 0
	ask := func(q string) error {
		return work(context.Background(), json.RawMessage(q), func(any) error { answers++; return nil })
	}
	for _, q := range []string{`"what"`, `{"target":3,"scenario":0}`, `{"target":0,"scenario":-2}`, `{"target":-1}`} {
		if err := ask(q); err == nil || answers != 0 {
			t.Errorf("%s: %v, %d answers", q, err, answers)
		}
	}
	if err := ask(`{"target":0,"scenario":0}`); err != nil || answers != 1 {
		t.Errorf("%v, %d answers", err, answers)
	}
}
