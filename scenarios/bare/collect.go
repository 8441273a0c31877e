// SPDX-License-Identifier: GPL-2.0-only

package bare

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/timing/measured"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// LeftOut is runs of a scenario of which there is no sequence.
type LeftOut struct {
	Scenario string
	Runs     []int // from 1; nil for all
	Targets  []string
	Why      string // a line
}

// Collection is the sequences of scenarios, by scenario, target and run. A sequence is named after
// scenario and run; its kind is the target.
type Collection struct {
	Sequences []measured.Sequence
	LeftOut   []LeftOut
}

// Collect makes a sequence of every run of every scenario on every target that can do without a kernel.
// progress, if not nil, is called after each scenario on a target.
func Collect(ctx context.Context, bs []*scenarios.Built, ts []*jit.Target, progress func(done, total int)) (*Collection, error) {
	m, err := emu.New(emu.Config{})
	if err != nil {
		return nil, err
	}
	defer m.Close()
	c := &Collection{}
	var s *runner.Session
	defer func() {
		if s != nil {
			_ = s.Close()
		}
	}()
	for i, b := range bs {
		for k, t := range ts {
			compiled, err := runner.Compile(b, t)
			if errors.Is(err, kernels.ErrUnsupported) {
				c.leaveOut(b.Scenario.Name, nil, t, err)
				continue
			}
			if err != nil {
				return nil, err
			}
			if s, err = s.OpenNext(compiled, runner.Options{}); err != nil {
				s = nil
				return nil, err
			}
			if err := c.runs(ctx, s, b, t, m); err != nil {
				return nil, fmt.Errorf("scenario %s on %s: %w", b.Scenario.Name, t.Name, err)
			}
			if progress != nil {
				progress(i*len(ts)+k+1, len(bs)*len(ts))
			}
		}
	}
	c.align()
	return c, nil
}

// align gives all sequences as much memory as any of them has, as a file of them says it once.
func (c *Collection) align() {
	var end image.Addr
	span := 0
	for i := range c.Sequences {
		stack := c.Sequences[i].Stack
		end, span = max(end, stack.Addr+image.Addr(stack.Size)), max(span, stack.Size)
	}
	span += int(end - stackPage) // wherever a stack ends
	for i := range c.Sequences {
		c.Sequences[i].Data.Size = span
		c.Sequences[i].Stack = measured.Span{Addr: end - image.Addr(span), Size: span}
	}
}

// runs adds the runs of a scenario on a target.
func (c *Collection) runs(ctx context.Context, s *runner.Session, b *scenarios.Built, t *jit.Target, m *emu.Machine) error {
	n := 0
	for _, a := range b.Actions {
		if a.Kind != scenarios.ActRun {
			continue
		}
		n++
		q, err := Sequence(ctx, s, n, m)
		switch {
		case errors.Is(err, ErrNeedsKernel) || errors.Is(err, kernels.ErrUnsupported):
			c.leaveOut(b.Scenario.Name, []int{n}, t, err)
			continue
		case err != nil:
			return fmt.Errorf("run %d: %w", n, err)
		}
		q.Name, q.Kind = b.Scenario.Name+"@"+t.Name, t.Name
		if n > 1 {
			q.Name = fmt.Sprintf("%s#%d@%s", b.Scenario.Name, n, t.Name)
		}
		q.Description = fmt.Sprintf("run %d of scenario %s on %s", n, b.Scenario.Name, t.Name)
		c.Sequences = append(c.Sequences, *q)
	}
	return nil
}

// leaveOut notes why a run is left out, once for targets of which the same is true.
func (c *Collection) leaveOut(scenario string, runs []int, t *jit.Target, why error) {
	text, _, _ := strings.Cut(strings.TrimPrefix(why.Error(), ErrNeedsKernel.Error()+": "), "\n")
	for i := range c.LeftOut {
		if l := &c.LeftOut[i]; l.Scenario == scenario && slices.Equal(l.Runs, runs) && l.Why == text {
			l.Targets = append(l.Targets, t.Name)
			return
		}
	}
	c.LeftOut = append(c.LeftOut, LeftOut{scenario, runs, []string{t.Name}, text})
}

// joined is LeftOut with runs together that are left out for the same reason.
func (c *Collection) joined() []LeftOut {
	var out []LeftOut
next:
	for _, l := range c.LeftOut {
		for i := range out {
			if o := &out[i]; o.Scenario == l.Scenario && o.Why == l.Why && slices.Equal(o.Targets, l.Targets) && l.Runs != nil {
				o.Runs = append(o.Runs, l.Runs...)
				continue next
			}
		}
		l.Runs = slices.Clone(l.Runs)
		out = append(out, l)
	}
	return out
}

// WriteText says what is left out, a line each.
func (c *Collection) WriteText(w io.Writer) error {
	for _, l := range c.joined() {
		what := "scenario " + l.Scenario
		switch runs := strings.Trim(strings.ReplaceAll(fmt.Sprint(l.Runs), " ", ", "), "[]"); len(l.Runs) {
		case 0:
		case 1:
			what = "run " + runs + " of " + what
		default:
			what = "runs " + runs + " of " + what
		}
		if _, err := fmt.Fprintf(w, "left out: %s on %s: %s\n", what, strings.Join(l.Targets, ", "), l.Why); err != nil {
			return err
		}
	}
	return nil
}
