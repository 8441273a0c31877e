// SPDX-License-Identifier: GPL-2.0-only

package replay

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/imports"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/x86"
)

// importedArray is a prog array that imported code uses.
type importedArray struct {
	addr image.Addr
	keys uint32 // one more than the largest key that is known
	any  bool   // some key is no constant
}

// openKeys is how many slots a prog array gets whose keys are not all constants.
const openKeys = 256

// leadsTo returns where the direct tail calls of a program lead that were filled when it was recorded.
func (p *importedProg) leadsTo() []image.Addr {
	var out []image.Addr
	for i := range p.img.Funcs {
		f := &p.img.Funcs[i]
		for n := range f.TailCalls {
			if to, ok := siteLeads(f, &f.TailCalls[n]); ok && p.placed[i] == imports.Known {
				out = append(out, to)
			}
		}
	}
	return out
}

// siteLeads returns where a direct tail call leads; ok is false if its slot was empty.
func siteLeads(f *image.FuncImage, s *image.TailCallSite) (image.Addr, bool) {
	if !s.Direct || s.Jump < 0 || int(s.Jump)+image.PokeSize > len(f.Code) || f.Code[s.Jump] != 0xe9 {
		return 0, false
	}
	rel := int32(binary.LittleEndian.Uint32(f.Code[s.Jump+1:]))
	return f.Addr + image.Addr(s.Jump) + image.PokeSize + image.Addr(int64(rel)), true
}

// fillSlots finds the prog arrays and the slots of all tail calls, and decides what they hold.
func (b *importer) fillSlots() error {
	var errs []error
	for i := range b.use {
		for n := range b.use[i].img.Funcs {
			f := &b.use[i].img.Funcs[n]
			for k := range f.TailCalls {
				errs = append(errs, b.slotOf(&b.use[i], n, &f.TailCalls[k]))
			}
		}
	}
	for _, s := range b.opt.Slots {
		found := s.Array == 0
		for i := range b.arrays {
			if a := &b.arrays[i]; s.Array == 0 || s.Array == a.addr {
				found, a.keys = true, max(a.keys, s.Key+1)
			}
		}
		if !found {
			errs = append(errs, fmt.Errorf("no tail call uses a prog array at %#x", uint64(s.Array)))
		}
		if s.Key >= maxImportedKey {
			errs = append(errs, fmt.Errorf("slot %d: expected less than %d", s.Key, maxImportedKey))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for i, a := range b.arrays {
		if a.any { // keys that depend on data
			a.keys = max(a.keys, openKeys)
		}
		b.maps = append(b.maps, guest.MapSpec{
			Map:  bpf.Map{Name: fmt.Sprintf("prog array at %#x", uint64(a.addr)), Type: bpf.ProgArray, KeySize: 4, ValueSize: 4, MaxEntries: a.keys},
			Addr: a.addr,
		})
		unknown := 0
		for k := range a.keys {
			if _, ok := b.given(a.addr, k); !ok {
				unknown++
			}
			if p := b.holds(a.addr, k); p >= 0 {
				b.slots = append(b.slots, guest.Slot{Map: i, Key: k, Prog: p})
			}
		}
		if unknown > 0 {
			b.note("the prog array at %#x: its size and what %d of its slots hold is unknown; it gets %d slots, and those hold %s",
				uint64(a.addr), unknown, a.keys, b.use[0].name)
		}
	}
	return nil
}

// maxImportedKey bounds the size of prog arrays.
const maxImportedKey = 1 << 16

// given returns what the user says that a slot holds.
func (b *importer) given(array image.Addr, key uint32) (*ImportSlot, bool) {
	for i := range slices.Backward(b.opt.Slots) {
		if s := &b.opt.Slots[i]; s.Key == key && (s.Array == 0 || s.Array == array) {
			return s, true
		}
	}
	return nil, false
}

// holds returns the program in a slot, -1 for none.
func (b *importer) holds(array image.Addr, key uint32) int {
	s, ok := b.given(array, key)
	switch {
	case !ok:
		return 0
	case s.Prog == "":
		return -1
	}
	return b.image[s.Prog]
}

// slotOf finds the prog array and the key of a tail call. A direct one is patched as the kernel does when
// its slot is filled or emptied.
func (b *importer) slotOf(p *importedProg, fn int, s *image.TailCallSite) error {
	f := &p.img.Funcs[fn]
	at := fmt.Sprintf("%s: %s+%#x", p.name, f.Name, int(s.Start))
	if !s.Direct {
		arrays, all := p.code[fn].constants(s.Start, x86.RSI)
		if !all || len(arrays) == 0 {
			return fmt.Errorf("%s: the address of the tail call's prog array is not a constant in the code: %w", at, kernels.ErrUnsupported)
		}
		keys, all := p.code[fn].constants(s.Start, x86.RDX)
		for _, a := range arrays {
			b.array(image.Addr(a), keys, all)
		}
		return nil
	}
	array, _ := p.code[fn].constant(s.Start, x86.RSI)
	key, constant := p.code[fn].constant(s.Start, x86.RDX)
	prog, from := 0, "the user's"
	g, given := b.given(image.Addr(array), uint32(key))
	to, filled := siteLeads(f, s)
	switch {
	case constant && given:
		prog = b.holds(image.Addr(array), uint32(key))
	case filled && b.landingOf(to) >= 0:
		prog, from = b.landingOf(to), "the code's"
	case filled:
		from = fmt.Sprintf("unknown (it leads to %#x, which is not one of the programs here)", uint64(to))
	default:
		from = "unknown (it was empty)"
	}
	if g == nil && from != "the code's" {
		what := fmt.Sprintf("the tail call at %s", at)
		if constant {
			what = fmt.Sprintf("slot %d, of %s", uint32(key), what)
		}
		b.note("%s: what it holds is %s; taken to be %s", what, from, b.use[prog].name)
	}
	return b.patch(f, s, prog)
}

// array notes a prog array whose memory is read.
func (b *importer) array(addr image.Addr, keys []int64, all bool) {
	i := slices.IndexFunc(b.arrays, func(a importedArray) bool { return a.addr == addr })
	if i < 0 {
		i = len(b.arrays)
		b.arrays = append(b.arrays, importedArray{addr: addr, keys: 1})
	}
	a := &b.arrays[i]
	for _, k := range keys {
		if k := uint32(k); k < maxImportedKey { // a larger one is out of bounds
			a.keys = max(a.keys, k+1)
		}
	}
	a.any = a.any || !all
}

// landingOf returns the program at whose landing an address is, -1 if it is no program's.
func (b *importer) landingOf(a image.Addr) int {
	for i := range b.use {
		if l, ok := b.use[i].img.Landing(); ok && l == a {
			return i
		}
	}
	return -1
}

// patch makes a direct tail call lead to a program, -1 for none: the bypass is a jump over it while the
// slot is empty, the jump a nop.
func (b *importer) patch(f *image.FuncImage, s *image.TailCallSite, prog int) error {
	to := image.Addr(0)
	if prog >= 0 {
		l, ok := b.use[prog].img.Landing()
		if !ok {
			return fmt.Errorf("program %s cannot be tail called: it does not show where", b.use[prog].name)
		}
		to = l
	}
	out := image.Addr(0)
	if to == 0 {
		out = f.Addr + image.Addr(s.End)
	}
	if s.Bypass >= 0 {
		if err := pokeJump(f, s.Bypass, out); err != nil {
			return err
		}
	}
	return pokeJump(f, s.Jump, to)
}

// pokeJump writes a jump, a nop if to is 0.
func pokeJump(f *image.FuncImage, at image.CodeOff, to image.Addr) error {
	code := f.Code[at : at+image.PokeSize]
	if to == 0 {
		copy(code, []byte{0x0f, 0x1f, 0x44, 0, 0})
		return nil
	}
	rel := int64(to - f.Addr - image.Addr(at) - image.PokeSize)
	if rel != int64(int32(rel)) {
		return fmt.Errorf("%s+%#x: %#x is out of a jump's reach", f.Name, int(at), uint64(to))
	}
	code[0] = 0xe9
	binary.LittleEndian.PutUint32(code[1:], uint32(rel))
	return nil
}

// ParseSlot reads KEY=PROG or ADDRESS/KEY=PROG.
func ParseSlot(s string) (out ImportSlot, err error) {
	where, prog, ok := strings.Cut(s, "=")
	if !ok {
		return out, errors.New("expected KEY=PROG")
	}
	if array, key, ok := strings.Cut(where, "/"); ok {
		if out.Array, err = image.ParseAddr(array); err != nil {
			return out, err
		}
		where = key
	}
	key, err := strconv.ParseUint(where, 0, 32)
	if err != nil {
		return out, fmt.Errorf("expected a number as key, found %q", where)
	}
	out.Key, out.Prog = uint32(key), prog
	return out, nil
}
