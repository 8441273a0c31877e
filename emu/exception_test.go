// SPDX-License-Identifier: GPL-2.0-only

package emu_test

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/emu/helper"
	"github.com/tcsim/tcsim/emu/kernel"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// faulting loads twice through rdi, stores and adds, around arithmetic that needs its registers and
// flags kept: only the loads clear a register.
func faulting(t testing.TB) *image.Image {
	img := program(t, base, `
		55            // 0: push rbp
		48 89 e5      // 1: mov rbp, rsp
		be 05 00 00 00 // 4: mov esi, 5
		ba 07 00 00 00 // 9: mov edx, 7
		39 d6         // 14: cmp esi, edx
		48 8b 17      // 16: mov rdx, [rdi]
		0f 92 c0      // 19: setb al
		0f b6 c0      // 22: movzx eax, al
		48 89 37      // 25: mov [rdi], rsi
		f0 48 01 37   // 28: lock add [rdi], rsi
		48 0f b6 77 01 // 32: movzx rsi, byte [rdi+1]
		48 c1 e0 08   // 37: shl rax, 8
		48 09 d0      // 41: or rax, rdx
		48 c1 e0 08   // 44: shl rax, 8
		48 09 f0      // 48: or rax, rsi
		c9 c3`)
	img.Funcs[0].Faults = []image.FaultSite{
		{Off: 16, Next: 19, Clear: x86.RDX}, {Off: 25, Next: 28, Clear: x86.RegNone},
		{Off: 28, Next: 32, Clear: x86.RegNone}, {Off: 32, Next: 37, Clear: x86.RSI},
	}
	return img
}

// TestFixups runs accesses that fault, with and without entries in the exception table, at every
// level: what retired must be the same as with memory that is there.
func TestFixups(t *testing.T) {
	const there, missing, wild = guest.ContextAddr, guest.ContextAddr + 1<<30, 0x5a5a_0000_0000_0000
	m := newMachine(t, emu.Config{}, guest.Setup{
		Images: []*image.Image{faulting(t)}, Offsets: offsets,
		Data: []guest.Region{{Addr: there, Bytes: make([]byte, 4096)}},
	})
	const insns = 17
	for _, l := range []emu.Level{emu.LevelNone, emu.LevelSites, emu.LevelRetired} {
		for _, at := range []image.Addr{there, missing, wild, missing} {
			must(t, m.WriteMemory(there, []byte{0x34, 0x12, 0, 0, 0, 0, 0, 0}))
			lg := &log{}
			res := run(t, m, emu.Run{Level: l, Args: []uint64{uint64(at)}, Observer: lg})
			want := uint64(1) << 16
			if at == there {
				want |= 0x1234 << 8 // the store puts 5 and the addition makes it 10
			}
			if got := res.Return(); got != want {
				t.Errorf("level %d, %#x: returned %#x, expected %#x", l, uint64(at), got, want)
			}
			if l != emu.LevelNone && res.Retired != insns {
				t.Errorf("level %d, %#x: %d instructions retired, expected %d", l, uint64(at), res.Retired, insns)
			}
		}
	}
	img := faulting(t)
	img.Funcs[0].Faults = img.Funcs[0].Faults[1:]
	m = newMachine(t, emu.Config{}, guest.Setup{Images: []*image.Image{img}, Offsets: offsets})
	_, err := m.Run(t.Context(), emu.Run{Args: []uint64{uint64(missing)}, Level: emu.LevelRetired})
	var f *emu.Fault
	if !errors.As(err, &f) || f.Kind != emu.FaultAccess || f.RIP != base+16 {
		t.Errorf("without an entry for the first load: %v", err)
	}
}

// throwing is a program of three functions: main calls sub, which throws. The callback returns
// the cookie and 100, and rbx of the outside caller must come back.
func throwing(t testing.TB, throw image.Addr, callback bool) *image.Image {
	main := code(t, `
		55 48 89 e5 41 54 53 41 55 41 56 41 57 // push rbp; mov rbp, rsp; push r12, rbx, r13, r14, r15
		bb 11 00 00 00  // mov ebx, 17
		e8 e9 00 00 00  // call sub
		0f 0b`)
	call := len(main) - 2
	sub := code(t, "55 48 89 e5 53 31 db bf 4d 00 00 00") // push rbp; mov rbp, rsp; push rbx; xor ebx, ebx; mov edi, 77
	binary.LittleEndian.PutUint32(main[call-4:], uint32(0x100-call))
	sub = append(sub, 0xe8)
	sub = binary.LittleEndian.AppendUint32(sub, uint32(throw-(base+0x100+image.Addr(len(sub))+4)))
	cb := code(t, `
		48 89 f4 48 89 d5 41 5f 41 5e 41 5d 5b 41 5c 48 89 ec // take over the frame
		48 89 f8 48 83 c0 64 c9 c3`)
	return &image.Image{Funcs: []image.FuncImage{
		{Name: "main", Addr: base, Code: main},
		{Name: "sub", Addr: base + 0x100, Code: append(sub, 0x0f, 0x0b)},
		{Name: "handler", Addr: base + 0x200, Code: cb, ExceptionCB: callback},
	}}
}

func TestThrow(t *testing.T) {
	p := kernel.NewPlan(offsets, nil)
	throw, err := p.Symbol("bpf_throw")
	must(t, err)
	m := newMachine(t, emu.Config{}, guest.Setup{Images: []*image.Image{throwing(t, throw, true)}, Symbols: p.Symbols(), Offsets: offsets})
	for _, l := range []emu.Level{emu.LevelNone, emu.LevelSites, emu.LevelRetired} {
		res := run(t, m, emu.Run{Level: l})
		if res.Return() != 177 {
			t.Errorf("level %d: returned %d, expected 177", l, res.Return())
		}
		junk := guest.Junk()
		for _, r := range []x86.Reg{x86.RBX, x86.R12, x86.R13, x86.R14, x86.R15} {
			if res.Regs[r] != junk[r] {
				t.Errorf("level %d: %s is %#x, the outside caller had %#x in it", l, r, res.Regs[r], junk[r])
			}
		}
		if d := cmp.Diff([]helper.Calls{{Name: "bpf_throw", Calls: 1}}, res.Helpers); d != "" {
			t.Error(d)
		}
	}
	m = newMachine(t, emu.Config{}, guest.Setup{Images: []*image.Image{throwing(t, throw, false)}, Symbols: p.Symbols(), Offsets: offsets})
	if _, err := m.Run(t.Context(), emu.Run{}); err == nil || !strings.Contains(err.Error(), "no exception callback") {
		t.Errorf("without a callback: %v", err)
	}
	// sub as a program of its own is entered with rbp 0 of the outside caller.
	sub := throwing(t, throw, false).Funcs[1]
	m = newMachine(t, emu.Config{}, guest.Setup{Images: []*image.Image{throwing(t, throw, false)}, Symbols: p.Symbols(), Offsets: offsets})
	if _, err := m.Run(t.Context(), emu.Run{Entry: sub.Addr}); err == nil || !strings.Contains(err.Error(), "is in no program") {
		t.Errorf("without a main function: %v", err)
	}
}

// TestTimedMayGoto calls arch_bpf_timed_may_goto until the time is over: the count comes back in r10,
// and every register that a program has is kept.
func TestTimedMayGoto(t *testing.T) {
	p := kernel.NewPlan(offsets, nil)
	at, err := p.Symbol("arch_bpf_timed_may_goto")
	must(t, err)
	body := code(t, `
		55 48 89 e5 48 83 ec 10      // push rbp; mov rbp, rsp; sub rsp, 16
		48 89 7d f8                  // mov [rbp-8], rdi: when it began
		b8 01 00 00 00               // mov eax, 1
		49 c7 c2 f0 ff ff ff         // mov r10, -16`)
	body = append(body, 0xe8)
	body = binary.LittleEndian.AppendUint32(body, uint32(at-(base+image.Addr(len(body))+4)))
	body = append(body, code(t, `
		48 c1 e0 20                  // shl rax, 32
		4c 09 d0                     // or rax, r10
		c9 c3`)...)
	m := newMachine(t, emu.Config{}, guest.Setup{
		Images: []*image.Image{{Funcs: []image.FuncImage{{Name: "loop", Addr: base, Code: body}}}}, Symbols: p.Symbols(), Offsets: offsets,
	})
	const now, allowed = 60_000_000_100, 250_000_000
	for _, c := range []struct{ began, want uint64 }{
		{0, 1<<32 | 0xffff}, {now, 1<<32 | 0xffff}, {now - allowed + 1, 1<<32 | 0xffff}, {now - allowed, 1 << 32},
	} {
		res := run(t, m, emu.Run{Args: []uint64{c.began}})
		if res.Return() != c.want {
			t.Errorf("began at %d: %#x, expected %#x", c.began, res.Return(), c.want)
		}
		if res.Regs[x86.RDI] != c.began {
			t.Errorf("rdi is %#x", res.Regs[x86.RDI])
		}
	}
}

// TestPrivateStack writes to both ends of a private stack.
func TestPrivateStack(t *testing.T) {
	p := kernel.NewPlan(offsets, nil)
	fp, err := p.PrivateStack(0, 512)
	must(t, err)
	next, err := p.PrivateStack(1, 64)
	must(t, err)
	if next < fp+16+64 {
		t.Errorf("stacks at %#x and %#x: no room for guards", uint64(fp), uint64(next))
	}
	if _, err := p.PrivateStack(2, 576); err == nil {
		t.Error("a stack larger than the verifier allows")
	}
	img := program(t, base, `
		48 89 bf 00 fe ff ff // mov [rdi-512], rdi
		48 8b 87 00 fe ff ff // mov rax, [rdi-512]
		48 89 47 f8          // mov [rdi-8], rax
		c3`)
	img.Funcs[0].Frame.PrivateFP = fp
	m := newMachine(t, emu.Config{}, guest.Setup{Images: []*image.Image{img}, Offsets: offsets})
	s := guest.PrivateStack(&img.Funcs[0])
	end := uint64(s.Addr) + s.Size
	if res := run(t, m, emu.Run{Args: []uint64{end}}); res.Return() != end || end != uint64(guest.GSBase+fp) {
		t.Errorf("returned %#x, the stack ends at %#x", res.Return(), end)
	}
}
