// SPDX-License-Identifier: GPL-2.0-only

package bpf

import "fmt"

// InsnError is what is wrong with the instruction at a slot of a program as users write it.
type InsnError struct {
	At   InsnIndex
	Text string // the instruction
	Err  error
}

// ErrorAt says what is wrong with the instruction at a slot.
func ErrorAt(insns []Insn, at InsnIndex, err error) error {
	return &InsnError{At: at, Text: TextAt(insns, at), Err: err}
}

func (e *InsnError) Error() string { return fmt.Sprintf("insn %d (%s): %v", e.At, e.Text, e.Err) }

// Unwrap returns the reason.
func (e *InsnError) Unwrap() error { return e.Err }
