// SPDX-License-Identifier: GPL-2.0-only

package emu

import (
	"errors"
	"fmt"

	uc "github.com/unicorn-engine/unicorn/bindings/go/unicorn"

	"github.com/tcsim/tcsim/jit/image"
)

// errRunning is returned by accesses to the processor's state when there is none to go on from.
var errRunning = errors.New("no run was stopped")

// State returns the registers of a stopped run.
func (m *Machine) State() (g Regs, rip image.Addr, err error) {
	if !m.stopped {
		return g, 0, fmt.Errorf("state: %w", errRunning)
	}
	m.regs(&g)
	at, err := m.uc.RegRead(uc.X86_REG_RIP)
	return g, image.Addr(at), err
}

// SetState replaces the registers of a stopped run; Continue goes on from there.
func (m *Machine) SetState(g Regs, rip image.Addr) error {
	if !m.stopped {
		return fmt.Errorf("set state: %w", errRunning)
	}
	m.setRegs(&g)
	return m.uc.RegWrite(uc.X86_REG_RIP, uint64(rip))
}

// Flags returns the status flags where the last run stopped or ended.
func (m *Machine) Flags() (uint64, error) { return m.uc.RegRead(uc.X86_REG_EFLAGS) }
