// SPDX-License-Identifier: GPL-2.0-only

package emu

/*
#include <stdlib.h>
#include "engine.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"slices"
	"unsafe"

	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// loadMarks marks the instructions of guest.Setup.Marks, and sets their hooks at sites level.
func (m *Machine) loadMarks() error {
	m.marks = m.Setup.Marks
	if m.marks == nil {
		m.marks = m.defaultMarks()
	}
	m.marks = slices.Clone(m.marks)
	slices.Sort(m.marks)
	m.marks = slices.Compact(m.marks)
	counters := []image.Counter{{}, {}} // index 0 means not marked
	for _, a := range m.marks {
		f := m.FuncAt(a)
		if f == nil {
			return fmt.Errorf("mark at %#x: no function there", uint64(a))
		}
		i := 1 + slices.Index(counters[1:], f.Frame.Counter)
		if i == 0 {
			i = len(counters)
			counters = append(counters, f.Frame.Counter)
		}
		C.tcs_insn_at(m.c, C.uint64_t(a)).mark = C.uint16_t(i)
	}
	C.free(unsafe.Pointer(m.c.marks))
	m.c.marks = (*C.tcs_mark)(C.calloc(C.size_t(len(counters)), C.sizeof_tcs_mark))
	if m.c.marks == nil {
		return fmt.Errorf("mark: out of memory")
	}
	for i, k := range unsafe.Slice(m.c.marks, len(counters)) {
		c := counters[i]
		k.form, k.size, k.off = C.uint8_t(c.Form), C.uint8_t(c.Size), C.int32_t(c.Off)
		unsafe.Slice(m.c.marks, len(counters))[i] = k
	}
	return m.hookMarks()
}

// defaultMarks are the entry of each image, calls, returns, and the jump and end of tail calls.
func (m *Machine) defaultMarks() []image.Addr {
	var a []image.Addr
	for _, img := range m.Setup.Images {
		a = append(a, img.Funcs[0].Addr+image.Addr(img.Funcs[0].Entry))
	}
	for _, f := range m.Funcs {
		inside := func(off image.CodeOff) {
			if off >= 0 && int(off) < len(f.Code) {
				a = append(a, f.Addr+image.Addr(off))
			}
		}
		for _, c := range f.Calls {
			inside(c.Off)
		}
		for _, t := range f.TailCalls {
			inside(t.Jump)
			inside(t.End)
		}
		for off := 0; off < len(f.Code); {
			i, err := m.cache.Decode(f.Code[off:], f.Addr+image.Addr(off))
			if err != nil {
				break // found again, as a fault, if it is executed
			}
			if i.Branch == x86.BranchRet && !inTailCall(f.FuncImage, image.CodeOff(off)) ||
				i.Branch == x86.BranchJump && m.IsReturn(i.Target) {
				inside(image.CodeOff(off))
			}
			off += int(i.Len)
		}
	}
	return a
}

// inTailCall says that a ret belongs to an inline retpoline.
func inTailCall(f *image.FuncImage, off image.CodeOff) bool {
	for _, t := range f.TailCalls {
		if off >= t.Start && off < t.End {
			return true
		}
	}
	return false
}

// marked reports whether an instruction that touches [begin, end) may be marked.
func (m *Machine) marked(begin, end image.Addr) bool {
	i, _ := slices.BinarySearch(m.marks, begin-x86.MaxInstLen)
	return i < len(m.marks) && m.marks[i] < end
}

// hookMarks gives marked instructions that do not end a translation block a hook of their own. It
// is needed at sites level only.
func (m *Machine) hookMarks() error {
	var addrs []C.uint64_t
	if m.c.level == C.TCS_LEVEL_SITES {
		for _, a := range m.marks {
			i, err := m.decode(a)
			if err != nil || i.Branch == x86.BranchNone {
				addrs = append(addrs, C.uint64_t(a))
			}
		}
	}
	if len(addrs) == 0 && m.c.nmark_hooks == 0 {
		return nil
	}
	old := slices.Clone(m.hooked)
	m.hooked = m.hooked[:0]
	for _, a := range addrs {
		m.hooked = append(m.hooked, image.Addr(a))
	}
	if slices.Equal(old, m.hooked) {
		return nil
	}
	if err := ucErr("add hooks", C.tcs_mark_hooks(m.c, unsafe.SliceData(addrs), C.uint32_t(len(addrs)))); err != nil {
		return err
	}
	for _, a := range append(old, m.hooked...) {
		if err := ucErr("remove translations", C.tcs_remove_cache(m.c, C.uint64_t(a), C.uint64_t(a+1))); err != nil {
			return err
		}
	}
	return nil
}

// setLevel exchanges the engine's hooks.
func (m *Machine) setLevel(l Level) error {
	if m.c.level == C.int(l) {
		return nil
	}
	if err := ucErr("set recording level", C.tcs_set_level(m.c, C.int(l))); err != nil {
		return err
	}
	m.translated += m.translationCost()
	if err := m.removeCache(); err != nil {
		return err
	}
	return errors.Join(m.hookMarks(), m.hookQuirks())
}

// decode decodes the instruction at a.
func (m *Machine) decode(a image.Addr) (x86.Inst, error) {
	var code [x86.MaxInstLen]byte
	n := m.Mem.Code(a, code[:])
	return m.cache.Decode(code[:n], a)
}
