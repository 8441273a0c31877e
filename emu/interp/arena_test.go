// SPDX-License-Identifier: GPL-2.0-only

package interp_test

import (
	"testing"

	"github.com/tcsim/tcsim/emu/interp"
	"github.com/tcsim/tcsim/jit/bpf"
)

// TestArenaGuard has accesses next to an arena, where the kernel keeps room for the offsets of instructions.
func TestArenaGuard(t *testing.T) {
	p := prog("main",
		bpf.Insn{Op: bpf.OpMov, Dst: 1},
		bpf.Insn{Op: bpf.OpMovReg, Dst: 1, Src: 1, Off: bpf.AddrSpaceCast, Imm: bpf.CastKernelImm},
		bpf.Insn{Op: bpf.ClassST | bpf.ModeMem | bpf.SizeDW, Dst: 1, Off: -128, Imm: 1},
		bpf.Insn{Op: bpf.ClassLDX | bpf.ModeMem | bpf.SizeDW, Src: 1, Off: -32768},
		bpf.Insn{Op: bpf.OpExit})
	m, err := interp.New(interp.Config{Programs: []interp.Program{p}, Maps: []bpf.Map{{Type: bpf.ArenaMap, MaxEntries: 1}}})
	if err != nil {
		t.Fatal(err)
	}
	if res, err := m.Run(0, interp.SKB(make([]byte, 64))); err != nil || res.Return != 0 {
		t.Errorf("returned %d, %v", res.Return, err)
	}
}
