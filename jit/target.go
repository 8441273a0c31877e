// SPDX-License-Identifier: GPL-2.0-only

package jit

import (
	"github.com/tcsim/tcsim/jit/design"
	"github.com/tcsim/tcsim/jit/emit"
	"github.com/tcsim/tcsim/jit/kernels"
)

// MaxLimit is the largest limit of a target.
const MaxLimit = emit.MaxLimit

// Target is everything that decides the bytes: a tail-call design plus kernel release, mitigations and
// struct offsets. Targets are data; nothing changes one after it was made. A copy with another
// Limit is how the limit is varied.
type Target struct {
	Name   string // as given to --target, such as "6.12"
	Source string // where its facts come from
	// Note says what the target was taken for, if it is not what was asked for to the letter; "" if it is.
	Note string
	// Evidence says how sure its bytes are.
	Evidence design.Evidence
	Design   design.ID // how tail calls work
	// Base is the kernel or design that the name begins with, Features are the words after it.
	Base     string
	Features []string
	// Decoded says that it was read from machine code, so that Design is a stand-in.
	Decoded bool
	// Version is the kernel's; the zero value means a design that is not tied to a kernel.
	Version kernels.Version
	// Config is what else decides bytes.
	emit.Config
	// Emitter, if not nil, makes the code, and Design only says what it is taken for. Variant must
	// be nil then.
	Emitter Emitter
}

// HandsOverFrame reports whether tail calls of this target hand over the whole frame (see
// Frame.Reused): the designs before 5.10.
func (t *Target) HandsOverFrame() bool {
	return t.Design.Traits().Handover == design.HandFrame
}
