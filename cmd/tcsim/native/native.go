// SPDX-License-Identifier: GPL-2.0-only

// Package native measures sequences on this machine's processor, in processes of their own.
package native

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/timing/measured"
	"github.com/tcsim/tcsim/scenarios/worker"
)

// ErrRefused is wrapped by the errors of machines that cannot measure.
var ErrRefused = errors.New("this machine cannot measure")

// Measurer starts processes and says how far they are.
type Measurer struct {
	Launch   func(environment ...string) worker.Start
	Say      func(error) // of a sequence that is left out
	Progress func(done, total int)
}

// Job is the name of the work of a process that measures.
const Job = "native"

// A sequence is measured perPass times in each of some passes: these are processes of their own, because predictors have several
// stable states. passTime is how long one may take before it is killed.
const (
	passes   = 12
	perPass  = 200
	passTime = 30 * time.Second
)

// ask is what a process that measures is sent.
type ask struct {
	Sequence *measured.Sequence
	Reps     int
}

// reply is what comes from it.
type reply struct {
	Reps    []measured.HostRep
	Refused string // why the machine cannot measure, without emu.ErrNative
}

// Serve is the job of a process that runs code on this processor.
func Serve(json.RawMessage) (worker.Work, error) {
	return func(_ context.Context, text json.RawMessage, answer func(any) error) error {
		var s ask
		if err := json.Unmarshal(text, &s); err != nil {
			return err
		}
		reps, err := emu.TimeNative(s.Sequence, s.Reps)
		switch {
		case errors.Is(err, emu.ErrNative):
			return answer(reply{Refused: err.Error()})
		case err != nil:
			return err
		}
		return answer(reply{Reps: reps})
	}, nil
}

// Pass measures a sequence in a process of its own. One whose heap happens to lie where the sequence
// wants its memory refuses, about one in a thousand; another one will do.
func (m *Measurer) Pass(ctx context.Context, s *measured.Sequence, reps int) ([]measured.HostRep, error) {
	const tries = 5
	var out []measured.HostRep
	err := ErrRefused
	for n := 0; n < tries && errors.Is(err, ErrRefused); n++ {
		out, err = m.once(ctx, s, reps)
	}
	return out, err
}

// once measures a sequence in a process of its own, which is all that a fault in it ends. There the
// runtime does not interrupt its threads, and has nothing to collect.
func (m *Measurer) once(ctx context.Context, s *measured.Sequence, reps int) ([]measured.HostRep, error) {
	c := worker.Client{Start: m.Launch("GODEBUG=asyncpreemptoff=1", "GOGC=off"), Job: Job, Limit: passTime}
	defer c.Close()
	var got reply
	if err := worker.Ask(ctx, &c, ask{s, reps}, func(r *reply) { got = *r }); err != nil {
		return nil, fmt.Errorf("sequence %s: %w", s.Name, err)
	}
	if got.Refused != "" {
		return nil, fmt.Errorf("%w: %s", ErrRefused, got.Refused)
	}
	return got.Reps, nil
}

// all measures one sequence.
func (m *Measurer) all(ctx context.Context, s *measured.Sequence) ([][]measured.HostRep, error) {
	var out [][]measured.HostRep
	for range passes {
		reps, err := m.Pass(ctx, s, perPass)
		if err != nil {
			return nil, err
		}
		out = append(out, reps)
	}
	return out, nil
}

// Measure measures the sequences of file on this machine, and returns them with its cycles in the
// form of file. Sequences that cannot be measured are named to Say and left out; if that is more
// than half, the machine is not to be trusted.
func (m *Measurer) Measure(ctx context.Context, raw []byte, file *measured.File) ([]byte, error) {
	if err := emu.HostUsable(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	var why error
	n, failed := len(file.Sequences), 0
	all := make([][][]measured.HostRep, n) // what a quiet core does shows only in all of them
	for i := 0; i < n && 2*failed <= n; i++ {
		passes, err := m.all(ctx, &file.Sequences[i])
		switch {
		case errors.Is(err, ErrRefused):
			return nil, err
		case ctx.Err() != nil:
			n = i // those before are finished
			continue
		case err != nil:
			why = err
			failed++
			m.Say(err)
		}
		all[i] = passes
		m.Progress(i+1, n)
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
			m.Say(err)
			continue
		}
		cycles[file.Sequences[i].Name] = h
	}
	if len(cycles) == 0 && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if 2*len(cycles) < n || len(cycles) == 0 {
		return nil, fmt.Errorf("%w: most of %d sequences could not be measured: %w", ErrRefused, n, why)
	}
	return measured.Rewritten(raw, cmp.Or(emu.HostName(), "unknown processor"), time.Now().UTC().Format(time.DateOnly), cycles)
}

// Judged reads what Measure returned and judges predictions of the same sequences by it.
func Judged(raw []byte, predictions []measured.Result) (*measured.File, []measured.Result, error) {
	file, err := measured.Read("measured here", bytes.NewReader(raw))
	if err != nil {
		return nil, nil, err
	}
	predicted := map[string]float64{}
	for _, r := range predictions {
		predicted[r.Name] = r.Predicted
	}
	var results []measured.Result
	for i := range file.Sequences {
		s := &file.Sequences[i]
		results = append(results, s.Judge(predicted[s.Name]))
	}
	return file, results, nil
}
