// SPDX-License-Identifier: GPL-2.0-only

// Package verdicts asks whether kernels take programs, and what it costs their verifiers to find out. It runs
// nothing.
//
//	for _, row := range verdicts.File(file, nil, target) { ... }
package verdicts

import (
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

// Built judges the programs of a scenario.
func Built(b *scenarios.Built, t *jit.Target) []Row {
	b = b.For(t)
	out := make([]Row, 0, len(b.Programs))
	for i := range b.Programs {
		out = append(out, one(&b.Programs[i], t))
	}
	return out
}

// File judges the programs of an object file, those that are not modelled included.
func File(f *object.File, fill []string, t *jit.Target) ([]Row, error) {
	b, err := f.Load(fill)
	if err != nil {
		return nil, err
	}
	judged := map[string]Row{}
	for _, r := range Built(b, t) {
		judged[r.Program] = r
	}
	out := make([]Row, 0, len(f.Programs))
	for i := range f.Programs {
		p := &f.Programs[i]
		r, ok := judged[p.Name]
		if !ok {
			r = Row{Target: t.Name, Program: p.Name, Verdict: NotModeled, Size: len(p.Insns)}
			if err := f.LeftOutOf(i); err != nil {
				r.Reason = err.Error()
			}
		}
		r.Section = f.Sections[i]
		out = append(out, r)
	}
	return out, nil
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

// Load judges the programs of an object file or a scenario, or of an object file those that the entry leads to.
func Load(path string, opt object.Options, ts []*jit.Target) ([]Row, error) {
	var out []Row
	if object.IsFile(path) && opt.Entry == "" {
		f, err := object.Open(path, opt.Read)
		if err != nil {
			return nil, err
		}
		for _, t := range ts {
			rows, err := File(f, opt.Fill, t)
			if err != nil {
				return nil, err
			}
			out = append(out, rows...)
		}
		return out, nil
	}
	b, err := object.Load(path, opt)
	if err != nil {
		return nil, err
	}
	for _, t := range ts {
		out = append(out, Built(b, t)...)
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
