// SPDX-License-Identifier: GPL-2.0-only

// Package verdicts asks whether kernels take programs, and what it costs their verifiers to find out. It runs
// nothing.
//
//	rows, err := verdicts.Load(ctx, "prog.o", object.Options{}, targets, progress)
package verdicts

import (
	"context"
	"time"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/verify"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/object"
)

// Kind is what came out.
type Kind string

// The kernel takes the program, refuses it, or uses something that is not modelled.
const (
	Accepted   Kind = "accepted"
	Refused    Kind = "refused"
	NotModeled Kind = "not modelled"
)

// Row is the verdict of one target on one program.
type Row struct {
	Target  string `json:"target"`
	Program string `json:"program"`
	Section string `json:"section,omitempty"`
	Verdict Kind   `json:"verdict"`
	Reason  string `json:"reason,omitempty"`
	verify.Stats
	// Size is the number of instruction slots as submitted.
	Size int           `json:"size"`
	Time time.Duration `json:"-"`
}

// Built judges the programs of a scenario, and says after each how many are done. Its error is that of the context: with it
// come the rows that are done.
func Built(ctx context.Context, b *scenarios.Built, t *jit.Target, progress func(done int)) ([]Row, error) {
	b = b.For(t)
	out := make([]Row, 0, len(b.Programs))
	for i := range b.Programs {
		if err := ctx.Err(); err != nil {
			return out, err
		}
		out = append(out, one(&b.Programs[i], t))
		progress(i + 1)
	}
	return out, nil
}

// File judges the programs of an object file, those that are not modelled included. If the context ends, its error comes
// with the rows of those that were judged.
func File(ctx context.Context, f *object.File, fill []string, t *jit.Target, progress func(done int)) ([]Row, error) {
	b, err := f.Load(fill)
	if err != nil {
		return nil, err
	}
	judged := map[string]Row{}
	rows, ended := Built(ctx, b, t, progress)
	for _, r := range rows {
		judged[r.Program] = r
	}
	out := make([]Row, 0, len(f.Programs))
	for i := range f.Programs {
		p := &f.Programs[i]
		r, ok := judged[p.Name]
		switch {
		case !ok && ended != nil:
			continue
		case !ok:
			r = Row{Target: t.Name, Program: p.Name, Verdict: NotModeled, Size: len(p.Insns)}
			if err := f.LeftOutOf(i); err != nil {
				r.Reason = err.Error()
			}
		}
		r.Section = f.Sections[i]
		out = append(out, r)
	}
	return out, ended
}

func one(p *bpf.Program, t *jit.Target) Row {
	began := time.Now()
	stats, err := verify.Check(p, &t.Kernel)
	r := Row{Target: t.Name, Program: p.Name, Verdict: Accepted, Stats: stats, Size: len(p.Insns), Time: time.Since(began)}
	if err != nil {
		r.Verdict, r.Reason = Refused, err.Error()
	}
	return r
}

// Load judges the programs of an object file or a scenario, or of an object file those that the entry leads to, and says
// how many are done. If the context ends, its error comes with the rows that are done.
func Load(ctx context.Context, path string, opt object.Options, ts []*jit.Target, progress func(done, total int)) ([]Row, error) {
	var programs int
	var judge func(t *jit.Target, progress func(int)) ([]Row, error)
	if object.IsFile(path) && opt.Entry == "" {
		f, err := object.Open(path, opt.Read)
		if err != nil {
			return nil, err
		}
		programs = len(f.Programs)
		judge = func(t *jit.Target, progress func(int)) ([]Row, error) { return File(ctx, f, opt.Fill, t, progress) }
	} else {
		b, err := object.Load(path, opt)
		if err != nil {
			return nil, err
		}
		programs = len(b.Programs)
		judge = func(t *jit.Target, progress func(int)) ([]Row, error) { return Built(ctx, b, t, progress) }
	}
	var out []Row
	for i, t := range ts {
		rows, err := judge(t, func(done int) { progress(i*programs+done, len(ts)*programs) })
		out = append(out, rows...)
		if err != nil {
			return out, err
		}
	}
	return out, nil
}

// Outcome is the verdict on all rows: a refusal outweighs what is not modelled.
func Outcome(rows []Row) Kind {
	out := Accepted
	for i := range rows {
		switch k := rows[i].Verdict; {
		case k == Refused:
			return Refused
		case k != Accepted:
			out = k
		}
	}
	return out
}
