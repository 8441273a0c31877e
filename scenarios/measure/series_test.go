// SPDX-License-Identifier: GPL-2.0-only

package measure_test

import (
	"fmt"
	"testing"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/timing"
	"github.com/tcsim/tcsim/emu/timing/measured"
	"github.com/tcsim/tcsim/jit/x86"
	"github.com/tcsim/tcsim/scenarios/measure"
)

// seriesOf is a loop of a body and of what the body calls.
func seriesOf(name string, insns int, body func(b *x86.Buf), after ...func(b *x86.Buf)) *measured.Sequence {
	var b x86.Buf
	body(&b)
	b.Raw(0x49, 0xff, 0xcc) // dec r12
	b.I32(x86.FormJneD32, int32(-(b.Len() + 6)))
	end := b.Len()
	b.Ret()
	for _, f := range after {
		f(&b)
	}
	s := &measured.Sequence{
		Name: name, Kind: "series", Code: b.Bytes(), At: measured.CodeBase, End: end, Copies: 1, Trips: 1000,
		InstructionsPerTrip: insns, Regs: measured.EntryRegs(), P10: 1, Median: 1, P90: 1,
		Data:  measured.Span{Addr: measured.DataBase, Size: measured.AreaSize},
		Stack: measured.Span{Addr: measured.StackBase, Size: measured.AreaSize},
	}
	s.Regs[x86.RDI] = s.Regs[x86.RSP] // the slot below the return address is at rdi-8 after the call
	return s
}

// overwritten are places where a slot is pushed, changed through rdi and popped.
func overwritten(n int, change func(b *x86.Buf)) *measured.Sequence {
	return seriesOf(fmt.Sprintf("%d overwritten slots", n), 3*n, func(b *x86.Buf) {
		for range n {
			b.Push64O(x86.RAX)
			change(b)
			b.Pop64O(x86.RAX)
		}
	})
}

// TestZen5Series holds the model against series whose figures are in fixtures/uarch/zen5/cores.json and
// its README, and whose sequences are not.
func TestZen5Series(t *testing.T) {
	m, err := emu.New(emu.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	core, err := timing.CoreNamed("zen5")
	if err != nil {
		t.Fatal(err)
	}
	slot := x86.M8(x86.RDI, -8)
	add := func(b *x86.Buf) { b.MI8(x86.FormAdd64MI8, slot, 1) }
	store := func(b *x86.Buf) { b.Mov64MR(slot, x86.RBX) }
	for _, c := range []struct {
		s         *measured.Sequence
		per       float64
		low, high float64
	}{
		{overwritten(16, add), 16, 0.8, 1.8}, // measured 1.0
		{overwritten(32, add), 32, 14, 24},   // 18.8
		{overwritten(32, store), 32, 0.8, 1.8},
		{overwritten(64, store), 64, 9, 15}, // 12
		{seriesOf("nops of 8 bytes", 960, func(b *x86.Buf) { times(960, func(int) { b.Nop(8) }) }), 960, 0.12, 0.135},
		{seriesOf("nops of 4 bytes", 960, func(b *x86.Buf) { times(960, func(int) { b.Nop(4) }) }), 960, 0.12, 0.155}, // 0.143
		{seriesOf("moves of 2 bytes", 960, func(b *x86.Buf) {
			times(960, func(int) { b.MR(x86.FormMov32MR, x86.R(x86.RAX), x86.RDX) })
		}), 960, 0.14, 0.2}, // 0.156, the model 0.19
		{seriesOf("nops of 1 byte", 960, func(b *x86.Buf) { times(960, func(int) { b.Nop(1) }) }), 960, 0.12, 0.135}, // 0.127
		{seriesOf("jumps", 256, func(b *x86.Buf) {
			times(256, func(int) {
				b.JmpD32(11)
				b.Nop(11)
			})
		}), 256, 0.48, 0.7}, // 0.50 to 0.63
		{nestedCalls(30), 30, 3.8, 4.3},
		{nestedCalls(40), 1, 120 + 8*22, 160 + 9*30}, // 26 to 29 for each beyond 31
	} {
		r, err := measure.Sequence(t.Context(), m, core, c.s)
		if err != nil {
			t.Fatal(err)
		}
		got := r.Predicted / c.per
		t.Logf("%-24s %.2f", c.s.Name, got)
		if got < c.low || got > c.high {
			t.Errorf("%s: %.2f cycles each, want %.2f to %.2f", c.s.Name, got, c.low, c.high)
		}
	}
}

// takenJumps are conditional jumps that are always taken, so many bytes apart.
func takenJumps(n, apart int) *measured.Sequence {
	return seriesOf(fmt.Sprintf("%d taken jumps, %d bytes apart", n, apart), 2*n, func(b *x86.Buf) {
		times(n, func(int) {
			b.MR(x86.FormCmp64MR, x86.R(x86.RSI), x86.RBX)
			b.I8(x86.FormJneD8, int8(apart-5))
			times(apart-5, func(int) { b.Nop(1) })
		})
	})
}

// late is a chain of places where a load comes so many cycles after the address of the store that it reads from, or
// before it.
func late(n, load int) *measured.Sequence {
	wait := func(b *x86.Buf, r x86.Reg, cycles int) {
		times(cycles, func(int) { b.Lea64RM(r, x86.X8(r, x86.R9, 1, 0)) })
	}
	s := seriesOf(fmt.Sprintf("loads %d after the store's address", load), n*(4+max(load, -load)), func(b *x86.Buf) {
		times(n, func(int) {
			b.Lea64RM(x86.RDX, x86.X8(x86.RDI, x86.RAX, 1, 0))
			b.Mov64MR(x86.R(x86.RBX), x86.RDX)
			wait(b, x86.RBX, -load)
			b.Mov64MR(x86.M0(x86.RBX), x86.RCX)
			wait(b, x86.RDX, load)
			b.Mov32RM(x86.RAX, x86.M8(x86.RDX, 4))
		})
	})
	s.Regs[x86.RAX], s.Regs[x86.RCX], s.Regs[x86.R9] = 0, 0, 0
	s.Regs[x86.RDI] = uint64(measured.DataBase)
	return s
}

// over is two places where a load reads what was stored before so many other stores, in a chain of multiplications
// that takes longer than they do.
func over(stores int) *measured.Sequence {
	const places = 2
	mul := stores/2 + 10
	s := seriesOf(fmt.Sprintf("loads over %d stores", stores), places*(2+stores+mul), func(b *x86.Buf) {
		times(places, func(n int) {
			slot := x86.M8(x86.RDI, int8(8*n))
			b.Mov64MR(slot, x86.RAX)
			times(stores, func(i int) { b.Mov64MR(x86.M32(x86.RSI, int32(8*(i%64))), x86.RCX) })
			b.Mov64RM(x86.RAX, slot)
			times(mul, func(int) { b.RM(x86.FormImul64RM, x86.RAX, x86.R(x86.RCX)) })
		})
	})
	s.Regs[x86.RDI] = uint64(measured.DataBase)
	return s
}

// nestedFrames calls itself so deep, with a frame pointer; all calls but the innermost one call another function with a
// frame before they return.
func nestedFrames(depth int) *measured.Sequence {
	frame := func(b *x86.Buf) {
		b.Push64O(x86.RBP)
		b.Mov64MR(x86.R(x86.RBP), x86.RSP)
	}
	return seriesOf(fmt.Sprintf("%d nested frames", depth), 14*depth, func(b *x86.Buf) {
		b.Mov32OI(x86.RCX, uint32(depth))
		b.CallD32(10)
	}, func(b *x86.Buf) {
		at := b.Len()
		frame(b)
		b.Raw(0x48, 0xff, 0xc9) // dec rcx
		b.I8(x86.FormJeD8, 10)
		b.CallD32(int32(at - b.Len() - 5))
		b.CallD32(2)
		b.Leave()
		b.Ret()
		frame(b)
		b.Leave()
		b.Ret()
	})
}

// chain repeats code.
func chain(name string, n, insns int, code ...byte) *measured.Sequence {
	s := seriesOf(name, n*insns, func(b *x86.Buf) { times(n, func(int) { b.Raw(code...) }) })
	s.Regs[x86.RDI] = uint64(measured.DataBase)
	return s
}

// immediateIn is a chain through the address of a load that finds an immediate once in n trips, a power of two, and a
// register in the others.
func immediateIn(n int) *measured.Sequence {
	s := seriesOf(fmt.Sprintf("an immediate once in %d", n), 6, func(b *x86.Buf) {
		b.Raw(0x41, 0xf7, 0xc4) // test r12d,n-1
		b.Raw(byte(n-1), 0, 0, 0)
		b.I8(x86.FormJneD8, 9)
		b.Raw(0x48, 0xc7, 0x07, 0, 0, 0, 0) // mov qword [rdi],0
		b.Raw(0xeb, 3)                      // jmp
		b.Mov64MR(x86.M0(x86.RDI), x86.RAX)
		b.Mov64RM(x86.RAX, x86.M0(x86.RDI))
		b.Raw(0x48, 0x01, 0xc7) // add rdi,rax
	})
	s.Regs[x86.RDI], s.Trips = uint64(measured.DataBase), 4000
	return s
}

// indirectCalls are calls of a function that does nothing, through a register.
func indirectCalls() *measured.Sequence {
	s := seriesOf("an indirect call", 4, func(b *x86.Buf) { b.Raw(0xff, 0xd0) }, func(b *x86.Buf) { b.Ret() })
	s.Regs[x86.RAX] = uint64(measured.CodeBase) + uint64(s.End) + 1
	return s
}

// indexed is a sequence with 8 in rcx.
func indexed(s *measured.Sequence) *measured.Sequence {
	s.Regs[x86.RCX] = 8
	return s
}

// indirectJumps are so many jumps through registers, each to one place in a line of its own.
func indirectJumps(n int) *measured.Sequence {
	regs := []x86.Reg{x86.RAX, x86.RCX, x86.RDX, x86.R8}[:n]
	s := seriesOf(fmt.Sprintf("%d indirect jumps", n), n, func(b *x86.Buf) {
		for _, r := range regs {
			b.Jmp64M(x86.R(r))
			for b.Len()%64 != 0 {
				b.Nop(min(9, 64-b.Len()%64))
			}
		}
	})
	for i, r := range regs {
		s.Regs[r] = uint64(measured.CodeBase) + 64*uint64(i+1)
	}
	return s
}

// bytesStored stores so many single bytes, and loads them with others.
func bytesStored(n int) *measured.Sequence {
	s := seriesOf(fmt.Sprintf("%d bytes stored one by one, 8 loaded", n), n+1, func(b *x86.Buf) {
		times(n, func(i int) { b.Raw(0x88, 0x5f, byte(8-n+i)) }) // mov [rdi+8-n+i],bl
		b.Mov64RM(x86.RAX, x86.M0(x86.RDI))
	})
	s.Regs[x86.RDI] = uint64(measured.DataBase)
	return s
}

// TestGoldenCoveSeries holds the model against cycles of loops that were measured on a Xeon of model 207 (family 6),
// whose sequences are not in a file: lines with many taken branches, loads that come at about the time when the
// address of their store is known, loads over many other stores, and of several, frames.
func TestGoldenCoveSeries(t *testing.T) {
	m, err := emu.New(emu.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	core, err := timing.CoreNamed("glc")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		s        *measured.Sequence
		measured float64
		within   float64 // percent
	}{
		{takenJumps(2, 8), 2.94, 17}, {takenJumps(3, 8), 4.01, 17}, {takenJumps(4, 8), 6.9, 17}, {takenJumps(6, 8), 11.86, 17},
		{takenJumps(8, 8), 14.95, 17}, {takenJumps(12, 8), 19.86, 17}, {takenJumps(16, 8), 28.35, 17}, {takenJumps(24, 8), 43.49, 17},
		{takenJumps(8, 6), 15.79, 17}, {takenJumps(8, 10), 13.88, 17}, {takenJumps(8, 12), 12.02, 17},
		{late(6, -7), 90, 1}, {late(6, -6), 84, 1}, {late(6, -5), 78, 1}, {late(6, -2), 78, 1}, {late(6, 0), 78, 1},
		{late(6, 1), 84, 1}, {late(6, 2), 48, 1}, {late(6, 3), 54, 1}, {late(6, 5), 66, 1},
		{over(16), 107.8, 1}, {over(64), 251, 1}, {over(96), 346.8, 1},
		{chain("a byte that is stored, sign extended", 8, 2, 0x89, 0x07, 0x48, 0x0f, 0xbe, 0x07), 59.2, 1},
		{chain("the same, zero extended", 8, 2, 0x89, 0x07, 0x0f, 0xb6, 0x07), 4.2, 6},
		{chain("a word, zero extended", 8, 2, 0x66, 0x89, 0x07, 0x0f, 0xb7, 0x07), 40, 1},
		{chain("a counter of 4 bytes, added to in 8", 8, 3, 0x8b, 0x17, 0x48, 0x83, 0xc2, 0x01, 0x89, 0x17), 59, 1},
		{chain("the same, added to in 4", 8, 3, 0x8b, 0x17, 0x83, 0xc2, 0x01, 0x89, 0x17), 8, 1},
		{chain("the same, of 8 bytes", 8, 3, 0x48, 0x8b, 0x17, 0x48, 0x83, 0xc2, 0x01, 0x48, 0x89, 0x17), 4.7, 13},
		{chain("a sum of 8 bytes moved in 4", 8, 3, 0x48, 0x83, 0xc0, 0x01, 0x89, 0xc3, 0x48, 0x89, 0xd8), 8.4, 6},
		{chain("an immediate that is loaded", 4, 4, 0x48, 0xc7, 0x07, 0, 0, 0, 0, 0x48, 0x8b, 0x07, 0x83, 0xe0, 0, 0x48, 0x01, 0xc7), 58.6, 6},
		{immediateIn(16), 14.75, 13}, {immediateIn(32), 12.48, 6}, {immediateIn(64), 10.69, 6},
		{chain("4 bytes stored, 8 loaded", 4, 2, 0x89, 0x07, 0x48, 0x8b, 0x07), 67.6, 1}, // or 79.7 in other processes
		{chain("4 bytes changed, 8 loaded", 4, 2, 0x31, 0x0f, 0x4c, 0x8b, 0x07), 30.7, 6},
		{bytesStored(1), 14.92, 1}, {bytesStored(2), 15.91, 1}, {bytesStored(4), 16.91, 1}, {bytesStored(7), 17.9, 1},
		{chain("8 and 4 bytes stored, 8 loaded", 2, 3, 0x48, 0x89, 0x1f, 0x89, 0x0f, 0x48, 0x8b, 0x07), 29.9, 1},
		{chain("the same, 2 more stored, 8 loaded", 2, 5, 0x48, 0x89, 0x1f, 0x89, 0x0f, 0x48, 0x8b, 0x07, 0x66, 0x89, 0x0f, 0x48, 0x8b, 0x17), 35.6, 11},
		{indexed(chain("with an index stored, without loaded", 8, 2, 0x48, 0x89, 0x04, 0x0f, 0x48, 0x8b, 0x47, 0x08)), 40, 1},
		{indexed(chain("without stored, with an index loaded", 8, 2, 0x48, 0x89, 0x47, 0x08, 0x48, 0x8b, 0x04, 0x0f)), 40, 1},
		{chain("2 bytes stored, 1 loaded", 8, 2, 0x66, 0x89, 0x07, 0x0f, 0xb6, 0x07), 39.8, 1},
		{indirectCalls(), 4, 1}, {indirectJumps(2), 4.96, 1}, {indirectJumps(4), 8.95, 1},
		{nestedFrames(4), 54, 10}, {nestedFrames(8), 114, 10}, {nestedFrames(12), 178, 10},
	} {
		r, err := measure.Sequence(t.Context(), m, core, c.s)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%-32s %.2f, measured %.2f", c.s.Name, r.Predicted, c.measured)
		if e := 100 * (r.Predicted/c.measured - 1); e < -c.within || e > c.within {
			t.Errorf("%s: %.2f cycles, measured %.2f", c.s.Name, r.Predicted, c.measured)
		}
	}
}

func times(n int, f func(int)) {
	for i := range n {
		f(i)
	}
}

// nestedCalls calls functions that call each other.
func nestedCalls(depth int) *measured.Sequence {
	return seriesOf(fmt.Sprintf("%d nested calls", depth), 2*depth, func(b *x86.Buf) { b.CallD32(10) }, func(b *x86.Buf) {
		for range depth - 1 {
			b.CallD32(1)
			b.Ret()
		}
		b.Ret()
	})
}
