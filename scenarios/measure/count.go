// SPDX-License-Identifier: GPL-2.0-only

package measure

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/count"
	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
)

// CountOptions say how to count. The zero value is usable.
type CountOptions struct {
	// MaxSummaries, MaxBytes and MaxSteps bound the work, see count.Config; 0 means its defaults.
	MaxSummaries, MaxBytes int
	MaxSteps               uint64
	// NoReuse executes every call: the numbers of plain emulation.
	NoReuse bool
	// Core is the core whose cycles are reported, see timing.CoreNamed; "" is the default one.
	Core string
	// Sample is how many instructions the timing model sees, and cycles of longer runs are
	// extrapolated; 0 means DefaultSample of those that are long.
	Sample uint64
	// Find ends the count at a moment, see count.Config.
	Find *count.Moment

	// For tests, see count.Config.
	DropPin    func(location string) bool
	WatchAfter uint64
}

// Counted is what one run does, in exact numbers.
type Counted struct {
	*count.Result
	// Values are the values of array maps at the end that are not all zero.
	Values []MapValue
	// Timing are the cycles, nil if the timing model has no answer: NoTiming says why.
	Timing   *CountTiming
	NoTiming string
	Time     time.Duration // of counting alone
}

// MapValue is a value of an array map.
type MapValue struct {
	Map   string
	Key   uint32
	Value []byte
}

// Count counts what a run of a machine does from its present state, and leaves the machine in the final
// one. It answers for runs that would never end in practice. An error wraps count.ErrUndecided where the
// method finds no answer, jit.ErrUnsupported where it does not apply.
func Count(ctx context.Context, m *Machine, r emu.Run, o CountOptions) (*Counted, error) {
	if err := m.countable(); err != nil {
		return nil, err
	}
	start := time.Now()
	cpu := &stepper{m: m}
	if err := cpu.begin(ctx, r); err != nil {
		return nil, err
	}
	res, err := count.Count(ctx, cpu, count.Config{
		Images: m.Setup.Images, StackLow: guest.StackTop - image.Addr(m.Stack), StackHigh: guest.StackTop, Return: guest.OutsideReturn, Helper: m.helperModel,
		MaxSummaries: o.MaxSummaries, MaxBytes: o.MaxBytes, MaxSteps: o.MaxSteps, NoReuse: o.NoReuse, DropPin: o.DropPin,
		WatchAfter: o.WatchAfter, Find: o.Find,
	})
	if err != nil {
		return nil, err
	}
	c := &Counted{Result: res, Time: time.Since(start)}
	c.Values, err = m.values()
	return c, err
}

// countable refuses what summaries do not follow: calls that end in an exception, helpers that call functions of the
// program, and accesses that the kernel's fault handler skips, as those to an arena do.
func (m *Machine) countable() error {
	for i := range m.Stubs {
		if s := &m.Stubs[i]; s.Helper.CallsBack() {
			return fmt.Errorf("count: %s calls functions of the program: %w", s.Name, kernels.ErrUnsupported)
		}
	}
	for _, img := range m.Setup.Images {
		for i := range img.Funcs {
			if f := &img.Funcs[i]; f.ExceptionCB {
				return fmt.Errorf("count: %s is an exception callback: %w", f.Name, kernels.ErrUnsupported)
			}
		}
	}
	for _, mp := range m.Setup.Maps {
		if mp.Type == bpf.ArenaMap {
			return fmt.Errorf("count: %s is an arena: %w", mp.Name, kernels.ErrUnsupported)
		}
	}
	return nil
}

// values reads the array maps.
func (m *Machine) values() ([]MapValue, error) {
	var out []MapValue
	for i := range m.Setup.Maps {
		mp := &m.Setup.Maps[i]
		if mp.Type != bpf.ArrayMap && mp.Type != bpf.PerCPUArrayMap {
			continue
		}
		for k := range mp.MaxEntries {
			v, err := m.LookupElem(i, binary.LittleEndian.AppendUint32(nil, k))
			if err != nil {
				return nil, fmt.Errorf("map %s: %w", mp.Name, err)
			}
			for _, b := range v {
				if b != 0 {
					out = append(out, MapValue{mp.Name, k, v})
					break
				}
			}
		}
	}
	return out, nil
}
