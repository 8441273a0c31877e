// SPDX-License-Identifier: GPL-2.0-only

package image

import (
	"sort"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/x86"
)

// Addr is an address in the emulated kernel.
type Addr = x86.Addr

// Env answers the compiler's questions about addresses. The emulator's address plan implements it,
// and so does a capture with the addresses that a real kernel used, so that verifying and
// emulating run the same code. Instruction sizes depend on map addresses; there is no relocation.
type Env interface {
	// Place returns the address of function fn of the program being compiled. It is called once
	// per function, in order, when its size in bytes is final. entry is the offset of the
	// function's entry point (bpf_func) from the start of the code: 0 without CFI preamble.
	Place(fn int, size int, entry CodeOff) (Addr, error)
	// Helper returns the address that a helper call with this immediate reaches.
	Helper(imm int32) (Addr, error)
	// MapAddr returns the address of the map's struct bpf_map, MapValue that of its first value.
	MapAddr(m int) (Addr, error)
	MapValue(m int) (Addr, error)
	// Symbol returns the address of a kernel symbol such as "__x86_indirect_thunk_rcx". For
	// per-CPU variables it is the displacement from the gs base.
	Symbol(name string) (Addr, error)
}

// ArenaEnv is what an Env must be too for programs with an arena.
type ArenaEnv interface {
	// Arena returns where the kernel and where user space see offset 0 of arena m. Of the latter
	// only the upper half counts.
	Arena(m int) (kernel, user Addr, err error)
}

// PrivateStackEnv is what an Env must be too for functions with a private stack.
type PrivateStackEnv interface {
	// PrivateStack returns where the stack of function fn, of size bytes, ends: what r10 is, before
	// this CPU's offset is added.
	PrivateStack(fn int, size int32) (Addr, error)
}

// Image is the machine code of one program.
type Image struct {
	Program *bpf.Program // nil if unknown
	// Limit is the target's limit of tail calls, 0 if unknown.
	Limit uint32
	Funcs []FuncImage
	// Module is what else came with the code, nil if nothing.
	Module *Module
}

// FuncImage is the machine code of one function at its address, with what is known about it. The
// compiler fills all of it; Recognise fills what decoding captured bytes can tell.
type FuncImage struct {
	Name string
	// Addr is the address of Code[0]; Code[Entry] is what the kernel calls bpf_func.
	Addr  Addr
	Entry CodeOff
	Code  []byte

	// FirstInsn is the program's slot of the function's first instruction. InsnOff[i] is the
	// offset at which the code of slot FirstInsn+i begins, with one more entry for the end. Slots
	// without code, which are elided jumps and second halves of ld_imm64, have the offset of the next
	// one. InsnOff is nil if unknown. InsnOff[0] lies after the prologue.
	FirstInsn bpf.InsnIndex
	InsnOff   []CodeOff

	// Trampoline says that this is no function of a program but a trampoline, see CompileTrampoline.
	Trampoline bool
	// ExceptionCB says that the function is the exception callback of its program: it is entered with
	// a cookie, rsp and rbp of the main function, whose frame it takes over.
	ExceptionCB bool

	Frame     Frame
	TailCalls []TailCallSite // in order of Start
	Calls     []CallSite     // in order of Off
	Faults    []FaultSite    // in order of Off
}

// InsnAt returns the program slot whose code contains off: ok is false in prologue, epilogue and
// where InsnOff is unknown.
func (f *FuncImage) InsnAt(off CodeOff) (idx bpf.InsnIndex, ok bool) {
	n := len(f.InsnOff) - 1
	if n < 1 || off < f.InsnOff[0] || off >= f.InsnOff[n] {
		return 0, false
	}
	next := sort.Search(n, func(i int) bool { return f.InsnOff[i] > off })
	return f.FirstInsn + bpf.InsnIndex(next-1), true
}

// End returns the address after the last byte.
func (f *FuncImage) End() Addr { return f.Addr + Addr(len(f.Code)) }

// SlotKind says what a stack slot of a frame holds.
type SlotKind uint8

// The slot kinds. SlotBPFStack covers the whole BPF stack of a function with one FrameSlot.
const (
	SlotUnknown          SlotKind = iota
	SlotReturn                    // return address
	SlotSavedReg                  // register of the caller, FrameSlot.Reg
	SlotBPFStack                  // the program's own stack
	SlotTailCallCnt               // tail_call_cnt by value
	SlotTailCallPtr               // tail_call_cnt_ptr
	SlotTailCallCntOrPtr          // hier-6.12: the counter in the root frame, the pointer elsewhere
	SlotPad                       // reserved, unused
	SlotFrameLink                 // address of the frame's own saved rbp, for unwinders (fp-dbl)
	SlotTraceReturn               // trampolines: return value of the traced function
	SlotTraceArgs                 // trampolines: arguments, the context of tracing programs
	SlotTraceCount                // trampolines: number of arguments
	SlotTraceCtx                  // trampolines: struct bpf_tramp_run_ctx
)

// FrameSlot is one piece of a frame. Off is from rbp as it is in the body of the function, in
// bytes; Size is in bytes.
type FrameSlot struct {
	Off  int32
	Size int32
	Kind SlotKind
	Reg  x86.Reg // SlotSavedReg only
}

// CounterForm says how a function reaches tail_call_cnt.
type CounterForm uint8

// The counter forms.
const (
	CounterNone  CounterForm = iota // the function holds no counter
	CounterValue                    // Counter.Off is where the value is
	CounterPtr                      // Counter.Off holds a pointer to the value
	CounterGS                       // the value is per-CPU: Counter.Off is its displacement from the gs base
)

// Counter locates tail_call_cnt from a frame. Off is from rbp in the body, but for CounterGS; Size is
// the width of the counter itself, 4 or 8 bytes. The zero value means that the function has none.
type Counter struct {
	Form CounterForm
	Off  int32
	Size uint8
}

// Frame describes the stack frame of a function while its body runs.
type Frame struct {
	// Slots go from high addresses to low and cover everything between the return address and rsp.
	Slots []FrameSlot
	// Body is the offset of the first instruction after the prologue: from there to the epilogue
	// Slots hold.
	Body CodeOff
	// Landing is where a tail call enters, from Code[0]; -1 if the function is no tail-call target.
	Landing CodeOff
	// Reused is true in designs in which a tail call hands over the whole frame instead of
	// unwinding it to the saved rbp.
	Reused bool
	// Kept is how many bytes below the saved rbp lie there where tail calls land in a function, so that what
	// tail calls it leaves them in place; 0 in all known designs that unwind but one.
	Kept int32
	// Scratch is true if the prologue pushes and pops where the program's stack will be.
	Scratch bool
	// RunCtx is true if the caller from outside passes, instead of the context, the address of a
	// struct of two words: the context and a pointer to tail_call_cnt (hier-runctx).
	RunCtx bool
	// FP is where r10, the program's frame pointer, points, from rbp in bytes: 0 in most designs, and
	// without a BPF stack.
	FP int32
	// PrivateFP is where r10 points instead, before this CPU's offset is added, in a function whose BPF
	// stack is not in the frame; 0 in others.
	PrivateFP Addr
	// PrivateSize is the size of that stack in bytes; 0 where nobody said it, as in captured code.
	PrivateSize int32
	// Depth is the size of the BPF stack in bytes, rounded as the target rounds it.
	Depth   int32
	Counter Counter
	// Saved are the callee-saved registers that the prologue stores, in push order.
	Saved []x86.Reg
}

// TailCallSite is the code of one tail call. Offsets that a design does not have are -1.
type TailCallSite struct {
	Insn   bpf.InsnIndex // slot of the call in the program
	Start  CodeOff       // first byte of the sequence
	End    CodeOff       // first byte after it: where a refused tail call goes on
	Direct bool
	Map    int    // index into Program.Maps, -1 if unknown
	Key    uint32 // direct only

	Bounds CodeOff // conditional jump taken when index >= max_entries
	Limit  CodeOff // conditional jump taken when the limit is reached
	Null   CodeOff // conditional jump taken when the slot is empty
	Bump   CodeOff // instruction that writes the incremented counter
	Unwind CodeOff // first instruction that takes the frame down
	Bypass CodeOff // direct: 5 bytes, jump to End or nop
	// Jump leaves the function: the indirect jump (or the jump or call that begins its thunk), or
	// the 5 patched bytes of a direct site, which are a nop while the slot is empty.
	Jump CodeOff
	// Enter is how far after the landing of its target a direct tail call enters it: 0 but for a JIT that
	// says otherwise (adj_off of its poke descriptor).
	Enter CodeOff
	// Out is where a JIT says that the bypass goes, if that is not End; 0 if it is.
	Out CodeOff
}

// FaultSite is an instruction that may fault: the kernel's exception table goes on after it
// (ex_handler_bpf).
type FaultSite struct {
	Off, Next CodeOff
	// Clear is the register that becomes 0, the destination of a load; x86.RegNone if none does.
	Clear x86.Reg
}

// CallSite is one call instruction of a function.
type CallSite struct {
	Insn   bpf.InsnIndex
	Off    CodeOff // of the call instruction itself
	Target Addr
	Func   int // index of the called function of the same program, -1 for helpers
	// AX says that the callee takes BPF_REG_AX, which is r10, and changes no other register (arch_bpf_timed_may_goto).
	AX bool
	// TakeBack is the instruction after the call with which the design stores the count that the
	// callee returned; 0 in designs without one.
	TakeBack CodeOff
}

// insnAt is InsnAt with -1 for no slot.
func InsnAt(f *FuncImage, off CodeOff) bpf.InsnIndex {
	if i, ok := f.InsnAt(off); ok {
		return i
	}
	return -1
}

// CodeOff is an offset in bytes into the machine code of one function.
type CodeOff int
