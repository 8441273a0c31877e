// SPDX-License-Identifier: GPL-2.0-only

package edits

import (
	"slices"

	"github.com/tcsim/tcsim/jit/image"
)

// Image is an image with the edit made in function fn, and what is known of its code moved with it; ok is false if that is
// not possible. Where the function is entered stays: kernels know that, whatever the code is.
func (e *Edit) Image(img *image.Image, fn int) (edited *image.Image, ok bool) {
	out := *img
	out.Funcs = slices.Clone(img.Funcs)
	f := &out.Funcs[fn]
	if f.Code, ok = e.Splice(f.Code, f.Addr); !ok || len(f.Code) == 0 {
		return nil, false
	}
	move := func(offs ...*image.CodeOff) {
		for _, o := range offs {
			if int(*o) >= e.Hi {
				*o += image.CodeOff(e.Grow())
			}
		}
	}
	move(&f.Frame.Body)
	f.InsnOff, f.TailCalls = slices.Clone(f.InsnOff), slices.Clone(f.TailCalls)
	f.Calls, f.Faults = slices.Clone(f.Calls), slices.Clone(f.Faults)
	for i := range f.InsnOff {
		move(&f.InsnOff[i])
	}
	for i := range f.TailCalls {
		s := &f.TailCalls[i]
		move(&s.Start, &s.End, &s.Bounds, &s.Limit, &s.Null, &s.Bump, &s.Unwind, &s.Bypass, &s.Jump, &s.Out)
	}
	for i := range f.Calls {
		move(&f.Calls[i].Off, &f.Calls[i].TakeBack)
	}
	for i := range f.Faults {
		move(&f.Faults[i].Off, &f.Faults[i].Next)
	}
	return &out, true
}

// Overlap reports whether functions of images lie on each other.
func Overlap(images []*image.Image) bool {
	var all []*image.FuncImage
	for _, img := range images {
		for i := range img.Funcs {
			all = append(all, &img.Funcs[i])
		}
	}
	slices.SortFunc(all, func(a, b *image.FuncImage) int { return int(int64(a.Addr) - int64(b.Addr)) })
	for i := 1; i < len(all); i++ {
		if all[i].Addr < all[i-1].End() {
			return true
		}
	}
	return false
}
