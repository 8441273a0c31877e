// SPDX-License-Identifier: GPL-2.0-only

package emu

/*
#include "engine.h"
*/
import "C"

import (
	"slices"

	uc "github.com/unicorn-engine/unicorn/bindings/go/unicorn"

	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// Processor exceptions (Intel SDM vol. 3A, table 7-1).
const (
	vectorDivide    = 0
	vectorBreak     = 3
	vectorUndefined = 6
	vectorProtect   = 13
	vectorPageFault = 14
)

// guardSize is the distance below the stack within which an access is an overflow of it: a frame
// may step over the first page.
const guardSize = 16 * guest.PageSize

// newFault describes the instruction at rip and the registers.
func (m *Machine) newFault(k FaultKind, rip image.Addr) *Fault {
	f := &Fault{Kind: k, RIP: rip, Vector: -1}
	m.regs(&f.Regs)
	if g := m.FuncAt(rip); g != nil {
		f.Image, f.Func = g.Image, g.FuncImage
		f.Insn, f.HasInsn = g.InsnAt(image.CodeOff(rip - g.Addr))
	}
	f.Last = m.lastRetired(rip)
	return f
}

// engineFault is for errors that the engine itself returns.
func (m *Machine) engineFault(err uc.UcError, rip image.Addr) *Fault {
	kind := FaultException
	if err == uc.ERR_INSN_INVALID {
		kind = FaultDecode
	}
	f := m.newFault(kind, rip)
	f.Err = err
	return f
}

func (m *Machine) trapFault(vector int, rip image.Addr) *Fault {
	f := m.newFault(FaultException, rip)
	f.Vector = vector
	switch vector {
	case vectorDivide:
		f.Kind = FaultDivide
	case vectorBreak:
		f.Kind = FaultBreak
	case vectorPageFault:
		f.Access = image.Addr(m.c.cr2)
		m.pageFault(f)
	case vectorProtect:
		if i, err := m.decode(f.RIP); err != nil {
			f.Kind, f.Access = FaultFetch, f.RIP
		} else if a, ok := effective(&i, &f.Regs); ok && !canonical(a) {
			f.Access = a
			m.pageFault(f)
		}
	}
	return f
}

func canonical(a image.Addr) bool {
	top := int64(a) >> 47
	return top == 0 || top == -1
}

// effective returns the address that an instruction accesses, given the registers before it.
func effective(i *x86.Inst, r *Regs) (a image.Addr, ok bool) {
	if i.Stack.Any() {
		return image.Addr(r[i.Stack.Base] + uint64(int64(i.Stack.Off))), true
	}
	if !i.HasMem || i.Mem.Seg != x86.SegNone {
		return 0, false
	}
	a = image.Addr(i.Mem.Disp)
	if i.Mem.RIPRel {
		a += i.Next()
	}
	if i.Mem.Base != x86.RegNone {
		a += image.Addr(r[i.Mem.Base])
	}
	if i.Mem.Index != x86.RegNone {
		a += image.Addr(r[i.Mem.Index] * uint64(i.Mem.Scale))
	}
	return a, true
}

// pageFault tells fetches, guard pages and other accesses apart. The kind of access follows from
// the instruction, as the engine does not report the error code.
func (m *Machine) pageFault(f *Fault) {
	page := f.Access &^ (guest.PageSize - 1)
	bottom := guest.StackTop - image.Addr(m.cfg.StackSize)
	i, err := m.decode(f.RIP)
	switch {
	case f.Access == f.RIP || err != nil:
		f.Kind = FaultFetch
	case f.Access < bottom && f.Access >= bottom-guardSize || page == guest.StackTop:
		f.Kind = FaultGuard
	default:
		f.Kind = FaultAccess
	}
	if err == nil {
		f.Write = i.Store && i.HasMem || i.Stack.Store && !(i.HasMem && i.Load && page != f.stackPage())
	}
}

// stackPage is the page below rsp, where push and call store.
func (f *Fault) stackPage() image.Addr { return image.Addr(f.Regs[4]-8) &^ (guest.PageSize - 1) }

// lastRetired returns up to 16 instructions before the present one. The ring still holds what was
// drained.
func (m *Machine) lastRetired(rip image.Addr) []image.Addr {
	const want = 16
	var last []image.Addr
	switch m.c.level {
	case C.TCS_LEVEL_RETIRED:
		ring, n := m.ring(), int(m.c.n)
		have := min(want, int(uint64(m.c.base))+n)
		for i := n - have; i < n; i++ {
			last = append(last, image.Addr(ring[(i+len(ring))%len(ring)].rip))
		}
	case C.TCS_LEVEL_SITES:
		last = m.lastInBlocks(rip, want)
	}
	return last
}

// lastInBlocks unfolds the most recent translation blocks; the latest one has only been executed
// up to the present instruction, at rip.
func (m *Machine) lastInBlocks(rip image.Addr, want int) []image.Addr {
	total, n := int(m.c.nrecent), min(int(m.c.nrecent), C.TCS_RECENT)
	var last []image.Addr
	for b := total - 1; b >= total-n && len(last) < want; b-- {
		at := image.Addr(m.c.recent[b%C.TCS_RECENT])
		var insns []image.Addr
		for range int(C.tcs_insn_at(m.c, C.uint64_t(at)).count) {
			if b == total-1 && at == rip {
				break
			}
			insns = append(insns, at)
			at += image.Addr(C.tcs_insn_at(m.c, C.uint64_t(at)).len)
		}
		slices.Reverse(insns)
		last = append(last, insns...)
	}
	last = last[:min(len(last), want)]
	slices.Reverse(last)
	return last
}
