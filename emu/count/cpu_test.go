// SPDX-License-Identifier: GPL-2.0-only

package count

import (
	"encoding/binary"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/jit/x86"
)

// caller is code that calls the other function with registers set as the rows say, in between what the row has, and
// keeps what it returns. A row is hex code that goes before the call.
func caller(rows []string) []byte {
	var out []byte
	for i, row := range rows {
		before, err := hex.DecodeString(strings.ReplaceAll(row, " ", ""))
		if err != nil {
			panic(err)
		}
		out = append(append(out, before...), 0xe8)
		out = binary.LittleEndian.AppendUint32(out, uint32(otherAt-(codeAt+len(out)+4)))
		out = append(out, 0x48, 0x89, 0x04, 0x25) // mov [wordsAt+0x800+8*i], rax
		out = binary.LittleEndian.AppendUint32(out, uint32(wordsAt+0x800+8*i))
	}
	return append(out, 0xc3)
}

// TestSummariesOfCode calls a function again and again, each time with something else that it looks at: counting with
// summaries must leave what execution leaves. reused is how many of the calls the first ones stand for.
func TestSummariesOfCode(t *testing.T) {
	const (
		base = "48 c7 c7 00 00 01 00"    // mov rdi, wordsAt
		one  = "48 c7 c6 01 00 00 00"    // mov rsi, 1
		two  = "48 c7 c6 02 00 00 00"    // mov rsi, 2
		dx3  = "48 c7 c2 03 00 00 00"    // mov rdx, 3
		dx4  = "48 c7 c2 04 00 00 00"    // mov rdx, 4
		ax1  = "48 c7 c0 01 00 00 00"    // mov rax, 1
		ax2  = "48 c7 c0 02 00 00 00"    // mov rax, 2
		deep = "50"                      // push rax: the stack is another
		mem5 = "48 c7 47 08 05 00 00 00" // mov qword [rdi+8], 5
		mem6 = "48 c7 47 08 06 00 00 00" // mov qword [rdi+8], 6
	)
	for _, row := range []struct {
		name, code string
		rows       []string
		reused     uint64
	}{
		{"nothing differs", "48 8b 47 08 c3", []string{base, base, base, base}, 3}, // mov rax, [rdi+8]
		{"what a register points to", "48 8b 47 08 c3", []string{base + mem5, mem6, mem5, ""}, 3},
		{"the index of an access", "48 8b 04 f7 c3", []string{base + one, two, one, two}, 2},                     // mov rax, [rdi+rsi*8]
		{"the index of an access, and what is there", "48 8b 04 f7 c3", []string{base + one, mem6, two, one}, 2}, // [rdi+8] changes
		{"the index of an address", "48 8d 04 f7 c3", []string{base + one, two, one, two}, 2},                    // lea rax, [rdi+rsi*8]
		{"both of a sum", "48 01 d0 c3", []string{ax1 + dx3, ax2 + dx3, ax1 + dx4, ax2 + dx4, ax1 + dx3}, 1},     // add rax, rdx
		{"both of a difference", "48 29 d0 c3", []string{ax1 + dx3, ax2 + dx3, ax1 + dx4, ax2 + dx4, ax2 + dx3}, 1},
		{"a product", "48 0f af c2 c3", []string{ax1 + dx3, ax2 + dx3, ax1 + dx4, ax1 + dx3}, 1},         // imul rax, rdx
		{"a constant more", "48 83 c0 07 c3", []string{ax1, ax2, ax1, dx3 + ax2}, 3},                     // add rax, 7: a function of rax
		{"16 bits of a register", "66 0f b6 c2 c3", []string{ax1 + dx3, "48 c7 c0 00 00 01 00", ax1}, 1}, // movzx ax, dl: the rest stays
		// movzx eax, byte [rdi+8]; sub rax, 9; mov eax, eax: what is below 0 is no function of the byte any more
		{"a byte, less than nothing, cut", "0f b6 47 08 48 83 e8 09 89 c0 c3", []string{base + mem5, mem6, mem5}, 1},
		{"a register more than a number", "48 c7 c0 07 00 00 00 48 01 d0 c3", []string{dx3, dx4, dx3}, 2},             // mov rax, 7; add rax, rdx
		{"a number less a register", "48 c7 c0 07 00 00 00 48 29 d0 c3", []string{dx3, dx4, dx3}, 1},                  // mov rax, 7; sub rax, rdx
		{"a byte that says what is equal", "48 83 f8 01 0f 94 07 c3", []string{base + ax1, ax2, ax1}, 1},              // cmp rax, 1; sete [rdi]
		{"flags of all that was read", "48 31 d0 74 04 48 83 c0 07 c3", []string{ax1 + dx3, ax2 + dx3, ax1 + dx3}, 1}, // xor rax, rdx; je; add rax, 7
		{"a word above the stack", "48 8b 04 25 10 20 02 00 c3", []string{"", "", "50", "58"}, 3},
		{"which is greater", "48 39 d0 74 04 48 83 c0 07 c3", []string{ax1 + dx3, ax2 + dx3, "48 c7 c0 03 00 00 00" + dx3}, 0},
		{"a store at an index", "48 89 14 f7 48 8b 47 08 c3", []string{base + mem5 + dx3 + one, dx4 + mem5 + two, dx4 + one, dx3 + two}, 2},
		// mov rax, [topAt-0x110]: of the stack, by its address, not by rsp; what is there is what the caller pushed
		{"the stack by its address", "48 8b 04 25 f0 1e 02 00 c3", []string{ax1 + deep, ax2 + deep, deep, "58 58 58" + ax1 + deep}, 1},
		{"the stack by rsp", "48 8b 44 24 08 c3", []string{ax1 + deep, ax2 + deep, ax1 + deep, "58 58 58" + ax1 + deep}, 3}, // mov rax, [rsp+8]
		// push rdx; call +0; pop rax; pop rax: of its own frame
		{"its own frame", "52 58 c3", []string{dx3, dx4, deep + dx3, dx4}, 3},
		// mov [rsp-0x40], rsp is not known to x: lea rax, [rsp-8]: the depth of the stack is in the result
		{"where the stack is", "48 8d 44 24 f8 c3", []string{dx3, deep, deep, "58"}, 3},
		{"where the stack is, times two", "48 89 e0 48 01 c0 c3", []string{dx3, deep, deep, "58"}, 1}, // mov rax, rsp; add rax, rax
	} {
		t.Run(row.name, func(t *testing.T) {
			code, err := hex.DecodeString(strings.ReplaceAll(row.code, " ", ""))
			if err != nil {
				t.Fatal(err)
			}
			run := func() *processor {
				return &processor{code: map[uint64][]byte{codeAt: restored(row.rows), otherAt: code}, mem: new(space)}
			}
			if n := same(t, run, func(*Regs) (Helper, bool) { return Helper{}, false }); n != row.reused {
				t.Errorf("%d calls stand for another one, expected %d", n, row.reused)
			}
		})
	}
}

// restored is caller whose pushes are taken back at the end.
func restored(rows []string) []byte {
	depth := 0
	for _, row := range rows {
		b, _ := hex.DecodeString(strings.ReplaceAll(row, " ", ""))
		for i := 0; i < len(b); {
			in, err := x86.Decode(b[i:], 0)
			if err != nil {
				panic(err)
			}
			switch in.Op {
			case "push":
				depth++
			case "pop":
				depth--
			}
			i += int(in.Len)
		}
	}
	out := caller(rows)
	out = out[:len(out)-1]
	if depth > 0 {
		out = append(out, 0x48, 0x83, 0xc4, byte(8*depth)) // add rsp, 8*depth
	}
	return append(out, 0xc3)
}

// same compares a count with summaries, and one without, with an execution, and returns for how many calls another one
// stands.
func same(t *testing.T, run func() *processor, h func(*Regs) (Helper, bool)) (reused uint64) {
	t.Helper()
	want := run()
	e := want.execute(t, 1<<20)
	for _, plain := range []bool{true, false} {
		got := run()
		res := got.counted(t, plain, h)
		got.same(t, want)
		if n := numbers(res); n != e.String() || !e.ended {
			t.Errorf("executed (ended %v): %s; counted, executing every call %v: %s", e.ended, e, plain, n)
		}
		told := uint64(0)
		for _, b := range res.Books {
			for _, s := range b.Summaries {
				told += s.Hits
			}
		}
		if told != res.Hits {
			t.Errorf("summaries are used %d times, each together %d", res.Hits, told)
		}
		if reused = res.Hits; plain && reused > 0 {
			t.Errorf("%d calls are not executed where all should be", reused)
		}
	}
	return reused
}

// TestSummariesOfHelpers has the function call a helper whose result depends on a register, on memory, on neither, or on
// something that nothing says.
func TestSummariesOfHelpers(t *testing.T) {
	const (
		di1  = "48 c7 c7 00 00 01 00" // mov rdi, wordsAt
		di2  = "48 c7 c7 08 00 01 00" // mov rdi, wordsAt+8
		set  = "48 c7 07 07 00 00 00" // mov qword [rdi], 7
		two  = "48 c7 07 09 00 00 00" // mov qword [rdi], 9
		one  = "48 c7 c0 01 00 00 00" // mov rax, 1
		two2 = "48 c7 c0 02 00 00 00" // mov rax, 2
		push = "50"                   // push rax
		at   = "48 c7 c7 f0 1e 02 00" // mov rdi, topAt-0x110, the first word that is pushed
	)
	calls := 0
	for _, row := range []struct {
		name   string
		h      Helper
		does   func(p *processor)
		rows   []string
		reused uint64
	}{
		{"nothing", Helper{Name: "h"}, func(p *processor) { p.r.R[x86.RAX] = 5 }, []string{di1, di2, di1}, 2},
		{"its argument", Helper{Name: "h", Regs: []x86.Reg{x86.RDI}}, func(p *processor) { p.r.R[x86.RAX] = p.r.R[x86.RDI] * 3 }, []string{di1, di2, di1, di2}, 2},
		{"what its argument points to", Helper{Name: "h", Regs: []x86.Reg{x86.RDI}, Mem: []HelperMem{{x86.RDI, 0, 8}}}, func(p *processor) {
			v, _ := p.Load(p.r.R[x86.RDI], 8)
			p.r.R[x86.RAX] = v * 3
		}, []string{di1 + set, di1 + two, di1 + set, di2 + set, di2 + two, di1}, 2},
		{"what it writes", Helper{Name: "h", Regs: []x86.Reg{x86.RDI}, Writes: []HelperMem{{x86.RDI, 0, 8}}}, func(p *processor) {
			_ = p.Store(p.r.R[x86.RDI], 8, 0x1234)
			p.r.R[x86.RAX] = 0
		}, []string{di1 + set, di1 + two, di2 + set, di1 + set}, 2},
		// The address is that of a place of the stack, whatever rsp is: what lies at the same distance from rsp is another one.
		{"the stack by its address", Helper{Name: "h", Regs: []x86.Reg{x86.RDI}, Mem: []HelperMem{{x86.RDI, 0, 8}}}, func(p *processor) {
			v, _ := p.Load(p.r.R[x86.RDI], 8)
			p.r.R[x86.RAX] = v * 3
		}, []string{one + push + at, "59" + two2 + push + one + push + at, one + at}, 1},
		{"something else", Helper{Name: "h", Opaque: true}, func(p *processor) {
			calls++
			p.r.R[x86.RAX] = uint64(calls)
		}, []string{di1, di1, di1}, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			code := []byte{0xe8}
			code = binary.LittleEndian.AppendUint32(code, uint32(helperAt-(otherAt+5)))
			code = append(code, 0xc3)
			run := func() *processor {
				calls = 0
				return &processor{code: map[uint64][]byte{codeAt: restored(row.rows), otherAt: code, helperAt: {0xc3}}, mem: new(space), helper: func(p *processor) {
					for _, r := range []x86.Reg{x86.RCX, x86.RDX, x86.RSI, x86.RDI, x86.R8, x86.R9, x86.R10, x86.R11} {
						if r != x86.RDI {
							p.r.R[r] = 0xbad
						}
					}
					row.does(p)
					p.r.R[x86.RDI] = 0xbad
				}}
			}
			if n := same(t, run, func(r *Regs) (Helper, bool) { return row.h, r.RIP == helperAt }); n != row.reused {
				t.Errorf("%d calls stand for another one, expected %d", n, row.reused)
			}
		})
	}
}
