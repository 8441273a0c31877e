// SPDX-License-Identifier: GPL-2.0-only

package form

import "github.com/tcsim/tcsim/jit/bpf"

// Sign is the sign of an operation in the text of an instruction, as verifiers print it.
func Sign(op uint8) string {
	signs := map[uint8]string{
		bpf.ALUAdd: "+=", bpf.ALUSub: "-=", bpf.ALUMul: "*=", bpf.ALUDiv: "/=", bpf.ALUOr: "|=", bpf.ALUAnd: "&=",
		bpf.ALULsh: "<<=", bpf.ALURsh: ">>=", bpf.ALUMod: "%=", bpf.ALUXor: "^=", bpf.ALUArsh: "s>>=",
	}
	return signs[op]
}
