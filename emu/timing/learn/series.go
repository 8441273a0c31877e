// SPDX-License-Identifier: GPL-2.0-only

package learn

import (
	"fmt"

	"github.com/tcsim/tcsim/emu/timing/measured"
	"github.com/tcsim/tcsim/jit/x86"
)

// The names of the experiments that Deduce asks for by name.
const (
	expNops      = "8-byte nops"
	expMoves     = "chain of moves"
	expLoad      = "pointer chase"
	expStackPair = "store and load of a stack slot"
	expTwoBases  = "store and load through two registers"
	expRMWImm    = "chain of add [m],imm"
	expRMWReg    = "chain of add [m],reg"
	expLeave     = "push rbp; mov rbp,rsp; leave"
	expOffset    = "load of a store's upper half"
	expByte      = "load of a store's low byte"
	expLateStore = "store whose address comes late"
	expLateBoth  = "store and load whose address comes late"
	expFail      = "load of two stores"
	expLoads     = "independent loads"
	expStores    = "independent stores"
	expMixed     = "two loads to a store"
	expNeverTake = "test and jcc, never taken"
	expCall      = "call and ret"
	expStackSync = "push; sub rsp; add rsp; pop"
	expRandom    = "random branch"
	expNoBranch  = "random numbers without a branch"
)

// depths are the numbers of nested calls that show the return stack.
var depths = []int{4, 8, 12, 14, 15, 16, 17, 18, 20, 22, 24, 26, 28, 30, 31, 32, 33, 34, 36, 40, 48, 52, 56, 64}

func nested(d int) string { return fmt.Sprintf("%d nested calls", d) }

func nopsOf(length int) string { return fmt.Sprintf("nops of %d bytes", length) }

func jumps(n int) string { return fmt.Sprintf("ring of %d jumps", n) }

func fusion(op string) string { return "fusion of " + op + " and jcc" }

// seriesExperiments returns what shows the structures of the core.
func seriesExperiments() []Experiment {
	out := []Experiment{
		repeated(expNops, 960, 1, func(b *x86.Buf, _ int) { nop(b) }),
		repeated(expMoves, 32, 2, func(b *x86.Buf, _ int) {
			b.Mov64MR(x86.R(x86.RAX), x86.RDX)
			b.Mov64MR(x86.R(x86.RDX), x86.RAX)
		}),
		repeated(expLoads, 48, 1, func(b *x86.Buf, n int) {
			b.Mov64RM(free[n%len(free)], x86.M8(x86.RDI, int8(8*(n%8))))
		}),
		repeated(expStores, 24, 1, func(b *x86.Buf, n int) { b.Mov64MR(x86.M8(x86.RDI, int8(8*(n%8))), x86.RBX) }),
		repeated(expMixed, 16, 3, func(b *x86.Buf, n int) {
			b.Mov64RM(free[2*n%len(free)], x86.M8(x86.RSI, 0))
			b.Mov64RM(free[(2*n+1)%len(free)], x86.M8(x86.RSI, 8))
			b.Mov64MR(x86.M8(x86.RDI, int8(8*(n%8))), x86.RBX)
		}),
		repeated(expNeverTake, 24, 2, func(b *x86.Buf, _ int) {
			b.MR(x86.FormTest64MR, x86.R(x86.RSI), x86.RSI)
			b.I32(x86.FormJeD32, 0)
		}),
		loop(expCall, 8, 16, func(b *x86.Buf) {
			for range 8 {
				b.CallD32(int32(8*5 + 9 + 1 - (b.Len() + 5)))
			}
		}, func(b *x86.Buf) { b.Ret() }),
		repeated(expStackSync, 8, 4, func(b *x86.Buf, _ int) {
			b.Push64O(x86.RAX)
			b.MI8(x86.FormSub64MI8, x86.R(x86.RSP), 32)
			b.MI8(x86.FormAdd64MI8, x86.R(x86.RSP), 32)
			b.Pop64O(x86.RAX)
		}),
	}
	for l := 1; l <= 9; l++ {
		out = append(out, repeated(nopsOf(l), 480, 1, func(b *x86.Buf, _ int) { b.Nop(l) }))
	}
	for _, n := range []int{16, 64, 256, 1024} {
		out = append(out, repeated(jumps(n), n, 1, func(b *x86.Buf, _ int) {
			b.JmpD32(11)
			b.Nop(11)
		}))
	}
	for _, d := range depths {
		out = append(out, nest(d))
	}
	out = append(out, memorySeries()...)
	out = append(out, randomSeries()...)
	return append(out, fusionSeries()...)
}

// nestSpace is the distance of functions that call each other: closer ones would show how many branches a line
// of code may have.
const nestSpace = 24

// nest calls functions that call each other d deep.
func nest(d int) Experiment {
	return loop(nested(d), 1, 2*d, func(b *x86.Buf) { b.CallD32(9 + 1) }, func(b *x86.Buf) {
		for range d - 1 {
			b.CallD32(nestSpace - 5)
			b.Ret()
			b.Nop(11)
			b.Nop(nestSpace - 5 - 1 - 11)
		}
		b.Ret()
	})
}

// memorySeries is what passes from stores to loads.
func memorySeries() []Experiment {
	slot, upper, other := x86.M8(x86.RSP, -8), x86.M8(x86.RSP, -4), x86.M8(x86.RDI, 64)
	pair := func(name string, store, load func(b *x86.Buf)) Experiment {
		return repeated(name, 16, 2, func(b *x86.Buf, _ int) {
			store(b)
			load(b)
		})
	}
	// The address is there a cycle after the last load; the load is of the upper half of what the store wrote.
	late := func(name string, load x86.Reg) Experiment {
		e := repeated(name, 16, 3, func(b *x86.Buf, _ int) {
			b.Lea64RM(x86.RDX, x86.X8(x86.RDI, x86.RAX, 1, 0))
			b.Mov64MR(x86.M0(x86.RDX), x86.RCX)
			b.Mov32RM(x86.RAX, x86.M8(load, 4))
		})
		e.Sequence.Regs[x86.RAX], e.Sequence.Regs[x86.RCX] = 0, 0
		return e
	}
	two := pair(expTwoBases, func(b *x86.Buf) { b.Mov64MR(other, x86.RAX) }, func(b *x86.Buf) { b.Mov64RM(x86.RAX, x86.M8(x86.RSI, 64)) })
	two.Sequence.Regs[x86.RSI] = two.Sequence.Regs[x86.RDI]
	chase := repeated(expLoad, 16, 1, func(b *x86.Buf, _ int) { b.Mov64RM(x86.RAX, x86.M0(x86.RAX)) })
	at := uint64(measured.DataBase) + 0x100
	chase.Sequence.Regs[x86.RAX] = at
	chase.Sequence.Mem = []measured.MemWord{{Addr: x86.Addr(at), Value: at}}
	return []Experiment{
		chase, two,
		pair(expStackPair, func(b *x86.Buf) { b.Mov64MR(slot, x86.RAX) }, func(b *x86.Buf) { b.Mov64RM(x86.RAX, slot) }),
		pair(expOffset, func(b *x86.Buf) { b.Mov64MR(slot, x86.RAX) }, func(b *x86.Buf) { b.Mov32RM(x86.RAX, upper) }),
		late(expLateStore, x86.RDI),
		late(expLateBoth, x86.RDX),
		pair(expByte, func(b *x86.Buf) { b.Mov64MR(slot, x86.RAX) }, func(b *x86.Buf) { b.Movzx32RM8(x86.RAX, slot) }),
		repeated(expRMWImm, 16, 1, func(b *x86.Buf, _ int) { b.MI8(x86.FormAdd64MI8, other, 1) }),
		repeated(expRMWReg, 16, 1, func(b *x86.Buf, _ int) { b.MR(x86.FormAdd64MR, other, x86.RBX) }),
		repeated(expLeave, 8, 3, func(b *x86.Buf, _ int) {
			b.Push64O(x86.RBP)
			b.Mov64MR(x86.R(x86.RBP), x86.RSP)
			b.Leave()
		}),
		repeated(expFail, 4, 3, func(b *x86.Buf, _ int) {
			b.Mov32MR(slot, x86.RAX)
			b.Mov32MR(upper, x86.RCX)
			b.Mov64RM(x86.RAX, slot)
		}),
	}
}

// randomSeries is a branch on the top bit of a linear congruential generator, and the same without it. The
// generator goes on in memory from run to run, so that there is nothing to learn, but not within the loop:
// what waits there for the branch would be loads and their verification, too.
func randomSeries() []Experiment {
	const trips = 8192
	var out []Experiment
	for _, name := range []string{expNoBranch, expRandom} {
		e := framed(name, 1, 6, func(b *x86.Buf) { b.Mov64RM(x86.RAX, x86.M8(x86.RDI, 64)) }, func(b *x86.Buf) {
			b.RM(x86.FormImul64RM, x86.RAX, x86.R(x86.R8))
			b.MR(x86.FormAdd64MR, x86.R(x86.RAX), x86.R9)
			b.Mov64MR(x86.R(x86.RCX), x86.RAX)
			b.MI8(x86.FormShr64MI8, x86.R(x86.RCX), 63)
			if name == expRandom {
				b.I8(x86.FormJeD8, 3)
			}
			b.MR(x86.FormAdd64MR, x86.R(x86.RDX), x86.RCX)
		}, func(b *x86.Buf) { b.Mov64MR(x86.M8(x86.RDI, 64), x86.RAX) })
		e.Sequence.Trips = trips
		e.Sequence.Regs[x86.R12], e.Sequence.Regs[x86.R8], e.Sequence.Regs[x86.R9] = trips, 0x5851f42d4c957f2d, 0x14057b7ef767814f
		out = append(out, e)
	}
	return out
}

// fusing are the instructions whose fusion with a conditional jump is tried.
var fusing = []struct {
	row  string
	emit func(b *x86.Buf)
}{
	{"cmp_r64_r64", func(b *x86.Buf) { b.MR(x86.FormCmp64MR, x86.R(x86.RSI), x86.RBX) }},
	{"cmp_r64_imm8", func(b *x86.Buf) { b.MI8(x86.FormCmp64MI8, x86.R(x86.RSI), 3) }},
	{"cmp_r64_imm32", func(b *x86.Buf) { b.MI32(x86.FormCmp64MI32, x86.R(x86.RSI), 0x123456) }},
	{"test_r64_r64", func(b *x86.Buf) { b.MR(x86.FormTest64MR, x86.R(x86.RSI), x86.RSI) }},
	{"test_r64_imm32", func(b *x86.Buf) { b.MI32(x86.FormTest64MI32, x86.R(x86.RSI), 0x20001000) }},
	{"add_r64_r64", func(b *x86.Buf) { b.MR(x86.FormAdd64MR, x86.R(x86.R13), x86.RBX) }},
	{"add_r64_imm8", func(b *x86.Buf) { b.MI8(x86.FormAdd64MI8, x86.R(x86.R13), 3) }},
	{"sub_r64_r64", func(b *x86.Buf) { b.MR(x86.FormSub64MR, x86.R(x86.R13), x86.RBX) }},
	{"and_r64_r64", func(b *x86.Buf) { b.MR(x86.FormAnd64MR, x86.R(x86.R13), x86.R13) }},
	{"or_r64_r64", func(b *x86.Buf) { b.MR(x86.FormOr64MR, x86.R(x86.R13), x86.RBX) }},
	{"xor_r64_r64", func(b *x86.Buf) { b.MR(x86.FormXor64MR, x86.R(x86.R13), x86.RBX) }},
	{"inc_r64", func(b *x86.Buf) { b.Raw(0x49, 0xff, 0xc5) }},
	{"dec_r64", func(b *x86.Buf) { b.Raw(0x49, 0xff, 0xcd) }},
	{"cmp_m64_imm8", func(b *x86.Buf) { b.MI8(x86.FormCmp64MI8, x86.M8(x86.RSI, 0), 3) }},
}

// fusionSeries runs each with a jump that is never taken among nops: fused they take one slot.
func fusionSeries() []Experiment {
	var out []Experiment
	for _, f := range fusing {
		out = append(out, repeated(fusion(f.row), slotCopies, slotNops+2, func(b *x86.Buf, _ int) {
			f.emit(b)
			b.I32(x86.FormJeD32, 0)
			for range slotNops {
				nop(b)
			}
		}))
	}
	return out
}

// Plan returns all experiments.
func Plan() []Experiment { return append(seriesExperiments(), formExperiments(samples())...) }
