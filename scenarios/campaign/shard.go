// SPDX-License-Identifier: GPL-2.0-only

package campaign

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Shard is one of several parts of a campaign, each for a machine of its own. The zero value is all of it.
type Shard struct{ Number, Of int } // Number is from 1

// ParseShard reads "3/8".
func ParseShard(text string) (Shard, error) {
	var s Shard
	if n, err := fmt.Sscanf(text, "%d/%d", &s.Number, &s.Of); n != 2 || err != nil || s.Number < 1 || s.Number > s.Of || s.String() != text {
		return Shard{}, fmt.Errorf("expected a part and the number of parts, such as 3/8, found %q", text)
	}
	return s, nil
}

// String returns "3/8".
func (s Shard) String() string { return fmt.Sprintf("%d/%d", s.Number, s.Of) }

// span returns which of so many cases belong to the part.
func (s Shard) span(total int) (from, to int) {
	if s.Of == 0 {
		return 0, total
	}
	return total * (s.Number - 1) / s.Of, total * s.Number / s.Of
}

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
}

// FuzzSame is what all parts of a campaign have in common.
type FuzzSame struct {
	Source  FuzzSource `json:"source"`
	Cases   int        `json:"cases"` // in all parts together
	Targets []string   `json:"targets"`
	Limit   uint32     `json:"limit,omitempty"`
	During  int        `json:"during"`
	Shrink  int        `json:"shrink"`
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
	return FuzzSame{Source: c.Source, Cases: total, Targets: c.Targets, Limit: c.Limit, During: c.During, Shrink: c.Shrink}
}

// File is a report as the file of the campaign's part.
func (c *Campaign) File(r *CampaignReport) (*FuzzShard, error) {
	total := c.Graphs
	if c.Source.All != 0 {
		total = CountAll(c.Source.All)
	}
	s := &FuzzShard{Schema: ShardSchema, Number: c.Shard.Number, Of: c.Shard.Of, Campaign: c.same(total), Cases: r.Graphs, Targets: r.Targets, Failures: []ShardFailure{}}
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
		return nil, fmt.Errorf("expected what tcsim fuzz --shard prints: %w", err)
	case s.Schema != ShardSchema:
		return nil, fmt.Errorf("expected schema %q, found %q", ShardSchema, s.Schema)
	case s.Number < 1 || s.Number > s.Of || len(s.Targets) != len(s.Campaign.Targets):
		return nil, fmt.Errorf("part %d of %d with %d targets of %d is none", s.Number, s.Of, len(s.Targets), len(s.Campaign.Targets))
	}
	from, to := Shard{s.Number, s.Of}.span(s.Campaign.Cases)
	if s.Cases != to-from {
		return nil, fmt.Errorf("part %d/%d has %d cases, expected %d: it was interrupted, run it again", s.Number, s.Of, s.Cases, to-from)
	}
	return &s, nil
}

// Merge adds parts up to the whole campaign. Parts that are missing, there twice, or of another campaign are all named.
func Merge(parts []*FuzzShard, names []string) (*FuzzShard, error) {
	if len(parts) == 0 {
		return nil, fmt.Errorf("expected the files of all parts, found none")
	}
	var wrong []string
	first := parts[0]
	file := map[int]string{}
	for i, p := range parts {
		switch have, twice := file[p.Number]; {
		case p.Of != first.Of || !p.Campaign.equal(&first.Campaign):
			wrong = append(wrong, fmt.Sprintf("%s is of another campaign than %s", names[i], names[0]))
		case twice:
			wrong = append(wrong, fmt.Sprintf("part %d/%d is there twice: %s and %s", p.Number, p.Of, have, names[i]))
		default:
			file[p.Number] = names[i]
		}
	}
	for n := 1; n <= first.Of; n++ {
		if file[n] == "" {
			wrong = append(wrong, fmt.Sprintf("part %d/%d is missing: run it with --shard %d/%d", n, first.Of, n, first.Of))
		}
	}
	if len(wrong) > 0 {
		return nil, fmt.Errorf("%s", strings.Join(wrong, "\n"))
	}
	return add(parts), nil
}

func (s *FuzzSame) equal(o *FuzzSame) bool {
	a, b := *s, *o
	a.Targets, b.Targets = nil, nil
	return slices.Equal(s.Targets, o.Targets) && fmt.Sprint(a) == fmt.Sprint(b)
}

// add adds up all parts of a campaign.
func add(parts []*FuzzShard) *FuzzShard {
	same := parts[0].Campaign
	out := &FuzzShard{Schema: ShardSchema, Number: 1, Of: 1, Campaign: same, Failures: []ShardFailure{}}
	for _, t := range same.Targets {
		out.Targets = append(out.Targets, FuzzedTarget{Target: t, Verdicts: map[Verdict]int{}})
	}
	type kind struct {
		target  string
		verdict Verdict
	}
	found := map[kind]*ShardFailure{}
	for _, p := range parts {
		out.Cases += p.Cases
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
			if f.First < old.First {
				*old = f
			}
			old.Count = n
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
