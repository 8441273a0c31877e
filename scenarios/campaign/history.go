// SPDX-License-Identifier: GPL-2.0-only

package campaign

import (
	"context"
	"slices"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/scenarios"
)

// Span is a row of mainline releases in which a scenario has one verdict.
type Span struct {
	From, To kernels.Version
	Cell     Cell // of From
	// Causes are the facts that give the release before From the verdict of the span: each alone or, if Together, all of
	// them and no fewer. Empty for the first span.
	Causes   []*kernels.Fact
	Together bool
}

// ScenarioHistory is one scenario on every mainline release, oldest first.
type ScenarioHistory struct {
	Scenario string
	Spans    []Span // at least one
}

// PlayHistory plays scenarios on every mainline release without mitigations, each as it was published, and finds
// out what changed where a verdict does. Opt's processes are not used. With an error of the context come the scenarios that were finished.
func PlayHistory(ctx context.Context, bs []*scenarios.Built, opt MatrixOptions) ([]ScenarioHistory, error) {
	var ts []*jit.Target
	releases := kernels.Releases()
	for _, r := range releases {
		ts = append(ts, jit.TargetOfRelease(kernels.Mainline(r.Version)))
	}
	opt.Start, opt.Setup = nil, nil
	progress := opt.Progress
	w := &player{}
	defer w.drop()
	var out []ScenarioHistory
	for n, b := range bs {
		if progress != nil {
			opt.Progress = func(done, total int) { progress(n*total+done, len(bs)*total) }
		}
		m, err := PlayMatrix(ctx, bs[n:n+1], ts, opt)
		if err != nil {
			return out, err
		}
		h := ScenarioHistory{Scenario: b.Scenario.Name}
		for i, r := range releases {
			c := m.Cells[i][0]
			if i > 0 && c.Verdict == m.Cells[i-1][0].Verdict {
				h.Spans[len(h.Spans)-1].To = r.Version
				continue
			}
			s := Span{From: r.Version, To: r.Version, Cell: c}
			if i > 0 {
				s.Causes, s.Together = causes(ctx, w, b, releases[i-1].Version, r.Version, c.Verdict)
			}
			h.Spans = append(h.Spans, s)
		}
		if err := ctx.Err(); err != nil {
			return out, err
		}
		out = append(out, h)
	}
	return out, nil
}

// causes are the facts that began or ended with a release and give the release before it its verdict, alone or together.
func causes(ctx context.Context, w *player, b *scenarios.Built, before, v kernels.Version, want Verdict) (all []*kernels.Fact, together bool) {
	changed := kernels.Changes(v)
	gives := func(facts ...*kernels.Fact) bool {
		c := w.cell(ctx, b, jit.TargetOfRelease(kernels.Mainline(before, flipped(facts, changed)...)))
		return c.Verdict == want
	}
	var candidates []*kernels.Fact
	for _, f := range changed {
		if f.Kind != kernels.FactDesign || f.Holds(v, 0) { // a design ends where another begins
			candidates = append(candidates, f)
		}
	}
	for _, f := range candidates {
		if gives(f) {
			all = append(all, f)
		}
	}
	if len(all) > 0 || !gives(candidates...) {
		return all, false
	}
	all = candidates
	for _, f := range candidates {
		if without := slices.DeleteFunc(slices.Clone(all), func(g *kernels.Fact) bool { return g == f }); gives(without...) {
			all = without
		}
	}
	return all, true
}

// flipped are the names of facts and, with a design, of the one that it takes the place of.
func flipped(facts, changed []*kernels.Fact) []string {
	var names []string
	for _, f := range facts {
		names = append(names, f.Name)
		for _, g := range changed {
			if f.Kind == kernels.FactDesign && g.Kind == kernels.FactDesign && g != f {
				names = append(names, g.Name)
			}
		}
	}
	return names
}
