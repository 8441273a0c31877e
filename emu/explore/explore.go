// SPDX-License-Identifier: GPL-2.0-only

package explore

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/big"

	"github.com/tcsim/tcsim/jit/image"
)

// DefaultMax is how many schedules are executed at most if Options does not say.
const DefaultMax = 100_000

// Options bound an exploration. The zero value means the default.
type Options struct {
	// Max is how many schedules are executed at most, one for each class; 0 means DefaultMax. If these are not all, as many
	// again may be executed of those in which the run meets few changes: see Result.Complete.
	Max int
	// Work is how much is computed at most to count schedules, where classes have many steps, as words that are added up; 0
	// means DefaultWork for DefaultMax schedules, and in proportion for another Max.
	Work uint64
	// BruteForce executes every schedule instead of one of each class: what the reduction is tested
	// against.
	BruteForce bool
}

// DefaultWork is what a processor computes in some twenty seconds.
const DefaultWork = 1 << 32

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
	// Complete says, where they are not, which ones All are: those in which fewer than so many times something that the run
	// fetches or loads is not what it would have been without the step before. 0: some of them, by no rule.
	Complete int
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
	if o.Work == 0 {
		o.Work = uint64(o.Max) * (DefaultWork / DefaultMax)
	}
	found := map[touched][]string{}
	e := newExplorer(m, s, found)
	err := e.all(ctx, o)
	if err == nil && !e.res.Exhaustive && !e.res.Unbounded && !o.BruteForce {
		err = e.inOrder(ctx, o)
	}
	if ctx.Err() == nil && err != nil {
		return nil, err
	}
	return e.res, err
}

func newExplorer(m Machine, s *Script, found map[touched][]string) *explorer {
	e := &explorer{m: m, s: s, found: found, deepest: math.MaxInt, res: &Result{Failed: map[string]*Count{}, Exhaustive: true}}
	e.res.All.Schedules = new(big.Int)
	return e
}

// all executes one schedule of each class, as far as the bounds allow, and takes what it needs from them.
func (e *explorer) all(ctx context.Context, o Options) error {
	e.roots(o.BruteForce)
	for ; len(e.open) > 0; e.executed++ {
		if e.executed == o.Max || e.work >= o.Work {
			e.res.Exhaustive = false
			break
		}
		n := e.open[len(e.open)-1]
		e.open = e.open[:len(e.open)-1]
		if err := e.visit(ctx, n, o.BruteForce); err != nil {
			e.res.Exhaustive = false
			return fmt.Errorf("explore: schedule %d: %w", e.executed+1, err)
		}
	}
	return nil
}

// inOrder replaces a result that is not exhaustive by one of which can be said what it is of: all schedules with no change, with
// one, two and so on, as long as the bounds allow. What fails stays.
func (e *explorer) inOrder(ctx context.Context, o Options) error {
	for n := 1; ; n++ {
		few := newExplorer(e.m, e.s, e.found)
		few.deepest = n - 1
		if err := few.all(ctx, o); err != nil {
			return err
		}
		o.Max, o.Work = o.Max-few.executed, o.Work-min(o.Work, few.work)
		e.res.fails(few.res)
		if !few.res.Exhaustive || few.res.Unbounded {
			return nil
		}
		e.res.All, e.res.Complete = few.res.All, n
	}
}

// fails adds what fails in another result of the same.
func (r *Result) fails(o *Result) {
	for name, n := range o.Failed {
		if was := r.Failed[name]; was == nil || was.Schedules.Cmp(n.Schedules) < 0 {
			r.Failed[name] = n
		}
	}
	if o.Shortest != nil && (r.Shortest == nil || o.Shortest.shorter(r.Shortest)) {
		r.Shortest = o.Shortest
	}
}

// node is a class, or the beginning of some: the choices made so far.
type node struct {
	plan    []Placement
	from    uint64 // instructions executed when the last choice has been made
	version int    // the lowest that fits the choices
	ceiling int    // the highest that it can get to during the run
	// ways[v] is the number of ways to be at version version+v after those instructions.
	ways    []*big.Int
	changes int // choices made so far, but for where the run begins
}

type explorer struct {
	m     Machine
	s     *Script
	open  []*node
	res   *Result
	found map[touched][]string
	// deepest is how many changes a run may meet, work what was computed so far.
	deepest  int
	executed int
	work     uint64
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
		b = e.s.behaviours(t)
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
			n = &node{version: v, ceiling: c, from: 1, ways: zeros(c + 1 - v)}
			if v > 0 {
				n.plan = []Placement{{0, v}}
			}
			byCeiling[c] = n
			e.open = append(e.open, n)
		}
		n.ways[v-n.version].SetInt64(1)
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
		ways = e.advance(ways, t.Seq-at+1)
		at = t.Seq + 1
		ways = e.choose(n, t, ways)
	}
	ways = e.advance(ways, x.Insns-at)
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
		have := ways[v-n.version]
		if have.Sign() == 0 {
			continue
		}
		b := find[v]
		if b == find[n.version] {
			own[v-n.version] = have
			continue
		}
		if n.changes == e.deepest {
			continue
		}
		g := groups[b]
		if g == nil {
			plan := append(append([]Placement(nil), n.plan...), Placement{t.Seq, v})
			g = &node{plan: plan, from: t.Seq + 1, version: v, ceiling: n.ceiling, ways: zeros(n.ceiling + 1 - v), changes: n.changes + 1}
			groups[b] = g
			e.open = append(e.open, g)
		}
		g.ways[v-g.version] = have
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
