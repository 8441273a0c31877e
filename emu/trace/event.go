// SPDX-License-Identifier: GPL-2.0-only

package trace

import (
	"github.com/tcsim/tcsim/emu/timing"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
)

// Kind says what happened.
type Kind uint8

// The kinds of events.
const (
	KindNone     Kind = iota
	KindEntry         // the outside called a program
	KindCall          // BPF to BPF call
	KindHelper        // call of a helper, or of anything else outside the images
	KindReturn        // return of a function
	KindTailCall      // tail call taken
	KindRefused       // tail call refused: Reason
	KindPoke          // text was patched
	KindHook          // a traced function, Target, has come to its trampoline
)

var kindNames = [...]string{
	KindNone: "none", KindEntry: "entry", KindCall: "call", KindHelper: "helper", KindReturn: "return",
	KindTailCall: "tailcall", KindRefused: "refused", KindPoke: "poke", KindHook: "hook",
}

// String returns the kind as events name it.
func (k Kind) String() string { return kindNames[k] }

// Reason says why a tail call was refused.
type Reason uint8

// The reasons. ReasonUnknown means that the sequence was left from an instruction that the image
// does not describe.
const (
	ReasonNone Reason = iota
	ReasonLimit
	ReasonBounds
	ReasonEmpty
	ReasonUnknown
	numReasons
)

var reasonNames = [...]string{
	ReasonNone: "", ReasonLimit: "limit", ReasonBounds: "bounds", ReasonEmpty: "empty slot", ReasonUnknown: "unknown",
}

// String returns the reason in words, "" for ReasonNone.
func (r Reason) String() string { return reasonNames[r] }

// Event is something that happened between functions. Registers are those directly before the
// instruction at RIP.
type Event struct {
	No   uint64 // from 1, in the run
	Kind Kind
	Seq  uint64 // instructions retired before; with sites only, what the machine counts
	Site uint64 // number of the site record in the run, from 1; 0 for pokes

	Fn      *Fn // whose code is at RIP; nil outside the images
	Insn    bpf.InsnIndex
	HasInsn bool // Insn is known

	RIP, RSP, RBP, RAX image.Addr
	Regs               *[16]uint64 // all of them by x86.Reg, nil if they were not asked for
	// Cycle is when the instruction retired, counted from the beginning of the run; 0 if no timing
	// model took part.
	Cycle timing.Cycle
	// Act numbers the activation that the event happened in, from 1. A tail call starts a new one.
	Act   int
	Begun int // number of the activation that the event begins, 0 if it begins none
	Depth int // frames on the stack, that of Fn included

	// Counter is tail_call_cnt by value. CounterAddr is where it lives, 0 if the function holds none
	// or the event is an entry, a return or a poke. CounterPtrAt is where tail_call_cnt_ptr lives, 0
	// if the design has none; its value is CounterAddr.
	Counter      uint64
	CounterAddr  image.Addr
	CounterPtrAt image.Addr

	// Tail is the tail call site of KindTailCall and KindRefused, Key the index it asks for.
	Tail   *image.TailCallSite
	Key    uint32
	Reason Reason
	// Taken is the number of tail calls taken in this invocation, this one included.
	Taken uint64
	// Inner says that it happened in an invocation that interrupted another one.
	Inner bool
	// FellThrough says that a refused tail call had taken its frame down already.
	FellThrough bool

	// Target is the function called, tail-called or returned to, nil outside the images. TargetAddr
	// is the address: 0 for a tail call whose sites alone are known.
	Target     *Fn
	TargetAddr image.Addr
	// Name is the helper's name, the outside caller or what a poke does.
	Name string
}

// Counts are the totals of a run.
type Counts struct {
	Entries uint64 // from outside
	Calls   uint64 // BPF to BPF
	Helpers uint64
	Returns uint64
	Taken   uint64
	Refused [numReasons]uint64 // by Reason
	Pokes   uint64
	// InnerTaken and InnerRefused are those of the above that were in invocations that interrupted
	// another one.
	InnerTaken   uint64
	InnerRefused [numReasons]uint64
	Retired      uint64 // instructions seen; 0 with sites only
}

// RefusedTotal returns the number of tail calls refused for any reason.
func (c Counts) RefusedTotal() uint64 {
	n := uint64(0)
	for _, r := range c.Refused {
		n += r
	}
	return n
}

// Starts returns how often control came to the beginning of function f: from outside, by a call
// or by a tail call.
func (r *Recorder) Starts(f *Fn) uint64 { return r.starts[f.id] }

// Via says how an activation began.
type Via uint8

// The ways into a function.
const (
	ViaOutside Via = iota
	ViaCall
	ViaTailCall
	ViaHook   // a trampoline
	ViaThrow  // the exception callback, in the frame of the main function
	ViaHelper // from outside, too: a helper calls a function of the program
)

// Activation is a live function with its frame. The stack of activations is the recorder's own
// account of the run: nothing in it is read from emulated memory except the outside caller's
// return address.
type Activation struct {
	N  int // from 1, in the run
	Fn *Fn // nil outside the images
	// Top is where the return address lies: the frame begins there and goes down.
	Top image.Addr
	// RBP is the frame pointer as it is in the body.
	RBP      image.Addr
	ReturnTo image.Addr
	Via      Via
	// From is the function whose frame was taken over by the tail call or the exception callback,
	// with its number.
	From  *Fn
	FromN int
	// Builder is the function whose prologue made the frame that a tail call handed over as a whole
	// (image.Frame.Reused); nil if that is Fn.
	Builder *Fn
	// Caller are the registers that must come back unchanged.
	Caller Saved
	Event  uint64 // number of the event that began it
	// Hooked says that the function has called its trampoline and not begun yet.
	Hooked bool

	nested bool   // an invocation of its own inside another
	inner  bool   // an interrupt
	outer  uint64 // tail calls that the other had taken
}

// Frame describes the frame: what the function says whose prologue made it.
func (a *Activation) Frame() *image.Frame {
	if a.Hooked {
		return &hooked
	}
	if a.Builder != nil {
		return &a.Builder.Frame
	}
	return &a.Fn.Frame
}

// FrameLow is Fn.FrameLow of the frame as it was made.
func (a *Activation) FrameLow() int32 {
	if a.Hooked {
		return 0
	}
	if a.Builder != nil {
		return a.Builder.FrameLow()
	}
	return a.Fn.FrameLow()
}

// Saved are the callee-saved registers.
type Saved struct{ RBX, RBP, R12, R13, R14, R15 uint64 }
