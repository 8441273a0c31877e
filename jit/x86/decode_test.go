// SPDX-License-Identifier: GPL-2.0-only

package x86_test

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tcsim/tcsim/jit/x86"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func decode(t testing.TB, s string) x86.Inst {
	t.Helper()
	code := unhex(t, s)
	i, err := x86.Decode(code, 0x1000)
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	if int(i.Len) != len(code) {
		t.Fatalf("%s: length %d, want %d", s, i.Len, len(code))
	}
	return i
}

// TestDecodeText has the forms of JITs and of their mitigations that decoders get wrong, with the
// text of the Intel manual.
func TestDecodeText(t *testing.T) {
	for _, tt := range []struct{ code, text string }{
		{"f3 0f 1e fa", "endbr64"},
		{"67 0f b9 40 d6", "ud1 eax, dword ptr [eax-0x2a]"},
		{"0f 0b", "ud2"},
		{"cc", "int3"},
		{"cd 03", "int 0x3"},
		{"90", "nop"},
		{"66 90", "nop"},
		{"0f 1f 00", "nop dword ptr [rax]"},
		{"66 0f 1f 00", "nop word ptr [rax]"},
		{"0f 1f 40 d6", "nop dword ptr [rax-0x2a]"},
		{"0f 1f 44 00 00", "nop dword ptr [rax+rax*1]"},
		{"66 66 2e 0f 1f 84 00 00 00 00 00", "nop word ptr [rax+rax*1]"},
		{"f3 90", "pause"},
		{"0f ae e8", "lfence"},
		{"3e ff e0", "notrack jmp rax"},
		{"ff e1", "jmp rcx"},
		{"ff d3", "call rbx"},
		{"ff 24 c8", "jmp qword ptr [rax+rcx*8]"},
		{"c3", "ret"},
		{"f3 c3", "ret"},
		{"e8 fb ff ff ff", "call 0x1000"},
		{"e9 00 01 00 00", "jmp 0x1105"},
		{"eb fe", "jmp 0x1000"},
		{"2e 0f 85 03 00 00 00", "jne 0x100a"},
		{"2e 2e e8 00 00 00 00", "call 0x1007"},
		{"77 0e", "ja 0x1010"},
		{"65 48 c1 3c 25 00 ba 03 00 05", "sar qword ptr gs:[0x3ba00], 0x5"},
		{"65 48 23 05 20 44 f3 7f", "and rax, qword ptr gs:[rip+0x7ff34420]"},
		{"48 b8 ef cd ab 89 67 45 23 01", "mov rax, 0x123456789abcdef"},
		{"48 c7 c0 ff ff ff ff", "mov rax, 0xffffffffffffffff"},
		{"b8 ff ff ff ff", "mov eax, 0xffffffff"},
		{"83 c0 ff", "add eax, 0xffffffff"},
		{"48 8b 85 f0 ff ff ff", "mov rax, qword ptr [rbp-0x10]"},
		{"48 83 38 21", "cmp qword ptr [rax], 0x21"},
		{"48 8b 8c d6 10 01 00 00", "mov rcx, qword ptr [rsi+rdx*8+0x110]"},
		{"39 56 24", "cmp dword ptr [rsi+0x24], edx"},
		{"f0 4c 0f c1 5d f8", "lock xadd qword ptr [rbp-0x8], r11"},
		{"f0 48 0f b1 11", "lock cmpxchg qword ptr [rcx], rdx"},
		{"48 87 07", "xchg qword ptr [rdi], rax"},
		{"c4 e2 f9 f7 c9", "shlx rcx, rcx, rax"},
		{"c4 e3 fb f0 c1 20", "rorx rax, rcx, 0x20"},
		{"66 c1 c7 08", "rol di, 0x8"},
		{"40 88 7d ff", "mov byte ptr [rbp-0x1], dil"},
		{"44 88 45 ff", "mov byte ptr [rbp-0x1], r8b"},
		{"88 65 ff", "mov byte ptr [rbp-0x1], ah"},
		{"a1 ef cd ab 89 67 45 23 81", "mov eax, dword ptr [0x8123456789abcdef]"},
		{"48 8d 65 08", "lea rsp, [rbp+0x8]"},
		{"f3 48 ab", "rep stosq [rdi], rax"},
		{"48 a5", "movsq [rdi], [rsi]"},
		{"0f 20 c0", "mov rax, cr0"},
	} {
		t.Run(tt.code, func(t *testing.T) {
			i := decode(t, tt.code)
			if got := i.String(); got != tt.text {
				t.Errorf("got %q, want %q", got, tt.text)
			}
		})
	}
}

func TestDecodeErrors(t *testing.T) {
	for _, code := range []string{
		"", "f3", "65", "48", "66 66 66", "f3 0f", "f3 0f 1e", "e8 00 00 00", "48 b8 00",
		"06",                // invalid in 64-bit mode
		"f0 48 01 d0",       // lock add rax, rdx
		"f0 48 8b 00",       // lock mov rax, [rax]
		"c4 e2 7b f0 c1 20", // no such VEX opcode
		"65 65 65 65 65 65 65 65 65 65 65 65 65 65 65 90", // 16 bytes
	} {
		if i, err := x86.Decode(unhex(t, code), 0); err == nil {
			t.Errorf("%q decodes as %q, %d bytes", code, i.String(), i.Len)
		} else if i != (x86.Inst{}) {
			t.Errorf("%q: instruction %v together with error %v", code, i, err)
		}
	}
}

func regs(r ...x86.Reg) x86.RegSet { return x86.RegSetOf(r...) }

// TestAttributes compares what the attribute table says with the manual's description.
func TestAttributes(t *testing.T) {
	const status = x86.FlagsStatus
	push := x86.StackAccess{Store: true, Base: x86.RSP, Off: -8, Delta: -8}
	pop := x86.StackAccess{Load: true, Base: x86.RSP, Delta: 8}
	type want struct {
		R, W       x86.RegSet
		FR, FW     x86.Flags
		Load, Sto  bool
		Stack      x86.StackAccess
		Branch     x86.Branch
		Bits       uint16
		Lock, Zero bool
	}
	for _, tt := range []struct {
		code string
		want want
	}{
		{"48 8b 85 f0 ff ff ff", want{R: regs(x86.RBP), W: regs(x86.RAX), Load: true, Bits: 64}},
		{"48 89 45 f8", want{R: regs(x86.RBP, x86.RAX), Sto: true, Bits: 64}},
		{"40 88 c7", want{R: regs(x86.RAX, x86.RDI), W: regs(x86.RDI), Bits: 8}}, // mov dil, al merges
		{"89 c7", want{R: regs(x86.RAX), W: regs(x86.RDI), Bits: 32}},
		{"48 01 d0", want{R: regs(x86.RAX, x86.RDX), W: regs(x86.RAX), FW: status, Bits: 64}},
		{"48 83 00 01", want{R: regs(x86.RAX), FW: status, Load: true, Sto: true, Bits: 64}},
		{"48 83 38 21", want{R: regs(x86.RAX), FW: status, Load: true, Bits: 64}},
		{"31 c0", want{W: regs(x86.RAX), FW: status, Bits: 32, Zero: true}},
		{"4d 31 ed", want{W: regs(x86.R13), FW: status, Bits: 64, Zero: true}},
		{"48 29 c0", want{W: regs(x86.RAX), FW: status, Bits: 64, Zero: true}},
		{"66 31 c0", want{R: regs(x86.RAX), W: regs(x86.RAX), FW: status, Bits: 16}},
		{"50", want{R: regs(x86.RSP, x86.RAX), W: regs(x86.RSP), Stack: push, Bits: 64}},
		{"41 5f", want{R: regs(x86.RSP), W: regs(x86.RSP, x86.R15), Stack: pop, Bits: 64}},
		{"ff 30", want{R: regs(x86.RSP, x86.RAX), W: regs(x86.RSP), Load: true, Stack: push, Bits: 64}},
		{"c9", want{R: regs(x86.RBP), W: regs(x86.RSP, x86.RBP), Bits: 64,
			Stack: x86.StackAccess{Load: true, Base: x86.RBP, Delta: 8}}},
		{"c3", want{R: regs(x86.RSP), W: regs(x86.RSP), Stack: pop, Branch: x86.BranchRet, Bits: 64}},
		{"c2 08 00", want{R: regs(x86.RSP), W: regs(x86.RSP), Branch: x86.BranchRet, Bits: 64,
			Stack: x86.StackAccess{Load: true, Base: x86.RSP, Delta: 16}}},
		{"e8 00 00 00 00", want{R: regs(x86.RSP), W: regs(x86.RSP), Stack: push, Branch: x86.BranchCall, Bits: 64}},
		{"ff d3", want{R: regs(x86.RSP, x86.RBX), W: regs(x86.RSP), Stack: push, Branch: x86.BranchCallIndirect, Bits: 64}},
		{"ff e1", want{R: regs(x86.RCX), Branch: x86.BranchJumpIndirect, Bits: 64}},
		{"ff 24 c8", want{R: regs(x86.RAX, x86.RCX), Load: true, Branch: x86.BranchJumpIndirect, Bits: 64}},
		{"eb 00", want{Branch: x86.BranchJump, Bits: 64}},
		{"77 00", want{FR: x86.FlagCF | x86.FlagZF, Branch: x86.BranchCond, Bits: 32}},
		{"7e 00", want{FR: x86.FlagZF | x86.FlagSF | x86.FlagOF, Branch: x86.BranchCond, Bits: 32}},
		{"48 f7 f1", want{R: regs(x86.RAX, x86.RDX, x86.RCX), W: regs(x86.RAX, x86.RDX), FW: status, Bits: 64}},
		{"48 f7 e1", want{R: regs(x86.RAX, x86.RCX), W: regs(x86.RAX, x86.RDX), FW: status, Bits: 64}},
		{"48 6b c7 05", want{R: regs(x86.RDI), W: regs(x86.RAX), FW: status, Bits: 64}},
		{"48 69 00 00 01 00 00", want{R: regs(x86.RAX), W: regs(x86.RAX), FW: status, Load: true, Bits: 64}},
		{"48 0f af c7", want{R: regs(x86.RDI, x86.RAX), W: regs(x86.RAX), FW: status, Bits: 64}},
		{"48 99", want{R: regs(x86.RAX), W: regs(x86.RDX), Bits: 64}},
		{"48 d3 e0", want{R: regs(x86.RAX, x86.RCX), W: regs(x86.RAX), FR: status, FW: status, Bits: 64}},
		{"48 c1 e0 05", want{R: regs(x86.RAX), W: regs(x86.RAX), FW: status, Bits: 64}},
		{"c4 e2 f9 f7 d3", want{R: regs(x86.RBX, x86.RAX), W: regs(x86.RDX), Bits: 64}},
		{"48 8d 44 9d 08", want{R: regs(x86.RBP, x86.RBX), W: regs(x86.RAX), Bits: 64}},
		{"48 0f 44 c1", want{R: regs(x86.RAX, x86.RCX), W: regs(x86.RAX), FR: x86.FlagZF, Bits: 64}},
		{"0f 92 c0", want{R: regs(x86.RAX), W: regs(x86.RAX), FR: x86.FlagCF, Bits: 8}},
		{"f0 4c 0f c1 5d f8", want{R: regs(x86.RBP, x86.R11), W: regs(x86.R11), FW: status,
			Load: true, Sto: true, Bits: 64, Lock: true}},
		{"f0 48 0f b1 11", want{R: regs(x86.RAX, x86.RCX, x86.RDX), W: regs(x86.RAX), FW: status,
			Load: true, Sto: true, Bits: 64, Lock: true}},
		{"48 87 07", want{R: regs(x86.RDI, x86.RAX), W: regs(x86.RAX), Load: true, Sto: true, Bits: 64, Lock: true}},
		{"48 87 f8", want{R: regs(x86.RDI, x86.RAX), W: regs(x86.RDI, x86.RAX), Bits: 64}},
		{"0f 1f 44 00 00", want{Bits: 32}},
		{"65 48 c1 3c 25 00 ba 03 00 05", want{FW: status, Load: true, Sto: true, Bits: 64}},
		{"48 0f c8", want{R: regs(x86.RAX), W: regs(x86.RAX), Bits: 64}},
		{"48 f7 d8", want{R: regs(x86.RAX), W: regs(x86.RAX), FW: status, Bits: 64}},
		{"48 19 c0", want{R: regs(x86.RAX), W: regs(x86.RAX), FR: x86.FlagCF, FW: status, Bits: 64}},
	} {
		i := decode(t, tt.code)
		got := want{R: i.Reads, W: i.Writes, FR: i.ReadsFlags, FW: i.WritesFlags, Load: i.Load, Sto: i.Store,
			Stack: i.Stack, Branch: i.Branch, Bits: i.OpBits, Lock: i.Lock, Zero: i.ZeroIdiom}
		if d := cmp.Diff(tt.want, got); d != "" {
			t.Errorf("%s %s:\n%s", tt.code, i.String(), d)
		}
		if !i.Known {
			t.Errorf("%s %s: not known", tt.code, i.String())
		}
	}
}

// TestNotKnown has instructions whose attributes the table cannot give.
func TestNotKnown(t *testing.T) {
	for _, code := range []string{"f3 48 ab", "48 a5", "0f 05", "48 0f ab 08", "0f 10 c1", "8e c0", "67 8b 00", "c8 10 00 00"} {
		if i := decode(t, code); i.Known {
			t.Errorf("%s %s: known", code, i.String())
		}
	}
}

func TestDecodeMem(t *testing.T) {
	for _, tt := range []struct {
		code string
		want x86.Mem
	}{
		{"8b 45 fc", x86.Mem{Base: x86.RBP, Index: x86.RegNone, Disp: -4, Size: 4}},
		{"48 8b 8c d6 10 01 00 00", x86.Mem{Base: x86.RSI, Index: x86.RDX, Scale: 8, Disp: 0x110, Size: 8}},
		{"43 c6 44 25 00 01", x86.Mem{Base: x86.R13, Index: x86.R12, Scale: 1, Size: 1}},
		{"48 89 04 24", x86.Mem{Base: x86.RSP, Index: x86.RegNone, Size: 8}},
		{"65 48 8b 04 25 28 00 00 00", x86.Mem{Base: x86.RegNone, Index: x86.RegNone, Seg: x86.SegGS, Disp: 0x28, Size: 8}},
		{"48 8d 05 10 00 00 00", x86.Mem{Base: x86.RegNone, Index: x86.RegNone, RIPRel: true, Disp: 0x10}},
		{"0f b7 07", x86.Mem{Base: x86.RDI, Index: x86.RegNone, Size: 2}},
	} {
		i := decode(t, tt.code)
		if d := cmp.Diff(tt.want, i.Mem); !i.HasMem || d != "" {
			t.Errorf("%s %s:\n%s", tt.code, i.String(), d)
		}
	}
}

// TestDecodeVEX: what follows a VEX prefix is no prefix, and addresses can be relative to rip.
func TestDecodeVEX(t *testing.T) {
	andn, err := x86.Decode([]byte{0xc4, 0x42, 0xf0, 0xf2, 0x69, 0x08}, 0)
	if err != nil || andn.Lock || andn.Op != "andn" {
		t.Errorf("andn: %s, %v", andn.String(), err)
	}
	rorx, err := x86.Decode([]byte{0xc4, 0xe3, 0xfb, 0xf0, 0x05, 8, 0, 0, 0, 5}, 0)
	if err != nil || !rorx.Mem.RIPRel || rorx.Mem.Disp != 8 {
		t.Errorf("rorx: %s, %v", rorx.String(), err)
	}
	shlx, err := x86.Decode([]byte{0xc4, 0xe2, 0xf9, 0xf7, 0x05, 8, 0, 0, 0}, 0)
	if err != nil || !shlx.Mem.RIPRel {
		t.Errorf("shlx: %s, %v", shlx.String(), err)
	}
}
