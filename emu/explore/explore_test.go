// SPDX-License-Identifier: GPL-2.0-only

package explore_test

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/tcsim/tcsim/emu/explore"
	"github.com/tcsim/tcsim/jit/image"
)

// The toy processor: instruction numbers are addresses in units of 16 bytes. A patched place is a nop
// or a jump to another instruction; opLoad goes on by one or two depending on a word.
const (
	opNop = iota
	opPoked
	opLoad
	opFail
	opEnd
)

type toy struct {
	prog   []int
	script *explore.Script
	runs   int
}

func at(i int) image.Addr { return 0xffffffffc0000000 + image.Addr(16*i) }

const word image.Addr = 0xffff888100000000

// Execute implements explore.Machine by the bytes as they are in each version.
func (m *toy) Execute(_ context.Context, p []explore.Placement) (*explore.Execution, error) {
	m.runs++
	x := &explore.Execution{}
	version := 0
	for pc := 0; ; x.Insns++ {
		for len(p) > 0 && p[0].Before == x.Insns {
			version, p = p[0].Version, p[1:]
		}
		switch m.prog[pc] {
		case opEnd:
			x.Insns++
			return x, nil
		case opFail:
			x.Insns++
			x.Failure = explore.Failure{Name: "fail"}
			return x, nil
		case opPoked:
			x.Touches = append(x.Touches, explore.Touch{Seq: x.Insns, Place: m.place(at(pc)), Addr: at(pc)})
			next := m.next(at(pc), version)
			if to := int64(next - at(0)); to < 0 || to/16 >= int64(len(m.prog)) || to%16 != 0 && next != at(pc)+image.PokeSize {
				x.Insns++
				x.Failure = explore.Failure{Name: "wild"}
				return x, nil
			}
			pc = int(next-at(0)+15) / 16
		case opLoad:
			x.Touches = append(x.Touches, explore.Touch{Seq: x.Insns, Place: m.place(word), Addr: word})
			pc += 1 + int(m.bytes(word, version)[0])
		default:
			pc++
		}
		if x.Insns > 1000 {
			return nil, explore.ErrUnbounded
		}
	}
}

func (m *toy) place(a image.Addr) int {
	for i, p := range m.script.Before {
		if p.Addr == a {
			return i
		}
	}
	return -1
}

func (m *toy) bytes(a image.Addr, version int) []byte {
	b := append([]byte(nil), m.script.Before[m.place(a)].Bytes...)
	for _, s := range m.script.Steps[:version] {
		if s.Addr >= a && s.Addr < a+image.Addr(len(b)) {
			copy(b[s.Addr-a:], s.Bytes)
		}
	}
	return b
}

func (m *toy) next(a image.Addr, version int) image.Addr {
	b := m.bytes(a, version)
	h := m.script.Halfway(a, version)
	switch {
	case b[0] == 0xcc && h != nil:
		return h.Trap()
	case b[0] != 0xe9 && [5]byte(b) != image.Nop5:
		return 0 // bytes that are no instruction of the toy
	}
	p := image.Patch{Addr: a, New: [5]byte(b)}
	return p.Trap()
}

var nop = image.Nop5

func jump(from, to int) [5]byte {
	d := uint32(at(to) - at(from) - 5)
	return [5]byte{0xe9, byte(d), byte(d >> 8), byte(d >> 16), byte(d >> 24)}
}

// script pokes places in order, each from a nop to a jump or back; the word goes to 1 at the start.
func script(prog []int, targets []int, waits []bool) *explore.Script {
	return scriptInOrder(prog, targets, waits, []int{0, 1, 2})
}

// scriptInOrder makes the writes of each poke in an order that may be wrong.
func scriptInOrder(prog []int, targets []int, waits []bool, order []int) *explore.Script {
	s := &explore.Script{Before: []explore.Place{{Addr: word, Bytes: make([]byte, 8)}}}
	s.Steps = append(s.Steps, explore.Step{Kind: explore.StepPointer, Addr: word, Bytes: []byte{1}})
	k := 0
	for i, op := range prog {
		if op != opPoked {
			continue
		}
		p := &image.Patch{Kind: image.PatchText, Addr: at(i), Old: nop, New: jump(i, targets[k])}
		if targets[k] < 0 {
			p.Old, p.New = jump(i, -targets[k]), nop
		}
		s.Before = append(s.Before, explore.Place{Addr: p.Addr, Bytes: p.Old[:], Code: true})
		writes := p.Steps()
		for n, k := range order {
			w := writes[k]
			s.Steps = append(s.Steps, explore.Step{
				Kind: explore.StepText, Addr: p.Addr + image.Addr(w.Off), Bytes: w.Bytes, Patch: p, Last: n == 2,
			})
		}
		if waits[k] {
			s.Steps = append(s.Steps, explore.Step{Kind: explore.StepWaitBegin}, explore.Step{Kind: explore.StepWaitEnd})
		}
		k++
	}
	return s
}

func must(t testing.TB, m *toy, o explore.Options) *explore.Result {
	t.Helper()
	m.runs = 0
	res, err := explore.Explore(context.Background(), m, m.script, o)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func (m *toy) String() string { return fmt.Sprint(m.prog, len(m.script.Steps)) }

// failed returns the number of failing schedules.
func failed(r *explore.Result) *big.Int {
	n := new(big.Int)
	for _, c := range r.Failed {
		n.Add(n, c.Schedules)
	}
	return n
}

// TestCount compares with the closed form: a run that no step touches.
func TestCount(t *testing.T) {
	prog := make([]int, 100)
	prog = append(prog, opEnd)
	m := &toy{prog: prog, script: script([]int{opNop, opPoked, opPoked, opEnd}, []int{3, 3}, []bool{false, false})}
	res := must(t, m, explore.Options{})
	if want := new(big.Int).Binomial(101+7, 7); res.All.Schedules.Cmp(want) != 0 || res.All.Classes != 1 || !res.Exhaustive {
		t.Errorf("%v schedules in %d classes, want %v in 1", res.All.Schedules, res.All.Classes, want)
	}
}

// TestReductionAgrees compares random programs and scripts with the execution of every schedule.
func TestReductionAgrees(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(3, 7).Draw(rt, "length")
		prog := []int{opNop}
		var targets []int
		var waits []bool
		for i := 1; i < n; i++ {
			op := rapid.SampledFrom([]int{opNop, opPoked, opLoad, opFail, opNop, opPoked}).Draw(rt, "op")
			if op == opPoked && len(targets) == 2 {
				op = opNop
			}
			if op == opPoked {
				to := rapid.IntRange(i+1, n).Draw(rt, "target")
				if rapid.Bool().Draw(rt, "remove") {
					to = -to
				}
				targets = append(targets, to)
				waits = append(waits, rapid.Bool().Draw(rt, "wait"))
			}
			prog = append(prog, op)
		}
		prog = append(prog, opEnd, opEnd)
		orders := [][]int{{0, 1, 2}, {0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 1, 0}, {2, 0, 1}}
		m := &toy{prog: prog, script: scriptInOrder(prog, targets, waits, rapid.SampledFrom(orders).Draw(rt, "order"))}
		all := must(t, m, explore.Options{BruteForce: true, Max: 1 << 20})
		reduced := must(t, m, explore.Options{})
		if all.All.Schedules.Int64() != int64(all.All.Classes) {
			rt.Fatalf("brute force: %v schedules, %d executed", all.All.Schedules, all.All.Classes)
		}
		if all.All.Schedules.Cmp(reduced.All.Schedules) != 0 || failed(all).Cmp(failed(reduced)) != 0 {
			rt.Fatalf("%v: %v schedules, %v fail; reduced %v and %v", m, all.All.Schedules, failed(all), reduced.All.Schedules, failed(reduced))
		}
		if (all.Shortest == nil) != (reduced.Shortest == nil) || all.Shortest != nil && all.Shortest.Insns != reduced.Shortest.Insns {
			rt.Fatalf("%v: shortest failing schedule %+v, reduced %+v", m, all.Shortest, reduced.Shortest)
		}
		if reduced.All.Classes != m.runs {
			rt.Fatalf("%d classes, %d runs", reduced.All.Classes, m.runs)
		}
	})
}

// TestWrongOrder has the writes of one poke in every order: in all but the right one an instruction can be met that
// was never written.
func TestWrongOrder(t *testing.T) {
	prog := []int{opNop, opPoked, opNop, opEnd}
	for _, tc := range []struct {
		order []int
		fails bool
	}{{[]int{0, 1, 2}, false}, {[]int{0, 2, 1}, true}, {[]int{1, 0, 2}, true}, {[]int{2, 1, 0}, true}, {[]int{1, 2, 0}, true}, {[]int{2, 0, 1}, true}} {
		m := &toy{prog: prog, script: scriptInOrder(prog, []int{3}, []bool{false}, tc.order)}
		for _, brute := range []bool{false, true} {
			if res := must(t, m, explore.Options{BruteForce: brute}); (res.Shortest != nil) != tc.fails {
				t.Errorf("order %v, brute force %v: %+v", tc.order, brute, res.Shortest)
			}
		}
	}
}

// TestBound stops early and says so.
func TestBound(t *testing.T) {
	prog := []int{opNop, opPoked, opPoked, opNop, opEnd}
	m := &toy{prog: prog, script: script(prog, []int{3, 4}, []bool{false, false})}
	all := must(t, m, explore.Options{})
	res := must(t, m, explore.Options{Max: 2})
	if res.Exhaustive || res.All.Classes != 1 || res.Complete != 1 || res.All.Schedules.Cmp(all.All.Schedules) >= 0 || !all.Exhaustive {
		t.Errorf("bounded: %v in %d classes, exhaustive %v; all: %v in %d", res.All.Schedules, res.All.Classes, res.Exhaustive,
			all.All.Schedules, all.All.Classes)
	}
}

// plans is a machine that notes how often the schedules that it executes meet a change.
type plans struct {
	*toy
	changes []int
}

func (p *plans) Execute(ctx context.Context, at []explore.Placement) (*explore.Execution, error) {
	n := len(at)
	if n > 0 && at[0].Before == 0 {
		n--
	}
	p.changes = append(p.changes, n)
	return p.toy.Execute(ctx, at)
}

// TestComplete: where not all schedules fit, those with few changes are all seen, as many as fit, and their number is right.
func TestComplete(t *testing.T) {
	prog := []int{opNop, opPoked, opPoked, opNop, opPoked, opEnd, opFail}
	m := &plans{toy: &toy{prog: prog, script: script(prog, []int{3, 4, 5}, []bool{false, false, false})}}
	run := func(o explore.Options) *explore.Result {
		t.Helper()
		res, err := explore.Explore(context.Background(), m, m.script, o)
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	all := run(explore.Options{})
	for limit := range all.All.Classes - 1 {
		limit++
		few := func(n int) (classes int) {
			for _, c := range m.changes[:all.All.Classes] {
				if c < n {
					classes++
				}
			}
			return classes
		}
		want, total := 0, few(1) // each number of changes begins from the start
		for ; total <= limit; total += few(want + 1) {
			want++
		}
		res := run(explore.Options{Max: limit})
		if res.Exhaustive || res.Complete != want || want > 0 && res.All.Classes != few(want) {
			t.Errorf("at most %d of %d: %d classes with fewer than %d changes, want %d of %d", limit, all.All.Classes,
				res.All.Classes, res.Complete, few(want), want)
		}
		if want > 0 && res.All.Schedules.Cmp(all.All.Schedules) >= 0 {
			t.Errorf("at most %d: %v schedules, all are %v", limit, res.All.Schedules, all.All.Schedules)
		}
	}
	if res := run(explore.Options{Work: 1}); res.Exhaustive || res.All.Classes != 1 {
		t.Errorf("hardly any work: exhaustive %v, %d classes", res.Exhaustive, res.All.Classes)
	}
}

// failing is a machine that notes after how many instructions each schedule fails, 0 where none does.
type failing struct {
	*toy
	insns []uint64
}

func (f *failing) Execute(ctx context.Context, at []explore.Placement) (*explore.Execution, error) {
	x, err := f.toy.Execute(ctx, at)
	n := uint64(0)
	if err == nil && x.Failure.Name != "" {
		n = x.Insns
	}
	f.insns = append(f.insns, n)
	return x, err
}

// TestFailsInOrder: where not all schedules fit, what fails is kept from both rounds, the shortest of all.
func TestFailsInOrder(t *testing.T) {
	prog := []int{opNop, opPoked, opPoked, opNop, opPoked, opPoked, opEnd, opFail}
	later := 0
	for limit := 1; ; limit++ {
		m := &failing{toy: &toy{prog: prog, script: script(prog, []int{7, 3, 5, 6}, make([]bool, 4))}}
		res, err := explore.Explore(context.Background(), m, m.script, explore.Options{Max: limit})
		if err != nil {
			t.Fatal(err)
		}
		if res.Exhaustive {
			break
		}
		shortest := uint64(0)
		for _, n := range m.insns {
			if n > 0 && (shortest == 0 || n < shortest) {
				shortest = n
			}
		}
		if slices.Max(m.insns[:limit]) == 0 && shortest > 0 {
			later++
		}
		if (shortest > 0) != (res.Shortest != nil) || shortest > 0 && res.Shortest.Insns != shortest {
			t.Errorf("at most %d: the shortest is %+v, executed were %v", limit, res.Shortest, m.insns)
		}
	}
	if later == 0 {
		t.Error("no failure was found in the second round only")
	}
}

// TestNotInOrder: schedules that are executed one by one are not gone through again, and neither are those of a run that does not end.
func TestNotInOrder(t *testing.T) {
	prog := []int{opNop, opPoked, opPoked, opNop, opEnd}
	m := &toy{prog: prog, script: script(prog, []int{3, 4}, []bool{false, false})}
	if res := must(t, m, explore.Options{BruteForce: true, Max: 3}); res.Exhaustive || res.Complete != 0 || m.runs != 3 {
		t.Errorf("brute force: %d runs, complete to %d changes", m.runs, res.Complete)
	}
	endless := &toy{prog: prog, script: script(prog, []int{-1, 4}, []bool{false, false})}
	if res := must(t, endless, explore.Options{Max: 3}); res.Exhaustive || !res.Unbounded || res.Complete != 0 || endless.runs != 1 {
		t.Errorf("endless: %d runs, complete to %d changes: %+v", endless.runs, res.Complete, res)
	}
}

// cut is a machine that is interrupted in its last schedule.
type cut struct {
	*toy
	left int
	stop context.CancelFunc
}

func (c *cut) Execute(ctx context.Context, p []explore.Placement) (*explore.Execution, error) {
	if c.left--; c.left < 0 {
		c.stop()
		return nil, ctx.Err()
	}
	return c.toy.Execute(ctx, p)
}

// TestInterrupted expects what was found until an interrupt.
func TestInterrupted(t *testing.T) {
	prog := []int{opNop, opPoked, opNop, opPoked, opEnd, opFail}
	m := &toy{prog: prog, script: script(prog, []int{4, 5}, []bool{false, false})}
	all := must(t, m, explore.Options{})
	for n := range all.All.Classes {
		ctx, stop := context.WithCancel(context.Background())
		res, err := explore.Explore(ctx, &cut{m, n, stop}, m.script, explore.Options{})
		if !errors.Is(err, context.Canceled) || res == nil || res.Exhaustive || res.All.Classes != n {
			t.Fatalf("after %d: %+v, %v", n, res, err)
		}
		if n == all.All.Classes-1 && res.Shortest == nil {
			t.Error("the failure that was found is lost")
		}
	}
}

// TestWait has a second place that is dangerous once the first was passed. Only the wait makes it safe.
func TestWait(t *testing.T) {
	// The first poke closes the way to the second, the second opens the way to failure.
	prog := []int{opNop, opPoked, opNop, opPoked, opEnd, opFail}
	for _, wait := range []bool{true, false} {
		m := &toy{prog: prog, script: script(prog, []int{4, 5}, []bool{wait, false})}
		res := must(t, m, explore.Options{})
		if fails := res.Shortest != nil; fails == wait {
			t.Errorf("wait %v: shortest failure %+v", wait, res.Shortest)
		}
		if !wait && (res.Shortest.Insns != 5 || len(res.Shortest.Placement) != 1 || res.Shortest.Placement[0].Before != 3) {
			t.Errorf("shortest failure %+v", res.Shortest)
		}
	}
}

func TestBadScript(t *testing.T) {
	for name, s := range map[string]*explore.Script{
		"wait without end": {Steps: []explore.Step{{Kind: explore.StepWaitBegin}}},
		"wait cut in two": {Before: []explore.Place{{Addr: word, Bytes: make([]byte, 8)}}, Steps: []explore.Step{
			{Kind: explore.StepWaitBegin}, {Kind: explore.StepPointer, Addr: word, Bytes: []byte{1}},
		}},
		"unknown place": {Steps: []explore.Step{{Kind: explore.StepPointer, Addr: word, Bytes: []byte{1}}}},
		"short code":    {Before: []explore.Place{{Addr: at(1), Bytes: []byte{0x90}, Code: true}}},
		"no patch":      {Steps: []explore.Step{{Kind: explore.StepText}}},
	} {
		if _, err := explore.Explore(context.Background(), &toy{}, s, explore.Options{}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
