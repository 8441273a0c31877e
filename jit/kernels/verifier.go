// SPDX-License-Identifier: GPL-2.0-only

package kernels

// Verifier says how a kernel's verifier decides what its JIT is given. Facts say since when each field
// holds; every one but the last four is something that kernels after 5.10 do.
type Verifier struct {
	// OwnReach marks a function that holds a tail call as tail_call_reachable itself; before, only
	// the functions above it were, and the JIT looked for tail calls on its own (6.12).
	OwnReach bool
	// FrameReach forgets the mark of a callee when the walk over the calls leaves it; before, it
	// stuck and every function that ended later marked its callers (7.2).
	FrameReach bool
	// OwnMark marks the function at whose end the walk has met a tail call, not its callers alone (7.1:
	// check_max_stack_depth_subprog).
	OwnMark bool
	// Ranges say how numbers are tracked.
	Ranges RangeRules
	// SpillBounded keeps what is known of any bounded number spilled to the stack, not of
	// constants only (5.10), SpillNarrow that of 1 to 4 bytes too (5.16).
	SpillBounded, SpillNarrow bool
	// SpillAny keeps unknown numbers and zeros as well, and gives a spilled number the identity of
	// its register (6.9).
	SpillAny bool
	// InlineLoop makes loops of calls of bpf_loop (6.0).
	InlineLoop bool
	// Helpers is one more than the highest number of a helper; 0 does not ask.
	Helpers int32
	// ProgTypes and MapTypes are one more than the highest number of a type of program and of map; 0 does not ask.
	ProgTypes, MapTypes int32
	// Programs that may sleep besides those of functions and of LSM hooks (can_be_sleepable): probes of user space (6.0),
	// of struct_ops (6.3), of tracepoints (7.2).
	SleepingProbes, SleepingOps, SleepingTracepoints bool
	// StoreContext allows st to store into the context (6.4).
	StoreContext bool
	// StoreImm tracks constants that st stores (6.3).
	StoreImm bool
	// ReadOnlyArgs: memory that a helper only reads keeps its contents (6.13).
	ReadOnlyArgs bool
	// LinkDelta keeps registers linked that differ by a constant (6.11).
	LinkDelta bool
	// Link32 keeps the link of a 32-bit move of a number that fits (6.4).
	Link32 bool
	// Trusted: kernel objects that helpers give out are trusted, and loads through them are not
	// guarded against faults (6.2: PTR_TRUSTED).
	Trusted bool
	// InlineCPU and InlineTask read the CPU's number (6.10) and the current task (7.0) in the program
	// itself; WideCPU loads the variable's address with a 64-bit mov (6.15).
	InlineCPU, WideCPU, InlineTask bool
	// InlinePerCPU inlines lookups in per-CPU arrays (6.10).
	InlinePerCPU bool
	// TimedMayGoto limits may_goto by time, not by number alone (6.15).
	TimedMayGoto bool
	// Lenient takes programs that were written for other runtimes, as no kernel does: instructions
	// that no jump leads to are removed, registers may be read that were not written, loops may
	// be endless, and any amount of stack is good.
	Lenient bool
	// ShortKeys: keys of maps have up to 512 bytes (until 5.10; htab_map_alloc_check).
	ShortKeys bool
	// FoldBranches decides jumps by constants before the verification (7.1: const_fold.c).
	FoldBranches bool
	// DeepCalls allows 16 frames, not 8 (7.2).
	DeepCalls bool
	// FrameUnit16 rounds the stack of each frame to 16 bytes when depths are added up; before, it
	// was 32 (6.9).
	FrameUnit16 bool
	// PrivateStack gives functions of tracing programs that use much stack one of their own (6.13).
	PrivateStack bool
	// TailReturn models a tail call that is taken as a return with an unknown result, and refuses tail
	// calls directly in callbacks (6.18 and later; check_helper_call).
	TailReturn bool
	// CallbackReach refuses tail calls of everything that a callback calls (7.3; check_max_stack_depth_subprog).
	CallbackReach bool

	// CallbackOnce follows the function that a helper calls once, as if it were called in a row (until 6.6).
	CallbackOnce bool
	// CoarsePrecision makes all numbers count in the comparison of states if one does that comes from
	// another function (until 6.3: mark_all_scalars_precise).
	CoarsePrecision bool

	// ShortHistory leaves a checkpoint where a path has a long history of jumps (6.12).
	ShortHistory bool
	// SpillMisc compares a spilled number with a slot that may hold anything as a load from there would (6.9: stacksafe),
	// SpillMiscHalf also four bytes of it (7.1).
	SpillMisc, SpillMiscHalf bool
	// ExactBytes: in a loop the bytes of stacks must hold the same kinds (until 6.19).
	ExactBytes bool
	// ConstantKeys: lookups in arrays whose key is a constant below the number of entries are never null (6.14:
	// get_constant_map_key).
	ConstantKeys bool
	// ForkSigns follows a bitwise and or or with a constant twice where the other number is 0 or -1 (7.0 and
	// stable trees: maybe_fork_scalars).
	ForkSigns bool
	// AbsoluteOutside refuses BPF_LD_ABS and BPF_LD_IND in functions that helpers call and below them (7.2).
	AbsoluteOutside bool
	// Fastcall takes away the spills and fills around calls that are inlined and keep registers (6.12: bpf_fastcall).
	Fastcall bool
	// HookResults judges what programs of LSM hooks return (6.12).
	HookResults bool
	// AbsoluteExit: BPF_LD_ABS and BPF_LD_IND may end the function that they are in, with 0 (7.1).
	AbsoluteExit bool
	// SharedHelpers gives helpers about tasks, events and cgroups to all program types (6.16).
	SharedHelpers bool
	// TrustedArgs: kernel functions take objects only that are trusted, unless they say otherwise (7.0).
	TrustedArgs bool
	// RawKfuncs gives programs of raw tracepoints the kernel functions that other tracing programs have (7.0).
	RawKfuncs bool
	// MovableContext takes accesses to a context through an address that was moved by a constant, where the context is
	// memory as programs see it (7.1: check_ctx_access).
	MovableContext bool

	// NestedRCU: RCU sections nest, and what RCU protects is lost where nothing else does, at the end of a lock, too (6.19).
	NestedRCU bool
	// QuietEnds: it is lost at the end of a section without preemption or interrupts, too (7.3).
	QuietEnds bool
	// IterateLocked takes iterators of numbers while a lock is held (6.14), ExchangeLocked bpf_kptr_xchg and kernel functions
	// of arenas and streams (7.1).
	IterateLocked, ExchangeLocked bool
	// OwnersUpdateSockets: maps of sockets are updated by those programs only that have a socket to themselves (7.3:
	// may_update_sockmap).
	OwnersUpdateSockets bool

	// NullArguments: of some tracepoints it is known that an argument may be null or an error (6.13 and stable trees:
	// raw_tp_null_args).
	NullArguments bool
	// FreeObjects lets programs under the GPL only look into the kernel's objects (6.2).
	FreeObjects bool
	// StackFlow finds out what matters of a stack from all edges of the control flow (6.18).
	StackFlow bool
	// WideDeltas keeps registers linked that differ by a constant that is subtracted, or added in 32 bits (7.0).
	WideDeltas bool
	// WholeOffsets: of an address in the packet the constant part and the variable one are added up before they are judged
	// (7.1: check_packet_access).
	WholeOffsets bool
	// SpilledZeros: a load from a place of the stack that is not known is 0 where only zeros are, those of spilled registers
	// included (7.3: mark_reg_stack_read).
	SpilledZeros bool
	// SpareClones: a dynptr that holds a reference is overwritten if another one holds it, too (7.2).
	SpareClones bool
	// SameAtomics: an atomic operation goes through addresses of one kind on all paths, as loads and stores do (7.2).
	SameAtomics bool
	// GlobalContexts: global functions are verified once more for callers that may sleep (7.3).
	GlobalContexts bool
	// OwnPointers: bpf_kptr_xchg exchanges pointers in objects that a program allocated, too (6.12).
	OwnPointers bool
	// StrictPerCPU: a pointer to an object of each processor is exchanged for another such one only; WholeShares: references to
	// objects are shared by their own address only; FreedInNMI: programs that may run anywhere do not free what cannot be freed
	// there; LostObjects: what RCU protected is not written, shared or put into a tree any more (7.2, the last in parts 7.3).
	StrictPerCPU, WholeShares, FreedInNMI, LostObjects bool
	// QuietGlobals: global functions that do not sleep are called without preemption (6.17: might_sleep of bpf_subprog_info).
	QuietGlobals bool
	// AllFields: reserved fields are looked at where nothing leads, too (7.1: check_insn_fields).
	AllFields bool
	// VoidGlobals: global functions return nothing (7.1: subprog_returns_void).
	VoidGlobals bool
	// GlobalFrames: the frames of a global function are counted from its own on (7.1: check_max_stack_depth_subprog).
	GlobalFrames bool
	// PlainTails: addresses in the packet stay valid after a tail call of the main function, which does not return (6.19).
	PlainTails bool
	// SetResults judges what bpf_set_retval is given (7.2).
	SetResults bool
	// OwnSleep: whether a function that runs later may sleep does not depend on the program that asked for it; and no
	// program of a cgroup's LSM hook sleeps (6.19).
	OwnSleep bool
	// SureWitness: an address that equals one that is not null is not null itself only where that is certain of the other
	// (7.2: reg_not_null).
	SureWitness bool
	// SleepingStacks: bpf_get_stack and bpf_get_task_stack of programs that may sleep do so (6.12).
	SleepingStacks bool
	// ThrowingGlobals: a call of a global function that may throw may end the program there (7.1: might_throw).
	ThrowingGlobals bool
	// SameArena refuses 64-bit arithmetic at one instruction with and without an address in an arena, and accesses likewise
	// (7.3).
	SameArena bool
	// InnerKeys: lookups in the arrays of maps of maps may be null where these may have another size (7.2: BPF_F_INNER_MAP).
	InnerKeys bool
	// RawCast makes untrusted memory of any address (6.17: bpf_rdonly_cast without a type).
	RawCast bool
	// PacketPerCall refuses to hand an address in the packet to a global function that may move it (7.3).
	PacketPerCall bool

	// The other way round, what earlier kernels did until 5.10 and none does since.

	// TailCallDepth is the stack depth in bytes that a program with a tail call gets, because its
	// target goes on in its frame (MAX_BPF_STACK in fixup_bpf_calls); 0 means what it uses.
	TailCallDepth int32
	// NoMix refuses tail calls in programs with bpf-to-bpf calls (until 5.9).
	NoMix bool
	// NoSubprogs refuses bpf-to-bpf calls (until 4.15).
	NoSubprogs bool
	// NoDirect leaves tail calls with a constant key indirect (until 5.4, and where constants are
	// blinded on any kernel).
	NoDirect bool
}

// FrameFactor is how many times more frames there may be than until 7.1.
func (v *Verifier) FrameFactor() int {
	if v.DeepCalls {
		return 2
	}
	return 1
}

// The functions below are named after their twins in kernel/bpf/verifier.c. RangeRules say in
// which points kernels differ.
type RangeRules struct {
	// Mixed: bounds of both widths improve each other, and comparisons of two registers learn from
	// ranges (6.8: __reg_deduce_mixed_bounds, regs_refine_cond_op).
	Mixed bool
	// EqRange: equality is decided by ranges that do not overlap, not by constants only (6.4).
	EqRange bool
	// AnyOperand: or, xor and mul of two unknown numbers have a range (6.10:
	// is_safe_to_compute_dst_reg_range).
	AnyOperand bool
	// WideMul: the product's bounds are computed unless they overflow (6.14).
	WideMul bool
	// Overflow: sums keep unsigned bounds if both ends overflow, and neg has a range (6.17).
	Overflow bool
	// Crossing: 64-bit bounds of which the signed ones cross the sign improve each other (6.17 and stable trees), and so
	// do 32-bit ones with Crossing32 (7.0 and stable trees).
	Crossing, Crossing32 bool
	// EqBits: equality is decided by a bit that both sides know and that differs ("bpf: Use tnums
	// for JEQ/JNE is_branch_taken logic", 6.18 and stable trees).
	EqBits bool
	// SameReg: a comparison of a register with itself is decided (6.19).
	SameReg bool
	// DivRange: quotients and remainders by constants are tracked (7.0).
	DivRange bool
	// SignedFills: a sign-extending load of a spilled number is not linked with it (7.2).
	SignedFills bool
	// SwapBits: byte swaps keep what is known of the bits (7.0 and stable trees).
	SwapBits bool
	// SingleBits: one number that alone has the bits and is within the unsigned bounds is known (7.0 and stable trees: tnum_step).
	SingleBits bool
	// DeadBranches: a branch is dead if what it would make known is true of no number (7.1: simulate_both_branches_taken).
	DeadBranches bool
	// HalfRanges: bounds of 64 bits are numbers whose lower half is within its bounds (7.2: cnum64_cnum32_intersect).
	HalfRanges bool
}
