// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/timing"
)

// nativeCommand is the hidden command that measures one sequence, once.
const nativeCommand = "native-worker"

// How often a sequence is measured: passes are processes of their own, because predictors have several
// stable states. nativeTime is how long one may take before it is killed.
const (
	hostPasses = 12
	hostReps   = 200
	nativeTime = 30 * time.Second
)

// nativeJob and nativeReply are what goes to and comes from a process that measures.
type nativeJob struct {
	Sequence timing.Sequence
	Reps     int
}

type nativeReply struct {
	Reps    []timing.HostRep
	Refused string // why the machine cannot measure, without emu.ErrNative
}

// nativeWorkerCommand is what a measuring process runs; nobody else needs it.
func (e env) nativeWorkerCommand() *cli.Command {
	return &cli.Command{
		Name: nativeCommand, Hidden: true, Usage: "runs code on this processor for tcsim cycles --host",
		Action: func(context.Context, *cli.Command) error {
			var job nativeJob
			if err := json.NewDecoder(e.stdin).Decode(&job); err != nil {
				return badInput(err)
			}
			reps, err := emu.TimeNative(&job.Sequence, job.Reps)
			reply := nativeReply{Reps: reps}
			if errors.Is(err, emu.ErrNative) {
				reply.Refused = err.Error()
			} else if err != nil {
				return badInput(err)
			}
			return json.NewEncoder(e.stdout).Encode(reply)
		},
	}
}

// nativePass measures a sequence in a process of its own, which is all that a fault in it ends.
func (e env) nativePass(ctx context.Context, s *timing.Sequence) ([]timing.HostRep, error) {
	job, err := json.Marshal(nativeJob{*s, hostReps})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, nativeTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, e.self, nativeCommand)
	// The runtime shall not interrupt its threads, and has nothing to collect.
	cmd.Env = append(os.Environ(), "GODEBUG=asyncpreemptoff=1", "GOGC=off")
	cmd.Stdin = bytes.NewReader(job)
	var out bytes.Buffer
	var last head
	cmd.Stdout, cmd.Stderr = &out, &last
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("sequence %s: its process ended: %w %s", s.Name, cmp.Or(ctx.Err(), err), last.line())
	}
	var reply nativeReply
	if err := json.Unmarshal(out.Bytes(), &reply); err != nil {
		return nil, fmt.Errorf("sequence %s: %w", s.Name, err)
	}
	if reply.Refused != "" {
		return nil, fmt.Errorf("%w: %s", errUntestable, reply.Refused)
	}
	return reply.Reps, nil
}

// hostCycles measures one sequence. A process whose heap happens to lie where the sequence wants its
// memory refuses, about one in a thousand; another one will do.
func (e env) hostCycles(ctx context.Context, s *timing.Sequence) (timing.HostCycles, error) {
	var passes [][]timing.HostRep
	for range hostPasses {
		reps, err := e.nativePass(ctx, s)
		for again := 0; again < 4 && errors.Is(err, errUntestable); again++ {
			reps, err = e.nativePass(ctx, s)
		}
		if err != nil {
			return timing.HostCycles{}, err
		}
		passes = append(passes, reps)
	}
	return s.Host(passes)
}

// measureHost measures the sequences of file on this machine, and returns them with its cycles in the
// form of file. Sequences that cannot be measured are named on stderr and left out; if that is more
// than half, the machine is not to be trusted.
func (e env) measureHost(ctx context.Context, file []byte, measured *timing.Measured) ([]byte, error) {
	if err := emu.HostUsable(); err != nil {
		return nil, fmt.Errorf("%w: %w", errUntestable, err)
	}
	if e.self == "" {
		return nil, fmt.Errorf("%w: the path of tcsim is not known", errUntestable)
	}
	bar := e.progress("host")
	defer bar.done()
	cycles := map[string]timing.HostCycles{}
	var why error
	n := len(measured.Sequences)
	for i := 0; i < n && 2*(i-len(cycles)) <= n; i++ {
		s := &measured.Sequences[i]
		h, err := e.hostCycles(ctx, s)
		switch {
		case errors.Is(err, errUntestable):
			return nil, err
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil:
			why = err
			fmt.Fprintf(e.stderr, "tcsim: not measured: %v\n", err)
		default:
			cycles[s.Name] = h
		}
		bar.set(i+1, n)
	}
	if 2*len(cycles) < n || len(cycles) == 0 {
		return nil, fmt.Errorf("%w: most of %d sequences could not be measured: %w", errUntestable, n, why)
	}
	return timing.Remeasured(file, cmp.Or(emu.HostName(), "unknown processor"), time.Now().UTC().Format(time.DateOnly), cycles)
}

// hosted measures on this machine, writes the file that -o names, and judges predictions by it.
func (e env) hosted(ctx context.Context, cmd *cli.Command, file []byte, old *timing.Measured, results []timing.Result) (*timing.Measured, []timing.Result, error) {
	file, err := e.measureHost(ctx, file, old)
	if err != nil {
		return nil, nil, err
	}
	if path := cmd.String("output"); path != "" {
		if err := os.WriteFile(path, file, 0o666); err != nil {
			return nil, nil, badInput(err)
		}
	}
	measured, err := timing.ReadMeasured("measured here", bytes.NewReader(file))
	if err != nil {
		return nil, nil, err
	}
	predicted := map[string]float64{}
	for _, r := range results {
		predicted[r.Name] = r.Predicted
	}
	results = nil
	for i := range measured.Sequences {
		s := &measured.Sequences[i]
		results = append(results, s.Judge(predicted[s.Name]))
	}
	return measured, results, nil
}
