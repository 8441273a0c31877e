// SPDX-License-Identifier: GPL-2.0-only

package measure

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/count"
	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// stepper lets package count drive the machine. It implements count.CPU.
type stepper struct {
	m   *Machine
	seq uint64
}

// begin stops before the first instruction of a run.
func (s *stepper) begin(ctx context.Context, r emu.Run) error {
	r.Level, r.StopAddr = emu.LevelRetired, s.m.Entry(r)
	_, err := s.m.Run(ctx, r)
	return err
}

// Regs implements count.CPU.
func (s *stepper) Regs() (count.Regs, error) {
	g, rip, err := s.m.State()
	return count.Regs{R: g, RIP: rip}, err
}

// SetRegs implements count.CPU.
func (s *stepper) SetRegs(r count.Regs) error { return s.m.SetState(r.R, r.RIP) }

// Step implements count.CPU. It takes no context: watching one costs more than a step.
func (s *stepper) Step() (count.Regs, error) {
	s.seq++
	res, err := s.m.Continue(context.Background(), emu.Run{Level: emu.LevelRetired, StopSeq: s.seq})
	if f, ok := asFault(err); ok {
		err = &count.Fault{Err: f}
	}
	return count.Regs{R: res.Regs, RIP: res.RIP}, err
}

// Leave implements count.CPU.
func (s *stepper) Leave() (count.Regs, uint64, error) {
	for n := uint64(1); ; n++ {
		r, err := s.Step()
		if err != nil || s.m.Code.Lookup(r.RIP) != nil {
			return r, n, err
		}
	}
}

// Inst implements count.CPU.
func (s *stepper) Inst(a image.Addr) (*x86.Inst, error) {
	b, err := s.m.codeAt(a)
	if err != nil {
		return nil, err
	}
	in, err := x86.Decode(b, a)
	if err != nil {
		return nil, fmt.Errorf("instruction at %#x: %w", uint64(a), err)
	}
	return &in, nil
}

// activeOff is from a struct bpf_prog to where the guard against recursion is told to count: no code
// can reach that address, which is not canonical. The machine keeps the count outside guest memory.
const activeOff = 1 << 63

// Load implements count.CPU.
func (s *stepper) Load(a uint64, w uint8) (uint64, error) {
	if a < activeOff {
		return uint64(s.m.Active(image.Addr(a + activeOff))), nil
	}
	var b [8]byte
	err := s.m.ReadMemory(image.Addr(a), b[:w])
	return binary.LittleEndian.Uint64(b[:]), err
}

// Store implements count.CPU.
func (s *stepper) Store(a uint64, w uint8, v uint64) error {
	if a < activeOff {
		s.m.SetActive(image.Addr(a+activeOff), int(v))
		return nil
	}
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], v)
	return s.m.WriteMemory(image.Addr(a), b[:w])
}

// GSBase implements count.CPU.
func (s *stepper) GSBase() uint64 { return uint64(guest.GSBase) }

// helperModel says what a helper that was just called depends on. Maps, time and random numbers
// have a state that a summary cannot hold, but where a value of an array lies never changes.
func (m *Machine) helperModel(r *count.Regs) (count.Helper, bool) {
	name, ok := m.HelperAt(r.RIP)
	if !ok {
		return count.Helper{}, false
	}
	h := count.Helper{Name: name}
	switch name {
	case "bpf_get_smp_processor_id", "bpf_get_numa_node_id", "bpf_get_current_task", "bpf_get_current_task_btf",
		"__bpf_tramp_enter", "__bpf_tramp_exit":
	case "bpf_map_lookup_elem", "array_map_lookup_elem", "percpu_array_map_lookup_elem":
		h.Regs = []x86.Reg{x86.RDI}
		h.Mem = []count.HelperMem{{Reg: x86.RSI, Size: 4}}
		h.Opaque = !m.isArray(image.Addr(r.R[x86.RDI]))
	case "__bpf_prog_enter", "__bpf_prog_exit", "__bpf_prog_enter_recur", "__bpf_prog_exit_recur":
		if !m.Setup.Tramp.Guarded {
			break
		}
		active := []count.HelperMem{{Reg: x86.RDI, Off: activeOff, Size: 8}}
		h.Regs, h.Mem, h.Writes = []x86.Reg{x86.RDI}, active, active
		if enters := name == "__bpf_prog_enter_recur" || name == "__bpf_prog_enter"; enters && m.Setup.Tramp.RunCtx { // it is saved
			h.Writes = append(h.Writes, count.HelperMem{Reg: x86.RSI, Off: 8, Size: 8})
		}
	default:
		h.Opaque = true
	}
	return h, true
}

// isArray reports whether the map at an address is one whose values do not move.
func (m *Machine) isArray(at image.Addr) bool {
	for i := range m.Setup.Maps {
		if a, _ := m.MapAddr(i); a == at {
			t := m.Setup.Maps[i].Type
			return t == bpf.ArrayMap || t == bpf.PerCPUArrayMap
		}
	}
	return false
}

// asFault reports whether an error is a fault of the code that runs.
func asFault(err error) (f *emu.Fault, ok bool) {
	ok = errors.As(err, &f) && f.Kind != emu.FaultHelper && f.Kind != emu.FaultEngine
	return f, ok
}
