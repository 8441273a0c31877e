// SPDX-License-Identifier: GPL-2.0-only

package explore

import (
	"context"
	"errors"
	"fmt"
	"math/big"

	"github.com/tcsim/tcsim/jit/image"
)

// DefaultMax is how many schedules are executed at most if Options does not say.
const DefaultMax = 100_000

// Options bound an exploration. The zero value means the default.
type Options struct {
	// Max is how many schedules are executed at most, one for each class; 0 means DefaultMax.
	Max int
	// BruteForce executes every schedule instead of one of each class: what the reduction is tested
	// against.
	BruteForce bool
}

// Placement says that directly before an instruction the update gets to a version.
type Placement struct {
	Before  uint64 // instructions executed so far
	Version int    // steps done then
}

// Touch is an executed instruction that fetches or loads from a place of the script.
type Touch struct {
	Seq   uint64     // number of the instruction in the run, from 0
	Place int        // index into Script.Before
	Addr  image.Addr // of the instruction if the place is code, else of the operand
}

// Failure says what was wrong with a run. The zero value is a run in order.
type Failure struct {
	Name string // of the invariant; "" if none is broken
	Text string
}

// Execution is one run under one schedule.
type Execution struct {
	// Insns is how many instructions there are to place steps between: those of the run, or those up to
	// the one at which it failed, that one included.
	Insns   uint64
	Touches []Touch // in order
	Failure Failure
}

// Machine executes a run from its beginning while steps happen where the placements say, which are in
// order of both fields. Steps beyond the last placement do not happen before the run ends. The
// same placements must give the same execution. An error ends the exploration; ErrUnbounded makes it
// undecided.
type Machine interface {
	Execute(ctx context.Context, p []Placement) (*Execution, error)
}

// ErrUnbounded is returned by a Machine for a run that goes on too long to be judged.
var ErrUnbounded = errors.New("the run does not end within its budget")

// Count is how many schedules there are of a kind, in how many classes.
type Count struct {
	Schedules *big.Int
	Classes   int
}

func (c *Count) add(n *big.Int) {
	if c.Schedules == nil {
		c.Schedules = new(big.Int)
	}
	c.Schedules.Add(c.Schedules, n)
	c.Classes++
}

// Result is what an exploration found.
type Result struct {
	All    Count
	Failed map[string]*Count // by name of the invariant
	// Exhaustive says that All are all schedules there are.
	Exhaustive bool
	// Unbounded says that a run did not end.
	Unbounded bool
	// Shortest is the failing schedule with the fewest instructions, of these the one with the fewest
	// steps; nil if none fails.
	Shortest *Failed
}

// Failed is a failing schedule.
type Failed struct {
	Failure
	Insns     uint64 // executed, the one at which it failed included
	Placement []Placement
	// Same is how many schedules fail alike: those of its class.
	Same *big.Int
}

// Explore enumerates the schedules of a script against the run of a machine. When the context is done, what was found
// until then is returned with the error.
func Explore(ctx context.Context, m Machine, s *Script, o Options) (*Result, error) {
	if err := s.check(); err != nil {
		return nil, fmt.Errorf("explore: %w", err)
	}
	if o.Max == 0 {
		o.Max = DefaultMax
	}
	e := &explorer{m: m, s: s, found: map[touched][]string{},
		res: &Result{Failed: map[string]*Count{}, Exhaustive: true}}
	e.res.All.Schedules = new(big.Int)
	e.roots(o.BruteForce)
	for executed := 0; len(e.open) > 0; executed++ {
		if executed == o.Max {
			e.res.Exhaustive = false
			break
		}
		n := e.open[len(e.open)-1]
		e.open = e.open[:len(e.open)-1]
		if err := e.visit(ctx, n, o.BruteForce); err != nil {
			err = fmt.Errorf("explore: schedule %d: %w", executed+1, err)
			if ctx.Err() == nil {
				return nil, err
			}
			e.res.Exhaustive = false
			return e.res, err
		}
	}
	return e.res, nil
}

// node is a class, or the beginning of some: the choices made so far.
type node struct {
	plan    []Placement
	from    uint64 // instructions executed when the last choice has been made
	version int    // the lowest that fits the choices
	ceiling int    // the highest that it can get to during the run
	// ways[v] is the number of ways to be at version v after those instructions.
	ways []*big.Int
}

type explorer struct {
	m     Machine
	s     *Script
	open  []*node
	res   *Result
	found map[touched][]string
}

// touched is what Script.behaviour depends on besides the version.
type touched struct {
	place int
	addr  image.Addr
}

// finds returns what an instruction finds in each version.
func (e *explorer) finds(t *Touch) []string {
	k := touched{t.Place, t.Addr}
	b, ok := e.found[k]
	if !ok {
		for v := 0; v <= len(e.s.Steps); v++ {
			b = append(b, e.s.behaviour(t, v))
		}
		e.found[k] = b
	}
	return b
}

// roots makes the first choice: the version in which the invocation begins, as far as it decides how
// far the update can get while it runs.
func (e *explorer) roots(brute bool) {
	byCeiling := map[int]*node{}
	for v := 0; v <= len(e.s.Steps); v++ {
		c := e.s.ceiling(v)
		n := byCeiling[c]
		if n == nil || brute {
			n = &node{version: v, ceiling: c, from: 1, ways: zeros(c + 1)}
			if v > 0 {
				n.plan = []Placement{{0, v}}
			}
			byCeiling[c] = n
			e.open = append(e.open, n)
		}
		n.ways[v].SetInt64(1)
	}
}

// visit executes the schedule of a node that takes no step which it need not, and adds the nodes that
// decide otherwise from there on.
func (e *explorer) visit(ctx context.Context, n *node, brute bool) error {
	x, err := e.m.Execute(ctx, n.plan)
	if errors.Is(err, ErrUnbounded) {
		e.res.Exhaustive, e.res.Unbounded = false, true
		return nil
	}
	if err != nil {
		return err
	}
	if brute {
		e.everyChoice(n, x)
		e.leaf(n.plan, x, big.NewInt(1))
		return nil
	}
	at, ways := n.from, n.ways
	for i := range x.Touches {
		t := &x.Touches[i]
		if t.Seq == 0 {
			return errors.New("the first instruction of the run is one that is poked")
		}
		if t.Seq < n.from || t.Seq >= x.Insns {
			continue
		}
		ways = advance(ways, t.Seq-at+1)
		at = t.Seq + 1
		ways = e.choose(n, t, ways)
	}
	ways = advance(ways, x.Insns-at)
	e.leaf(n.plan, x, sum(ways))
	return nil
}

// choose divides the versions in which an instruction can be executed by what it finds in them. The
// ways of the present choice are returned, the others become nodes.
func (e *explorer) choose(n *node, t *Touch, ways []*big.Int) []*big.Int {
	groups := map[string]*node{}
	find := e.finds(t)
	own := zeros(len(ways))
	for v := n.version; v <= n.ceiling; v++ {
		if ways[v].Sign() == 0 {
			continue
		}
		b := find[v]
		if b == find[n.version] {
			own[v] = ways[v]
			continue
		}
		g := groups[b]
		if g == nil {
			plan := append(append([]Placement(nil), n.plan...), Placement{t.Seq, v})
			g = &node{plan: plan, from: t.Seq + 1, version: v, ceiling: n.ceiling, ways: zeros(len(ways))}
			groups[b] = g
			e.open = append(e.open, g)
		}
		g.ways[v] = ways[v]
	}
	return own
}

// everyChoice adds each way to take at least one more step during the run as a node of its own.
func (e *explorer) everyChoice(n *node, x *Execution) {
	for at := n.from; at < x.Insns; at++ {
		for v := n.version + 1; v <= n.ceiling; v++ {
			plan := append(append([]Placement(nil), n.plan...), Placement{at, v})
			e.open = append(e.open, &node{plan: plan, from: at + 1, version: v, ceiling: n.ceiling})
		}
	}
}

// leaf accounts for a class.
func (e *explorer) leaf(plan []Placement, x *Execution, n *big.Int) {
	e.res.All.add(n)
	if x.Failure.Name == "" {
		return
	}
	c := e.res.Failed[x.Failure.Name]
	if c == nil {
		c = &Count{}
		e.res.Failed[x.Failure.Name] = c
	}
	c.add(n)
	f := &Failed{Failure: x.Failure, Insns: x.Insns, Placement: plan, Same: n}
	if e.res.Shortest == nil || f.shorter(e.res.Shortest) {
		e.res.Shortest = f
	}
}

func (f *Failed) shorter(o *Failed) bool {
	if f.Insns != o.Insns {
		return f.Insns < o.Insns
	}
	return f.steps() < o.steps()
}

func (f *Failed) steps() int {
	if len(f.Placement) == 0 {
		return 0
	}
	return f.Placement[len(f.Placement)-1].Version
}
