// SPDX-License-Identifier: GPL-2.0-only

package replay

import (
	"context"
	"fmt"
	"iter"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/design"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/recognise"
)

// Captured is one scenario of a capture, ready to run: the code that the kernel emitted, at the addresses that
// it had. It is Sourced if the capture has the scenario's file, otherwise Bare.
type Captured interface {
	// Known returns what is known of both kinds.
	Known() *Facts
	replay(ctx context.Context, r *Replayer) (*Replay, error)
}

// Facts are what is known of a captured scenario with or without its file.
type Facts struct {
	Scenario *capture.Scenario
	Target   *jit.Target // of the capture's header: for struct offsets, not for code
	Images   []*image.Image
	// Unchecked says of which code nothing is known, so that only running has judged it.
	Unchecked []string

	found   recognise.Design // of what the code shows, Shown and Designs
	header  *capture.Header
	symbols *capture.Symbols
	decoded decoder
	flaws   []string // what is wrong with the code of tail calls, before anything runs
	broken  string   // why the code cannot run, "" if it can
	src     *capture.Source
	allOdd  bool // no program begins as those of its kernel do
}

// Known implements Captured.
func (c *Facts) Known() *Facts { return c }

// Capture prepares scenario i of a capture. Frames and sites come from decoding the code.
func Capture(src *capture.Source, t *jit.Target, i int) (Captured, error) {
	sc, err := src.Scenario(i)
	if err != nil {
		return nil, err
	}
	c := &Facts{Scenario: sc, Target: t, header: &src.Header, symbols: &src.Symbols, decoded: decoder{sc: sc}, src: src}
	prepare := c.bare
	if sc.HasSource() {
		prepare = c.sourced
	}
	out, err := prepare()
	if err != nil {
		return nil, fmt.Errorf("%s:%d: %s: %w", src.Name, sc.Line, sc.Name, err)
	}
	return out, nil
}

// Captures prepares scenarios of a capture in their order, each while the one before is being replayed.
func Captures(src *capture.Source, t *jit.Target, picked []int) iter.Seq2[Captured, error] {
	type prepared struct {
		c        Captured
		err      error
		panicked any
	}
	prepare := func(i int) (p prepared) {
		defer func() { p.panicked = recover() }()
		p.c, p.err = Capture(src, t, i)
		return p
	}
	return func(yield func(Captured, error) bool) {
		next, stop := make(chan prepared), make(chan struct{})
		defer close(stop)
		go func() {
			defer close(next)
			for _, i := range picked {
				select {
				case next <- prepare(i):
				case <-stop:
					return
				}
			}
		}()
		for p := range next {
			if p.panicked != nil {
				panic(p.panicked)
			}
			if !yield(p.c, p.err) {
				return
			}
		}
	}
}

// Design names the design that the code shows, as docs/schemes.md does where the kernel is known; where
// code alone cannot tell designs apart it names all of them.
func (c *Facts) Design() string { return c.found.NameOn(c.said()) }

// said is the design that the kernel's release has, design.None if that is not known.
func (c *Facts) said() design.ID {
	if c.Target.Decoded {
		return design.None
	}
	return c.Target.Design
}

// foundDesign notes the design that a program shows, if it shows one. What several programs can be of
// is narrowed down to what all can be of.
func (c *Facts) foundDesign(d *recognise.Design) {
	if !d.Shown {
		return
	}
	both := c.found.Designs & d.Designs
	c.found = *d
	if both != 0 {
		c.found.Designs = both
	}
}

// design notes the design that an image shows.
func (c *Facts) design(img *image.Image) {
	if d, err := recognise.RecogniseDesign(img); err == nil {
		c.foundDesign(&d)
	}
}

// missing says why there is nothing to run, "" if there is.
func (c *Facts) missing() string {
	sc := c.Scenario
	switch {
	case sc.Error != "":
		return "the kernel could not set it up: " + sc.Error
	case sc.Run == nil && !sc.HasSource():
		return "the kernel did not run it"
	}
	for i := range sc.Progs {
		p := &sc.Progs[i]
		if p.LoadError != "" {
			return fmt.Sprintf("the kernel refused program %s", p.Name)
		}
	}
	for i := range sc.Trampolines {
		if why := sc.Trampolines[i].Error; why != "" && sc.HasSource() {
			return "the capture has no image of a trampoline: " + why
		}
	}
	return ""
}

// skip says why the scenario is not compared with the kernel, "" if it is.
func (c *Facts) skip() string {
	if r := c.Scenario.Run; r != nil && c.Scenario.Error == "" {
		switch {
		case r.Skipped != "":
			return "the kernel did not run it: " + r.Skipped
		case r.Error != "":
			return "the kernel's run failed: " + r.Error
		}
	}
	return c.missing()
}
