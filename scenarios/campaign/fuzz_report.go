// SPDX-License-Identifier: GPL-2.0-only

package campaign

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"

	"github.com/tcsim/tcsim/emu/check"
	"github.com/tcsim/tcsim/emu/interp"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/graph"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// noName is what cannot stand in the name of a scenario or a file.
var noName = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// Name is the name of the failure's scenario and of its files.
func (f *FuzzFailure) Name(src FuzzSource) string {
	from := fmt.Sprintf("seed%d", src.Seed)
	if src.All != 0 {
		from = fmt.Sprintf("all%d", src.All)
	}
	if f.Kept != "" {
		from = "corpus"
	}
	// A target may be named by a path.
	target := strings.Trim(noName.ReplaceAllString(f.Target, "_"), "_")
	return fmt.Sprintf("fuzz_%s_%d_%s_%s", from, f.First, target, f.Verdict)
}

// Scenario returns the failure as a scenario: its runs expect what BPF has the programs do, so it
// fails on the target; what VerdictDuring is about, tcsim explore shows. limit is that of the campaign, 0 if it left the targets' own.
func (f *FuzzFailure) Scenario(src FuzzSource, limit uint32) (*scenarios.Scenario, error) {
	g := f.Graph
	if g.Limit == 0 {
		limited := *g
		limited.Limit = limit
		g = &limited
	}
	sc := g.Scenario(f.Name(src))
	made := f.origin("graph", src)
	sc.About = fmt.Sprintf("Found by tcsim fuzz (%s). On %s it ends with %s.", made, f.Target, f.Verdict)
	if f.Verdict == VerdictDuring {
		sc.About = fmt.Sprintf("Found by tcsim fuzz (%s). On %s an update breaks a run that goes on: tcsim explore shows how.", made, f.Target)
	}
	t, err := jit.TargetByName(f.Target)
	if err != nil {
		return nil, err
	}
	err = Expect(sc, t.Limit)
	if f.Verdict == Verdict(check.BelowRSP) {
		// What designs are known for is no failure where a file says nothing.
		for i := range sc.Runs {
			sc.Runs[i].Expect.Violates = scenarios.Names{{Text: "none"}}
		}
	}
	return sc, err
}

// origin says where the first case comes from.
func (f *FuzzFailure) origin(what string, src FuzzSource) string {
	made := fmt.Sprintf("%s %d of seed %d", what, f.First, src.Seed)
	switch {
	case f.Kept != "":
		made = fmt.Sprintf("%s of the corpus", f.Kept)
	case src.All != 0:
		made = fmt.Sprintf("%s %d of all up to size %d", what, f.First, src.All)
	case f.made != nil && !f.made.Drawn:
		made += ", made from the corpus"
	}
	if f.Shrunk {
		made += ", made small"
	}
	return made
}

// Expect gives the runs of a graph's scenario the return values and numbers of tail calls that the
// reference interpreter has; limit is for scenarios without one of their own.
func Expect(sc *scenarios.Scenario, limit uint32) error {
	b, err := scenarios.Build(sc)
	if err != nil {
		return err
	}
	limit = cmp.Or(sc.Limit, limit)
	kept, err := referenceRuns(b, interp.Rules{Limit: limit})
	if err != nil {
		return err
	}
	burnt, err := referenceRuns(b, interp.Rules{Limit: limit, BurnEmpty: true})
	if err != nil {
		return err
	}
	n := 0
	for i := range sc.Runs {
		if sc.Runs[i].Run == nil {
			continue
		}
		x := expectation(&kept[n])
		if y := expectation(&burnt[n]); y.Return.V != x.Return.V || y.Taken.V != x.Taken.V {
			x.On = scenarios.Named[scenarios.Expect]{{Name: scenarios.ClassBurnsEmpty, Value: *y}}
		}
		sc.Runs[i].Expect = x
		n++
	}
	return nil
}

func expectation(r *interp.Result) *scenarios.Expect {
	return &scenarios.Expect{
		Return: &scenarios.Int{V: int64(uint32(r.Return))}, Taken: &scenarios.Int{V: int64(r.TakenTotal)},
	}
}

// referenceRuns plays a scenario in the reference interpreter only.
func referenceRuns(b *scenarios.Built, r interp.Rules) (out []interp.Result, err error) {
	for res, err := range runner.Reference(b, r, 0) {
		if err != nil {
			return nil, err
		}
		out = append(out, res)
	}
	return out, nil
}

// Files returns what is written for a failure, by name: the scenario, and the programs as C with
// their test.
func (f *FuzzFailure) Files(src FuzzSource, limit uint32) (map[string]string, error) {
	if f.Program != nil {
		return f.programFiles(src, limit)
	}
	sc, err := f.Scenario(src, limit)
	if err != nil {
		return nil, err
	}
	name := f.Name(src)
	c := cName(name)
	g := *f.Graph
	g.Limit = sc.Limit
	return map[string]string{
		name + ".yaml": graph.Text(sc), c + ".c": g.C(sc.About), c + "_test.c": g.CTest(sc, c),
	}, nil
}

// cName is a name as C can have it.
func cName(name string) string { return strings.NewReplacer(".", "_", "-", "_").Replace(name) }
