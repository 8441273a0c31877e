// SPDX-License-Identifier: GPL-2.0-only

package replay

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
	"github.com/tcsim/tcsim/scenarios/runner"
)

var (
	editCount = flag.Int("edits", 0, "how many random edits of captured code TestRandomEdits makes; 0 is 2,000, 60 with -short")
	editSeed  = flag.Uint64("edit-seed", 1, "what they are drawn from")
	// editFiles are the captures whose code is edited.
	editFiles = flag.String("edit-captures", "5.10-off,6.1-off,6.12-off,7.3-off",
		"the captures that are edited: names in fixtures/kernels, or files; with @TARGET if the header does not say what made the code")
)

// tally counts edits of a kind by what became of them.
type tally struct {
	found, changed, missed, kept int
}

// editing is one campaign of edits.
type editing struct {
	t         *testing.T
	r         *rand.Rand
	rp        *Replayer
	rig       *runner.Rig
	kinds     map[string]*tally
	how       map[string]int // verdicts of replay
	survivors map[string]int // by what changed
	target    *jit.Target    // that made the code
	refused   int            // scenarios of which something is said without an edit
}

// newEditing prepares edits of these kinds; stream keeps the random choices of tests apart.
func newEditing(t *testing.T, stream uint64, kinds []string) *editing {
	t.Helper()
	rp, err := New(runner.Options{MaxInsns: 1 << 18, MaxEvents: 1 << 14})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rp.Close() })
	rig, err := runner.NewRig(runner.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rig.Close() })
	e := &editing{t: t, r: rand.New(rand.NewPCG(*editSeed, stream)), rp: rp, rig: rig, kinds: map[string]*tally{}, how: map[string]int{}, survivors: map[string]int{}}
	for _, k := range kinds {
		e.kinds[k] = &tally{}
	}
	return e
}

// TestRandomEdits makes random edits of captured code. Whatever the judge, which knows none of the checks, says
// changes what programs or the kernel can see, replay must find.
func TestRandomEdits(t *testing.T) {
	n := *editCount
	if n == 0 {
		if n = 2000; testing.Short() {
			n = 60
		}
	}
	e := newEditing(t, 1, append(editKinds, everywhere))
	edited := strings.Split(*editFiles, ",")
	for i, f := range edited {
		e.file(f, n*(i+1)/len(edited)-n*i/len(edited))
	}
	e.report()
}

// everywhere is the kind of edits that are made in all places with the same code at a time.
const everywhere = "everywhere"

// perScenario is how many edits one scenario gets.
const perScenario = 5

// lines opens a capture that -edit-captures names, and finds out what made its code: one scenario alone may not show it.
func (e *editing) lines(file string) []string {
	file, name, given := strings.Cut(file, "@")
	all := captureLines(e.t, file)
	var err error
	if given {
		e.target, err = jit.TargetByName(name)
	} else {
		var src *capture.Source
		if src, err = packed(e.t, all); err == nil {
			e.target, err = TargetOf(src)
		}
	}
	if err != nil {
		e.t.Fatal(err)
	}
	return all
}

// file edits scenarios of a capture.
func (e *editing) file(file string, n int) {
	all := e.lines(file)
	for done := 0; done < n; {
		line := all[1+e.r.IntN(len(all)-2)]
		src, err := alone(e.t, all, line)
		if err != nil {
			e.t.Fatal(err)
		}
		got, err := Capture(src, e.target, 0)
		if err != nil {
			e.t.Fatal(err)
		}
		c, ok := got.(*Bare)
		if !ok || c.skip() != "" || c.Scenario.ProgType == 26 || len(c.Scenario.Trampolines) > 0 {
			continue
		}
		if v, _ := e.verdict(all, line); v != survives {
			if e.refused++; e.refused > 10+n {
				e.t.Fatalf("%s: what is not edited is not called ok: %s: %s", file, c.Scenario.Name, v)
			}
			continue
		}
		good := &bench{t: e.t, rig: e.rig, c: c}
		for range perScenario {
			ed, ok := randomEdit(e.r, c.Scenario)
			if !ok {
				continue
			}
			if e.r.IntN(6) == 0 {
				if !ed.everywhere(c.Scenario) {
					continue
				}
				ed.kind = everywhere
			}
			text, ok := ed.apply(e.t, line, c.Scenario)
			if !ok {
				continue
			}
			e.one(file, all, text, good, &ed)
			done++
		}
	}
}

// one judges an edit and compares with what replay says.
func (e *editing) one(file string, all []string, text string, good *bench, ed *edit) {
	k := e.kinds[ed.kind]
	verdict, c := e.verdict(all, text)
	e.how[verdict]++
	if verdict != survives {
		k.found++
	}
	why := ""
	if c != nil {
		bad := &bench{t: e.t, rig: e.rig, c: c, edits: ed}
		why = e.changes(good, bad, ed)
		for i := 0; i < len(ed.also) && why == ""; i++ {
			why = e.changes(good, bad, &ed.also[i])
		}
	} else {
		why = "it does not decode"
	}
	switch {
	case why != "":
		k.changed++
		if verdict == survives {
			k.missed++
			e.t.Errorf("MISSED %s %s: %s: %s", file, good.c.Scenario.Name, ed, why)
		}
	case verdict != survives && testing.Verbose() && e.how[verdict]%10 == 0:
		e.t.Logf("reported, and no difference seen: %s: %s: %s: %v", good.c.Scenario.Name, ed, verdict, c.flaws)
	case verdict == survives:
		k.kept++
		e.survivors[e.classify(good, ed)]++
	}
}

const survives = "called ok"

// verdict is what replay says of edited code; c is nil if it cannot run.
func (e *editing) verdict(all []string, text string) (string, *Bare) {
	src, err := alone(e.t, all, text)
	if err != nil {
		return "bad capture", nil
	}
	got, err := Capture(src, e.target, 0)
	if err != nil {
		return "bad capture", nil
	}
	c := got.(*Bare)
	r, err := e.rp.Run(context.Background(), c)
	if err == nil && c.broken != "" {
		return "does not decode", nil
	}
	return e.word(c, r, err), c
}

// word says how a replay ended.
func (e *editing) word(c *Bare, r *Replay, err error) string {
	switch {
	case err != nil:
		return "cannot run"
	case c.broken != "":
		return "does not decode"
	case r.Violation != nil:
		return "breaks " + string(r.Violation.Invariant)
	case r.Killed != "":
		return "does not end"
	case len(c.flaws) > 0:
		return "flaw in code"
	case len(r.Wrong) > 0:
		return "wrong result"
	case len(c.Unchecked) > 0:
		return "says that it has another design, of which code is unchecked"
	}
	return survives
}

// changes says what an edit changes that can be seen, "" if nothing was found.
func (e *editing) changes(good, bad *bench, ed *edit) string {
	img, err := good.c.decoded.program(ed.prog, ed.state)
	if err != nil {
		e.t.Fatal(err)
	}
	if why := seenByKernel(img, ed, good.c.Target.Emit.ENDBR); why != "" {
		return why
	}
	states := []capture.State{capture.Populated, capture.Empty}
	if f := &good.c.Scenario.Progs[ed.prog].Funcs[ed.fn]; f.Recorded(capture.Populated) {
		states = []capture.State{ed.state}
	}
	f := &img.Funcs[ed.fn]
	reached := false
	for _, state := range states {
		for _, w := range e.ways(good, ed, state) {
			at := retiredAt{}
			want := good.run(&w, at)
			hit := false
			for off := ed.lo; off < ed.hi; off++ {
				hit = hit || at[f.Addr+image.Addr(off)]
			}
			if !hit {
				continue
			}
			reached = true
			if got := bad.run(&w, nil); got != want && got.fault != notJudged {
				return fmt.Sprintf("%+v: %+v, %+v before", w, got, want)
			}
		}
	}
	if reached {
		return ""
	}
	for _, state := range states {
		img, err := good.c.decoded.program(ed.prog, state)
		if err != nil {
			continue
		}
		path, ok := pathTo(img, ed.fn, ed.lo)
		if !ok {
			continue
		}
		for _, seed := range []uint64{0, 1, 2} {
			w := way{prog: ed.prog, count: -1, state: state, forced: path, inputs: seed}
			if want, got := good.run(&w, nil), bad.run(&w, nil); got != want && got.fault != notJudged {
				return fmt.Sprintf("forced, %+v: %+v, %+v before", w, got, want)
			}
		}
	}
	return ""
}

// ways are how an edited program is run.
func (e *editing) ways(b *bench, ed *edit, state capture.State) []way {
	run := b.c.testRun().Prog
	out := []way{{prog: run, count: -1, state: state}}
	for seed := range uint64(3) {
		out = append(out, way{prog: run, count: -1, state: state, inputs: seed + 1})
	}
	if ed.prog != run {
		out = append(out, way{prog: ed.prog, count: -1, state: state})
	}
	if len(b.c.Scenario.Progs[ed.prog].TailCalls) > 0 {
		for _, n := range []int{31, 32, 33, 34} {
			out = append(out, way{prog: ed.prog, count: n, state: state})
		}
	}
	return out
}

// classify says why an edit changes nothing.
func (e *editing) classify(b *bench, ed *edit) string {
	img, err := b.c.decoded.program(ed.prog, ed.state)
	if err != nil {
		return "?"
	}
	f := &img.Funcs[ed.fn]
	old := disassemble(f.Code[ed.lo:ed.hi], f.Addr+image.Addr(ed.lo))
	now := disassemble(ed.repl, f.Addr+image.Addr(ed.lo))
	if _, ok := pathTo(img, ed.fn, ed.lo); !ok {
		return "dead code"
	}
	text := func(l []x86.Inst) (out []string) {
		for i := range l {
			if !l[i].IsNop {
				out = append(out, l[i].String())
			}
		}
		return out
	}
	a, c := text(old), text(now)
	switch {
	case slices.Equal(a, c) && len(a) == 0:
		return "a nop of another form or size"
	case slices.Equal(a, c):
		return "another encoding of the same instruction"
	case ed.kind == "swap" && slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(c))):
		return "independent instructions in another order"
	case len(c) == 0 || strings.Contains(ed.kind, "dropped"):
		return "an instruction without effect is gone"
	case strings.Contains(ed.kind, "doubled"):
		return "an instruction twice that means the same as once"
	}
	e.t.Logf("other: %s %s", b.c.Scenario.Name, ed)
	return "another instruction that does the same"
}

func (e *editing) report() {
	var all tally
	for _, k := range append(editKinds, everywhere) {
		n := e.kinds[k]
		e.t.Logf("%-20s changed %5d, found %5d, missed %d, survive and change nothing %d", k, n.changed, n.found, n.missed, n.kept)
		all.changed += n.changed
		all.found += n.found
		all.missed += n.missed
		all.kept += n.kept
	}
	e.t.Logf("all: %+v; %d scenarios are not called ok without an edit", all, e.refused)
	for _, k := range slices.Sorted(maps.Keys(e.how)) {
		e.t.Logf("verdict %s: %d", k, e.how[k])
	}
	for _, k := range slices.Sorted(maps.Keys(e.survivors)) {
		e.t.Logf("survive: %s: %d", k, e.survivors[k])
	}
}
