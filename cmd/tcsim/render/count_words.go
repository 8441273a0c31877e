// SPDX-License-Identifier: GPL-2.0-only

package render

import (
	"encoding/binary"
	"fmt"
	"math/big"
	"strings"

	"github.com/tcsim/tcsim/emu/count"
	"github.com/tcsim/tcsim/scenarios/measure"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// grouped writes a number with thousands separators.
func grouped(n *big.Int) string { return groupDigits(n.String()) }

func groupDigits(s string) string {
	digits := strings.TrimPrefix(s, "-")
	var b strings.Builder
	b.WriteString(s[:len(s)-len(digits)])
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}

// duration writes seconds in the unit that people use for as much.
func duration(s float64) string {
	const day, year = 86400, 365.25 * 86400
	switch {
	case s < 1e-3:
		return fmt.Sprintf("%.3g µs", s*1e6)
	case s < 1:
		return fmt.Sprintf("%.3g ms", s*1e3)
	case s < 2*day:
		return groupDigits(fmt.Sprintf("%.0f", s)) + " s"
	case s < 2*year:
		return fmt.Sprintf("%.0f days", s/day)
	case s < 1e6*year:
		return groupDigits(fmt.Sprintf("%.0f", s/year)) + " years"
	}
	return fmt.Sprintf("%.1e years", s/year)
}

// words splits a map value into the integers that are not 0: of 8 bytes if its size allows it, else
// of 4; other values are bytes in hex.
func words(v measure.MapValue) []string {
	size := 8
	switch n := len(v.Value); {
	case n%8 == 0:
	case n%4 == 0:
		size = 4
	default:
		return []string{fmt.Sprintf("%s[%d] = % x", v.Map, v.Key, v.Value)}
	}
	var out []string
	for off := 0; off < len(v.Value); off += size {
		n := uint64(binary.LittleEndian.Uint32(v.Value[off:]))
		if size == 8 {
			n = binary.LittleEndian.Uint64(v.Value[off:])
		}
		at := ""
		if len(v.Value) > size {
			at = fmt.Sprintf("+%d", off)
		}
		if n != 0 {
			out = append(out, fmt.Sprintf("%s[%d]%s = %s", v.Map, v.Key, at, groupDigits(fmt.Sprint(n))))
		}
	}
	return out
}

// maxShown bounds the summaries that -v lists of a function.
const maxShown = 40

// CountDetails says what the answer took.
func CountDetails(c *runner.Counted) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s on %s: %s used %s, %s executed, %.1f MB at the peak, %v\n",
		c.Scenario, c.Target, plural(fmt.Sprint(c.Summaries), "summary"), plural(fmt.Sprint(c.Hits), "time"), plural(fmt.Sprint(c.Steps), "instruction"), float64(c.PeakBytes)/1e6, c.Time)
	for _, k := range c.Books {
		fmt.Fprintf(&b, "  %s:\n", k.Function)
		for i, s := range k.Summaries {
			if i == maxShown {
				fmt.Fprintf(&b, "    (%d more)\n", len(k.Summaries)-i)
				break
			}
			fmt.Fprint(&b, summaryText(&s))
		}
	}
	return b.String()
}

func summaryText(s *count.Summary) string {
	head := fmt.Sprintf("%s, %s, changes %s, used %s, if", plural(grouped(s.TailCalls), "tail call"),
		plural(grouped(s.Insns), "instruction"), plural(fmt.Sprint(s.Effects), "location"), plural(fmt.Sprint(s.Hits), "time"))
	var b strings.Builder
	for i, l := range Fold(head+" "+strings.Join(s.Pins, ", "), Width-6) {
		fmt.Fprintf(&b, "%s%s\n", strings.Repeat(" ", 4+2*min(i, 1)), l)
	}
	return b.String()
}
