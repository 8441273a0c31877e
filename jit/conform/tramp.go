// SPDX-License-Identifier: GPL-2.0-only

package conform

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/emit"
	"github.com/tcsim/tcsim/jit/image"
)

// traced compares the trampolines and, with all tracing programs attached, the functions.
func (j *job) traced() {
	sites := j.trampolines()
	if len(j.s.Trampolines) == 0 {
		return
	}
	j.patch(sites)
	j.compare(capture.Traced)
	j.patch(undo(sites))
}

// attached patches the functions of programs that others loaded where something is attached to them.
func (j *job) attached() {
	j.patch(j.trampolines())
	for i := range j.s.Trampolines { // what is attached is not known of those
		t := &j.s.Trampolines[i]
		if t.Error == "" || t.Kernel != "" || j.images[t.Prog] == nil || len(t.Site.Before) != image.PokeSize || len(t.Site.After) != image.PokeSize {
			continue
		}
		p := image.Patch{Addr: j.s.Progs[t.Prog].Funcs[t.Func].Addr + image.Addr(t.Site.Off)}
		copy(p.Old[:], t.Site.Before)
		copy(p.New[:], t.Site.After)
		j.patch([]image.Patch{p})
	}
	for _, p := range j.replacements(capture.Empty) {
		for i := range j.s.Progs {
			for k := range j.s.Progs[i].Funcs {
				f := &j.s.Progs[i].Funcs[k]
				at, code := int(p.Addr-f.Addr), f.Code(capture.Empty)
				if p.Addr >= f.Addr && at+image.PokeSize <= len(code) && !bytes.Equal(code[at:at+image.PokeSize], p.Old[:]) {
					j.patch([]image.Patch{p})
				}
			}
		}
	}
}

// trampolines compares the trampolines and returns the patches of the functions that lead to them.
func (j *job) trampolines() []image.Patch {
	var sites []image.Patch
	now := map[image.Addr][image.PokeSize]byte{} // what stands at patched instructions
	for n := range j.s.Trampolines {
		t := &j.s.Trampolines[n]
		if t.Error != "" {
			continue
		}
		got, err := j.s.Compile(n, j.verified, j.target, &j.src.Header, j.symbols)
		if err == nil {
			if old, again := now[got.Site.Addr]; again {
				got.Site.Old = old
			}
			now[got.Site.Addr] = got.Site.New
			err = differs(got, t)
		}
		j.res.Trampolines.add(err == nil)
		if err != nil {
			j.mismatch(Mismatch{Prog: t.Prog, Func: t.Func, State: capture.Traced, Reason: err.Error(), Listing: trampListing(got, t)})
		}
		if got != nil && t.Kernel == "" {
			sites = append(sites, got.Site)
		}
	}
	return sites
}

// undo returns the patches that take back others.
func undo(sites []image.Patch) []image.Patch {
	var out []image.Patch
	for _, p := range slices.Backward(sites) {
		p.Old, p.New = p.New, p.Old
		out = append(out, p)
	}
	return out
}

// replaced compares the functions while the programs are attached that replace some.
func (j *job) replaced() {
	if sites := j.replacements(capture.Replaced); len(sites) > 0 {
		j.patch(sites)
		j.compare(capture.Replaced)
		j.patch(undo(sites))
	}
}

// replacements are the patches of functions that programs replace.
func (j *job) replacements(s capture.State) []image.Patch {
	var sites []image.Patch
	for i := range j.s.Progs {
		a := j.s.Progs[i].Attach
		if a == nil || a.Kind != capture.KindReplace || j.images[i] == nil || j.images[a.Prog] == nil {
			continue
		}
		by := &j.images[i].Funcs[0]
		p, err := emit.ReplacePatch(&j.images[a.Prog].Funcs[a.Func], j.target.Emit.ENDBR, by.Addr+image.Addr(by.Entry))
		if err != nil {
			j.mismatch(Mismatch{Prog: i, Func: -1, State: s, Reason: err.Error()})
			continue
		}
		sites = append(sites, p)
	}
	return sites
}

func (j *job) patch(sites []image.Patch) {
	var images []*image.Image
	for _, img := range j.images {
		if img != nil {
			images = append(images, img)
		}
	}
	if err := image.ApplyPatches(sites, images...); err != nil {
		j.mismatch(Mismatch{Prog: -1, Func: -1, State: capture.Traced, Reason: err.Error()})
	}
}

// differs says what of a trampoline and of the patched instruction is not as the kernel has it.
func differs(got *emit.Trampoline, t *capture.Trampoline) error {
	var errs []error
	if code := trampCode(got, t); !bytes.Equal(code, t.Image) {
		errs = append(errs, errors.New("trampoline "+firstDifference(t.Image, code)))
	}
	if got.Site.Addr != t.SiteAddr() {
		errs = append(errs, fmt.Errorf("the patched instruction is at %#x, the kernel's at %#x", uint64(got.Site.Addr), uint64(t.SiteAddr())))
	}
	if !bytes.Equal(got.Site.Old[:], t.Site.Before) || !bytes.Equal(got.Site.New[:], t.Site.After) {
		errs = append(errs, fmt.Errorf("patch % x to % x, the kernel's is % x to % x", got.Site.Old, got.Site.New, t.Site.Before, t.Site.After))
	}
	return errors.Join(errs...)
}

// trampCode is a trampoline as captures have it: without the int3 after its return.
func trampCode(got *emit.Trampoline, t *capture.Trampoline) []byte {
	code := got.Func.Code
	if n := len(code) - 1; n == t.Len && code[n] == 0xcc {
		code = code[:n]
	}
	return code
}

// trampListing shows both codes, "" if there is only one.
func trampListing(got *emit.Trampoline, t *capture.Trampoline) string {
	if got == nil {
		return ""
	}
	f := got.Func
	f.Code = trampCode(got, t)
	return listing(&f, nil, t.Image)
}
