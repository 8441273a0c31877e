// SPDX-License-Identifier: GPL-2.0-only

package emu

import "github.com/tcsim/tcsim/jit"

// stubTrash is the offset of the second instruction of a helper stub, which spoils the flags.
const stubTrash = 2

// isStub reports whether code begins with a helper stub, see stub.
func isStub(code []byte) bool {
	s := stub(0)
	return len(code) >= 5 && code[0] == s[0] && code[2] == s[2] && code[3] == s[3] && code[4] == s[4]
}

// Timed is for timing models, which know what a call and a return cost and nothing of the
// instructions that make up our helper stubs. It returns the code at pc with a nop in place of a
// stub's work; what the helper itself would cost is left out. skip says that the instruction at pc
// is to be left out altogether.
func (m *Machine) Timed(pc jit.Addr, code []byte) (out []byte, skip bool) {
	if isStub(code) {
		return append([]byte{0x0f, 0x1f, 0x40, 0x00}, code[4:]...), false
	}
	if len(code) > 0 && code[0] == stub(0)[stubTrash] {
		before := make([]byte, 5)
		if m.ReadMemory(pc-stubTrash, before) == nil && isStub(before) {
			return code, true
		}
	}
	return code, false
}
