// SPDX-License-Identifier: GPL-2.0-only

package x86

// Addr is an address in the emulated kernel's address space, in bytes.
type Addr uint64

// Reg is a 64-bit general purpose register, numbered as the instruction encoding does
// (Intel SDM vol. 2A, table 2-2). The zero value is RAX; RegNone marks an absent register.
type Reg uint8

// The general purpose registers.
const (
	RAX Reg = iota
	RCX
	RDX
	RBX
	RSP
	RBP
	RSI
	RDI
	R8
	R9
	R10
	R11
	R12
	R13
	R14
	R15
	RegNone Reg = 0xff
)

var regNames = [...]string{
	RAX: "rax", RCX: "rcx", RDX: "rdx", RBX: "rbx", RSP: "rsp", RBP: "rbp", RSI: "rsi", RDI: "rdi",
	R8: "r8", R9: "r9", R10: "r10", R11: "r11", R12: "r12", R13: "r13", R14: "r14", R15: "r15",
}

// String returns the register's 64-bit name in lower case, or "none".
func (r Reg) String() string {
	if int(r) < len(regNames) {
		return regNames[r]
	}
	return "none"
}

// RegNamed returns the register with this 64-bit name: ok is false if there is none.
func RegNamed(name string) (r Reg, ok bool) {
	for i, n := range regNames {
		if n == name {
			return Reg(i), true
		}
	}
	return RegNone, false
}

// Regs returns all of them, in order.
func Regs() (out []Reg) {
	for i := range regNames {
		out = append(out, Reg(i))
	}
	return out
}
