// SPDX-License-Identifier: GPL-2.0-only

package kernel

import (
	"encoding/binary"

	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/emit"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// kernelFunc is a kernel function that exists to be traced (net/bpf/test_run.c). The code begins
// after what can be patched.
type kernelFunc struct {
	name string
	code []byte
}

// kernelFuncs are what test runs of tracing programs call.
var kernelFuncs = []kernelFunc{
	{"bpf_fentry_test1", []byte{0x8d, 0x47, 0x01, 0xc3}}, // lea eax, [rdi+1]
	{"bpf_fentry_test2", []byte{0x8d, 0x04, 0x37, 0xc3}}, // lea eax, [rdi+rsi]
	{"bpf_fentry_test3", sumInto(signed8RDI, x86.RSI, x86.RDX)},
	{"bpf_fentry_test4", sumInto(signed8RSI, x86.RDI, x86.RDX, x86.RCX)},
	{"bpf_fentry_test5", sumInto(signed16RDX, x86.RDI, x86.RSI, x86.RCX, x86.R8)},
	{"bpf_fentry_test6", sumInto(signed16RDX, x86.RDI, x86.RSI, x86.RCX, x86.R8, x86.R9)},
	{"bpf_fentry_test7", []byte{0x89, 0xf8, 0xc3}},                               // mov eax, edi
	{"bpf_fentry_test8", []byte{0x8b, 0x07, 0xc3}},                               // mov eax, [rdi]
	{"bpf_modify_return_test", []byte{0xff, 0x06, 0x89, 0xf8, 0x03, 0x06, 0xc3}}, // inc [rsi]; mov eax, edi; add eax, [rsi]
}

// sumInto is code that adds registers to what the code before leaves in eax.
func sumInto(first func(*x86.Buf), regs ...x86.Reg) []byte {
	return assemble(first, func(b *x86.Buf) {
		for _, r := range regs {
			b.Add32MR(x86.R(x86.RAX), r)
		}
		b.Ret()
	})
}

// How the sum begins: movsx eax, dil; movsx eax, sil; movsx eax, dx.
func signed8RDI(b *x86.Buf)  { b.Movsx32RM8REX(x86.RAX, x86.R(x86.RDI)) }
func signed8RSI(b *x86.Buf)  { b.Movsx32RM8REX(x86.RAX, x86.R(x86.RSI)) }
func signed16RDX(b *x86.Buf) { b.Movsx32RM16(x86.RAX, x86.R(x86.RDX)) }

// TracedFunc returns a kernel function that test runs of tracing programs call, with the
// instruction that is patched when it is traced, as an image at an address. ok is false for any
// other name.
func TracedFunc(name string, at image.Addr, t *jit.Target) (img *image.Image, ok bool) {
	for _, k := range kernelFuncs {
		if k.name != name {
			continue
		}
		var code []byte
		if t.Emit.ENDBR {
			code = append(code, 0xf3, 0x0f, 0x1e, 0xfa)
		}
		code = append(code, 0x0f, 0x1f, 0x44, 0x00, 0x00)
		f := image.FuncImage{Name: name, Addr: at, Frame: image.Frame{Body: image.CodeOff(len(code)), Landing: -1}}
		f.Code = append(code, k.code...)
		return &image.Image{Limit: t.Limit, Funcs: []image.FuncImage{f}}, true
	}
	return nil, false
}

// TestCall is a call that a test run of a tracing program makes.
type TestCall struct {
	Name string
	Args [6]uint64
	Ret  uint32 // what the function returns untraced
}

// modifyInt is where the int is that bpf_modify_return_test changes.
const modifyInt = guest.ContextAddr + 0x800

// TestCalls returns what bpf_prog_test_run_tracing (net/bpf/test_run.c) calls for a program that is
// attached in a way, in order. Pointers lead into the page at guest.ContextAddr.
func TestCalls(k emit.TraceKind) []TestCall {
	if k == emit.FmodRet {
		return []TestCall{{"bpf_modify_return_test", [6]uint64{1, uint64(modifyInt)}, 4}}
	}
	return []TestCall{
		{"bpf_fentry_test1", [6]uint64{1}, 2},
		{"bpf_fentry_test2", [6]uint64{2, 3}, 5},
		{"bpf_fentry_test3", [6]uint64{4, 5, 6}, 15},
		{"bpf_fentry_test4", [6]uint64{7, 8, 9, 10}, 34},
		{"bpf_fentry_test5", [6]uint64{11, 12, 13, 14, 15}, 65},
		{"bpf_fentry_test6", [6]uint64{16, 17, 18, 19, 20, 21}, 111},
		{"bpf_fentry_test7", [6]uint64{0}, 0},
		{"bpf_fentry_test8", [6]uint64{uint64(guest.ContextAddr)}, 0},
	}
}

// PrepareKernelCalls sets the memory that TestCalls lead to.
func (k *Kernel) PrepareKernelCalls() error {
	var b [4]byte
	binary.LittleEndian.PutUint32(b[:], 2)
	return k.Mem.Write(modifyInt, b[:])
}

// KernelResult is the return value of such a test run, from what the called functions returned and
// did: 0, or for fmod_ret their sum with the number of side effects in the upper half, as
// bpf_modify_return_test2, which this does not run, adds 29 and one since 6.5.
func (k *Kernel) KernelResult(kind emit.TraceKind, rets []uint32) (uint32, error) {
	if kind != emit.FmodRet {
		return 0, nil
	}
	var b [4]byte
	if err := k.Mem.Read(modifyInt, b[:]); err != nil {
		return 0, err
	}
	sum, side := uint32(29), uint32(1)
	for _, r := range rets {
		sum += r
	}
	if binary.LittleEndian.Uint32(b[:]) != 2 {
		side++
	}
	return side<<16 | sum, nil
}

// Prog returns the address of the struct bpf_prog of image i, as the machine places it.
func (p *Plan) Prog(i int) image.Addr { return guest.ProgBase + image.Addr(i)*guest.PageSize }

// TrampImage returns the address of the struct bpf_tramp_image of trampoline i, which nothing reads.
func (p *Plan) TrampImage(i int) image.Addr { return trampImageBase + image.Addr(i)*0x400 }

// trampImageBase lies in the direct map.
const trampImageBase image.Addr = 0xffff888103000000
