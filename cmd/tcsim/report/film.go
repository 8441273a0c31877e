// SPDX-License-Identifier: GPL-2.0-only

package report

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/tcsim/tcsim/cmd/tcsim/render"
	"github.com/tcsim/tcsim/emu/stack"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/jit/x86"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// wholeEvery is how many stills lie between two that are written whole; the others say only what has changed.
const wholeEvery = 64

// broken is the kind of the still where an invariant broke, which is no event.
const broken = "violation"

// words are the strings of a play, each written once: the rest has their numbers. Number 0 is "".
type words struct {
	list  []string
	index map[string]int
}

func newWords() *words { return &words{[]string{""}, map[string]int{"": 0}} }

func (w *words) of(s string) int {
	n, ok := w.index[s]
	if !ok {
		n = len(w.list)
		w.index[s], w.list = n, append(w.list, render.Plain(s))
	}
	return n
}

// hexa is a value in hex without prefix.
type hexa uint64

// MarshalJSON implements json.Marshaler: numbers are only safe up to 2^53 there.
func (h hexa) MarshalJSON() ([]byte, error) { return fmt.Appendf(nil, `"%x"`, uint64(h)), nil }

// shot is a still as the page has it. Kind, What, Func, Target, Reason and Why are words.
type shot struct {
	No      uint64 `json:"n,omitempty"` // of the event; absent where an invariant broke
	Kind    int    `json:"k"`
	What    int    `json:"w"`
	Seq     uint64 `json:"q"`
	Cycle   int64  `json:"c,omitempty"`
	Func    int    `json:"f,omitempty"` // "" outside the programs
	Off     int    `json:"o,omitempty"` // of rip in the function
	Insn    *int   `json:"i,omitempty"`
	Act     int    `json:"a,omitempty"`
	Begun   int    `json:"b,omitempty"`
	Depth   int    `json:"d,omitempty"`
	Target  int    `json:"t,omitempty"`
	Reason  int    `json:"x,omitempty"`
	Counter string `json:"tc,omitempty"` // decimal
	At      hexa   `json:"ta,omitempty"` // where the counter lives
	PtrAt   hexa   `json:"tp,omitempty"`
	Taken   uint64 `json:"tk,omitempty"`
	State   int    `json:"s,omitempty"` // of the text, an index into reel.States
	RIP     hexa   `json:"ip"`
	// Regs are the registers that changed, each a number and then a value; all of them in a whole still.
	Regs  []any      `json:"r,omitempty"`
	Stack *stackShot `json:"l,omitempty"` // nil if rsp is elsewhere
	Why   int        `json:"y,omitempty"` // why there is none
	Whole bool       `json:"z,omitempty"`
}

// stackShot is a stack, less what the one before it in the reel has.
type stackShot struct {
	Keep    int        `json:"k,omitempty"` // so many slots are where they were
	Changed []any      `json:"c,omitempty"` // of these: an index and then the slot
	Slots   []slotRow  `json:"s,omitempty"` // after them
	Frames  int        `json:"f,omitempty"` // so many frames are as they were
	More    []frameRow `json:"g,omitempty"` // after them
	Top     hexa       `json:"t"`           // the address of the first slot
	Caller  int        `json:"o"`           // a word
}

// slotRow is a slot: how far its lowest byte is below the first slot's, and what it holds.
type slotRow struct {
	down, size     int
	value          hexa
	frame          int
	label, meaning int
	ptr, count     bool
}

// MarshalJSON implements json.Marshaler: one list, for there are many.
func (s slotRow) MarshalJSON() ([]byte, error) {
	kind := 0
	switch {
	case s.ptr:
		kind = 1
	case s.count:
		kind = 2
	}
	return fmt.Appendf(nil, `[%d,%d,"%x",%d,%d,%d,%d]`, s.down, s.size, uint64(s.value), s.frame, s.label, s.meaning, kind), nil
}

func (s slotRow) samePlace(o slotRow) bool {
	return s.down == o.down && s.size == o.size && s.frame == o.frame
}

// frameRow is a frame: its activation, function, whose frame it took over, and its slots.
type frameRow struct{ act, fn, from, fromAct, first, end int }

// MarshalJSON implements json.Marshaler.
func (f frameRow) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, "[%d,%d,%d,%d,%d,%d]", f.act, f.fn, f.from, f.fromAct, f.first, f.end), nil
}

// reel collects the stills of one run.
type reel struct {
	words *words
	text  *text
	code  *trace.Code
	shots []shot

	regs   [16]uint64
	slots  []slotRow
	frames []frameRow
	state  int
	stale  bool // the text may have changed since state
	page   int  // stills on a page
}

// add takes a still.
func (r *reel) add(st runner.Still) error {
	if r.stale {
		var err error
		if r.state, err = r.text.read(); err != nil {
			return err
		}
		r.stale = false
	}
	n := len(r.shots)
	s := shot{Whole: n%wholeEvery == 0 || n%r.page == 0, State: r.state, RIP: hexa(st.RIP)}
	if e := st.Event; e != nil {
		r.event(&s, e)
		r.stale = e.Kind == trace.KindPoke
	} else {
		s.Kind = r.words.of(broken)
		if f := r.code.Lookup(st.RIP); f != nil {
			s.Func, s.Off = r.words.of(f.String()), int(st.RIP-f.Addr)
		}
	}
	for i, v := range st.Regs {
		if s.Whole || r.regs[i] != v {
			s.Regs = append(s.Regs, i, hexa(v))
		}
	}
	r.regs = st.Regs
	if st.Layout == nil {
		s.Why = r.words.of(st.Why)
	} else {
		s.Stack = r.stack(st.Layout, s.Whole)
	}
	r.shots = append(r.shots, s)
	return nil
}

// event takes over what the event says.
func (r *reel) event(s *shot, e *trace.Event) {
	w := r.words
	s.No, s.Kind, s.What, s.Seq, s.Cycle = e.No, w.of(e.Kind.String()), w.of(e.What(r.code)), e.Seq, int64(e.Cycle)
	s.Act, s.Begun, s.Depth, s.Taken, s.Reason = e.Act, e.Begun, e.Depth, e.Taken, w.of(e.Reason.String())
	s.RIP = hexa(e.RIP)
	if e.Fn != nil {
		s.Func, s.Off = w.of(e.Fn.String()), int(e.RIP-e.Fn.Addr)
	}
	if e.HasInsn {
		n := int(e.Insn)
		s.Insn = &n
	}
	if e.CounterAddr != 0 {
		s.Counter, s.At, s.PtrAt = fmt.Sprint(e.Counter), hexa(e.CounterAddr), hexa(e.CounterPtrAt)
	}
	switch {
	case e.Target != nil:
		s.Target = w.of(e.Target.String())
	case e.Name != "":
		s.Target = w.of(e.Name)
	}
}

// stack returns what of a layout the still before does not have.
func (r *reel) stack(l *stack.Layout, whole bool) *stackShot {
	out := &stackShot{Caller: r.words.of(l.Caller)}
	if len(l.Slots) > 0 {
		out.Top = hexa(l.Slots[0].Addr)
	}
	slots := make([]slotRow, len(l.Slots))
	for i := range l.Slots {
		s := &l.Slots[i]
		slots[i] = slotRow{
			int(uint64(out.Top) - uint64(s.Addr)), s.Size, hexa(s.Value), s.Frame, r.words.of(s.Label), r.words.of(s.Meaning),
			s.Ptr, s.Count != nil,
		}
	}
	frames := make([]frameRow, len(l.Frames))
	for i := range l.Frames {
		f := &l.Frames[i]
		frames[i] = frameRow{f.Activation, r.words.of(f.Func), r.words.of(f.From), f.FromNumber, f.First, f.End}
	}
	if !whole {
		for out.Keep < min(len(slots), len(r.slots)) && slots[out.Keep].samePlace(r.slots[out.Keep]) {
			if n := out.Keep; slots[n] != r.slots[n] {
				out.Changed = append(out.Changed, n, slots[n])
			}
			out.Keep++
		}
		for out.Frames < min(len(frames), len(r.frames)) && frames[out.Frames] == r.frames[out.Frames] {
			out.Frames++
		}
	}
	out.Slots, out.More = slots[out.Keep:], frames[out.Frames:]
	r.slots, r.frames = slots, frames
	return out
}

// registers are the names that shot.Regs numbers.
func registers() []string {
	var out []string
	for i := range 16 {
		out = append(out, x86.Reg(i).String())
	}
	return out
}

// pages cuts the stills of a run into pages, each of which begins with a whole one.
func pages(shots []shot, size int) ([]json.RawMessage, error) {
	var out []json.RawMessage
	for part := range slices.Chunk(shots, size) {
		b, err := json.Marshal(part)
		if err != nil {
			return nil, err
		}
		out = append(out, b)
	}
	return out, nil
}
