// SPDX-License-Identifier: GPL-2.0-only

package measure

import (
	"fmt"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/emu/record"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// Machine is a machine with what is loaded into it. All fields must be set.
type Machine struct {
	*emu.Machine
	Setup *guest.Setup // as loaded
	Code  *trace.Code  // of Setup.Images
	Stack uint64       // size of the kernel stack in bytes
}

// Entry is where a run begins.
func (m *Machine) Entry(r emu.Run) image.Addr {
	if r.Entry != 0 {
		return r.Entry
	}
	f := &m.Setup.Images[r.Image].Funcs[0]
	return f.Addr + image.Addr(f.Entry)
}

// codeAt reads the code at an address, as much as there is of one instruction.
func (m *Machine) codeAt(a x86.Addr) ([]byte, error) {
	b := make([]byte, x86.MaxInstLen)
	for n := len(b); n > 0; n-- {
		if m.ReadMemory(a, b[:n]) == nil {
			return b[:n], nil
		}
	}
	return nil, fmt.Errorf("no code at %#x", uint64(a))
}

// textAt disassembles one instruction.
func (m *Machine) textAt(pc image.Addr) string {
	b, err := m.codeAt(pc)
	if err != nil {
		return fmt.Sprintf("%#x", uint64(pc))
	}
	in, err := x86.Decode(b, pc)
	if err != nil {
		return fmt.Sprintf("%#x", uint64(pc))
	}
	return in.String()
}

// timedCode is the code at pc for a timing model.
func (m *Machine) timedCode(pc image.Addr) ([]byte, error) {
	b, err := m.codeAt(pc)
	if err == nil && pc < guest.TextBase {
		b, _ = m.Timed(pc, b)
	}
	return b, err
}

// timed returns the instructions of a stream that a timing model is given, and their indexes in it.
func (m *Machine) timed(stream []record.Retired) (out []record.Retired, at []int) {
	for i, r := range stream {
		if r.RIP >= guest.TextBase || !m.untimed(r.RIP) {
			out, at = append(out, r), append(at, i)
		}
	}
	return out, at
}

// untimed reports whether a timing model leaves out the instruction at pc: it belongs to the
// emulator's stand-in for a helper.
func (m *Machine) untimed(pc image.Addr) bool {
	b, err := m.codeAt(pc)
	if err != nil {
		return false
	}
	_, skip := m.Timed(pc, b)
	return skip
}
