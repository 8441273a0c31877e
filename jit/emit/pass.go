// SPDX-License-Identifier: GPL-2.0-only

package emit

import (
	"errors"
	"fmt"
	"math"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// paddingPasses is PADDING_PASSES of bpf_int_jit_compile (arch/x86/net/bpf_jit_comp.c), the pass from which on
// jumps are padded instead of shrunk.
const paddingPasses = 20 - 5

// maxInsnSize is BPF_MAX_INSN_SIZE: do_jit gives up on an instruction that takes more bytes.
const maxInsnSize = 128

// insnPlan is what the passes need to know of an instruction. Only the size of jumps depends on
// addresses, so everything else is emitted once to learn its size and once for good.
type insnPlan struct {
	kind opKind
	size uint8 // bytes without the jump
	// to is the index into addrs of a jump's destination; -1 for the epilogue and selfLoop for
	// an unconditional jump to itself.
	to int32
}

const (
	toCleanup = -1
	selfLoop  = -2
)

// settle finds the size of every instruction: the passes of do_jit until the image stops
// shrinking.
func (f *Func) settle() error {
	n := len(f.insns)
	f.plan = make([]insnPlan, n)
	f.addrs = make([]int32, n+1)
	for i := range f.addrs {
		f.addrs[i] = int32(64 * (i + 1))
	}
	f.cleanup = int32(64 * (n + 1))
	prologue, err := f.measure()
	if err != nil {
		return err
	}
	last := int32(0)
	for pass := 0; pass < f.Config.Emit.Passes; pass++ {
		f.padding = f.Config.Emit.PadJumps && pass >= paddingPasses
		size, err := f.pass(prologue)
		if err != nil {
			return err
		}
		if size == last {
			// The next pass of the kernel writes the image and pads if it is late enough.
			f.padding = f.Config.Emit.PadJumps && pass+1 >= paddingPasses
			f.size = int(size)
			return nil
		}
		last = size
	}
	return fmt.Errorf("function %d (%s): %w", f.idx, f.Info.Name, ErrNotJITed)
}

// measure emits everything once to learn sizes and checks the instructions on the way.
func (f *Func) measure() (prologue int32, err error) {
	e := newWriter(f, make([]byte, 0, 256))
	if err := e.prologue(); err != nil {
		return 0, err
	}
	prologue = int32(e.Len())
	seenExit := false
	for i := 0; i < len(f.insns); i++ {
		p := &f.plan[i]
		p.kind = opTable[f.insns[i].Op].kind
		if p.kind == kindExit {
			if seenExit {
				p.kind = kindExitJump
			}
			seenExit = true
		}
		e.Reset()
		e.base = 0
		if err := f.check(i, p); err != nil {
			return 0, f.c.fail(f.Info.Start+bpf.InsnIndex(i), err)
		}
		if err := e.insn(i); err != nil {
			return 0, f.c.fail(f.Info.Start+bpf.InsnIndex(i), err)
		}
		if e.Len() > maxInsnSize {
			return 0, f.c.fail(f.Info.Start+bpf.InsnIndex(i), fmt.Errorf("%d bytes of code, at most %d fit", e.Len(), maxInsnSize))
		}
		p.size = uint8(e.Len())
		if p.kind == kindWide {
			i++
			f.plan[i].kind = kindSecond
		}
	}
	return prologue, nil
}

// pass is one round of do_jit without an image: it moves addrs and returns the size.
func (f *Func) pass(prologue int32) (int32, error) {
	f.addrs[0] = prologue
	size := prologue
	for i := range f.plan {
		p := &f.plan[i]
		switch p.kind {
		case kindSecond:
			// do_jit never touches addrs of a first half and skips over the second one.
		case kindWide:
			size += int32(p.size)
			f.addrs[i+2] = size
			continue
		case kindExit:
			f.cleanup = size
			size += int32(p.size)
		case kindCond, kindJump, kindExitJump:
			j, err := f.jump(i, int32(p.size))
			if err != nil {
				return 0, f.c.fail(f.Info.Start+bpf.InsnIndex(i), err)
			}
			size += int32(p.size) + int32(j.nops) + int32(j.size)
		default:
			size += int32(p.size)
		}
		if p.kind != kindSecond {
			f.addrs[i+1] = size
		}
	}
	return size, nil
}

// jumpPlan is the jump of one instruction as one pass would emit it.
type jumpPlan struct {
	nops uint8 // bytes of padding before the jump
	size uint8 // 0, 2, 5 or 6
	off  int32 // displacement
}

// jump decides the jump of instruction i after its comparison, which takes before bytes: the labels emit_cond_jmp and emit_jmp of do_jit.
func (f *Func) jump(i int, before int32) (jumpPlan, error) {
	p := &f.plan[i]
	var off int64
	switch p.to {
	case selfLoop:
		off = -2
	case toCleanup:
		off = int64(f.cleanup) - int64(f.addrs[i+1])
	default:
		off = int64(f.addrs[p.to]) - int64(f.addrs[i+1])
	}
	// INSN_SZ_DIFF: how much larger the instruction was in the previous pass.
	room := f.addrs[i+1] - f.addrs[i] - before
	j := jumpPlan{off: int32(off)}
	long := uint8(5)
	if p.kind == kindCond {
		long = 6
	}
	switch {
	case off == 0 && p.kind == kindJump:
		return f.pad(j, room, 2, 5)
	case off >= math.MinInt8 && off <= int64(f.Config.Emit.MaxRel8):
		j.size = 2
		return f.pad(j, room-2, int32(long)-2, int32(long)-2)
	case off == int64(int32(off)):
		j.size = long
		return j, nil
	}
	return j, errors.New("jump is out of range")
}

// pad fills the room that a jump had in the previous pass if padding is on; do_jit knows two
// sizes that it can be besides 0.
func (f *Func) pad(j jumpPlan, room, a, b int32) (jumpPlan, error) {
	if !f.padding {
		return j, nil
	}
	if room != 0 && room != a && room != b {
		return j, fmt.Errorf("unexpected jump padding of %d bytes: %w", room, ErrNotJITed)
	}
	j.nops = uint8(room)
	return j, nil
}

// emit writes the image at its address: the last pass of do_jit.
func (f *Func) emit() error {
	e := newWriter(f, make([]byte, 0, f.size))
	e.tell(f.c.t.Ways)
	img := f.img
	img.Name, img.Addr, img.Entry = f.Info.Name, f.addr, f.c.cfiSize()
	img.FirstInsn, img.ExceptionCB = f.Info.Start, f.Info.ExceptionCB
	img.InsnOff = make([]image.CodeOff, len(f.insns)+1)
	if err := e.prologue(); err != nil {
		return err
	}
	img.Frame = f.c.design.Frame(f)
	img.Frame.Body = image.CodeOff(e.Len())
	for i := range f.insns {
		if f.plan[i].kind == kindSecond {
			img.InsnOff[i] = image.CodeOff(e.Len())
			continue
		}
		e.base = e.Len()
		img.InsnOff[i] = image.CodeOff(e.base)
		if err := e.insn(i); err != nil {
			return f.c.fail(f.Info.Start+bpf.InsnIndex(i), err)
		}
		if err := e.jump(i); err != nil {
			return f.c.fail(f.Info.Start+bpf.InsnIndex(i), err)
		}
		end := i + 1
		if f.plan[i].kind == kindWide {
			end++
		}
		if e.Len() != int(f.addrs[end]) {
			// do_jit: "bpf_jit: fatal error", the sizes settled but not the addresses.
			return f.c.fail(f.Info.Start+bpf.InsnIndex(i), fmt.Errorf("ends at %d, not at %d: %w", e.Len(), f.addrs[end], ErrNotJITed))
		}
	}
	img.InsnOff[len(f.insns)] = image.CodeOff(e.Len())
	img.Code = e.Bytes()
	return nil
}

// jump appends the jump of instruction i, if it is one.
func (e *Writer) jump(i int) error {
	p := &e.Func.plan[i]
	switch p.kind {
	case kindCond, kindJump, kindExitJump:
	default:
		return nil
	}
	j, err := e.Func.jump(i, int32(e.Len()-e.base))
	if err != nil {
		return err
	}
	e.nops(int(j.nops))
	from := e.Len()
	switch {
	case j.size == 0:
	case p.kind == kindCond:
		form := condForms[e.Func.insns[i].Op>>4]
		if j.size == 2 {
			e.I8(form.short, int8(j.off))
		} else {
			e.I32(form.near, j.off)
		}
	case j.size == 2:
		e.JmpD8(int8(j.off))
	default:
		e.JmpD32(j.off)
	}
	if v := e.Func.Config.Variant; v != nil && v.Jump != nil && e.Len() > from {
		copy(e.Bytes()[from:], v.Jump(e.Func.insns[i], append([]byte(nil), e.Bytes()[from:]...)))
	}
	return nil
}

// condForms are the conditional jumps by the operation bits of the BPF opcode.
var condForms = [16]struct{ short, near x86.FormID }{
	bpf.JmpEq >> 4:  {x86.FormJeD8, x86.FormJeD32},
	bpf.JmpSet >> 4: {x86.FormJneD8, x86.FormJneD32},
	bpf.JmpNe >> 4:  {x86.FormJneD8, x86.FormJneD32},
	bpf.JmpGt >> 4:  {x86.FormJaD8, x86.FormJaD32},
	bpf.JmpLt >> 4:  {x86.FormJbD8, x86.FormJbD32},
	bpf.JmpGe >> 4:  {x86.FormJaeD8, x86.FormJaeD32},
	bpf.JmpLe >> 4:  {x86.FormJbeD8, x86.FormJbeD32},
	bpf.JmpSgt >> 4: {x86.FormJgD8, x86.FormJgD32},
	bpf.JmpSlt >> 4: {x86.FormJlD8, x86.FormJlD32},
	bpf.JmpSge >> 4: {x86.FormJgeD8, x86.FormJgeD32},
	bpf.JmpSle >> 4: {x86.FormJleD8, x86.FormJleD32},
}
