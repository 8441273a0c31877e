// SPDX-License-Identifier: GPL-2.0-only

package report

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/tcsim/tcsim/cmd/tcsim/render"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/scenarios/interleave"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// diff is the code of a scenario on two targets, as tcsim jit --diff has it.
type diff struct {
	A, B  string // targets
	Funcs []diffFunc
	Why   []runner.Reason // what makes the code differ
}

type diffFunc struct {
	Name           string
	Same           bool
	BytesA, BytesB int
	InsnsA, InsnsB int
	Groups         []diffGroup
}

// diffGroup is the code of a BPF instruction.
type diffGroup struct {
	Where string
	Same  bool
	Grows int // bytes of B less those of A
	Why   string
	Rows  []diffRow
}

// diffRow is a pair of lines. Mark is a word: same, changed, encoding, removed, added.
type diffRow struct {
	Mark, Sign string
	A, B       diffSide
}

// diffSide is an instruction, or nothing.
type diffSide struct {
	Off   string
	Bytes []diffByte
	Text  string
}

// diffByte is a byte in hex; Changed says that the other side has another one there.
type diffByte struct {
	Hex     string
	Changed bool
}

var marks = map[image.DiffMark]string{
	image.DiffSame: "same", image.DiffText: "changed", image.DiffBytes: "encoding", image.DiffOnlyA: "removed", image.DiffOnlyB: "added",
}

func diffOf(a, b *runner.Compiled) diff {
	out := diff{A: a.Target.Name, B: b.Target.Name, Why: runner.Why(a.Built, a.Target, b.Target)}
	both := []*runner.Compiled{a, b}
	names := render.Differences(both)
	for i, d := range render.Diffs(both) {
		f := diffFunc{names[i].Name, d.Same, d.BytesA, d.BytesB, d.InsnsA, d.InsnsB, nil}
		for _, g := range d.Groups {
			group := diffGroup{Where: g.Where(), Same: g.Same, Grows: g.BytesB - g.BytesA, Why: out.why(f.Name, &g)}
			for _, r := range g.Rows {
				group.Rows = append(group.Rows, diffRow{marks[r.Mark], string(rune(r.Mark)), sideOf(r.A, r.B, r.Mark), sideOf(r.B, r.A, r.Mark)})
			}
			f.Groups = append(f.Groups, group)
		}
		out.Funcs = append(out.Funcs, f)
	}
	return out
}

// why names what makes a group differ, with the release since which it holds.
func (d *diff) why(fn string, g *image.DiffGroup) string {
	var out []string
	for i := range d.Why {
		r := &d.Why[i]
		if g.Same || !r.Changes(fn, d.A, d.B, g) {
			continue
		}
		text := r.Name
		if r.When != "" {
			text += " (" + r.When + ")"
		}
		out = append(out, text)
	}
	return strings.Join(out, ", ")
}

// sideOf is a line next to another one.
func sideOf(l, other *image.ListingLine, mark image.DiffMark) diffSide {
	if l == nil {
		return diffSide{}
	}
	s := diffSide{Off: fmt.Sprintf("%x", int(l.Off)), Text: l.Text}
	for i, b := range l.Bytes {
		changed := mark != image.DiffSame && (other == nil || i >= len(other.Bytes) || other.Bytes[i] != b)
		s.Bytes = append(s.Bytes, diffByte{hex.EncodeToString([]byte{b}), changed})
	}
	if len(l.Bytes) == 0 {
		s.Text = "no code"
	}
	return s
}

// schedules are the interleavings of updates with runs on one target.
type schedules struct {
	Target  string
	Updates []schedule
	Why     string // why there are none, "" if there are
}

// schedule is an update. Lanes is the shortest schedule that fails, nil if none does.
type schedule struct {
	render.ExploredUpdate
	Lanes []lane
	Left  int // steps of the update that come later
}

// lane is a row of two lanes: what the processor that runs the program does, and what the one that updates does.
type lane struct {
	Insns, Where, Run string
	Steps             []string
	Fails             bool
}

// explore explores the updates of a scenario.
func explore(ctx context.Context, c *runner.Compiled, o interleave.Options) (schedules, error) {
	out := schedules{Target: c.Target.Name}
	found, err := interleave.Explore(ctx, c, runner.Options{}, o)
	if errors.Is(err, interleave.ErrCannotExplore) {
		out.Why = err.Error()
		return out, nil
	}
	if err != nil {
		return out, err
	}
	for i, u := range render.ExploredUpdates(found) {
		s := schedule{ExploredUpdate: u}
		if f := found[i].Failure; f != nil {
			s.Lanes, s.Left = lanesOf(f), len(u.Steps)-len(f.Steps)
		}
		out.Updates = append(out.Updates, s)
	}
	return out, nil
}

// lanesOf puts events and steps in the order in which they happen.
func lanesOf(f *interleave.FailedSchedule) []lane {
	var out []lane
	step := 0
	steps := func(upTo uint64) {
		for step < len(f.Steps) && f.Steps[step].After <= upTo {
			s := &f.Steps[step]
			row := lane{Insns: fmt.Sprint(s.After), Where: s.Where}
			if s.After == 0 {
				row.Where = "before the run"
			}
			for ; step < len(f.Steps) && f.Steps[step].After == s.After; step++ {
				row.Steps = append(row.Steps, fmt.Sprintf("%d. %s", step+1, f.Steps[step].Step))
			}
			out = append(out, row)
		}
	}
	for i := range f.Events {
		e := &f.Events[i]
		if e.Kind.String() == "poke" {
			continue // a step
		}
		steps(e.Seq)
		out = append(out, lane{Insns: fmt.Sprint(e.Seq), Where: f.Code.Where(e.RIP), Run: e.Kind.String() + ": " + e.What(f.Code)})
	}
	steps(f.Insns)
	return append(out, lane{Insns: fmt.Sprint(f.Violation.Seq), Where: f.Violation.Where, Run: f.Violation.Text, Fails: true})
}

// Wrong reports that something is wrong.
func (s schedule) Wrong() bool {
	return s.Before != nil || s.Update != nil || s.Later != nil || s.Shortest != nil
}

// Verdict says it in words.
func (s schedule) Verdict() string {
	var out []string
	if s.Before != nil {
		return "○ not reached: " + s.Before.String()
	}
	for _, name := range render.SortedKeys(s.Failed) {
		out = append(out, fmt.Sprintf("fails %s in %s", name, s.Failed[name].Schedules))
	}
	if s.Update != nil {
		out = append(out, "the update breaks pokes")
	}
	if s.Later != nil {
		out = append(out, "a later update fails")
	}
	switch {
	case len(out) > 0:
		return "✗ " + strings.Join(out, ", ")
	case !s.Exhaustive:
		return "○ not exhaustive"
	}
	return "✓ passes"
}
