// SPDX-License-Identifier: GPL-2.0-only

package kernel

import (
	"slices"

	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// A helper stub is `out n, eax; cmp cl, dl; ret`: the first instruction calls the machine, which sets rax
// and spoils the other caller-saved registers, the second spoils the flags.
func stub(n uint8) []byte { return append(work(n), 0xc3, 0xcc) }

func work(n uint8) []byte { return []byte{0xe7, n, 0x38, 0xd1} }

// StubTrash is the offset of the second of these instructions from the first.
const StubTrash = 2

// loopSaved are the registers that the stub of a helper that calls back has for itself, in the order of their pushes.
var loopSaved = [...]x86.Reg{x86.R15, x86.R14, x86.R13, x86.R12, x86.RBX}

// loopStub is the stub of a helper that calls functions of the program: a frame of its own, with registers that these
// functions keep, in which the machine is asked again and again what to call. It ends when rbx is 0. The helper's work
// is at one offset, and a function that it calls returns to the other.
func loopStub(n uint8) (code []byte, at, back image.CodeOff) {
	var b x86.Buf
	b.Push64O(x86.RBP)
	b.Mov64MR(x86.R(x86.RBP), x86.RSP)
	for _, r := range loopSaved {
		b.Push64O(r)
	}
	b.Sub64MI8(x86.R(x86.RSP), 8) // room for a key
	b.Xor32MR(x86.R(x86.RBX), x86.RBX)
	at = image.CodeOff(b.Len())
	round := append(work(n),
		0x48, 0x85, 0xdb, // test rbx, rbx
		0x74, 5, // je over the call and the jump
		0x41, 0xff, 0xd3, // call r11
	)
	back = at + image.CodeOff(len(round))
	round = append(round, 0xeb, byte(-len(round)-2)) // jmp to the work
	end := assemble(func(b *x86.Buf) {
		b.Add64MI8(x86.R(x86.RSP), 8)
		for i := range loopSaved {
			b.Pop64O(loopSaved[len(loopSaved)-1-i])
		}
		b.Pop64O(x86.RBP)
		b.Ret()
		b.Int3()
	})
	return slices.Concat(b.Bytes(), round, end), at, back
}

// CallbackReturn is the offset, in the stub of a helper that calls back, of the instruction that functions return to.
func CallbackReturn() image.CodeOff {
	_, _, back := loopStub(0)
	return back
}

// IsStub reports whether code begins with what a helper stub does.
func IsStub(code []byte) bool {
	s := work(0)
	return len(code) >= len(s) && code[0] == s[0] && code[2] == s[2] && code[3] == s[3]
}

// IsStubTrash reports whether an instruction can be the second of a stub.
func IsStubTrash(code []byte) bool { return len(code) > 0 && code[0] == work(0)[StubTrash] }
