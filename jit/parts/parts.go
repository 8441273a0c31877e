// SPDX-License-Identifier: GPL-2.0-only

// Package parts shares the work of one command among machines that know nothing of each other. The work has units,
// numbered from 0 in an order that the command line alone decides. A part does every so many of them and writes what
// came out as a file; the sum of all files has the results of all units, so that the same command prints from it what
// one machine would have printed.
//
//	w := parts.Begin(shard, origin)         // of a part; nil does everything
//	first := w.Reserve(len(cases))
//	for i := range cases {
//		r, ok := parts.Do(w, first+i, func() Row { return play(cases[i]) })
//		...                             // ok is false if the unit is another part's
//	}
//	text, err := w.File()
//
// The package knows nothing of what units are, and imports nothing of this module.
package parts

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
)

// Shard is one of several parts, each for a machine of its own. The zero value is the whole.
type Shard struct{ Number, Of int } // Number is from 1

// ParseShard reads "3/8".
func ParseShard(text string) (Shard, error) {
	var s Shard
	if n, err := fmt.Sscanf(text, "%d/%d", &s.Number, &s.Of); n != 2 || err != nil || s.Number < 1 || s.Number > s.Of || s.String() != text {
		return Shard{}, fmt.Errorf("expected a part and the number of parts, such as 3/8, found %q", text)
	}
	return s, nil
}

// String returns "3/8".
func (s Shard) String() string { return fmt.Sprintf("%d/%d", s.Number, s.Of) }

// Span returns which of so many cases belong to the part if each part has a run of them.
func (s Shard) Span(total int) (from, to int) {
	if s.Of == 0 {
		return 0, total
	}
	return total * (s.Number - 1) / s.Of, total * s.Number / s.Of
}

// mine reports whether the part has a unit: one after the other goes to part 1, 2 and so on, so that long ones that
// are next to each other do not meet in one part.
func (s Shard) mine(unit int) bool { return s.Of == 0 || unit%s.Of == s.Number-1 }

// Work is the work of a command, or a part of it. Nil is all of it, done here. Its methods are safe for concurrent use,
// but numbers of units follow the order of the calls of Reserve.
type Work struct {
	shard  Shard
	origin Origin

	mu      sync.Mutex
	total   int
	results map[int]json.RawMessage
	sum     bool // results has those of all parts
	odd     error
}

// Origin is what parts must have in common to be added up.
type Origin struct {
	Command []string `json:"command"` // without what a machine may choose for itself
	Inputs  []string `json:"inputs"`  // a digest of each file that was read, with its name
}

// Begin begins a part.
func Begin(s Shard, o Origin) *Work {
	return &Work{shard: s, origin: o, results: map[int]json.RawMessage{}}
}

// Part reports whether only a part is done, whose results are for a file.
func (w *Work) Part() bool { return w != nil && !w.sum }

// Sum reports whether all results are there already.
func (w *Work) Sum() bool { return w != nil && w.sum }

// Reserve returns the first of so many further units.
func (w *Work) Reserve(n int) (first int) {
	if w == nil {
		return 0
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	first = w.total
	w.total += n
	return first
}

// Mine reports whether a unit is to be done here.
func (w *Work) Mine(unit int) bool { return w == nil || !w.sum && w.shard.mine(unit) }

// Do does a unit here, or has what another machine did of it. It is false if neither is so.
func Do[T any](w *Work, unit int, do func() T) (result T, ok bool) {
	switch {
	case w == nil:
		return do(), true
	case w.sum:
		ok = w.given(unit, &result)
		return result, ok
	case !w.shard.mine(unit):
		return result, false
	}
	result = do()
	w.keep(unit, result)
	return result, true
}

// Try is Do for what can fail. With an error comes what do returned, and the unit has no result: the part is not complete.
func Try[T any](w *Work, unit int, do func() (T, error)) (result T, ok bool, err error) {
	if w != nil && !w.Mine(unit) {
		result, ok = Given[T](w, unit)
		return result, ok, nil
	}
	if result, err = do(); err == nil && w != nil {
		w.keep(unit, result)
	}
	return result, err == nil, err
}

// Given returns what another machine did of a unit.
func Given[T any](w *Work, unit int) (result T, ok bool) {
	ok = w.Sum() && w.given(unit, &result)
	return result, ok
}

func (w *Work) given(unit int, to any) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	text, ok := w.results[unit]
	if ok {
		if err := json.Unmarshal(text, to); err != nil {
			w.odd = errors.Join(w.odd, fmt.Errorf("unit %d: %w", unit, err))
			return false
		}
	}
	return ok
}

func (w *Work) keep(unit int, result any) {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false) // as it is printed
	if err := e.Encode(result); err != nil {
		panic("BUG: a result of a unit is not for JSON: " + err.Error())
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.results[unit] = text.Bytes()
}

// Err is what is wrong with results that were read, after all that are needed were asked for: they may be fewer than
// there are units, or damaged. More are no fault: a table of some of them may be what is wanted of the sum.
func (w *Work) Err() error {
	if !w.Sum() {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.odd == nil && len(w.results) < w.total {
		return fmt.Errorf("the parts have %d units of %d: make them with the options that the sum is to be printed with", len(w.results), w.total)
	}
	return w.odd
}
