// SPDX-License-Identifier: GPL-2.0-only

package kernels

import "slices"

// Facts are all differences between kernels, in the order in which they take effect.
var Facts = slices.Concat(designFacts, codeFacts, trampFacts, verifierFacts, helperFacts, kindFacts, policyFacts)

// verifier makes the effect of a fact that is a value in Verifier.
func verifier(set func(*Verifier)) func(*Release) {
	return func(r *Release) { set(&r.Kernel.Verifier) }
}

// verifierFacts are what verifiers take and how they rewrite. The comments of Verifier and RangeRules say more.
var verifierFacts = []Fact{
	{
		Name: "no-subprograms", Kind: FactVerifier, Doc: "no calls between BPF functions", Until: Version{4, 16}, Commit: "cc8b0b92a169",
		set: verifier(func(v *Verifier) { v.NoSubprogs = true }),
	},
	{
		Name: "no-mix", Kind: FactVerifier, Doc: "no tail calls in programs with subprograms", Since: Version{4, 16}, Until: Version{5, 10}, Commit: "e411901c0b77",
		set: verifier(func(v *Verifier) { v.NoMix = true }),
	},
	{
		Name: "whole-stack", Kind: FactVerifier, Doc: "programs with a tail call have 512 bytes of stack", Since: Version{4, 13}, Until: Version{5, 10},
		set: verifier(func(v *Verifier) { v.TailCallDepth = 512 }),
	},
	{
		Name: "indirect-only", Kind: FactVerifier, Doc: "tail calls with a constant key are indirect, too", Until: Version{5, 5}, Commit: "d2e4c1e6c294",
		set: verifier(func(v *Verifier) { v.NoDirect = true }),
	},
	{
		Name: "short-keys", Kind: FactVerifier, Doc: "keys of maps have up to 512 bytes", Until: Version{5, 11}, Commit: "c6bde958a62b",
		set: verifier(func(v *Verifier) { v.ShortKeys = true }),
	},
	{
		Name: "callback-once", Kind: FactVerifier, Doc: "functions that helpers call are followed once, as if called in a row", Until: Version{6, 7}, Commit: "ab5cfac139ab",
		set: verifier(func(v *Verifier) { v.CallbackOnce = true }),
	},
	{
		Name: "coarse-precision", Kind: FactVerifier, Doc: "a decision by a number that comes from another function makes all numbers count", Until: Version{6, 4}, Commit: "fde2a3882bd0",
		set: verifier(func(v *Verifier) { v.CoarsePrecision = true }),
	},
	{
		Name: "spill-bounded", Kind: FactVerifier, Doc: "bounds of spilled numbers are kept", Since: Version{5, 10}, Commit: "5689d49b71ad",
		set: verifier(func(v *Verifier) { v.SpillBounded = true }),
	},
	{
		Name: "spill-narrow", Kind: FactVerifier, Doc: "and of those of fewer than 8 bytes", Since: Version{5, 16}, Commit: "354e8f1970f8",
		Stable: []Stable{{Version{5, 15}, 135}},
		set:    verifier(func(v *Verifier) { v.SpillNarrow = true }),
	},
	{
		Name: "inline-loop", Kind: FactVerifier, Doc: "calls of bpf_loop become loops", Since: Version{6, 0}, Commit: "1ade23711971",
		set: verifier(func(v *Verifier) { v.InlineLoop = true }),
	},
	{
		Name: "trusted", Kind: FactVerifier, Doc: "kernel objects that helpers give out are trusted; loads through them are not guarded", Since: Version{6, 2}, Commit: "3f00c5239344",
		set: verifier(func(v *Verifier) { v.Trusted = true }),
	},
	{
		Name: "store-imm", Kind: FactVerifier, Doc: "constants that st stores are known", Since: Version{6, 3}, Commit: "ecdf985c7615",
		Stable: []Stable{{Version{5, 10}, 223}, {Version{5, 15}, 135}, {Version{6, 1}, 176}},
		set:    verifier(func(v *Verifier) { v.StoreImm = true }),
	},
	{
		Name: "store-context", Kind: FactVerifier, Doc: "st can store into the context", Since: Version{6, 4}, Commit: "0d80a619c113",
		set: verifier(func(v *Verifier) { v.StoreContext = true }),
	},
	{
		Name: "link-32", Kind: FactVerifier, Doc: "32-bit moves of numbers that fit keep the link", Since: Version{6, 4}, Commit: "3be49f79555e",
		set: verifier(func(v *Verifier) { v.Link32 = true }),
	},
	{
		Name: "equal-by-range", Kind: FactVerifier, Doc: "equality is decided by ranges that do not overlap", Since: Version{6, 4}, Commit: "13fbcee55706",
		set: verifier(func(v *Verifier) { v.Ranges.EqRange = true }),
	},
	{
		Name: "frame-unit-16", Kind: FactVerifier, Doc: "the stack of a frame is rounded to 16 bytes, not 32", Since: Version{6, 9},
		set: verifier(func(v *Verifier) { v.FrameUnit16 = true }),
	},
	{
		Name: "mixed-bounds", Kind: FactVerifier, Doc: "bounds of 32 and 64 bits improve each other", Since: Version{6, 8}, Commit: "c51d5ad6543c",
		set: verifier(func(v *Verifier) { v.Ranges.Mixed = true }),
	},
	{
		Name: "spill-any", Kind: FactVerifier, Doc: "unknown numbers and zeros keep their identity on the stack", Since: Version{6, 9}, Commit: "e67ddd9b1cff",
		set: verifier(func(v *Verifier) { v.SpillAny = true }),
	},
	{
		Name: "any-operand", Kind: FactVerifier, Doc: "or, xor and mul of two unknown numbers have a range", Since: Version{6, 10}, Commit: "41d047a87106",
		set: verifier(func(v *Verifier) { v.Ranges.AnyOperand = true }),
	},
	{
		Name: "inline-cpu", Kind: FactVerifier, Doc: "the CPU's number is read in the program", Since: Version{6, 10}, Commit: "1ae6921009e5",
		set: verifier(func(v *Verifier) { v.InlineCPU = true }),
	},
	{
		Name: "inline-per-cpu", Kind: FactVerifier, Doc: "lookups in per-CPU arrays are inline", Since: Version{6, 10}, Commit: "db69718b8efa",
		set: verifier(func(v *Verifier) { v.InlinePerCPU = true }),
	},
	{
		Name: "link-delta", Kind: FactVerifier, Doc: "registers that differ by a constant stay linked", Since: Version{6, 11}, Commit: "98d7ca374ba4",
		set: verifier(func(v *Verifier) { v.LinkDelta = true }),
	},
	{
		Name: "own-reach", Kind: FactVerifier, Doc: "functions with a tail call are marked themselves, by the verifier instead of the JIT", Since: Version{6, 12}, Commit: "116e04ba1459",
		Stable: []Stable{{Version{6, 11}, 11}},
		set:    verifier(func(v *Verifier) { v.OwnReach = true }),
	},
	{
		Name: "equal-by-bits", Kind: FactVerifier, Doc: "equality is decided by a bit that differs", Since: Version{6, 18},
		Stable: []Stable{{Version{6, 12}, 107}},
		set:    verifier(func(v *Verifier) { v.Ranges.EqBits = true }),
	},
	{
		Name: "read-only-arguments", Kind: FactVerifier, Doc: "memory that a helper only reads keeps its contents", Since: Version{6, 13}, Commit: "6fad274f06f0",
		set: verifier(func(v *Verifier) { v.ReadOnlyArgs = true }),
	},
	{
		Name: "private-stack", Kind: FactVerifier, Doc: "functions of tracing programs with much stack get one of their own", Since: Version{6, 13}, Commit: "a76ab5731e32",
		set: verifier(func(v *Verifier) { v.PrivateStack = true }),
	},
	{
		Name: "wide-mul", Kind: FactVerifier, Doc: "products keep bounds unless they overflow", Since: Version{6, 14}, Commit: "9aa0ebde0014",
		set: verifier(func(v *Verifier) { v.Ranges.WideMul = true }),
	},
	{
		Name: "constant-keys", Kind: FactVerifier, Doc: "lookups in arrays by a constant key within bounds are not null", Since: Version{6, 14}, Commit: "d2102f2f5d75",
		set: verifier(func(v *Verifier) { v.ConstantKeys = true }),
	},
	{
		Name: "wide-cpu", Kind: FactVerifier, Doc: "the address of the CPU's number is loaded by a 64-bit mov", Since: Version{6, 15},
		set: verifier(func(v *Verifier) { v.WideCPU = true }),
	},
	{
		Name: "timed-may-goto", Kind: FactVerifier, Doc: "may_goto ends by time, not by number alone", Since: Version{6, 15}, Commit: "2fb761823ead",
		set: verifier(func(v *Verifier) { v.TimedMayGoto = true }),
	},
	{
		Name: "hook-results", Kind: FactVerifier, Doc: "programs of LSM hooks return what their hook takes", Since: Version{6, 12}, Commit: "5d99e198be27",
		set: verifier(func(v *Verifier) { v.HookResults = true }),
	},
	{
		Name: "shared-helpers", Kind: FactVerifier, Doc: "helpers about tasks, events and cgroups are for all program types", Since: Version{6, 16}, After: Version{6, 14},
		set: verifier(func(v *Verifier) { v.SharedHelpers = true }),
	},
	{
		Name: "overflowing-sums", Kind: FactVerifier, Doc: "sums keep bounds if both ends overflow", Since: Version{6, 17}, Commit: "7a998a731627",
		set: verifier(func(v *Verifier) { v.Ranges.Overflow = true }),
	},
	{
		Name: "crossing-bounds", Kind: FactVerifier, Doc: "64-bit bounds that cross the sign improve each other", Since: Version{6, 17}, Commit: "00bf8d0c6c9b",
		Stable: []Stable{{Version{6, 12}, 81}},
		set:    verifier(func(v *Verifier) { v.Ranges.Crossing = true }),
	},
	{
		Name: "crossing-bounds-32", Kind: FactVerifier, Doc: "32-bit bounds that cross the sign improve each other", Since: Version{7, 0}, Commit: "fbc7aef517d8",
		Stable: []Stable{{Version{6, 12}, 81}, {Version{6, 18}, 35}},
		set:    verifier(func(v *Verifier) { v.Ranges.Crossing32 = true }),
	},
	{
		Name: "fastcall", Kind: FactVerifier, Doc: "spills and fills around inlined calls that keep registers are taken away", Since: Version{6, 12}, Commit: "5b5f51bff1b6",
		set: verifier(func(v *Verifier) { v.Fastcall = true }),
	},
	{
		Name: "spill-misc", Kind: FactVerifier, Doc: "a spilled number is compared with bytes that may hold anything", Since: Version{6, 9}, Commit: "6efbde200bf3",
		set: verifier(func(v *Verifier) { v.SpillMisc = true }),
	},
	{
		Name: "spill-misc-half", Kind: FactVerifier, Doc: "and one of 32 bits", Since: Version{7, 1},
		set: verifier(func(v *Verifier) { v.SpillMiscHalf = true }),
	},
	{
		Name: "exact-bytes", Kind: FactVerifier, Doc: "in a loop, bytes of stacks hold the same kinds in states that are alike", Until: Version{7, 0},
		set: verifier(func(v *Verifier) { v.ExactBytes = true }),
	},
	{
		Name: "short-history", Kind: FactVerifier, Doc: "a path with a long history of jumps leaves a state to compare with", Since: Version{6, 12}, Commit: "aa30eb3260b2",
		set: verifier(func(v *Verifier) { v.ShortHistory = true }),
	},
	{
		Name: "byte-swap-bits", Kind: FactVerifier, Doc: "byte swaps keep what is known of the bits", Since: Version{7, 0},
		Stable: []Stable{{Version{6, 18}, 35}},
		set:    verifier(func(v *Verifier) { v.Ranges.SwapBits = true }),
	},
	{
		Name: "single-bits", Kind: FactVerifier, Doc: "one number that alone has the bits and is within bounds is known", Since: Version{7, 0},
		Stable: []Stable{{Version{6, 18}, 44}},
		set:    verifier(func(v *Verifier) { v.Ranges.SingleBits = true }),
	},
	{
		Name: "dead-branches", Kind: FactVerifier, Doc: "a branch on which nothing would be within bounds is not followed", Since: Version{7, 1},
		set: verifier(func(v *Verifier) { v.Ranges.DeadBranches = true }),
	},
	{
		Name: "half-ranges", Kind: FactVerifier, Doc: "64-bit bounds are numbers whose lower half is within its own", Since: Version{7, 2},
		set: verifier(func(v *Verifier) { v.Ranges.HalfRanges = true }),
	},
	{
		Name: "same-register", Kind: FactVerifier, Doc: "comparisons of a register with itself are decided", Since: Version{6, 19},
		set: verifier(func(v *Verifier) { v.Ranges.SameReg = true }),
	},
	{
		Name: "division-ranges", Kind: FactVerifier, Doc: "quotients and remainders by constants have a range", Since: Version{7, 0},
		set: verifier(func(v *Verifier) { v.Ranges.DivRange = true }),
	},
	{
		Name: "frame-reach", Kind: FactVerifier, Doc: "the mark of a callee with a tail call is forgotten when the walk leaves it", Since: Version{7, 2},
		set: verifier(func(v *Verifier) { v.FrameReach = true }),
	},
	{
		Name: "own-mark", Kind: FactVerifier, Doc: "a function at whose end the walk has met a tail call is marked as its callers are", Since: Version{7, 1},
		set: verifier(func(v *Verifier) { v.OwnMark = true }),
	},
	{
		Name: "tail-return", Kind: FactVerifier, Doc: "a tail call that is taken is a return with an unknown result", Since: Version{6, 18},
		set: verifier(func(v *Verifier) { v.TailReturn = true }),
	},
	{
		Name: "callback-reach", Kind: FactVerifier, Doc: "what a callback calls makes no tail calls", Since: Version{7, 3},
		set: verifier(func(v *Verifier) { v.CallbackReach = true }),
	},
	{
		Name: "trusted-arguments", Kind: FactVerifier, Doc: "kernel functions take objects only that are trusted", Since: Version{7, 0},
		set: verifier(func(v *Verifier) { v.TrustedArgs = true }),
	},
	{
		Name: "raw-kernel-functions", Kind: FactVerifier, Doc: "programs of raw tracepoints call kernel functions as other tracing programs do", Since: Version{7, 0},
		set: verifier(func(v *Verifier) { v.RawKfuncs = true }),
	},
	{
		Name: "iterators-while-locked", Kind: FactVerifier, Doc: "iterators of numbers are used while a lock is held", Since: Version{6, 14},
		set: verifier(func(v *Verifier) { v.IterateLocked = true }),
	},
	{
		Name: "exchange-while-locked", Kind: FactVerifier, Doc: "pointers in maps are exchanged while a lock is held", Since: Version{7, 1},
		set: verifier(func(v *Verifier) { v.ExchangeLocked = true }),
	},
	{
		Name: "nested-rcu", Kind: FactVerifier, Doc: "RCU sections nest", Since: Version{6, 19},
		set: verifier(func(v *Verifier) { v.NestedRCU = true }),
	},
	{
		Name: "quiet-ends", Kind: FactVerifier, Doc: "objects that RCU protects are lost at the end of a section without preemption or interrupts", Since: Version{7, 3},
		set: verifier(func(v *Verifier) { v.QuietEnds = true }),
	},
	{
		Name: "owners-update-sockets", Kind: FactVerifier, Doc: "maps of sockets are updated by programs only that have a socket to themselves", Since: Version{7, 3},
		set: verifier(func(v *Verifier) { v.OwnersUpdateSockets = true }),
	},
	{
		Name: "null-arguments", Kind: FactVerifier, Doc: "arguments of some tracepoints may be null or an error", Since: Version{6, 13},
		Stable: []Stable{{Version{6, 12}, 107}},
		set:    verifier(func(v *Verifier) { v.NullArguments = true }),
	},
	{
		Name: "raw-cast", Kind: FactVerifier, Doc: "any address becomes memory that is not trusted", Since: Version{6, 17},
		set: verifier(func(v *Verifier) { v.RawCast = true }),
	},
	{
		Name: "free-objects", Kind: FactVerifier, Doc: "the kernel's objects are read by programs under the GPL only", Since: Version{6, 2},
		set: verifier(func(v *Verifier) { v.FreeObjects = true }),
	},
	{
		Name: "stack-flow", Kind: FactVerifier, Doc: "which slots of stacks matter follows from the accesses met so far, along all edges", Since: Version{6, 18}, Until: Version{7, 1},
		set: verifier(func(v *Verifier) { v.StackFlow = true }),
	},
	{
		Name: "wide-deltas", Kind: FactVerifier, Doc: "registers stay linked that differ by a constant that is subtracted or of 32 bits", Since: Version{7, 0},
		Stable: []Stable{{Version{6, 18}, 44}},
		set:    verifier(func(v *Verifier) { v.WideDeltas = true }),
	},
	{
		Name: "quiet-globals", Kind: FactVerifier, Doc: "global functions that do not sleep are called without preemption", Since: Version{6, 17}, After: Version{6, 14},
		set: verifier(func(v *Verifier) { v.QuietGlobals = true }),
	},
	{
		Name: "own-sleep", Kind: FactVerifier, Doc: "functions that run later may sleep or not whatever their program may", Since: Version{6, 19},
		set: verifier(func(v *Verifier) { v.OwnSleep = true }),
	},
	{
		Name: "sure-witness", Kind: FactVerifier, Doc: "what equals an address is not null only if that is certain of the address", Since: Version{7, 2},
		set: verifier(func(v *Verifier) { v.SureWitness = true }),
	},
	{
		Name: "sleeping-stacks", Kind: FactVerifier, Doc: "stack traces of programs that may sleep are taken asleep", Since: Version{6, 12},
		set: verifier(func(v *Verifier) { v.SleepingStacks = true }),
	},
	{
		Name: "signed-fills", Kind: FactVerifier, Doc: "a sign-extending load of a spilled number is not linked with it", Since: Version{7, 2},
		set: verifier(func(v *Verifier) { v.Ranges.SignedFills = true }),
	},
	{
		Name: "whole-offsets", Kind: FactVerifier, Doc: "constant and variable offsets into the packet are judged as a sum", Since: Version{7, 1},
		set: verifier(func(v *Verifier) { v.WholeOffsets = true }),
	},
	{
		Name: "spare-clones", Kind: FactVerifier, Doc: "a dynptr with a reference is overwritten if another one holds it", Since: Version{7, 2},
		set: verifier(func(v *Verifier) { v.SpareClones = true }),
	},
	{
		Name: "same-atomics", Kind: FactVerifier, Doc: "atomic operations go through addresses of one kind on all paths", Since: Version{7, 2},
		set: verifier(func(v *Verifier) { v.SameAtomics = true }),
	},
	{
		Name: "global-contexts", Kind: FactVerifier, Doc: "global functions are verified once more for callers that may sleep", Since: Version{7, 3},
		set: verifier(func(v *Verifier) { v.GlobalContexts = true }),
	},
	{
		Name: "own-pointers", Kind: FactVerifier, Doc: "pointers in objects that a program allocated are exchanged", Since: Version{6, 12}, Commit: "b0966c724584",
		set: verifier(func(v *Verifier) { v.OwnPointers = true }),
	},
	{
		Name: "strict-per-cpu", Kind: FactVerifier, Doc: "objects of each processor are not mixed with others in maps", Since: Version{7, 2},
		set: verifier(func(v *Verifier) { v.StrictPerCPU = true }),
	},
	{
		Name: "whole-shares", Kind: FactVerifier, Doc: "references to objects are shared by their own address only", Since: Version{7, 2},
		set: verifier(func(v *Verifier) { v.WholeShares = true }),
	},
	{
		Name: "freed-in-nmi", Kind: FactVerifier, Doc: "programs that may run anywhere do not free objects with what cannot be freed there", Since: Version{7, 2},
		set: verifier(func(v *Verifier) { v.FreedInNMI = true }),
	},
	{
		Name: "lost-objects", Kind: FactVerifier, Doc: "what RCU protected is not written, shared or put into a tree any more", Since: Version{7, 2},
		set: verifier(func(v *Verifier) { v.LostObjects = true }),
	},
	{
		Name: "all-fields", Kind: FactVerifier, Doc: "reserved fields of instructions are looked at where nothing leads, too", Since: Version{7, 1},
		set: verifier(func(v *Verifier) { v.AllFields = true }),
	},
	{
		Name: "void-globals", Kind: FactVerifier, Doc: "global functions return nothing", Since: Version{7, 1},
		set: verifier(func(v *Verifier) { v.VoidGlobals = true }),
	},
	{
		Name: "global-frames", Kind: FactVerifier, Doc: "frames are counted from the last global function on", Since: Version{7, 1},
		set: verifier(func(v *Verifier) { v.GlobalFrames = true }),
	},
	{
		Name: "plain-tails", Kind: FactVerifier, Doc: "tail calls of the main function leave addresses in the packet valid", Since: Version{6, 19},
		Stable: []Stable{{Version{6, 18}, 44}},
		set:    verifier(func(v *Verifier) { v.PlainTails = true }),
	},
	{
		Name: "set-results", Kind: FactVerifier, Doc: "what bpf_set_retval is given is judged", Since: Version{7, 2},
		set: verifier(func(v *Verifier) { v.SetResults = true }),
	},
	{
		Name: "spilled-zeros", Kind: FactVerifier, Doc: "spilled zeros are known at places of the stack that are not", Since: Version{7, 3},
		set: verifier(func(v *Verifier) { v.SpilledZeros = true }),
	},
	{
		Name: "packet-per-call", Kind: FactVerifier, Doc: "addresses in the packet are not handed to global functions that may move it", Since: Version{7, 3},
		set: verifier(func(v *Verifier) { v.PacketPerCall = true }),
	},
	{
		Name: "throwing-globals", Kind: FactVerifier, Doc: "calls of global functions that may throw may end the program", Since: Version{7, 1},
		set: verifier(func(v *Verifier) { v.ThrowingGlobals = true }),
	},
	{
		Name: "inner-keys", Kind: FactVerifier, Doc: "lookups in inner arrays that may have another size may be null", Since: Version{7, 2},
		set: verifier(func(v *Verifier) { v.InnerKeys = true }),
	},
	{
		Name: "same-arena", Kind: FactVerifier, Doc: "an instruction has addresses in an arena on all paths or on none", Since: Version{7, 3},
		set: verifier(func(v *Verifier) { v.SameArena = true }),
	},
	{
		Name: "inline-task", Kind: FactVerifier, Doc: "the current task is read in the program", Since: Version{7, 0},
		set: verifier(func(v *Verifier) { v.InlineTask = true }),
	},
	{
		Name: "absolute-exit", Kind: FactVerifier, Doc: "a load of the packet by BPF_LD_ABS may end a subprogram, too", Since: Version{7, 1},
		Stable: []Stable{{Version{6, 12}, 107}, {Version{6, 18}, 44}},
		set:    verifier(func(v *Verifier) { v.AbsoluteExit = true }),
	},
	{
		Name: "absolute-outside", Kind: FactVerifier, Doc: "no loads of the packet by BPF_LD_ABS in functions that helpers call", Since: Version{7, 2},
		set: verifier(func(v *Verifier) { v.AbsoluteOutside = true }),
	},
	{
		Name: "forked-signs", Kind: FactVerifier, Doc: "and and or of 0 or -1 with a constant are followed for each", Since: Version{7, 0},
		Stable: []Stable{{Version{6, 12}, 107}, {Version{6, 18}, 44}},
		set:    verifier(func(v *Verifier) { v.ForkSigns = true }),
	},
	{
		Name: "movable-context", Kind: FactVerifier, Doc: "contexts that are memory are accessed through addresses that a constant was added to", Since: Version{7, 1},
		set: verifier(func(v *Verifier) { v.MovableContext = true }),
	},
	{
		Name: "folded-branches", Kind: FactVerifier, Doc: "jumps by constants are decided before the verification", Since: Version{7, 1},
		set: verifier(func(v *Verifier) { v.FoldBranches = true }),
	},
	{
		Name: "deep-calls", Kind: FactVerifier, Doc: "16 frames, not 8", Since: Version{7, 2},
		set: verifier(func(v *Verifier) { v.DeepCalls = true }),
	},
}

// policyFacts change no bytes.
var policyFacts = []Fact{
	{
		Name: "guards-replaced", Kind: FactPolicy, Doc: "programs with a replaced function cannot be in prog arrays", Since: Version{6, 13}, Commit: "d6083f040d5d",
		set: func(r *Release) { r.Kernel.Policy.GuardsReplaced = true },
	},
	{
		Name: "owner-attach-type", Kind: FactPolicy, Doc: "a prog array takes programs of one expected attach type", Since: Version{6, 18}, Commit: "4540aed51b12",
		set: func(r *Release) { r.Kernel.Policy.OwnerAttachType = true },
	},
	{
		Name: "owner-sleepable", Kind: FactPolicy, Doc: "a prog array does not mix programs that may sleep with others", Since: Version{7, 0},
		set: func(r *Release) { r.Kernel.Policy.OwnerSleepable = true },
	},
}

// helperFacts are the numbers of helpers (__BPF_FUNC_MAX_ID of include/uapi/linux/bpf.h).
var helperFacts = helpers(
	helperCount{4, 4, 26}, helperCount{4, 5, 27}, helperCount{4, 6, 31}, helperCount{4, 8, 37}, helperCount{4, 9, 42}, helperCount{4, 10, 45},
	helperCount{4, 11, 46}, helperCount{4, 12, 48}, helperCount{4, 13, 51}, helperCount{4, 14, 54}, helperCount{4, 15, 58}, helperCount{4, 16, 60},
	helperCount{4, 17, 65}, helperCount{4, 18, 81}, helperCount{4, 19, 84}, helperCount{4, 20, 91}, helperCount{5, 0, 93}, helperCount{5, 1, 99},
	helperCount{5, 2, 109}, helperCount{5, 3, 110}, helperCount{5, 4, 111}, helperCount{5, 5, 116}, helperCount{5, 6, 120}, helperCount{5, 7, 125},
	helperCount{5, 8, 136}, helperCount{5, 9, 142}, helperCount{5, 10, 156}, helperCount{5, 11, 163}, helperCount{5, 12, 164}, helperCount{5, 13, 166},
	helperCount{5, 14, 169}, helperCount{5, 15, 176}, helperCount{5, 16, 180}, helperCount{5, 17, 186}, helperCount{5, 18, 194}, helperCount{5, 19, 204},
	helperCount{6, 0, 208}, helperCount{6, 1, 210}, helperCount{6, 2, 212},
)

type helperCount struct {
	major, minor int
	count        int32
}

func helpers(counts ...helperCount) []Fact {
	var facts []Fact
	for i, c := range counts {
		f := Fact{
			Name: "helpers-" + Version{c.major, c.minor}.String(), Kind: FactVerifier, Doc: "more helpers", Since: Version{c.major, c.minor},
			set: verifier(func(v *Verifier) { v.Helpers = c.count }),
		}
		if i+1 < len(counts) {
			f.Until, f.replaced = Version{counts[i+1].major, counts[i+1].minor}, true
		}
		facts = append(facts, f)
	}
	return facts
}
