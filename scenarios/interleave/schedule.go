// SPDX-License-Identifier: GPL-2.0-only

package interleave

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/check"
	"github.com/tcsim/tcsim/emu/explore"
	"github.com/tcsim/tcsim/emu/record"
	"github.com/tcsim/tcsim/emu/stack"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// schedules executes one run under any schedule of an update: it implements explore.Machine. The
// machine's checkpoint is the state in which the run begins and the update has not.
type schedules struct {
	c       *runner.Compiled
	m       *runner.Machine
	changes []runner.Change // in order, at least one
	oneOf   []scenarios.Int // of which the run must return one; nil for anything
	script  *explore.Script
	run     *runner.Prepared
	version int // steps done
	watch   emu.Observer
	ended   *runner.Run // of the last execution
	seen    uint64      // instructions of the execution that is going on

	// What the observer gathers.
	touches []explore.Touch
	near    map[image.Addr]int // for instructions in front of a place: length in bytes
	rips    []image.Addr       // of all instructions, if keep
	keep    bool
}

// Retired implements emu.Observer: it looks for what reads a place of the script.
func (x *schedules) Retired(b []record.Retired) bool {
	first := x.seen
	x.seen += uint64(len(b))
	for i := range b {
		for p := range x.script.Before {
			if a, ok := x.touch(&x.script.Before[p], b[i]); ok {
				x.touches = append(x.touches, explore.Touch{Seq: first + uint64(i), Place: p, Addr: a})
			}
		}
		if x.keep {
			x.rips = append(x.rips, b[i].RIP)
		}
	}
	return x.watch.Retired(b)
}

// Sites implements emu.Observer.
func (x *schedules) Sites(b []record.Site) bool { return x.watch.Sites(b) }

// touch says whether an instruction is fetched or loads from a place.
func (x *schedules) touch(p *explore.Place, r record.Retired) (image.Addr, bool) {
	end := p.Addr + image.Addr(len(p.Bytes))
	if !p.Code {
		return r.EA, r.EA+8 > p.Addr && r.EA < end
	}
	if r.RIP >= end || r.RIP+x86.MaxInstLen <= p.Addr {
		return 0, false
	}
	return r.RIP, r.RIP >= p.Addr || r.RIP+image.Addr(x.length(r.RIP)) > p.Addr
}

// length is that of an instruction that is not poked.
func (x *schedules) length(a image.Addr) int {
	n, ok := x.near[a]
	if !ok {
		n = x86.MaxInstLen
		if b, err := x.m.Bytes(a, x86.MaxInstLen); err == nil {
			if in, err := x86.Decode(b, a); err == nil {
				n = int(in.Len)
			}
		}
		x.near[a] = n
	}
	return n
}

// Execute implements explore.Machine.
func (x *schedules) Execute(ctx context.Context, p []explore.Placement) (*explore.Execution, error) {
	run, err := x.m.Finish(x.drive(ctx, p, 0))
	if err != nil {
		return nil, err
	}
	if x.ended = run; run.Killed != "" {
		return nil, explore.ErrUnbounded
	}
	out := &explore.Execution{Insns: run.Retired, Touches: x.touches}
	if v := x.verdict(); v != nil {
		out.Insns = v.Seq + 1
		out.Failure = explore.Failure{Name: string(v.Invariant), Text: v.String()}
	}
	return out, nil
}

// drive runs from the beginning, with the steps of the update where the placements say. It stops
// directly before instruction number stop; 0 runs to the end.
func (x *schedules) drive(ctx context.Context, p []explore.Placement, stop uint64) (emu.Result, error) {
	m := x.m
	if err := m.Reset(); err != nil {
		return emu.Result{}, err
	}
	x.watch = m.Watch()
	x.version, x.seen, x.touches, x.rips = 0, 0, x.touches[:0], x.rips[:0]
	r := x.observed()
	if err := x.advance(&p, 0); err != nil {
		return emu.Result{}, err
	}
	first := func(ctx context.Context, r emu.Run) (emu.Result, error) { return m.First(ctx, x.run, r) }
	for next := first; ; next = m.Next {
		r.StopSeq = stop
		if len(p) > 0 && (stop == 0 || p[0].Before <= stop) {
			r.StopSeq = p[0].Before
		}
		res, err := next(ctx, r)
		res, err = x.handle(ctx, r, res, err)
		if err != nil || res.Stop != emu.StopSeq {
			return res, err
		}
		if err := x.advance(&p, r.StopSeq); err != nil {
			return res, err
		}
		if r.StopSeq == stop {
			return res, nil
		}
	}
}

// observed is the run as x sees it.
func (x *schedules) observed() emu.Run {
	r := x.run.Run
	r.Level, r.MaxInsns, r.Observer = emu.LevelRetired, x.m.Options().MaxInsns, x
	return r
}

// handle goes on where a run met the breakpoint of a text poke that is halfway.
func (x *schedules) handle(ctx context.Context, r emu.Run, res emu.Result, err error) (emu.Result, error) {
	for {
		var f *emu.Fault
		if !errors.As(err, &f) || f.Kind != emu.FaultBreak {
			return res, err
		}
		h := x.script.Halfway(f.RIP, x.version)
		if h == nil {
			return res, err
		}
		res, err = x.m.After(ctx, r, f, h.Trap())
	}
}

// advance does the steps of the update that are placed directly before an instruction, and takes them
// off the list. Nothing runs between them, so that each place is written once. Text that changes during
// the run is an event of it.
func (x *schedules) advance(list *[]explore.Placement, before uint64) error {
	m := x.m
	if len(*list) == 0 || (*list)[0].Before != before {
		return nil
	}
	p := (*list)[0]
	*list = (*list)[1:]
	old := x.version
	x.version = p.Version
	for i := range x.script.Before {
		at, b := &x.script.Before[i], x.script.At(i, p.Version)
		if bytes.Equal(b, x.script.At(i, old)) {
			continue
		}
		write := m.WriteMemory
		if at.Code {
			write = m.WriteText
		}
		if err := write(at.Addr, b); err != nil {
			return err
		}
	}
	for i := old; i < p.Version && p.Before > 0; i++ {
		if st := &x.script.Steps[i]; st.Kind == explore.StepText {
			m.Recorder().Poke(p.Before, st.Patch.Addr, fmt.Sprintf("%s: %s", part(st.Patch), st.Phase))
		}
	}
	return nil
}

// verdict is the first thing wrong with the run that has ended: what the checker found, or a tail call
// through the slot that does something else than what the slot held before or after.
func (x *schedules) verdict() *check.Violation {
	v := x.ended.Violation
	events := x.ended.Events
	for i := range events {
		e := &events[i]
		if v != nil && e.Seq >= v.Seq {
			break
		}
		if e.Tail == nil {
			continue
		}
		if text := x.outcome(e); text != "" {
			w := check.At(x.m.Code, check.Pokes, e.RIP, text)
			w.Seq, w.Event, w.Site = e.Seq, e.No, e.Site
			return &w
		}
	}
	if n := len(events); v == nil && n > 0 && len(x.oneOf) > 0 && x.ended.Killed == "" {
		e := &events[n-1]
		if text := x.returns(uint32(x.ended.Return)); text != "" {
			w := check.At(x.m.Code, check.Semantics, e.RIP, text)
			w.Seq, w.Event, w.Site = e.Seq, e.No, e.Site
			return &w
		}
	}
	return v
}

// returns says what is wrong with a result, "" if it is one of those that are expected.
func (x *schedules) returns(got uint32) string {
	var want []string
	for _, v := range x.oneOf {
		if uint32(v.V) == got {
			return ""
		}
		want = append(want, fmt.Sprint(v.V))
	}
	return fmt.Sprintf("it returns %d, expected one of %s", got, strings.Join(want, ", "))
}

// outcome says what is wrong with a tail call through a slot that is updated: it must go where the slot led before or
// leads after one of the updates.
func (x *schedules) outcome(e *trace.Event) string {
	switch {
	case e.Kind == trace.KindRefused && (e.Reason == trace.ReasonLimit || e.Reason == trace.ReasonBounds):
		return ""
	case e.Kind != trace.KindRefused && e.Kind != trace.KindTailCall:
		return ""
	}
	slot := runner.Slot{Map: e.Tail.Map, Key: e.Key}
	var holds []string
	for i := range x.changes {
		c := &x.changes[i]
		if c.Slot != slot {
			continue
		}
		if x.leads(e, c.Old) || x.leads(e, c.New) {
			return ""
		}
		if holds == nil {
			holds = []string{x.c.ProgName(c.Old) + " before the update"}
		}
		holds = append(holds, x.c.ProgName(c.New)+" after it")
	}
	does := "falls through"
	if e.Kind != trace.KindRefused {
		does = fmt.Sprintf("goes to %s", e.Target)
	}
	if holds == nil {
		return ""
	}
	return fmt.Sprintf("the tail call %s; %s holds %s", does, x.c.SlotName(slot), words(holds))
}

// words joins words by commas and an "and".
func words(list []string) string {
	last := len(list) - 1
	return strings.Join(list[:last], ", ") + " and " + list[last]
}

// leads reports whether a tail call does what it does through a slot that holds a program, -1 for none.
func (x *schedules) leads(e *trace.Event, prog int) bool {
	if e.Kind == trace.KindRefused {
		return prog < 0
	}
	return prog >= 0 && e.Target != nil && e.Target.Image == x.c.Images[prog]
}

// draw executes a schedule up to a moment and dumps the stack there.
func (x *schedules) draw(ctx context.Context, p []explore.Placement, mo *stack.Moment) (*stack.Layout, error) {
	res, err := x.drive(ctx, p, mo.Seq)
	return x.m.LayoutAt(ctx, x.observed(), *mo, res, err)
}
