// SPDX-License-Identifier: GPL-2.0-only

package inspect

import (
	"fmt"
	"slices"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/design"
	"github.com/tcsim/tcsim/jit/emit"
	"github.com/tcsim/tcsim/jit/explain"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/recognise"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// Report is what can be said of code without running it.
type Report struct {
	// Flaws are what no kernel means to emit.
	Flaws []string
	// Differences are places where code is not shown to do what the code of the same kernel does, as it is known.
	Differences []string
	// Release is the release that the source of the code is of, if captures show what that one emits: Differences
	// are then changes that the source makes. "" if they may be due to the kernel's version.
	Release string
	// Unchecked says of which code nothing is known, so that only running can judge it.
	Unchecked []string
}

// Code looks at a scenario as a target holds it after loading.
func Code(c *runner.Compiled) (*Report, error) {
	r := &reader{c: c, rep: &Report{}}
	if err := r.design(); err != nil {
		return nil, err
	}
	if err := r.tailCalls(); err != nil {
		return nil, err
	}
	if err := r.entries(); err != nil {
		return nil, err
	}
	if err := r.promises(); err != nil {
		return nil, err
	}
	return r.rep, r.original()
}

type reader struct {
	c     *runner.Compiled
	rep   *Report
	shown bool       // some program shows its design
	can   design.Set // what all that do can be of
}

// design notes the design that the programs show.
func (r *reader) design() error {
	for _, img := range r.c.Images {
		d, err := recognise.RecogniseDesign(img)
		if err != nil {
			return err
		}
		r.offsets(img, &d)
		switch {
		case !d.Shown:
		case !r.shown:
			r.shown, r.can = true, d.Designs
		default:
			r.can &= d.Designs
		}
	}
	return nil
}

// offsets compares what tail calls of a program of a source read with where its kernel has it.
func (r *reader) offsets(img *image.Image, d *recognise.Design) {
	if r.c.Target.Emitter == nil {
		return // they are executed
	}
	of := &r.c.Target.Offsets
	p := slices.Index(r.c.Images, img)
	if d.Mixed {
		r.differ(fmt.Sprintf("program %s: its tail calls differ in limit, landing or offsets, which the code of one kernel does not", r.c.ProgName(p)))
	}
	for _, o := range []struct {
		what     string
		got, has int32
	}{
		{"bpf_map.max_entries", d.Offsets.MapMaxEntries, of.MapMaxEntries}, {"bpf_array.ptrs", d.Offsets.ArrayPtrs, of.ArrayPtrs},
		{"bpf_prog.bpf_func", d.Offsets.ProgBPFFunc, of.ProgBPFFunc},
	} {
		if o.got != 0 && o.got != o.has {
			r.differ(fmt.Sprintf("program %s: its tail calls take %s to be at %#x, and the kernel has it at %#x", r.c.ProgName(p), o.what, o.got, o.has))
		}
	}
}

// is reports whether the code can be of a design.
func (r *reader) is(id design.ID) bool { return !r.shown || r.can.Has(id) }

// tailCalls looks at the code of tail calls and at calls that hand the counter over.
func (r *reader) tailCalls() error {
	if r.shown && r.can == 0 {
		return nil // of a design that is not known nothing is demanded
	}
	names := named(r.c)
	for p, img := range r.c.Images {
		sites, err := recognise.SiteFlaws(img, r.c.Target.Limit)
		if err != nil {
			return err
		}
		if r.handsOver() {
			reloads, err := recognise.ReloadFlaws(img)
			if err != nil {
				return err
			}
			sites = append(sites, reloads...)
		}
		for _, f := range sites {
			if f.Foreign && r.c.Target.Emitter != nil { // what a source makes may be meant, and is run and judged so
				r.differ(r.text(p, &r.c.Images[p].Funcs[f.Func], f.Off, f.Text))
				continue
			}
			r.flaw(p, &f)
		}
		r.thunks(p, img, names)
	}
	return nil
}

// thunks looks at where indirect tail calls go by way of the kernel.
func (r *reader) thunks(p int, img *image.Image, names map[image.Addr]string) {
	for i := range img.Funcs {
		f := &img.Funcs[i]
		for n := range f.TailCalls {
			s := &f.TailCalls[n]
			if to, ok := recognise.Thunk(f, s); ok && names[to] == "" {
				r.flaw(p, &recognise.SiteFlaw{Func: i, Off: s.Jump, Text: fmt.Sprintf("the tail call jumps to %#x, where the kernel has nothing", uint64(to))})
			}
		}
	}
}

// handsOver reports whether functions of the design get from their callers in rax what they keep in their frames.
func (r *reader) handsOver() bool {
	tr := r.c.Target.Design.Traits()
	inRAX := tr.Handover == design.HandCount || tr.Handover == design.HandCountOrPointer || tr.Handover == design.HandPointer
	return inRAX && tr.Counting != design.CountByFunction && tr.Counting != design.CountByProgram
}

// entries looks at what the kernel demands of every function: where it may be entered, and what trampolines are
// attached to.
func (r *reader) entries() error {
	t := r.c.Target
	rules := recognise.EntryRules{
		Design: t.Design, IBT: t.Emit.ENDBR, Attached: t.Emit.Tramp.Place, Fresh: true, Limit: t.Limit,
		Poison: emit.Poison(t.Emit.CFI),
	}
	for p, img := range r.c.Images {
		found, err := recognise.EntryFlaws(img, rules)
		if err != nil {
			return err
		}
		for _, f := range found {
			if f.Always || t.Emitter == nil { // a source may be of another design
				r.flaw(p, &f)
			}
		}
	}
	return nil
}

// promises looks at what functions of our own do at their edges and in tail calls, whatever design they are of. What a
// source makes may be of a design of its own, and is compared.
func (r *reader) promises() error {
	if r.c.Target.Emitter != nil {
		return nil
	}
	k := surroundings(r.c)
	for p, img := range r.c.Images {
		for i := range img.Funcs {
			found, err := explain.Promises(img, i, k)
			if err != nil {
				return fmt.Errorf("program %s: %s: %w", r.c.ProgName(p), img.Funcs[i].Name, err)
			}
			for _, d := range found {
				r.rep.Flaws = append(r.rep.Flaws, r.text(p, &img.Funcs[i], d.Off, d.Text))
			}
		}
	}
	return nil
}

// surroundings are what is true of a target's code and what it finds around it.
func surroundings(c *runner.Compiled) *explain.Kernel {
	t, traits := c.Target, c.Target.Design.Traits()
	k := &explain.Kernel{
		Names: named(c), Routines: map[image.Addr]image.RoutineKind{}, Limit: t.Limit,
		MaxEntries: t.Offsets.MapMaxEntries, Ptrs: t.Offsets.ArrayPtrs, BPFFunc: t.Offsets.ProgBPFFunc, Landing: -1,
		Hands:       traits.Handover == design.HandCount || traits.Handover == design.HandCountOrPointer || traits.Handover == design.HandPointer,
		Anew:        traits.Counting == design.CountByFunction || traits.Counting == design.CountByProgram,
		CPU:         c.Setup().Symbols["this_cpu_off"],
		EmptyCounts: traits.Empty == design.EmptyCounts,
	}
	k.FP, _ = t.Design.FP()
	for routine, a := range c.Setup().Routines {
		if routine.Kind.Variable() {
			k.Counters = append(k.Counters, a)
			continue
		}
		k.Routines[a] = routine.Kind
	}
	for _, img := range c.Images {
		if f := &img.Funcs[0]; f.Frame.Landing >= 0 {
			k.Landing = f.Frame.Landing - f.Entry
		}
	}
	return k
}

// named are the kernel's symbols.
func named(c *runner.Compiled) map[image.Addr]string {
	names := map[image.Addr]string{}
	for name, a := range c.Setup().Symbols {
		names[a] = name
	}
	for _, img := range c.Images {
		if img.Module != nil {
			for name, a := range img.Module.Symbols {
				names[a] = name
			}
		}
	}
	return names
}

func (r *reader) flaw(p int, f *recognise.SiteFlaw) {
	r.rep.Flaws = append(r.rep.Flaws, r.text(p, &r.c.Images[p].Funcs[f.Func], f.Off, f.Text))
}

func (r *reader) text(p int, f *image.FuncImage, off image.CodeOff, what string) string {
	return fmt.Sprintf("program %s: %s+%#x: %s", r.c.ProgName(p), f.Name, int(off), what)
}

// original compares with what is known of the kernel that the target's source is of.
func (r *reader) original() error {
	if r.c.Target.Emitter == nil {
		return nil
	}
	var of *jit.Original
	if e, ok := r.c.Target.Emitter.(jit.Comparable); ok {
		of = e.Original()
	}
	switch {
	case of == nil:
		r.leave("prologues, exits and the code of instructions: nothing is known to compare them with")
		return nil
	case !r.is(of.Target.Design):
		r.leave(fmt.Sprintf("prologues, exits and the code of instructions: the code is of another design than that of %s, %v", of.Target.Name, of.Target.Design))
		return nil
	}
	own := *of.Target
	own.Limit = r.c.Target.Limit
	programs, trampolines, err := r.c.As(&own)
	if err != nil {
		r.leave(fmt.Sprintf("trampolines: %v", err))
	}
	for p := range programs {
		if err := programs[p].Err; err != nil {
			r.leave(fmt.Sprintf("program %s: %v", r.c.ProgName(p), err))
			continue
		}
		for i := range programs[p].Image.Funcs {
			name := "program " + r.c.ProgName(p)
			if err := r.compare(name, &programs[p].Image.Funcs[i], r.c.Images[p], i); err != nil {
				return err
			}
		}
	}
	for i, img := range r.c.Trampolines() {
		if i < len(trampolines) {
			if err := r.compare("trampolines", &trampolines[i].Funcs[0], img, 0); err != nil {
				return err
			}
		}
	}
	if n := len(r.rep.Differences); of.Unedited && n > 0 {
		r.rep.Differences = nil
		r.leave(fmt.Sprintf("%d places in which the file, a release's own, emits something else than tcsim does for %s", n, of.Target.Name))
	}
	r.rep.Release = of.Release
	return nil
}

// compare compares a function of an image with what is known.
func (r *reader) compare(of string, want *image.FuncImage, img *image.Image, fn int) error {
	got := &img.Funcs[fn]
	res, err := explain.Compare(want, got.Code)
	if err != nil {
		return fmt.Errorf("%s: %s: %w", of, got.Name, err)
	}
	for _, d := range res.Differences {
		if d.Place == explain.Site {
			is, err := judged(want, img, fn, d.Off)
			if err != nil {
				return fmt.Errorf("%s: %s: %w", of, got.Name, err)
			}
			if is {
				continue
			}
		}
		r.differ(fmt.Sprintf("%s: %s+%#x: %s", of, got.Name, int(d.Off), d.Text))
	}
	return nil
}

func (r *reader) differ(text string) {
	if !slices.Contains(r.rep.Differences, text) {
		r.rep.Differences = append(r.rep.Differences, text)
	}
}

// judged reports whether an offset is in a tail call of which recognise.SiteFlaws has judged what it does in another order
// or with other registers.
func judged(want *image.FuncImage, img *image.Image, fn int, off image.CodeOff) (bool, error) {
	sites := img.Funcs[fn].TailCalls
	n := slices.IndexFunc(sites, func(s image.TailCallSite) bool { return s.Limit >= 0 && s.Start <= off && off < s.End })
	if n < 0 || len(sites) != len(want.TailCalls) {
		return false, nil
	}
	return recognise.Follows(img, fn, n)
}

func (r *reader) leave(text string) {
	if !slices.Contains(r.rep.Unchecked, text) {
		r.rep.Unchecked = append(r.rep.Unchecked, text)
	}
}
