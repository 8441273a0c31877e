// SPDX-License-Identifier: GPL-2.0-only

package scenarios

import (
	"errors"

	"github.com/tcsim/tcsim/jit/bpf"
)

// placed is a mistake that was found after the file was read, with its place in it.
type placed struct {
	what Error
	err  error
}

func (p *placed) Error() string { return p.what.Error() }

func (p *placed) Unwrap() error { return p.err }

// Place says where in the scenario file the instruction stands that a verifier refuses in a program: the first of
// several. err must be about the program as it was built, not as it was rewritten.
func (b *Built) Place(program int, err error) error {
	var at *bpf.InsnError
	if program >= len(b.Places) || !errors.As(err, &at) || int(at.At) >= len(b.Places[program]) {
		return err
	}
	pos := b.Places[program][at.At]
	if pos.Line == 0 {
		return err
	}
	s := source{file: b.Scenario.File, lines: b.Lines}
	return &placed{Error{File: s.file, Pos: pos, Msg: err.Error(), Excerpt: s.excerpt(pos)}, err}
}
