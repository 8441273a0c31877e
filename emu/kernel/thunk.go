// SPDX-License-Identifier: GPL-2.0-only

package kernel

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// thunk returns the code of a kernel thunk: ok is false if the symbol is none. It behaves as the
// kernel's does (arch/x86/lib/retpoline.S, 7.2) in the same number of branches.
func thunk(name string, symbols map[string]image.Addr) (code []byte, ok bool, err error) {
	for _, prefix := range []string{"__x86_indirect_thunk_", "__x86_indirect_jump_thunk_", "__x86_indirect_call_thunk_"} {
		if r, found := thunkReg(name, prefix); found {
			return retpoline(r), true, nil
		}
	}
	if r, found := thunkReg(name, "__x86_indirect_its_thunk_"); found {
		return append(jumpReg(r), 0xcc), true, nil
	}
	switch name {
	case "__x86_return_thunk", "its_return_thunk", "retbleed_return_thunk":
		return []byte{0xc3, 0xcc}, true, nil
	case "srso_return_thunk", "srso_alias_return_thunk":
		return []byte{
			0xe8, 0x01, 0, 0, 0, // call +1
			0xcc,
			0x48, 0x8d, 0x64, 0x24, 0x08, // lea rsp, [rsp+8]
			0xc3, 0xcc,
		}, true, nil
	case "call_depth_return_thunk":
		code, err = depthReturn(symbols)
		return code, true, err
	case bhiArgs:
		return bytes.Repeat(append([]byte{0xc3}, bytes.Repeat([]byte{0xcc}, bhiEntry-1)...), bhiEntries), true, nil
	}
	return tailCallCode(name, symbols)
}

// bhiArgs has an entry for each number of arguments that a FineIBT preamble clears while the hash may
// be wrong (arch/x86/lib/bhi.S). With the right hash it only returns; programs are entered behind it.
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

func jumpReg(r x86.Reg) []byte {
	if r >= x86.R8 {
		return []byte{0x41, 0xff, 0xe0 | byte(r&7)}
	}
	return []byte{0xff, 0xe0 | byte(r)}
}

func retpoline(r x86.Reg) []byte {
	rex, modrm := byte(0x48), byte(0x04)|byte(r&7)<<3
	if r >= x86.R8 {
		rex = 0x4c
	}
	return []byte{
		0xe8, 0x01, 0, 0, 0, // call +1
		0xcc,
		rex, 0x89, modrm, 0x24, // mov [rsp], reg
		0xc3, 0xcc,
	}
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
	disp := binary.LittleEndian.AppendUint32(nil, uint32(depth))
	b := append([]byte{0x65, 0x48, 0xc1, 0x24, 0x25}, disp...)
	b = append(b, 0x05,
		0x74, 0x02, // je +2
		0xc3, 0xcc)
	for range 16 {
		b = append(b, 0xe8, 0x01, 0, 0, 0, 0xcc) // call +1
	}
	b = append(b, 0x48, 0x81, 0xc4, 0x80, 0, 0, 0) // add rsp, 128
	b = append(b, 0x65, 0x48, 0xc7, 0x04, 0x25)    // mov qword gs:[…], -1
	b = append(append(b, disp...), 0xff, 0xff, 0xff, 0xff)
	return append(b, 0xc3, 0xcc), nil
}
