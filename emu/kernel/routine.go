// SPDX-License-Identifier: GPL-2.0-only

package kernel

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// The kernel's part in tail-call designs that do not keep tail_call_cnt on the stack of programs: the
// routines that such code calls, and where the counter is. They do what package jit says of the symbols;
// the proposals have them as inline assembly, so that this code is ours.

const (
	// cntSymbol is the counter of the CPU, progCntPrefix, with a name behind it, that of a program.
	cntSymbol     = "bpf_tail_call_cnt"
	progCntPrefix = "bpf_prog_tail_call_cnt:"
	// prepareLimitPrefix has the number behind it that the counter begins with.
	prepareLimitPrefix = "bpf_tail_call_cnt_prepare."

	// taskCnt is where task_struct has the field, if it has one.
	taskCnt = 0xbd8
	// progCntBase is the displacement of the counter of the first program, the others 64 bytes apart.
	progCntBase image.Addr = 0x38000
	routineBase            = guest.KernelText + 0x10000
)

// tailCallRoutine is a routine with the per-CPU variables that it uses; code gets their
// displacements.
type tailCallRoutine struct {
	name string
	uses []string
	code func(b *x86.Buf, v []int32)
}

var tailCallRoutines = []tailCallRoutine{
	{"bpf_tail_call_cnt_prepare", []string{cntSymbol}, func(b *x86.Buf, v []int32) { setCPUCounter(b, v[0], 0) }},
	{"bpf_tail_call_cnt_fetch_and_inc", []string{cntSymbol}, func(b *x86.Buf, v []int32) {
		b.GS()
		b.Mov32RM(x86.RAX, x86.Abs32(v[0])) // mov eax, gs:[cnt]
		b.GS()
		b.Inc32M(x86.Abs32(v[0])) // inc dword gs:[cnt]
		b.Ret()
	}},
	{"bpf_tail_call_cnt_ptr", []string{cntSymbol, "this_cpu_off"}, func(b *x86.Buf, v []int32) {
		b.GS()
		b.Mov64RM(x86.RAX, x86.Abs32(v[1])) // mov rax, gs:[this_cpu_off]
		b.Add64I(v[0])                      // add rax, cnt
		b.Ret()
	}},
	{"bpf_task_tail_call_cnt_prepare", []string{"current_task"}, func(b *x86.Buf, v []int32) {
		b.GS()
		b.Mov64RM(x86.RAX, x86.Abs32(v[0]))       // mov rax, gs:[current_task]
		b.Mov32MI32(x86.M32(x86.RAX, taskCnt), 0) // mov dword [rax+…], 0
		b.Ret()
	}},
	{"bpf_task_tail_call_cnt_ptr", []string{"current_task"}, func(b *x86.Buf, v []int32) {
		b.GS()
		b.Mov64RM(x86.RAX, x86.Abs32(v[0])) // mov rax, gs:[current_task]
		b.Add64I(taskCnt)                   // add rax, …
		b.Ret()
	}},
	{"bpf_prog_tail_call_cnt_prepare", []string{"this_cpu_off"}, func(b *x86.Buf, v []int32) {
		b.GS()
		b.Add64RM(x86.RAX, x86.Abs32(v[0])) // add rax, gs:[this_cpu_off]
		b.Mov32MI32(x86.M0(x86.RAX), 0)     // mov dword [rax], 0
		b.Ret()
	}},
	{"bpf_prog_tail_call_cnt_fetch_and_inc", []string{"this_cpu_off"}, func(b *x86.Buf, v []int32) {
		b.GS()
		b.Add64RM(x86.RAX, x86.Abs32(v[0])) // add rax, gs:[this_cpu_off]
		b.Mov32RM(x86.RCX, x86.M0(x86.RAX)) // mov ecx, [rax]
		b.Inc32M(x86.M0(x86.RAX))           // inc dword [rax]
		b.Mov32MR(x86.R(x86.RAX), x86.RCX)  // mov eax, ecx
		b.Ret()
	}},
}

// setCPUCounter is mov dword gs:[cnt], n; ret.
func setCPUCounter(b *x86.Buf, cnt, n int32) {
	b.GS()
	b.Mov32MI32(x86.Abs32(cnt), n)
	b.Ret()
}

// tailCallRoutineOf returns the routine that a symbol names and its number; nil if it is none.
func tailCallRoutineOf(name string) (r *tailCallRoutine, number int) {
	if n, err := strconv.ParseUint(strings.TrimPrefix(name, prepareLimitPrefix), 10, 8); err == nil {
		return &tailCallRoutine{name, []string{cntSymbol}, func(b *x86.Buf, v []int32) {
			setCPUCounter(b, v[0], int32(n))
		}}, len(tailCallRoutines) + int(n)
	}
	i := slices.IndexFunc(tailCallRoutines, func(r tailCallRoutine) bool { return r.name == name })
	if i < 0 {
		return nil, 0
	}
	return &tailCallRoutines[i], i
}

// planTailCallCnt places a symbol of these designs, and what it uses: ok is false if it is none. The
// counters of programs get their places in the order of the questions.
func (p *Plan) planTailCallCnt(name string) (a image.Addr, ok bool) {
	if a, ok := p.symbols[name]; ok {
		return a, true
	}
	if isProgCnt(name) {
		a = progCntBase
		for s := range p.symbols {
			if isProgCnt(s) {
				a += 64
			}
		}
		p.symbols[name] = a
		return a, true
	}
	r, n := tailCallRoutineOf(name)
	if r == nil {
		return 0, false
	}
	a = routineBase + image.Addr(n)*guest.ThunkSpace
	p.symbols[name] = a
	for _, u := range r.uses {
		p.symbols[u] = perCPU[u]
	}
	return a, true
}

func isProgCnt(name string) bool { return strings.HasPrefix(name, progCntPrefix) }

// tailCallCode returns the code of a routine: ok is false if the symbol is none.
func tailCallCode(name string, symbols map[string]image.Addr) (code []byte, ok bool, err error) {
	r, _ := tailCallRoutineOf(name)
	if r == nil {
		return nil, false, nil
	}
	var at []int32
	for _, u := range r.uses {
		a, ok := symbols[u]
		if !ok {
			return nil, true, fmt.Errorf("%s needs the address of %s", name, u)
		}
		at = append(at, int32(a))
	}
	var b x86.Buf
	r.code(&b, at)
	b.Int3()
	return b.Bytes(), true, nil
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
	for n, a := range k.Setup.Symbols {
		if n == cntSymbol || isProgCnt(n) {
			out = append(out, guest.Span{Addr: guest.GSBase + a, Size: 4})
		}
	}
	if _, ok := k.Setup.Symbols["bpf_task_tail_call_cnt_ptr"]; ok {
		out = append(out, guest.Span{Addr: guest.TaskAddr + taskCnt, Size: 4})
	}
	for _, img := range k.Setup.Images {
		if img.Funcs[0].Frame.RunCtx {
			out = append(out, guest.Span{Addr: runCtxCounter, Size: 4})
			break
		}
	}
	slices.SortFunc(out, func(a, b guest.Span) int { return cmp.Compare(a.Addr, b.Addr) })
	return out
}
