// SPDX-License-Identifier: GPL-2.0-only

package measure

import (
	"cmp"
	"context"
	"math/big"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/emu/record"
	"github.com/tcsim/tcsim/emu/timing"
	"github.com/tcsim/tcsim/jit/x86"
)

// DefaultSample is how many instructions of a long run the timing model sees if nothing else is said. Loops and
// hierarchies cost the same from their first 10,000 on, within 2 % for 10,000 more. A run of at most wholeSample
// is seen to its end.
const (
	DefaultSample = 50_000
	wholeSample   = 200_000
)

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
	// cost. If that is not the whole run, Cycles is SampledCycles and the rate of the second half of
	// the sample, which has left the cold caches, for all others.
	Sampled, SampledCycles uint64
	Whole                  bool
	Cycles                 *big.Int
	// WarmCycles are what the WarmInsns instructions of that half cost.
	WarmCycles, WarmInsns uint64
}

// WarmRate is the cycles per instruction that the rest of a run was charged with.
func (t *CountTiming) WarmRate() float64 {
	return float64(t.WarmCycles) / float64(t.WarmInsns)
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
	half  uint64       // after how many the second half begins
	warm  timing.Cycle // when it did
	from  uint64       // the instructions before it
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
	if s.n <= s.half {
		s.warm, s.from = s.model.Cycle(), s.n
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
	r.Level, r.MaxInsns = emu.LevelRetired, cmp.Or(o.Sample, DefaultSample)
	if o.Sample == 0 && c.Insns.Cmp(big.NewInt(wholeSample)) <= 0 {
		r.MaxInsns = wholeSample
	}
	s := &sampler{skip: m.untimed, model: timing.New(core, m.timedCode), half: r.MaxInsns / 2}
	r.Observer = s
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
	if s.from == s.n { // it ended early
		s.warm, s.from = 0, 0
	}
	t := &CountTiming{
		Core: core.Name, Sampled: s.n, SampledCycles: uint64(s.model.Cycle()), Cycles: new(big.Int),
		WarmCycles: uint64(s.model.Cycle() - s.warm), WarmInsns: s.n - s.from,
	}
	rest := new(big.Int).Sub(c.Insns, new(big.Int).SetUint64(s.n))
	t.Whole = rest.Sign() == 0
	t.Cycles.Mul(rest, new(big.Int).SetUint64(t.WarmCycles))
	t.Cycles.Div(t.Cycles, new(big.Int).SetUint64(t.WarmInsns))
	t.Cycles.Add(t.Cycles, new(big.Int).SetUint64(t.SampledCycles))
	c.Timing = t
	return nil
}
