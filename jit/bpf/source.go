// SPDX-License-Identifier: GPL-2.0-only

package bpf

import "slices"

// SourceLine is the line of a source file that instructions were compiled from, as BTF has it: those from Insn to where the
// next one begins. One without a file says that there is none.
type SourceLine struct {
	Insn InsnIndex
	File string
	Line int
	Text string // without the blanks around it
}

// SourceAt returns the source line of an instruction; ok is false if it is not known.
func (p *Program) SourceAt(i InsnIndex) (line SourceLine, ok bool) {
	n, found := slices.BinarySearchFunc(p.Source, i, func(l SourceLine, i InsnIndex) int { return int(l.Insn) - int(i) })
	if !found {
		n--
	}
	if n < 0 || p.Source[n].File == "" {
		return SourceLine{}, false
	}
	return p.Source[n], true
}
