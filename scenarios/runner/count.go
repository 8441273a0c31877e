// SPDX-License-Identifier: GPL-2.0-only

package runner

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/count"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/x86"
)

// CountOptions bound a count. The zero value means the defaults of package count.
type CountOptions struct {
	MaxSummaries int
	MaxSteps     uint64
	// NoReuse executes every call: the numbers of plain emulation.
	NoReuse bool

	dropPin func(string) bool // see count.Config
}

// Counted is a count of one run.
type Counted struct {
	*count.Result
	Program string
}

// Count plays the scenario up to run number n, from 1, and counts what that run does, without
// checking invariants. It answers for runs that nobody could wait for. An error wraps
// count.ErrUndecided where the method finds no answer.
func (s *Session) Count(ctx context.Context, n int, o CountOptions) (*Counted, error) {
	a, err := s.runAction(n)
	if err != nil {
		return nil, err
	}
	if _, err := s.play(ctx, n); err != nil {
		return nil, err
	}
	r, err := s.enter(a)
	if err != nil {
		return nil, err
	}
	res, err := s.m.count(ctx, r, o)
	if err != nil {
		return nil, err
	}
	return &Counted{Result: res, Program: s.c.Built.Programs[a.Program].Name}, nil
}

func (m *machine) count(ctx context.Context, r emu.Run, o CountOptions) (*count.Result, error) {
	cpu := &stepper{m: m, ctx: ctx}
	if err := cpu.begin(r); err != nil {
		return nil, err
	}
	size := jit.Addr(m.opt.StackSize)
	if size == 0 {
		size = 16 << 10 // the machine's default
	}
	return count.Count(ctx, cpu, count.Config{
		Images: m.setup.Images, StackLow: emu.StackTop - size, StackHigh: emu.StackTop,
		Helper: m.helperModel, MaxSummaries: o.MaxSummaries, MaxSteps: o.MaxSteps, NoReuse: o.NoReuse, DropPin: o.dropPin,
	})
}

// stepper lets package count drive the machine.
type stepper struct {
	m   *machine
	ctx context.Context
	seq uint64
}

func (s *stepper) begin(r emu.Run) error {
	r.Level, r.StopAddr = emu.LevelRetired, s.m.entry(r)
	_, err := s.m.Run(s.ctx, r)
	return err
}

// Regs implements count.CPU.
func (s *stepper) Regs() (count.Regs, error) {
	g, rip, err := s.m.State()
	return count.Regs{R: g, RIP: rip}, err
}

// SetRegs implements count.CPU.
func (s *stepper) SetRegs(r count.Regs) error { return s.m.SetState(r.R, r.RIP) }

// Step implements count.CPU.
func (s *stepper) Step() (count.Regs, error) {
	s.seq++
	res, err := s.m.Continue(context.Background(), emu.Run{Level: emu.LevelRetired, StopSeq: s.seq})
	var f *emu.Fault
	if errors.As(err, &f) && f.Kind != emu.FaultHelper {
		err = &count.Fault{Err: f}
	}
	return count.Regs{R: res.Regs, RIP: res.RIP}, err
}

// Leave implements count.CPU.
func (s *stepper) Leave() (count.Regs, uint64, error) {
	for n := uint64(1); ; n++ {
		r, err := s.Step()
		if err != nil || s.m.code.Lookup(r.RIP) != nil {
			return r, n, err
		}
	}
}

// Inst implements count.CPU.
func (s *stepper) Inst(a jit.Addr) (*x86.Inst, error) {
	b := make([]byte, 15)
	n := len(b)
	for ; n > 0; n-- {
		if s.m.ReadMemory(a, b[:n]) == nil {
			break
		}
	}
	in, err := x86.Decode(b[:n], a)
	if err != nil {
		return nil, fmt.Errorf("instruction at %#x: %w", uint64(a), err)
	}
	return &in, nil
}

// Load implements count.CPU.
func (s *stepper) Load(a uint64, w uint8) (uint64, error) {
	var b [8]byte
	err := s.m.ReadMemory(jit.Addr(a), b[:w])
	return binary.LittleEndian.Uint64(b[:]), err
}

// Store implements count.CPU.
func (s *stepper) Store(a uint64, w uint8, v uint64) error {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], v)
	return s.m.WriteMemory(jit.Addr(a), b[:w])
}

// GSBase implements count.CPU.
func (s *stepper) GSBase() uint64 { return uint64(emu.GSBase) }

// helperModel says what a helper that was just called depends on. Maps, time and random numbers
// have a state that a summary cannot hold, but finding a value of an array has not.
func (m *machine) helperModel(r *count.Regs) (count.Helper, bool) {
	h := count.Helper{Name: m.names[r.RIP]}
	switch h.Name {
	case "":
		return h, false
	case "bpf_get_smp_processor_id", "bpf_get_numa_node_id", "bpf_get_current_task", "bpf_get_current_task_btf":
	case "bpf_map_lookup_elem", "array_map_lookup_elem", "percpu_array_map_lookup_elem":
		h.Regs = []x86.Reg{x86.RDI}
		h.Mem = []count.HelperMem{{Reg: x86.RSI, Size: 4}}
		h.Opaque = !m.isArray(jit.Addr(r.R[x86.RDI]))
	default:
		h.Opaque = true
	}
	return h, true
}

// isArray reports whether the map at an address is one whose values do not move.
func (m *machine) isArray(at jit.Addr) bool {
	for i := range m.setup.Maps {
		if a, _ := m.MapAddr(i); a == at {
			t := m.setup.Maps[i].Type
			return t == jit.ArrayMap || t == jit.PerCPUArrayMap
		}
	}
	return false
}
