// SPDX-License-Identifier: GPL-2.0-only

package kernel

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// The kernel's part in tail-call designs that do not keep tail_call_cnt on the stack of programs: the
// routines that such code calls, and where the counter is. They do what package image says of their
// kinds; the proposals have them as inline assembly, so that this code is ours.

const (
	// taskCnt is where task_struct has the field, if it has one.
	taskCnt = 0xbd8
	// cpuCntAddr is the displacement of the counter of the CPU, progCntBase that of the counter of the
	// first program, the others 64 bytes apart.
	cpuCntAddr  image.Addr = 0x36000
	progCntBase image.Addr = 0x38000
	routineBase            = guest.KernelText + 0x10000
)

// routineCode is a function of the kernel with the per-CPU variable that it uses, "" for none; emit gets
// the displacements of that and of the counter.
type routineCode struct {
	uses string
	emit func(b *x86.Buf, r image.Routine, variable, counter int32)
}

// routineCodes is by kind; variables have no code.
var routineCodes = map[image.RoutineKind]routineCode{
	image.CPUReset: {"", func(b *x86.Buf, _ image.Routine, _, counter int32) {
		b.GS()
		b.Mov32MI32(x86.Abs32(counter), 0)
	}},
	image.CPUFill: {"", func(b *x86.Buf, r image.Routine, _, counter int32) {
		b.GS()
		b.Mov32MI32(x86.Abs32(counter), int32(r.Limit))
	}},
	image.CPUFetch: {"", func(b *x86.Buf, _ image.Routine, _, counter int32) {
		b.GS()
		b.Mov32RM(x86.RAX, x86.Abs32(counter))
		b.GS()
		b.Inc32M(x86.Abs32(counter))
	}},
	image.CPUAddr: {"this_cpu_off", func(b *x86.Buf, _ image.Routine, cpuOff, counter int32) {
		b.GS()
		b.Mov64RM(x86.RAX, x86.Abs32(cpuOff))
		b.Add64I(counter)
	}},
	image.TaskReset: {"current_task", func(b *x86.Buf, _ image.Routine, task, _ int32) {
		b.GS()
		b.Mov64RM(x86.RAX, x86.Abs32(task))
		b.Mov32MI32(x86.M32(x86.RAX, taskCnt), 0)
	}},
	image.TaskAddr: {"current_task", func(b *x86.Buf, _ image.Routine, task, _ int32) {
		b.GS()
		b.Mov64RM(x86.RAX, x86.Abs32(task))
		b.Add64I(taskCnt)
	}},
	image.ProgramReset: {"this_cpu_off", func(b *x86.Buf, _ image.Routine, cpuOff, _ int32) {
		b.GS()
		b.Add64RM(x86.RAX, x86.Abs32(cpuOff))
		b.Mov32MI32(x86.M0(x86.RAX), 0)
	}},
	image.ProgramFetch: {"this_cpu_off", func(b *x86.Buf, _ image.Routine, cpuOff, _ int32) {
		b.GS()
		b.Add64RM(x86.RAX, x86.Abs32(cpuOff))
		b.Mov32RM(x86.RCX, x86.M0(x86.RAX))
		b.Inc32M(x86.M0(x86.RAX))
		b.Mov32MR(x86.R(x86.RAX), x86.RCX)
	}},
}

// Routine implements image.RoutineEnv. The counters of programs get their places in the order of the
// questions.
func (p *Plan) Routine(r image.Routine) (image.Addr, error) {
	if a, ok := p.routines[r]; ok {
		return a, nil
	}
	code, ok := routineCodes[r.Kind]
	if !ok && !r.Kind.Variable() {
		return 0, fmt.Errorf("routine %d of a tail-call design is not modelled", r.Kind)
	}
	// Each kind has a place, CPUFill, the last, one for each limit.
	a := routineBase + image.Addr(uint32(r.Kind-image.CPUReset)+r.Limit)*guest.ThunkSpace
	switch r.Kind {
	case image.CPUCounter:
		a = cpuCntAddr
	case image.ProgramCounter:
		a = progCntBase
		for o := range p.routines {
			if o.Kind == image.ProgramCounter {
				a += 64
			}
		}
	}
	p.routines[r] = a
	if code.uses != "" {
		p.symbols[code.uses] = perCPU[code.uses]
	}
	return a, nil
}

// Routines returns the routines asked for so far, for guest.Setup.
func (p *Plan) Routines() map[image.Routine]image.Addr { return maps.Clone(p.routines) }

// loadRoutines puts routines of tail-call designs at their addresses.
func (k *Kernel) loadRoutines() error {
	for r, at := range k.Setup.Routines {
		if err := k.loadRoutine(r, at); err != nil {
			return fmt.Errorf("%s: %w", r, err)
		}
	}
	return nil
}

func (k *Kernel) loadRoutine(r image.Routine, at image.Addr) error {
	if r.Kind.Variable() {
		return k.Mem.MapRange(guest.GSBase+at, 8, guest.Writable) // which begins with 0
	}
	if usesCPUCounter(r.Kind) {
		if err := k.Mem.MapRange(guest.GSBase+cpuCntAddr, 8, guest.Writable); err != nil {
			return err
		}
	}
	code, err := routineBytes(r, k.Setup.Symbols)
	if err != nil {
		return err
	}
	return k.Mem.PlaceText(at, code)
}

// routineBytes is the code of a routine with the variables where symbols have them.
func routineBytes(r image.Routine, symbols map[string]image.Addr) ([]byte, error) {
	code, ok := routineCodes[r.Kind]
	if !ok {
		return nil, errors.New("it is not modelled")
	}
	variable, ok := symbols[code.uses]
	if !ok && code.uses != "" {
		return nil, fmt.Errorf("it needs the address of %s", code.uses)
	}
	var b x86.Buf
	code.emit(&b, r, int32(variable), int32(cpuCntAddr))
	b.Ret()
	b.Int3()
	return b.Bytes(), nil
}

// usesCPUCounter reports whether a routine is about the counter of the CPU.
func usesCPUCounter(r image.RoutineKind) bool {
	switch r {
	case image.CPUCounter, image.CPUReset, image.CPUFill, image.CPUFetch, image.CPUAddr:
		return true
	}
	return false
}

// Where the outside caller of a program that wants it (image.Frame.RunCtx) has its locals, directly
// above its return address: a struct of the context and a pointer to tail_call_cnt, and that.
const (
	runCtxAddr    = guest.EntryRSP + 8
	runCtxCounter = runCtxAddr + 16
)

// RunCtxCounter is where the counter is after the address that the struct is at.
const RunCtxCounter = runCtxCounter - runCtxAddr

// WrapContext writes what the caller of a program passes in place of the context if it wants the
// counter too, and returns its address. The counter is 0 then.
func (k *Kernel) WrapContext(ctx image.Addr) (image.Addr, error) {
	return runCtxAddr, k.WrapContextAt(runCtxAddr, ctx)
}

// WrapContextAt writes the struct and the counter after it to an address.
func (k *Kernel) WrapContextAt(at, ctx image.Addr) error {
	for i, v := range []uint64{uint64(ctx), uint64(at + RunCtxCounter), 0} {
		if err := k.Mem.WriteWord(at+image.Addr(8*i), v); err != nil {
			return fmt.Errorf("wrap context: %w", err)
		}
	}
	return nil
}

// CounterMemory returns where tail_call_cnt is, besides the frames of programs, in what is loaded: in
// per-CPU memory, in the task, in the outside caller's frame.
func (k *Kernel) CounterMemory() []guest.Span {
	var out []guest.Span
	add := func(a image.Addr) { out = append(out, guest.Span{Addr: a, Size: 4}) }
	for r, a := range k.Setup.Routines {
		switch {
		case r.Kind == image.ProgramCounter:
			add(guest.GSBase + a)
		case usesCPUCounter(r.Kind):
			add(guest.GSBase + cpuCntAddr)
		case r.Kind == image.TaskReset, r.Kind == image.TaskAddr:
			add(guest.TaskAddr + taskCnt)
		}
	}
	if slices.ContainsFunc(k.Setup.Images, func(img *image.Image) bool { return img.Funcs[0].Frame.RunCtx }) {
		add(runCtxCounter)
	}
	slices.SortFunc(out, func(a, b guest.Span) int { return cmp.Compare(a.Addr, b.Addr) })
	return slices.Compact(out)
}
