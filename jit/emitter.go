// SPDX-License-Identifier: GPL-2.0-only

package jit

import (
	"errors"

	"github.com/tcsim/tcsim/jit/emit"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/verify"
)

// ErrEmitter is wrapped by errors that are a verdict on a target's Emitter, not on what it was given: it
// crashes, does not come to an end, stops the kernel or makes no code.
var ErrEmitter = errors.New("the JIT fails")

// Emitter makes the code of a target whose Emitter is set, in place of the compiler of this package: the
// JIT of a kernel's source (package source). It must do for its arguments what the functions of the same
// names are documented to do, and be safe for concurrent use.
type Emitter interface {
	Compile(v *verify.Verified, t *Target, env image.Env) (*image.Image, error)
	CompileTrampoline(f *emit.Traced, t *Target, env image.Env) (*emit.Trampoline, error)
	LoadPlan(t *Target, sites []image.PokeSite, targets []image.Addr) ([]image.Patch, error)
	UpdatePlan(t *Target, sites []image.PokeSite, old, new image.Addr) ([]image.Patch, error)
	// For returns the same JIT for another target of the same kernel.
	For(t *Target) (Emitter, error)
}

// Original is what the code of an Emitter can be compared with.
type Original struct {
	// Target is the same kernel with code of our own.
	Target *Target
	// Release is the release that the emitter's source is of, edited or not, if captures show what that one
	// emits; "" if it is of another one, so that the two may differ without a mistake.
	Release string
	// Unedited says that the source is that of a release as it is: what differs is a mistake of ours.
	Unedited bool
}

// Comparable is an Emitter whose code can be compared with what is known.
type Comparable interface {
	Emitter
	// Original returns nil if nothing is known.
	Original() *Original
}
