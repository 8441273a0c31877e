// SPDX-License-Identifier: GPL-2.0-only

package replay

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/emu/stack"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/scenarios/measure"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// Bare is a captured scenario with nothing but the code, and one run of it in the kernel's own test.
type Bare struct {
	*Facts
	// Traced says that all tracing programs are attached, see WithTracing.
	Traced bool

	tracing tracing
}

// bare prepares a scenario without its file.
func (c *Facts) bare() (Captured, error) {
	b := &Bare{Facts: c}
	if c.missing() != "" {
		return b, nil
	}
	if c.broken = c.decoded.undecoded(capture.Populated); c.broken != "" {
		return b, nil
	}
	for p := range c.Scenario.Progs {
		img, err := c.image(p, capture.Populated)
		if err != nil {
			c.broken = fmt.Sprintf("line %d: program %d (%s): the code does not decode: %v", c.Scenario.Line, p, c.Scenario.Progs[p].Name, err)
			return b, nil
		}
		c.Images = append(c.Images, img)
		if err := c.recognise(p, img); err != nil {
			return nil, err
		}
	}
	if err := c.inspect(c.Images); err != nil {
		return nil, err
	}
	return b, b.readTracing()
}

// load puts the scenario into the machine; world are the variables of the outside world that the code reads.
func (c *Bare) load(r *Replayer) (m *runner.Machine, world []string, err error) {
	if c.broken != "" {
		return nil, nil, errors.New(c.broken)
	}
	s, world, err := c.setup()
	if err != nil {
		return nil, nil, err
	}
	s.Images = slices.Concat(c.Images, c.tracing.images)
	for n := range c.tracing.kernel {
		delete(s.Symbols, n) // an image of its own
	}
	for _, sl := range c.Scenario.ProgArrays {
		s.Slots = append(s.Slots, guest.Slot{Map: sl.Map, Key: sl.Key, Prog: sl.Prog})
	}
	s.Data, s.Packet = runner.ContextSpace(), slices.Clone(c.header.RunData)
	if err := s.Placed(); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrBadCapture, err)
	}
	if m, err = r.rig.Load(s, r.opt, c.limit(r.opt)); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrBadCapture, err)
	}
	if err := c.attach(m); err != nil {
		return nil, nil, err
	}
	return m, world, c.inputs(m)
}

// inputs gives the io map its first contents (fixtures/kernels/README.md, "Scenario lines").
func (c *Bare) inputs(m *runner.Machine) error {
	const inputSlot = 32
	if len(c.Scenario.Maps) == 0 {
		return nil
	}
	v := make([]byte, c.Scenario.Maps[0].ValueSize)
	put := func(n int, x uint64) {
		if at := 8 * (inputSlot + n); n >= 0 && at+8 <= len(v) {
			binary.LittleEndian.PutUint64(v[at:], x)
		}
	}
	for n, x := range c.header.DefaultInputs {
		put(n, x)
	}
	for _, in := range c.Scenario.Inputs {
		put(in.N, in.Value)
	}
	return m.UpdateElem(0, make([]byte, 4), v, guest.UpdateAny)
}

func (c *Bare) enter(m *runner.Machine) (emu.Run, error) {
	ctx, err := runner.PlaceContext(m, c.Target, c.Scenario.ProgType, c.header.RunData, nil)
	return emu.Run{Image: c.testRun().Prog, Args: []uint64{uint64(ctx)}}, err
}

// replay does the kernel's test run and compares.
func (c *Bare) replay(ctx context.Context, r *Replayer) (*Replay, error) {
	m, world, err := c.load(r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Scenario.Name, err)
	}
	out := c.begin()
	out.KernelRan, out.Traced = true, c.Traced
	err = c.run(ctx, m, out)
	if errors.Is(err, kernels.ErrUnsupported) {
		return nil, err // what is missing, not where: the same for many scenarios
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Scenario.Name, err)
	}
	out.Program = c.Scenario.Progs[c.testRun().Prog].Name
	out.World = append(out.World, world...)
	slices.Sort(out.World)
	out.Wrong = append(out.Wrong, c.flaws...)
	out.Wrong = append(out.Wrong, c.compare(m.Machine, &out.Run)...)
	return out, nil
}

// run does the kernel's test run.
func (c *Bare) run(ctx context.Context, m *runner.Machine, out *Replay) error {
	if c.Scenario.ProgType == bpf.Tracing {
		return c.runTracing(ctx, m, out)
	}
	run, err := c.enter(m)
	if err != nil {
		return err
	}
	ran, err := m.Hand(1, c.Scenario.Progs[c.testRun().Prog].Name, func() (*runner.Run, error) {
		r, err := m.Perform(ctx, run)
		if err == nil {
			m.Latent(r)
		}
		return r, err
	})
	if err == nil {
		out.Run = *ran
	}
	return err
}

// compare says what differs from the kernel's own run.
func (c *Bare) compare(m *emu.Machine, r *runner.Run) []string {
	if why := r.Ending(); why != "" {
		return []string{why}
	}
	var wrong []string
	if k := c.testRun(); uint32(r.Return) != k.Retval {
		wrong = append(wrong, fmt.Sprintf("returned %d, the kernel %d", uint32(r.Return), k.Retval))
	}
	if len(c.Scenario.Maps) == 0 {
		return wrong
	}
	io, err := m.LookupElem(0, make([]byte, 4))
	if err != nil {
		return append(wrong, err.Error())
	}
	const outputs = 32
	for n := 0; n < outputs && 8*n+8 <= len(io); n++ {
		want := uint64(0)
		if n < len(c.testRun().Out) {
			want = c.testRun().Out[n]
		}
		if got := binary.LittleEndian.Uint64(io[8*n:]); got != want {
			wrong = append(wrong, fmt.Sprintf("output slot %d is %#x, the kernel's %#x", n, got, want))
		}
	}
	return wrong
}

// Stack draws the stack of a captured scenario's run at the moments that at selects.
func (r *Replayer) Stack(ctx context.Context, c *Bare, at stack.At) ([]runner.Drawing, error) {
	m, err := r.alone(c)
	if err != nil {
		return nil, fmt.Errorf("stack: %w", err)
	}
	return m.Draw(ctx, at, func() (emu.Run, error) { return c.enter(m) })
}

// Film shows a captured scenario's run, see runner.Session.Film. The machine is that of show's stills.
func (r *Replayer) Film(ctx context.Context, c *Bare, most int, begin func(*runner.Machine) func(runner.Still) error) (*runner.Filmed, error) {
	m, err := r.alone(c)
	if err != nil {
		return nil, fmt.Errorf("time line: %w", err)
	}
	return m.Film(ctx, most, func() (emu.Run, error) { return c.enter(m) }, begin(m))
}

// alone loads a scenario to perform its run piece by piece.
func (r *Replayer) alone(c *Bare) (*runner.Machine, error) {
	if why := c.skip(); why != "" {
		return nil, errors.New(why)
	}
	if c.Scenario.ProgType == bpf.Tracing {
		return nil, fmt.Errorf("a test run of a tracing program, which is several runs: %w", kernels.ErrUnsupported)
	}
	m, _, err := c.load(r)
	return m, err
}

// Walk returns a walk of run number n of a captured scenario, from 1; one without its file has one run. Nothing else
// may be replayed meanwhile.
func (r *Replayer) Walk(ctx context.Context, captured Captured, n int) (*runner.Walk, error) {
	if c, ok := captured.(*Sourced); ok {
		s, err := r.Session(c)
		if err != nil {
			return nil, err
		}
		return s.Walk(ctx, n)
	}
	c := captured.(*Bare)
	if n != 1 {
		return nil, fmt.Errorf("%s: there is no run %d, only one", c.Scenario.Name, n)
	}
	m, err := r.alone(c)
	if err != nil {
		return nil, err
	}
	return m.Walk(ctx, func() (emu.Run, error) { return c.enter(m) })
}

// ErrBadCapture is wrapped where what a capture says of a scenario cannot be put into a machine: addresses,
// sizes, code that overlaps.
var ErrBadCapture = errors.New("the capture is bad")

// ErrNotCaptured is wrapped where a captured scenario has no code that could be run.
var ErrNotCaptured = errors.New("there is nothing to run")

// Count counts what a captured scenario's run does, also one that the kernel did not dare.
func (r *Replayer) Count(ctx context.Context, c Captured, o measure.CountOptions) (*runner.Counted, error) {
	if why := c.Known().missing(); why != "" {
		return nil, fmt.Errorf("%s: %w: %s", c.Known().Scenario.Name, ErrNotCaptured, why)
	}
	cp, ok := c.(*Bare)
	if !ok {
		return nil, fmt.Errorf("%s: %w: the capture has no run of it", c.Known().Scenario.Name, ErrNotCaptured)
	}
	if cp.Scenario.ProgType == bpf.Tracing {
		return nil, fmt.Errorf("%s: count: a test run of a tracing program, which is several runs: %w", cp.Scenario.Name, kernels.ErrUnsupported)
	}
	m, _, err := cp.load(r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", cp.Scenario.Name, err)
	}
	if err := m.Checkpoint(); err != nil {
		return nil, err
	}
	n := &runner.Counted{
		Scenario: cp.Scenario.Name, Target: cp.Target.Name, Limit: cp.Target.Limit,
		Program: cp.Scenario.Progs[cp.Scenario.Run.Prog].Name, Captured: true,
	}
	begin := func() (emu.Run, error) {
		if err := m.Reset(); err != nil {
			return emu.Run{}, err
		}
		return cp.enter(m)
	}
	run, err := begin()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", n.Scenario, err)
	}
	if n.Counted, err = measure.Count(ctx, m.Measured(), run, o); err != nil {
		return nil, fmt.Errorf("%s: %w", n.Scenario, err)
	}
	if n.Endless == nil && n.Fault == nil && cp.skip() == "" {
		n.Wrong = cp.compare(m.Machine, &runner.Run{Return: n.Final.R[0]})
	}
	return n, n.AddCycles(ctx, m.Measured(), o, begin)
}
