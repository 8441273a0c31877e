// SPDX-License-Identifier: GPL-2.0-only

// Package bounds finds what a YAML file may not have because the parser would take too long with it: the time that it
// takes grows with the square of the nesting, and with the square of how many names of a mapping stand one below the
// other. Lists, and mappings in braces, may be as long as they like.
package bounds

import (
	"unicode/utf8"

	"github.com/goccy/go-yaml/token"
)

// MaxSource is how many bytes a file may have: the parser needs about 300 times as many.
const MaxSource = 1 << 22

// MaxNesting is how many levels may be opened in one line.
const MaxNesting = 64

// maxBelow is how many steps the parser may make for names that stand one below the other: the nth of a mapping is n steps.
// It comes to about 20,000 names in one mapping, and some seconds.
const maxBelow = 200_000_000

// Nesting returns where brackets, or list and key marks in one line, nest deeper than MaxNesting, as line and column from
// 1; ok is false if they do not.
func Nesting(lines []string) (line, col int, ok bool) {
	brackets := 0
	for i, text := range lines {
		marks := 0
		for j := range len(text) {
			switch text[j] {
			case '[', '{':
				brackets++
			case ']', '}':
				brackets = max(brackets-1, 0)
			case ',':
				marks = 0 // what follows is next to it, not inside
			case '&', '!':
				marks++
			case '-', '?', ':':
				if j+1 < len(text) && text[j+1] == ' ' {
					marks++
				}
			}
			if brackets > MaxNesting || marks > 2*MaxNesting {
				return i + 1, utf8.RuneCountInString(text[:j]) + 1, true
			}
		}
	}
	return 0, 0, false
}

// level is a mapping of which the names stand one below the other.
type level struct {
	col   int
	names int
}

// Below returns the name with which mappings whose names stand one below the other have become too long to be read, and
// its number in its mapping, from 1; nil if they are not.
func Below(tokens token.Tokens) (name *token.Token, nth int) { return below(tokens, maxBelow) }

func below(tokens token.Tokens, most int) (name *token.Token, nth int) {
	var open []level
	steps, brackets := 0, 0
	for i, tk := range tokens {
		switch tk.Type {
		case token.MappingStartType, token.SequenceStartType:
			brackets++
		case token.MappingEndType, token.SequenceEndType:
			brackets = max(brackets-1, 0)
		}
		if brackets > 0 || i == 0 && tk.Type == token.MappingValueType {
			continue
		}
		switch tk.Type {
		case token.SequenceEntryType: // each entry of a list has mappings of its own
			open = outside(open, tk.Position.Column+1)
		case token.MappingValueType:
			key := tokens[i-1]
			open = outside(open, key.Position.Column+1)
			if n := len(open); n == 0 || open[n-1].col != key.Position.Column {
				open = append(open, level{col: key.Position.Column})
			}
			top := &open[len(open)-1]
			top.names++
			if steps += top.names; steps > most {
				return key, top.names
			}
		}
	}
	return nil, 0
}

// outside leaves the mappings that begin before a column.
func outside(open []level, col int) []level {
	for len(open) > 0 && open[len(open)-1].col >= col {
		open = open[:len(open)-1]
	}
	return open
}
