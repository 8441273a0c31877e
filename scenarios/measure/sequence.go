// SPDX-License-Identifier: GPL-2.0-only

package measure

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/emu/record"
	"github.com/tcsim/tcsim/emu/timing"
	"github.com/tcsim/tcsim/emu/timing/measured"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// Sequence executes a measured sequence in the emulator, from the state that it was measured from,
// and returns what the core's model says it costs, next to the measurement. As there, the sequence is
// run again and again in the memory that the last run left behind, until predictors have learned
// what there is to learn.
func Sequence(ctx context.Context, m *emu.Machine, core *timing.Core, s *measured.Sequence) (measured.Result, error) {
	cycles, err := settled(ctx, m, timing.New(core, s.CodeAt), s)
	if err != nil {
		return measured.Result{}, fmt.Errorf("sequence %s: %w", s.Name, err)
	}
	return s.Judge(cycles), nil
}

// Sequences is Sequence for all of a file, in a machine of its own, with progress after each. The error is
// that of the context, together with the results before, or names every sequence that failed.
func Sequences(ctx context.Context, core *timing.Core, file *measured.File, progress func(done, total int)) ([]measured.Result, error) {
	m, err := emu.New(emu.Config{})
	if err != nil {
		return nil, err
	}
	defer m.Close()
	var results []measured.Result
	var errs []error
	for i := range file.Sequences {
		r, err := Sequence(ctx, m, core, &file.Sequences[i])
		if ctx.Err() != nil {
			return results, ctx.Err()
		}
		results, errs = append(results, r), append(errs, err)
		progress(i+1, len(file.Sequences))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return results, nil
}

// Stream executes a measured sequence once, from the state that it was measured from, and returns the
// instructions of as many trips as a model needs.
func Stream(ctx context.Context, m *emu.Machine, s *measured.Sequence) ([]record.Retired, error) {
	if err := loadSequence(m, s); err != nil {
		return nil, fmt.Errorf("sequence %s: %w", s.Name, err)
	}
	stream, err := recordTrips(ctx, m, s)
	if err != nil {
		return nil, fmt.Errorf("sequence %s: %w", s.Name, err)
	}
	return stream, nil
}

// A sequence is run until two runs differ by less than settledWithin of their cycles, settledRuns
// times at most: random numbers never settle.
const (
	settledRuns   = 6
	settledWithin = 0.005
)

// settled runs a sequence until its cycles per trip stay the same, and returns those of the last run.
func settled(ctx context.Context, m *emu.Machine, model *timing.Model, s *measured.Sequence) (float64, error) {
	if err := loadSequence(m, s); err != nil {
		return 0, err
	}
	last := 0.0
	for range settledRuns {
		stream, err := recordTrips(ctx, m, s)
		if err != nil {
			return 0, err
		}
		now, err := s.Repeat(model, stream)
		if err != nil {
			return 0, err
		}
		if math.Abs(now-last) <= settledWithin*now {
			return now, nil
		}
		last = now
	}
	return last, nil
}

// loopCounter holds the number of trips of a measured sequence.
const loopCounter = x86.R12

// loadSequence puts the code and the memory of a sequence where it expects them.
func loadSequence(m *emu.Machine, s *measured.Sequence) error {
	data, stack := make([]byte, s.Data.Size), make([]byte, s.Stack.Size)
	if err := m.Load(guest.Setup{
		Images: []*image.Image{{Funcs: []image.FuncImage{{Name: s.Name, Addr: s.At, Code: s.Code}}}},
		Data:   []guest.Region{{Addr: s.Data.Addr, Bytes: data}, {Addr: s.Stack.Addr, Bytes: stack}},
		Marks:  []image.Addr{},
	}); err != nil {
		return err
	}
	for _, w := range s.Mem {
		if err := writeWord(m, w.Addr, w.Value); err != nil {
			return err
		}
	}
	return nil
}

func writeWord(m *emu.Machine, a image.Addr, v uint64) error {
	return m.WriteMemory(a, binary.LittleEndian.AppendUint64(nil, v))
}

// recordTrips returns the retired instructions of as many trips of a sequence as the model needs.
func recordTrips(ctx context.Context, m *emu.Machine, s *measured.Sequence) ([]record.Retired, error) {
	if err := writeWord(m, image.Addr(s.Regs[x86.RSP]), uint64(guest.OutsideReturn)); err != nil {
		return nil, err
	}
	stop := emu.Run{Level: emu.LevelRetired, StopAddr: s.At}
	if _, err := m.Run(ctx, stop); err != nil {
		return nil, err
	}
	regs := emu.Regs(s.Regs)
	trips := s.RecordTrips()
	regs[loopCounter] = uint64(trips)
	if err := m.SetState(regs, s.At); err != nil {
		return nil, err
	}
	rec := &streamRecorder{}
	res, err := m.Continue(ctx, emu.Run{Level: emu.LevelRetired, Observer: rec})
	if err != nil {
		return nil, err
	}
	if res.Stop != emu.StopReturn && res.Stop != emu.StopObserver {
		return nil, errors.New("the sequence did not return: " + res.Stop.String())
	}
	return rec.stream, nil
}

// streamRecorder keeps retired instructions, up to about maxRecord.
type streamRecorder struct{ stream []record.Retired }

// maxRecord bounds the recording of a sequence that does not say how long its trips are.
const maxRecord = 1 << 20

// Retired implements emu.Observer.
func (r *streamRecorder) Retired(b []record.Retired) bool {
	r.stream = append(r.stream, b...)
	return len(r.stream) >= maxRecord
}

// Sites implements emu.Observer.
func (r *streamRecorder) Sites([]record.Site) bool { return false }
