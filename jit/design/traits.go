// SPDX-License-Identifier: GPL-2.0-only

package design

import (
	"strings"

	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
)

// Traits are what is true of a design besides the code that it emits. Every field is stated; the
// zero value of an enumeration means that somebody forgot it, which TestTraits finds. Where code
// shows a trait too, tests compare the two.
type Traits struct {
	Name     string         // such as "hier-6.12"
	Kernel   kernels.Design // what it is of the designs of releases; NoDesign for a proposal
	Source   string         // where its facts come from
	Evidence Evidence
	// Listings are the features, each list as in the name of a target after that of the design,
	// with which a listing in a mail or a commit message confirms the code.
	Listings []string

	Counting Counting
	Empty    EmptySlot
	Handover Handover
	Boundary Boundary
	// Routines are what its code calls or reads of the kernel's for the counter.
	Routines []image.RoutineKind
	Faults   []Fault // that are known, besides what Counting says
	Shape    Shape   // by which its machine code is recognised
}

// Counting is what one counter counts.
type Counting uint8

// The ways of counting. BPF means one counter for each invocation.
const (
	_ Counting = iota
	// CountInvocation is one counter for everything that an invocation does.
	CountInvocation
	// CountByValue is a counter in each frame which begins with the caller's count: what a subprogram
	// counts never reaches its caller.
	CountByValue
	// CountByFunction is a counter in each frame which begins at 0: functions that have a tail call
	// count for themselves whenever they are called.
	CountByFunction
	// CountByProgram is a counter for each program.
	CountByProgram
)

// PerFrame reports whether each frame has a counter of its own, so that an invocation can take more
// tail calls than the limit.
func (c Counting) PerFrame() bool { return c == CountByValue || c == CountByFunction }

// EmptySlot is what a tail call to an empty slot costs.
type EmptySlot uint8

// The costs.
const (
	_           EmptySlot = iota
	EmptyCounts           // it counts as one that is taken: the counter is written before the slot is read
	EmptyFree             // only tail calls that are taken count
)

// Handover is what a tail call hands to the next program, apart from the saved registers.
type Handover uint8

// What is handed over.
const (
	_                  Handover = iota
	HandFrame                   // the whole frame, in which the next program goes on
	HandCount                   // the count, in rax
	HandCountOrPointer          // the count or a pointer to it, in rax
	HandPointer                 // a pointer to the count, in rax
	HandNothing                 // nothing: the count is outside the stack
)

var handoverNames = [...]string{
	HandFrame: "the whole frame", HandCount: "count in rax", HandCountOrPointer: "count or pointer in rax",
	HandPointer: "pointer in rax", HandNothing: "nothing",
}

// String returns a description such as "count in rax".
func (h Handover) String() string { return handoverNames[h] }

// Boundary says whether a main program can be an exception boundary, which bpf_throw unwinds to.
type Boundary uint8

// Whether it can.
const (
	_             Boundary = iota
	BoundaryNone           // the design is older than exceptions, or it is unknown how they would go together
	BoundarySaves          // main programs that throw save every callee-saved register
)

// Fault is something that a design is known to do wrong.
type Fault struct {
	Invariant string // by its name in package emu/check
	Shown     Shown
	Text      string
}

// Shown is what a fault needs to be seen.
type Shown uint8

// The needs.
const (
	_                 Shown = iota
	ShownByGraphs           // some graph of programs shows it, without anything from outside
	ShownAlways             // every run with a tail call to a main program shows it
	ShownByUpdate           // an update of a slot between runs
	ShownDuringUpdate       // an update of a slot while a program runs
	ShownByInterrupt        // a program that interrupts another one
	ShownByProgram          // something that random graphs do not have: r10 as a value, trampolines, replaced functions
)

// Wrong says what random graphs and updates of their slots find wrong with the design, other than a
// counter by value; "" means nothing.
func (t *Traits) Wrong() string {
	var texts []string
	switch t.Counting {
	case CountByFunction:
		texts = append(texts, "counts per function")
	case CountByProgram:
		texts = append(texts, "each program has a counter of its own")
	}
	for i := range t.Faults {
		if f := &t.Faults[i]; f.Shown != ShownByInterrupt && f.Shown != ShownByProgram {
			texts = append(texts, f.Text)
		}
	}
	return strings.Join(texts, ", and ")
}

// Always returns the invariant that every run with a tail call breaks, "" if there is none.
func (t *Traits) Always() string {
	for i := range t.Faults {
		if f := &t.Faults[i]; f.Shown == ShownAlways {
			return f.Invariant
		}
	}
	return ""
}

// Evidence is what the bytes of a target were checked against.
type Evidence uint8

// The kinds of evidence.
const (
	ByCapture   Evidence = iota // images that a real kernel emitted
	ByBoot                      // images that a real kernel emitted, of which no capture is kept
	ByOwnSource                 // images that its own C file emitted outside a kernel
	ByListing                   // a listing in a mail or a commit message
	BySource                    // source code or a description only
)

var evidenceNames = [...]string{
	ByCapture:   "verified against captures",
	ByBoot:      "compared with a booted kernel",
	ByOwnSource: "identical with its own source",
	ByListing:   "verified against a listing",
	BySource:    "from source or description only",
}

// String returns a label such as "verified against captures".
func (e Evidence) String() string { return evidenceNames[e] }
