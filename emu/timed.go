// SPDX-License-Identifier: GPL-2.0-only

package emu

import (
	"github.com/tcsim/tcsim/emu/kernel"
	"github.com/tcsim/tcsim/jit/image"
)

// Timed is for timing models, which know what a call and a return cost and nothing of the
// instructions that make up our helper stubs. It returns the code at pc with a nop in place of a
// stub's work; what the helper itself would cost is left out. skip says that the instruction at pc
// is to be left out altogether.
func (m *Machine) Timed(pc image.Addr, code []byte) (out []byte, skip bool) {
	if kernel.IsStub(code) {
		return append([]byte{0x0f, 0x1f, 0x40, 0x00}, code[4:]...), false
	}
	if kernel.IsStubTrash(code) {
		before := make([]byte, 5)
		if m.ReadMemory(pc-kernel.StubTrash, before) == nil && kernel.IsStub(before) {
			return code, true
		}
	}
	return code, false
}
