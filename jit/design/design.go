// SPDX-License-Identifier: GPL-2.0-only

package design

import (
	"slices"
	"strings"

	"github.com/tcsim/tcsim/jit/emit"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/x86"
)

// Design identifies a tail-call design. What is true of one is in its Traits; names are for
// reading and printing only.
type ID uint8

// The designs. Each needs a row in designs.
const (
	None ID = iota
	Rework510
	Rework67
	Hier612
	Classic44
	FPShift413
	JoshSimple
	FPR12
	FP40
	FPDbl
	FP53
	DirectPoke
	PopNopPush
	IPAux
	JmpAlwaysValid
	HierRFC1
	HierRFC2
	MaciejHidden16
	HierPerCPU
	HierPerCPUProgA
	HierPerCPUProgB
	HierPerCPUDec
	HierTask
	HierRunCtx
	BackpropPoke
	BackpropCheck

	designCount
)

// code is the code of a design, which tells what is true of it. One file each, that reads from top to bottom as the
// kernel's functions of the same jobs.
type code interface {
	emit.Code
	traits() Traits
}

// designs holds the code of each design.
var designs = [designCount]code{
	Rework510:       rework{},
	Rework67:        rework67{},
	Hier612:         hier{},
	Classic44:       classic{},
	FPShift413:      fpshift{},
	JoshSimple:      joshSimple{},
	FPR12:           fpR12{},
	FP40:            fp40{},
	FPDbl:           fpDbl{},
	FP53:            fp53{},
	DirectPoke:      directPoke{},
	PopNopPush:      popNopPush{},
	IPAux:           ipAux{},
	JmpAlwaysValid:  jmpAlwaysValid{},
	HierRFC1:        hierRFC1{},
	HierRFC2:        hierRFC2{},
	MaciejHidden16:  hidden16{},
	HierPerCPU:      hierPerCPU{},
	HierPerCPUProgA: hierPerCPUProgA{},
	HierPerCPUProgB: hierPerCPUProgB{},
	HierPerCPUDec:   hierPerCPUDec{},
	HierTask:        hierTask{},
	HierRunCtx:      hierRunCtx{},
	BackpropPoke:    backpropPoke{},
	BackpropCheck:   backpropCheck{},
}

// allTraits are those of all designs, asked for once.
var allTraits = func() (t [designCount]Traits) {
	for _, d := range All() {
		if designs[d] != nil {
			t[d] = designs[d].traits()
		}
	}
	return t
}()

// Traits returns what is true of the design. The result is shared: do not change it.
func (d ID) Traits() *Traits { return &allTraits[d] }

// FP returns the register that programs' accesses through r10 go by, and what is added to it.
func (d ID) FP() (reg x86.Reg, add int32) {
	if s, ok := designs[d].(emit.FramePointer); ok {
		return s.FP()
	}
	return x86.RBP, 0
}

// Emission returns the design as emission needs it; ok is false for None.
func (d ID) Emission() (e emit.Design, ok bool) {
	if d >= designCount || designs[d] == nil {
		return e, false
	}
	t := d.Traits()
	e = emit.Design{Code: designs[d], Boundary: t.Boundary == BoundarySaves, Rax: image.SlotTailCallPtr}
	if t.Handover == HandCount {
		e.Rax = image.SlotTailCallCnt
	}
	return e, true
}

// String returns the design's name, "" for None.
func (d ID) String() string { return allTraits[d].Name }

// MarshalText gives the name, for JSON.
func (d ID) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// All returns all designs, those of kernels with captures first.
func All() []ID {
	var all []ID
	for d := None + 1; d < designCount; d++ {
		all = append(all, d)
	}
	return all
}

// ByName reads the name of a design.
func ByName(name string) (d ID, ok bool) {
	i := slices.IndexFunc(All(), func(d ID) bool { return d.String() == name })
	return ID(i + 1), i >= 0
}

// OfKernel returns the design that is one of releases' designs. Each of those has one: TestTraits.
func OfKernel(k kernels.Design) ID {
	for _, d := range All() {
		if k != kernels.NoDesign && d.Traits().Kernel == k {
			return d
		}
	}
	return None
}

// Set is a set of designs, as bits.
type Set uint64

// SetOf returns a set.
func SetOf(designs ...ID) (s Set) {
	for _, d := range designs {
		s |= 1 << d
	}
	return s
}

// Has reports whether d is one of them.
func (s Set) Has(d ID) bool { return s>>d&1 != 0 }

// Designs returns them in the order of All.
func (s Set) Designs() []ID {
	return slices.DeleteFunc(All(), func(d ID) bool { return !s.Has(d) })
}

// String joins the names by "or".
func (s Set) String() string {
	var names []string
	for _, d := range s.Designs() {
		names = append(names, d.String())
	}
	return strings.Join(names, " or ")
}
