// SPDX-License-Identifier: GPL-2.0-only

package jit

import "fmt"

// ReplacePatch is the text poke with which a function of a program is replaced by another program that
// is entered at an address (freplace: __bpf_trampoline_link_prog, BPF_TRAMP_REPLACE, Linux 6.12): the
// nop that every function since 5.5 begins with, behind endbr64, becomes a jump. It fails with
// ErrUnsupported if the function does not begin so.
func ReplacePatch(f *FuncImage, endbr bool, entry Addr) (Patch, error) {
	off := f.Entry
	if endbr {
		off += endbrSize
	}
	p := Patch{Kind: PatchText, Part: PartJump, Addr: f.Addr + Addr(off), Old: nop5}
	if int(off)+PokeSize > len(f.Code) || [PokeSize]byte(f.Code[off:off+PokeSize]) != nop5 {
		return p, fmt.Errorf("replace %s: it does not begin with a nop: %w", f.Name, ErrUnsupported)
	}
	insn, err := pokeInsn(p.Addr, entry)
	p.New = insn
	return p, err
}
