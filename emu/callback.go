// SPDX-License-Identifier: GPL-2.0-only

package emu

/*
#include "engine.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"maps"
	"runtime/cgo"
	"slices"
	"unsafe"

	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/emu/helper"
	"github.com/tcsim/tcsim/emu/kernel"
	"github.com/tcsim/tcsim/emu/record"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// The C records are handed out as Go records: the layouts must agree.
var (
	_ = [1]struct{}{}[unsafe.Sizeof(record.Retired{})-C.sizeof_tcs_retired]
	_ = [1]struct{}{}[unsafe.Sizeof(record.Site{})-C.sizeof_tcs_site]
	_ = [1]struct{}{}[unsafe.Offsetof(record.Site{}.Stack)-unsafe.Offsetof(C.tcs_site{}.stack)]
	_ = [1]struct{}{}[unsafe.Offsetof(record.Site{}.RDX)-unsafe.Offsetof(C.tcs_site{}.rdx)]
	_ = [1]struct{}{}[unsafe.Offsetof(record.Site{}.Prev)-unsafe.Offsetof(C.tcs_site{}.prev)]
)

func fromHandle(h C.uintptr_t) *Machine { return cgo.Handle(h).Value().(*Machine) }

// deliver hands both rings to the observer, empty ones too.
func (m *Machine) deliver() (stop bool) {
	if m.observer == nil {
		return false
	}
	retired := unsafe.Slice((*record.Retired)(unsafe.Pointer(m.c.ring)), int(m.c.n))
	sites := unsafe.Slice((*record.Site)(unsafe.Pointer(m.c.sites)), int(m.c.nsites))
	if m.frames != nil {
		m.frames.Frames(unsafe.Slice((*[FrameSize]byte)(m.frameBuf), int(m.c.nsites)))
	}
	stop = m.observer.Retired(retired)
	return m.observer.Sites(sites) || stop
}

//export tcsDrain
func tcsDrain(h C.uintptr_t) C.int {
	if fromHandle(h).deliver() {
		return 1
	}
	return 0
}

// decodeAhead is how many instructions are decoded at once: coming here from the engine costs more than decoding one.
const decodeAhead = 32

// tcsDecode fills the entry of an instruction that is executed for the first time, and of those after it in its page that are
// not known yet, up to a branch.
//
//export tcsDecode
func tcsDecode(h C.uintptr_t, addr C.uint64_t, e *C.tcs_insn) {
	m := fromHandle(h)
	at := image.Addr(addr)
	for range decodeAhead {
		m.decodeEntry(at, e)
		next := at + image.Addr(e.len)
		if e.flags&(C.TCS_BAD|C.TCS_BRANCH) != 0 || next&^(guest.PageSize-1) != at&^(guest.PageSize-1) {
			return
		}
		e = (*C.tcs_insn)(unsafe.Add(unsafe.Pointer(e), uintptr(next-at)*C.sizeof_tcs_insn))
		if at = next; e.len != 0 || e.flags != 0 {
			return
		}
	}
}

// decodeEntry fills the entry of an instruction.
func (m *Machine) decodeEntry(at image.Addr, e *C.tcs_insn) {
	var room [x86.MaxInstLen]byte
	code := room[:m.Mem.Code(at, room[:])]
	i, err := m.cache.Decode(code, at)
	if err != nil || !m.allowed(&i) || !describe(&i, e) {
		e.flags = C.TCS_BAD
		return
	}
	if p := splitPrefixes(code[:i.Len]); refusedForm(&p) != "" {
		e.flags = C.TCS_BAD
		return
	}
	e.quirk, e.reg = quirkOf(&i), quirkReg(&i)
}

// outside are instructions that would bring something of the host's into a run.
var outside = map[string]bool{
	"rdtsc": true, "rdtscp": true, "rdrand": true, "rdseed": true, "rdpmc": true, "cpuid": true, "in": true,
	"insb": true, "insw": true, "insd": true, "outsb": true, "outsw": true, "outsd": true,
}

// refusedInsns are those and kernelOnly.
var refusedInsns = func() map[string]bool {
	all := maps.Clone(outside)
	maps.Copy(all, kernelOnly)
	return all
}()

// allowed reports whether a run that records may execute the instruction. The only out
// instructions are those of helper stubs.
func (m *Machine) allowed(i *x86.Inst) bool {
	if i.Op == "mov" && (i.Operands[0].Kind == x86.OpOther || i.Operands[1].Kind == x86.OpOther) {
		return false // control, debug and segment registers: the machine's own business; a breakpoint in dr7 ends the engine
	}
	if i.Op != "out" {
		return !refusedInsns[i.Op]
	}
	return slices.ContainsFunc(m.Stubs, func(s kernel.Stub) bool { return s.Work == i.PC })
}

// describe fills e; it reports false for an operand that the recorder cannot follow.
func describe(i *x86.Inst, e *C.tcs_insn) bool {
	e.flags, e.len = 0, C.uint8_t(i.Len)
	e.base, e.index, e.disp = C.TCS_NOREG, C.TCS_NOREG, 0
	if i.Branch != x86.BranchNone || i.Trap {
		e.flags |= C.TCS_BRANCH
	}
	switch i.Branch {
	case x86.BranchCall, x86.BranchCallIndirect:
		e.flags |= C.TCS_CALL
	case x86.BranchRet:
		e.flags |= C.TCS_RET
	}
	explicit := i.HasMem && (i.Load || i.Store)
	if i.Stack.Any() && !explicit {
		e.flags |= C.TCS_MEM
		e.base, e.disp = C.uint8_t(i.Stack.Base), C.int32_t(i.Stack.Off)
		return true
	}
	if !explicit {
		describeDivision(i, e)
		return true
	}
	a := &i.Mem
	if a.Seg == x86.SegFS || a.Disp != int64(int32(a.Disp)) {
		return false
	}
	e.flags |= C.TCS_MEM
	e.disp = C.int32_t(a.Disp)
	if a.RIPRel {
		e.base = C.TCS_RIP
	} else if a.Base != x86.RegNone {
		e.base = C.uint8_t(a.Base)
	}
	if a.Index != x86.RegNone {
		shift := map[uint8]uint8{1: 0, 2: 1, 4: 2, 8: 3}[a.Scale]
		e.index = C.uint8_t(uint8(a.Index) | shift<<4)
	}
	if a.Seg == x86.SegGS {
		e.flags |= C.TCS_GS
	}
	if a.Addr32 {
		e.flags |= C.TCS_ADDR32
	}
	return true
}

// describeDivision fills e for a division by a register of 32 or 64 bits.
func describeDivision(i *x86.Inst, e *C.tcs_insn) {
	if i.Op != "div" && i.Op != "idiv" || i.OpBits < 32 {
		return
	}
	e.flags |= C.TCS_DIV
	e.base, e.index = C.uint8_t(i.Operands[0].Reg), C.uint8_t(i.OpBits/8)
	if i.Op == "idiv" {
		e.index |= C.TCS_SIGNED
	}
}

// tcsHelper runs the helper whose stub is being executed. It must not panic: there are C frames
// above.
//
//export tcsHelper
func tcsHelper(h C.uintptr_t, port C.uint32_t, rip C.uint64_t) {
	m := fromHandle(h)
	if err := m.callHelper(int(port), image.Addr(rip)); err != nil {
		C.tcs_stop(m.c, C.TCS_STOP_HELPER)
	}
}

// callHelper fails if it is not the stub of helper n that is at rip.
func (m *Machine) callHelper(n int, rip image.Addr) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
		if err != nil {
			if errors.As(err, &m.helperErr) {
				return // a fault of its own kind
			}
			m.helperErr = m.newFault(FaultHelper, rip)
			m.helperErr.Err = err
			if n < len(m.Stubs) && m.Stubs[n].Work == rip {
				m.helperErr.Name = m.Stubs[n].Name
			}
		}
	}()
	if n >= len(m.Stubs) || m.Stubs[n].Work != rip {
		return errors.New("out instruction that is no helper's")
	}
	s := &m.Stubs[n]
	var r Regs
	m.regs(&r)
	if !s.Helper.Resumed((*helper.Regs)(&r)) {
		m.calls[n]++
	}
	if f := m.flagsFault(rip); f != nil {
		f.Name = s.Name
		return f
	}
	if s.Helper == nil {
		return helper.ErrNotModelled
	}
	if err := s.Helper.Call(&m.Env, (*helper.Regs)(&r)); err != nil {
		return err
	}
	m.setRegs(&r)
	return nil
}
