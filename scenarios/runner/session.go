// SPDX-License-Identifier: GPL-2.0-only

package runner

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/check"
	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/emu/record"
	"github.com/tcsim/tcsim/emu/timing"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/scenarios/measure"
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
	if o.MaxInsns == 0 {
		o.MaxInsns = DefaultMaxInsns
	}
	if o.MaxEvents == 0 {
		o.MaxEvents = DefaultMaxEvents
	}
	return o
}

// machine is a loaded machine with everything that watches it.
type machine struct {
	*emu.Machine
	opt    Options
	setup  guest.Setup
	code   *trace.Code
	names  map[image.Addr]string // functions outside the images
	feed   feed
	killed string // why the run was ended, "" if it was not
	cut    *cut   // where the run is interrupted, nil if it is not

	started image.Addr // the entry of the last run
}

// load puts a setup into a machine, which is made if m is nil, and prepares recording.
func load(m *emu.Machine, s guest.Setup, opt Options, limit uint32, text insnTexts) (*machine, error) {
	names := make(map[image.Addr]string, len(s.Symbols))
	for n, a := range s.Symbols {
		if old, ok := names[a]; !ok || n < old {
			names[a] = n
		}
	}
	o := trace.Options{
		Marks: trace.MarkStart, Limit: limit, InsnText: text,
		Symbol: func(a image.Addr) string { return symbolName(names, a) },
	}
	if m != nil {
		o.Cache = m.DecodeCache()
	}
	code, err := trace.NewCode(s.Images, o)
	if err != nil {
		return nil, err
	}
	for _, site := range code.Sites() {
		s.Marks = append(s.Marks, site.Addr)
	}
	owned := m == nil
	if owned {
		if m, err = emu.New(emu.Config{Memory: opt.Memory, StackSize: opt.StackSize}); err != nil {
			return nil, err
		}
	}
	if err := m.Load(s); err != nil {
		if owned {
			err = errors.Join(err, m.Close())
		}
		return nil, err
	}
	l := &machine{Machine: m, opt: opt, setup: s, code: code, names: names}
	l.feed.chk = check.New(code, trace.Config{MaxEvents: opt.MaxEvents, Keep: opt.KeepEvents}, check.Config{
		Limit: limit, StackBudget: opt.StackSize, StackTop: guest.StackTop, Writable: l.writable(),
		SchemeWritable: l.counters(),
		Junk:           guest.Junk(),
	})
	return l, nil
}

// insnTexts prints a BPF instruction.
type insnTexts func(*bpf.Program, bpf.InsnIndex) string

// writable lists what programs may write besides BPF stacks.
func (m *machine) writable() []check.Range {
	var out []check.Range
	for i := range m.setup.Maps {
		for _, r := range m.MapMemory(i) {
			out = append(out, check.Range{Lo: r.Addr, End: r.Addr + image.Addr(r.Size), Name: "map " + m.setup.Maps[i].Name})
		}
	}
	for _, r := range m.setup.Data {
		if !r.ReadOnly {
			out = append(out, check.Range{Lo: r.Addr, End: r.Addr + image.Addr(len(r.Bytes)), Name: "context"})
		}
	}
	for _, img := range m.setup.Images {
		for i := range img.Funcs {
			if s := guest.PrivateStack(&img.Funcs[i]); s.Size > 0 {
				out = append(out, check.Range{Lo: s.Addr, End: s.Addr + image.Addr(s.Size), Name: "private stack"})
			}
		}
	}
	for _, s := range m.setup.Maps {
		if s.Type == bpf.ArenaMap && s.ValueAddr != 0 {
			out = append(out, check.Range{Lo: s.ValueAddr - arenaGuard, End: s.ValueAddr + 1<<32 + arenaGuard, Name: "arena"})
		}
	}
	if n := len(m.setup.Packet); n > 0 {
		r := check.Range{Lo: guest.PacketAddr, End: guest.PacketAddr + image.Addr(n), Name: "packet"}
		if slices.ContainsFunc(m.setup.Images, func(i *image.Image) bool { return i.Program != nil && i.Program.Type == bpf.XDP }) {
			r.Lo -= guest.PacketHeadroom
			r.End = max(r.End, r.Lo+guest.PacketFrame)
		}
		out = append(out, r)
	}
	return out
}

// arenaGuard is how far outside an arena an access to it can go: the largest offset of an
// instruction (GUARD_SZ, kernel/bpf/arena.c, has twice that in all).
const arenaGuard = 1 << 15

// counters lists where designs keep tail_call_cnt that do not keep it in frames of programs.
func (m *machine) counters() []check.Range {
	var out []check.Range
	for _, r := range m.CounterMemory() {
		out = append(out, check.Range{Lo: r.Addr, End: r.Addr + image.Addr(r.Size), Name: "tail_call_cnt"})
	}
	return out
}

func symbolName(names map[image.Addr]string, a image.Addr) string {
	if a == guest.OutsideReturn {
		return "the kernel"
	}
	return names[a]
}

// feed hands the machine's records to the checker as batches.
type feed struct {
	chk     *check.Checker
	first   uint64           // number of the first instruction not yet handed over
	retired []record.Retired // to go with the sites that follow
	clock   *measure.Clock   // nil without timing
	states  siteStates
}

func (f *feed) reset() {
	f.chk.Reset()
	f.first, f.retired, f.clock = 0, nil, nil
	f.states.reset()
}

// Frames implements emu.FrameObserver.
func (f *feed) Frames(b [][emu.FrameSize]byte) { f.states.memory(b) }

// Retired implements emu.Observer.
func (f *feed) Retired(b []record.Retired) bool {
	f.retired = b
	if f.clock != nil {
		f.clock.Retired(b)
	}
	return false
}

// Sites implements emu.Observer.
func (f *feed) Sites(sites []record.Site) bool {
	f.states.sites(sites)
	b := trace.Batch{First: f.first, Retired: f.retired, Sites: sites}
	f.first += uint64(len(f.retired))
	f.retired = nil
	return f.chk.Consume(b)
}

// run executes one invocation. The error is a failure of ours, never of the code that runs: a
// fault is a violation.
func (m *machine) run(ctx context.Context, r emu.Run) (emu.Result, error) {
	m.feed.reset()
	if m.opt.Core != nil && m.opt.Level == emu.LevelRetired {
		m.feed.clock = measure.NewClock(m.opt.Core, m.measured())
	}
	r.Level, r.MaxInsns, r.Observer = m.opt.Level, m.opt.MaxInsns, &m.feed
	m.started = m.entry(r)
	res, err := m.drive(ctx, r, true)
	return m.ended(res, err)
}

func (m *machine) ended(res emu.Result, err error) (emu.Result, error) {
	m.killed = ""
	m.feed.chk.Finish()
	if m.feed.clock != nil {
		m.feed.clock.Finish(m.feed.chk.Recorder().Events())
	}
	var f *emu.Fault
	switch {
	case errors.As(err, &f):
		if f.Kind == emu.FaultHelper {
			return res, fmt.Errorf("%w: %s: %w", kernels.ErrUnsupported, f.Name, f.Err)
		}
		if f.Kind == emu.FaultEngine {
			return res, fmt.Errorf("%w: fault: %w", kernels.ErrUnsupported, f)
		}
		m.feed.chk.Fault(check.Fault{Seq: f.Seq, RIP: f.RIP, Addr: f.Access, Text: f.Error()})
		return res, nil
	case err != nil:
		return res, err
	}
	switch res.Stop {
	case emu.StopInsns, emu.StopEvents:
		m.killed = res.Stop.String()
	case emu.StopObserver:
		if m.feed.chk.Violation() == nil {
			m.killed = emu.StopEvents.String()
		}
	}
	return res, nil
}
