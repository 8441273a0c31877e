// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/timing/measured"
	"github.com/tcsim/tcsim/jit/outfile"
	"github.com/tcsim/tcsim/scenarios/worker"
)

// nativeJob is the name of the work of a process that measures.
const nativeJob = "native"

// How often a sequence is measured: passes are processes of their own, because predictors have several
// stable states. nativeTime is how long one may take before it is killed.
const (
	hostPasses = 12
	hostReps   = 200
	nativeTime = 30 * time.Second
)

// nativeAsk is what a process that measures is sent.
type nativeAsk struct {
	Sequence *measured.Sequence
	Reps     int
}

// nativeReply is what comes from it.
type nativeReply struct {
	Reps    []measured.HostRep
	Refused string // why the machine cannot measure, without emu.ErrNative
}

// native is the job of a process that runs code on this processor.
func native(json.RawMessage) (worker.Work, error) {
	return func(_ context.Context, ask json.RawMessage, answer func(any) error) error {
		var s nativeAsk
		if err := json.Unmarshal(ask, &s); err != nil {
			return err
		}
		reps, err := emu.TimeNative(s.Sequence, s.Reps)
		switch {
		case errors.Is(err, emu.ErrNative):
			return answer(nativeReply{Refused: err.Error()})
		case err != nil:
			return err
		}
		return answer(nativeReply{Reps: reps})
	}, nil
}

// nativePass measures a sequence in a process of its own. One whose heap happens to lie where the sequence
// wants its memory refuses, about one in a thousand; another one will do.
func (e env) nativePass(ctx context.Context, s *measured.Sequence, reps int) ([]measured.HostRep, error) {
	const tries = 5
	var out []measured.HostRep
	err := errUntestable
	for n := 0; n < tries && errors.Is(err, errUntestable); n++ {
		out, err = e.nativeOnce(ctx, s, reps)
	}
	return out, err
}

// nativeOnce measures a sequence in a process of its own, which is all that a fault in it ends. There the
// runtime does not interrupt its threads, and has nothing to collect.
func (e env) nativeOnce(ctx context.Context, s *measured.Sequence, reps int) ([]measured.HostRep, error) {
	c := worker.Client{Start: e.launch("GODEBUG=asyncpreemptoff=1", "GOGC=off"), Job: nativeJob, Limit: nativeTime}
	defer c.Close()
	var reply nativeReply
	if err := worker.Ask(ctx, &c, nativeAsk{s, reps}, func(r *nativeReply) { reply = *r }); err != nil {
		return nil, fmt.Errorf("sequence %s: %w", s.Name, err)
	}
	if reply.Refused != "" {
		return nil, fmt.Errorf("%w: %s", errUntestable, reply.Refused)
	}
	return reply.Reps, nil
}

// nativePasses measures one sequence.
func (e env) nativePasses(ctx context.Context, s *measured.Sequence) ([][]measured.HostRep, error) {
	var passes [][]measured.HostRep
	for range hostPasses {
		reps, err := e.nativePass(ctx, s, hostReps)
		if err != nil {
			return nil, err
		}
		passes = append(passes, reps)
	}
	return passes, nil
}

// measureHost measures the sequences of file on this machine, and returns them with its cycles in the
// form of file. Sequences that cannot be measured are named on stderr and left out; if that is more
// than half, the machine is not to be trusted.
func (e env) measureHost(ctx context.Context, raw []byte, file *measured.File) ([]byte, error) {
	if err := emu.HostUsable(); err != nil {
		return nil, fmt.Errorf("%w: %w", errUntestable, err)
	}
	if e.self == "" {
		return nil, fmt.Errorf("%w: the path of tcsim is not known", errUntestable)
	}
	bar := e.progress("host")
	defer bar.Done()
	var why error
	n, failed := len(file.Sequences), 0
	all := make([][][]measured.HostRep, n) // what a quiet core does shows only in all of them
	for i := 0; i < n && 2*failed <= n; i++ {
		passes, err := e.nativePasses(ctx, &file.Sequences[i])
		switch {
		case errors.Is(err, errUntestable):
			return nil, err
		case ctx.Err() != nil:
			n = i // those before are finished
			continue
		case err != nil:
			why = err
			failed++
			fmt.Fprintf(e.stderr, "tcsim: not measured: %v\n", err)
		}
		all[i] = passes
		bar.Set(i+1, n)
	}
	cycles := map[string]measured.HostCycles{}
	nops := measured.BestNops(all[:n]...)
	for i, passes := range all[:n] {
		if passes == nil {
			continue
		}
		h, err := file.Sequences[i].Host(passes, nops)
		if err != nil {
			why = err
			fmt.Fprintf(e.stderr, "tcsim: not measured: %v\n", err)
			continue
		}
		cycles[file.Sequences[i].Name] = h
	}
	if len(cycles) == 0 && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if 2*len(cycles) < n || len(cycles) == 0 {
		return nil, fmt.Errorf("%w: most of %d sequences could not be measured: %w", errUntestable, n, why)
	}
	return measured.Rewritten(raw, cmp.Or(emu.HostName(), "unknown processor"), time.Now().UTC().Format(time.DateOnly), cycles)
}

// hosted measures on this machine, writes the file that -o names, and judges predictions by it.
func (e env) hosted(ctx context.Context, cmd *cli.Command, raw []byte, old *measured.File, results []measured.Result) (*measured.File, []measured.Result, error) {
	if err := writable(cmd); err != nil {
		return nil, nil, err
	}
	raw, err := e.measureHost(ctx, raw, old)
	if err != nil {
		return nil, nil, err
	}
	if path := cmd.String("output"); path != "" {
		if err := outfile.Write(path, raw); err != nil {
			return nil, nil, badInput(err)
		}
	}
	file, err := measured.Read("measured here", bytes.NewReader(raw))
	if err != nil {
		return nil, nil, err
	}
	predicted := map[string]float64{}
	for _, r := range results {
		predicted[r.Name] = r.Predicted
	}
	results = nil
	for i := range file.Sequences {
		s := &file.Sequences[i]
		results = append(results, s.Judge(predicted[s.Name]))
	}
	return file, results, nil
}
