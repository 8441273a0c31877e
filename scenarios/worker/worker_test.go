// SPDX-License-Identifier: GPL-2.0-only

package worker_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tcsim/tcsim/scenarios/worker"
)

// jobs count: a question n is answered by the numbers from the setup to n. At 13 the process ends, at 14 it
// hangs, 15 cannot be answered.
var jobs = map[string]worker.Job{
	"count": func(setup json.RawMessage) (worker.Work, error) {
		var first int
		if err := json.Unmarshal(setup, &first); err != nil {
			return nil, fmt.Errorf("no beginning: %w", err)
		}
		return func(_ context.Context, ask json.RawMessage, answer func(any) error) error {
			var n int
			if err := json.Unmarshal(ask, &n); err != nil {
				return err
			}
			switch n {
			case 13:
				fmt.Fprint(os.Stderr, "bad luck\nmore of it\n")
				os.Exit(4)
			case 14:
				select {}
			case 15:
				return errors.New("15 is too much")
			}
			for i := first; i < n; i++ {
				if err := answer(i); err != nil {
					return err
				}
			}
			return nil
		}, nil
	},
}

// TestMain lets the test binary be a worker process.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "work" {
		if err := worker.Main(context.Background(), os.Stdin, os.Stdout, jobs); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func client(setup any) *worker.Client {
	return &worker.Client{Start: worker.Launch(os.Args[0], "work", "GODEBUG="), Job: "count", Setup: setup}
}

// count asks and returns the answers.
func count(c *worker.Client, n int) (got []int, err error) {
	err = worker.Ask(context.Background(), c, n, func(i *int) { got = append(got, *i) })
	return got, err
}

// TestAsk has answers, none, an error of one question, and a process that ends: the next question goes to a
// new one. In a goroutine the same.
func TestAsk(t *testing.T) {
	process, inside := client(3), client(3)
	inside.Start = worker.Inside(jobs)
	for name, c := range map[string]*worker.Client{"process": process, "inside": inside} {
		for range 2 {
			if got, err := count(c, 6); err != nil || !slices.Equal(got, []int{3, 4, 5}) {
				t.Errorf("%s: answers %v, %v", name, got, err)
			}
			if got, err := count(c, 2); err != nil || got != nil {
				t.Errorf("%s: answers %v, %v, want none", name, got, err)
			}
			if got, err := count(c, 15); err == nil || got != nil || err.Error() != "15 is too much" {
				t.Errorf("%s: answers %v, %v", name, got, err)
			}
			if name == "process" {
				var ended *worker.Ended
				if got, err := count(c, 13); got != nil || !errors.As(err, &ended) || ended.Why != "exit status 4: bad luck" {
					t.Errorf("answers %v, %v", got, err)
				}
			}
			c.Close()
		}
	}
}

// TestAskLimit ends a process that does not answer.
func TestAskLimit(t *testing.T) {
	c := client(0)
	c.Limit = 100 * time.Millisecond
	var ended *worker.Ended
	if got, err := count(c, 14); got != nil || !errors.As(err, &ended) || ended.Why != "no answer within 100ms" {
		t.Errorf("answers %v, %v", got, err)
	}
	c.Limit = 0
	if got, err := count(c, 1); err != nil || len(got) != 1 {
		t.Errorf("a new process: answers %v, %v", got, err)
	}
	c.Close()
}

// TestAskCancelled ends the process with the context.
func TestAskCancelled(t *testing.T) {
	c := client(0)
	ctx, cancel := context.WithCancel(context.Background())
	err := worker.Ask(ctx, c, 3, func(*int) { cancel() })
	for err == nil {
		err = worker.Ask(ctx, c, 14, func(*int) {})
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// TestSetup has a setup that the job refuses, which every question is told, and an unknown job.
func TestSetup(t *testing.T) {
	c := client("three")
	defer c.Close()
	for range 2 {
		if _, err := count(c, 1); err == nil || !strings.HasPrefix(err.Error(), "no beginning: ") {
			t.Errorf("error %v", err)
		}
	}
	c = client(3)
	c.Job = "sleep"
	if _, err := count(c, 1); err == nil || !strings.Contains(err.Error(), `no job "sleep"`) {
		t.Errorf("error %v", err)
	}
}

// TestServeBad refuses what is no line of the protocol.
func TestServeBad(t *testing.T) {
	for _, in := range []string{"what", `{"ask":1}`, `{"job":"sleep"}`} {
		var out bytes.Buffer
		if err := worker.Serve(context.Background(), strings.NewReader(in), &out, jobs); err == nil || out.Len() != 0 {
			t.Errorf("%s: %v, %q", in, err, out.String())
		}
	}
}

// TestStart has a program that cannot be started, at once and some time later.
func TestStart(t *testing.T) {
	c := client(0)
	c.Start = worker.Launch("/no/such/program", "")
	if _, err := count(c, 1); err == nil || !strings.HasPrefix(err.Error(), "worker process: ") {
		t.Errorf("error %v", err)
	}
	tries := 0
	c.Start = worker.Patient(func(ctx context.Context) (*worker.Process, error) {
		if tries++; tries < 3 {
			return nil, errors.New("not now")
		}
		return worker.Inside(jobs)(ctx)
	}, 3, 0)
	if got, err := count(c, 1); err != nil || len(got) != 1 || tries != 3 {
		t.Errorf("answers %v, %v after %d tries", got, err, tries)
	}
	c.Close()
}
