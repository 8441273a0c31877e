// SPDX-License-Identifier: GPL-2.0-only

package runner

import (
	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/check"
	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/emu/helper"
	"github.com/tcsim/tcsim/emu/kernel"
	"github.com/tcsim/tcsim/emu/timing"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
)

// Options say how a session records and when it gives up. The zero value checks every invariant
// and has budgets that no terminating scenario of the library comes near.
type Options struct {
	// Level is what is recorded; 0 means emu.LevelRetired. Some invariants need that.
	Level emu.Level
	// MaxInsns and MaxEvents end a run that goes on and on; 0 means the defaults.
	MaxInsns, MaxEvents uint64
	// StackSize is the size of the kernel stack in bytes; 0 means 16 KiB.
	StackSize uint64
	// Memory is the size of guest memory in bytes; 0 means the machine's default.
	Memory uint64
	// Limit replaces the target's limit in the checks, not in the code; 0 leaves it.
	Limit uint32
	// Core is the core whose cycles a run is given; nil leaves them out. It needs the retired level.
	Core *timing.Core
	// KeepEvents is how many events a run keeps, see trace.Config.Keep.
	KeepEvents int
	// Events takes the events of runs of scenarios as they happen; nil does not. Runs have larger budgets then.
	Events Events
	// Window returns the events that run number n is filmed at, in order, instead of the first ones that were kept;
	// nil, and events that are nil, are those. Runs have larger budgets then, too.
	Window func(n int, code *trace.Code) ([]trace.Event, error)
	// KeepGoing goes on after the first broken invariant of a run, and, if the run returns, with what comes next.
	KeepGoing bool
	// Stale makes drawings show what lies below rsp, too.
	Stale bool
	// PerFrame compares runs with a reference in which each frame has its own counter. Limit must allow for
	// what it takes then.
	PerFrame bool
}

// The default budgets of a run.
const (
	DefaultMaxInsns  = 100_000_000
	DefaultMaxEvents = 4_000_000
)

func (o Options) withDefaults() Options {
	if o.Level == emu.LevelNone {
		o.Level = emu.LevelRetired
	}
	if o.Events != nil || o.Window != nil {
		o.MaxInsns, o.MaxEvents = StoredMaxInsns, StoredMaxEvents
	}
	if o.MaxInsns == 0 {
		o.MaxInsns = DefaultMaxInsns
	}
	if o.MaxEvents == 0 {
		o.MaxEvents = DefaultMaxEvents
	}
	return o
}

// Rig is an emulated machine that one thing after the other is loaded into, which is cheaper than a machine for
// each, with the memory that watching runs takes. What is loaded ends what was loaded before. A rig belongs to
// one goroutine and must be closed.
type Rig struct {
	m      *emu.Machine
	states siteStates // of the machine
	log    stateLog   // of the reference interpreter
	last   *Machine   // loaded now; nil if nothing is
}

// NewRig makes a machine with the memory and the stack that the options ask for.
func NewRig(opt Options) (*Rig, error) {
	m, err := emu.New(emu.Config{Memory: opt.Memory, StackSize: opt.StackSize})
	if err != nil {
		return nil, err
	}
	return &Rig{m: m}, nil
}

// Close releases the machine.
func (r *Rig) Close() error { return r.m.Close() }

// Load puts a setup into the machine and prepares what watches it. limit is how many tail calls a run may
// take.
func (r *Rig) Load(s guest.Setup, opt Options, limit uint32) (*Machine, error) {
	opt = opt.withDefaults()
	names := make(map[image.Addr]string, len(s.Symbols))
	for n, a := range s.Symbols {
		if old, ok := names[a]; !ok || n < old {
			names[a] = n
		}
		if helper.ByName(n).CallsBack() { // what its functions return to
			names[a+image.Addr(kernel.CallbackReturn())] = n
		}
	}
	for r, a := range s.Routines {
		names[a] = r.String()
	}
	for _, img := range s.Images {
		if img.Module != nil {
			for n, a := range img.Module.Symbols {
				names[a] = n
			}
		}
	}
	code, err := trace.NewCode(s.Images, trace.Options{
		Marks: trace.MarkStart, Limit: limit, InsnText: insnText, Cache: r.m.DecodeCache(),
		Symbol: func(a image.Addr) string { return symbolName(names, a) },
	})
	if err != nil {
		return nil, err
	}
	for _, site := range code.Sites() {
		s.Marks = append(s.Marks, site.Addr)
	}
	if err := r.m.Load(s); err != nil {
		return nil, err
	}
	m := &Machine{Machine: r.m, Code: code, opt: opt, setup: s}
	m.feed.states = &r.states
	keep := trace.Config{MaxEvents: opt.MaxEvents, Keep: opt.KeepEvents, Each: m.keeps.event}
	if r.last != nil {
		keep.Memory = r.last.feed.chk.Recorder().Events()
	}
	m.feed.chk = check.New(code, keep, check.Config{
		Limit: limit, StackBudget: opt.StackSize, StackTop: guest.StackTop, Writable: m.writable(),
		DesignWritable: m.counters(),
		Junk:           guest.Junk(), KeepGoing: opt.KeepGoing,
	})
	r.last = m
	return m, nil
}

func symbolName(names map[image.Addr]string, a image.Addr) string {
	if a == guest.OutsideReturn {
		return "the kernel"
	}
	return names[a]
}

func insnText(p *bpf.Program, i bpf.InsnIndex) string {
	if p == nil || i < 0 || int(i) >= len(p.Insns) {
		return ""
	}
	return bpf.TextAt(p.Insns, i)
}
