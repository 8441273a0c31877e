// SPDX-License-Identifier: GPL-2.0-only

package campaign

import (
	"context"
	"maps"
	"slices"

	"github.com/tcsim/tcsim/jit/x86"
	"github.com/tcsim/tcsim/scenarios/choices"
	"github.com/tcsim/tcsim/scenarios/graph"
	"github.com/tcsim/tcsim/scenarios/progen"
	"github.com/tcsim/tcsim/scenarios/reach"
)

// reaching is what a worker of a guided campaign keeps.
type reaching struct {
	set   *reach.Set
	known map[uint32]bool // what was told of already
}

// playGuided plays the cases of a guided campaign, and answers what each reaches that no question before reached.
func (f *Fuzzer) playGuided(ctx context.Context, src *FuzzSource, r *fuzzRequest, answer func(any) error) error {
	if f.reach == nil {
		f.reach = &reaching{reach.New(new(x86.Cache)), map[uint32]bool{}}
	}
	replies := make([]fuzzReply, len(r.Cases))
	if err := f.guidedPrograms(ctx, src, r, replies); err != nil {
		return err
	}
	news := map[uint32]bool{}
	for i := range r.Cases {
		c, reply := &r.Cases[i], &replies[i]
		if !c.Program {
			if err := f.guidedGraph(ctx, src, r, c, reply); err != nil {
				return err
			}
		}
		if !r.Whole {
			reply.Reached = slices.DeleteFunc(reply.Reached, func(x uint32) bool { return f.reach.known[x] })
		}
		if len(reply.Reached) == 0 {
			reply.Choices = nil
		}
		for _, x := range reply.Reached {
			news[x] = true
		}
		if err := answer(reply); err != nil {
			return err
		}
	}
	maps.Copy(f.reach.known, news)
	return nil
}

// guidedGraph plays a graph.
func (f *Fuzzer) guidedGraph(ctx context.Context, src *FuzzSource, r *fuzzRequest, c *guidedCase, reply *fuzzReply) error {
	s := c.stream(src.Seed)
	g := graph.Random(graph.Of(s))
	if f.Schedules = r.During; c.Number%duringEvery != 0 {
		f.Schedules = 0
	}
	first, ts := f.asked(r)
	js, err := f.playOn(ctx, g, ts)
	if err != nil {
		return err
	}
	reply.others(first, js)
	reply.Reached = f.reach.set.Take()
	reply.Choices = c.choices(nil, s)
	return nil
}

// guidedPrograms plays the programs among the cases, all together on one target after the other.
func (f *Fuzzer) guidedPrograms(ctx context.Context, src *FuzzSource, r *fuzzRequest, replies []fuzzReply) error {
	var cases []int // indexes
	for i := range r.Cases {
		if r.Cases[i].Program {
			cases = append(cases, i)
		}
	}
	if len(cases) == 0 {
		return nil
	}
	f.programs.Reach = f.reach.set
	defer func() { f.programs.Reach, f.programs.Reached = nil, nil }()
	first, ts := f.asked(r)
	for n, t := range ts {
		f.reach.set.On(t.Name)
		all := make([]*progen.Program, len(cases))
		reached := make([][]uint32, len(cases))
		for k, i := range cases {
			s := r.Cases[i].stream(src.Seed)
			all[k] = programOf(s, t)
			replies[i].Choices = r.Cases[i].choices(replies[i].Choices, s)
		}
		f.programs.Reached = func(index int) { reached[index] = f.reach.set.Take() }
		f.reach.set.Take()
		for k, v := range f.playTogether(ctx, all, t) {
			i := cases[k]
			replies[i].other(first+n, Judgement{Verdict(v.Kind), v.Why})
			replies[i].Reached = append(replies[i].Reached, reached[k]...)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// choices are the numbers that a case was made from, as far as the target counts that took most of them.
func (c *guidedCase) choices(before []uint32, s *choices.Stream) []uint32 {
	now := s.Drawn()
	if !c.Drawn {
		now = c.Choices[:min(len(c.Choices), len(s.Used()))]
	}
	if len(before) > len(now) {
		return before
	}
	return now
}
