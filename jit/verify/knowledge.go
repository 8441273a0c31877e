// SPDX-License-Identifier: GPL-2.0-only

package verify

import (
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/verify/holds"
	"github.com/tcsim/tcsim/jit/verify/shape"
)

// Knowledge is what the verifier has found out about a program when it begins to rewrite it, by slot.
type Knowledge struct {
	Program *bpf.Program // with the jumps decided that constants decide
	Funcs   []FuncInfo
	Visited []bool            // some path leads there
	Arena   bool              // the program has an arena
	Arenas  []bool            // accesses to it
	Fast    []shape.Fastcalls // of each function: spills and fills that go; nil if none do
	Narrow  []bool            // 64-bit arithmetic on addresses in it

	x *explorer
}

// Through is what an access goes through.
type Through uint8

// The kinds that are rewritten.
const (
	ThroughOther Through = iota
	ThroughContext
	ThroughPacket
)

// Accept follows a program as users write it. The error is why the target's kernel refuses it.
func Accept(p *bpf.Program, t *kernels.Kernel) (*Knowledge, error) {
	x, _, err := accept(p, t)
	if x != nil {
		x.recycle()
	}
	if err != nil {
		return nil, err
	}
	return &Knowledge{Program: x.p, Funcs: x.funcs, Visited: x.visited, Arena: x.arena, Arenas: x.arenas, Narrow: x.narrow, Fast: x.fast, x: x}, nil
}

// Through says what the load or store at a slot goes through.
func (k *Knowledge) Through(i bpf.InsnIndex) Through {
	switch k.x.base[i] {
	case holds.Context:
		return ThroughContext
	case holds.Packet, holds.PacketMeta:
		return ThroughPacket
	}
	return ThroughOther
}

// Lookup returns the map that all paths to the call at a slot pass; ok is false if they differ.
func (k *Knowledge) Lookup(i bpf.InsnIndex) (m int, ok bool) {
	f := k.x.lookups[i]
	if f == nil {
		return 0, false
	}
	return f.Index()
}

// Loop returns the function that the call of bpf_loop at a slot calls; ok is false if that differs or flags are passed.
func (k *Knowledge) Loop(i bpf.InsnIndex) (callback bpf.InsnIndex, ok bool) {
	l := k.x.loops[i]
	if l == nil {
		return 0, false
	}
	return l.Function()
}
