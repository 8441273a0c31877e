// SPDX-License-Identifier: GPL-2.0-only

package emu_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/verify/rewrite"
)

// quirkMachine loads one function, and a machine whose hooks read registers by the engine's API.
func quirkMachine(t *testing.T, portable bool, code string) *emu.Machine {
	t.Helper()
	return newMachine(t, emu.Config{PortableRegisters: portable}, guest.Setup{Images: []*image.Image{program(t, base, code)}, Offsets: offsets})
}

// everyLevel runs a test at all levels of recording, with both ways to read registers.
func everyLevel(t *testing.T, test func(t *testing.T, portable bool, l emu.Level)) {
	for _, portable := range []bool{false, true} {
		for _, l := range []emu.Level{emu.LevelNone, emu.LevelSites, emu.LevelRetired} {
			t.Run(fmt.Sprintf("level %d portable %t", l, portable), func(t *testing.T) { test(t, portable, l) })
		}
	}
}

// TestCmpxchg32 has a comparison of 32 bits that holds keep the upper half of rax, as processors do, and
// one that does not hold clear it.
func TestCmpxchg32(t *testing.T) {
	const upper = 0x7788_9900_0000_0000
	for _, c := range []struct {
		name, code string
		rax        uint64
		want       uint64
	}{
		{"holds", "c7 44 24 f8 44 33 22 11 ba 05 00 00 00 48 89 f8 f0 0f b1 54 24 f8 c3", upper | 0x11223344, upper | 0x11223344},
		{"without lock", "c7 44 24 f8 44 33 22 11 48 89 f8 0f b1 54 24 f8 c3", upper | 0x11223344, upper | 0x11223344},
		{"does not hold", "c7 44 24 f8 44 33 22 11 48 89 f8 f0 0f b1 54 24 f8 c3", upper | 1, 0x11223344},
		{"64 bits", "48 89 7c 24 f8 48 89 f8 f0 48 0f b1 54 24 f8 c3", upper | 1, upper | 1},
		{"in a loop", "31 c9 c7 44 24 f8 44 33 22 11 48 89 f8 f0 0f b1 44 24 f8 ff c1 83 f9 05 75 e8 c3", upper | 0x11223344, upper | 0x11223344},
		{"before a call", "c7 44 24 f8 44 33 22 11 48 89 f8 f0 0f b1 44 24 f8 e8 01 00 00 00 c3 48 83 c0 01 c3", upper | 0x11223344, upper | 0x11223345},
		{"an index and r9", "c7 44 24 f0 44 33 22 11 48 89 f8 48 c7 c1 fe ff ff ff f0 44 0f b1 4c cc 00 c3", upper | 0x11223344, upper | 0x11223344},
	} {
		t.Run(c.name, func(t *testing.T) {
			everyLevel(t, func(t *testing.T, portable bool, l emu.Level) {
				m := quirkMachine(t, portable, c.code)
				res := run(t, m, emu.Run{Level: l, Args: []uint64{c.rax}})
				if res.Return() != c.want {
					t.Errorf("rax is %#x, want %#x", res.Return(), c.want)
				}
			})
		})
	}
}

// TestCmpxchg32Stop stops between such an instruction and the next one.
func TestCmpxchg32Stop(t *testing.T) {
	const rax = 0x7788_9900_1122_3344
	m := quirkMachine(t, false, "c7 44 24 f8 44 33 22 11 48 89 f8 f0 0f b1 54 24 f8 90 c3")
	res := run(t, m, emu.Run{Level: emu.LevelRetired, Args: []uint64{rax}, StopSeq: 3})
	if res.Return() != rax {
		t.Errorf("rax is %#x where the run was stopped, want %#x", res.Return(), uint64(rax))
	}
	if res, err := m.Continue(context.Background(), emu.Run{Level: emu.LevelRetired}); err != nil || res.Return() != rax {
		t.Errorf("rax is %#x at the end, want %#x: %v", res.Return(), uint64(rax), err)
	}
}

// TestDivideOverflow has a signed division whose result is too large be a fault of the program. In the
// engine it is one of the whole process, at 16 and at 32 bits.
func TestDivideOverflow(t *testing.T) {
	for _, c := range []struct{ name, code string }{
		{"32 bits", "ba 00 00 00 80 31 c0 bf ff ff ff ff f7 ff c3"},
		{"32 bits in memory", "c7 44 24 f8 ff ff ff ff ba 00 00 00 80 31 c0 f7 7c 24 f8 c3"},
		{"32 bits of r9", "ba 00 00 00 80 31 c0 41 b9 ff ff ff ff 41 f7 f9 c3"},
		{"16 bits", "ba 00 80 00 00 31 c0 bf ff ff 00 00 66 f7 ff c3"},
		{"64 bits", "48 ba 00 00 00 00 00 00 00 80 31 c0 48 c7 c7 ff ff ff ff 48 f7 ff c3"},
		{"8 bits", "b8 00 80 00 00 bf ff 00 00 00 40 f6 ff c3"},
		{"32 bits, by 1", "ba 00 00 00 80 31 c0 bf 01 00 00 00 f7 ff c3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			everyLevel(t, func(t *testing.T, portable bool, l emu.Level) {
				m := quirkMachine(t, portable, c.code)
				_, err := m.Run(context.Background(), emu.Run{Level: l})
				var f *emu.Fault
				if !errors.As(err, &f) || f.Kind != emu.FaultDivide {
					t.Fatalf("%v, want a divide error", err)
				}
				if l == emu.LevelRetired && f.Seq < 2 {
					t.Errorf("%d instructions before", f.Seq)
				}
				// The machine can be used afterwards.
				if _, err := m.Run(context.Background(), emu.Run{Level: l}); !errors.As(err, &f) {
					t.Errorf("second run: %v", err)
				}
			})
		})
	}
}

// TestRefusedForms names what the engine gets wrong and the machine does not mend.
func TestRefusedForms(t *testing.T) {
	for _, c := range []struct{ name, code string }{
		{"lock neg", "f0 48 f7 1c 24 c3"},
		{"lock neg", "f0 f6 1c 24 c3"},
		{"cmpxchg8b", "0f c7 0c 24 c3"},
		{"rorx", "c4 e3 fb f0 05 00 00 00 00 05 c3"},
		{"shld", "48 0f a4 05 00 00 00 00 05 c3"},
		{"shrd", "48 0f ac 05 00 00 00 00 05 c3"},
		{"cmpxchg", "0f b1 d7 c3"},
		{"ret", "c2 00 80"},
		{"blsi", "c4 e2 e8 f3 d9 c3"},
		{"bzhi", "c4 e2 60 f5 c1 c3"},
		{"bextr", "c4 e2 60 f7 c1 c3"},
		{"pdep", "c4 e2 73 f5 c2 c3"},
		{"mov", "4c c7 44 24 f8 01 00 00 00 c3"},
		{"mov", "44 c6 44 24 f8 01 c3"},
		{"segment", "65 2e 48 8b 04 25 00 00 00 00 c3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			everyLevel(t, func(t *testing.T, portable bool, l emu.Level) {
				m := quirkMachine(t, portable, c.code)
				_, err := m.Run(context.Background(), emu.Run{Level: l})
				var f *emu.Fault
				if !errors.As(err, &f) || f.Kind != emu.FaultEngine || !strings.Contains(err.Error(), c.name) {
					t.Errorf("%v, want a refusal", err)
				}
			})
		})
	}
}

// TestQuirkPatched finds such instructions in code that was written later.
func TestQuirkPatched(t *testing.T) {
	everyLevel(t, func(t *testing.T, portable bool, l emu.Level) {
		m := quirkMachine(t, portable, "ba 00 00 00 80 31 c0 bf ff ff ff ff 90 90 c3")
		if res := run(t, m, emu.Run{Level: l}); res.Return() != 0 {
			t.Fatalf("returned %#x", res.Return())
		}
		if err := m.WriteText(base+12, []byte{0xf7, 0xff}); err != nil {
			t.Fatal(err)
		}
		var f *emu.Fault
		if _, err := m.Run(context.Background(), emu.Run{Level: l}); !errors.As(err, &f) || f.Kind != emu.FaultDivide {
			t.Errorf("%v, want a divide error", err)
		}
		if err := m.Reset(); err != nil {
			t.Fatal(err)
		}
		run(t, m, emu.Run{Level: l})
	})
}

// TestQuirkRenewed has another engine, as after many patches, know them too.
func TestQuirkRenewed(t *testing.T) {
	m := quirkMachine(t, false, "ba 00 00 00 80 31 c0 bf ff ff ff ff f7 ff c3 00")
	for i := range 5000 {
		if err := m.WriteText(base+15, []byte{byte(i + 1)}); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		var f *emu.Fault
		if _, err := m.Run(context.Background(), emu.Run{}); !errors.As(err, &f) || f.Kind != emu.FaultDivide {
			t.Fatalf("%v, want a divide error", err)
		}
	}
}

// TestZeroExtensionAfterCmpxchg has the instruction that the verifier appends be needed: without it the
// code returns what was in the upper half.
func TestZeroExtensionAfterCmpxchg(t *testing.T) {
	p := &bpf.Program{
		Name: "p", Type: bpf.SchedCLS,
		Insns: []bpf.Insn{
			{Op: bpf.ClassALU | bpf.ALUMov, Dst: 1, Imm: 0x11223344},               // w1 = 0x11223344
			{Op: bpf.ClassSTX | bpf.ModeMem | bpf.SizeW, Dst: 10, Src: 1, Off: -8}, // *(u32 *)(r10 - 8) = r1
			{Op: bpf.OpLdImm64, Imm: 0x11223344}, {Imm: 0x77889900},                // r0 = 0x7788990011223344 ll
			{Op: bpf.OpMov, Dst: 2, Imm: 5}, // r2 = 5
			{Op: bpf.ClassSTX | bpf.ModeAtomic | bpf.SizeW, Dst: 10, Src: 2, Off: -8, Imm: 0xf1}, // w0 = cmpxchg((u32 *)(r10 - 8), w0, w2)
			{Op: bpf.ClassALU64 | bpf.ALURsh, Imm: 32}, {Op: bpf.OpExit},                         // r0 >>= 32; exit
		},
		Funcs: []bpf.Func{{Name: "p"}},
	}
	target, err := jit.TargetByName("6.12")
	if err != nil {
		t.Fatal(err)
	}
	if p, err = rewrite.Program(p, &target.Kernel); err != nil {
		t.Fatal(err)
	}
	m, images := ownMachine(t, "6.12", p)
	if res := run(t, m, emu.Run{}); res.Return() != 0 {
		t.Fatalf("returned %#x, want 0", res.Return())
	}
	f := &images[0].Funcs[0]
	at := bytes.Index(f.Code, []byte{0x89, 0xc0}) // mov eax, eax
	if at < 0 {
		t.Fatal("the code has no zero extension")
	}
	if err := m.WriteText(f.Addr+image.Addr(at), []byte{0x66, 0x90}); err != nil {
		t.Fatal(err)
	}
	if res := run(t, m, emu.Run{}); res.Return() != 0x77889900 {
		t.Errorf("returned %#x without the zero extension, want 0x77889900", res.Return())
	}
}
