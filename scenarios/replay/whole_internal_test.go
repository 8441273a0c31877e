// SPDX-License-Identifier: GPL-2.0-only

package replay

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/scenarios/edits"
)

var wholeCount = flag.Int("whole-edits", 0, "how many edits of whole captures TestWholeEdits makes; 0 is 60, 12 with -short")

// wholePart is how many scenarios of a capture stand for all of them.
const wholePart = 5

// TestWholeEdits makes the same edit wherever the same code stands in a capture, in all of its scenarios, programs and
// states, as the JIT of a kernel makes a mistake: with everything alike, nothing is there to compare with but what is
// known of the kernel. What the judge says changes something in one of the scenarios, replay of the capture must find.
func TestWholeEdits(t *testing.T) {
	n := *wholeCount
	if n == 0 {
		if n = 60; testing.Short() {
			n = 12
		}
	}
	e := newEditing(t, 2, edits.Kinds())
	e.eachFile(n, func(f string, lines []string, n int) {
		for done := 0; done < n; {
			if e.whole(f, lines) {
				done++
			}
		}
	})
	var all tally
	for _, k := range edits.Kinds() {
		n := e.kinds[k]
		t.Logf("%-20s changed %5d, found %5d, missed %d, survive and change nothing %d", k, n.changed, n.found, n.missed, n.kept)
		all.changed, all.found, all.missed, all.kept = all.changed+n.changed, all.found+n.found, all.missed+n.missed, all.kept+n.kept
	}
	t.Logf("all: %+v", all)
	for _, k := range slices.Sorted(maps.Keys(e.how)) {
		t.Logf("verdict %s: %d", k, e.how[k])
	}
}

// whole makes one edit in a part of a capture; it reports whether there was one to make.
func (e *editing) whole(file string, lines []string) bool {
	line := lines[1+e.r.IntN(len(lines)-2)]
	c := e.prepared(lines, line)
	if c == nil {
		return false
	}
	ed, ok := randomEdit(e.r, c.Scenario)
	if !ok {
		return false
	}
	own := bytes.Clone(c.Scenario.Progs[ed.prog].Funcs[ed.fn].Code(ed.state)[ed.Lo:ed.Hi])
	var edited []string
	var good []*bench
	var seen []bool // by the kernel, without a run
	for n := 0; len(edited) < wholePart && n < 40; n++ {
		if n > 0 {
			line = lines[1+e.r.IntN(len(lines)-2)]
			c = e.prepared(lines, line)
		}
		if c == nil {
			continue
		}
		if text, kernel, ok := e.inAll(lines, line, c, &ed, own); ok {
			edited, good, seen = append(edited, text), append(good, &bench{t: e.t, rig: e.rig, c: c}), append(seen, kernel)
		}
	}
	if len(edited) == 0 {
		return false
	}
	e.judgeWhole(file, lines, &ed, edited, good, seen)
	return true
}

// prepared is a scenario of a capture that can be edited and run, nil if it cannot.
func (e *editing) prepared(lines []string, line string) *Bare {
	c := e.bareOf(lines, line)
	if c == nil || c.skip() != "" || c.Scenario.ProgType == 26 || len(c.Scenario.Trampolines) > 0 {
		return nil
	}
	return c
}

func (e *editing) bareOf(lines []string, line string) *Bare {
	src, err := alone(e.t, lines, line)
	if err != nil {
		return nil
	}
	got, err := Capture(src, e.target, 0)
	if err != nil {
		return nil
	}
	c, _ := got.(*Bare)
	return c
}

// mostPlaces is in how many places of a scenario an edit is made at most.
const mostPlaces = 60

// inAll makes an edit in all places of a scenario that have the same code, from the last one of each function to the
// first. kernel says that one of them is a place that the kernel looks at.
func (e *editing) inAll(lines []string, line string, c *Bare, ed *edit, own []byte) (text string, kernel, ok bool) {
	text = line
	sc := c.Scenario
	made := 0
	for p := range sc.Progs {
		for i := range sc.Progs[p].Funcs {
			for _, at := range placesOf(&sc.Progs[p].Funcs[i], own) {
				f := &sc.Progs[p].Funcs[i]
				here := edit{prog: p, fn: i, state: at.state}
				here.Edit = edits.Edit{Kind: ed.Kind, Lo: at.off, Hi: at.off + len(own), Old: ed.Old, Repl: ed.Elsewhere(own, f.Addr+image.Addr(at.off))}
				if here.Repl == nil && ed.Repl != nil {
					continue
				}
				now := sc
				if made > 0 {
					src, err := alone(e.t, lines, text)
					if err != nil {
						return "", false, false
					}
					if now, err = src.Scenario(0); err != nil {
						return "", false, false
					}
				}
				if f := &now.Progs[p].Funcs[i]; here.Hi > len(f.Code(at.state)) || !bytes.Equal(f.Code(at.state)[here.Lo:here.Hi], own) {
					continue // the edit of the other state was made here, too
				}
				next, ok := here.apply(e.t, text, now)
				if !ok {
					continue
				}
				text = next
				if img, err := c.decoded.program(p, at.state); err == nil && edits.SeenByKernel(img, i, &here.Edit, c.Target.Emit.ENDBR) != "" {
					kernel = true
				}
				if made++; made > mostPlaces {
					return "", false, false
				}
			}
		}
	}
	return text, kernel, made > 0
}

// placeOf is where code stands in a function.
type placeOf struct {
	state capture.State
	off   int
}

// placesOf lists where some code stands in a function, the last place first, those of the empty state before those that
// are only in the filled one.
func placesOf(f *capture.Func, own []byte) (out []placeOf) {
	seen := map[int]bool{}
	for _, state := range []capture.State{capture.Empty, capture.Populated} {
		if state != capture.Empty && !f.Recorded(state) {
			continue
		}
		code := f.Code(state)
		insns := edits.Disassemble(code, f.Addr)
		free := len(code)
		for k := len(insns) - 1; k >= 0; k-- {
			at := int(insns[k].PC - f.Addr)
			if !seen[at] && at+len(own) <= free && bytes.HasPrefix(code[at:], own) {
				seen[at], free = true, at
				out = append(out, placeOf{state, at})
			}
		}
	}
	slices.SortStableFunc(out, func(a, b placeOf) int { return b.off - a.off })
	return out
}

// judgeWhole replays an edited part of a capture and asks the judge.
func (e *editing) judgeWhole(file string, lines []string, ed *edit, edited []string, good []*bench, seen []bool) {
	k := e.kinds[ed.Kind]
	why, verdict := "", survives
	src, err := e.capture(lines, edited)
	if err != nil {
		verdict, why = "bad capture", "it is no capture"
	}
	for i := 0; err == nil && i < len(edited); i++ {
		c, v := e.wholeVerdict(src, i)
		if v != survives && verdict == survives {
			verdict = v
		}
		switch {
		case why != "":
		case c == nil:
			why = "it does not decode"
		case seen[i]:
			why = "the kernel looks at it"
		default:
			why = e.differs(good[i], &bench{t: e.t, rig: e.rig, c: c})
		}
	}
	e.how[verdict]++
	if verdict != survives {
		k.found++
	}
	switch {
	case why != "":
		k.changed++
		if verdict == survives {
			k.missed++
			e.t.Errorf("MISSED in all of %s: %s: %s", file, ed, why)
		}
	case verdict == survives:
		k.kept++
	}
}

// capture is a capture of some scenarios.
func (e *editing) capture(lines, scenarios []string) (*capture.Source, error) {
	i := strings.Index(lines[0], `"scenarios":`) + len(`"scenarios":`)
	head := lines[0][:i] + fmt.Sprint(len(scenarios)) + lines[0][i+strings.IndexAny(lines[0][i:], ",}"):]
	return packed(e.t, slices.Concat([]string{head}, scenarios, lines[len(lines)-1:]))
}

// wholeVerdict is what replay says of a scenario of an edited capture; the scenario is nil if it does not decode.
func (e *editing) wholeVerdict(src *capture.Source, i int) (*Bare, string) {
	target, err := TargetOf(src)
	if err != nil {
		e.t.Fatal(err)
	}
	got, err := Capture(src, target, i)
	if err != nil {
		return nil, "bad capture"
	}
	c := got.(*Bare)
	r, err := e.rp.Run(context.Background(), c)
	return c, e.word(c, r, err)
}

// differs says how runs of two scenarios differ, "" if they do not.
func (e *editing) differs(good, bad *bench) string {
	if bad.c.broken != "" {
		return "it does not decode"
	}
	for p := range good.c.Scenario.Progs {
		for _, state := range []capture.State{capture.Populated, capture.Empty} {
			for _, w := range e.ways(good, &edit{prog: p}, state) {
				if want, got := good.Run(&w, nil), bad.Run(&w, nil); got != want && got.Fault != edits.NotJudged {
					return fmt.Sprintf("%s: %+v: %+v, %+v before", good.c.Scenario.Name, w, got, want)
				}
			}
		}
	}
	return ""
}
