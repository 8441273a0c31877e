// SPDX-License-Identifier: GPL-2.0-only

package recognise

import (
	"github.com/tcsim/tcsim/jit/design"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// shape is what distinguishes designs beyond counter and frame: the code around the frame and the site.
type shape struct {
	head  []x86.Inst // between the place for trampolines and push rbp
	inner []x86.Inst // after mov rbp, rsp: two instructions
	again bool       // sub rsp stands once more, after these
	exit  *x86.Inst  // before the first leave and the pops of saved registers there, nil without one
}

// shape reads the shape of a function; ok is false without a frame.
func (r *recogniser) shape() (s shape, ok bool) {
	i, _ := r.at(r.entry)
	for ; i < len(r.insns); i++ {
		in := &r.insns[i]
		if in.Op == "push" && len(in.Operands) > 0 && in.Operands[0].Reg == x86.RBP {
			break
		}
		if in.Op != "endbr64" && !(len(s.head) == 0 && in.IsNop && in.Len == 5 && r.off(i) == r.firstOff()) {
			s.head = append(s.head, *in)
		}
	}
	if i+4 > len(r.insns) || r.insns[i+1].Op != "mov" {
		return s, false
	}
	s.inner = r.insns[i+2 : i+4]
	for k := i + 4; k < len(r.insns); k++ {
		s.again = s.again || reserves(&r.insns[k], 32)
		if r.insns[k].Op == "leave" && s.exit == nil {
			at := k - 1
			for r.insns[at].Op == "pop" && r.insns[at].Operands[0].Reg != x86.RCX {
				at--
			}
			s.exit = &r.insns[at]
		}
	}
	return s, true
}

// firstOff is where the place for trampolines would be: after endbr64.
func (r *recogniser) firstOff() image.CodeOff {
	i, _ := r.at(r.entry)
	if i < len(r.insns) && r.insns[i].Op == "endbr64" {
		i++
	}
	return r.off(i)
}

// size is how many bytes the head has.
func (s *shape) size() (n int) {
	for i := range s.head {
		n += int(s.head[i].Len)
	}
	return n
}

// reserves reports whether in is sub rsp with an immediate of so many bits.
func reserves(in *x86.Inst, bits int) bool {
	imm, ok := in.Imm()
	return ok && in.Op == "sub" && in.Operands[0].Reg == x86.RSP && (bits == 32) == (in.Len == 7) && imm >= 0
}

// storesRBP reports whether in is a mov to [rbp-8].
func storesRBP(in *x86.Inst) bool {
	return in.Op == "mov" && in.Store && in.Mem.Base == x86.RBP && in.Mem.Disp == -8
}

// call reads what a site does with what it called for the counter.
func (r *recogniser) call(s *site) design.CounterCall {
	i, ok := r.at(s.Limit)
	if !ok || i < 3 {
		return 0
	}
	test, before := &r.insns[i-1], &r.insns[i-3]
	switch {
	case test.Operands[0].Kind == x86.OpMem && r.insns[i].Cond == x86.CondE:
		return design.CallReadsLeft
	case test.Operands[0].Kind == x86.OpMem:
		return design.CallReads
	case before.Op == "mov" && before.Len == 10 && before.Operands[0].Reg == x86.RAX:
		return design.CallComparesOf
	}
	return design.CallCompares
}

// setup reads how the frame begins.
func (s *shape) setup() design.FrameSetup {
	first, second := &s.inner[0], &s.inner[1]
	fromRBP := first.Op == "mov" && first.Operands[0].Reg == x86.RAX && first.Operands[1].Reg == x86.RBP
	switch {
	case len(s.head) == 0 && (fromRBP || first.IsNop && first.Len == 3 && second.IsNop):
		return design.SetupFromRBP
	case reserves(first, 8) && storesRBP(second):
		return design.SetupPlace
	case reserves(first, 32):
		return design.SetupReserves
	}
	return design.SetupOther
}

// keepsHead reports whether tail calls leave the beginning of the frame in place.
func (s *shape) keepsHead() bool {
	return s.setup() == design.SetupPlace || s.setup() == design.SetupFromRBP
}

// exitCode reads how the first epilogue begins.
func (s *shape) exitCode() design.ExitCode {
	if s.exit == nil {
		return design.ExitPlain
	}
	switch in := s.exit; {
	case in.Op == "pop" && in.Operands[0].Reg == x86.RCX && s.setup() == design.SetupReserves:
		return design.ExitPopsRCX
	case in.Op == "mov" && in.Load && in.Operands[0].Reg == x86.RCX && in.Mem.Base == x86.RSP:
		return design.ExitLoadsRSP
	case in.Op == "mov" && in.Load && in.Operands[0].Reg == x86.RCX && in.Mem.Base == x86.RBP:
		return design.ExitLoadsRBP
	}
	return design.ExitPlain
}
