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

// Place says where in the scenario file the instruction stands that a verifier or a compiler refuses in a program: the
// first of several. places are where the slots of the program went if err is about it as it was rewritten, nil if it is
// about the program as it was built.
func (b *Built) Place(program int, places []bpf.InsnIndex, err error) error {
	var at *bpf.InsnError
	if program >= len(b.Places) || !errors.As(err, &at) {
		return err
	}
	insn := at.At
	if places != nil {
		insn = 0
		for i, to := range places {
			if to >= 0 && to <= at.At && (to > places[insn] || places[insn] < 0) {
				insn = bpf.InsnIndex(i)
			}
		}
	}
	if int(insn) >= len(b.Places[program]) {
		return err
	}
	pos := b.Places[program][insn]
	if pos.Line == 0 {
		return err
	}
	s := source{file: b.Scenario.File, lines: b.Lines}
	return &placed{Error{File: s.file, Pos: pos, Msg: err.Error(), Excerpt: s.excerpt(pos)}, err}
}
