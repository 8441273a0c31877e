// SPDX-License-Identifier: GPL-2.0-only

package emit

import (
	"errors"
	"fmt"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/verify/form"
	"github.com/tcsim/tcsim/jit/x86"
)

func (e *Writer) compareReg(in *bpf.Insn) error {
	dst, src, w := e.regs[in.Dst], e.regs[in.Src], wide(in)
	if in.Op&0xf0 == bpf.JmpSet {
		e.MR([2]x86.FormID{x86.FormTest32MR, x86.FormTest64MR}[w], x86.R(dst), src)
	} else {
		e.MR([2]x86.FormID{x86.FormCmp32MR, x86.FormCmp64MR}[w], x86.R(dst), src)
	}
	return nil
}

func (e *Writer) compareImm(in *bpf.Insn) error {
	dst, w := e.regs[in.Dst], wide(in)
	switch {
	case in.Op&0xf0 == bpf.JmpSet:
		e.MI32([2]x86.FormID{x86.FormTest32MI32, x86.FormTest64MI32}[w], x86.R(dst), in.Imm)
	case in.Imm == 0 && !e.Func.Config.Emit.ZeroByCmp:
		e.MR([2]x86.FormID{x86.FormTest32MR, x86.FormTest64MR}[w], x86.R(dst), dst)
	case isImm8(in.Imm):
		e.MI8([2]x86.FormID{x86.FormCmp32MI8, x86.FormCmp64MI8}[w], x86.R(dst), int8(in.Imm))
	default:
		e.MI32([2]x86.FormID{x86.FormCmp32MI32, x86.FormCmp64MI32}[w], x86.R(dst), in.Imm)
	}
	return nil
}

// loadImm64 is never called: insn hands both halves to wide.
func (e *Writer) loadImm64(*bpf.Insn) error { return errors.New("BUG: half of a 16-byte load") }

// wide is ld_imm64, with map references resolved as the verifier does before the JIT runs.
func (e *Writer) wide(in, second *bpf.Insn) error {
	imm, err := e.wideImm(in, second)
	if err != nil {
		return err
	}
	switch dst := e.regs[in.Dst]; {
	case !e.Func.Config.Emit.LongForms:
		e.movImm64(dst, imm)
	case imm == 0:
		e.Xor64MR(x86.R(dst), dst) // 48 31 c0
	default:
		e.Mov64OI(dst, imm) // 48 b8 imm64
	}
	return nil
}

// wideImm is what ld_imm64 loads.
func (e *Writer) wideImm(in, second *bpf.Insn) (imm uint64, err error) {
	switch in.Src {
	case 0:
		imm = uint64(uint32(in.Imm)) | uint64(uint32(second.Imm))<<32
	case bpf.PseudoMap:
		a, err := e.Func.c.env.MapAddr(int(in.Imm))
		if err != nil {
			return 0, err
		}
		imm = uint64(a)
	case bpf.PseudoMapValue:
		a, err := e.Func.c.env.MapValue(int(in.Imm))
		if err != nil {
			return 0, err
		}
		imm = uint64(a) + uint64(uint32(second.Imm))
	case bpf.PseudoFunc:
		a, err := e.funcPointer(in)
		if err != nil {
			return 0, err
		}
		imm = uint64(a)
	case bpf.PseudoSymbol:
		return 0, fmt.Errorf("where a symbol of the kernel is is not known: %w", kernels.ErrUnsupported)
	default:
		return 0, fmt.Errorf("16-byte load of kind %d: %w", in.Src, kernels.ErrUnsupported)
	}
	return imm, nil
}

// modulesAddr stands in for the address of a function before it has one; with it the load has its
// final size (jit_subprogs: MODULES_VADDR, or a non-zero upper half before 6.8).
const modulesAddr image.Addr = 0xffffffffc0000000

// funcPointer is the address of a callback function, which Imm of in points to.
func (e *Writer) funcPointer(in *bpf.Insn) (image.Addr, error) {
	to := int64(e.Func.Info.Start) + int64(e.cur) + 1 + int64(in.Imm)
	for _, f := range e.Func.c.fns {
		if int64(f.Info.Start) != to {
			continue
		}
		if e.Func.img == nil {
			return modulesAddr, nil
		}
		return f.addr + image.Addr(f.c.cfiSize()), nil
	}
	return 0, fmt.Errorf("pointer to slot %d, where no function starts", to)
}

// call is a helper call or a call of a subprogram.
func (e *Writer) call(in *bpf.Insn) error {
	f := e.Func
	sub := in.Src == bpf.PseudoCall
	if in.Src > bpf.PseudoKfunc {
		return fmt.Errorf("call of kind %d: %w", in.Src, kernels.ErrUnsupported)
	}
	if sub && (in.Imm < 0 || int(in.Imm) >= len(f.c.fns)) {
		return fmt.Errorf("call of function %d of %d", in.Imm, len(f.c.fns))
	}
	if f.Reachable && (sub || f.Config.Emit.HelperReload) {
		from := e.Len()
		f.c.design.Reload(e)
		if err := e.vary(CodeReload, from, nil); err != nil {
			return err
		}
	}
	if f.privateFP != 0 {
		e.Push64O(x86.R9) // 41 51
	}
	var target image.Addr
	var err error
	if sub {
		callee := f.c.fns[in.Imm]
		target = callee.addr + image.Addr(f.c.cfiSize())
	} else if target, err = f.c.kernelFunc(in); err != nil {
		return err
	}
	if sub || !f.c.hasCallThunk(target) {
		if err := e.accountCall(); err != nil {
			return err
		}
	}
	site := image.CallSite{Insn: f.Info.Start + bpf.InsnIndex(e.cur), Off: image.CodeOff(e.Len()), Target: target, Func: -1, AX: f.c.takesAX(in)}
	var rel int32
	if f.img != nil {
		if rel, err = e.rel32(target, 5); err != nil {
			return err
		}
	}
	e.CallD32(rel)
	if f.privateFP != 0 {
		e.Pop64O(x86.R9) // 41 59
	}
	if sub {
		site.Func = int(in.Imm)
		if b, ok := f.c.design.Code.(takesBack); ok {
			at := image.CodeOff(e.Len())
			if b.TakeBack(e, f.c.fns[in.Imm]) {
				site.TakeBack = at
			}
		}
	}
	if f.img != nil {
		f.img.Calls = append(f.img.Calls, site)
	}
	return nil
}

// takesAX reports whether in calls what takes BPF_REG_AX and changes nothing else.
func (c *compiler) takesAX(in *bpf.Insn) bool {
	return c.v.Program != nil && c.v.Program.CalledName(*in) == form.TimedMayGoto
}

// kernelFunc returns the address of the helper or kernel function that in calls.
func (c *compiler) kernelFunc(in *bpf.Insn) (image.Addr, error) {
	if name := c.v.KernelFunc(*in); name != "" {
		return c.symbol(name)
	}
	return c.env.Helper(in.Imm)
}

// accountCall is x86_call_depth_emit_accounting: sar qword ptr gs:[rip+x], 5.
func (e *Writer) accountCall() error {
	name := e.Func.Config.Emit.CallDepth
	if name == "" {
		return nil
	}
	a, err := e.Func.c.symbol(name)
	if err != nil {
		return err
	}
	const size = 9 // 65 48 c1 3d rel32 05
	rel := int32(a - e.ip() - size)
	e.GS()
	e.Sar64MI8(x86.RIP32(rel), 5)
	return nil
}

// rel32 returns the displacement from the end of an instruction of size bytes that begins here;
// emit_patch refuses targets out of range.
func (e *Writer) rel32(target image.Addr, size int) (int32, error) {
	d := int64(target - e.ip() - image.Addr(size))
	if d != int64(int32(d)) {
		return 0, fmt.Errorf("target %#x is out of range of %#x", target, e.ip())
	}
	return int32(d), nil
}

// jumpSymbol appends a jump to a kernel symbol.
func (e *Writer) jumpSymbol(name string) error {
	var rel int32
	if e.Func.img != nil {
		a, err := e.Func.c.symbol(name)
		if err != nil {
			return err
		}
		if rel, err = e.rel32(a, 5); err != nil {
			return err
		}
	}
	e.JmpD32(rel)
	return nil
}

// exit is the first exit of the function: the epilogue.
func (e *Writer) exit(*bpf.Insn) error {
	from := e.Len()
	e.Func.c.design.Epilogue(e)
	if err := e.ret(); err != nil {
		return err
	}
	return e.vary(CodeEpilogue, from, nil)
}

// ret is emit_return.
func (e *Writer) ret() error {
	emit := &e.Func.Config.Emit
	if emit.ReturnThunk != "" {
		return e.jumpSymbol(emit.ReturnThunk)
	}
	e.Ret()
	if emit.SLS {
		e.Int3()
	}
	return nil
}

// JumpRCX is emit_indirect_jump for rcx, the register of every design since 5.10.
func (e *Writer) JumpRCX(s *image.TailCallSite) error { return e.JumpReg(s, x86.RCX) }

// JumpReg jumps to the address in r. It notes the jump itself, not the lfence before it, in the site.
// The thunks are those for rcx: kernels with designs that use another register have none.
func (e *Writer) JumpReg(s *image.TailCallSite, r x86.Reg) error {
	emit := &e.Func.Config.Emit
	s.Jump = image.CodeOff(e.Len())
	switch emit.Branch {
	case kernels.BranchThunk, kernels.BranchDepth, kernels.BranchITS:
		if r != x86.RCX {
			return fmt.Errorf("jump thunk for %s: %w", r, kernels.ErrUnsupported)
		}
		return e.jumpSymbol(branchSymbols[emit.Branch])
	case kernels.BranchLFENCE:
		e.Lfence()
		s.Jump = image.CodeOff(e.Len())
		e.Jmp64M(x86.R(r))
	case kernels.BranchRetpoline:
		e.retpoline(r)
	default:
		e.Jmp64M(x86.R(r))
		if emit.JumpSLS {
			e.Int3()
		}
	}
	return nil
}

// retpoline is RETPOLINE_RCX_BPF_JIT and RETPOLINE_RAX_BPF_JIT of kernels before 5.12: call over a
// loop that catches speculation, replace the return address, return.
func (e *Writer) retpoline(r x86.Reg) {
	e.CallD32(7) // e8 07 00 00 00

	// Speculation stays here.
	e.Pause()
	e.Lfence()
	e.JmpD8(-7) // eb f9

	e.Mov64MR(x86.M0(x86.RSP), r)
	e.Ret()
}

// tailCall is a tail call: direct if Imm names a poke descriptor.
func (e *Writer) tailCall(in *bpf.Insn) error {
	f := e.Func
	site := image.TailCallSite{
		Insn: f.Info.Start + bpf.InsnIndex(e.cur), Start: image.CodeOff(e.Len()), Map: -1,
		Bounds: -1, Limit: -1, Null: -1, Bump: -1, Unwind: -1, Bypass: -1, Jump: -1,
	}
	var err error
	part := CodeIndirect
	if in.Imm == 0 {
		e.label = &f.indirectLabel
		err = f.c.design.Indirect(e, &site)
	} else {
		if in.Imm < 0 || int(in.Imm) > len(f.c.v.Pokes) {
			return fmt.Errorf("poke descriptor %d of %d", in.Imm-1, len(f.c.v.Pokes))
		}
		poke := f.c.v.Pokes[in.Imm-1]
		site.Direct, site.Map, site.Key = true, poke.Map, poke.Key
		e.label = &f.directLabel
		part, err = CodeDirect, f.c.design.Direct(e, &site)
	}
	if err = errors.Join(err, e.err); err != nil {
		return err
	}
	if err = e.vary(part, int(site.Start), &site); err != nil {
		return err
	}
	site.End = image.CodeOff(e.Len())
	if f.img != nil {
		f.img.TailCalls = append(f.img.TailCalls, site)
	}
	return nil
}
