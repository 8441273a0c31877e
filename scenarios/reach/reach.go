// SPDX-License-Identifier: GPL-2.0-only

package reach

import (
	"maps"
	"slices"

	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/verify"
	"github.com/tcsim/tcsim/jit/x86"
)

// Set collects what one case reaches on one target after the other. The zero value is not usable: see New. It is not safe
// for concurrent use.
type Set struct {
	has    map[uint32]struct{}
	target hash // every number begins with it
	cache  *x86.Cache
}

// New returns an empty set.
func New(cache *x86.Cache) *Set { return &Set{has: map[uint32]struct{}{}, target: start, cache: cache} }

// On says on which target what follows is reached.
func (s *Set) On(target string) { s.target = start.text(target) }

// Take returns what was reached, in order, and empties the set.
func (s *Set) Take() []uint32 {
	out := slices.Sorted(maps.Keys(s.has))
	clear(s.has)
	return out
}

func (s *Set) add(h hash) { s.has[uint32(h^h>>32)] = struct{}{} }

// hash is FNV-1a of 64 bits, over words.
type hash uint64

const start hash = 0xcbf29ce484222325

func (h hash) word(v uint64) hash {
	for range 4 {
		h = (h ^ hash(v&0xffff)) * 0x100000001b3
		v >>= 16
	}
	return h
}

func (h hash) text(s string) hash {
	for i := range len(s) {
		h = (h ^ hash(s[i])) * 0x100000001b3
	}
	return h
}

// What numbers are about: they begin with one of these.
const (
	aboutCode = iota + 1
	aboutOperands
	aboutJump
	aboutVerifier
	aboutEvents
	aboutEmitter
)

// Shape is what an emitter made of an instruction: which instructions of the processor in which lengths, whatever registers
// and numbers are in them.
func (s *Set) Shape(in bpf.Insn, code []byte) uint64 {
	h := start.word(uint64(in.Op))
	switch {
	case in.Op == bpf.OpCall:
		h = h.word(uint64(in.Src)) // which helper it is makes no other code
	case in.Class() == bpf.ClassSTX && in.Op&bpf.ModeMask == bpf.ModeAtomic:
		h = h.word(uint64(uint32(in.Imm)))
	case in.Class() == bpf.ClassALU || in.Class() == bpf.ClassALU64:
		h = h.word(uint64(uint16(in.Off)))
	}
	for len(code) > 0 {
		i, err := s.cache.Decode(code, 0)
		if err != nil {
			return uint64(h.word(1 << 32))
		}
		h = h.text(i.Op).word(uint64(i.Len) | uint64(i.OpBits)<<8)
		code = code[i.Len:]
	}
	return uint64(h)
}

// Executed notes that an instruction of a shape was executed.
func (s *Set) Executed(shape uint64) { s.add(s.target.word(aboutCode).word(shape)) }

// Jumped notes whether a conditional jump was taken.
func (s *Set) Jumped(shape uint64, taken bool) {
	h := s.target.word(aboutJump).word(shape)
	if taken {
		h = h.word(1)
	}
	s.add(h)
}

// Operands notes the numbers that an instruction is executed with: its destination, and its source or constant.
func (s *Set) Operands(in bpf.Insn, dst, src uint64) {
	s.add(s.target.word(aboutOperands).word(uint64(in.Op) | uint64(uint16(in.Off))<<8 | class(dst)<<32 | class(src)<<40))
}

// class is what kind of number it is.
func class(v uint64) uint64 {
	switch {
	case v <= 1:
		return v
	case v == 1<<64-1:
		return 2
	case v == 1<<63:
		return 3
	case uint32(v) == 1<<31:
		return 4
	case uint32(v) == 0:
		return 5
	case v < 1<<31:
		return 6
	case v < 1<<32:
		return 7
	case int64(v) < 0 && int64(v) >= -1<<31:
		return 8
	}
	return 9
}

// Verified notes what the verifier met at the instructions of a program.
func (s *Set) Verified(v *verify.Verified) {
	for i := bpf.InsnIndex(0); int(i) < len(v.Insns); i += v.Insns[i].Width() {
		s.add(s.target.word(aboutVerifier).word(uint64(v.Insns[i].Op) | uint64(v.Met[i])<<8))
	}
}

// Way notes a way through an emitter (emit.Config.Ways).
func (s *Set) Way(way uint64) { s.add(s.target.word(aboutEmitter).word(way)) }

// Image notes what an emitter made of all instructions of a program, whether or not they are executed.
func (s *Set) Image(v *verify.Verified, img *image.Image) {
	for n := range img.Funcs {
		f := &img.Funcs[n]
		for i := 0; i+1 < len(f.InsnOff); i++ {
			if from, to := f.InsnOff[i], f.InsnOff[i+1]; from < to {
				s.Executed(s.Shape(v.Insns[int(f.FirstInsn)+i], f.Code[from:to]))
			}
		}
	}
}

// Bounds of what is looked at of the events of a run: sequences of so many, and how deep they are.
const (
	maxEvents = 2048
	sequence  = 3
	maxDepth  = 5
)

// Events notes which events follow each other in a run.
func (s *Set) Events(all []trace.Event) {
	var last [sequence]uint64
	for i := range all[:min(len(all), maxEvents)] {
		e := &all[i]
		v := uint64(e.Kind) | uint64(e.Reason)<<8 | uint64(min(e.Depth, maxDepth))<<16
		if e.Tail != nil && e.Tail.Direct {
			v |= 1 << 24
		}
		if e.Fn != nil && e.Fn == e.Target {
			v |= 1 << 25
		}
		copy(last[:], last[1:])
		last[sequence-1] = v
		h := s.target.word(aboutEvents)
		for _, v := range last {
			h = h.word(v)
		}
		s.add(h)
	}
}
