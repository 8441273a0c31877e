// SPDX-License-Identifier: GPL-2.0-only

package recognise

import (
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// shape is what distinguishes designs beyond counter and frame: the code around the frame and the site.
type shape struct {
	head  []x86.Inst // between the place for trampolines and push rbp
	inner []x86.Inst // behind mov rbp, rsp: two instructions
	again bool       // sub rsp stands once more, behind these
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

// firstOff is where the place for trampolines would be: behind endbr64.
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

// calledName names the design of a site that calls a function for the counter.
func (r *recogniser) calledName(s *site) string {
	i, ok := r.at(s.Limit)
	if !ok || i < 3 {
		return UnknownDesign
	}
	test, before := &r.insns[i-1], &r.insns[i-3]
	switch {
	case test.Operands[0].Kind == x86.OpMem && r.insns[i].Cond == x86.CondE:
		return "hier-percpu-dec"
	case test.Operands[0].Kind == x86.OpMem:
		return "hier-task"
	case before.Op == "mov" && before.Len == 10 && before.Operands[0].Reg == x86.RAX:
		return "hier-percpu-prog-b"
	}
	return "hier-percpu"
}

// rfc1 reports whether the frame begins as in hier-rfc1: with rax made from rbp, or with the nops that
// are there in subprograms.
func (s *shape) rfc1() bool {
	in := &s.inner[0]
	made := in.Op == "mov" && in.Operands[0].Reg == x86.RAX && in.Operands[1].Reg == x86.RBP
	return len(s.head) == 0 && (made || in.IsNop && in.Len == 3 && s.inner[1].IsNop)
}

// hidden16 reports whether the frame begins with the place of maciej-hidden16 and a pointer in it.
func (s *shape) hidden16() bool { return reserves(&s.inner[0], 8) && storesRBP(&s.inner[1]) }

// pointerName names the designs in which each frame has the address of a counter of 4 bytes.
func (s *shape) pointerName() string {
	switch {
	case s.hidden16():
		return "maciej-hidden16"
	case s.size() == 15:
		return "hier-percpu-prog-a"
	case s.size() == 7:
		return "hier-runctx"
	}
	return UnknownDesign
}

// valueName names the designs in which each frame has a counter of 4 bytes behind the place for
// trampolines. ip-aux and jmp-always-valid emit the same, and so does pop-nop-push where there are no
// direct tail calls: only these build the frame again.
func (s *shape) valueName() string {
	pops := s.exit != nil && s.exit.Op == "pop" && s.exit.Operands[0].Reg == x86.RCX
	loads := s.exit != nil && s.exit.Op == "mov" && s.exit.Load && s.exit.Operands[0].Reg == x86.RCX
	switch {
	case loads && s.exit.Mem.Base == x86.RSP:
		return "backprop-poke"
	case loads && s.exit.Mem.Base == x86.RBP:
		return "backprop-check"
	case reserves(&s.inner[0], 32) && pops && s.again:
		return "pop-nop-push"
	case reserves(&s.inner[0], 32) && pops:
		return "ip-aux"
	}
	return "rework-5.10"
}
