// SPDX-License-Identifier: GPL-2.0-only

package learn

import (
	"github.com/tcsim/tcsim/emu/timing/measured"
	"github.com/tcsim/tcsim/jit/x86"
)

// Experiment is a loop whose cycles tell one thing.
type Experiment struct {
	Name     string // unique: what the source of a value names
	Sequence measured.Sequence
	// Copies is by what the cycles of a trip are divided.
	Copies int
}

// The registers that experiments may use as they like: r12 counts trips, rsp, rbp, rdi and rsi point to
// memory, rbx is a source, rcx a small count.
var free = []x86.Reg{x86.RAX, x86.RDX, x86.R8, x86.R9, x86.R10, x86.R11, x86.R13, x86.R14}

// bodyInsns is about how many instructions a loop has, tripInsns how many a run of it executes.
const (
	bodyInsns = 64
	tripInsns = 24000
)

// loop makes an experiment of a body of so many copies and instructions; after is placed after the loop,
// for what the body calls.
func loop(name string, copies, insns int, body func(b *x86.Buf), after ...func(b *x86.Buf)) Experiment {
	none := func(*x86.Buf) {}
	return framed(name, copies, insns, none, body, none, after...)
}

// framed is loop with what is executed once, before and after all trips.
func framed(name string, copies, insns int, before, body, done func(b *x86.Buf), after ...func(b *x86.Buf)) Experiment {
	var b x86.Buf
	before(&b)
	start := b.Len()
	body(&b)
	b.Raw(0x49, 0xff, 0xcc) // dec r12
	b.I32(x86.FormJneD32, int32(start-(b.Len()+6)))
	close := b.Len()
	done(&b)
	b.Ret()
	for _, f := range after {
		f(&b)
	}
	s := measured.Sequence{
		Name: name, Kind: "learn", Code: b.Bytes(), At: measured.CodeBase,
		Data:  measured.Span{Addr: measured.DataBase, Size: measured.AreaSize},
		Stack: measured.Span{Addr: measured.StackBase, Size: measured.AreaSize},
		Start: start, End: close, Copies: max(1, copies), Trips: max(32, tripInsns/max(insns, 1)), InstructionsPerTrip: insns + 2,
	}
	s.Regs = measured.EntryRegs()
	s.Regs[x86.R12] = uint64(s.Trips)
	return Experiment{name, s, max(1, copies)}
}

// repeated is a loop of copies of a body that knows its number.
func repeated(name string, copies, insnsEach int, body func(b *x86.Buf, n int)) Experiment {
	return loop(name, copies, copies*insnsEach, func(b *x86.Buf) {
		for n := range copies {
			body(b, n)
		}
	})
}

// slotNops is how many nops accompany an instruction whose slots are measured.
const slotNops = 15

// slotCopies is how often it is repeated: so that what the loop costs does not count.
const slotCopies = 24

// nop is the one that accompanies: long enough for fetch to keep up on every core.
func nop(b *x86.Buf) { b.Nop(8) }

// formExperiments returns the experiments of all samples: throughput, slots and latency of each.
func formExperiments(all []sample) []Experiment {
	var out []Experiment
	for _, s := range all {
		mem := func(n int) x86.RM { return x86.M8(x86.RDI, int8(8*(n%8))) }
		out = append(out,
			repeated(s.row+" throughput", bodyInsns, 1, func(b *x86.Buf, n int) {
				s.emit(b, free[n%len(free)], x86.RBX, mem(n))
			}),
			repeated(s.row+" slots", slotCopies, slotNops+1, func(b *x86.Buf, n int) {
				s.emit(b, free[n%len(free)], x86.RBX, mem(n))
				for range slotNops {
					nop(b)
				}
			}))
		if s.chains() {
			src := x86.RBX
			if k := s.kinds(); k == "rm" || k == "rmi8" || k == "rmi32" {
				src = x86.RAX
			}
			out = append(out, repeated(s.row+" latency", bodyInsns, 1, func(b *x86.Buf, n int) {
				s.emit(b, x86.RAX, src, mem(n))
			}))
		}
	}
	return append(out, divisions()...)
}

// divisions measure the divider: in a chain with quotients of 8 and of 61 bits, and free of one.
func divisions() []Experiment {
	var out []Experiment
	for _, d := range []struct {
		row     string
		form    x86.FormID
		big     uint64
		or, div int
	}{
		{"div_r64", x86.FormDiv64M, 0x7ffffffffffffff0, 1, 1}, {"div_r32", x86.FormDiv32M, 0x7ffffff0, 1, 1},
	} {
		for _, q := range []struct {
			name string
			n    uint64
		}{{"short quotient", 0x200}, {"long quotient", d.big}} {
			e := repeated(d.row+" "+q.name, 8, 3, func(b *x86.Buf, _ int) {
				b.MR(x86.FormXor32MR, x86.R(x86.RDX), x86.RDX)
				b.M(d.form, x86.R(x86.RBX))
				b.MR(x86.FormOr64MR, x86.R(x86.RAX), x86.R15)
			})
			e.Sequence.Regs[x86.R15], e.Sequence.Regs[x86.RAX] = q.n, q.n
			out = append(out, e)
		}
		e := repeated(d.row+" throughput", 8, 3, func(b *x86.Buf, _ int) {
			b.MR(x86.FormXor32MR, x86.R(x86.RDX), x86.RDX)
			b.Mov32OI(x86.RAX, 0x200)
			b.M(d.form, x86.R(x86.RBX))
		})
		out = append(out, e)
	}
	return out
}
