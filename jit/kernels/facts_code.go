// SPDX-License-Identifier: GPL-2.0-only

package kernels

// emit makes the effect of a fact that is a value in Emission.
func emit(set func(*Emission)) func(*Release) {
	return func(r *Release) { set(&r.Kernel.Emit) }
}

func design(d Design) func(*Release) { return func(r *Release) { r.Design = d } }

// designFacts are the tail-call designs that releases had. Each takes the place of the one before it.
var designFacts = []Fact{
	{
		Name: "classic-4.4", Doc: "all programs have frames of one size; a tail call goes on in the caller's", Until: Version{4, 13}, Commit: "b52f00e6a715",
		set: design(Classic44),
	},
	{
		Name: "fpshift-4.13", Doc: "stacks have the size that programs need; rbp is moved below the frame", Since: Version{4, 13}, Until: Version{5, 3},
		Commit: "177366bf7ceb", set: design(FPShift413),
	},
	{
		Name: "fp53", Doc: "rbp is a frame pointer again; registers and counter lie below the program's stack", Since: Version{5, 3}, Until: Version{5, 5},
		Commit: "fe8d9571dc50", set: design(FP53),
	},
	{
		Name: "direct-poke", Doc: "tail calls with a constant key are jumps that map updates patch", Since: Version{5, 5}, Until: Version{5, 10},
		Commit: "428d5df1fa4f", set: design(DirectPoke),
	},
	{
		Name: "rework-5.10", Doc: "tail calls take their frame down and hand the count over in rax; subprograms can tail call", Since: Version{5, 10}, Until: Version{6, 7},
		Commit: "ebf7d1f508a7", set: design(Rework510),
	},
	{
		Name: "rework-6.7", Doc: "trampolines keep the count in rax for the function that they trace", Since: Version{6, 7}, Until: Version{6, 12},
		Commit: "2b5dcb31a19a", Stable: []Stable{{Version{6, 1}, 176}, {Version{6, 6}, 57}}, set: design(Rework67),
	},
	{
		Name: "hier-6.12", Doc: "all frames of an invocation share one counter through a pointer", Since: Version{6, 12},
		Commit: "116e04ba1459", Stable: []Stable{{Version{6, 11}, 11}}, set: design(Hier612),
	},
}

// codeFacts are the other differences in machine code.
var codeFacts = []Fact{
	{
		Name: "clears-r13", Kind: FactCode, Doc: "prologues clear r13, too", Until: Version{4, 5}, Commit: "8b614aebecdf",
		set: emit(func(e *Emission) { e.ClearR13 = true }),
	},
	{
		Name: "wide-bounds", Kind: FactCode, Doc: "a 64-bit index is compared with bpf_map.max_entries and the word after it (a bug)", Until: Version{4, 14},
		Commit: "90caccdd8cc0", Stable: []Stable{{Version{4, 9}, 57}},
		set: emit(func(e *Emission) { e.WideBounds = true }),
	},
	{
		Name: "slot-by-lea", Kind: FactCode, Doc: "the address of the slot is computed first", Until: Version{4, 14}, Commit: "84ccac6e7854",
		Stable: []Stable{{Version{4, 9}, 57}},
		set:    emit(func(e *Emission) { e.SlotByLea = true }),
	},
	{
		Name: "division-leaves", Kind: FactCode, Doc: "a program that divides by a register that is 0 returns 0", Until: Version{4, 16}, Commit: "3e5b1a39d7ea",
		set: emit(func(e *Emission) { e.DivLeaves = true }),
	},
	{
		Name: "long-forms", Kind: FactCode, Doc: "no short forms with eax; multiplication saves all registers", Until: Version{4, 17}, Commit: "d806a0cf2a1d",
		set: emit(func(e *Emission) { e.LongForms = true }),
	},
	{
		Name: "zero-by-cmp", Kind: FactCode, Doc: "comparisons with 0 are cmp, not test", Until: Version{5, 8}, Commit: "38f51c070521",
		set: emit(func(e *Emission) { e.ZeroByCmp = true }),
	},
	{
		Name: "limit-above", Kind: FactCode, Doc: "the count is compared with 32 and refused above it, instead of from 33 on", Until: Version{5, 17}, Commit: "ebf7f6f0a6cd",
		set: emit(func(e *Emission) { e.LimitAbove = true }),
	},
	{
		Name: "inline-retpoline", Kind: FactCode, Doc: "builds with retpolines have them inline, 17 bytes, whatever the CPU", Since: Version{4, 15}, Until: Version{5, 16},
		Commit: "87c87ecd00c5", Stable: []Stable{{Version{5, 10}, 223}, {Version{5, 15}, 135}},
		set: func(r *Release) { r.InlineRetpoline = true },
	},
	{
		Name: "ten-passes", Kind: FactCode, Doc: "the JIT gives up after 10 passes, not 20", Until: Version{4, 17}, Commit: "6007b080d2e2",
		Stable: []Stable{{Version{4, 9}, 115}},
		set:    emit(func(e *Emission) { e.Passes = 10 }),
	},
	{
		Name: "jump-less", Kind: FactCode, Doc: "jlt, jle, jslt and jsle", Since: Version{4, 14}, Commit: "92b31a9af73b",
		set: emit(func(e *Emission) { e.ISA |= ISAJumpLess }),
	},
	{
		Name: "jump-32", Kind: FactCode, Doc: "comparisons of 32 bits", Since: Version{5, 1}, Commit: "3f5d6525f2d2",
		set: emit(func(e *Emission) { e.ISA |= ISAJump32 }),
	},
	{
		Name: "atomics", Kind: FactCode, Doc: "fetching atomics, exchange and compare-exchange", Since: Version{5, 12}, Commit: "981f94c3e921",
		set: emit(func(e *Emission) { e.ISA |= ISAAtomics }),
	},
	{
		Name: "pad-jumps", Kind: FactCode, Doc: "late passes keep the size of the image by nops before jumps", Since: Version{5, 12}, Commit: "93c5aecc35c6",
		set: emit(func(e *Emission) { e.PadJumps = true }),
	},
	{
		Name: "helper-reload", Kind: FactCode, Doc: "the counter is loaded into rax before calls of helpers, too", Since: Version{5, 10}, Until: Version{6, 13}, Commit: "a1087da9d11e",
		set: emit(func(e *Emission) { e.HelperReload = true }),
	},
	{
		Name: "unrounded-reload", Kind: FactCode, Doc: "the load before a call uses the stack depth as it is, not rounded up to 8 (a bug)", Since: Version{5, 10}, Until: Version{5, 19},
		Commit: "ff672c67ee76", Stable: []Stable{{Version{5, 10}, 223}, {Version{5, 15}, 135}},
		set: emit(func(e *Emission) { e.UnroundedReload = true }),
	},
	{
		Name: "short-muldiv", Kind: FactCode, Doc: "multiplication and division save registers only if needed; imul with two operands", Since: Version{5, 16}, Commit: "57a610f1c58f",
		set: emit(func(e *Emission) { e.MulDiv = MulDivShort }),
	},
	{
		Name: "probe-limit", Kind: FactCode, Doc: "loads that may fault compare with the end of user space", Since: Version{5, 16}, Until: Version{6, 10}, Commit: "588a25e92458",
		Stable: []Stable{{Version{5, 15}, 135}},
		set:    emit(func(e *Emission) { e.Probe = ProbeLimit }),
	},
	{
		Name: "probe-one-line", Kind: FactCode, Doc: "loads that may fault make one unsigned comparison", Since: Version{6, 10}, Commit: "b599d7d26d6a",
		set: emit(func(e *Emission) { e.Probe = ProbeOneLine }),
	},
	{
		Name: "sls", Kind: FactCode, Doc: "int3 after ret and indirect jumps where the build asks for it", Since: Version{5, 17}, Commit: "e463a09af2f0",
		Stable: []Stable{{Version{5, 10}, 223}, {Version{5, 15}, 135}},
		set:    func(r *Release) { r.SLS = true },
	},
	{
		Name: "endbr", Kind: FactCode, Doc: "endbr64 at the entry and at the landing of tail calls where the build asks for it", Since: Version{5, 18}, Commit: "58ffa1b4369e",
		set: func(r *Release) { r.ENDBR = true },
	},
	{
		Name: "jump-sls", Kind: FactCode, Doc: "int3 after indirect jumps in every build with retpolines", Since: Version{6, 2}, Commit: "3b6c1747da48",
		set: func(r *Release) { r.ThunkSLS = true },
	},
	{
		Name: "bmi2-shifts", Kind: FactCode, Doc: "shlx, shrx and sarx where the CPU has them", Since: Version{6, 2}, Commit: "77d8f5d47bfb",
		set: emit(func(e *Emission) { e.BMI2 = true }),
	},
	{
		Name: "lazy-shifts", Kind: FactCode, Doc: "other shifts by a register use r11 only if rcx is not the count as well", Since: Version{6, 2}, Commit: "81b35e7cad79",
		set: emit(func(e *Emission) { e.Shift = ShiftLazy }),
	},
	{
		Name: "call-depth", Kind: FactCode, Doc: "call depth tracking", Since: Version{6, 2}, Commit: "f66c05d6baf3",
		set: func(r *Release) { r.CallDepth = "pcpu_hot+0x10" },
	},
	{
		Name: "call-depth-const", Kind: FactCode, Doc: "its word is named const_pcpu_hot", Since: Version{6, 7}, Until: Version{6, 15},
		set: func(r *Release) { r.CallDepth = "const_pcpu_hot+0x10" },
	},
	{
		Name: "call-depth-word", Kind: FactCode, Doc: "its word is a variable of its own, __x86_call_depth", Since: Version{6, 15},
		set: func(r *Release) { r.CallDepth = "__x86_call_depth" },
	},
	{
		Name: "gotol", Kind: FactCode, Doc: "unconditional jumps with 32-bit offsets", Since: Version{6, 6}, Commit: "4cd58e9af8b9", Stable: []Stable{{Version{6, 1}, 176}},
		set: emit(func(e *Emission) { e.ISA |= ISAGotol }),
	},
	{
		Name: "sign-extension", Kind: FactCode, Doc: "sign-extending loads and moves, unconditional byte swap, signed division", Since: Version{6, 6}, Commit: "8100928c8814",
		set: emit(func(e *Emission) { e.ISA |= ISASignExtend }),
	},
	{
		Name: "exceptions", Kind: FactCode, Doc: "bpf_throw and its callback", Since: Version{6, 7}, Commit: "f18b03fabaa9",
		set: emit(func(e *Emission) { e.ISA |= ISAExceptions }),
	},
	{
		Name: "cfi", Kind: FactCode, Doc: "a preamble before bpf_func in builds with kCFI or FineIBT", Since: Version{6, 8}, Commit: "4f9087f16651",
		set: func(r *Release) { r.FineIBT = CFIFine },
	},
	{
		Name: "fineibt-eax", Kind: FactCode, Doc: "FineIBT compares eax", Since: Version{6, 18},
		set: func(r *Release) { r.FineIBT = CFIFineEAX },
	},
	{
		Name: "arena", Kind: FactCode, Doc: "accesses to arenas through r12", Since: Version{6, 9}, Commit: "2fe99eb0ccf2",
		set: emit(func(e *Emission) { e.ISA |= ISAArena }),
	},
	{
		Name: "may-goto", Kind: FactCode, Doc: "may_goto", Since: Version{6, 9}, Commit: "011832b97b31",
		set: emit(func(e *Emission) { e.ISA |= ISAMayGoto }),
	},
	{
		Name: "per-cpu-moves", Kind: FactCode, Doc: "moves that resolve a per-CPU address", Since: Version{6, 10}, Commit: "7bdbf7446305",
		set: emit(func(e *Emission) { e.ISA |= ISAPerCPU }),
	},
	{
		Name: "signed-imm64", Kind: FactCode, Doc: "64-bit constants that are sign-extended 32-bit ones take seven bytes", Since: Version{6, 10}, Commit: "af66bfd3c853",
		set: emit(func(e *Emission) { e.SignedImm64 = true }),
	},
	{
		Name: "rel8-123", Kind: FactCode, Doc: "jumps are short up to 123 bytes forward, not 127", Since: Version{6, 12}, Commit: "c8831bdbfbab",
		Stable: []Stable{{Version{6, 1}, 176}, {Version{6, 11}, 11}},
		set:    emit(func(e *Emission) { e.MaxRel8 = 123 }),
	},
	{
		Name: "load-acquire", Kind: FactCode, Doc: "load-acquire and store-release", Since: Version{6, 15}, Commit: "ecd7eb2a6f7f",
		set: emit(func(e *Emission) { e.ISA |= ISALoadAcquire }),
	},
	{
		Name: "arena-sign-extension", Kind: FactCode, Doc: "sign-extending loads from arenas", Since: Version{6, 18},
		set: emit(func(e *Emission) { e.ISA |= ISAArenaSignExtend }),
	},
	{
		Name: "locked-xchg", Kind: FactCode, Doc: "exchange with a lock prefix, which it does not need", Since: Version{5, 12},
		set: emit(func(e *Emission) { e.LockXchg = true }),
	},
	{
		Name: "plain-xchg", Kind: FactCode, Doc: "exchange without one", Since: Version{7, 0},
		set: emit(func(e *Emission) { e.LockXchg = false }),
	},
	{
		Name: "stack-arguments", Kind: FactCode, Doc: "there is a register for stack arguments, so that BPF_REG_AX is 12", Since: Version{7, 2},
		set: emit(func(e *Emission) { e.AX = 12 }),
	},
}

func tramp(set func(*Tramp)) func(*Release) {
	return func(r *Release) { set(&r.Kernel.Emit.Tramp) }
}

// trampFacts are what trampolines have.
var trampFacts = []Fact{
	{
		Name: "trampolines", Kind: FactTrampoline, Doc: "trampolines run fentry and fexit programs", Since: Version{5, 5}, Commit: "fec56f5890d9",
		set: tramp(func(t *Tramp) { t.Exists, t.Place, t.NopMax = true, true, 8 }),
	},
	{
		Name: "tramp-modify", Kind: FactTrampoline, Doc: "and fmod_ret programs", Since: Version{5, 7}, Commit: "ae24082331d9",
		set: tramp(func(t *Tramp) { t.Modify = true }),
	},
	{
		Name: "tramp-held", Kind: FactTrampoline, Doc: "trampolines that call the function are held by __bpf_tramp_enter until they are left", Since: Version{5, 12},
		Commit: "e21aa341785c", Stable: []Stable{{Version{5, 10}, 223}},
		set: tramp(func(t *Tramp) { t.Held = true }),
	},
	{
		Name: "tramp-guarded", Kind: FactTrampoline, Doc: "a tracing program that is running on the CPU already is left out", Since: Version{5, 12}, Commit: "ca06f55b9002",
		set: tramp(func(t *Tramp) { t.Guarded = true }),
	},
	{
		Name: "tramp-count", Kind: FactTrampoline, Doc: "the number of arguments is stored for tracing programs", Since: Version{5, 17}, Commit: "f92c1e183604",
		set: tramp(func(t *Tramp) { t.Count = true }),
	},
	{
		Name: "tramp-endbr", Kind: FactTrampoline, Doc: "trampolines begin with endbr64 where the build asks for it", Since: Version{5, 18}, Until: Version{6, 8},
		set: tramp(func(t *Tramp) { t.ENDBR = true }),
	},
	{
		Name: "tramp-run-context", Kind: FactTrampoline, Doc: "trampolines have a run context, with a cookie for each program", Since: Version{5, 19},
		Commit: "e384c7b7b46d", set: tramp(func(t *Tramp) { t.RunCtx = true }),
	},
	{
		Name: "tramp-recur", Kind: FactTrampoline, Doc: "what is called around tracing programs is named __bpf_prog_enter_recur", Since: Version{6, 1},
		set: tramp(func(t *Tramp) { t.Recur = true }),
	},
	{
		Name: "tramp-long-nops", Kind: FactTrampoline, Doc: "nops of up to eleven bytes", Since: Version{6, 5},
		set: tramp(func(t *Tramp) { t.NopMax = 11 }),
	},
	{
		Name: "tramp-sized", Kind: FactTrampoline, Doc: "arguments are stored in their own sizes", Since: Version{5, 5}, Until: Version{6, 6}, Commit: "473e3150e30a",
		Stable: []Stable{{Version{6, 1}, 176}},
		set:    tramp(func(t *Tramp) { t.Sized = true }),
	},
	{
		Name: "tramp-push-rbx", Kind: FactTrampoline, Doc: "rbx has no slot of its own, it is pushed", Since: Version{5, 5}, Until: Version{6, 6}, Commit: "473e3150e30a",
		set: tramp(func(t *Tramp) { t.PushRBX = true }),
	},
	{
		Name: "tramp-jump", Kind: FactTrampoline, Doc: "functions with programs after them are left by a jump", Since: Version{6, 19},
		set: tramp(func(t *Tramp) { t.Jump = true }),
	},
	{
		Name: "tramp-prog-nop", Kind: FactTrampoline, Doc: "five bytes of nop before each tracing program, none after the traced function", Since: Version{7, 2},
		set: tramp(func(t *Tramp) { t.ProgNop = true }),
	},
	{
		Name: "tramp-loses-rax", Kind: FactTrampoline, Doc: "what a traced function needs in rax is lost (a bug)", Since: Version{5, 5}, Until: Version{6, 7}, Commit: "2b5dcb31a19a",
		Stable: []Stable{{Version{6, 1}, 176}, {Version{6, 6}, 57}},
		set:    tramp(func(t *Tramp) { t.LosesRAX = true }),
	},
}
