// SPDX-License-Identifier: GPL-2.0-only

package stack

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/jit/image"
)

// maxStale is how many words below rsp are looked at.
const maxStale = 512

// past is an activation that is over, or whose frame was taken over.
type past struct {
	trace.Activation
	over string // "has returned" or "was taken over"
}

// stale lists what lies below rsp: the frames of functions that have returned, as far as nothing has been put over
// them. past are the events until now.
func (d *dumper) stale(events []trace.Event) {
	owner := map[image.Addr]*past{}
	var live []*past
	low := d.RSP
	begin := func(e *trace.Event, f *trace.Fn, top image.Addr) {
		if f == nil || f.Trampoline {
			return
		}
		p := &past{trace.Activation{N: e.Begun, Fn: f, Top: top, RBP: f.FrameBase(top)}, ""}
		live = append(live, p)
		if at := f.FrameLow(); at < 0 {
			for a := top; a >= p.RBP+image.Addr(int64(at)) && a <= top; a -= 8 {
				owner[a] = p
			}
			low = min(low, p.RBP+image.Addr(int64(at)))
		}
	}
	for i := range events {
		e := &events[i]
		switch e.Kind {
		case trace.KindEntry:
			begin(e, e.Fn, e.RSP)
		case trace.KindCall:
			begin(e, e.Target, e.RSP-8)
		case trace.KindTailCall:
			if n := len(live); n > 0 {
				top := live[n-1].Top
				live[n-1].over = "was taken over by a tail call"
				live = live[:n-1]
				begin(e, e.Target, top)
			}
		case trace.KindReturn:
			if n := len(live); n > 0 {
				live[n-1].over = "has returned"
				live = live[:n-1]
			}
		}
	}
	for a, n := d.RSP-8, 0; a >= low && a < d.RSP && n < maxStale; a, n = a-8, n+1 {
		p := owner[a]
		if p == nil || p.over == "" {
			continue
		}
		b, err := d.Mem(a, 8)
		if err != nil {
			return
		}
		s := Slot{Addr: trace.Hex(a), Size: 8, Value: trace.Hex(binary.LittleEndian.Uint64(b)), Frame: -1}
		s.Owner = fmt.Sprintf("%s #%d, which %s", p.Fn, p.N, p.over)
		old := &dumper{Input: d.Input, l: &Layout{}, mem: d.mem}
		old.Acts = []trace.Activation{p.Activation}
		old.describe(&s, 0, a)
		s.Meaning = strings.Replace(s.Meaning, "the outside caller", "its caller", 1)
		d.l.Stale = append(d.l.Stale, s)
	}
}

// staleRows draws what lies below rsp.
func (l *Layout) staleRows() (rows []Row) {
	owner := ""
	for i := range l.Stale {
		s := &l.Stale[i]
		if s.Owner != owner {
			owner = s.Owner
			rows = append(rows, Row{Note: "left by " + owner})
		}
		rows = append(rows, Row{Label: s.Label, Slot: s, Note: s.Meaning})
	}
	if len(rows) > 0 {
		rows = append(rows, Row{Border: true, Note: "(below rsp: an interrupt may overwrite it)"})
	}
	return rows
}
