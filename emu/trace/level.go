// SPDX-License-Identifier: GPL-2.0-only

package trace

import (
	"math"

	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// levels is where rsp is at each instruction of a function, as far as that follows from the code
// alone: what JITs emit has one level in the whole body and leaves it only on the straight way through
// prologue, epilogue and the unwinding of a tail call. All distances are in bytes from where the
// return address lies.
type levels struct {
	rsp, rbp int32 // before the next instruction; unknownLevel
	body     [2]int32
	set      bool // body is known
	// restarted says that the next instruction goes on at the level of the body.
	restarted bool
	// joins are the targets of calls inside the function, and of jumps in the prologue, with rsp and rbp there.
	joins map[image.CodeOff][2]int32
	// reach are the levels of instructions with OpReach.
	reach map[image.CodeOff]int32
}

const unknownLevel = math.MinInt32

// Unlevel is what Levels says where the code alone does not tell.
const Unlevel = unknownLevel

// Levels tells visit of each instruction, in the order of offsets, where rsp and rbp are directly before it: in bytes
// from where the return address lies, or Unlevel; and whether that is as in the body because what stands before it does not
// lead here. It stops where the code cannot be decoded.
func (f *Fn) Levels(visit func(in *x86.Inst, rsp, rbp int32, body bool)) {
	var l levels
	for off := f.Entry; int(off) < len(f.Code); {
		in, err := x86.Decode(f.Code[off:], f.Addr+image.Addr(off))
		if err != nil {
			return
		}
		l.come(f, off)
		visit(&in, l.rsp, l.rbp, l.restarted)
		l.restarted = false
		l.move(f, &in)
		off += image.CodeOff(in.Len)
	}
}

// come is what being at an instruction means, whatever it is.
func (l *levels) come(f *Fn, off image.CodeOff) {
	if off == f.Entry {
		l.rsp, l.rbp = 0, unknownLevel
	}
	if at, ok := l.joins[off]; ok {
		l.rsp, l.rbp = at[0], at[1]
	}
	if body := f.bodyStart(); !l.set && body > 0 && off >= body {
		l.body, l.set = [2]int32{l.rsp, l.rbp}, true
	}
	if f.endsAt(off) {
		l.restart()
	}
}

// step takes the next instruction, in the order of offsets, and adds OpBelow if it writes below rsp.
func (l *levels) step(f *Fn, in *x86.Inst, off image.CodeOff, op Op) Op {
	l.come(f, off)
	if in.Store && in.HasMem && in.Mem.Seg == x86.SegNone && in.Mem.Index == x86.RegNone && l.rsp != unknownLevel {
		at := int64(math.MaxInt64)
		switch {
		case in.Mem.Base == x86.RBP && l.rbp != unknownLevel:
			at = int64(l.rbp) + in.Mem.Disp
		case in.Mem.Base == x86.RSP:
			at = int64(l.rsp) + in.Mem.Disp
		}
		if at < int64(l.rsp) {
			op |= OpBelow
		}
	}
	if op&OpReach != 0 && l.rsp != unknownLevel {
		if l.reach == nil {
			l.reach = make(map[image.CodeOff]int32)
		}
		l.reach[off] = l.rsp
	}
	l.move(f, in)
	return op
}

// bodyStart is the offset of the first instruction after the prologue.
func (f *Fn) bodyStart() image.CodeOff {
	if len(f.InsnOff) > 0 {
		return max(f.Frame.Body, f.InsnOff[0])
	}
	return f.Frame.Body
}

// restart goes on at the level of the body.
func (l *levels) restart() {
	l.rsp, l.rbp = unknownLevel, unknownLevel
	if l.set {
		l.rsp, l.rbp, l.restarted = l.body[0], l.body[1], true
	}
}

// move follows rsp and rbp through an instruction.
func (l *levels) move(f *Fn, in *x86.Inst) {
	if inside := in.Branch.Direct() && f.Contains(in.Target); inside && in.Branch == x86.BranchCall {
		l.join(f, in, add(l.rsp, -8))
	} else if inside && !l.set {
		l.join(f, in, l.rsp)
	}
	switch {
	case in.Branch == x86.BranchCall || in.Branch == x86.BranchCallIndirect:
		return
	case in.Branch == x86.BranchRet || in.Branch == x86.BranchJump || in.Branch == x86.BranchJumpIndirect || in.Trap:
		l.restart()
		return
	case in.Op == "leave":
		l.rsp, l.rbp = add(l.rbp, 8), unknownLevel
		return
	case in.Is("mov", x86.RBP, x86.RSP):
		l.rbp = l.rsp
		return
	case in.Is("mov", x86.RSP, x86.RBP):
		l.rsp = l.rbp
		return
	case in.Op == "lea" && in.Operands[0].Reg == x86.RSP && in.Mem.Base == x86.RBP && in.Mem.Index == x86.RegNone:
		l.rsp = add(l.rbp, in.Mem.Disp)
		return
	}
	n, imm := in.Imm()
	for _, r := range [...]struct {
		reg x86.Reg
		at  *int32
	}{{x86.RSP, &l.rsp}, {x86.RBP, &l.rbp}} {
		switch {
		case r.reg == x86.RSP && in.Stack.Any():
			l.rsp = add(l.rsp, int64(in.Stack.Delta))
		case !in.Writes.Has(r.reg):
		case in.Op == "add" && imm:
			*r.at = add(*r.at, n)
		case in.Op == "sub" && imm:
			*r.at = add(*r.at, -n)
		default:
			*r.at = unknownLevel
		}
	}
}

func (l *levels) join(f *Fn, in *x86.Inst, at int32) {
	if l.joins == nil {
		l.joins = make(map[image.CodeOff][2]int32)
	}
	l.joins[image.CodeOff(in.Target-f.Addr)] = [2]int32{at, l.rbp}
}

func add(level int32, n int64) int32 {
	if level == unknownLevel {
		return level
	}
	return int32(int64(level) + n)
}

// Level returns where rsp is directly before an instruction with OpReach, for a frame whose return
// address is at top: ok is false if that is unknown. It is not meant for frames that a tail call hands
// over whole.
func (f *Fn) Level(off image.CodeOff, top image.Addr) (rsp image.Addr, ok bool) {
	at, ok := f.level.reach[off]
	return top + image.Addr(int64(at)), ok
}
