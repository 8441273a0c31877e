// SPDX-License-Identifier: GPL-2.0-only

package recognise

import (
	"fmt"

	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// LooseEnds finds parts of tail calls that belong to none that Recognise finds: so damaged is a tail call that it is not
// taken for one. These are jumps out of the function other than its exits, or into its prologue, reads and writes of the
// slots of the counter other than before calls, uses of stack below the frame, and what moves the stack pointer or pops a
// saved register other than at exits. Of code whose tail calls are of no known design
// it says nothing that helps. It errors if the code does not decode.
func LooseEnds(img *image.Image) ([]SiteFlaw, error) {
	rs, err := recognisers(img)
	if err != nil {
		return nil, err
	}
	var out []SiteFlaw
	for i, r := range rs {
		if r.pro.frame == 0 || r.pro.callback {
			continue
		}
		slots := r.counterSlots()
		for n := r.pro.end; n < len(r.insns); n++ {
			if text := r.looseEnd(n, slots); text != "" {
				in := &r.insns[n]
				out = append(out, SiteFlaw{Func: i, Off: r.off(n), Text: fmt.Sprintf("%s: %s, and it is in no tail call that is one", in.String(), text)})
			}
		}
	}
	return out, nil
}

// looseEnd says which part of a tail call instruction n is, "" if none or if its tail call is known. slots are those of
// the counter.
func (r *recogniser) looseEnd(n int, slots []int32) string {
	for i := range r.sites {
		if at := r.off(n); at >= r.sites[i].Start && at < r.sites[i].End {
			return ""
		}
	}
	in := &r.insns[n]
	to, inside := r.target(in)
	switch {
	case in.Branch == x86.BranchJumpIndirect && n > 0 && adds(&r.insns[n-1]) && r.insns[n-1].Operands[0] == in.Operands[0]:
		return "it jumps to a sum" // a program's own indirect jump goes where a table says
	case in.Branch == x86.BranchJump && !inside && !r.endsOrReads(n-1):
		return "it leaves the function"
	case (in.Branch == x86.BranchJump || in.Branch == x86.BranchCond) && inside && to < r.off(r.pro.end):
		return "it leads into the prologue"
	case in.Writes.Has(x86.RSP) && in.Branch == x86.BranchNone && in.Op != "push" && in.Op != "pop" && in.Op != "leave":
		return "it moves the stack pointer"
	case in.Op == "pop" && in.Operands[0].Kind == x86.OpReg && calleeSavedSet.Has(in.Operands[0].Reg) && !r.leaves(n):
		return "it takes a register off the stack"
	}
	if at, ok := r.inFrame(n); ok && at < r.pro.state.rsp-r.pro.rbp {
		return "it reaches below the frame that the prologue makes"
	}
	if in.HasMem && in.Mem.Base == x86.RBP && in.Mem.Index == x86.RegNone && (in.Load || in.Store) {
		for _, s := range slots {
			lo := int32(in.Mem.Disp)
			if lo < s+8 && s < lo+int32(in.Mem.Size) && (in.Store || !r.beforeCall(n)) {
				return "it uses the counter"
			}
		}
	}
	return ""
}

// inFrame returns where, from rbp, instruction n reads or writes, or makes an address of a copy of rbp.
func (r *recogniser) inFrame(n int) (at int32, ok bool) {
	in := &r.insns[n]
	if in.HasMem && in.Mem.Base == x86.RBP && in.Mem.Index == x86.RegNone && (in.Load || in.Store) {
		return int32(in.Mem.Disp), true
	}
	by, sum := added(in)
	if n == 0 || !sum || in.Op == "lea" {
		return 0, false
	}
	from, copies := copied(&r.insns[n-1])
	return int32(by), copies && from == x86.RBP && r.insns[n-1].Operands[0] == in.Operands[0]
}

// endsOrReads reports whether a jump out of the function after instruction n may be an exit, by way of the return thunk, or
// a program's own indirect jump, by way of another one: to what it has read from a table.
func (r *recogniser) endsOrReads(n int) bool {
	in := &r.insns[max(n, 0)]
	return in.Op == "leave" || in.Op == "mov" && in.Load
}

// leaves reports whether nothing but pops stand between instruction n and the end of the frame.
func (r *recogniser) leaves(n int) bool {
	for ; n < len(r.insns); n++ {
		if r.insns[n].Op != "pop" {
			return r.insns[n].Op == "leave"
		}
	}
	return false
}

// beforeCall reports whether the next branch after instruction n is a call.
func (r *recogniser) beforeCall(n int) bool {
	for n++; n < len(r.insns); n++ {
		if b := r.insns[n].Branch; b != x86.BranchNone {
			return b == x86.BranchCall
		}
	}
	return false
}
