// SPDX-License-Identifier: GPL-2.0-only

package replay

import (
	"context"
	"flag"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
	"github.com/tcsim/tcsim/scenarios/edits"
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
	e := newEditing(t, 1, append(edits.Kinds(), everywhere))
	e.eachFile(n, func(f string, all []string, n int) {
		e.edits(all, n, e.unrefused(f, all, 10+n), func(good *bench, line string, ed *edit) bool {
			if e.r.IntN(6) == 0 {
				if !ed.everywhere(good.c.Scenario) {
					return false
				}
				ed.Kind = everywhere
			}
			text, ok := ed.apply(t, line, good.c.Scenario)
			if ok {
				e.one(f, all, text, good, ed)
			}
			return ok
		})
	})
	e.report()
}

// eachFile opens the captures one after the other, each for its part of n edits.
func (e *editing) eachFile(n int, edit func(file string, lines []string, n int)) {
	files := strings.Split(*editFiles, ",")
	for i, f := range files {
		edit(f, e.lines(f), n*(i+1)/len(files)-n*i/len(files))
	}
}

// edits draws edits of scenarios of a capture until n were made. prepare returns what is edited, nil if a scenario is passed
// over; edit makes an edit and reports whether that was possible.
func (e *editing) edits(lines []string, n int, prepare func(line string) *Bare, edit func(good *bench, line string, ed *edit) bool) {
	for done := 0; done < n; {
		line := lines[1+e.r.IntN(len(lines)-2)]
		c := prepare(line)
		if c == nil {
			continue
		}
		good := &bench{t: e.t, rig: e.rig, c: c}
		for range perScenario {
			if ed, ok := randomEdit(e.r, c.Scenario); ok && edit(good, line, &ed) {
				done++
			}
		}
	}
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

// unrefused passes over scenarios that cannot be run alone, and those of which something is said without an edit, which
// are not more than most.
func (e *editing) unrefused(file string, lines []string, most int) func(line string) *Bare {
	return func(line string) *Bare {
		c := e.prepared(lines, line)
		if c == nil {
			return nil
		}
		if v, _ := e.verdict(lines, line); v != survives {
			if e.refused++; e.refused > most {
				e.t.Fatalf("%s: what is not edited is not called ok: %s: %s", file, c.Scenario.Name, v)
			}
			return nil
		}
		return c
	}
}

// one judges an edit and compares with what replay says.
func (e *editing) one(file string, all []string, text string, good *bench, ed *edit) {
	k := e.kinds[ed.Kind]
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
	if why := edits.SeenByKernel(img, ed.fn, &ed.Edit, good.c.Target.Emit.ENDBR); why != "" {
		return why
	}
	states := []capture.State{capture.Populated, capture.Empty}
	if f := &good.c.Scenario.Progs[ed.prog].Funcs[ed.fn]; f.Recorded(capture.Populated) {
		states = []capture.State{ed.state}
	}
	var ways []edits.Way
	for _, state := range states {
		ways = append(ways, e.ways(good, ed, state)...)
	}
	if why, reached := edits.Differ(&ed.Edit, img.Funcs[ed.fn].Addr, ways, good, bad); reached {
		return why
	}
	for _, state := range states {
		img, err := good.c.decoded.program(ed.prog, state)
		if err != nil {
			continue
		}
		if why := edits.DifferForced(&ed.Edit, ed.prog, ed.fn, img, state == capture.Empty, good, bad); why != "" {
			return why
		}
	}
	return ""
}

// ways are how an edited program is run.
func (e *editing) ways(b *bench, ed *edit, state capture.State) []edits.Way {
	return edits.Ways(b.c.testRun().Prog, ed.prog, len(b.c.Scenario.Progs[ed.prog].TailCalls) > 0, state == capture.Empty)
}

// classify says why an edit changes nothing.
func (e *editing) classify(b *bench, ed *edit) string {
	img, err := b.c.decoded.program(ed.prog, ed.state)
	if err != nil {
		return "?"
	}
	f := &img.Funcs[ed.fn]
	old := edits.Disassemble(f.Code[ed.Lo:ed.Hi], f.Addr+image.Addr(ed.Lo))
	now := edits.Disassemble(ed.Repl, f.Addr+image.Addr(ed.Lo))
	if _, ok := edits.PathTo(img, ed.fn, ed.Lo); !ok {
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
	case ed.Kind == "swap" && slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(c))):
		return "independent instructions in another order"
	case len(c) == 0 || strings.Contains(ed.Kind, "dropped"):
		return "an instruction without effect is gone"
	case strings.Contains(ed.Kind, "doubled"):
		return "an instruction twice that means the same as once"
	}
	e.t.Logf("other: %s %s", b.c.Scenario.Name, ed)
	return "another instruction that does the same"
}

func (e *editing) report() {
	var all tally
	for _, k := range append(edits.Kinds(), everywhere) {
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
