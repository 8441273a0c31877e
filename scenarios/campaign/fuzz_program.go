// SPDX-License-Identifier: GPL-2.0-only

package campaign

import (
	"context"
	"fmt"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/scenarios/choices"
	"github.com/tcsim/tcsim/scenarios/lockstep"
	"github.com/tcsim/tcsim/scenarios/progen"
)

// programOf makes the program of a case for a target.
func programOf(c *choices.Stream, t *jit.Target) *progen.Program {
	return progen.Random(c, progen.Of(&t.Kernel))
}

// playPrograms plays the programs that a request asks for, all together, which takes less time than one after the
// other. The answers are by the number of the case.
func (f *Fuzzer) playPrograms(ctx context.Context, src *FuzzSource, r *fuzzRequest) (map[int]fuzzReply, error) {
	if r.Given && !r.Program {
		return nil, nil
	}
	var cases []int
	for i := r.From; i < r.To; i++ {
		if r.Given || src.Program(i) {
			cases = append(cases, i)
		}
	}
	out := make(map[int]fuzzReply, len(cases))
	for _, i := range cases {
		out[i] = fuzzReply{Graph: i}
	}
	if len(cases) == 0 {
		return nil, nil
	}
	for n, t := range f.targets {
		if r.Only >= 0 && n != r.Only {
			continue
		}
		all := make([]*progen.Program, len(cases))
		for k, i := range cases {
			c := choices.New(src.Seed, uint64(i))
			if r.Given {
				c = choices.Replay(r.Choices)
			}
			all[k] = programOf(c, t)
		}
		for k, v := range f.playTogether(ctx, all, t) {
			if v.Kind != lockstep.OK {
				reply := out[cases[k]]
				reply.Other = append(reply.Other, fuzzOther{n, Verdict(v.Kind), v.Why})
				out[cases[k]] = reply
			}
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// playTogether plays programs on a target. After a failure of ours they are played one by one, in new machines.
func (f *Fuzzer) playTogether(ctx context.Context, all []*progen.Program, t *jit.Target) []lockstep.Verdict {
	out, err := f.playProtected(ctx, all, t)
	if err == nil || ctx.Err() != nil {
		return out
	}
	out = nil
	for _, p := range all {
		v, err := f.playProtected(ctx, []*progen.Program{p}, t)
		if err != nil {
			v = []lockstep.Verdict{{Kind: lockstep.Kind(VerdictError), Why: err.Error()}}
		}
		out = append(out, v...)
	}
	return out
}

func (f *Fuzzer) playProtected(ctx context.Context, all []*progen.Program, t *jit.Target) (out []lockstep.Verdict, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
		if err != nil {
			_ = f.programs.Close() // and made anew with the next program
		}
	}()
	return f.programs.Play(ctx, all, t)
}

// ProgramFiles are what is written for a program that fails: a scenario, a selftest and a row of lib/test_bpf.c, as far as
// it can be said in these.
func (f *FuzzFailure) programFiles(src FuzzSource, limit uint32) (map[string]string, error) {
	t, err := fuzzTargets([]string{f.Target}, limit)
	if err != nil {
		return nil, err
	}
	made := f.origin("program", src)
	about := fmt.Sprintf("Found by tcsim fuzz (%s). On %s it ends with %s.", made, f.Target, f.Verdict)
	name := f.Name(src)
	out := map[string]string{}
	returns, err := lockstep.Expect(f.Program, t[0])
	if err != nil {
		out[name+".txt"] = about + "\n" + err.Error() + "\n\n" + f.Program.Asm()
		return out, nil
	}
	c := cName(name)
	out[name+".yaml"] = f.Program.Scenario(name, about, uint32(returns))
	if text, ok := f.Program.Selftest(c, about, uint32(returns)); ok {
		out[c+"_test.c"] = text
	}
	if text, ok := f.Program.Row(name, uint32(returns)); ok {
		out[c+"_row.c"] = text
	}
	return out, nil
}
