// SPDX-License-Identifier: GPL-2.0-only

package gdb

import (
	"context"
	"io"
)

// Machine is what is debugged. The server calls it from one goroutine at a time.
type Machine interface {
	// Extra are the registers of the machine beyond those of the processor. They do not change.
	Extra() []Register
	// Value returns what a register holds, by its name; ok is false if that is not known here, or not modelled.
	Value(name string) (v uint64, ok bool)
	// ReadMemory fills p with memory and returns how many bytes of it, from the beginning, are there.
	ReadMemory(addr uint64, p []byte) int
	// Resume moves the machine. It ends soon after ctx is done, wherever the machine then is, with Interrupted.
	// The error is a fault of the machine's own and ends the session.
	Resume(ctx context.Context, r Resume) (Stop, error)
	// Monitor does what the client's user asks for by a command of the machine's own, and writes the answer.
	Monitor(ctx context.Context, command string, w io.Writer) error
}

// Register is a register that a machine has beyond those of the processor, of 64 bits.
type Register struct {
	Name   string
	Signed bool
	// Code says that it holds an address of code, Data one of data.
	Code, Data bool
}

// Resume says how to move.
type Resume struct {
	Back bool // against the direction of time
	Step bool // one instruction, breakpoints and watchpoints not looked at
	// From and End, if not 0, have a step forward go on while the next instruction is in [From, End), and stop at Breaks.
	// A machine may stop after any instruction.
	From, End uint64
	// Breaks are addresses, sorted: stop before each instruction there, but not before one that the machine is at
	// already.
	Breaks []uint64
	// Watches are pieces of memory: stop after an instruction, or, going back, before one that does this to them.
	Watches []Watch
}

// Watch is a piece of memory whose accesses stop the machine.
type Watch struct {
	Addr, Len uint64
	Kind      Access
}

// Access is what is done to memory.
type Access uint8

// The kinds of accesses that a Watch is for.
const (
	AccessWrite Access = iota
	AccessRead
	AccessAny
)

// Reason says why the machine has stopped.
type Reason uint8

// The reasons.
const (
	Stepped     Reason = iota // Resume.Step was done
	AtBreak                   // Resume.Breaks
	AtWatch                   // Resume.Watches: Stop.Watch
	Interrupted               // the context was done
	Began                     // it went back to the beginning
	Ended                     // it can go no further: Stop.Text
	Signaled                  // something is wrong here: Stop.Signal, Stop.Text
	Arrived                   // it has come to where a Monitor command sent it
)

// Signal is a signal's number as the protocol has it (include/gdb/signals.def).
type Signal uint8

// The signals that stops are shown as.
const (
	SIGINT  Signal = 2
	SIGILL  Signal = 4
	SIGTRAP Signal = 5
	SIGABRT Signal = 6
	SIGFPE  Signal = 8
	SIGBUS  Signal = 10
	SIGSEGV Signal = 11
)

// Stop is where and why the machine has stopped.
type Stop struct {
	Reason Reason
	Signal Signal // of Signaled
	Watch  Watch  // of AtWatch
	Text   string // for the client's user, lines; may be ""
}
