// SPDX-License-Identifier: GPL-2.0-only

package profile

import (
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// callers follows the activations of a run by its events.
type callers struct {
	events []trace.Event
	next   int // event
	acts   map[int]act
	now    int // the innermost activation, 0 for none
	stack  int // numbers what is on the stack, so that equal stacks may have one number
	ids    map[callKey]int
	helper string // that has been called and has not returned, as far as is known
}

// act is an activation.
type act struct {
	parent int        // that it returns to, 0 for the outside
	site   image.Addr // where it has called another one
	fn     *trace.Fn
	id     int // of its stack
}

// callKey is a function with its callers.
type callKey struct {
	fn     *trace.Fn
	site   image.Addr // of the caller
	caller int        // the caller's id
}

func newCallers(run *runner.Run) *callers {
	return &callers{events: run.Events, acts: map[int]act{}, ids: map[callKey]int{}}
}

// goTo takes the events before instruction number n; those of an entry are of the instruction itself.
func (c *callers) goTo(n uint64) {
	for c.next < len(c.events) {
		e := &c.events[c.next]
		if e.Seq > n || e.Seq == n && e.Kind != trace.KindEntry && e.Kind != trace.KindHook {
			return
		}
		c.next++
		c.take(e)
	}
}

// take takes an event.
func (c *callers) take(e *trace.Event) {
	c.helper = ""
	switch e.Kind {
	case trace.KindEntry:
		c.begin(e.Begun, c.now, e.Fn)
	case trace.KindHook:
		c.begin(e.Begun, c.now, e.Fn)
	case trace.KindCall:
		c.at(e)
		c.begin(e.Begun, c.now, e.Target)
	case trace.KindHelper:
		c.at(e)
		c.helper = e.Name
	case trace.KindTailCall:
		c.begin(e.Begun, c.acts[c.now].parent, e.Target)
	case trace.KindReturn:
		c.now = c.acts[e.Act].parent
		c.stack = c.acts[c.now].id
	}
}

// at notes where the innermost activation calls something.
func (c *callers) at(e *trace.Event) {
	a := c.acts[c.now]
	a.site = e.RIP
	c.acts[c.now] = a
}

// begin makes activation n the innermost.
func (c *callers) begin(n, parent int, fn *trace.Fn) {
	k := callKey{fn, c.acts[parent].site, c.acts[parent].id}
	id, ok := c.ids[k]
	if !ok {
		id = len(c.ids) + 1
		c.ids[k] = id
	}
	c.acts[n] = act{parent: parent, fn: fn, id: id}
	c.now, c.stack = n, id
}

// outer returns the innermost activation that is a caller of an instruction in fn, nil for a helper and the like.
func (c *callers) outer(fn *trace.Fn) int {
	if fn == nil {
		return c.now
	}
	return c.acts[c.now].parent
}
