// SPDX-License-Identifier: GPL-2.0-only

package timing

import (
	"fmt"
	"io"
	"strings"
)

// PipelineRow is one instruction of a pipeline view.
type PipelineRow struct {
	Stamp Stamp
	Text  string // the instruction
}

// pipelineWidth is the number of cycles that a pipeline view shows side by side.
const pipelineWidth = 32

// WritePipeline draws when each instruction was fetched (F), issued (I), executed (E), complete (C)
// and retired (R), one row each. Time runs to the right and goes on at the left edge, as in gem5's
// pipeline viewer; the first figure of a row is its cycle of issue, from the first one on. Between
// the letters stand . for waiting for operands or a port, e for execution and - for waiting for
// retirement; what came before the issue of the row above is left out. The last columns are what the
// instruction added to the time, and why.
func WritePipeline(w io.Writer, rows []PipelineRow) error {
	var b strings.Builder
	for n, r := range rows {
		s := r.Stamp
		first := rows[0].Stamp.Issue
		shown := first
		if n > 0 {
			shown = rows[n-1].Stamp.Issue
		}
		cost := ""
		if s.Cost != 0 {
			cost = fmt.Sprintf(" %3d %s", s.Cost, s.Cause)
		}
		shown = max(shown, s.Retire-pipelineWidth+1)
		fmt.Fprintf(&b, "%04x %-29.29s %4d |%s|%s\n", uint16(s.RIP), r.Text, s.Issue-first, lane(s, first, shown), cost)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// lane draws one row: column 0 is cycle first, and nothing before shown is drawn.
func lane(s Stamp, first, shown Cycle) string {
	row := []byte(strings.Repeat(" ", pipelineWidth))
	mark := func(t Cycle, c byte) {
		if t >= shown {
			row[(t-first)%pipelineWidth] = c
		}
	}
	fill := func(from, to Cycle, c byte) {
		for t := from; t < min(to, from+pipelineWidth); t++ {
			mark(t, c)
		}
	}
	fill(s.Issue, s.Execute, '.')
	fill(s.Execute, s.Complete, 'e')
	fill(s.Complete, s.Retire, '-')
	mark(s.Fetch, 'F')
	mark(s.Issue, 'I')
	mark(s.Execute, 'E')
	mark(s.Complete, 'C')
	mark(s.Retire, 'R')
	return string(row)
}
