// SPDX-License-Identifier: GPL-2.0-only

package timing

import (
	"fmt"

	"github.com/tcsim/tcsim/emu/record"
	"github.com/tcsim/tcsim/jit/x86"
)

// Code returns the bytes of code at pc: at least one instruction, at most x86.MaxInstLen bytes
// unless more are at hand. The model does not keep or change them.
type Code func(pc x86.Addr) ([]byte, error)

// Model is one core executing one stream of retired instructions. It computes, in one pass, when
// each was fetched, issued, executed, completed and retired. Its memory grows with the code that was
// seen, not with the length of the stream. It is not safe for concurrent use.
type Model struct {
	core  *Core
	code  Code
	low   *lowering
	insns map[string]*insn // by bytes
	sites map[x86.Addr]*site
	wins  map[x86.Addr]*window
	cur   *site

	front   front
	rename  rename
	cal     *calendar
	stores  *storeTrack
	learned *learned
	pred    *predictor

	regs  [16]value
	flags Cycle
	alias [16]uint32 // eliminated moves: registers that share a value have the same number
	nmove uint32
	fuse  pair

	takenPorts, otherPorts portSet

	barrier    Cycle // before it no load may execute: a locked instruction
	storesFrom Cycle // before it no store may execute: a fence
	lockFree   Cycle // when the last locked instruction is complete
	divFree    Cycle // when the divider is free
	done       Cycle // when everything so far is complete
	rmwTenths  int   // fractions of slots that read-modify-writes still owe
	tenths     int   // of cycles that forwarding still owes
	stackMoved bool  // rsp was changed by the stack engine since it was last read

	rsp x86.Addr // as far as it is known; 0 if not

	now   step
	last  Stamp
	total Cycle
}

// Stamp says when one instruction passed the stages of the core.
type Stamp struct {
	RIP                                     x86.Addr
	Fetch, Issue, Execute, Complete, Retire Cycle
	// Cost is what the instruction added to the time of the stream; the sum over a stream is its
	// length. Cause says what kept it from retiring with its predecessor.
	Cost  Cycle
	Cause Cause
}

// step is what the stages hand to each other for the instruction that is executed.
type step struct {
	slots     int   // that it takes at issue and retirement
	slot      int   // of its next micro-operation in the cycle of issue
	branchEnd Cycle // end of execution: when a wrong prediction is found
	stores    bool  // it has a store, which retirement has to commit
	longer    Cycle // what a division takes because of its quotient
	why       why
}

// site is an instruction at an address, with what the predictors know of it.
type site struct {
	addr, end   x86.Addr // its first byte, and the one after it
	in          *insn
	fall, taken *site
	win         *window
	half        uint8  // of the window
	fetched     uint64 // micro-operations that were in the queue before it the last time, plus 1
	named       uint64 // blocks that the predictor had named when it was last taken
	fused       bool   // with the conditional jump after it
	seen        bool
	dropped     bool // the code was changed
	counted     bool // as a taken branch of its window
	base        direction
	lastTarget  x86.Addr
	doubt       int   // how often it will not be renamed, after it found what cannot be
	learned     int32 // the load's entry in the set of those that the core knows, plus 1
	renamed     bool  // the load took its value at rename the last time, or could have
}

// window is one set of lines of the micro-operation cache.
type window struct {
	slots int    // entries that the instructions seen so far take
	half  [2]int // the same of its halves
	taken int    // taken branches seen so far
}

// pair is a fused compare waiting for its jump.
type pair struct {
	head *insn
	from Cycle // when its operands are ready
}

// New returns a model of a core that reads code through code.
func New(core *Core, code Code) *Model {
	m := &Model{
		core: core, code: code, low: newLowering(core),
		insns:   map[string]*insn{},
		sites:   map[x86.Addr]*site{},
		wins:    map[x86.Addr]*window{},
		cal:     newCalendar(&core.Back),
		stores:  newStoreTrack(),
		learned: newLearned(core.Memory.RenameLearned),
		pred:    newPredictor(&core.Branch),
	}
	m.front.init(&core.Front)
	m.rename.init(core)
	m.takenPorts, m.otherPorts = parsePorts(core.Back.Taken), parsePorts(core.Back.NotTaken)
	return m
}

// Core returns the core that is modelled.
func (m *Model) Core() *Core { return m.core }

// Cycle returns when the last instruction retired.
func (m *Model) Cycle() Cycle { return m.total }

// Last returns the stamps of the last instruction.
func (m *Model) Last() Stamp { return m.last }

// Forget drops what was derived from the n bytes of code at addr, and from the code before that may
// be decoded together with it: the caller calls it when they were changed. As on the hardware, the
// new code is decoded anew and its branches are predicted anew; all other code stays warm.
func (m *Model) Forget(addr x86.Addr, n int) {
	for a := addr - 2*x86.MaxInstLen; a != addr+x86.Addr(n); a++ {
		if s := m.sites[a]; s != nil {
			s.win.slots -= int(s.in.slots)
			s.win.half[s.half] -= int(s.in.slots)
			s.dropped = true
			delete(m.sites, a)
		}
	}
	m.cur = nil
}

// Step executes one instruction; next is the address of the one that retires after it. It fails on
// code that cannot be read or decoded and on forms without timing data; the error names them.
func (m *Model) Step(r record.Retired, next x86.Addr) error {
	s := m.cur
	if s == nil || s.addr != r.RIP {
		var err error
		if s, err = m.site(r.RIP); err != nil {
			return err
		}
	}
	in := s.in
	m.last.RIP = r.RIP
	m.now = step{}
	if in.rsp != rspStays {
		m.trackRSP(in, r.EA)
	}
	slots := int(in.slots)
	if m.fuse.head != nil {
		if in.branch == x86.BranchCond {
			slots = 0 // part of the pair
		} else {
			m.fuse.head = nil // the stream was cut between its halves
		}
	}
	m.front.fetch(m, s, slots)
	m.allocate(in, slots)
	m.execute(s, r.EA, next)
	m.retire(in)
	if in.branch != x86.BranchNone {
		m.branch(s, next)
	} else if m.front.after == afterReturn {
		m.front.after = afterOther
		if m.front.moved {
			m.front.after = afterLate
		}
	}
	s.seen = true
	link := s.taken
	if next == s.end {
		link = s.fall
	}
	if link != nil && link.addr == next && !link.dropped {
		m.cur = link
		return nil
	}
	return m.follow(s, next)
}

// follow finds the site of the next instruction, and remembers it.
func (m *Model) follow(s *site, next x86.Addr) error {
	if next == 0 {
		m.cur = nil
		return nil
	}
	n, err := m.site(next)
	if err != nil {
		m.cur = nil
		return nil // reported when it is executed
	}
	if m.cur = n; next == s.end {
		s.fall = n
	} else {
		s.taken = n
	}
	return nil
}

// Run executes a stream; the successor of the last instruction counts as the one after it.
func (m *Model) Run(stream []record.Retired) error {
	for n := range stream {
		next := x86.Addr(0)
		if n+1 < len(stream) {
			next = stream[n+1].RIP
		}
		if err := m.Step(stream[n], next); err != nil {
			return err
		}
	}
	return nil
}

// site returns the site at an address.
func (m *Model) site(a x86.Addr) (*site, error) {
	if s := m.sites[a]; s != nil {
		return s, nil
	}
	in, err := m.insn(a)
	if err != nil {
		return nil, err
	}
	s := &site{addr: a, end: a + x86.Addr(in.len), in: in, base: unknown}
	key := a &^ x86.Addr(m.core.Front.CacheLineBytes-1)
	if s.win = m.wins[key]; s.win == nil {
		s.win = &window{}
		m.wins[key] = s.win
	}
	s.half = uint8(uint64(a) / uint64(m.core.Front.CacheLineBytes/2) & 1)
	s.win.slots += int(in.slots)
	s.win.half[s.half] += int(in.slots)
	m.sites[a] = s
	if in.form.fuses != "" && in.kind != kindZero {
		j, err := m.insn(s.end)
		// A pair whose second half starts a new 64-byte line is not fused.
		s.fused = err == nil && j.branch == x86.BranchCond && in.form.fusesWith(j.tableCond) && s.end&63 != 0
	}
	return s, nil
}

// insn decodes and lowers the code at an address.
func (m *Model) insn(a x86.Addr) (*insn, error) {
	code, err := m.code(a)
	if err != nil {
		return nil, fmt.Errorf("timing: code at %#x: %w", uint64(a), err)
	}
	i, err := x86.Decode(code, a)
	if err != nil {
		return nil, fmt.Errorf("timing: code at %#x: %w", uint64(a), err)
	}
	if i.Branch.Direct() || i.HasMem && i.Mem.RIPRel {
		return m.low.lower(&i) // depends on the address too
	}
	key := string(code[:i.Len])
	if in := m.insns[key]; in != nil {
		return in, nil
	}
	in, err := m.low.lower(&i)
	if err != nil {
		return nil, fmt.Errorf("timing: instruction at %#x: %w", uint64(a), err)
	}
	m.insns[key] = in
	return in, nil
}
