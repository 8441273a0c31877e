// SPDX-License-Identifier: GPL-2.0-only

package explain

import (
	"slices"

	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// set is a set of registers and, above them, flags.
type set uint32

const flagsAt = 16

func regs(r x86.RegSet) set  { return set(r) }
func flags(f x86.Flags) set  { return set(f) << flagsAt }
func (s set) has(t set) bool { return s&t != 0 }

var (
	arguments = x86.RegSetOf(x86.RDI, x86.RSI, x86.RDX, x86.RCX, x86.R8, x86.R9)
	kept      = x86.RegSetOf(x86.RBX, x86.RBP, x86.RSP, x86.R12, x86.R13, x86.R14, x86.R15)
	scratch   = x86.RegSetOf(x86.R10, x86.R11)
	everyReg  = x86.RegSet(0xffff)
	clobbered = arguments | x86.RegSetOf(x86.RAX) | scratch
)

// liveness computes what is still needed before each instruction of a function, and at its end.
func liveness(l *listing, f *image.FuncImage) []set {
	live := make([]set, len(l.insns)+1)
	to := calleesOf(f)
	for changed := true; changed; {
		changed = false
		for i := len(l.insns) - 1; i >= 0; i-- {
			if v := before(l, i, live, &to); v != live[i] {
				live[i], changed = v, true
			}
		}
	}
	return live
}

// callees are the addresses of those that take other registers than helpers do.
type callees struct {
	internal map[image.Addr]bool // functions of the program, which may take the counter in rax
	ax       map[image.Addr]bool // take r10 and change nothing else
}

func calleesOf(f *image.FuncImage) callees {
	out := callees{internal: map[image.Addr]bool{}, ax: map[image.Addr]bool{}}
	for _, c := range f.Calls {
		if c.Func >= 0 {
			out.internal[c.Target] = true
		}
		if c.AX {
			out.ax[c.Target] = true
		}
	}
	return out
}

// before is what is needed before instruction i, given what is needed before others.
func before(l *listing, i int, live []set, callees *callees) set {
	in := &l.insns[i]
	own := regs(in.Reads) | flags(in.ReadsFlags)
	if in.HasMem {
		own |= regs(x86.RegSet(0).With(in.Mem.Base).With(in.Mem.Index))
	}
	df := flags(x86.FlagDF)
	to, inside := l.target(in)
	switch in.Branch {
	case x86.BranchRet:
		return own | regs(kept.With(x86.RAX)) | df
	case x86.BranchJumpIndirect:
		return own | regs(everyReg&^scratch) | df
	case x86.BranchJump:
		if inside && to >= 0 {
			return own | live[to]
		}
		return own | regs(everyReg&^scratch) | df
	case x86.BranchCond:
		v := own | live[i+1]
		if inside && to >= 0 {
			v |= live[to]
		}
		return v
	case x86.BranchCall, x86.BranchCallIndirect:
		if inside && to >= 0 && to != 0 && !callees.internal[in.Target] { // an inline thunk, which leaves
			return own | regs(everyReg) | df
		}
		if callees.ax[in.Target] {
			ax := regs(x86.RegSetOf(x86.R10))
			return own | ax | regs(x86.RegSetOf(x86.RSP, x86.RBP)) | df | live[i+1]&^ax&^flags(x86.FlagsStatus)
		}
		v := own | regs(arguments|x86.RegSetOf(x86.RSP, x86.RBP)) | df | live[i+1]&^regs(clobbered)&^flags(x86.FlagsStatus)
		if callees.internal[in.Target] || in.Branch == x86.BranchCallIndirect {
			v |= regs(x86.RegSetOf(x86.RAX))
		}
		return v
	}
	if in.Trap {
		return own
	}
	writes := in.Writes
	if slices.ContainsFunc(in.Ops(), func(o x86.Operand) bool { return o.Kind == x86.OpReg && o.Bits < 32 }) {
		writes = 0 // the rest of the register stays
	}
	return own | live[i+1]&^regs(writes)&^flags(in.WritesFlags&^in.ReadsFlags)
}
