// SPDX-License-Identifier: GPL-2.0-only

package kernel

// A helper stub is `out n, eax; cmp cl, dl; ret`: the first instruction calls the machine, which sets rax
// and spoils the other caller-saved registers, the second spoils the flags.
func stub(n uint8) []byte { return []byte{0xe7, n, 0x38, 0xd1, 0xc3, 0xcc} }

// StubTrash is the offset of the second instruction of a helper stub, which spoils the flags.
const StubTrash = 2

// IsStub reports whether code begins with a helper stub.
func IsStub(code []byte) bool {
	s := stub(0)
	return len(code) >= 5 && code[0] == s[0] && code[2] == s[2] && code[3] == s[3] && code[4] == s[4]
}

// IsStubTrash reports whether an instruction can be the second of a stub.
func IsStubTrash(code []byte) bool { return len(code) > 0 && code[0] == stub(0)[StubTrash] }
