// SPDX-License-Identifier: GPL-2.0-only

package replay

import (
	"fmt"
	"slices"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/design"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/recognise"
	"github.com/tcsim/tcsim/jit/x86"
)

// inspectSource looks at the tail calls of a captured scenario with a source, in the state with the prog
// arrays filled. Where none looks like one that is known, the kernel has a design of its own.
func (c *Facts) inspectSource() error {
	var images []*image.Image
	sites, calls := 0, 0
	for p := range c.Scenario.Progs {
		img, err := c.decoded.program(p, capture.Populated)
		if err != nil {
			return fmt.Errorf("program %s: %w", c.Scenario.Progs[p].Name, err)
		}
		images = append(images, img)
		calls += len(c.Scenario.Progs[p].TailCalls)
		for i := range img.Funcs {
			sites += len(img.Funcs[i].TailCalls)
		}
	}
	if sites == 0 {
		if calls > 0 {
			c.found = recognise.Design{Shown: true}
		}
		return c.inspectEntries()
	}
	for p, img := range images {
		if err := c.recognise(p, img); err != nil {
			return err
		}
	}
	return c.inspect(images)
}

// emptySites looks at the direct tail calls of a known design in the state with empty prog arrays: each
// must be skipped by a jump to its end.
func (c *Facts) emptySites(p int, filled *image.Image) error {
	d, err := recognise.RecogniseDesign(filled)
	if err != nil || !d.Known() {
		return err
	}
	prog := &c.Scenario.Progs[p]
	empty, err := c.decoded.program(p, capture.Empty)
	if err != nil {
		return err
	}
	for _, t := range prog.TailCalls {
		f := &empty.Funcs[t.Func]
		if s := siteAt(&filled.Funcs[t.Func], t.Off); s == nil || !s.Direct || s.Bypass < 0 {
			continue
		}
		s := siteAt(f, t.Off)
		if s == nil || !s.Direct || s.Bypass < 0 {
			c.flaw(p, f, t.Off, "with the prog arrays empty, the code of the tail call is not that of "+d.NameOn(c.said()))
			continue
		}
		in, err := x86.Decode(f.Code[s.Bypass:], f.Addr+image.Addr(s.Bypass))
		if err != nil || in.Branch != x86.BranchJump || in.Target != f.Addr+image.Addr(s.End) {
			c.flaw(p, f, s.Bypass, "with the prog arrays empty, nothing skips the tail call")
		}
	}
	return nil
}

// inspect notes what is wrong with the tail calls of all programs, also on ways that the scenario does
// not take. Of a design that is not known nothing is demanded.
func (c *Facts) inspect(images []*image.Image) error {
	var landings []image.Addr
	for _, img := range images {
		if a, ok := img.Landing(); ok {
			landings = append(landings, a)
		}
	}
	names := c.symbols.Table()
	for p, img := range images {
		d, err := recognise.RecogniseDesign(img)
		if err != nil {
			return err
		}
		if !d.Known() {
			continue
		}
		if err := c.emptySites(p, img); err != nil {
			return err
		}
		flaws, err := recognise.SiteFlaws(img, bpf.TailCallLimit)
		if err != nil {
			return err
		}
		reloads, err := recognise.ReloadFlaws(img)
		if err != nil {
			return err
		}
		for _, f := range append(flaws, reloads...) {
			c.flaw(p, &img.Funcs[f.Func], f.Off, f.Text)
		}
		for i := range img.Funcs {
			f := &img.Funcs[i]
			for n := range f.TailCalls {
				s := &f.TailCalls[n]
				if c.found.Designs.Has(c.said()) {
					if text := countsWhen(c.said(), s); text != "" {
						c.flaw(p, f, s.Bump, text)
					}
				}
				if to, ok := siteLeads(f, s); ok && !c.Scenario.Found && !slices.Contains(landings, to) {
					c.flaw(p, f, s.Jump, fmt.Sprintf("the tail call leads to %#x, where no program is entered", uint64(to)))
				}
				if to, ok := recognise.Thunk(f, s); ok && names.Name(to) == "" {
					c.flaw(p, f, s.Jump, fmt.Sprintf("the tail call jumps to %#x, where the kernel has nothing", uint64(to)))
				}
			}
		}
	}
	return c.inspectEntries()
}

// countsWhen says what is wrong with when a tail call is counted: before it is known whether its slot is empty, or
// after that, as the kernel's design has it.
func countsWhen(d design.ID, s *image.TailCallSite) string {
	skip := s.Null
	if s.Direct {
		skip = s.Bypass
	}
	if s.Bump < 0 || skip < 0 {
		return ""
	}
	switch empty := d.Traits().Empty; {
	case empty == design.EmptyCounts && s.Bump > skip:
		return "a tail call to an empty slot must count, and this comes after it is skipped"
	case empty == design.EmptyFree && s.Bump < skip:
		return "a tail call to an empty slot must not count, and this comes before it is skipped"
	}
	return ""
}

// flaw notes what is wrong with a tail call of program p.
func (c *Facts) flaw(p int, f *image.FuncImage, off image.CodeOff, text string) {
	c.flaws = append(c.flaws, c.flawText(p, f, off, text))
}

func (c *Facts) flawText(p int, f *image.FuncImage, off image.CodeOff, text string) string {
	return fmt.Sprintf("program %s: %s+%#x: %s", c.Scenario.Progs[p].Name, f.Name, int(off), text)
}
