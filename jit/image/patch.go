// SPDX-License-Identifier: GPL-2.0-only

package image

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// PokeSize is the size of a patched instruction in bytes (X86_PATCH_SIZE).
const PokeSize = 5

// nop5 is what a patched place holds when it holds no jump (x86_nops[5]).
var Nop5 = [PokeSize]byte{0x0f, 0x1f, 0x44, 0x00, 0x00}

// PokeSite is a direct tail call in loaded code: where its patched instructions are.
type PokeSite struct {
	// Bypass skips the tail call while the slot is empty; 0 in designs without one.
	Bypass Addr
	// Jump leaves for the program in the slot (tailcall_target).
	Jump Addr
	// Out is where the bypass goes: the first byte after the tail call (bypass_addr).
	Out Addr
	// Enter is TailCallSite.Enter.
	Enter CodeOff
}

// Target is where the site is to jump for a program whose landing is given; 0 means none.
func (s PokeSite) Target(landing Addr) Addr {
	if landing == 0 {
		return 0
	}
	return landing + Addr(int64(s.Enter))
}

// PatchKind says what a step of a poke plan does.
type PatchKind uint8

// The kinds of steps.
const (
	// PatchPointer exchanges the program pointer in the prog array.
	PatchPointer PatchKind = iota
	// PatchText replaces one instruction of a site.
	PatchText
	// PatchWait waits until every CPU has left the programs it was in (synchronize_rcu).
	PatchWait
)

// PokePart says which instruction of a site a PatchText changes.
type PokePart uint8

// The parts of a site.
const (
	PartBypass PokePart = iota
	PartJump
)

// Patch is one step of a poke plan. Steps are applied in order.
type Patch struct {
	Kind PatchKind

	// PatchText only: the site's index in the list that the plan was made for, the part, and the
	// change at Addr.
	Site     int
	Part     PokePart
	Addr     Addr
	Old, New [PokeSize]byte
	// Unchecked says that nothing is compared with Old.
	Unchecked bool

	// PatchWait only: the index in the plan of the PatchText that makes the wait necessary, which
	// it does if it changed something.
	After int
}

// PokeResult is what the kernel's text poke returns (__bpf_arch_text_poke).
type PokeResult int

// The results.
const (
	PokeChanged PokeResult = 0
	PokeAlready PokeResult = 1   // the new instruction was there already
	PokeBusy    PokeResult = -16 // -EBUSY: something else than the old instruction was there
)

// String returns a short text such as "changed".
func (r PokeResult) String() string {
	switch r {
	case PokeChanged:
		return "changed"
	case PokeAlready:
		return "already so"
	case PokeBusy:
		return "-EBUSY"
	}
	return fmt.Sprintf("result %d", int(r))
}

// Apply does a PatchText on the PokeSize bytes that are at Addr. As the kernel does, it compares
// with Old first, then with New, and writes only if both allow it; Unchecked ones are written.
func (p *Patch) Apply(code []byte) PokeResult {
	switch {
	case p.Kind != PatchText:
		panic("BUG: only a text patch can be applied to code")
	case p.Unchecked:
	case !bytes.Equal(code[:PokeSize], p.Old[:]):
		return PokeBusy
	case p.Old == p.New:
		return PokeAlready
	}
	copy(code, p.New[:])
	return PokeChanged
}

// TextStep is one of the writes that make up a change of live code: Bytes at Patch.Addr+Off.
type TextStep struct {
	Off   int
	Bytes []byte
}

// Steps returns the writes of a PatchText to live code in order (text_poke_bp,
// arch/x86/kernel/alternative.c): a breakpoint over the first byte, the rest, the first byte. All
// CPUs are synchronised after each. A CPU that meets the breakpoint goes on at Trap.
func (p *Patch) Steps() []TextStep {
	return []TextStep{
		{Off: 0, Bytes: []byte{0xcc}},
		{Off: 1, Bytes: bytes.Clone(p.New[1:])},
		{Off: 0, Bytes: bytes.Clone(p.New[:1])},
	}
}

// Trap returns where a CPU goes on that meets the breakpoint of Steps: the handler does what the
// new instruction would do (poke_int3_handler).
func (p *Patch) Trap() Addr {
	next := p.Addr + PokeSize
	if p.New[0] == 0xe9 {
		return next + Addr(int32(binary.LittleEndian.Uint32(p.New[1:])))
	}
	return next
}

// pokeInsn is the instruction at a place: a jump to target, or a nop if that is 0.
func PokeInsn(at, target Addr) ([PokeSize]byte, error) {
	if target == 0 {
		return Nop5, nil
	}
	rel := int64(target - at - PokeSize)
	if rel != int64(int32(rel)) {
		return Nop5, fmt.Errorf("poke at %#x: target %#x is out of range", at, target)
	}
	b := [PokeSize]byte{0xe9}
	binary.LittleEndian.PutUint32(b[1:], uint32(rel))
	return b, nil
}

// PokeSites returns the direct tail calls of an image to a slot, in the order in which the kernel
// pokes them.
func (img *Image) PokeSites(m int, key uint32) []PokeSite {
	var sites []PokeSite
	for i := range img.Funcs {
		f := &img.Funcs[i]
		for j := range f.TailCalls {
			if s := &f.TailCalls[j]; s.Direct && s.Map == m && s.Key == key {
				sites = append(sites, f.PokeSite(s))
			}
		}
	}
	return sites
}

// PokeSite returns where the patched instructions of a direct tail call of f are.
func (f *FuncImage) PokeSite(s *TailCallSite) PokeSite {
	p := PokeSite{Jump: f.Addr + Addr(s.Jump), Out: f.Addr + Addr(s.End), Enter: s.Enter}
	if s.Out != 0 {
		p.Out = f.Addr + Addr(int64(s.Out))
	}
	if s.Bypass >= 0 {
		p.Bypass = f.Addr + Addr(s.Bypass)
	}
	return p
}

// Landing returns where tail calls enter the image's main function; ok is false if they cannot.
func (img *Image) Landing() (a Addr, ok bool) {
	if len(img.Funcs) == 0 || img.Funcs[0].Frame.Landing < 0 {
		return 0, false
	}
	return img.Funcs[0].Addr + Addr(img.Funcs[0].Frame.Landing), true
}

// ApplyPatches does the text patches of a plan on the code of images, in order. It errors at the
// first one that finds other bytes than it expects, where the kernel has a BUG_ON, or whose place
// is in none of the images; what came before it stays done.
func ApplyPatches(plan []Patch, images ...*Image) error {
	for i := range plan {
		p := &plan[i]
		if p.Kind != PatchText {
			continue
		}
		code := codeAt(p.Addr, images)
		if code == nil {
			return fmt.Errorf("patch %d: no code at %#x", i, p.Addr)
		}
		if r := p.Apply(code); r < 0 {
			return fmt.Errorf("patch %d at %#x: %s: found % x, expected % x", i, p.Addr, r, code[:PokeSize], p.Old)
		}
	}
	return nil
}

// codeAt returns the bytes from a on in the function that holds it, at least PokeSize of them.
func codeAt(a Addr, images []*Image) []byte {
	for _, img := range images {
		for i := range img.Funcs {
			f := &img.Funcs[i]
			if a >= f.Addr && a+PokeSize <= f.End() {
				return f.Code[a-f.Addr:]
			}
		}
	}
	return nil
}
