// SPDX-License-Identifier: GPL-2.0-only

package splat

import (
	"fmt"
	"math/big"
	"slices"

	"github.com/tcsim/tcsim/jit/design"
	"github.com/tcsim/tcsim/jit/image"
)

// Position is which tail call of an invocation a processor was in.
type Position struct {
	// No is the number of the tail call, from 1: the one that RIP is in, or the last that was made. Total is how
	// many the invocation makes.
	No, Total *big.Int
	Inside    bool // No is under way, not made
	// Seconds is how long the invocation takes in all, by the watchdog's word for how long it has taken so far; 0
	// if the log does not have that.
	Seconds float64
	// Branches are the return addresses, in order, that the same function is left by, and Digits which of them each
	// frame shows, the outermost first; nil where one counter counts all.
	Branches []image.CodeOff
	Digits   []int
	Before   int    // tail calls before the first frame that is shown
	If       string // what it rests on besides the log, "" for nothing
}

// Percent is how much of the invocation is done.
func (p *Position) Percent() float64 {
	q, _ := new(big.Rat).SetFrac(p.No, p.Total).Float64()
	return 100 * q
}

// Left is how many tail calls remain.
func (p *Position) Left() *big.Int { return new(big.Int).Sub(p.Total, p.No) }

// position computes the position, or notes why it cannot.
func (a *Analysis) position() {
	if !a.Counter.Known || a.Designs == 0 {
		return
	}
	limit := int(LimitOf(a.Seen))
	whole, perFrame := true, true
	for _, d := range a.Designs.Designs() {
		c := d.Traits().Counting
		whole = whole && c == design.CountInvocation
		perFrame = perFrame && c == design.CountByValue
	}
	switch {
	case whole:
		a.Position = &Position{No: big.NewInt(int64(a.Counter.Value)), Total: big.NewInt(int64(limit)), Inside: a.Counter.Counted}
		a.Position.If = "one counter counts all of an invocation, which makes no more than the limit"
	case !perFrame:
		a.miss("which tail call it is: designs that the code can be of count in different ways")
		return
	default:
		a.byFrames(limit)
	}
	if p := a.Position; p != nil && a.Report.Stuck > 0 {
		if p.Seconds = 0; p.No.Sign() > 0 {
			q, _ := new(big.Rat).SetFrac(p.Total, p.No).Float64()
			p.Seconds = a.Report.Stuck * q
		}
	}
}

// byFrames reads the position from the return addresses: where each frame has its own counter, the invocation is a
// tree of which the call trace is a path. A function that makes n calls, each of which leads to a tail call back to
// it, is called n times for each tail call of the level above; the tree ends where the counter reaches the limit.
func (a *Analysis) byFrames(limit int) {
	k, v := len(a.Frames), int(a.Counter.Value)
	switch {
	case !a.Counter.Counted:
		a.miss("which tail call it is: the one that RIP is in is not counted yet")
		return
	case a.Outer.Func == "" && k > 0:
		a.miss("which tail call it is: the call trace is cut before the caller of the first program")
		return
	case a.skipped:
		a.miss("which tail call it is: the call trace lacks a caller")
		return
	case v < k:
		a.miss("which tail call it is: %d functions of programs are active, the counter says %d", k, v)
		return
	}
	p := &Position{Before: v - k, Inside: true}
	for i := range a.Frames {
		f := &a.Frames[i]
		if f.Func != a.Frames[0].Func {
			a.miss("which tail call it is: %s and %s call in turn; a scenario with both tells", a.Frames[0].Func, f.Func)
			return
		}
		if !slices.Contains(p.Branches, f.Off) {
			p.Branches = append(p.Branches, f.Off)
		}
	}
	slices.Sort(p.Branches)
	n := max(1, len(p.Branches))
	// size[i] is how many tail calls a call on level i makes, itself included: levels count from 1.
	levels := limit - p.Before
	size := make([]*big.Int, levels+2)
	size[levels+1] = new(big.Int)
	for i := levels; i >= 0; i-- {
		size[i] = new(big.Int).Mul(size[i+1], big.NewInt(int64(n)))
		size[i].Add(size[i], big.NewInt(1))
	}
	p.No, p.Total = big.NewInt(int64(p.Before)), new(big.Int).Add(size[0], big.NewInt(int64(p.Before-1)))
	for i := range a.Frames {
		d := slices.Index(p.Branches, a.Frames[i].Off)
		p.Digits = append(p.Digits, d)
		p.No.Add(p.No, new(big.Int).Mul(size[i+1], big.NewInt(int64(d))))
		p.No.Add(p.No, big.NewInt(1))
	}
	if k > 0 {
		s, _ := a.Frames[0].BPF()
		p.If = fmt.Sprintf("each call of %s is one that the trace shows, leads to a tail call back to it and is in no loop", s)
	} else {
		p.If = "no function is called that tail calls"
	}
	a.Position = p
}
