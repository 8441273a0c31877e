// SPDX-License-Identifier: GPL-2.0-only

package emit

import (
	"fmt"

	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
)

// ReplacePatch is the text poke with which a function of a program is replaced by another program that
// is entered at an address (freplace: __bpf_trampoline_link_prog, BPF_TRAMP_REPLACE, Linux 6.12): the
// nop that every function since 5.5 begins with, after endbr64, becomes a jump. It fails with
// ErrUnsupported if the function does not begin so.
func ReplacePatch(f *image.FuncImage, endbr bool, entry image.Addr) (image.Patch, error) {
	off := f.Entry
	if endbr {
		off += ENDBRSize
	}
	p := image.Patch{Kind: image.PatchText, Part: image.PartJump, Addr: f.Addr + image.Addr(off), Old: image.Nop5}
	if int(off)+image.PokeSize > len(f.Code) || [image.PokeSize]byte(f.Code[off:off+image.PokeSize]) != image.Nop5 {
		return p, fmt.Errorf("replace %s: it does not begin with a nop: %w", f.Name, kernels.ErrUnsupported)
	}
	insn, err := image.PokeInsn(p.Addr, entry)
	p.New = insn
	return p, err
}
