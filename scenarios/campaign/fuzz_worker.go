// SPDX-License-Identifier: GPL-2.0-only

package campaign

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/scenarios/graph"
)

// FuzzSource says which graphs are played: random ones of a seed or, if All is not 0, every graph
// up to that size.
type FuzzSource struct {
	Seed uint64 `json:"seed"`
	All  int    `json:"all,omitempty"`
}

// fuzzRequest asks a worker process for the graphs From to To-1 of a source, or for the one that a
// stream of choices stands for, on all targets or on one.
type fuzzRequest struct {
	FuzzSource
	Targets []string `json:"targets"`
	Limit   uint32   `json:"limit,omitempty"`
	From    int      `json:"from"`
	To      int      `json:"to"`
	Choices []uint32 `json:"choices,omitempty"`
	Given   bool     `json:"given,omitempty"`  // play Choices
	Only    int      `json:"only"`             // number of the target, -1 for all
	During  int      `json:"during,omitempty"` // Campaign.During
}

// duringEvery is how many graphs there are for one whose updates are also played during runs: it takes
// several times longer.
const duringEvery = 8

// fuzzReply is one graph. Judgements that say VerdictOK are left out.
type fuzzReply struct {
	Graph int         `json:"graph"`
	Other []fuzzOther `json:"other,omitempty"`
	Err   string      `json:"error,omitempty"` // the request cannot be served
}

type fuzzOther struct {
	Target  int     `json:"target"`
	Verdict Verdict `json:"verdict"`
	Why     string  `json:"why,omitempty"`
}

// ServeFuzz is the work of a worker process: it answers requests until there are no more. When in ends,
// nobody wants the answers any more either.
func ServeFuzz(ctx context.Context, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	requests, ended := make(chan fuzzRequest), make(chan error, 1)
	go func() {
		defer close(requests)
		defer cancel()
		dec := json.NewDecoder(bufio.NewReader(in))
		for {
			var r fuzzRequest
			if err := dec.Decode(&r); err != nil {
				ended <- err
				return
			}
			select {
			case requests <- r:
			case <-ctx.Done():
				ended <- io.EOF
				return
			}
		}
	}()
	s := fuzzServer{out: json.NewEncoder(out)}
	defer s.close()
	for r := range requests {
		err := s.serve(ctx, &r)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			if err := s.out.Encode(fuzzReply{Err: err.Error()}); err != nil {
				return err
			}
		}
	}
	if err := <-ended; !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

type fuzzServer struct {
	out    *json.Encoder
	fuzzer *Fuzzer
	loaded string // what the fuzzer is for
	// All graphs, as far as they were walked through.
	next func() (*graph.Graph, bool)
	stop func()
	size int
	at   int
}

func (s *fuzzServer) close() {
	if s.fuzzer != nil {
		s.fuzzer.Close()
	}
	if s.stop != nil {
		s.stop()
	}
}

func (s *fuzzServer) serve(ctx context.Context, r *fuzzRequest) error {
	if key := fmt.Sprint(r.Targets, r.Limit); s.fuzzer == nil || s.loaded != key {
		ts, err := fuzzTargets(r.Targets, r.Limit)
		if err != nil {
			return err
		}
		if s.fuzzer != nil {
			s.fuzzer.Close()
		}
		s.fuzzer, s.loaded = NewFuzzer(ts), key
	}
	if r.Given {
		s.fuzzer.Schedules = r.During
		return s.play(ctx, r, r.From, graph.Random(graph.Replay(r.Choices)))
	}
	for i := r.From; i < r.To; i++ {
		g, err := s.graph(r.FuzzSource, i)
		if err != nil {
			return err
		}
		if s.fuzzer.Schedules = r.During; i%duringEvery != 0 {
			s.fuzzer.Schedules = 0
		}
		if err := s.play(ctx, r, i, g); err != nil {
			return err
		}
	}
	return nil
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

// play answers with one graph.
func (s *fuzzServer) play(ctx context.Context, r *fuzzRequest, i int, g *graph.Graph) error {
	first, ts := 0, s.fuzzer.targets
	if r.Only >= 0 {
		first, ts = r.Only, ts[r.Only:r.Only+1]
	}
	js, err := s.fuzzer.playOn(ctx, g, ts)
	if err != nil {
		return err
	}
	reply := fuzzReply{Graph: i}
	for t, j := range js {
		if j.Verdict != VerdictOK {
			reply.Other = append(reply.Other, fuzzOther{first + t, j.Verdict, j.Why})
		}
	}
	return s.out.Encode(reply)
}

// graph makes graph i of a source. Those of a walk are best asked for in order.
func (s *fuzzServer) graph(src FuzzSource, i int) (*graph.Graph, error) {
	if src.All == 0 {
		return graph.Random(graph.NewChoices(src.Seed, uint64(i))), nil
	}
	if s.next == nil || s.size != src.All || i < s.at {
		if s.stop != nil {
			s.stop()
		}
		s.next, s.stop = iter.Pull(graph.All(src.All))
		s.size, s.at = src.All, 0
	}
	for {
		g, ok := s.next()
		if !ok {
			return nil, fmt.Errorf("no graph %d of size %d", i, src.All)
		}
		if s.at++; s.at > i {
			return g, nil
		}
	}
}
