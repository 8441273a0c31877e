// SPDX-License-Identifier: GPL-2.0-only

package count

import (
	"fmt"
	"math/big"
	"runtime/metrics"
)

// Result is what a run does, in exact numbers.
type Result struct {
	// Endless is not nil if the run never ends, and Fault if the code faults; the numbers then
	// cover what comes before.
	Endless *Endless
	Fault   error
	// Found says that the moment of Config.Find was reached; the numbers then cover what comes before.
	Found bool

	TailCalls *big.Int // taken
	Calls     *big.Int // of BPF functions
	Helpers   *big.Int
	// Refused tail calls by reason: the limit, an index out of bounds, an empty slot.
	RefusedLimit, RefusedBounds, RefusedEmpty *big.Int

	Insns *big.Int // retired, those of helper stubs included
	// Starts says how often control came to the beginning of each function, in order of the
	// images: by a call, by a tail call or from outside.
	Starts []FuncStarts
	Final  Regs // at the end
	// Deepest is how far the stack grew below the outside caller's rsp, in bytes.
	Deepest uint64

	// Steps is how many instructions were executed, Summaries how many calls were summarised, Hits
	// how often a summary stood for a call. Bytes is about what the summaries occupy.
	Steps, Hits      uint64
	Summaries, Bytes int
	Books            []Book
	// PeakBytes is how much the heap grew, with garbage not yet collected, as far as was seen.
	PeakBytes uint64
}

// FuncStarts is the number of starts of one function.
type FuncStarts struct {
	Function string
	N        *big.Int
}

// Book says what is known of a function: how many summaries there are and what their use was.
type Book struct {
	Function  string
	Summaries []Summary
}

// Summary describes a summary.
type Summary struct {
	// Pins are the locations that it depends on, with the values, in a fixed order.
	Pins []string
	// TailCalls and Insns are what one such call does; Effects is the number of locations that it
	// changes.
	TailCalls, Insns *big.Int
	Effects          int
	Hits             uint64
}

func (c *counter) result(first *frame) *Result {
	res := &Result{
		Endless: c.endless, Fault: c.fault, Final: c.r,
		Steps: c.steps, Hits: c.hits, Summaries: c.summaries, Bytes: c.bytes,
	}
	t, low := first.t, first.low
	for _, fr := range c.frames {
		low = min(low, fr.low)
		if fr != first {
			t.add(&fr.t)
		}
	}
	res.Deepest = first.rsp + 8 - low
	res.TailCalls, res.Calls, res.Helpers, res.Insns = t.tails.value(), t.calls.value(), t.helpers.value(), t.insns.value()
	res.RefusedLimit, res.RefusedBounds, res.RefusedEmpty = t.refused[byLimit].value(), t.refused[byBounds].value(), t.refused[byEmpty].value()
	for i, f := range c.code.fns {
		res.Starts = append(res.Starts, FuncStarts{f.name, t.starts[i].value()})
		if b := f.describe(); len(b.Summaries) != 0 {
			res.Books = append(res.Books, b)
		}
	}
	return res
}

// describe lists the summaries in the order in which they were made.
func (f *fn) describe() Book {
	b := Book{Function: f.name}
	for _, s := range f.book.all {
		d := Summary{TailCalls: s.t.tails.value(), Insns: s.t.insns.value(), Effects: len(s.effects), Hits: s.hits}
		for _, p := range s.pins {
			d.Pins = append(d.Pins, p.String())
		}
		if s.pinRSP {
			d.Pins = append(d.Pins, fmt.Sprintf("rsp = %#x", s.rsp))
		}
		b.Summaries = append(b.Summaries, d)
	}
	return b
}

// heap returns how many bytes of the process's heap are in use.
func heap() uint64 {
	s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(s)
	if s[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return s[0].Value.Uint64()
}
