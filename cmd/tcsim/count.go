// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/cmd/tcsim/render"
	"github.com/tcsim/tcsim/emu/count"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/scenarios/measure"
	"github.com/tcsim/tcsim/scenarios/replay"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// defaultGHz is the frequency for which seconds are reported if none is given.
const defaultGHz = 3.0

func (e env) countCommand() *cli.Command {
	return &cli.Command{
		Name:      "count",
		Usage:     "count exactly what a run does, however long it would take",
		ArgsUsage: "SCENARIO|FILE.o",
		Description: "Executes each call once for every state that matters to it, and so finds the exact numbers of\n" +
			"tail calls, calls and instructions and the final map values of runs of any length. If a run\n" +
			"never ends, this proves that it repeats itself. docs/counting.md explains the method.\n\n" +
			"Examples:\n   tcsim count hierarchy --target 6.1\n" +
			"   tcsim count --capture fixtures/kernels/6.1-off.jsonl.gz --scenario hier/self/const/n2/r6\n\n" +
			"A count that reaches a bound is undecided: exit code 125.\n\n" + exitCodesInHelp,
		Flags: append(objectFlags(),
			targetFlag(true), limitFlag(), runFlag(),
			&cli.StringFlag{Name: "capture", Usage: "count scenarios of this capture of a real kernel's images"},
			&cli.StringFlag{Name: "scenario", Aliases: []string{"s"}, Usage: "with --capture: only this one, or with a star at the end all that begin with it"},
			&cli.FloatFlag{Name: "ghz", Value: defaultGHz, Usage: "frequency of the CPU, for seconds"},
			&cli.StringFlag{Name: "core", Usage: "core whose cycles are reported"},
			&cli.Uint64Flag{Name: "max-steps", Value: count.DefaultMaxSteps, Usage: "give up after executing this many instructions"},
			&cli.IntFlag{Name: "max-summaries", Value: count.DefaultMaxSummaries, Usage: "give up after this many summaries"},
			&cli.BoolFlag{Name: "no-reuse", Usage: "execute every call, as plain emulation does"},
			&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "show summaries, memory and time on stderr"},
			jsonFlag(),
		),
		Action: e.count,
	}
}

func (e env) count(ctx context.Context, cmd *cli.Command) error {
	if cmd.Float("ghz") <= 0 {
		return badUsage("--ghz: expected a frequency above 0, found %v", cmd.Float("ghz"))
	}
	o := measure.CountOptions{
		MaxSteps: cmd.Uint64("max-steps"), MaxSummaries: cmd.Int("max-summaries"),
		NoReuse: cmd.Bool("no-reuse"), Core: cmd.String("core"),
	}
	list, err := e.countAll(ctx, cmd, o)
	if err != nil {
		return err
	}
	if cmd.Bool("json") {
		results := make([]countResult, 0, len(list))
		for _, c := range list {
			results = append(results, countJSON(c, cmd.Float("ghz"), cmd.Bool("verbose")))
		}
		err = render.JSON(e.stdout, countResults{results, render.SchemaCount})
	} else {
		for i, c := range list {
			if i > 0 {
				fmt.Fprintln(e.stdout)
			}
			fmt.Fprint(e.stdout, countText(c, cmd.Float("ghz")))
		}
	}
	if err != nil {
		return err
	}
	for _, c := range list {
		if cmd.Bool("verbose") {
			fmt.Fprint(e.stderr, countDetails(c))
		}
		if !c.OK() {
			err = errFailed
		}
	}
	return err
}

func (e env) countAll(ctx context.Context, cmd *cli.Command, o measure.CountOptions) ([]*runner.Counted, error) {
	if path := cmd.String("capture"); path != "" {
		if cmd.NArg() != 0 {
			return nil, badUsage("count takes a scenario or --capture, not both")
		}
		return e.countCapture(ctx, path, cmd.String("scenario"), o)
	}
	if cmd.String("scenario") != "" {
		return nil, badUsage("--scenario chooses from a capture: --capture is missing")
	}
	s, err := e.openOne(cmd, nil)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	c, err := s.Count(ctx, cmd.Int("run"), o)
	if err != nil {
		return nil, countError(err)
	}
	return []*runner.Counted{c}, nil
}

func (e env) countCapture(ctx context.Context, path, pattern string, o measure.CountOptions) ([]*runner.Counted, error) {
	src, t, err := openCapture(path)
	if err != nil {
		return nil, err
	}
	picked, err := replay.Select(src, pattern)
	if err != nil {
		return nil, badInput(err)
	}
	r, err := replay.New(runner.Options{})
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var out []*runner.Counted
	for _, i := range picked {
		c, err := replay.Capture(src, t, i)
		if err != nil {
			return nil, badInput(err)
		}
		n, err := r.Count(ctx, c, o)
		if (errors.Is(err, replay.ErrNotCaptured) || errors.Is(err, kernels.ErrUnsupported)) && len(picked) > 1 {
			fmt.Fprintf(e.stderr, "%v\n", err)
			continue
		}
		if err != nil {
			return nil, countError(err)
		}
		out = append(out, n)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s: %w: none of %s can be counted", path, errUntestable, render.Plural(len(picked), "scenario"))
	}
	return out, nil
}

// countError tells a count that found no answer from a wrong question.
func countError(err error) error {
	if errors.Is(err, count.ErrUndecided) || errors.Is(err, context.Canceled) {
		return err
	}
	return badInput(err)
}

// countText is the verdict as text.
func countText(c *runner.Counted, ghz float64) string {
	var b strings.Builder
	line := func(what, format string, args ...any) {
		fmt.Fprintf(&b, "  %-22s%s\n", what, fmt.Sprintf(format, args...))
	}
	fmt.Fprintf(&b, "%s on %s, %s: %s\n", c.Scenario, c.Target, c.Program, countVerdict(c))
	if c.Endless != nil {
		endlessText(&b, c.Endless)
		fmt.Fprintf(&b, "  Executed until then:\n")
	}
	if c.Fault != nil {
		folded(&b, "It ends in a fault: "+c.Fault.Error())
	}
	line("tail calls taken", "%s (limit %d)", grouped(c.TailCalls), c.Limit)
	line("tail calls refused", "%s", refusedText(c))
	line("calls", "%s of functions, %s of helpers", grouped(c.Calls), grouped(c.Helpers))
	what := "entries"
	for _, s := range c.Starts {
		line(what, "%s %s", grouped(s.N), s.Function)
		what = ""
	}
	line("instructions", "%s", grouped(c.Insns))
	line("deepest stack", "%s bytes", groupDigits(fmt.Sprint(c.Deepest)))
	if c.Endless == nil && c.Fault == nil {
		line("returns", "%d", int32(c.Final.R[0]))
	}
	valuesText(line, c.Values)
	timingText(line, c, ghz)
	if c.NotJudged != "" {
		folded(&b, "Not judged: the scenario expects a violation of "+c.NotJudged+", which tcsim run looks for.")
	}
	for _, m := range c.Mismatches {
		folded(&b, "NOT AS EXPECTED: "+m.String())
	}
	for _, w := range c.Wrong {
		folded(&b, "NOT AS THE KERNEL: "+w)
	}
	return b.String()
}

// folded writes a sentence of a verdict in as many lines as it takes.
func folded(b *strings.Builder, text string) {
	for i, line := range render.Fold(text, render.Width-4) {
		fmt.Fprintf(b, "%s%s\n", strings.Repeat(" ", 2+2*min(i, 1)), line)
	}
}

// refusedText lists the reasons that occur.
func refusedText(c *runner.Counted) string {
	var out []string
	for _, r := range []struct {
		n   *big.Int
		why string
	}{{c.RefusedLimit, "by the limit"}, {c.RefusedBounds, "out of bounds"}, {c.RefusedEmpty, "with an empty slot"}} {
		if r.n.Sign() != 0 {
			out = append(out, grouped(r.n)+" "+r.why)
		}
	}
	if len(out) == 0 {
		return "none"
	}
	return strings.Join(out, ", ")
}

// maxValues bounds the integers in map values that are shown as text.
const maxValues = 16

func valuesText(line func(string, string, ...any), values []measure.MapValue) {
	var all []string
	for _, v := range values {
		all = append(all, words(v)...)
	}
	what := "map values"
	for i, w := range all {
		if i == maxValues {
			line("", "(%d more, see --json)", len(all)-i)
			break
		}
		line(what, "%s", w)
		what = ""
	}
}

// timingText says what a kernel would feel.
func timingText(line func(string, string, ...any), c *runner.Counted, ghz float64) {
	t := c.Timing
	switch {
	case c.Endless != nil:
		line("time", "never ends: soft lockup (%d s) and RCU stall (%d s)", measure.SoftLockupSeconds, measure.RCUStallSeconds)
		return
	case t == nil:
		line("cycles", "unknown: %s", c.NoTiming)
		return
	case t.Whole:
		line("cycles", "%s (%s)", grouped(t.Cycles), t.Core)
	default:
		line("cycles", "about %s (%s: %.2f per instruction in the first %s)", grouped(t.Cycles), t.Core,
			float64(t.SampledCycles)/float64(t.Sampled), groupDigits(fmt.Sprint(t.Sampled)))
	}
	s := t.Seconds(ghz)
	line("time", "%s at %g GHz: %s", duration(s), ghz, stalls(s))
}

// countVerdict says the most important thing in a few words.
func countVerdict(c *runner.Counted) string {
	switch {
	case c.Endless != nil:
		return "never ends"
	case c.Fault != nil:
		return fmt.Sprintf("%s tail calls, then a fault", grouped(c.TailCalls))
	case c.LimitBroken():
		return fmt.Sprintf("%s tail calls, more than the limit of %d", grouped(c.TailCalls), c.Limit)
	}
	return fmt.Sprintf("%s tail calls", grouped(c.TailCalls))
}

// countSentence is a verdict in one sentence, for other commands.
func countSentence(c *runner.Counted, ghz float64) string {
	if e := c.Endless; e != nil {
		return fmt.Sprintf("it never ends: the same %s instructions with %s tail calls repeat from the landing of %s",
			grouped(e.Insns), grouped(e.Tails), e.Function)
	}
	s := fmt.Sprintf("it makes %s tail calls, %s calls, %s instructions",
		grouped(c.TailCalls), grouped(c.Calls), grouped(c.Insns))
	if c.Fault != nil {
		s += ", then " + c.Fault.Error()
	}
	if c.Timing != nil {
		t := c.Timing.Seconds(ghz)
		s += fmt.Sprintf(", %s at %g GHz: %s", duration(t), ghz, stalls(t))
	}
	return s
}

// stalls says which of the kernel's watchdogs would bark.
func stalls(seconds float64) string {
	switch {
	case seconds > measure.RCUStallSeconds:
		return fmt.Sprintf("soft lockup (%d s) and RCU stall (%d s)", measure.SoftLockupSeconds, measure.RCUStallSeconds)
	case seconds > measure.SoftLockupSeconds:
		return fmt.Sprintf("soft lockup (%d s), no RCU stall (%d s)", measure.SoftLockupSeconds, measure.RCUStallSeconds)
	}
	return fmt.Sprintf("no soft lockup (%d s), no RCU stall (%d s)", measure.SoftLockupSeconds, measure.RCUStallSeconds)
}

func endlessText(b *strings.Builder, e *count.Endless) {
	fmt.Fprintf(b, "  Each time control is at the tail-call landing of %s (%#x), this is the same:\n", e.Function, uint64(e.Landing))
	for _, s := range e.State {
		fmt.Fprintf(b, "      %s\n", s)
	}
	fmt.Fprintf(b, "  Nothing else decides what happens until control is there again, after %s instructions and %s tail calls:\n",
		grouped(e.Insns), grouped(e.Tails))
	for _, s := range e.Events {
		fmt.Fprintf(b, "      %s\n", s)
	}
	if e.Cut {
		fmt.Fprintf(b, "      ...\n")
	}
}
