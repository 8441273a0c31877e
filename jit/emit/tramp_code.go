// SPDX-License-Identifier: GPL-2.0-only

package emit

import (
	"errors"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/x86"
)

// trampEmitter writes one trampoline.
//
//	rbp+16   return address into the traced function, unless it jumps here
//	rbp+8    return address                    (the traced function's if it jumps here)
//	rbp      saved rbp
//	rbp-8    return value                      (if the traced function is called)
//	         arguments, the first lowest: what tracing programs get as context
//	         number of arguments               (since 5.17)
//	         saved rbx                         (since 6.6)
//	         run context, 16 bytes             (since 5.19)
//	         rax as it came: tail_call_cnt or tail_call_cnt_ptr (if the program can tail call)
//	         saved rbx                         (until 6.5)       <- rsp
type trampEmitter struct {
	Writer
	form kernels.Tramp
	f    *Traced

	// Offsets below rbp; 0 for what is not there.
	args, count, rbx, ctx, size int32
	bodyOff                     image.CodeOff // after enter
}

// trampArgs are the registers of arguments in the C calling convention.
var trampArgs = [...]x86.Reg{x86.RDI, x86.RSI, x86.RDX, x86.RCX, x86.R8, x86.R9}

// retSlot is where the return value is kept, below rbp.
const retSlot = 8

// place decides the frame.
func (e *trampEmitter) place() {
	e.args = 8 * int32(len(e.f.Args))
	if e.f.Calls() {
		e.args += 8
	}
	e.size = e.args
	take := func(yes bool, n int32) int32 {
		if !yes {
			return 0
		}
		e.size += n
		return e.size
	}
	e.count = take(e.form.Count, 8)
	e.rbx = take(!e.form.PushRBX, 8)
	e.ctx = take(e.form.RunCtx, 16) // struct bpf_tramp_run_ctx: cookie, saved context
}

// keeps reports whether rax is kept.
func (e *trampEmitter) keeps() bool {
	return !e.form.LosesRAX && e.f.TailCalls
}

// below is the place off bytes below rbp.
func below(off int32) x86.RM { return Mem(x86.RBP, -off) }

// all writes the trampoline.
func (e *trampEmitter) all() error {
	if e.form.ENDBR {
		e.EndBR()
	}
	if err := e.accountCall(); err != nil { // it was reached by a direct call
		return err
	}
	e.enter()
	e.bodyOff = image.CodeOff(e.Len())
	calls := e.f.Calls()
	held := calls && e.form.Held
	err := error(nil)
	if held {
		e.Mov64OI(x86.RDI, uint64(e.f.Image))
		err = e.callKernel("__bpf_tramp_enter")
	}
	err = errors.Join(err, e.runAll(Fentry))
	var skips []int
	if len(e.f.progs[FmodRet]) > 0 {
		var err2 error
		skips, err2 = e.modify()
		err = errors.Join(err, err2)
	}
	if calls {
		err = errors.Join(err, e.original(skips))
	}
	err = errors.Join(err, e.runAll(Fexit))
	if held {
		e.Mov64OI(x86.RDI, uint64(e.f.Image))
		err = errors.Join(err, e.callKernel("__bpf_tramp_exit"))
	}
	if !calls {
		e.loadArgs()
		e.reload()
	}
	return errors.Join(err, e.leave(), e.err)
}

// enter makes the frame and stores the arguments.
func (e *trampEmitter) enter() {
	e.Push64O(x86.RBP)                 // 55
	e.Mov64MR(x86.R(x86.RBP), x86.RSP) // 48 89 e5
	if isImm8(e.size) {
		e.Sub64MI8(x86.R(x86.RSP), int8(e.size)) // 48 83 ec size
	} else {
		e.Sub64MI32(x86.R(x86.RSP), e.size)
	}

	// What the function needs in rax is lost if it is not kept here.
	if e.keeps() {
		e.Push64O(x86.RAX) // 50
	}
	if e.form.PushRBX {
		e.Push64O(x86.RBX) // 53
	} else {
		e.Mov64MR(below(e.rbx), x86.RBX)
	}
	if e.count != 0 {
		e.movImm64(x86.RAX, uint64(len(e.f.Args))) // b8 count
		e.Mov64MR(below(e.count), x86.RAX)
	}
	for i := range e.f.Args {
		e.stx(e.sizeOf(i), below(e.args-8*int32(i)), trampArgs[i])
	}
}

// loadArgs is restore_regs.
func (e *trampEmitter) loadArgs() {
	for i := range e.f.Args {
		e.ldx(e.sizeOf(i), trampArgs[i], below(e.args-8*int32(i)))
	}
}

// sizeOf is the size bits of argument i.
func (e *trampEmitter) sizeOf(i int) uint8 {
	if !e.form.Sized {
		return bpf.SizeDW
	}
	return map[uint8]uint8{1: bpf.SizeB, 2: bpf.SizeH, 4: bpf.SizeW, 8: bpf.SizeDW}[e.f.Args[i]]
}

// reload puts rax back (LOAD_TRAMP_TAIL_CALL_CNT_PTR; RESTORE_TAIL_CALL_CNT until 6.11).
func (e *trampEmitter) reload() {
	if e.keeps() {
		e.Mov64RM(x86.RAX, x86.M32(x86.RBP, -e.size-8)) // 48 8b 85 disp32
	}
}

// runAll runs the programs of a kind.
func (e *trampEmitter) runAll(k TraceKind) error {
	for _, p := range e.f.progs[k] {
		if err := e.run(p, false); err != nil {
			return err
		}
	}
	return nil
}

// run is invoke_bpf_prog: the program between the functions that prepare and account for it.
func (e *trampEmitter) run(p TracingProg, keepResult bool) error {
	if e.form.ProgNop {
		e.Nop(5)
	}
	enter, exit := "__bpf_prog_enter", "__bpf_prog_exit"
	if e.form.Recur {
		enter, exit = "__bpf_prog_enter_recur", "__bpf_prog_exit_recur"
	}
	if e.form.RunCtx { // its cookie is 0
		e.movImm64(x86.RDI, 0) // 31 ff
		e.Mov64MR(below(e.ctx), x86.RDI)
	}
	if e.form.Guarded {
		e.Mov64OI(x86.RDI, uint64(p.Prog))
	}
	if e.form.RunCtx {
		e.Lea64RM(x86.RSI, below(e.ctx))
	}
	err := e.callKernel(enter)
	e.Mov64MR(x86.R(x86.RBX), x86.RAX) // the start time

	skip := 0
	if e.form.Guarded { // 0 means that the program is running on this CPU already
		e.Test64MR(x86.R(x86.RAX), x86.RAX)
		e.JeD8(0)
		skip = e.Len()
	}
	err = errors.Join(err, e.program(p, keepResult))
	if e.form.Guarded {
		e.SetRel8(skip)
	}

	e.Mov64OI(x86.RDI, uint64(p.Prog))
	e.Mov64MR(x86.R(x86.RSI), x86.RBX)
	if e.form.RunCtx {
		e.Lea64RM(x86.RDX, below(e.ctx))
	}
	return errors.Join(err, e.callKernel(exit))
}

// program calls a tracing program with the arguments as context.
func (e *trampEmitter) program(p TracingProg, keepResult bool) error {
	e.Lea64RM(x86.RDI, below(e.args))
	err := e.call(p.Func, true)
	if keepResult {
		e.Mov64MR(below(retSlot), x86.RAX)
	}
	return err
}

// modify runs the fmod_ret programs and returns the ends of the jumps that skip the function.
func (e *trampEmitter) modify() (skips []int, err error) {
	e.movImm64(x86.RAX, 0) // 31 c0
	e.Mov64MR(below(retSlot), x86.RAX)
	for _, p := range e.f.progs[FmodRet] {
		if err := e.run(p, true); err != nil {
			return nil, err
		}
		e.Cmp64MI8(below(retSlot), 0) // 48 83 7d f8 00
		e.JneD32(0)
		skips = append(skips, e.Len())
	}
	return skips, nil
}

// original calls the traced function after its patched instruction, unless a program said what to
// return.
func (e *trampEmitter) original(skips []int) error {
	if e.form.Held || len(e.f.progs[Fentry])+len(e.f.progs[FmodRet]) > 0 { // else nothing has changed them
		e.loadArgs()
	}
	e.reload()
	err := e.call(e.body(), true)
	e.Mov64MR(below(retSlot), x86.RAX)
	if e.form.Held && !e.form.ProgNop {
		e.Nop(5) // patched to a jump to the exit when the trampoline goes
	}
	if len(skips) > 0 {
		for n := -e.Len() & (trampAlign - 1); n > 0; {
			k := min(n, e.form.NopMax)
			e.Nop(k)
			n -= k
		}
	}
	for _, end := range skips {
		e.SetRel32(end)
	}
	return err
}

// leave takes the frame down and returns: after the patched instruction of the traced function, or
// to its caller if the function has been called.
func (e *trampEmitter) leave() error {
	if e.f.Calls() {
		e.Mov64RM(x86.RAX, below(retSlot))
	}
	if e.form.PushRBX {
		e.Pop64O(x86.RBX) // 5b
	} else {
		e.Mov64RM(x86.RBX, below(e.rbx))
	}
	e.Leave() // c9
	if e.f.Calls() && !e.jumps() {
		e.Add64MI8(x86.R(x86.RSP), 8) // 48 83 c4 08: the return into the traced function
	}
	return e.ret()
}

// callKernel calls a kernel function by name.
func (e *trampEmitter) callKernel(name string) error {
	a, err := e.Writer.Func.c.symbol(name)
	if err != nil {
		return err
	}
	return e.call(a, false)
}

// call appends a call (emit_rsb_call); of is the callee.
func (e *trampEmitter) call(to image.Addr, program bool) error {
	f := e.Writer.Func
	if program || !f.c.hasCallThunk(to) {
		if err := e.accountCall(); err != nil {
			return err
		}
	}
	rel := int32(0)
	if f.img != nil {
		var err error
		if rel, err = e.rel32(to, 5); err != nil {
			return err
		}
		f.img.Calls = append(f.img.Calls, image.CallSite{Insn: -1, Off: image.CodeOff(e.Len()), Target: to, Func: -1})
	}
	e.CallD32(rel)
	return nil
}

// frame describes the frame.
func (e *trampEmitter) frame() image.Frame {
	fr := image.Frame{Landing: -1, Body: e.bodyOff}
	add := func(off, size int32, kind image.SlotKind, r x86.Reg) {
		fr.Slots = append(fr.Slots, image.FrameSlot{Off: off, Size: size, Kind: kind, Reg: r})
	}
	add(8, 8, image.SlotReturn, 0)
	add(0, 8, image.SlotSavedReg, x86.RBP)
	if e.f.Calls() {
		add(-retSlot, 8, image.SlotTraceReturn, 0)
	}
	if n := int32(len(e.f.Args)); n > 0 {
		add(-e.args, 8*n, image.SlotTraceArgs, 0)
	}
	if e.count != 0 {
		add(-e.count, 8, image.SlotTraceCount, 0)
	}
	if e.rbx != 0 {
		add(-e.rbx, 8, image.SlotSavedReg, x86.RBX)
		fr.Saved = append(fr.Saved, x86.RBX)
	}
	if e.ctx != 0 {
		add(-e.ctx, 16, image.SlotTraceCtx, 0)
	}
	low := -e.size
	if e.keeps() {
		low -= 8
		add(low, 8, e.Writer.Func.c.design.Rax, 0)
	}
	if e.form.PushRBX {
		add(low-8, 8, image.SlotSavedReg, x86.RBX)
		fr.Saved = append(fr.Saved, x86.RBX)
	}
	return fr
}
