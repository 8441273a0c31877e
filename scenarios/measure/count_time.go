// SPDX-License-Identifier: GPL-2.0-only

package measure

import (
	"context"
	"math/big"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/emu/record"
	"github.com/tcsim/tcsim/emu/timing"
	"github.com/tcsim/tcsim/jit/x86"
)

// DefaultSample is how many instructions of a run the timing model sees if nothing else is said.
const DefaultSample = 200_000

// Seconds after which a kernel complains about a CPU that stays in a program (6.12):
// CONFIG_RCU_CPU_STALL_TIMEOUT, and twice watchdog_thresh.
const (
	RCUStallSeconds   = 21
	SoftLockupSeconds = 20
)

// CountTiming is what a run costs.
type CountTiming struct {
	Core string
	// Sampled is the number of instructions that the model has executed, SampledCycles what they
	// cost. If that is not the whole run, Cycles is the same rate for all its instructions.
	Sampled, SampledCycles uint64
	Whole                  bool
	Cycles                 *big.Int
}

// Seconds is how long the run takes at a frequency in GHz.
func (t *CountTiming) Seconds(ghz float64) float64 {
	f, _ := new(big.Float).SetInt(t.Cycles).Float64()
	return f / ghz / 1e9
}

// sampler feeds the timing model. The last instruction of a batch waits for its successor.
type sampler struct {
	model *timing.Model
	skip  func(x86.Addr) bool
	last  record.Retired
	n     uint64
	err   error
}

// Retired implements emu.Observer.
func (s *sampler) Retired(batch []record.Retired) bool {
	for _, r := range batch {
		if r.RIP < guest.TextBase && s.skip(r.RIP) {
			s.n++
			continue
		}
		s.step(r.RIP)
		s.last = r
	}
	return s.err != nil
}

// step executes the instruction that waits; next is what follows it.
func (s *sampler) step(next x86.Addr) {
	if s.last.RIP == 0 || s.err != nil {
		return
	}
	if s.err = s.model.Step(s.last, next); s.err == nil {
		s.n++
	}
}

// Sites implements emu.Observer.
func (s *sampler) Sites([]record.Site) bool { return false }

// AddCycles runs the beginning of a counted run through the timing model and fills Timing, or NoTiming.
// begin prepares the run once more. The machine is left somewhere in it.
func (c *Counted) AddCycles(ctx context.Context, m *Machine, o CountOptions, begin func() (emu.Run, error)) error {
	core, err := timing.CoreNamed(o.Core)
	if err != nil {
		return err
	}
	r, err := begin()
	if err != nil {
		return err
	}
	s := &sampler{skip: m.untimed, model: timing.New(core, m.timedCode)}
	r.Level, r.Observer, r.MaxInsns = emu.LevelRetired, s, o.Sample
	if r.MaxInsns == 0 {
		r.MaxInsns = DefaultSample
	}
	res, err := m.Run(ctx, r)
	if _, ok := asFault(err); err != nil && !ok {
		return err
	}
	s.step(res.RIP)
	if s.err != nil {
		c.NoTiming = s.err.Error()
		return nil
	}
	if s.n == 0 {
		c.NoTiming = "nothing was executed"
		return nil
	}
	t := &CountTiming{Core: core.Name, Sampled: s.n, SampledCycles: uint64(s.model.Cycle())}
	t.Whole = c.Insns.Cmp(new(big.Int).SetUint64(s.n)) == 0
	t.Cycles = new(big.Int).SetUint64(t.SampledCycles)
	if !t.Whole {
		t.Cycles.Mul(t.Cycles, c.Insns)
		t.Cycles.Div(t.Cycles, new(big.Int).SetUint64(s.n))
	}
	c.Timing = t
	return nil
}
