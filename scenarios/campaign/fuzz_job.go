// SPDX-License-Identifier: GPL-2.0-only

package campaign

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/scenarios/graph"
	"github.com/tcsim/tcsim/scenarios/worker"
)

// FuzzSource says what is played: random cases of a seed or, if All is not 0, every graph up to that size.
type FuzzSource struct {
	Seed uint64   `json:"seed"`
	All  int      `json:"all,omitempty"`
	Kind FuzzKind `json:"kind,omitempty"`
}

// FuzzKind is what random cases are.
type FuzzKind string

// The kinds. With FuzzMixed every second case is a program.
const (
	FuzzGraphs FuzzKind = ""
	FuzzInsns  FuzzKind = "insns" // single programs of all kinds of instructions, see package progen
	FuzzMixed  FuzzKind = "mixed"
)

// FuzzKinds are the words for kinds.
var FuzzKinds = map[string]FuzzKind{"graphs": FuzzGraphs, "insns": FuzzInsns, "mixed": FuzzMixed}

// Word is the kind as FuzzKinds has it.
func (k FuzzKind) Word() string {
	if k == FuzzGraphs {
		return "graphs"
	}
	return string(k)
}

// Program reports whether case i is a program.
func (s *FuzzSource) Program(i int) bool {
	return s.All == 0 && (s.Kind == FuzzInsns || s.Kind == FuzzMixed && i%2 == 1)
}

// Case names what is played, in the singular.
func (s *FuzzSource) Case() string {
	switch {
	case s.All != 0 || s.Kind == FuzzGraphs:
		return "graph"
	case s.Kind == FuzzInsns:
		return "program"
	}
	return "case"
}

// FuzzJob is the name of the work of a campaign, for a worker process whose jobs have Fuzzing by it.
const FuzzJob = "fuzz"

// fuzzSetup is what stays the same for all of a campaign.
type fuzzSetup struct {
	Source  FuzzSource `json:"source"`
	Targets []string   `json:"targets"`
	Limit   uint32     `json:"limit,omitempty"`
}

// fuzzRequest asks for the graphs From to To-1, or for the one that a stream of choices stands for, on all
// targets or on one.
type fuzzRequest struct {
	From    int      `json:"from"`
	To      int      `json:"to"`
	Choices []uint32 `json:"choices,omitempty"`
	Given   bool     `json:"given,omitempty"`   // play Choices
	Program bool     `json:"program,omitempty"` // they stand for a program
	Only    int      `json:"only"`              // number of the target, -1 for all
	During  int      `json:"during,omitempty"`  // Campaign.During
	// Cases are those of a guided campaign, to be played in place of the others; Whole asks for all that each reaches,
	// not for what no case before reached.
	Cases []guidedCase `json:"cases,omitempty"`
	Whole bool         `json:"whole,omitempty"`
}

// duringEvery is how many graphs there are for one whose updates are also played during runs: it takes
// several times longer.
const duringEvery = 8

// fuzzReply is one graph. Judgements that say VerdictOK are left out.
type fuzzReply struct {
	Graph int         `json:"graph"`
	Other []fuzzOther `json:"other,omitempty"`
	// Of a guided campaign: what the case reaches and, if that is something, the choices that make it.
	Reached []uint32 `json:"reached,omitempty"`
	Choices []uint32 `json:"choices,omitempty"`
}

type fuzzOther struct {
	Target  int     `json:"target"`
	Verdict Verdict `json:"verdict"`
	Why     string  `json:"why,omitempty"`
}

// Fuzzing is the job of a worker process of a campaign.
func Fuzzing(setup json.RawMessage) (worker.Work, error) {
	var s fuzzSetup
	if err := json.Unmarshal(setup, &s); err != nil {
		return nil, err
	}
	ts, err := fuzzTargets(s.Targets, s.Limit)
	if err != nil {
		return nil, err
	}
	graphs, fuzzer := &graphWalk{src: s.Source}, NewFuzzer(ts) // for the life of the process
	return func(ctx context.Context, ask json.RawMessage, answer func(any) error) error {
		var r fuzzRequest
		if err := json.Unmarshal(ask, &r); err != nil {
			return err
		}
		if r.Only >= len(ts) {
			return fmt.Errorf("there is no target %d", r.Only)
		}
		if len(r.Cases) > 0 {
			return fuzzer.playGuided(ctx, &s.Source, &r, answer)
		}
		played, err := fuzzer.playPrograms(ctx, &s.Source, &r)
		switch {
		case err != nil:
			return err
		case r.Given && r.Program:
			return answer(played[r.From])
		case r.Given:
			fuzzer.Schedules = r.During
			return fuzzer.answer(ctx, &r, r.From, graph.Random(graph.Replay(r.Choices)), answer)
		}
		for i := r.From; i < r.To; i++ {
			if reply, ok := played[i]; ok {
				if err := answer(reply); err != nil {
					return err
				}
				continue
			}
			g, err := graphs.graph(i)
			if err != nil {
				return err
			}
			if fuzzer.Schedules = r.During; i%duringEvery != 0 {
				fuzzer.Schedules = 0
			}
			if err := fuzzer.answer(ctx, &r, i, g, answer); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

// answer plays one graph.
func (f *Fuzzer) answer(ctx context.Context, r *fuzzRequest, i int, g *graph.Graph, answer func(any) error) error {
	first, ts := f.asked(r)
	js, err := f.playOn(ctx, g, ts)
	if err != nil {
		return err
	}
	reply := fuzzReply{Graph: i}
	reply.others(first, js)
	return answer(reply)
}

// asked are the targets that a request is about, and the number of the first.
func (f *Fuzzer) asked(r *fuzzRequest) (first int, ts []*jit.Target) {
	if r.Only >= 0 {
		return r.Only, f.targets[r.Only : r.Only+1]
	}
	return 0, f.targets
}

// others adds judgements of targets from number first on.
func (r *fuzzReply) others(first int, js []Judgement) {
	for t, j := range js {
		r.other(first+t, j)
	}
}

func (r *fuzzReply) other(target int, j Judgement) {
	if j.Verdict != VerdictOK {
		r.Other = append(r.Other, fuzzOther{target, j.Verdict, j.Why})
	}
}

// fuzzTargets resolves names; a limit that is not 0 replaces that of the targets.
func fuzzTargets(names []string, limit uint32) ([]*jit.Target, error) {
	var ts []*jit.Target
	for _, n := range names {
		t, err := jit.TargetByName(n)
		if err != nil {
			return nil, err
		}
		if limit != 0 {
			limited := *t
			limited.Limit = limit
			t = &limited
		}
		ts = append(ts, t)
	}
	return ts, nil
}

// graphWalk makes graphs of a source. If these are all up to a size, they are best asked for in order.
type graphWalk struct {
	src FuzzSource
	// All graphs, as far as they were walked through.
	next func() (*graph.Graph, bool)
	stop func()
	at   int
}

// close ends the walk.
func (w *graphWalk) close() {
	if w.stop != nil {
		w.stop()
	}
}

// graph makes graph i.
func (w *graphWalk) graph(i int) (*graph.Graph, error) {
	if w.src.All == 0 {
		return graph.Random(graph.NewChoices(w.src.Seed, uint64(i))), nil
	}
	if w.next == nil || i < w.at {
		w.close()
		w.next, w.stop = iter.Pull(graph.All(w.src.All))
		w.at = 0
	}
	for {
		g, ok := w.next()
		if !ok {
			return nil, fmt.Errorf("no graph %d of size %d", i, w.src.All)
		}
		if w.at++; w.at > i {
			return g, nil
		}
	}
}
