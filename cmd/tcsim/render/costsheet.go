// SPDX-License-Identifier: GPL-2.0-only

package render

import (
	"fmt"
	"strings"

	"github.com/tcsim/tcsim/emu/timing"
	"github.com/tcsim/tcsim/scenarios/campaign"
)

// CostSheet prints the cost sheet: sizes, then cycles on each core.
func CostSheet(all []CoreCosts, cores []*timing.Core) string {
	t := NewTable("bytes/instructions", "no tail call", "main", "subprogram", "call", "direct", "indirect")
	t.Right(1, 2, 3, 4, 5, 6)
	for _, c := range all[0].Costs {
		t.Add(c.Target, sizes(c.Plain), sizes(c.Main), sizes(c.Sub), sizes(c.Call), sizes(c.Direct), sizes(c.Indirect))
	}
	text := t.String()
	var titles, notes []string
	for n, core := range all {
		head := "cycles"
		if len(all) > 1 {
			head = "cycles on " + core.Core
		}
		u := NewTable(head, "no tail call", "main", "call+sub", "direct", "indirect", "tail calls wait for")
		u.Right(1, 2, 3, 4, 5)
		for _, c := range core.Costs {
			u.Add(c.Target, costCycles(c.Plain), costCycles(c.Main), costCycles(c.Call), costCycles(c.Direct), costCycles(c.Indirect),
				mostly(c.Direct, c.Indirect))
			for _, n := range c.Notes {
				notes = append(notes, c.Target+": "+n)
			}
		}
		text += "\n" + u.String()
		titles = append(titles, cores[n].Title)
	}
	text += "\n" + strings.Join(Fold(
		"Code bytes and executed instructions of a function that returns 0: without tail calls, with one in it that is "+
			"not reached, as a subprogram; of one call; of one tail call that is taken, up to the callee's first "+
			"instruction. Cycles on "+strings.Join(titles, ", ")+" in a warm loop: of an invocation; of a call with its "+
			"subprogram, which tests a word; of a tail call with the loads of map and key, and what most of "+
			"them are due to.", Width), "\n") + "\n"
	if order := OrderDepends(all); len(all) > 1 && len(order) == 0 {
		text += "No two designs are in different orders on these cores.\n"
	} else if len(order) > 0 {
		text += "The order of designs depends on the core:\n"
		for _, o := range order {
			text += strings.Join(Fold("- "+o, Width), "\n") + "\n"
		}
	}
	for _, n := range notes {
		text += strings.Join(Fold(n, Width), "\n") + "\n"
	}
	return text
}

func sizes(c *campaign.Cost) string {
	if c == nil {
		return "-"
	}
	return fmt.Sprintf("%d/%d", c.Bytes, c.Insns)
}

// mostly names what most cycles of a tail call are due to, of the first that is known.
func mostly(costs ...*campaign.Cost) string {
	for _, c := range costs {
		if c != nil && c.Cause != "" {
			return fmt.Sprintf("%s %.1f", c.Cause, c.CauseCycles)
		}
	}
	return "-"
}

func costCycles(c *campaign.Cost) string {
	if c == nil || c.Cycles == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f", c.Cycles)
}
