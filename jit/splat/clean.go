// SPDX-License-Identifier: GPL-2.0-only

package splat

import (
	"regexp"
	"strings"
	"sync"
)

// line is a line of the log without what mails, syslog and printk put before it.
type line struct {
	no    int // in the text, from 1
	text  string
	stamp bool // printk's time or a syslog prefix was there
}

// pattern is a regular expression that is compiled when it is asked for first: most runs of the program read no report.
func pattern(text string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(text) })
}

// prefixes are what may stand before the text of a line; stamped ones show that a line of the log begins.
var prefixes = []struct {
	re    func() *regexp.Regexp
	stamp bool
}{
	{pattern(`^(?:>[ \t]?|\|[ \t])`), false},
	{pattern(`^<\d{1,3}>`), true},
	{pattern(`^\[ *\d+\.\d+\]`), true},
	{pattern(`^\[ *(?:T\d+|C\d+)(?:@C\d+)?\]`), true},
	{pattern(`^\[[A-Z][a-z]{2} [A-Z][a-z]{2} +\d+ \d\d:\d\d:\d\d \d{4}\]`), true},
	{pattern(`^[A-Z][a-z]{2} +\d+ \d\d:\d\d:\d\d \S+ kernel:`), true},
	{pattern(`^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\S* \S+ kernel:`), true},
	{pattern(`^[a-z0-9]+ *:[a-z]+ *: `), true},
	{pattern(`^\x1b\[[0-9;]*m`), false},
}

// strip takes the prefixes off a line.
func strip(s string) (text string, stamp bool) {
	for again := true; again; {
		again = false
		s = strings.TrimLeft(s, " \t")
		for _, p := range prefixes {
			if at := p.re().FindStringIndex(s); at != nil && !onlyBytes().MatchString(s) {
				s, stamp, again = s[at[1]:], stamp || p.stamp, true
			}
		}
	}
	return strings.TrimRight(s, " \t\r"), stamp
}

// open matches a line whose end is missing: a mail program has broken it.
var open = pattern(`(?:^RIP:(?: *[0-9a-f]{4}:)?|\b(?:R[A-Z0-9]{2}|EFLAGS|CR\d|ORIG_RAX):|\bstuck for|\bCall|\bpc :)$`)

// onlyBytes matches the rest of a Code: line.
var onlyBytes = pattern(`^(?:<?[0-9a-fA-F]{2}>?[ \t]*)+$`)

// begins reports whether a line of a log begins so, whatever stands before it.
func begins(s string) bool {
	for _, word := range []string{"RIP:", "Code:", "Call Trace:", "Stack:", "CPU: "} {
		if strings.HasPrefix(s, word) {
			return true
		}
	}
	_, ok := header(s)
	return ok
}

// clean takes a text apart and puts lines together that were broken. Where lines have time stamps, one without is
// the rest of the line before; a blank line ends that.
func clean(text string) (lines []line, cut int) {
	glue := false // the next line may be a rest
	for no, raw := range strings.Split(text, "\n") {
		if len(raw) > maxLine {
			raw, cut = raw[:maxLine], cut+1
		}
		s, stamp := strip(raw)
		n := len(lines)
		switch {
		case s == "" && !stamp:
			glue = false
			continue
		case n > 0 && !stamp && glue && (lines[n-1].text == "" || !begins(s)) && (lines[n-1].stamp || open().MatchString(lines[n-1].text) ||
			strings.HasPrefix(lines[n-1].text, "Code:") && onlyBytes().MatchString(s)) && len(lines[n-1].text) < maxLine:
			if lines[n-1].text != "" {
				lines[n-1].text += " "
			}
			lines[n-1].text += s
			continue
		}
		lines = append(lines, line{no + 1, s, stamp})
		glue = true
	}
	return lines, cut
}
