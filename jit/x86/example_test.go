// SPDX-License-Identifier: GPL-2.0-only

package x86_test

import (
	"fmt"

	"github.com/tcsim/tcsim/jit/x86"
)

// The caller names form and displacement size; nothing is chosen for it.
func ExampleBuf() {
	var b x86.Buf
	b.Push64O(x86.RBP)
	b.Mov64MR(x86.R(x86.RBP), x86.RSP)
	b.Sub64MI32(x86.R(x86.RSP), 8)
	b.Mov64RM(x86.RAX, x86.M32(x86.RBP, -16))

	for code := b.Bytes(); len(code) > 0; {
		in, err := x86.Decode(code, 0)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("% x: %s\n", code[:in.Len], in.String())
		code = code[in.Len:]
	}
	// Output:
	// 55: push rbp
	// 48 89 e5: mov rbp, rsp
	// 48 81 ec 08 00 00 00: sub rsp, 0x8
	// 48 8b 85 f0 ff ff ff: mov rax, qword ptr [rbp-0x10]
}
