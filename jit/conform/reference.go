// SPDX-License-Identifier: GPL-2.0-only

package conform

import (
	"fmt"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/capture/adapt"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/verify"
)

// Reference is what the JIT of a capture's kernel emits for its programs, as far as we know that JIT.
type Reference struct{ c *conformer }

// ReferenceOf returns that of a target, fitted to the kernel of the capture. The target must not change.
func ReferenceOf(s *capture.Source, of *jit.Target) (*Reference, error) {
	if r, ok := s.Derived.Load(of); ok {
		return r.(*Reference), nil
	}
	t, err := adapt.To(s, of)
	if err != nil {
		return nil, err
	}
	if t, err = rebind(t); err != nil {
		return nil, err
	}
	r := &Reference{&conformer{src: s, target: t, symbols: s.Symbols.Table()}}
	s.Derived.Store(of, r)
	return r, nil
}

// Target is the target that code is emitted for.
func (r *Reference) Target() *jit.Target { return r.c.target }

// Emitted compiles the programs of a scenario and calls visit for each in each state, with the image as it is
// then, which is valid during the call. Trampolines are in none: the place for them is empty. Programs that cannot be
// compiled are visited once, with the error.
func (r *Reference) Emitted(s *capture.Scenario, visit func(state capture.State, prog int, img *image.Image, err error)) {
	j := &job{conformer: r.c, s: s, res: &result{}, images: make([]*image.Image, len(s.Progs)), verified: make([]*verify.Verified, len(s.Progs))}
	for n := range s.Progs {
		if s.Progs[n].LoadError != "" {
			continue
		}
		img, err := j.build(n)
		if err == nil && len(img.Funcs) != len(s.Progs[n].Funcs) {
			err = fmt.Errorf("%d functions, the kernel has %d", len(img.Funcs), len(s.Progs[n].Funcs))
		}
		if err != nil {
			visit(capture.Empty, n, nil, err)
			continue
		}
		j.images[n] = img
	}
	all := func(state capture.State) {
		for n, img := range j.images {
			if img != nil {
				visit(state, n, img, nil)
			}
		}
	}
	if s.Found {
		j.update(capture.Populated)
		all(capture.Empty)
		return
	}
	all(capture.Empty)
	j.update(capture.Populated)
	all(capture.Populated)
	all(capture.Traced)
	j.update(capture.Deleted)
	all(capture.Deleted)
	all(capture.Replaced)
}
