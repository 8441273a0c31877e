// SPDX-License-Identifier: GPL-2.0-only

package calibrate

import (
	"fmt"
	"io"
	"strings"

	"github.com/tcsim/tcsim/emu/timing/measured"
)

// WriteText prints what was learned: what the core has, how far it is off, and what was not measured.
func (r *Result) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "core %s, %s\nmade from %s, whose values stand where nothing else is said\n", r.Core.Name, r.Core.Title, r.From)
	b.WriteString("\nBy experiment, this core\n")
	for _, t := range r.Told {
		fmt.Fprintf(&b, "  %s\n", t)
	}
	fmt.Fprintf(&b, "\nThe search changed %d values.\n", len(r.Steps))
	for _, s := range r.Steps {
		fmt.Fprintf(&b, "  %-32s %6s -> %-6s error on what is fitted %.2f %%\n", s.Path, s.From, s.To, s.Error)
	}
	if len(r.Mechanisms) != 0 {
		b.WriteString("\nWithout these mechanisms the error on all sequences would be larger:\n")
		for _, m := range r.Mechanisms {
			fmt.Fprintf(&b, "  %-32s %6s   %.1f %% without\n", m.Path, m.Value, m.Without)
		}
	}
	if len(r.Failed) != 0 {
		fmt.Fprintf(&b, "\nNot measured, because the machine was disturbed: %d\n", len(r.Failed))
		for _, f := range r.Failed {
			fmt.Fprintf(&b, "  %s\n", f)
		}
	}
	b.WriteString("\n")
	table(&b, "fitted", r.Fitted)
	table(&b, "last third", r.Held)
	_, err := io.WriteString(w, b.String())
	return err
}

// table prints the errors of a part of the sequences.
func table(b *strings.Builder, title string, rs []measured.Result) {
	fmt.Fprintf(b, "%-12s %4s %7s %7s %7s  %s\n", title, "n", "MAPE %", "median", "worst", "worst sequence")
	for _, s := range measured.Scores(rs) {
		if s.Kind == "fitted" || s.Kind == "held out" {
			continue
		}
		fmt.Fprintf(b, "%-12s %4d %7.1f %7.1f %7.1f  %s\n", s.Kind, s.N, s.MAPE, s.MedianError, s.Worst, s.WorstName)
	}
	b.WriteString("\n")
}

// HeldOut returns the mean error on the last third, in percent.
func (r *Result) HeldOut() float64 {
	for _, s := range measured.Scores(r.Held) {
		if s.Kind == "all" {
			return s.MAPE
		}
	}
	return 0
}
