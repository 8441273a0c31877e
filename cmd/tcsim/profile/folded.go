// SPDX-License-Identifier: GPL-2.0-only

package profile

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// WriteFolded writes a line for each stack with its cycles, as flamegraph.pl and its like read it: functions from the
// outermost, and last the source line, where it is known, and the BPF instruction.
func (p *Profile) WriteFolded(w io.Writer) error {
	sums := map[string]int64{}
	for i := range p.Samples {
		s := &p.Samples[i]
		var names []string
		for k := len(s.Stack) - 1; k >= 0; k-- {
			names = append(names, frameName(s.Stack[k].Func))
		}
		if line := s.Stack[0].source(); line != "" {
			names = append(names, frameName(line))
		}
		if insn := s.Stack[0].Insn; insn != "" {
			names = append(names, frameName(insn))
		}
		sums[strings.Join(names, ";")] += int64(s.Costs.Total())
	}
	var lines []string
	for stack, n := range sums {
		if n > 0 {
			lines = append(lines, fmt.Sprintf("%s %d\n", stack, n))
		}
	}
	slices.Sort(lines)
	_, err := io.WriteString(w, strings.Join(lines, ""))
	return err
}

// frameName is a name without what separates frames and lines.
func frameName(s string) string { return strings.NewReplacer(";", ",", "\n", " ").Replace(s) }
