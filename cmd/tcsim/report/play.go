// SPDX-License-Identifier: GPL-2.0-only

package report

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/tcsim/tcsim/cmd/tcsim/render"
	"github.com/tcsim/tcsim/emu/timing"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/scenarios/measure"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// play is a scenario on one target.
type play struct {
	Row   render.RunRow
	Runs  []*filmed
	Costs []cost // of the first run: as the first after loading, and as one of many if it ends
	// Uncosted says why there are no such costs.
	Uncosted []string

	words *words
	text  *text
}

// filmed is one run of a play.
type filmed struct {
	render.Summary
	Number int  // in the scenario, from 1
	More   bool // there are more events than those
	shots  []shot
}

// opens is the still at which the time line opens: where an invariant broke, else the first.
func (f *filmed) opens() int {
	for i := range f.shots {
		if f.shots[i].No == 0 {
			return i
		}
	}
	return 0
}

// play performs a scenario and films its runs.
func (r *Report) play(ctx context.Context, p *play, s *runner.Session) error {
	res, err := s.Play(ctx)
	if err != nil {
		return err
	}
	p.Row.Fill(res)
	if r.opt.InFull != nil {
		if p.Row.Counted, err = r.opt.InFull(ctx, s, res); err != nil {
			return err
		}
	}
	p.words = newWords()
	p.text = newText(p.words, s.Machine().Code, s.Machine().Bytes)
	return r.filmAll(ctx, p, s, len(res.Runs))
}

// filmAll films the runs of a session, and takes the costs of the first.
func (r *Report) filmAll(ctx context.Context, p *play, s *runner.Session, runs int) error {
	for n := range runs {
		film := func(show func(runner.Still) error) (*runner.Filmed, error) { return s.Film(ctx, n+1, r.opt.Most, show) }
		if err := r.film(p, n+1, s.Machine().Code, film); err != nil {
			return fmt.Errorf("run %d: %w", n+1, err)
		}
	}
	if len(p.Runs) == 0 {
		_, err := p.text.read()
		return err
	}
	return r.costs(ctx, p, s)
}

// film adds a run to a play.
func (r *Report) film(p *play, number int, code *trace.Code, film func(func(runner.Still) error) (*runner.Filmed, error)) error {
	roll := &reel{words: p.words, text: p.text, code: code, stale: true, page: r.opt.PageSize}
	run, err := film(roll.add)
	if err != nil {
		return err
	}
	p.take(run, number, roll)
	return nil
}

// take adds a run that has been filmed.
func (p *play) take(run *runner.Filmed, number int, roll *reel) {
	f := &filmed{Summary: render.Summarise(&run.Run), Number: number, More: run.More, shots: roll.shots}
	if v := run.Violation; v != nil {
		for i := range f.shots {
			if s := &f.shots[i]; s.No == 0 {
				s.What, s.Seq = p.words.of(v.String()), v.Seq
				if v.Insn != nil {
					s.Insn = v.Insn
				}
			}
		}
	}
	p.Runs = append(p.Runs, f)
}

// costs attributes the cycles of the first run.
func (r *Report) costs(ctx context.Context, p *play, s *runner.Session) error {
	if r.opt.Core == nil {
		return nil
	}
	for _, warm := range []bool{false, true} {
		got, err := s.Profile(ctx, 1, r.opt.Core, warm)
		switch {
		case errors.Is(err, runner.ErrEndless) || errors.Is(err, kernels.ErrUnsupported):
			continue // the first run is there
		case errors.Is(err, measure.ErrTooLong):
			p.Uncosted = append(p.Uncosted, err.Error())
			continue
		case err != nil:
			return err
		}
		p.Costs = append(p.Costs, costOf(got))
		if len(p.Costs) == 1 || warm {
			for i := range p.text.Funcs {
				p.text.Funcs[i].Heat = nil
			}
			p.text.heat(got)
		}
	}
	return nil
}

func causes(c *timing.Costs) string { return render.Causes(c) }

// data is a play as the page's script reads it; the stills of its runs are in blocks of their own.
type data struct {
	Scenario  string    `json:"scenario"`
	Target    string    `json:"target"`
	Words     []string  `json:"words"`
	Registers []string  `json:"registers"`
	Text      *text     `json:"text"`
	HeatOf    string    `json:"heat_of,omitempty"`
	Runs      []dataRun `json:"runs"`
	OK        bool      `json:"ok"`
}

// dataRun is a run as the page's script reads it.
type dataRun struct {
	render.Summary
	Number int `json:"number"`
	Stills int `json:"stills"`
	Opens  int `json:"opens"`
	Pages  int `json:"pages"`
	Page   int `json:"page_size"`
}

// data returns the blocks of a play: itself, then the pages of each run.
func (p *play) data(pageSize int) (head json.RawMessage, runs [][]json.RawMessage, err error) {
	d := data{Scenario: p.Row.Scenario, Target: p.Row.Target, Registers: registers(), Text: p.text, OK: p.Row.OK, Runs: []dataRun{}}
	for _, f := range p.Runs {
		ps, err := pages(f.shots, pageSize)
		if err != nil {
			return nil, nil, err
		}
		runs = append(runs, ps)
		d.Runs = append(d.Runs, dataRun{f.Summary, f.Number, len(f.shots), f.opens(), len(ps), pageSize})
	}
	if n := len(p.Costs); n > 0 {
		d.HeatOf = p.Costs[n-1].State()
	}
	if p.words != nil {
		d.Words = p.words.list
	}
	head, err = json.Marshal(d)
	return head, runs, err
}

// cost is where the cycles of a run go.
type cost struct {
	*measure.Profile
	Funcs []costFunc
}

// State says which run it is.
func (c *cost) State() string {
	if c.Warm {
		return "one of many runs in a row"
	}
	return "the first run after loading"
}

// costFunc is a function with the costs of its instructions.
type costFunc struct {
	Name             string
	Cycles, Executed int
	Insns            []costRow
}

// costRow is a BPF instruction. Heat is its part of the run in tenths, and Part in percent.
type costRow struct {
	Insn             int // -1 outside the program's instructions
	Text, Causes     string
	Cycles, Executed int
	Heat             int
	Part             float64
}

func costOf(p *measure.Profile) cost {
	c := cost{Profile: p}
	most := timing.Cycle(1)
	for i := range p.Funcs {
		for k := range p.Funcs[i].Insns {
			most = max(most, p.Funcs[i].Insns[k].Costs.Total())
		}
	}
	for i := range p.Funcs {
		f := &p.Funcs[i]
		out := costFunc{"outside the programs", int(f.Costs.Total()), f.Executed, nil}
		rest := "thunks, helpers"
		if f.Fn != nil {
			out.Name, rest = f.Fn.String(), "prologue, epilogue"
		}
		for k := range f.Insns {
			in := &f.Insns[k]
			n := in.Costs.Total()
			row := costRow{int(in.Insn), in.Text, causes(&in.Costs), int(n), in.Executed, int((n*9 + most - 1) / most), 0}
			if row.Insn < 0 {
				row.Text = rest
			}
			if p.Total > 0 {
				row.Part = float64(n) * 100 / float64(p.Total)
			}
			out.Insns = append(out.Insns, row)
		}
		c.Funcs = append(c.Funcs, out)
	}
	return c
}
