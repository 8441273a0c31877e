// SPDX-License-Identifier: GPL-2.0-only

package campaign

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/tcsim/tcsim/jit/filekind"
	"github.com/tcsim/tcsim/jit/parts"
)

// ShardSchema names the form of files of parts.
const ShardSchema = "tcsim.fuzz-shard/v1"

// FuzzShard is what a part of a campaign found: a file that Merge reads.
type FuzzShard struct {
	Schema   string         `json:"schema"`
	Number   int            `json:"shard"`
	Of       int            `json:"of"`
	Campaign FuzzSame       `json:"campaign"`
	Cases    int            `json:"cases"` // played
	Targets  []FuzzedTarget `json:"targets"`
	Failures []ShardFailure `json:"failures"`
	Found    []FoundCase    `json:"found,omitempty"` // of a generation, in the order of playing
}

// FuzzSame is what all parts of a campaign have in common.
type FuzzSame struct {
	Source  FuzzSource `json:"source"`
	Cases   int        `json:"cases"` // in all parts together
	Targets []string   `json:"targets"`
	Limit   uint32     `json:"limit,omitempty"`
	During  int        `json:"during"`
	Shrink  int        `json:"shrink"`
	Corpus  CorpusSame `json:"corpus,omitzero"`
}

// ShardFailure is a failure with its files. A part makes as many small as the whole would: what is first of a kind in the
// whole is first in its part.
type ShardFailure struct {
	Target  string            `json:"target"`
	Verdict Verdict           `json:"verdict"`
	Count   int               `json:"count"`
	First   int               `json:"first"`
	Why     string            `json:"why"`
	Found   string            `json:"found"` // Why before it was made small
	Shrunk  bool              `json:"shrunk"`
	Tries   int               `json:"tries,omitempty"`
	Files   map[string]string `json:"files,omitempty"` // text by name
}

// same is what a campaign has in common with other parts of it.
func (c *Campaign) same(total int) FuzzSame {
	s := FuzzSame{Source: c.Source, Cases: total, Targets: c.Targets, Limit: c.Limit, During: c.During, Shrink: c.Shrink}
	if c.Generation {
		s.Corpus = c.corpusSame()
	}
	return s
}

// File is a report as the file of the campaign's part.
func (c *Campaign) File(r *CampaignReport) (*FuzzShard, error) {
	total := c.Graphs
	if c.Source.All != 0 {
		total = CountAll(c.Source.All)
	}
	s := &FuzzShard{Schema: ShardSchema, Number: c.Shard.Number, Of: c.Shard.Of, Campaign: c.same(total), Cases: r.Graphs, Targets: r.Targets, Failures: []ShardFailure{}, Found: r.News}
	for i := range r.Failures {
		f := &r.Failures[i]
		x := ShardFailure{Target: f.Target, Verdict: f.Verdict, Count: f.Count, First: f.First, Why: f.Why, Found: f.Found, Shrunk: f.Shrunk, Tries: f.Tries}
		if i < c.Shrink {
			files, err := f.Files(c.Source, c.Limit)
			if err != nil {
				return nil, err
			}
			x.Files = files
		}
		s.Failures = append(s.Failures, x)
	}
	return s, nil
}

// ReadShard reads the file of a part. What is not one is an error that says so.
func ReadShard(text []byte) (*FuzzShard, error) {
	var s FuzzShard
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	switch err := d.Decode(&s); {
	case err != nil:
		return nil, filekind.Explain(fmt.Errorf("expected what tcsim fuzz --shard prints: %w", err), text)
	case s.Schema != ShardSchema:
		return nil, fmt.Errorf("expected schema %q, found %q", ShardSchema, s.Schema)
	case s.Number < 1 || s.Number > s.Of || len(s.Targets) != len(s.Campaign.Targets):
		return nil, fmt.Errorf("part %d of %d with %d targets of %d is none", s.Number, s.Of, len(s.Targets), len(s.Campaign.Targets))
	}
	from, to := parts.Shard{Number: s.Number, Of: s.Of}.Span(s.Campaign.cases())
	if s.Cases != to-from {
		return nil, fmt.Errorf("part %d/%d has %d cases, expected %d: it was interrupted, run it again", s.Number, s.Of, s.Cases, to-from)
	}
	return &s, nil
}

// Merge adds parts up to the whole campaign. Parts that are missing, there twice, or of another campaign are all named.
func Merge(files []*FuzzShard, names []string) (*FuzzShard, error) {
	if len(files) == 0 {
		return nil, fmt.Errorf("expected the files of all parts, found none")
	}
	var each []parts.Named
	for i, f := range files {
		p := parts.Named{File: names[i], Shard: parts.Shard{Number: f.Number, Of: f.Of}}
		if f.Of != files[0].Of || !f.Campaign.equal(&files[0].Campaign) {
			p.Odd = "is of another campaign than " + names[0]
		}
		each = append(each, p)
	}
	if err := parts.Complete(each); err != nil {
		return nil, err
	}
	files = slices.SortedFunc(slices.Values(files), func(a, b *FuzzShard) int { return cmp.Compare(a.Number, b.Number) })
	return add(files), nil
}

func (s *FuzzSame) equal(o *FuzzSame) bool {
	a, b := *s, *o
	a.Targets, b.Targets = nil, nil
	return slices.Equal(s.Targets, o.Targets) && fmt.Sprint(a) == fmt.Sprint(b)
}

// add adds up all parts of a campaign, in their order.
func add(files []*FuzzShard) *FuzzShard {
	same := files[0].Campaign
	out := &FuzzShard{Schema: ShardSchema, Number: 1, Of: 1, Campaign: same, Failures: []ShardFailure{}}
	for _, t := range same.Targets {
		out.Targets = append(out.Targets, FuzzedTarget{Target: t, Verdicts: map[Verdict]int{}})
	}
	type kind struct {
		target  string
		verdict Verdict
	}
	found := map[kind]*ShardFailure{}
	for _, p := range files {
		out.Cases += p.Cases
		out.Found = append(out.Found, p.Found...)
		for i := range p.Targets {
			for v, n := range p.Targets[i].Verdicts {
				out.Targets[i].Verdicts[v] += n
			}
		}
		for _, f := range p.Failures {
			k := kind{f.Target, f.Verdict}
			old := found[k]
			if old == nil {
				found[k] = &f
				continue
			}
			n := old.Count + f.Count
			old.Count = n // what is first in the earlier part is first in the whole
		}
	}
	for _, f := range found {
		out.Failures = append(out.Failures, *f)
	}
	slices.SortFunc(out.Failures, func(a, b ShardFailure) int {
		return cmp.Or(cmp.Compare(slices.Index(same.Targets, a.Target), slices.Index(same.Targets, b.Target)), strings.Compare(string(a.Verdict), string(b.Verdict)))
	})
	for i := range out.Failures {
		if i >= same.Shrink {
			f := &out.Failures[i]
			f.Why, f.Shrunk, f.Tries, f.Files = f.Found, false, 0, nil
		}
	}
	return out
}
