// SPDX-License-Identifier: GPL-2.0-only

package interleave

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/nearest"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// caseMaker finds the updates to explore.
type caseMaker struct {
	b   *scenarios.Built
	c   *runner.Compiled
	o   Options
	out []exploreCase
}

func (e *caseMaker) options() error {
	if e.o.To != "" && len(e.o.Kinds) != 0 {
		return errors.New("an update is given by what the slot gets, or by its kind, not both")
	}
	if e.o.To != "" && e.o.Slot == "" {
		return fmt.Errorf("an update to %s needs a slot", e.o.To)
	}
	var only *runner.Slot
	if e.o.Slot != "" {
		k, err := e.slot(e.o.Slot)
		if err != nil {
			return err
		}
		only = &k
	}
	for _, k := range e.eachKind() {
		if !slices.Contains(UpdateKinds(), k) {
			var known []string
			for _, u := range UpdateKinds() {
				known = append(known, string(u))
			}
			return fmt.Errorf("no kind of update %q: expected one of %s, or several of them joined by +%s", k, strings.Join(known, ", "), nearest.DidYouMean(string(k), known))
		}
	}
	switch {
	case e.o.To != "":
		return e.given(*only)
	case len(e.o.Kinds) != 0:
		return e.kinds(e.o.Kinds, only)
	}
	e.own(only)
	if len(e.out) == 0 && e.o.Run == 0 {
		return e.kinds([]UpdateKind{UpdateInsert, UpdateReplace, UpdateDelete}, only)
	}
	if len(e.out) == 0 {
		return fmt.Errorf("no update of a prog array is next to run %d", e.o.Run)
	}
	return nil
}

// eachKind are all kinds that the options name, alone or in a row.
func (e *caseMaker) eachKind() (out []UpdateKind) {
	for _, k := range e.o.Kinds {
		out = append(out, k.row()...)
	}
	return out
}

// slot reads a reference such as jmp_table[0].
func (e *caseMaker) slot(text string) (runner.Slot, error) {
	name, rest, _ := strings.Cut(text, "[")
	m := slices.IndexFunc(e.b.Maps, func(m bpf.Map) bool { return m.Name == name && m.Type == bpf.ProgArray })
	var key uint32
	if n, err := fmt.Sscanf(rest, "%d]", &key); m < 0 || n != 1 || err != nil || rest != fmt.Sprintf("%d]", key) {
		var known []string
		for i := range e.b.Maps {
			if e.b.Maps[i].Type == bpf.ProgArray {
				known = append(known, e.b.Maps[i].Name)
			}
		}
		return runner.Slot{}, fmt.Errorf("expected a slot of a prog array such as jmp_table[0], found %q; prog arrays here: %s%s",
			text, strings.Join(known, ", "), nearest.DidYouMean(name, known))
	}
	if n := e.b.Maps[m].MaxEntries; key >= n {
		return runner.Slot{}, fmt.Errorf("slot %s: the keys of %s are 0 to %d", text, name, n-1)
	}
	return runner.Slot{Map: m, Key: key}, nil
}

// program reads the name of a program, or "empty".
func (e *caseMaker) program(name string) (int, error) {
	if name == "empty" {
		return -1, nil
	}
	var names []string
	for i := range e.b.Programs {
		if e.b.Programs[i].Name == name {
			if _, ok := e.c.Images[i].Landing(); !ok {
				return 0, fmt.Errorf("program %s cannot be the target of a tail call", name)
			}
			return i, nil
		}
		names = append(names, e.b.Programs[i].Name)
	}
	return 0, fmt.Errorf("no program %q: expected empty or one of %s", name, strings.Join(names, ", "))
}

// find returns run number n as what an update is explored against.
func (e *caseMaker) find(n int) (exploreCase, error) {
	at, err := e.c.RunAt(n)
	if err != nil {
		return exploreCase{}, err
	}
	return exploreCase{upTo: at, leftOut: -1, run: &e.b.Actions[at], number: n}, nil
}

// held returns what a slot holds before an event, -1 for nothing.
func (e *caseMaker) held(k runner.Slot, event int) int {
	prog := -1
	for _, s := range e.b.Slots {
		if (runner.Slot{Map: s.Map, Key: s.Key}) == k {
			prog = s.Program
		}
	}
	for i := range e.b.Actions[:event] {
		switch a := &e.b.Actions[i]; {
		case a.Kind == scenarios.ActRun || a.Kind == scenarios.ActReplace || a.Map != k.Map || runner.SlotOf(a) != k:
		case a.Kind == scenarios.ActInsert:
			prog = a.Program
		case a.Kind == scenarios.ActDelete:
			prog = -1
		}
	}
	return prog
}

// given is the update that the options name.
func (e *caseMaker) given(k runner.Slot) error {
	var row []slotTo
	for _, name := range strings.Split(e.o.To, ",") {
		to, err := e.program(strings.TrimSpace(name))
		if err != nil {
			return err
		}
		row = append(row, slotTo{k, to})
	}
	c, err := e.find(max(e.o.Run, 1))
	if c.Slot, c.to, c.then = k, row[0].to, row[1:]; err == nil {
		e.out = append(e.out, c)
	}
	return err
}

// kinds tries kinds of updates on every slot.
func (e *caseMaker) kinds(kinds []UpdateKind, only *runner.Slot) error {
	found, err := e.find(max(e.o.Run, 1))
	if err != nil {
		return err
	}
	slots := e.slots()
	if only != nil {
		slots = []runner.Slot{*only}
	}
	if len(slots) == 0 {
		return errors.New("it has no prog array slot to update")
	}
	for _, k := range slots {
		prog := e.held(k, found.upTo)
		for _, kind := range kinds {
			c := found
			if e.row(&c, k, prog, kind.row()) {
				e.out = append(e.out, c)
			}
		}
	}
	if len(e.out) == 0 {
		return errors.New("it has one program only, which cannot be replaced by another")
	}
	return nil
}

// row makes a case of kinds of updates of a slot, one after the other; prog is what it holds in the scenario. It
// reports whether there is such a case.
func (e *caseMaker) row(c *exploreCase, k runner.Slot, prog int, kinds []UpdateKind) bool {
	from, runs := prog, c.run.Program
	if prog < 0 {
		from = e.candidate(runs, runs)
	}
	first := from // what an empty slot gets
	if kinds[0] == UpdateInsert || kinds[0] == UpdateDeleteEmpty {
		from = -1
	}
	if from != prog {
		c.setup = &from
	}
	now := from
	var row []slotTo
	for _, kind := range kinds {
		to := -1
		switch kind {
		case UpdateInsert:
			to = first
		case UpdateReplace:
			to = e.candidate(now, runs)
		}
		if full := kind == UpdateReplace || kind == UpdateDelete; full != (now >= 0) || kind == UpdateReplace && to == now {
			return false // there is no other program, or nothing to do it with
		}
		if now >= 0 {
			first = e.candidate(now, runs) // another generation comes
		}
		row = append(row, slotTo{k, to})
		now = to
	}
	c.Slot, c.to, c.then = k, row[0].to, row[1:]
	return true
}

// row are the kinds of updates that are joined by +.
func (k UpdateKind) row() (out []UpdateKind) {
	for _, one := range strings.Split(string(k), "+") {
		out = append(out, UpdateKind(strings.TrimSpace(one)))
	}
	return out
}

// candidate returns a program other than p for a slot, another one than that which runs if possible.
func (e *caseMaker) candidate(p, runs int) int {
	found := p
	for i := range e.b.Programs {
		_, ok := e.c.Images[i].Landing()
		if i != p && ok && (found == p || found == runs) {
			found = i
		}
	}
	return found
}

// slots are those that hold a program or that a tail call names.
func (e *caseMaker) slots() []runner.Slot {
	var out []runner.Slot
	for _, s := range e.b.Slots {
		out = append(out, runner.Slot{Map: s.Map, Key: s.Key})
	}
	for _, img := range e.c.Images {
		for i := range img.Funcs {
			for _, t := range img.Funcs[i].TailCalls {
				if t.Direct && t.Map >= 0 && t.Key < e.b.Maps[t.Map].MaxEntries {
					out = append(out, runner.Slot{Map: t.Map, Key: t.Key})
				}
			}
		}
	}
	return sorted(out)
}

// own are the scenario's updates, each against the run before it and the one after it. In the first
// case everything else that comes before the update has happened when the run begins.
func (e *caseMaker) own(only *runner.Slot) {
	last, runs := -1, 0 // index and number of the latest run
	for i := 0; i < len(e.b.Actions); i++ {
		if e.b.Actions[i].Kind == scenarios.ActRun {
			last, runs = i, runs+1
			continue
		}
		u, ok := e.updates(i, only)
		if !ok {
			continue
		}
		c := exploreCase{upTo: i, leftOut: -1, Slot: u.Slot, to: u.to}
		for e.o.Sequence && i+1 < len(e.b.Actions) {
			if u, ok = e.updates(i+1, only); !ok {
				break
			}
			c.then = append(c.then, u)
			i++
		}
		if last >= 0 && (e.o.Run == 0 || e.o.Run == runs) {
			before := c
			before.run, before.number = &e.b.Actions[last], runs
			before.leftOut = last
			e.out = append(e.out, before)
		}
		for j := i + 1; j < len(e.b.Actions); j++ {
			if r := &e.b.Actions[j]; r.Kind == scenarios.ActRun {
				if e.o.Run == 0 || e.o.Run == runs+1 {
					c.run, c.number = r, runs+1
					e.out = append(e.out, c)
				}
				break
			}
		}
	}
}

// updates returns what event number i updates, as far as that is looked for.
func (e *caseMaker) updates(i int, only *runner.Slot) (slotTo, bool) {
	a := &e.b.Actions[i]
	if a.Kind != scenarios.ActInsert && a.Kind != scenarios.ActDelete || e.b.Maps[a.Map].Type != bpf.ProgArray {
		return slotTo{}, false
	}
	u := slotTo{runner.SlotOf(a), -1}
	if a.Kind == scenarios.ActInsert {
		u.to = a.Program
	}
	// An update that fails changes nothing.
	return u, (only == nil || u.Slot == *only) && u.Key < e.b.Maps[a.Map].MaxEntries
}
