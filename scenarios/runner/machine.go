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
	"github.com/tcsim/tcsim/emu/timing"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/scenarios/measure"
)

// Machine is what a rig has loaded, with the recorder and the checks that watch its runs.
type Machine struct {
	*emu.Machine
	Code *trace.Code // of the images

	opt   Options // complete
	setup guest.Setup
	feed  feed
	now   going
	keeps keeps
}

// entry is a run that is about to begin.
type entry struct {
	emu.Run
	cut *cut       // where it is interrupted, nil if it is not
	ctx image.Addr // what the interrupting program gets, before a design wraps it
}

// going is how far the run has come that the machine performs, or performed last.
type going struct {
	entry
	interrupted bool
	rec         *trace.Recorder // that follows the run, nil for the machine's own
}

func (g *going) recorder(m *Machine) *trace.Recorder {
	if g.rec != nil {
		return g.rec
	}
	return m.Recorder()
}

// Options returns what the machine was loaded with, complete.
func (m *Machine) Options() Options { return m.opt }

// Recorder returns the events of the last run.
func (m *Machine) Recorder() *trace.Recorder { return m.feed.chk.Recorder() }

// Bytes reads memory.
func (m *Machine) Bytes(a image.Addr, n int) ([]byte, error) {
	b := make([]byte, n)
	return b, m.ReadMemory(a, b)
}

// Perform performs a run and judges it by every invariant that needs no BPF program to compare with. The
// error is a failure of ours, or kernels.ErrUnsupported where the code calls what is not modelled; what
// the code does wrong is in the result.
func (m *Machine) Perform(ctx context.Context, r emu.Run) (*Run, error) {
	return m.perform(ctx, entry{Run: r}, m.opt.Core)
}

// perform performs a run, interrupted if it is to be, with the cycles of a core if that is not nil.
func (m *Machine) perform(ctx context.Context, e entry, core *timing.Core) (*Run, error) {
	r := e.Run
	r.Level, r.MaxInsns, r.Observer = m.opt.Level, m.opt.MaxInsns, m.Watch()
	if core != nil && m.opt.Level == emu.LevelRetired {
		m.feed.clock = measure.NewClock(core, m.Measured())
	}
	m.now = going{entry: e}
	return m.Finish(m.drive(ctx, r, true))
}

// Watch forgets the last run. The observer must see the whole of the next, which Finish ends.
func (m *Machine) Watch() emu.Observer {
	m.feed.reset()
	return &m.feed
}

// Finish ends a run with what the engine says of it and tells what happened. A fault of the code is a
// violation, any other error is returned.
func (m *Machine) Finish(res emu.Result, err error) (*Run, error) {
	m.feed.chk.Finish()
	if m.feed.clock != nil {
		m.feed.clock.Finish(m.Recorder().Events())
	}
	var f *emu.Fault
	switch {
	case errors.As(err, &f):
		if f.Kind == emu.FaultHelper {
			return nil, fmt.Errorf("%w: %s: %w", kernels.ErrUnsupported, f.Name, f.Err)
		}
		if f.Kind == emu.FaultEngine {
			return nil, fmt.Errorf("%w: fault: %w", kernels.ErrUnsupported, f)
		}
		m.feed.chk.Fault(check.Fault{Seq: f.Seq, RIP: f.RIP, Addr: f.Access, Text: f.Error()})
		out := m.describe(&res, "")
		out.Faulted = true
		return out, nil
	case err != nil:
		return nil, err
	}
	killed := ""
	switch res.Stop {
	case emu.StopInsns, emu.StopEvents:
		killed = res.Stop.String()
	case emu.StopObserver:
		if m.feed.chk.Violation() == nil || m.opt.KeepGoing {
			killed = emu.StopEvents.String()
		}
	}
	return m.describe(&res, killed), nil
}

// Latent makes what is wrong with a run that otherwise went well, and would only show in another one, its
// violation.
func (m *Machine) Latent(r *Run) {
	if r.Violation == nil && r.Killed == "" {
		m.report(r, m.feed.chk.Latent())
	}
}

// report makes v the violation of a run that has none; nil changes nothing.
func (m *Machine) report(r *Run, v *check.Violation) {
	if v != nil {
		m.feed.chk.Report(*v)
		r.Violation = m.feed.chk.Violation()
	}
}

// begins is where a run begins.
func (m *Machine) begins(r emu.Run) image.Addr { return m.Measured().Entry(r) }

// Measured is the machine for package measure.
func (m *Machine) Measured() *measure.Machine {
	size := m.opt.StackSize
	if size == 0 {
		size = 16 << 10 // the machine's default
	}
	return &measure.Machine{Machine: m.Machine, Setup: &m.setup, Code: m.Code, Stack: size}
}

// writable lists what programs may write besides BPF stacks.
func (m *Machine) writable() []check.Range {
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

// counters lists where designs keep tail_call_cnt that do not keep it in frames of programs, and what else of
// memory is theirs.
func (m *Machine) counters() []check.Range {
	var out []check.Range
	for _, r := range m.CounterMemory() {
		out = append(out, check.Range{Lo: r.Addr, End: r.Addr + image.Addr(r.Size), Name: "tail_call_cnt"})
	}
	for _, r := range m.ModuleMemory() {
		out = append(out, check.Range{Lo: r.Addr, End: r.Addr + image.Addr(r.Size), Name: "a variable of the JIT's file"})
	}
	return out
}
