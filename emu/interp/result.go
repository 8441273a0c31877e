// SPDX-License-Identifier: GPL-2.0-only

package interp

import (
	"errors"
	"fmt"

	"github.com/tcsim/tcsim/jit/bpf"
)

// Verdict says how a run ended.
type Verdict uint8

// The verdicts. What breaks a rule is not among them: it is a *Fault.
const (
	Done      Verdict = iota // the program returned
	Exhausted                // Config.MaxInsns instructions were executed
)

func (v Verdict) String() string {
	if v == Done {
		return "done"
	}
	return "exhausted"
}

// Outcome says what became of a tail call.
type Outcome uint8

// The outcomes of a tail call, in the order in which the kernel tests them. With Taken first they
// index Result.Refused.
const (
	Taken         Outcome = iota
	RefusedBounds         // the index is not below max_entries
	RefusedLimit          // the counter has reached the limit
	RefusedEmpty          // the slot holds no program
	outcomes
)

func (o Outcome) String() string {
	return [outcomes]string{"taken", "bounds", "limit", "empty"}[o]
}

// TailCall is one tail call that was attempted.
type TailCall struct {
	Outcome Outcome
	// Prog, Func and Insn are where it was: program, function of bpf.Program.Funcs and slot.
	Prog, Func int
	Insn       bpf.InsnIndex
	Map        int
	Key        uint32 // low half of R3, as the kernel uses it
	Target     int    // program, -1 unless taken
	Depth      int    // live frames below the one that makes it, 0 in the first
	Count      uint32 // tail_call_cnt afterwards
}

// Result is what one invocation did. Counts are of this run only.
type Result struct {
	Verdict Verdict
	Return  uint64 // R0 at the last exit; test runs of the kernel report its low half
	// Taken are the taken tail calls in order, the first Config.MaxTaken of them; TakenTotal is
	// their number.
	Taken      []TailCall
	TakenTotal uint64
	Refused    [outcomes]uint64 // by reason; Refused[Taken] is 0
	Calls      uint64           // calls of subprograms and callbacks
	Helpers    uint64           // calls of helpers and kernel functions other than tail calls
	Throws     uint64           // bpf_throw
	Insns      uint64           // executed instructions; ld_imm64 is one
	Frames     int              // most live frames
	// Interrupt is what the program did that interrupted the run; nil if none did. Its counts are not
	// in those of the run, but for Frames, Uninit and Insns.
	Interrupt *Result
	// Uninit is the number of stack reads that met a byte never written. They read zero
	// here and anything in machine code, so a result with Uninit > 0 proves nothing.
	Uninit uint64
}

// CallKind says what kind of call came back.
type CallKind uint8

// The call kinds.
const (
	CallSubprogram CallKind = iota
	CallHelper              // a helper or a kernel function
	CallTail                // a tail call that was refused
	CallCallback            // a callback, of a helper that goes on
)

func (k CallKind) String() string {
	return [...]string{"call", "helper", "tail call", "callback"}[k]
}

// Snapshot is the state of a function directly after a call of it came back.
type Snapshot struct {
	Kind       CallKind
	Prog, Func int
	Insn       bpf.InsnIndex // slot of the call
	Helper     int32         // number of the helper, 0 of anything else
	Depth      int           // live frames below this one
	Inner      bool          // in a program that interrupted another one
	R0         uint64        // junk after a refused tail call
	Saved      [4]uint64     // R6 to R9
	// Stack is the BPF stack of the function, its last byte directly below R10. It belongs to the
	// machine and is valid during the call of the observer only.
	Stack *[StackSize]byte
	// Written has a bit for each byte of Stack that was written since the function began: byte i is
	// bit i%64 of word i/64.
	Written [StackSize / 64]uint64
}

// Observer is told what happens during a run. It must not call the machine's Run or Reset.
type Observer interface {
	// TailCall is called for each attempt, before the target begins.
	TailCall(TailCall)
	// Returned is called after each call, helper or refused tail call, before the next instruction.
	Returned(Snapshot)
}

// Fault is the error of a run that broke a rule. Text says which.
type Fault struct {
	Prog, Func int
	Name       string // of the program
	Insn       bpf.InsnIndex
	Opcode     uint8
	Text       string
	Insns      uint64 // instructions executed before
}

func (f *Fault) Error() string {
	return fmt.Sprintf("interpret %s: insn %d (opcode %#02x, function %d): %s", f.Name, f.Insn, f.Opcode, f.Func, f.Text)
}

// errBudget ends the loop when the instruction budget is used up. Run turns it into a verdict.
var errBudget = errors.New("instruction budget used up")

// fault makes the error for the instruction before pc.
func (m *Machine) fault(format string, args ...any) error {
	slot := max(m.pc-1, 0)
	return &Fault{
		Prog: m.cur.index, Func: m.cur.funcAt(slot), Name: m.cur.def.Name,
		Insn: bpf.InsnIndex(slot), Opcode: m.cur.def.Insns[slot].Op,
		Text: fmt.Sprintf(format, args...), Insns: m.res.Insns,
	}
}

// returned tells the observer that a call has come back to the top frame.
func (m *Machine) returned(kind CallKind) {
	if m.cfg.Observer == nil {
		return
	}
	f := m.mem.top()
	slot := max(m.pc-1, 0)
	number := int32(0)
	if o := &m.cur.code[slot]; kind == CallHelper && o.kind == kindHelper {
		number = o.off
	}
	m.cfg.Observer.Returned(Snapshot{
		Kind: kind, Helper: number, Prog: m.cur.index, Func: m.cur.funcAt(slot), Insn: bpf.InsnIndex(slot),
		Inner: m.inner, Depth: m.mem.depth, R0: m.regs[0], Saved: [4]uint64(m.regs[6:10]),
		Stack: &f.stack, Written: f.written,
	})
}
