// SPDX-License-Identifier: GPL-2.0-only

package recognise

import (
	"slices"

	"github.com/tcsim/tcsim/jit/design"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
)

// Design is what the tail-call sites of an image say of the kernel that emitted it. Fields that no
// site shows are 0.
type Design struct {
	// Shown says that the image has a counter or a site, so that it shows its design at all. Designs
	// are those whose code looks so, none if it is of an unknown design.
	Shown   bool
	Designs design.Set
	// Limit is how many tail calls pass the comparison.
	Limit uint32
	// Landing is what sites add to bpf_func.
	Landing image.CodeOff
	Offsets kernels.Offsets
	Counter image.Counter // of the first function that has one
	Reused  bool          // see Frame
	// Mixed says that sites differ in limit, landing or offsets, which the code of one kernel does not.
	Mixed bool
}

// UnknownDesign stands for the name of a design that is not known.
const UnknownDesign = "unknown design"

// Known reports whether the image shows a design that is known.
func (d *Design) Known() bool { return d.Designs != 0 }

// Name returns the name of the design, or the names of those that code cannot tell apart;
// UnknownDesign if it is not known, "" if the image does not show any.
func (d *Design) Name() string {
	switch {
	case d.Known():
		return d.Designs.String()
	case d.Shown:
		return UnknownDesign
	}
	return ""
}

// NameOn is Name where the design that a kernel is said to have is known: code that can be of that
// is.
func (d *Design) NameOn(said design.ID) string {
	if d.Designs.Has(said) {
		return said.String()
	}
	return d.Name()
}

// RecogniseDesign reads the design from the functions of a program as Recognise, RecogniseImage or
// Compile return them. It errors if the code does not decode.
func RecogniseDesign(img *image.Image) (Design, error) {
	var d Design
	var hook bool
	for i := range img.Funcs {
		f := &img.Funcs[i]
		c, err := decodeAll(f.Code, f.Addr)
		if err != nil {
			return Design{}, err
		}
		r := newRecogniser(c, i != 0, f.Frame.Body)
		hook = hook || r.pro.hook
		if f.Frame.Counter.Form != image.CounterNone && d.Counter.Form == image.CounterNone {
			d.Counter, d.Reused = f.Frame.Counter, f.Frame.Reused
		}
		for n := range r.sites {
			d.learn(&r.sites[n])
		}
		if d.Shown && len(d.Designs.Designs()) < 2 || d.Counter.Form == image.CounterNone && len(r.sites) == 0 {
			continue
		}
		designs := r.designs(f, hook)
		if !d.Shown {
			d.Shown, d.Designs = true, designs
		} else if both := d.Designs & designs; both != 0 {
			d.Designs = both
		}
	}
	return d, nil
}

// learn takes over what a site shows and no site before did.
func (d *Design) learn(s *site) {
	take(&d.Mixed, &d.Limit, s.limit)
	take(&d.Mixed, &d.Landing, s.landing)
	take(&d.Mixed, &d.Offsets.MapMaxEntries, s.offsets.MapMaxEntries)
	take(&d.Mixed, &d.Offsets.ArrayPtrs, s.offsets.ArrayPtrs)
	take(&d.Mixed, &d.Offsets.ProgBPFFunc, s.offsets.ProgBPFFunc)
}

// take keeps the first value that is shown and notes another one.
func take[T comparable](mixed *bool, have *T, shown T) {
	var zero T
	switch {
	case shown == zero:
	case *have == zero:
		*have = shown
	case *have != shown:
		*mixed = true
	}
}

// designs returns the designs that a function can be of which has a counter or a site.
func (r *recogniser) designs(f *image.FuncImage, hook bool) design.Set {
	seen := design.Seen{Depth: f.Frame.Depth, Shape: design.Shape{
		Reused: design.AnswerOf(f.Frame.Reused), Hook: design.AnswerOf(hook), Returns: returnSlots(f),
		Counter: design.CounterPlace{Form: f.Frame.Counter.Form, Size: f.Frame.Counter.Size, Off: f.Frame.Counter.Off},
	}}
	s, framed := r.shape()
	if !framed {
		if !f.Frame.Reused {
			return 0
		}
		return design.Like(&seen)
	}
	seen.Head, seen.Setup, seen.Exit = s.size(), s.setup(), s.exitCode()
	if f.Frame.Counter.Form == image.CounterNone && len(r.sites) > 0 {
		seen.Call = r.call(&r.sites[0])
	}
	if s.again || slices.ContainsFunc(r.sites, func(s site) bool { return s.Direct }) {
		seen.Rebuilt = design.AnswerOf(s.again)
	}
	return design.Like(&seen)
}

// returnSlots counts the return addresses in the frame.
func returnSlots(f *image.FuncImage) (n int) {
	for _, s := range f.Frame.Slots {
		if s.Kind == image.SlotReturn {
			n++
		}
	}
	return n
}
