// SPDX-License-Identifier: GPL-2.0-only

package jit

import "github.com/tcsim/tcsim/jit/kernels"

// Target is everything that decides the bytes: a tail-call design plus kernel release, mitigations and
// struct offsets. Targets are data; nothing changes one after it was made. A copy with another
// Limit is how the limit is varied.
type Target struct {
	Name   string // as given to --target, such as "6.12"
	Source string // where its facts come from
	// Note says what the target was taken for, if it is not what was asked for to the letter; "" if it is.
	Note string
	// Evidence says how sure its bytes are.
	Evidence Evidence
	Design   Design // how tail calls work
	// Base is the kernel or design that the name begins with, Features are the words after it.
	Base     string
	Features []string
	// Decoded says that it was read from machine code, so that Design is a stand-in.
	Decoded bool
	// Version is the kernel's; the zero value means a design that is not tied to a kernel.
	Version kernels.Version
	// Limit is MAX_TAIL_CALL_CNT as an effective number: how many tail calls one invocation may
	// take, 33 on every kernel. It must fit the byte that the comparisons have room for: 1 to 127.
	Limit uint32

	kernels.Kernel

	// Variant, if not nil, changes what the design does.
	Variant *Variant
	// Emitter, if not nil, makes the code, and Design only says what it is taken for. Variant must
	// be nil then.
	Emitter Emitter
}

// Evidence is what the bytes of a target were checked against.
type Evidence uint8

// The kinds of evidence.
const (
	ByCapture Evidence = iota // images that a real kernel emitted
	ByListing                 // a listing in a mail or a commit message
	BySource                  // source code or a description only
)

var evidenceNames = [...]string{
	ByCapture: "verified against captures",
	ByListing: "verified against a listing",
	BySource:  "from source or description only",
}

// String returns a label such as "verified against captures".
func (e Evidence) String() string { return evidenceNames[e] }
