// SPDX-License-Identifier: GPL-2.0-only

package kernel

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// thunk returns the code of a kernel thunk: ok is false if the symbol is not a thunk. It behaves as the
// kernel's does (arch/x86/lib/retpoline.S, 7.2) in the same number of branches.
func thunk(name string, symbols map[string]image.Addr) (code []byte, ok bool, err error) {
	for _, prefix := range []string{"__x86_indirect_thunk_", "__x86_indirect_jump_thunk_", "__x86_indirect_call_thunk_"} {
		if r, found := thunkReg(name, prefix); found {
			return retpoline(r), true, nil
		}
	}
	if r, found := thunkReg(name, "__x86_indirect_its_thunk_"); found {
		return assemble(func(b *x86.Buf) { b.Jmp64M(x86.R(r)) }, (*x86.Buf).Int3), true, nil
	}
	switch name {
	case "__x86_return_thunk", "its_return_thunk", "retbleed_return_thunk":
		return assemble((*x86.Buf).Ret, (*x86.Buf).Int3), true, nil
	case "srso_return_thunk", "srso_alias_return_thunk":
		return assemble(callNext, func(b *x86.Buf) {
			b.Lea64RM(x86.RSP, x86.M8(x86.RSP, 8)) // lea rsp, [rsp+8]
			b.Ret()
			b.Int3()
		}), true, nil
	case "call_depth_return_thunk":
		code, err = depthReturn(symbols)
		return code, true, err
	case bhiArgs:
		return bytes.Repeat(append([]byte{0xc3}, bytes.Repeat([]byte{0xcc}, bhiEntry-1)...), bhiEntries), true, nil
	}
	return nil, false, nil
}

// bhiArgs has an entry for each number of arguments that a FineIBT preamble clears while the hash may
// be wrong (arch/x86/lib/bhi.S). With the right hash it only returns; programs are entered after it.
const (
	bhiArgs    = "__bhi_args"
	bhiEntry   = 32 // bytes
	bhiEntries = 8
)

// isReturnThunk reports whether a jump to the symbol is a return.
func isReturnThunk(name string) bool {
	return strings.HasSuffix(name, "_return_thunk")
}

func thunkReg(name, prefix string) (x86.Reg, bool) {
	for r := x86.RAX; r <= x86.R15; r++ {
		if name == prefix+r.String() {
			return r, true
		}
	}
	return 0, false
}

// emit collects the code of some steps.
func assemble(steps ...func(*x86.Buf)) []byte {
	var b x86.Buf
	for _, s := range steps {
		s(&b)
	}
	return b.Bytes()
}

// callNext calls over a trap, so that the return address is on the stack and predicted.
func callNext(b *x86.Buf) {
	b.CallD32(1)
	b.Int3()
}

func retpoline(r x86.Reg) []byte {
	return assemble(callNext, func(b *x86.Buf) {
		b.Mov64MR(x86.M0(x86.RSP), r) // mov [rsp], reg
		b.Ret()
		b.Int3()
	})
}

// callDepth finds the displacement of the call depth counter from the gs base: a variable of its
// own (6.15 and later) or the field of pcpu_hot (up to 6.14), struct pcpu_hot in
// arch/x86/include/asm/current.h.
func callDepth(symbols map[string]image.Addr) (image.Addr, bool) {
	if a, ok := symbols["__x86_call_depth"]; ok {
		return a, true
	}
	for _, n := range []string{"pcpu_hot", "const_pcpu_hot"} {
		if a, ok := symbols[n]; ok {
			return a + 0x10, true
		}
	}
	return 0, false
}

// depthReturn is call_depth_return_thunk: the counter's sign bit runs out after twelve returns,
// and then the return stack is stuffed.
func depthReturn(symbols map[string]image.Addr) ([]byte, error) {
	depth, ok := callDepth(symbols)
	if !ok {
		return nil, fmt.Errorf("call_depth_return_thunk needs the address of __x86_call_depth or pcpu_hot")
	}
	var b x86.Buf
	b.GS()
	b.Shl64MI8(x86.Abs32(int32(depth)), 5) // shl qword gs:[…], 5
	b.JeD8(2)
	b.Ret()
	b.Int3()
	for range 16 {
		callNext(&b)
	}
	b.Add64MI32(x86.R(x86.RSP), 128) // add rsp, 128
	b.GS()
	b.Mov64MI32(x86.Abs32(int32(depth)), -1) // mov qword gs:[…], -1
	b.Ret()
	b.Int3()
	return b.Bytes(), nil
}
