// SPDX-License-Identifier: GPL-2.0-only

package emu

import (
	"fmt"
	"slices"

	"github.com/tcsim/tcsim/jit"
)

// maxStubs is how many helpers one setup can have: the stub's port number is a byte.
const maxStubs = 256

// loadSymbols puts thunks, helper stubs and variables at the addresses of their symbols.
func (m *Machine) loadSymbols() error {
	names := make([]string, 0, len(m.setup.Symbols))
	for n := range m.setup.Symbols {
		names = append(names, n)
	}
	slices.Sort(names)
	owner := make(map[jit.Addr]string)
	for _, n := range names {
		at := m.setup.Symbols[n]
		if isPerCPU(n) {
			if err := m.loadPerCPU(n, GSBase+at); err != nil {
				return fmt.Errorf("symbol %s: %w", n, err)
			}
			continue
		}
		if old, dup := owner[at]; dup {
			// Two names of one function: the one that is known decides.
			if !m.modelled(n) || m.modelled(old) {
				continue
			}
			m.dropStub(at)
		}
		owner[at] = n
		if err := m.loadSymbol(n, at); err != nil {
			return fmt.Errorf("symbol %s: %w", n, err)
		}
	}
	m.calls = make([]uint64, len(m.stubs))
	return nil
}

func isPerCPU(name string) bool {
	_, ok := perCPU[name]
	return ok || isProgCnt(name)
}

func (m *Machine) modelled(name string) bool {
	_, variable := kernelVars[name]
	_, isThunk, _ := thunk(name, m.setup.Symbols)
	return variable || isThunk || helperByName(name) != nil
}

func (m *Machine) dropStub(at jit.Addr) {
	m.stubs = slices.DeleteFunc(m.stubs, func(s guestStub) bool { return s.addr == at })
}

// loadPerCPU initialises a variable of this CPU, number 0.
func (m *Machine) loadPerCPU(name string, at jit.Addr) error {
	value := uint64(0)
	switch name {
	case "this_cpu_off":
		value = uint64(GSBase)
		if err := m.loadPerCPUArea(at); err != nil {
			return err
		}
	case "current_task":
		value = uint64(TaskAddr)
	case "__x86_call_depth":
		value = 1 << 63
	case "pcpu_hot", "const_pcpu_hot": // current_task, preempt_count, cpu_number, call_depth
		if err := m.space.mapRange(at, 24, protWrite); err != nil {
			return err
		}
		if err := m.space.writeWord(at+16, 1<<63); err != nil {
			return err
		}
		value = uint64(TaskAddr)
	}
	if err := m.space.mapRange(at, 8, protWrite); err != nil {
		return err
	}
	return m.space.writeWord(at, value)
}

// loadPerCPUArea maps what inlined helpers reach by adding this_cpu_off, which is at address at, to
// an address: all variables are 0, as the number of this CPU is. The area begins at the gs base
// (until 6.14), or the variables lie around this_cpu_off itself.
func (m *Machine) loadPerCPUArea(at jit.Addr) error {
	const area = 0x40000
	if at >= GSBase && at < GSBase+area {
		return m.space.mapRange(GSBase, area, protWrite)
	}
	return m.space.mapRange(at&^(pageSize-1)-pageSize, 3*pageSize, protWrite)
}

func (m *Machine) loadSymbol(name string, at jit.Addr) error {
	if v, ok := kernelVars[name]; ok {
		if err := m.space.mapRange(at, 8, protWrite); err != nil {
			return err
		}
		return m.space.writeWord(at, v)
	}
	code, ok, err := thunk(name, m.setup.Symbols)
	if err != nil {
		return err
	}
	if ok {
		if isReturnThunk(name) {
			m.returns[at] = true
		}
		return m.placeText(at, code)
	}
	if len(m.stubs) == maxStubs {
		return fmt.Errorf("more than %d functions", maxStubs)
	}
	m.stubs = append(m.stubs, guestStub{name: name, addr: at, h: helperByName(name)})
	return m.placeText(at, stub(uint8(len(m.stubs)-1)))
}
