// SPDX-License-Identifier: GPL-2.0-only

package render

import (
	"fmt"
	"math/big"
	"strings"

	"github.com/tcsim/tcsim/emu/count"
	"github.com/tcsim/tcsim/scenarios/measure"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// DefaultGHz is the frequency for which seconds are reported if none is given.
const DefaultGHz = 3.0

// CountText is the verdict as text.
func CountText(c *runner.Counted, ghz float64) string {
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
	for i, line := range Fold(text, Width-4) {
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
		line("cycles", "about %s (%s: %.2f per instruction after the first %s)", grouped(t.Cycles), t.Core,
			t.WarmRate(), groupDigits(fmt.Sprint(t.Sampled-t.WarmInsns)))
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
		return plural(grouped(c.TailCalls), "tail call") + ", then a fault"
	case c.LimitBroken():
		return fmt.Sprintf("%s, more than the limit of %d", plural(grouped(c.TailCalls), "tail call"), c.Limit)
	}
	return plural(grouped(c.TailCalls), "tail call")
}

// CountSentence is a verdict in one sentence, for other commands.
func CountSentence(c *runner.Counted, ghz float64) string {
	if e := c.Endless; e != nil {
		return fmt.Sprintf("it never ends: the same %s with %s repeat from the landing of %s",
			plural(grouped(e.Insns), "instruction"), plural(grouped(e.Tails), "tail call"), e.Function)
	}
	s := fmt.Sprintf("it makes %s, %s, %s", plural(grouped(c.TailCalls), "tail call"), plural(grouped(c.Calls), "call"),
		plural(grouped(c.Insns), "instruction"))
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
	fmt.Fprintf(b, "  Nothing else decides what happens until control is there again, after %s and %s:\n",
		plural(grouped(e.Insns), "instruction"), plural(grouped(e.Tails), "tail call"))
	for _, s := range e.Events {
		fmt.Fprintf(b, "      %s\n", s)
	}
	if e.Cut {
		fmt.Fprintf(b, "      ...\n")
	}
}
