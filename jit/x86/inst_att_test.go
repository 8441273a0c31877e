// SPDX-License-Identifier: GPL-2.0-only

package x86_test

import (
	"encoding/hex"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/arch/x86/x86asm"

	"github.com/tcsim/tcsim/jit/x86"
)

// TestATT has the spelling that the kernel's selftests expect of LLVM (their __jited lines), and
// for forms that none of them has what llvm-objdump prints.
func TestATT(t *testing.T) {
	for _, c := range []struct{ code, want string }{
		// verifier_tailcall_jit.c
		{"f30f1efa", "endbr64"},
		{"0f1f440000", "nopl (%rax,%rax)"},
		{"0f1f00", "nopl (%rax)"},
		{"4831c0", "xorq %rax, %rax"},
		{"55", "pushq %rbp"},
		{"4889e5", "movq %rsp, %rbp"},
		{"4883f821", "cmpq $0x21, %rax"},
		{"7706", "ja 0xffffffffc0001008"},
		{"eb01", "jmp 0xffffffffc0001003"},
		{"488b85f0ffffff", "movq -0x10(%rbp), %rax"},
		{"e8fb000000", "callq 0xffffffffc0001100"},
		{"31c0", "xorl %eax, %eax"},
		{"c9", "leave"},
		{"c3", "retq"},
		{"e9fb000000", "jmp 0xffffffffc0001100"},
		{"48be00304002818888ff", "movabsq $-0x77777efdbfd000, %rsi"},
		{"48833821", "cmpq $0x21, (%rax)"},
		{"48830001", "addq $0x1, (%rax)"},
		{"58", "popq %rax"},
		// verifier_private_stack.c, verifier_jit_inline.c, verifier_jit_convergence.c and others
		{"654c030c2500fa0100", "addq %gs:0x1fa00, %r9"},
		{"bf2a000000", "movl $0x2a, %edi"},
		{"4989b900ffffff", "movq %rdi, -0x100(%r9)"},
		{"4881ec08000000", "subq $0x8, %rsp"},
		{"488d3c7f", "leaq (%rdi,%rdi,2), %rdi"},
		{"49c1e603", "shlq $0x3, %r14"},
		{"d1e7", "shll %edi"},
		{"c1e701", "shll $0x1, %edi"},
		{"486bf607", "imulq $0x7, %rsi, %rsi"},
		{"4f89742500", "movq %r14, (%r13,%r12)"},
		{"420fb61427", "movzbl (%rdi,%r12), %edx"},
		{"420fb70c27", "movzwl (%rdi,%r12), %ecx"},
		{"42c7042734120000", "movl $0x1234, (%rdi,%r12)"},
		{"f04f01742500", "addq %r14, (%r13,%r12)"}, // "lock" has a line of its own
		{"0f31", "rdtsc"},
		// other forms
		{"6690", "nop"},
		{"90", "nop"},
		{"660f1f840000000000", "nopw (%rax,%rax)"},
		{"0f1f40d6", "nopl -0x2a(%rax)"},
		{"ffe1", "jmpq *%rcx"},
		{"ff5130", "callq *0x30(%rcx)"},
		{"3effe1", "notrack jmpq *%rcx"},
		{"6a00", "pushq $0x0"},
		{"b8ffffffff", "movl $0xffffffff, %eax"},
		{"48c7c0ffffffff", "movq $-0x1, %rax"},
		{"83f8ff", "cmpl $-0x1, %eax"},
		{"81e000f0ffff", "andl $0xfffff000, %eax"},
		{"4883c0d8", "addq $-0x28, %rax"},
		{"c607ff", "movb $-0x1, (%rdi)"},
		{"48630424", "movslq (%rsp), %rax"},
		{"480fbe07", "movsbq (%rdi), %rax"},
		{"480fbfc1", "movswq %cx, %rax"},
		{"4899", "cqto"},
		{"99", "cltd"},
		{"41f7f3", "divl %r11d"},
		{"d3e0", "shll %cl, %eax"},
		{"49d1e0", "shlq %r8"},
		{"66c1c008", "rolw $0x8, %ax"},
		{"480fc8", "bswapq %rax"},
		{"c4e2fbf7d1", "shrxq %rax, %rcx, %rdx"},
		{"f0480fc107", "xaddq %rax, (%rdi)"},
		{"870f", "xchgl %ecx, (%rdi)"},
		{"480f44c1", "cmoveq %rcx, %rax"},
		{"0f94c0", "sete %al"},
		{"6548c13c251000350005", "sarq $0x5, %gs:0x350010"},
		{"65480304250080ffff", "addq %gs:-0x8000, %rax"},
		{"488b8cd610010000", "movq 0x110(%rsi,%rdx,8), %rcx"},
		{"488b0500100000", "movq 0x1000(%rip), %rax"},
		{"f390", "pause"},
		{"cc", "int3"},
		{"0faee8", "lfence"},
	} {
		b, err := hex.DecodeString(c.code)
		if err != nil {
			t.Fatal(err)
		}
		in, err := x86.Decode(b, 0xffffffffc0001000)
		if err != nil {
			t.Errorf("%s: %v", c.code, err)
			continue
		}
		if got := in.ATT(); got != c.want || int(in.Len) != len(b) {
			t.Errorf("%s is %q (%d bytes), want %q (%d bytes)", c.code, got, in.Len, c.want, len(b))
		}
	}
}

var gnuImm = regexp.MustCompile(`\$?-?0x[0-9a-f]+`)

// operandsOnly brings the operands of an instruction in AT&T syntax to one form: no blanks, no scale
// of 1, immediates as the operation sees them, displacements, which x/arch does not always extend the
// sign of, as 32 bits.
func operandsOnly(text string, bits uint16) string {
	text = strings.TrimPrefix(text, "lock ")
	text = strings.TrimPrefix(strings.TrimPrefix(text, "notrack "), "rex ")
	_, args, _ := strings.Cut(text, " ")
	args = strings.ReplaceAll(strings.ReplaceAll(args, " ", ""), ",1)", ")")
	args = strings.ReplaceAll(args, "%cs:", "")
	return gnuImm.ReplaceAllStringFunc(args, func(s string) string {
		number, imm := strings.CutPrefix(s, "$")
		digits, negative := strings.CutPrefix(number, "-")
		v, _ := strconv.ParseUint(digits, 0, 64)
		if negative {
			v = -v
		}
		switch {
		case !imm:
			return fmt.Sprintf("%#x", uint32(v))
		case bits != 0 && bits < 64:
			v &= 1<<bits - 1
		}
		return fmt.Sprintf("$%#x", v)
	})
}

// TestATTAgainstGNU compares the operands of every instruction of the captures with the GNU syntax
// of x/arch, which has no part in how they are printed here.
func TestATTAgainstGNU(t *testing.T) {
	images, err := captures()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, img := range images {
		for off := 0; off < len(img.code); {
			in, err := x86.Decode(img.code[off:], img.addr+x86.Addr(off))
			if err != nil {
				t.Fatalf("%s+%#x: %v", img.where, off, err)
			}
			code := string(img.code[off : off+int(in.Len)])
			off += int(in.Len)
			if seen[code] || in.Branch.Direct() || in.Op == "endbr64" || in.IsNop {
				continue
			}
			seen[code] = true
			d, err := x86asm.Decode([]byte(code), 64)
			if err != nil {
				t.Fatalf("% x: %v", code, err)
			}
			got, want := operandsOnly(in.ATT(), in.OpBits), operandsOnly(x86asm.GNUSyntax(d, 0, nil), in.OpBits)
			if got != want && got != strings.TrimPrefix(want, "$0x1,") {
				t.Errorf("% x: %q has operands %s; x/arch says %q: %s", code, in.ATT(), got, x86asm.GNUSyntax(d, 0, nil), want)
			}
		}
	}
	if len(seen) < 5000 {
		t.Errorf("only %d instructions", len(seen))
	}
}
