// SPDX-License-Identifier: GPL-2.0-only

package recognise

import (
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
)

// Design is what the tail-call sites of an image say of the kernel that emitted it. Fields that no
// site shows are 0.
type Design struct {
	// Name is that of a known design ("hier-6.12"), else UnknownDesign, or "" if the image has
	// neither a counter nor a site. The code of programs is the same in rework-5.10 and rework-6.7, and
	// in ip-aux and jmp-always-valid.
	Name string
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

// UnknownDesign is the name of a design whose sites are recognised and that is none of the known.
const UnknownDesign = "unknown design"

// RecogniseDesign reads the design from the functions of a program as Recognise, RecogniseImage or
// Compile return them. It errors if the code does not decode.
func RecogniseDesign(img *image.Image) (Design, error) {
	var d Design
	var hook, sites bool
	for i := range img.Funcs {
		f := &img.Funcs[i]
		c, err := decodeAll(f.Code, f.Addr)
		if err != nil {
			return Design{}, err
		}
		r := newRecogniser(c, i != 0)
		hook = hook || r.pro.hook
		if f.Frame.Counter.Form != image.CounterNone && d.Counter.Form == image.CounterNone {
			d.Counter, d.Reused = f.Frame.Counter, f.Frame.Reused
		}
		for n := range r.sites {
			sites = true
			d.learn(&r.sites[n])
		}
		if d.Name == "" && (d.Counter.Form != image.CounterNone || len(r.sites) != 0) {
			d.Name = r.designName(f, hook)
		}
	}
	if d.Name == "" && sites {
		d.Name = UnknownDesign
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

// reusedDesigns are the designs in which all functions share one frame, by where the counter is
// from rbp and whether there is a place for trampolines.
var reusedDesigns = []struct {
	name string
	off  int32
	hook bool
}{
	{"classic-4.4", -516, false}, // classic-4.2 differs in its landing only
	{"fpshift-4.13", 36, false},
	{"josh-simple", 4, false},
	{"fp-r12", -44, false},
	{"fp40", -36, false},
	{"fp-dbl", 12, false},
}

// designName names the design of a function that has a counter or a site.
func (r *recogniser) designName(f *image.FuncImage, hook bool) string {
	c, depth := f.Frame.Counter, f.Frame.Depth
	s, framed := r.shape()
	switch {
	case f.Frame.Reused && framed && c.Size == 4 && c.Off == -depth-36 && reserves(&s.inner[0], 32):
		if hook { // both have the counter below the saved registers, whatever stack there is
			return "direct-poke"
		}
		return "fp53"
	case f.Frame.Reused:
		for _, d := range reusedDesigns {
			if d.off == c.Off && d.hook == hook && c.Size == 4 {
				return d.name
			}
		}
	case !framed:
	case s.rfc1():
		return "hier-rfc1"
	case c.Form == image.CounterNone:
		return r.calledName(&r.sites[0])
	case c.Form == image.CounterPtr && c.Size == 8 && c.Off == -depth-16:
		return "hier-6.12"
	case c.Form == image.CounterPtr && c.Size == 4 && c.Off == -depth-8 && hook && returnSlots(f) == 2:
		return "hier-rfc2"
	case c.Form == image.CounterPtr && c.Size == 4 && hook:
		return s.pointerName()
	case c.Form == image.CounterValue && c.Size == 4 && c.Off == -depth-4 && hook:
		return s.valueName()
	}
	return UnknownDesign
}

// returns counts the return addresses in the frame.
func returnSlots(f *image.FuncImage) (n int) {
	for _, s := range f.Frame.Slots {
		if s.Kind == image.SlotReturn {
			n++
		}
	}
	return n
}
