// SPDX-License-Identifier: GPL-2.0-only

package live

import (
	"encoding/binary"
	"slices"

	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/image"
)

// sites records the trampolines to which functions of running programs lead.
func (g *found) sites(k *Kernel) {
	for i := range g.sc.Progs {
		for fn := range g.sc.Progs[i].Funcs {
			f := &g.sc.Progs[i].Funcs[fn]
			off, to, ok := ledTo(f.Addr, f.Code(capture.Empty))
			if !ok || g.replaces(i, fn, to) {
				continue
			}
			t := capture.Trampoline{Prog: i, Func: fn, Addr: to, Attached: g.tracers(i, fn)}
			t.Site = capture.Site{Off: image.CodeOff(off), Before: nop5, After: f.Code(capture.Empty)[off : off+image.PokeSize]}
			if len(t.Attached) == 0 {
				t.Error = "the kernel does not tell what is attached"
			} else if err := k.readTrampoline(&t); err != nil {
				t.Error = err.Error()
			}
			g.sc.Trampolines = append(g.sc.Trampolines, t)
		}
	}
}

// nop5 is what stands where functions are patched as long as nothing is attached.
var nop5 = []byte{0x0f, 0x1f, 0x44, 0x00, 0x00}

// ledTo returns where the patched instruction of a function is and where it leads; ok is false as long as nothing is
// attached. Before it may be an endbr64, or what FineIBT makes of one (is_endbr, arch/x86/include/asm/ibt.h).
func ledTo(at image.Addr, code []byte) (off int, to image.Addr, ok bool) {
	if len(code) > 4 && slices.Contains([]string{"\xf3\x0f\x1e\xfa", "\x66\x0f\x1f\x00", "\x0f\x1f\x40\xd6"}, string(code[:4])) {
		off = 4
	}
	if len(code) < off+image.PokeSize || code[off] != 0xe8 && code[off] != 0xe9 {
		return 0, 0, false
	}
	rel := int32(binary.LittleEndian.Uint32(code[off+1:]))
	return off, at + image.Addr(off+image.PokeSize) + image.Addr(int64(rel)), true
}

// replaces reports whether one of the programs that replace a function begins at an address, or a little before it.
func (g *found) replaces(prog, fn int, at image.Addr) bool {
	return slices.ContainsFunc(g.sc.Progs, func(p capture.Prog) bool {
		a := p.Attach
		return a != nil && a.Kind == capture.KindReplace && a.Prog == prog && a.Func == fn && p.LoadError == "" &&
			at >= p.Funcs[0].Addr && at < p.Funcs[0].Addr+image.Addr(p.Funcs[0].Len)
	})
}

// tracers are the programs that trace a function, in the order in which they were attached.
func (g *found) tracers(prog, fn int) []int {
	var out []int
	for _, id := range g.attachedIn {
		i, ok := g.progs[id]
		if !ok {
			continue
		}
		if a := g.sc.Progs[i].Attach; a != nil && a.Kind != capture.KindReplace && a.Prog == prog && a.Func == fn && !slices.Contains(out, i) {
			out = append(out, i)
		}
	}
	return out
}
