// SPDX-License-Identifier: GPL-2.0-only

package campaign

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tcsim/tcsim/jit/parts"
	"github.com/tcsim/tcsim/scenarios/choices"
	"github.com/tcsim/tcsim/scenarios/corpus"
	"github.com/tcsim/tcsim/scenarios/graph"
	"github.com/tcsim/tcsim/scenarios/progen"
	"github.com/tcsim/tcsim/scenarios/worker"
)

// Campaign is a number of graphs to be played on targets by worker processes. What it finds depends
// on Source, Graphs, Targets and Limit only, not on the number of workers.
type Campaign struct {
	Source FuzzSource
	Graphs int // how many; for Source.All all of them
	Shard  parts.Shard
	// Corpus makes the campaign a guided one, see guided.go; nil for none. Graphs then counts what is played in all
	// campaigns with this folder that are otherwise the same. Minimise takes cases out of the folder that add nothing.
	Corpus   *corpus.Folder
	Minimise bool
	// Generation has variants made of what the folder holds at the beginning only, see generation.go.
	Generation bool
	Targets    []string
	Limit      uint32 // replaces that of the targets; 0 leaves it
	// During is how many schedules of each update are played while the runs next to it go on, in
	// every eighth graph; 0 means none.
	During int
	// Workers is the number of processes; 0 means two. Start starts one that knows the job FuzzJob.
	Workers int
	Start   worker.Start
	// Shrink is how many failures are made small, 0 for none, and Tries how many graphs may be
	// played for each; 0 means 3000.
	Shrink, Tries int
	// Hang is how long a graph may take; 0 means worker.DefaultLimit.
	Hang time.Duration
	// Progress, if not nil, is called as graphs are done, by one goroutine at a time.
	Progress func(done, total int)
}

// CampaignReport is what came out.
type CampaignReport struct {
	Graphs  int            // played
	Targets []FuzzedTarget // in order
	// Failures are the kinds of failures, in order of target and verdict.
	Failures    []FuzzFailure
	Interrupted bool // the context ended before all was done
	// Lost are the worker processes that ended in the middle of their work, in the order in which they did.
	// A graph that others play without ending is no failure.
	Lost   []LostWorker
	Corpus *CorpusReport // nil without a folder, and of parts
	News   []FoundCase   // of a generation
}

// LostWorker is the end of a worker process.
type LostWorker struct {
	Graph int // number of the graph that it played, -1 while a failure was made small
	Why   string
}

// FuzzedTarget counts the graphs of a target by what came out.
type FuzzedTarget struct {
	Target   string          `json:"target"`
	Verdicts map[Verdict]int `json:"verdicts"`
}

// FuzzFailure is one way in which graphs fail on a target.
type FuzzFailure struct {
	Target  string
	Verdict Verdict
	Count   int
	First   int    // number of the first graph that fails so
	Kept    string // its name in the corpus, if that had it; First is its number there
	Why     string // of what is in Graph or Program
	Found   string // of the first case as it was
	// Graph or Program is the first case, made small if Shrunk is set.
	Graph   *graph.Graph
	Program *progen.Program
	Shrunk  bool
	Tries   int // graphs played to make it small

	target int
	made   *guidedCase // of a guided campaign
}

// CountAll returns how many graphs there are up to a size.
func CountAll(size int) int {
	n := 0
	for range graph.All(size) {
		n++
	}
	return n
}

// fuzzBatch is how many graphs a worker gets at a time.
const fuzzBatch = 32

// programBatch is how many programs it gets: those of a type are loaded together.
const programBatch = 160

func (c *Campaign) batch() int {
	if c.Source.Kind == FuzzInsns {
		return programBatch
	}
	return fuzzBatch
}

// campaign is a running Campaign.
type campaign struct {
	*Campaign
	mu     sync.Mutex
	next   int // first graph that no worker has
	end    int // of those of the shard
	total  int // of them
	done   int
	counts []map[Verdict]int
	found  map[failureKey]*FuzzFailure
	lost   []LostWorker
	news   []FoundCase // of a generation, in order
}

type failureKey struct {
	target  int
	verdict Verdict
}

// Run plays all graphs. When the context ends, it returns what was found until then. The error is a failure
// of ours; unless it is in the campaign itself, what was found until then comes with it.
func (c *Campaign) Run(ctx context.Context) (*CampaignReport, error) {
	if _, err := fuzzTargets(c.Targets, c.Limit); err != nil {
		return nil, err
	}
	r := &campaign{Campaign: c, total: c.Graphs, found: map[failureKey]*FuzzFailure{}}
	if c.Source.All != 0 {
		r.total = CountAll(c.Source.All)
	}
	r.next, r.end = c.Shard.Span(r.total)
	r.total = r.end - r.next
	for range c.Targets {
		r.counts = append(r.counts, map[Verdict]int{})
	}
	working, stop := context.WithCancel(ctx)
	defer stop()
	var kept *CorpusReport
	var err error
	if c.Corpus != nil && c.Generation {
		kept, err = r.runGeneration(working)
	} else if c.Corpus != nil {
		kept, err = r.runGuided(working)
	} else {
		err = r.playAll(working)
	}
	if err != nil {
		stop() // nothing is made small
	}
	out := &CampaignReport{Graphs: r.done, Interrupted: r.done < r.total, Corpus: kept, News: r.news}
	for t, name := range c.Targets {
		out.Targets = append(out.Targets, FuzzedTarget{name, r.counts[t]})
	}
	for _, f := range r.found {
		out.Failures = append(out.Failures, *f)
	}
	slices.SortFunc(out.Failures, func(a, b FuzzFailure) int {
		return cmp.Or(cmp.Compare(a.target, b.target), strings.Compare(string(a.Verdict), string(b.Verdict)))
	})
	if err != nil {
		ctx = working
	}
	err = errors.Join(err, r.finish(ctx, out))
	out.Lost = r.lost
	return out, err
}

// playAll plays all cases in workers.
func (r *campaign) playAll(ctx context.Context) error {
	errs := make([]error, cmp.Or(r.Workers, 2))
	working, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			errs[i] = r.work(working)
			if errs[i] != nil {
				stop() // the others too
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (c *Campaign) client() *worker.Client {
	return &worker.Client{Start: c.Start, Job: FuzzJob, Setup: fuzzSetup{c.Source, c.Targets, c.Limit}, Limit: c.Hang}
}

func (c *Campaign) request(from, to int) *fuzzRequest {
	return &fuzzRequest{From: from, To: to, Only: -1, During: c.During}
}

// work takes batches until there are no more, or the context ends, which is no error.
func (r *campaign) work(ctx context.Context) error {
	c := r.client()
	defer c.Close()
	for ctx.Err() == nil {
		r.mu.Lock()
		from := r.next
		to := min(from+r.batch(), r.end)
		r.next = to
		r.mu.Unlock()
		if from == to {
			return nil
		}
		upTo := to
		for from < to {
			err := worker.Ask(ctx, c, r.request(from, max(upTo, from+1)), func(reply *fuzzReply) {
				from = reply.Graph + 1
				r.note(reply)
			})
			var ended *worker.Ended
			if errors.As(err, &ended) {
				var all *fuzzReply
				if all, err = r.alone(ctx, c, r.request(from, from+1), from, ended.Why); err == nil {
					r.note(all)
				}
				from++
				upTo = from // what was asked together is asked one by one from here on
			}
			switch {
			case ctx.Err() != nil:
				return nil
			case err != nil:
				return err
			}
		}
	}
	return nil
}

// aloneTries is how often a graph is played alone on a target before it is what workers die of: they
// can also die at it, for lack of memory.
const aloneTries = 2

// alone plays case i, which q asks for and a worker has died at, on each target alone.
func (r *campaign) alone(ctx context.Context, c *worker.Client, q *fuzzRequest, i int, why string) (*fuzzReply, error) {
	r.lose(i, why)
	all := &fuzzReply{Graph: i}
	for t := range r.Targets {
		q.Only = t
		for try := 1; ; try++ {
			err := worker.Ask(ctx, c, q, func(reply *fuzzReply) {
				all.Other = append(all.Other, reply.Other...)
				all.Reached = append(all.Reached, reply.Reached...)
				all.Choices = reply.Choices
			})
			if err == nil {
				break
			}
			var ended *worker.Ended
			if !errors.As(err, &ended) {
				return all, err
			}
			if r.lose(i, ended.Why); try == aloneTries {
				all.Other = append(all.Other, fuzzOther{t, VerdictCrash, ended.Why})
				break
			}
		}
	}
	return all, nil
}

// lose notes the end of a worker.
func (r *campaign) lose(i int, why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lost = append(r.lost, LostWorker{i, why})
}

// note counts a graph.
func (r *campaign) note(reply *fuzzReply) { r.noteCase(reply, nil) }

// noteCase counts a case, which made says how to make in a guided campaign.
func (r *campaign) noteCase(reply *fuzzReply, made *guidedCase) {
	r.mu.Lock()
	defer r.mu.Unlock()
	ok := make([]bool, len(r.Targets))
	for i := range ok {
		ok[i] = true
	}
	for _, o := range reply.Other {
		ok[o.Target] = false
		r.counts[o.Target][o.Verdict]++
		j := Judgement{o.Verdict, o.Why}
		if !j.Failed() {
			continue
		}
		k := failureKey{o.Target, o.Verdict}
		f := r.found[k]
		if f == nil {
			f = &FuzzFailure{Target: r.Targets[o.Target], Verdict: o.Verdict, First: reply.Graph, Why: o.Why, Found: o.Why, target: o.Target, made: made}
			if r.found[k] = f; made != nil {
				f.Kept = made.kept
			}
		}
		if f.Count++; reply.Graph < f.First && made == nil {
			f.First, f.Why, f.Found = reply.Graph, o.Why, o.Why
		}
	}
	for t := range ok {
		if ok[t] {
			r.counts[t][VerdictOK]++
		}
	}
	r.done++
	if r.Progress != nil {
		r.Progress(r.done, r.total)
	}
}

// finish finds the graphs of the failures and makes the first ones small.
func (r *campaign) finish(ctx context.Context, out *CampaignReport) error {
	c := r.client()
	defer c.Close()
	graphs := graphWalk{src: r.Source}
	defer graphs.close()
	for i := range out.Failures {
		f := &out.Failures[i]
		if err := r.first(f, &graphs); err != nil {
			return err
		}
		if i < r.Shrink && r.Source.All == 0 && ctx.Err() == nil {
			if err := r.shrink(ctx, c, f); err != nil {
				return err
			}
		}
	}
	out.Interrupted = out.Interrupted || ctx.Err() != nil
	return nil
}

// first finds the first case of a failure.
func (r *campaign) first(f *FuzzFailure, graphs *graphWalk) (err error) {
	switch {
	case f.program(&r.Source):
		f.Program, err = r.program(f, f.stream(&r.Source))
	case f.made != nil:
		f.Graph = graph.Random(graph.Of(f.stream(&r.Source)))
	default:
		f.Graph, err = graphs.graph(f.First)
	}
	return err
}

// program reports whether the first case is a program.
func (f *FuzzFailure) program(src *FuzzSource) bool {
	if f.made != nil {
		return f.made.Program
	}
	return src.Program(f.First)
}

// stream is what the first case is made from.
func (f *FuzzFailure) stream(src *FuzzSource) *choices.Stream {
	if f.made != nil {
		return f.made.stream(src.Seed)
	}
	return choices.New(src.Seed, uint64(f.First))
}

// program makes a program for the target of a failure.
func (r *campaign) program(f *FuzzFailure, c *choices.Stream) (*progen.Program, error) {
	ts, err := fuzzTargets([]string{f.Target}, r.Limit)
	if err != nil {
		return nil, err
	}
	return programOf(c, ts[0]), nil
}

// shrink makes the case of a failure small.
func (r *campaign) shrink(ctx context.Context, c *worker.Client, f *FuzzFailure) error {
	s := &shrinking{campaign: r, c: c, f: f, why: f.Why}
	fails := func(given []uint32) bool { return s.fails(ctx, given) }
	if f.Program == nil {
		start := graph.Of(f.stream(&r.Source))
		graph.Random(start)
		best := graph.Shrink(start.Used(), cmp.Or(r.Tries, 3000), fails)
		f.Graph, f.Shrunk, f.Why = graph.Random(graph.Replay(best)), true, s.why
		return s.failed
	}
	start := f.stream(&r.Source)
	if _, err := r.program(f, start); err != nil {
		return err
	}
	best := choices.Shrink(start.Used(), cmp.Or(r.Tries, 3000), choices.Space{
		Canonical: func(given []uint32) ([]uint32, int) {
			c := choices.Replay(given)
			p, err := r.program(f, c)
			if err != nil {
				return nil, 0
			}
			return c.Used(), p.Size
		},
		Fails: fails, Pieces: []int{64, 32, 16, 8, 5, 4, 3, 2, 1},
	})
	p, err := r.program(f, choices.Replay(best))
	f.Program, f.Shrunk, f.Why = p, true, s.why
	return errors.Join(s.failed, err)
}

// shrinking makes one failure small.
type shrinking struct {
	*campaign
	c      *worker.Client
	f      *FuzzFailure
	why    string
	failed error // of ours
}

// fails plays what choices stand for and says whether it fails as the first case did.
func (s *shrinking) fails(ctx context.Context, given []uint32) bool {
	f := s.f
	if s.failed != nil || ctx.Err() != nil {
		return false
	}
	f.Tries++
	q := s.request(0, 1)
	q.Choices, q.Given, q.Program, q.Only = given, true, f.Program != nil, f.target
	if f.Verdict != VerdictDuring {
		q.During = 0
	}
	hit := false
	err := worker.Ask(ctx, s.c, q, func(reply *fuzzReply) {
		if hit = len(reply.Other) == 1 && reply.Other[0].Verdict == f.Verdict; hit {
			s.why = reply.Other[0].Why
		}
	})
	if ctx.Err() != nil {
		return false
	}
	var ended *worker.Ended
	if errors.As(err, &ended) {
		if hit = f.Verdict == VerdictCrash; hit {
			s.why = ended.Why
		} else {
			s.lose(-1, ended.Why)
		}
		return hit
	}
	s.failed = err
	return hit && err == nil
}
