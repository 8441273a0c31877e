// SPDX-License-Identifier: GPL-2.0-only

package campaign

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"

	"github.com/tcsim/tcsim/scenarios/choices"
	"github.com/tcsim/tcsim/scenarios/corpus"
	"github.com/tcsim/tcsim/scenarios/worker"
)

// A guided campaign plays what its folder holds, and then new cases, in rounds: every second one is drawn, as without a
// folder, the others are variants of cases that the folder holds when the round begins. After a round, cases that reached
// something new are kept, in order of their numbers. So what is played depends on seed and folder, not on workers.

// guidedBatches is how many batches a round has.
const guidedBatches = 8

// guidedCase is a case to be played: what Choices stand for, or the one of this number that is drawn.
type guidedCase struct {
	Number  int      `json:"number"`
	Program bool     `json:"program,omitempty"`
	Drawn   bool     `json:"drawn,omitempty"`
	Choices []uint32 `json:"choices,omitempty"`
	kept    string   // name in the folder, "" of new ones
}

// stream is what the case is made from.
func (c *guidedCase) stream(seed uint64) *choices.Stream {
	if c.Drawn {
		return choices.Wide(seed, uint64(c.Number))
	}
	return choices.Replay(c.Choices)
}

// CorpusReport is what a guided campaign did with its folder.
type CorpusReport struct {
	Began, Found, Ended int // cases kept at the beginning, of these and other folders; found to reach something new; kept at the end
	Reached             int // different things that all cases together reach
	From, To            int // numbers of the new cases that were played
}

func (r *CorpusReport) String() string {
	return fmt.Sprintf("corpus: %d cases, of which %d were found now, reach %d ways; played %d kept ones and cases %d to %d",
		r.Ended, r.Found, r.Reached, r.Began, r.From, r.To)
}

// guided is a running guided campaign.
type guided struct {
	*campaign
	folder  *corpus.Folder
	clients []*worker.Client
	reached map[uint32]bool
	report  CorpusReport
}

// describe names a campaign for its folder: all that its cases depend on.
func (c *Campaign) describe() string {
	return fmt.Sprintf("%s of seed %d, limit %d, during %d, on %s", c.Source.Kind.Word(), c.Source.Seed, c.Limit, c.During, strings.Join(c.Targets, ","))
}

// runGuided plays all cases of a guided campaign that have not been played.
func (r *campaign) runGuided(ctx context.Context) (*CorpusReport, error) {
	g := &guided{campaign: r, folder: r.Corpus, reached: map[uint32]bool{}}
	for range cmp.Or(r.Workers, 2) {
		c := r.client()
		defer c.Close()
		g.clients = append(g.clients, c)
	}
	name := r.describe()
	from := min(g.folder.Played(name), r.Graphs)
	kept := g.kept()
	g.report = CorpusReport{Began: len(kept), From: from, To: from}
	r.total = len(kept) + r.Graphs - from
	err := g.begin(ctx, kept)
	for err == nil && ctx.Err() == nil && from < r.Graphs {
		to := min(from+guidedBatches*r.batch(), r.Graphs)
		if err = g.round(ctx, from, to); err != nil || ctx.Err() != nil {
			break
		}
		from = to
		g.report.To = to
		err = g.folder.SetPlayed(name, to)
	}
	g.report.Ended, g.report.Reached = len(g.folder.Cases()), len(g.reached)
	return &g.report, err
}

// OpenCorpus makes the campaign a guided one with the first folder, and with what others have beside that; without folders
// it changes nothing.
func (c *Campaign) OpenCorpus(folders []string, minimise bool) (err error) {
	switch {
	case len(folders) == 0 && minimise:
		return errors.New("--minimise: which folder? expected --corpus FOLDER")
	case len(folders) == 0 && c.Generation:
		return errors.New("--generation: of which folder? expected --corpus FOLDER")
	case len(folders) == 0:
		return nil
	case c.Source.All != 0:
		return errors.New("--corpus is for random cases, --exhaustive plays every graph")
	case c.Shard.Of != 0 && !c.Generation:
		return errors.New("--corpus and --shard: a part does not know what others find; expected --generation, which varies what the folder holds at the beginning")
	case c.Generation && minimise:
		return errors.New("--generation and --minimise exclude each other: minimise afterwards")
	}
	c.Minimise = minimise
	c.Corpus, err = corpus.Open(folders[0], folders[1:]...)
	return err
}

// kept are the cases of the folder, and then those of the others.
func (g *guided) kept() (out []guidedCase) {
	for _, list := range [][]corpus.Case{g.folder.Cases(), g.folder.Others} {
		for _, c := range list {
			out = append(out, guidedCase{Number: len(out), Program: c.Program, Choices: c.Choices, kept: c.Name()})
		}
	}
	return out
}

// begin plays what is kept: all of the folder, which stays as it is or is minimised, and of others what adds something.
func (g *guided) begin(ctx context.Context, kept []guidedCase) error {
	replies, err := g.play(ctx, kept, g.Minimise)
	if err != nil || ctx.Err() != nil {
		return err
	}
	var all []corpus.Reached
	own := len(g.folder.Cases())
	for i := range kept {
		news := g.news(replies[i])
		c := corpus.Case{Program: kept[i].Program, Choices: kept[i].Choices}
		all = append(all, corpus.Reached{Case: c, Set: replies[i].Reached})
		if i >= own && news {
			g.report.Found++
			if err := g.folder.Add(c); err != nil {
				return err
			}
		}
	}
	if !g.Minimise {
		return nil
	}
	if err := g.folder.Keep(corpus.Minimise(all)); err != nil {
		return err
	}
	g.report.Found = max(0, len(g.folder.Cases())-own)
	return nil
}

// news notes what a case reached and reports whether something was new.
func (g *guided) news(reply *fuzzReply) bool {
	before := len(g.reached)
	for _, x := range reply.Reached {
		g.reached[x] = true
	}
	return len(g.reached) > before
}

// round plays new cases and keeps those that reach something new.
func (g *guided) round(ctx context.Context, from, to int) error {
	var cases []guidedCase
	for i := from; i < to; i++ {
		cases = append(cases, g.next(i))
	}
	replies, err := g.play(ctx, cases, false)
	if err != nil || ctx.Err() != nil {
		return err
	}
	for i := range cases {
		if !g.news(replies[i]) {
			continue
		}
		g.report.Found++
		if err := g.folder.Add(corpus.Case{Program: cases[i].Program, Choices: replies[i].Choices}); err != nil {
			return err
		}
	}
	return nil
}

// next makes the new case of a number.
func (g *guided) next(i int) guidedCase {
	c := guidedCase{Number: i, Program: g.Source.Program(i), Drawn: true}
	if i/2%2 == 0 { // of both kinds, as a mixed campaign has every second case
		return c
	}
	v, ok := g.folder.Vary(rand.New(rand.NewPCG(g.Source.Seed, ^uint64(i))), c.Program)
	if ok {
		c.Drawn, c.Choices = false, v.Choices
	}
	return c
}

// play plays cases, batch by batch, and counts them in their order. The replies are in that order, too; when the context
// ends, some are missing.
func (g *guided) play(ctx context.Context, cases []guidedCase, whole bool) ([]*fuzzReply, error) {
	replies := make([]*fuzzReply, len(cases))
	size := g.batch()
	var mu sync.Mutex
	next := 0
	take := func() (from, to int) {
		mu.Lock()
		defer mu.Unlock()
		from = next
		next = min(next+size, len(cases))
		return from, next
	}
	working, stop := context.WithCancel(ctx)
	defer stop()
	errs := make([]error, len(g.clients))
	var wg sync.WaitGroup
	for i, client := range g.clients {
		wg.Go(func() {
			for errs[i] == nil && working.Err() == nil {
				from, to := take()
				if from == to {
					return
				}
				errs[i] = g.ask(working, client, cases[from:to], replies[from:to], whole)
			}
			if errs[i] != nil {
				stop()
			}
		})
	}
	wg.Wait()
	for i, reply := range replies {
		if reply != nil {
			g.count(&cases[i], reply)
		}
	}
	return replies, errors.Join(errs...)
}

// count counts a case and keeps how those of failures are made.
func (g *guided) count(c *guidedCase, reply *fuzzReply) {
	reply.Graph = c.Number
	g.noteCase(reply, c)
}

// ask has a worker play cases. One at which it ends is played alone, as without a folder.
func (g *guided) ask(ctx context.Context, client *worker.Client, cases []guidedCase, replies []*fuzzReply, whole bool) error {
	at, upTo := 0, len(cases)
	for at < len(cases) {
		q := &fuzzRequest{Cases: cases[at:max(upTo, at+1)], Only: -1, During: g.During, Whole: whole}
		err := worker.Ask(ctx, client, q, func(reply *fuzzReply) {
			replies[at] = reply
			at++
		})
		var ended *worker.Ended
		if errors.As(err, &ended) {
			q.Cases = cases[at : at+1]
			replies[at], err = g.alone(ctx, client, q, cases[at].Number, ended.Why)
			at++
			upTo = at
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		}
	}
	return nil
}
