// SPDX-License-Identifier: GPL-2.0-only

package profile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// traceEvent is an event of a file in Chrome's trace event format, in which Perfetto and others read traces. Its time is in
// microseconds; here one is a cycle.
type traceEvent struct {
	Phase string         `json:"ph"`
	Name  string         `json:"name,omitempty"`
	Cat   string         `json:"cat,omitempty"`
	Time  int64          `json:"ts"`
	Pid   int            `json:"pid"`
	Tid   int            `json:"tid"`
	Scope string         `json:"s,omitempty"`
	Args  map[string]any `json:"args,omitempty"`
}

// The phases: begin and end of a slice, a value, a moment, what is known of process and thread.
const (
	phaseBegin, phaseEnd, phaseCounter, phaseInstant, phaseMeta = "B", "E", "C", "i", "M"
)

// timeline makes trace events of a run's.
type timeline struct {
	run  *runner.Run
	out  []traceEvent
	open int // slices that have begun
	top  image.Addr
}

// WritePerfetto writes who called whom over the cycles of a run: activations as slices, tail_call_cnt and the depth of the
// stack as counters, refused tail calls, helper calls and pokes as instants. name says what was run.
func WritePerfetto(w io.Writer, name string, run *runner.Run) error {
	t := &timeline{run: run}
	t.meta("process_name", name)
	t.meta("thread_name", run.Program)
	for i := range run.Events {
		t.take(&run.Events[i])
	}
	last := int64(0)
	if n := len(run.Events); n > 0 {
		last = int64(run.Events[n-1].Cycle)
	}
	if v := run.Violation; v != nil {
		t.add(traceEvent{Phase: phaseInstant, Name: "violates " + string(v.Invariant), Cat: "violation", Time: last, Scope: "g", Args: map[string]any{"text": v.Text}})
	}
	for t.open > 0 { // what had not returned
		t.end(last)
	}
	return t.write(w)
}

// write writes an event a line.
func (t *timeline) write(w io.Writer) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	b.WriteString("{\"traceEvents\": [\n")
	for i, e := range t.out {
		if err := enc.Encode(e); err != nil {
			return err
		}
		if i+1 < len(t.out) {
			b.Truncate(b.Len() - 1) // the line feed
			b.WriteString(",\n")
		}
	}
	b.WriteString("], \"displayTimeUnit\": \"ns\", \"otherData\": {\"time\": \"1 us is 1 cycle\"}}\n")
	_, err := w.Write(b.Bytes())
	return err
}

func (t *timeline) add(e traceEvent) {
	e.Pid, e.Tid = 1, 1
	t.out = append(t.out, e)
}

func (t *timeline) meta(what, name string) {
	t.add(traceEvent{Phase: phaseMeta, Name: what, Args: map[string]any{"name": name}})
}

func (t *timeline) begin(e *trace.Event, name string) {
	t.open++
	args := map[string]any{"event": e.No, "how": e.Kind.String(), "what": e.What(t.run.Code)}
	t.add(traceEvent{Phase: phaseBegin, Name: name, Cat: e.Kind.String(), Time: int64(e.Cycle), Args: args})
}

func (t *timeline) end(at int64) {
	if t.open > 0 {
		t.open--
		t.add(traceEvent{Phase: phaseEnd, Time: at})
	}
}

// take adds what an event of the run is.
func (t *timeline) take(e *trace.Event) {
	at := int64(e.Cycle)
	switch e.Kind {
	case trace.KindEntry:
		if t.top == 0 {
			t.top = e.RSP + 8
		}
		t.begin(e, e.Fn.String())
	case trace.KindHook:
		t.begin(e, e.Fn.String())
	case trace.KindCall:
		t.begin(e, e.Target.String())
	case trace.KindTailCall:
		t.end(at)
		t.begin(e, e.Target.String())
	case trace.KindReturn:
		t.end(at)
	default:
		t.add(traceEvent{Phase: phaseInstant, Name: fmt.Sprintf("%s: %s", e.Kind, e.What(t.run.Code)), Cat: e.Kind.String(), Time: at, Scope: "t", Args: map[string]any{"event": e.No}})
	}
	if e.Kind == trace.KindPoke {
		return
	}
	t.add(traceEvent{Phase: phaseCounter, Name: "stack below the kernel's", Time: at, Args: map[string]any{"bytes": int64(t.top - e.RSP)}})
	if e.CounterAddr != 0 {
		t.add(traceEvent{Phase: phaseCounter, Name: "tail_call_cnt", Time: at, Args: map[string]any{"count": e.Counter}})
	}
}
