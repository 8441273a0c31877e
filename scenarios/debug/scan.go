// SPDX-License-Identifier: GPL-2.0-only

package debug

import (
	"bytes"

	"github.com/tcsim/tcsim/emu/gdb"
	"github.com/tcsim/tcsim/emu/kernel"
	"github.com/tcsim/tcsim/emu/record"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// scan looks for breakpoints and accesses in what retires. Forward it finds the first access, the machine
// itself stopping at breakpoints; backward the last of both.
type scan struct {
	back    bool
	breaks  map[image.Addr]bool
	watches []gdb.Watch
	from    uint64 // look at instructions from this one on

	found   bool
	at      uint64 // where to stop
	atWatch bool
	watch   gdb.Watch
	// was are the contents of the watched memory when a helper was entered: helpers write it without
	// an instruction.
	was [][]byte
}

// scanFor makes a scan, and says where the machine must stop for it.
func (s *Session) scanFor(r gdb.Resume, back bool) (*scan, []image.Addr) {
	sc := &scan{back: back, breaks: map[image.Addr]bool{}, watches: r.Watches, from: s.at}
	if back {
		sc.from = 0
	}
	var stops []image.Addr
	for _, a := range r.Breaks {
		if !s.text(a) {
			continue // nothing comes there
		}
		sc.breaks[image.Addr(a)] = true
		if !back {
			stops = append(stops, image.Addr(a))
		}
	}
	if len(r.Watches) > 0 {
		for i := range s.m.Stubs {
			stops = append(stops, s.m.Stubs[i].Work, s.m.Stubs[i].Work+kernel.StubTrash)
		}
		sc.was = sc.contents(s)
	}
	return sc, stops
}

// look looks at instructions, the first of which has number first. It reports whether the machine has gone far enough.
func (sc *scan) look(s *Session, first uint64, b []record.Retired) bool {
	if len(sc.watches) == 0 && (!sc.back || len(sc.breaks) == 0) {
		return false
	}
	for i := range b {
		n := first + uint64(i)
		if n < sc.from {
			continue
		}
		if sc.back && sc.breaks[b[i].RIP] {
			sc.found, sc.at, sc.atWatch = true, n, false
		}
		if b[i].EA == 0 || len(sc.watches) == 0 {
			continue
		}
		if w, ok := sc.touched(s.accessOf(b[i].RIP), uint64(b[i].EA)); ok {
			sc.hit(n, w)
			if !sc.back {
				return true
			}
		}
	}
	return false
}

// hit notes that instruction number n did something to watched memory: forward the machine stops after it, backward
// before it.
func (sc *scan) hit(n uint64, w gdb.Watch) {
	sc.found, sc.at, sc.atWatch, sc.watch = true, n, true, w
	if !sc.back {
		sc.at++
	}
}

// touched returns the watched memory that an access is to.
func (sc *scan) touched(a access, ea uint64) (gdb.Watch, bool) {
	for _, w := range sc.watches {
		if ea+a.size <= w.Addr || ea >= w.Addr+w.Len {
			continue
		}
		if w.Kind == gdb.AccessAny && (a.load || a.store) || w.Kind == gdb.AccessRead && a.load || w.Kind == gdb.AccessWrite && a.store {
			return w, true
		}
	}
	return gdb.Watch{}, false
}

// contents reads the watched memory.
func (sc *scan) contents(s *Session) [][]byte {
	out := make([][]byte, len(sc.watches))
	for i, w := range sc.watches {
		out[i] = make([]byte, min(w.Len, 4096))
		out[i] = out[i][:s.ReadMemory(w.Addr, out[i])]
	}
	return out
}

// helped compares the watched memory where a helper has just run with what it was before, and reports
// whether the helper has written it. Elsewhere it notes what the memory is.
func (sc *scan) helped(s *Session) bool {
	if len(sc.watches) == 0 {
		return false
	}
	now := sc.contents(s)
	was := sc.was
	sc.was = now
	if !s.m.Worked(s.rip) {
		return false
	}
	for i, w := range sc.watches {
		if w.Kind != gdb.AccessRead && !bytes.Equal(was[i], now[i]) {
			sc.hit(s.at-1, w)
			return true
		}
	}
	return false
}

// access is what an instruction does to memory.
type access struct {
	size        uint64
	load, store bool
}

// accessOf decodes the instruction at an address, whose code does not change during a run.
func (s *Session) accessOf(rip image.Addr) access {
	a, ok := s.ops[rip]
	if ok {
		return a
	}
	code := make([]byte, x86.MaxInstLen)
	in, err := x86.Decode(code[:s.m.Mem.Code(rip, code)], rip)
	switch {
	case err != nil:
	case in.HasMem && (in.Load || in.Store):
		a = access{uint64(in.Mem.Size), in.Load, in.Store}
	case in.Stack.Any():
		a = access{8, in.Stack.Load, in.Stack.Store}
	}
	s.ops[rip] = a
	return a
}
