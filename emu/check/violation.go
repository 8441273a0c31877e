// SPDX-License-Identifier: GPL-2.0-only

package check

import (
	"fmt"

	"github.com/tcsim/tcsim/emu/stack"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/jit/image"
)

// Invariant is the name of an invariant.
type Invariant string

// The invariants of a run. Semantics is found by others and put in by Report; so is BelowRSP, see Latent.
const (
	Limit         Invariant = "limit"
	Balance       Invariant = "balance"
	CalleeSaved   Invariant = "callee-saved"
	Frame         Invariant = "frame"
	StackBudget   Invariant = "stack-budget"
	Pokes         Invariant = "pokes"
	Semantics     Invariant = "semantics"
	FaultFree     Invariant = "fault"
	Backtrace     Invariant = "backtrace"
	BelowRSP      Invariant = "below-rsp"
	HelperClobber Invariant = "helper-clobber"
)

// Invariants returns all names, in the order in which they are documented.
func Invariants() []Invariant {
	return []Invariant{
		Limit, Balance, CalleeSaved, Frame, StackBudget, Pokes, Semantics, FaultFree, Backtrace, BelowRSP, HelperClobber,
	}
}

// Violation is the first broken invariant of a run.
type Violation struct {
	Invariant Invariant `json:"invariant"`
	// Text explains it in words.
	Text  string    `json:"text"`
	RIP   trace.Hex `json:"rip"`
	Where string    `json:"where"` // function+offset
	Func  string    `json:"func,omitempty"`
	// Insn is the slot of the BPF instruction; nil in prologue, epilogue and outside the images.
	Insn *int `json:"insn,omitempty"`
	// Event is the number of the event it was found at; of a store or fault, of the last event before.
	Event uint64 `json:"event"`
	// Seq counts the instructions retired before; Site is the number of the site record, 0 if none.
	Seq  uint64 `json:"seq"`
	Site uint64 `json:"-"`
	// Until is where a stack drawing is best made, 0 for the instruction itself.
	Until image.Addr `json:"-"`
}

// String returns one line: the invariant, where it broke, and why.
func (v *Violation) String() string {
	where := v.Where
	if v.RIP != 0 {
		where += fmt.Sprintf(", rip %x", uint64(v.RIP))
	}
	if v.Insn != nil {
		where += fmt.Sprintf(", BPF instruction %d", *v.Insn)
	}
	return fmt.Sprintf("%s: %s (at %s, event %d)", v.Invariant, v.Text, where, v.Event)
}

// Moment is where to stop another run for a stack drawing.
func (v *Violation) Moment() *stack.Moment {
	return &stack.Moment{
		Event: v.Event, Seq: v.Seq, Site: v.Site, Until: v.Until, Name: "violation of " + string(v.Invariant),
	}
}

// Fault is what ended a run by force.
type Fault struct {
	Seq  uint64
	RIP  image.Addr
	Addr image.Addr // that was accessed, 0 if it is not a matter of memory
	Text string     // such as "write to unmapped 0x1000"
}

// guard is how far below the stack an access still counts as running off its end, in bytes.
const guard = 64 << 10

// Fault reports that the machine stopped with a fault. An access just below the stack is a matter
// of stack-budget.
func (c *Checker) Fault(f Fault) {
	name := FaultFree
	text := f.Text
	if c.top != 0 && f.Addr != 0 && f.Addr < c.bottom() && c.bottom()-f.Addr <= guard {
		name = StackBudget
		text = fmt.Sprintf("%s, in the guard below the stack of %d bytes", f.Text, c.cfg.StackBudget)
	}
	c.Report(c.violation(name, f.Seq, f.RIP, text))
}

// Report puts in a violation that was found elsewhere. The first one stays, and ends the run unless it is to keep going.
func (c *Checker) Report(v Violation) {
	if c.found == nil {
		c.found = &v
		if !c.cfg.KeepGoing {
			c.rec.Stop()
		}
		return
	}
	if !c.cfg.KeepGoing {
		return
	}
	for i := range c.more {
		if m := &c.more[i]; m.Invariant == v.Invariant && m.RIP == v.RIP {
			m.Times++
			return
		}
	}
	if len(c.more) < maxMore {
		c.more = append(c.more, Again{v, 1})
	}
}

// At describes a broken invariant at an instruction.
func At(code *trace.Code, i Invariant, rip image.Addr, text string) Violation {
	v := Violation{Invariant: i, Text: text, RIP: trace.Hex(rip), Where: code.Where(rip)}
	if f := code.Lookup(rip); f != nil {
		v.Func = f.String()
		if n, ok := f.InsnAt(image.CodeOff(rip - f.Addr)); ok {
			k := int(n)
			v.Insn = &k
		}
	}
	return v
}

// violation is At the instruction number seq of this run.
func (c *Checker) violation(i Invariant, seq uint64, rip image.Addr, text string) Violation {
	v := At(c.rec.Code(), i, rip, text)
	v.Seq, v.Event = seq, c.event
	return v
}

// broken reports a violation at an event.
func (c *Checker) broken(i Invariant, e *trace.Event, format string, args ...any) {
	v := c.violation(i, e.Seq, e.RIP, fmt.Sprintf(format, args...))
	v.Event, v.Site = e.No, e.Site
	if i == Limit && e.Target != nil {
		v.Until = e.Target.Addr + image.Addr(e.Target.Frame.Body)
	}
	c.Report(v)
}

// ordinal returns 1st, 2nd, 3rd, 4th, ...
func ordinal(n uint64) string {
	suffix := "th"
	if n%100 < 11 || n%100 > 13 {
		switch n % 10 {
		case 1:
			suffix = "st"
		case 2:
			suffix = "nd"
		case 3:
			suffix = "rd"
		}
	}
	return fmt.Sprint(n) + suffix
}
