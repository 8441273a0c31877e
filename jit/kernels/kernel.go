// SPDX-License-Identifier: GPL-2.0-only

package kernels

import "errors"

// Kernel is what a kernel release and its configuration decide apart from the tail-call design. It is
// data; nothing changes one after it was made.
type Kernel struct {
	Offsets  Offsets
	Emit     Emission
	Verifier Verifier
	Context  Context
	Policy   Policy
}

// ErrUnsupported is wrapped by the errors of Compile that say that a target does not have an
// instruction or a feature.
var ErrUnsupported = errors.New("not supported by this target")

// Policy are rules of attachments and map updates that change no bytes.
type Policy struct {
	// GuardsReplaced says that programs with a replaced function cannot be in prog arrays, nor
	// programs that replace one (d6083f040d5d, Linux 6.13; prog_fd_array_get_ptr and
	// bpf_tracing_prog_attach).
	GuardsReplaced bool
	// OwnerAttachType says that a prog array takes programs of one expected attach type only (4540aed51b12,
	// Linux 6.18), OwnerSleepable that it does not mix programs that may sleep with others (7.0).
	OwnerAttachType, OwnerSleepable bool
}

// Offsets are positions of fields in kernel structures, in bytes.
type Offsets struct {
	MapMaxEntries int32 // struct bpf_map.max_entries
	ArrayPtrs     int32 // struct bpf_array.ptrs
	ProgBPFFunc   int32 // struct bpf_prog.bpf_func
}

// Emission holds the features other than the tail-call design that change bytes.
type Emission struct {
	ENDBR bool // CONFIG_X86_KERNEL_IBT: endbr64 at entry and at the tail-call landing
	SLS   bool // CONFIG_MITIGATION_SLS: int3 after ret
	// JumpSLS puts int3 after a plain indirect jump: SLS, since 6.2 also any retpoline build.
	JumpSLS bool
	BMI2    bool // shlx and friends

	Branch      BranchKind // how an indirect tail call leaves
	ReturnThunk string     // symbol that returns jump to; "" is a plain ret
	// CallDepth is the symbol of the per-CPU word that a call accounts in (call depth tracking,
	// X86_FEATURE_CALL_DEPTH), with an offset after "+" if it is inside something; "" means no
	// accounting.
	CallDepth string
	// CallThunks are the helper functions that the kernel itself calls directly, so that they have a
	// thunk that accounts for a call, and programs do not account again (is_callthunk,
	// arch/x86/kernel/callthunks.c). The kernel build decides them; these are the known ones.
	CallThunks []string
	// LimitAbove compares the count with Limit-1 and refuses above it (until 5.16); else it is
	// compared with Limit and refused from there on. Only the rework designs read it.
	LimitAbove bool
	// LongForms are instructions that take more bytes than they need: no short forms with eax, multiplication
	// with everything saved (until 4.16). DivLeaves is the check for a divisor of 0 (until 4.15).
	LongForms, DivLeaves bool
	// Passes is how many passes may be needed until the size of the image settles.
	Passes int
	// ZeroByCmp compares with 0 by cmp, as with other numbers, not by test (until 5.7).
	ZeroByCmp bool
	// WideBounds compares a 64-bit index with the eight bytes at bpf_map.max_entries, of which it is four,
	// and SlotByLea computes the address of the slot first (both until 4.13).
	WideBounds, SlotByLea bool
	// ClearR13 makes the prologue clear r13 as well (until 4.4).
	ClearR13 bool
	CFI      CFIKind
	// CFIApart says that images begin at bpf_func, after the preamble, as bpf_prog_info shows them.
	CFIApart  bool
	CFIHashes CFIHashes

	ISA ISA
	// AX is the number of BPF_REG_AX, the register that only the verifier uses: 11, or 12 since
	// there is a register for stack arguments (7.2).
	AX uint8
	// MaxRel8 is the largest forward distance for which a jump is short: 127, or 123 since
	// "bpf, x64: Fix a jit convergence issue" (6.12 and stable trees).
	MaxRel8 int
	// PadJumps keeps late passes from shrinking the image by nops before jumps (5.13).
	PadJumps bool
	MulDiv   MulDivStyle
	Shift    ShiftStyle
	Probe    ProbeStyle
	// SignedImm64 loads a 64-bit constant that is a sign-extended 32-bit one by mov r/m64, imm32.
	SignedImm64 bool
	// LockXchg puts a lock prefix, which the CPU does not need, before xchg.
	LockXchg bool
	// HelperReload loads rax with the counter or its pointer before helper calls too; 6.13 and
	// later do it before calls of subprograms only (a1087da9d11e).
	HelperReload bool
	// Tramp says how trampolines look.
	Tramp Tramp
	// Blind, if not nil, blinds constants (net.core.bpf_jit_harden).
	Blind *Blinding
	// UnroundedReload is the bug fixed by ff672c67ee76: the load before a call uses the stack
	// depth as it is, not rounded up to 8.
	UnroundedReload bool
}

// Blinding says which random numbers constants are blinded with.
type Blinding struct {
	Seed  uint64
	Drawn [][]uint32 // by function, in the order of its code; nil: made from Seed
}

// BranchKind is how the code leaves through a register.
type BranchKind uint8

// The kinds of indirect jump.
const (
	BranchPlain     BranchKind = iota // jmp reg
	BranchThunk                       // jmp __x86_indirect_thunk_reg (retpoline)
	BranchLFENCE                      // lfence; jmp reg
	BranchDepth                       // jmp __x86_indirect_jump_thunk_reg (call depth tracking)
	BranchITS                         // jmp __x86_indirect_its_thunk_reg
	BranchRetpoline                   // the retpoline itself inline, 17 bytes (until 5.11)
)

// CFIKind is what precedes bpf_func.
type CFIKind uint8

// The CFI preambles.
const (
	CFINone       CFIKind = iota
	CFIKernel             // kCFI: the hash in a mov before the entry
	CFIFine               // FineIBT as in 6.12: sub r10d, hash
	CFIFineEAX            // FineIBT as in 7.2: sub eax, hash
	CFIFineEAXBHI         // the same with a call to the BHI clearing sequence
)

// CFIHashes are the type hashes that the preambles compare (cfi_bpf_hash, cfi_bpf_subprog_hash);
// the kernel build decides them.
type CFIHashes struct {
	Main, Subprog uint32
}

// ISA is the set of BPF instructions a target knows beyond those of 4.4, as bits. A kernel can
// have one without another, because stable trees get some of them.
type ISA uint16

// The instruction sets.
const (
	ISAAtomics         ISA = 1 << iota // fetching atomics, exchange and compare-exchange (5.12)
	ISAGotol                           // unconditional jump with a 32-bit offset (6.6; in 6.1 stable)
	ISASignExtend                      // movsx, ldsx, bswap and signed division (6.6)
	ISAPerCPU                          // moves that resolve a per-CPU address (6.10)
	ISALoadAcquire                     // load-acquire and store-release (6.15)
	ISAExceptions                      // bpf_throw (6.7)
	ISAArena                           // accesses to arenas (6.9)
	ISAArenaSignExtend                 // sign-extending loads from arenas (6.18)
	ISAJump32                          // comparisons of 32 bits (5.1)
	ISAJumpLess                        // jlt, jle, jslt and jsle (4.14)
	ISAMayGoto                         // may_goto (6.9)
)

// MulDivStyle is how multiplication and division use rax and rdx.
type MulDivStyle uint8

// The styles.
const (
	MulDivR11   MulDivStyle = iota // 5.10: always through r11, one-operand mul
	MulDivShort                    // registers saved only if needed, two-operand imul (5.16)
)

// ShiftStyle is how a shift by a register saves rcx when no BMI2 shift is used.
type ShiftStyle uint8

// The styles.
const (
	ShiftSaveRCX ShiftStyle = iota // rcx as destination always goes through r11
	ShiftLazy                      // r11 only if rcx is not the count as well (6.2)
)

// ProbeStyle is the check before a load that may fault (BPF_PROBE_MEM).
type ProbeStyle uint8

// The styles.
const (
	ProbeNone    ProbeStyle = iota // no check
	ProbeLimit                     // compare with the end of user space, then the sum for a carry
	ProbeOneLine                   // one unsigned comparison after rebasing at VSYSCALL_ADDR (6.10)
)

// Tramp is how trampolines look that run tracing programs around a function. The zero value is a kernel without.
type Tramp struct {
	Exists bool // there are trampolines (5.5)
	Place  bool // functions begin with five bytes that they are attached to (5.5)
	Modify bool // they can run fmod_ret programs (5.7)
	// ENDBR is what they begin with where the build asks for it (5.18 to 6.7).
	ENDBR bool
	// Held says that they call __bpf_tramp_enter and __bpf_tramp_exit around the traced function, if they call it, and
	// can be left behind that call (5.12).
	Held bool
	// Guarded says that a program which is running on the CPU already is left out: __bpf_prog_enter gets the program
	// and returns 0 for it (5.12).
	Guarded bool
	Count   bool // the number of arguments is stored for programs (5.17)
	RunCtx  bool // they have a run context, with the cookie of each program (5.19)
	Recur   bool // what they call around programs is named __bpf_prog_enter_recur and __bpf_prog_exit_recur (6.1)
	// Sized says that arguments are stored and loaded in their own sizes, not as 8 bytes (until 6.5).
	Sized   bool
	PushRBX bool // rbx is pushed below everything else (until 6.5)
	NopMax  int  // the longest nop (ASM_NOP_MAX), in bytes
	// Jump has the traced function jump to a trampoline that calls it (7.0).
	Jump bool
	// ProgNop puts five bytes of nop before each program, and none after the traced function's call (7.2).
	ProgNop bool
	// LosesRAX says that what the traced function needs in rax is lost (until 6.6 and in stable trees).
	LosesRAX bool
}
