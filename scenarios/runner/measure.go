// SPDX-License-Identifier: GPL-2.0-only

package runner

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/timing"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/x86"
)

// Measure executes a measured sequence in the emulator, from the state that it was measured from,
// and returns what the core's model says it costs, beside the measurement.
func Measure(ctx context.Context, m *emu.Machine, core *timing.Core, s *timing.Sequence) (timing.Result, error) {
	stream, err := record(ctx, m, s)
	if err != nil {
		return timing.Result{}, fmt.Errorf("sequence %s: %w", s.Name, err)
	}
	cycles, err := s.Predict(core, stream)
	if err != nil {
		return timing.Result{}, fmt.Errorf("sequence %s: %w", s.Name, err)
	}
	return s.Judge(cycles), nil
}

// loopCounter holds the number of trips of a measured sequence.
const loopCounter = x86.R12

// record returns the retired instructions of as many trips of a sequence as the model needs.
func record(ctx context.Context, m *emu.Machine, s *timing.Sequence) ([]timing.Retired, error) {
	data, stack := make([]byte, timing.MeasuredSpan), make([]byte, timing.MeasuredSpan)
	if err := m.Load(emu.Setup{
		Images: []*jit.Image{{Funcs: []jit.FuncImage{{Name: s.Name, Addr: timing.MeasuredCode, Code: s.Code}}}},
		Data:   []emu.Region{{Addr: timing.MeasuredData, Bytes: data}, {Addr: timing.MeasuredStack, Bytes: stack}},
		Marks:  []jit.Addr{},
	}); err != nil {
		return nil, err
	}
	for _, w := range append(s.Mem, timing.MemWord{Addr: x86.Addr(timing.MeasuredRSP), Value: uint64(emu.OutsideReturn)}) {
		if err := m.WriteMemory(w.Addr, binary.LittleEndian.AppendUint64(nil, w.Value)); err != nil {
			return nil, err
		}
	}
	stop := emu.Run{Level: emu.LevelRetired, StopAddr: timing.MeasuredCode}
	if _, err := m.Run(ctx, stop); err != nil {
		return nil, err
	}
	regs := emu.Regs(s.Regs)
	trips := s.RecordTrips()
	regs[loopCounter] = uint64(trips)
	if err := m.SetState(regs, timing.MeasuredCode); err != nil {
		return nil, err
	}
	rec := &streamRecorder{stream: make([]timing.Retired, 0, (trips+1)*(s.InstructionsPerTrip+2))}
	res, err := m.Continue(ctx, emu.Run{Level: emu.LevelRetired, Observer: rec})
	if err != nil {
		return nil, err
	}
	if res.Stop != emu.StopReturn {
		return nil, errors.New("the sequence did not return: " + res.Stop.String())
	}
	return rec.stream, nil
}

// streamRecorder keeps all retired instructions.
type streamRecorder struct{ stream []timing.Retired }

// Retired implements emu.Observer.
func (r *streamRecorder) Retired(b []timing.Retired) bool {
	r.stream = append(r.stream, b...)
	return false
}

// Sites implements emu.Observer.
func (r *streamRecorder) Sites([]timing.Site) bool { return false }
