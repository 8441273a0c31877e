// SPDX-License-Identifier: GPL-2.0-only

package splat

import (
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// MaxSource is the size of the longest text that is read, in bytes.
const MaxSource = 16 << 20

// The bounds on what one text may hold; what is beyond them is left out, and noted.
const (
	maxReports  = 256
	maxContexts = 16   // in one report
	maxFrames   = 4096 // in one context
	maxWords    = 4096 // of a stack
	maxLine     = 4096 // bytes
)

// Log is what a text holds.
type Log struct {
	Reports []Report
	Notes   []string // what was left out
}

// Report is what a kernel printed of one processor.
type Report struct {
	Line    int      // of the text, from 1, where it begins
	Headers []string // what happened, in the kernel's words
	// Stuck is how long the processor has been busy in the watchdog's words, in seconds; 0 if that is not said.
	Stuck   float64
	Fault   image.Addr // what was accessed; HasAddr says whether that is known
	HasAddr bool
	CPU     int // -1 if unknown
	Task    string
	Kernel  string // release, "" if unknown
	Foreign string // another architecture, "" for x86-64
	// Contexts are where the processor was, the innermost first: an interrupt that found another context running is
	// before that.
	Contexts []Context
}

// Context is one state of a processor: registers, code, and the functions that led there.
type Context struct {
	Line   int
	RIP    Place // Func and Addr are empty if it is not in the log
	User   bool  // a program's, not the kernel's
	Regs   Regs
	Code   []byte // around RIP
	Mark   int    // of the byte at RIP in Code, -1 without one
	NoCode string // why there is no code, "" if the log does not say
	Stack  []uint64
	Frames []Place // the innermost first
}

// Regs are the registers that the log has.
type Regs struct {
	Value [16]uint64
	Known x86.RegSet
	CR2   uint64
	HasCR bool
}

// Get returns a register; ok is false if the log does not have it.
func (r *Regs) Get(reg x86.Reg) (v uint64, ok bool) { return r.Value[reg], r.Known.Has(reg) }

// Place is an address in the words of a log.
type Place struct {
	Addr image.Addr // 0 if the log has only the symbol
	Func string     // "" if it has only the address
	Off  image.CodeOff
	Size int    // as the symbol has it, 0 if unknown
	Mod  string // module
	// Guess says that the unwinder found the address on the stack without knowing that it is a return address.
	Guess bool
}

// BPF returns what the name says of a function of a BPF program: ok is false if it is not one.
func (p *Place) BPF() (s Symbol, ok bool) { return parseSymbol(p.Func) }

// Symbol is the name of a function of a BPF program (bpf_get_prog_name, kernel/bpf/core.c).
type Symbol struct {
	Tag  string // 16 hexadecimal digits, "" for code that the kernel makes itself, such as a trampoline
	Name string // of the function, "" if it has none
}

// String returns the name, or the tag if there is none.
func (s Symbol) String() string {
	if s.Name != "" {
		return s.Name
	}
	return "bpf_prog_" + s.Tag
}
