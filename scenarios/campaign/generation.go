// SPDX-License-Identifier: GPL-2.0-only

package campaign

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/tcsim/tcsim/scenarios/corpus"
)

// A generation is a guided campaign whose variants are of cases that the folder holds when it begins. So no case depends on what
// another one found, parts of it can be played apart, and what they found is kept when all of it is there.

// CorpusSame is what parts of a generation have in common.
type CorpusSame struct {
	Folder string `json:"folder,omitempty"` // checksum of what folder and others hold; "" without a folder
	Own    int    `json:"own,omitempty"`    // cases of the folder
	Others int    `json:"others,omitempty"` // cases of others that it lacks
	From   int    `json:"from,omitempty"`   // first new case that is played
}

// FoundCase is a case that reached something that none before it in its part did.
type FoundCase struct {
	At      int      `json:"at"` // in the order of playing, from 0
	Program bool     `json:"program,omitempty"`
	Choices []uint32 `json:"choices,omitempty"` // none of cases of the folder itself
	New     []uint32 `json:"new"`
}

// cases is how many cases a campaign plays in all its parts.
func (s *FuzzSame) cases() int {
	if s.Corpus.Folder == "" {
		return s.Cases
	}
	return s.Corpus.Own + s.Corpus.Others + s.Cases - s.Corpus.From
}

// corpusSame describes the folder as it is before anything is played.
func (c *Campaign) corpusSame() CorpusSame {
	if c.Corpus == nil {
		return CorpusSame{}
	}
	h := sha256.New()
	for _, list := range [][]corpus.Case{c.Corpus.Cases(), c.Corpus.Others} {
		for i := range list {
			fmt.Fprintln(h, list[i].Name())
		}
		fmt.Fprintln(h)
	}
	return CorpusSame{
		Folder: hex.EncodeToString(h.Sum(nil)[:8]), Own: len(c.Corpus.Cases()), Others: len(c.Corpus.Others),
		From: min(c.Corpus.Played(c.describe()), c.Graphs),
	}
}

// runGeneration plays a generation, or a part of one.
func (r *campaign) runGeneration(ctx context.Context) (*CorpusReport, error) {
	g := &guided{campaign: r, folder: r.Corpus, reached: map[uint32]bool{}}
	for range cmp.Or(r.Workers, 2) {
		c := r.client()
		defer c.Close()
		g.clients = append(g.clients, c)
	}
	same := r.same(r.Graphs)
	kept := g.kept()
	at, end := r.Shard.Span(same.cases())
	r.total = end - at
	var err error
	for at < end && ctx.Err() == nil {
		to := min(at+guidedBatches*r.batch(), end)
		var cases []guidedCase
		for i := at; i < to; i++ {
			if i < len(kept) {
				cases = append(cases, kept[i])
			} else {
				cases = append(cases, g.next(same.Corpus.From+i-len(kept)))
			}
		}
		var replies []*fuzzReply
		if replies, err = g.play(ctx, cases, false); err != nil || ctx.Err() != nil {
			break
		}
		for i, reply := range replies {
			f := FoundCase{At: at + i, Program: cases[i].Program}
			for _, x := range reply.Reached {
				if !g.reached[x] {
					g.reached[x] = true
					f.New = append(f.New, x)
				}
			}
			if f.At >= same.Corpus.Own {
				f.Choices = cases[i].Choices
				if cases[i].kept == "" {
					f.Choices = reply.Choices
				}
			}
			if len(f.New) > 0 {
				r.news = append(r.news, f)
			}
		}
		at = to
	}
	if r.Shard.Of != 0 || err != nil {
		return nil, err
	}
	return r.keep(&same, r.news, max(same.Corpus.From, same.Corpus.From+at-len(kept)))
}

// keep adds to the folder what a generation found, in the order of playing; new cases have been played before number to.
func (c *Campaign) keep(same *FuzzSame, found []FoundCase, to int) (*CorpusReport, error) {
	r := &CorpusReport{Began: same.Corpus.Own + same.Corpus.Others, From: same.Corpus.From, To: to}
	reached := map[uint32]bool{}
	for i := range found {
		f, before := &found[i], len(reached)
		for _, x := range f.New {
			reached[x] = true
		}
		if f.At < same.Corpus.Own || len(reached) == before {
			continue
		}
		r.Found++
		if err := c.Corpus.Add(corpus.Case{Program: f.Program, Choices: f.Choices}); err != nil {
			return r, err
		}
	}
	r.Ended, r.Reached = len(c.Corpus.Cases()), len(reached)
	return r, c.Corpus.SetPlayed(c.describe(), to)
}

// KeepMerged does with the campaign's folder what the whole campaign, of which whole is the sum of all parts, would have
// done. The folder must be as it was for the parts.
func (c *Campaign) KeepMerged(whole *FuzzShard) (*CorpusReport, error) {
	switch same := c.same(whole.Campaign.Cases); {
	case whole.Campaign.Corpus.Folder == "" && c.Corpus == nil:
		return nil, nil
	case c.Corpus == nil:
		return nil, errors.New("the parts are of a campaign with a corpus: say --corpus FOLDER, as for the parts")
	case whole.Campaign.Corpus.Folder == "":
		return nil, errors.New("--corpus: the parts are of a campaign without one")
	case same.Corpus != whole.Campaign.Corpus:
		return nil, fmt.Errorf("--corpus: the folder is not as it was for the parts: it had %d cases and %d of others, and has %d and %d",
			whole.Campaign.Corpus.Own, whole.Campaign.Corpus.Others, same.Corpus.Own, same.Corpus.Others)
	}
	return c.keep(&whole.Campaign, whole.Found, whole.Campaign.Cases)
}
