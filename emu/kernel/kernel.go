// SPDX-License-Identifier: GPL-2.0-only

// Package kernel is the emulated kernel as programs meet it: the plan of its addresses, thunks, helper
// stubs, per-CPU variables, the routines of tail-call designs, functions to be traced; and how a setup
// is laid out in guest memory. It needs no engine.
package kernel

import (
	"slices"

	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/emu/helper"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// Kernel is what is loaded in guest memory. Text must be changed by the machine only, which knows what
// has been translated.
type Kernel struct {
	helper.Env
	Setup guest.Setup
	Funcs []Func // by address
	Stubs []Stub // by the number in their code

	stackSize uint64
	returns   map[image.Addr]bool
	fixups    map[image.Addr]Fixup // the exception table, by the address of the instruction
}

// Func is one function of an image.
type Func struct {
	*image.FuncImage
	Image int
}

// Stub is a helper at its address.
type Stub struct {
	Name   string
	Addr   image.Addr
	Work   image.Addr     // of the instruction that calls the machine
	Helper *helper.Helper // nil if not modelled
}

// Fixup is an entry of the exception table: where execution goes on, and what register becomes 0.
type Fixup struct {
	Next  image.Addr
	Clear x86.Reg // RegNone if none does
}

// New returns a kernel without programs in empty memory. Its stack will have a size in bytes.
func New(mem *guest.Memory, stackSize uint64) *Kernel {
	k := &Kernel{
		Env: helper.Env{Mem: mem}, stackSize: stackSize,
		returns: make(map[image.Addr]bool), fixups: make(map[image.Addr]Fixup),
	}
	k.Code = k
	return k
}

// IsReturn reports whether a jump to an address is a return: the address is that of a return thunk.
func (k *Kernel) IsReturn(a image.Addr) bool { return k.returns[a] }

// Fixup returns the entry of the exception table for an instruction.
func (k *Kernel) Fixup(a image.Addr) (Fixup, bool) {
	f, ok := k.fixups[a]
	return f, ok
}

// CodeAt implements helper.Code.
func (k *Kernel) CodeAt(a image.Addr) (*image.FuncImage, *image.Image) {
	if f := k.FuncAt(a); f != nil {
		return f.FuncImage, k.Setup.Images[f.Image]
	}
	return nil, nil
}

// HelperAt returns the name of the helper whose stub begins at an address. Thunks and other code of
// the kernel are not helpers.
func (k *Kernel) HelperAt(a image.Addr) (name string, ok bool) {
	for i := range k.Stubs {
		if k.Stubs[i].Addr == a {
			return k.Stubs[i].Name, true
		}
	}
	return "", false
}

// Worked reports whether a stub has just called the machine when an instruction at an address is to be executed.
func (k *Kernel) Worked(a image.Addr) bool {
	return slices.ContainsFunc(k.Stubs, func(s Stub) bool { return s.Work+StubTrash == a })
}

// FuncAt returns the function whose code contains a; nil if there is none.
func (k *Kernel) FuncAt(a image.Addr) *Func {
	i, found := slices.BinarySearchFunc(k.Funcs, a, func(f Func, a image.Addr) int {
		if f.Addr < a {
			return -1
		}
		if f.Addr > a {
			return 1
		}
		return 0
	})
	if !found {
		i--
	}
	if i < 0 || a >= k.Funcs[i].End() {
		return nil
	}
	return &k.Funcs[i]
}
