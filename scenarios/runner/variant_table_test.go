// SPDX-License-Identifier: GPL-2.0-only

package runner_test

func variantMutations() []variantMutation {
	rows := limitVariants()
	for _, more := range [][]variantMutation{
		prologueVariants(), unwindVariants(), jumpVariants(), callVariants(), frameVariants(), pokeVariants(),
	} {
		rows = append(rows, more...)
	}
	return rows
}

// limitVariants are edits of the comparison with the limit and of the counter.
func limitVariants() []variantMutation {
	return []variantMutation{
		{target: "6.12", in: inSites, old: "jae", new: "", name: "no jump at the limit"},
		{target: "5.10", in: inSites, old: "ja", new: "", name: "no jump at the limit"},
		{target: "6.12", in: inSites, old: "cmp qword ptr [rax]", new: "<1", name: "limit compared in 4 bytes, not 8",
			survives: "the counter is 0 to 33: its upper half is 0 always"},
		{target: "hier-rfc2", in: inSites, old: "cmp dword ptr [rax]", new: "48:1", name: "limit compared in 8 bytes, not 4",
			survives: "the counter is a pushed word, whose upper half stays 0"},
		{target: "5.10", in: inSites, old: "mov eax; cmp eax; ja", new: "2 3 1", name: "compares before it loads the count"},
		{target: "6.12", in: inSites, old: "mov rax; cmp qword ptr [rax]; jae", new: "2 3 1", name: "compares before it loads the pointer"},
		{target: "6.12", in: inSites, old: "cmp qword ptr [rax]; jae", new: "2 1", name: "jumps before it compares"},
		{target: "6.1", in: inSites, old: "cmp eax; jae; add eax; mov dword ptr", new: "3 1 2 4", name: "counts before it compares"},
		{target: "6.1", in: inSites, old: "cmp eax; jae; add eax; mov dword ptr", new: "3 4 1 2", name: "counts and stores before it compares"},
		{target: "5.10", in: inSites, old: "cmp eax; ja; add eax", new: "3 1 2", name: "counts before it compares"},
		{target: "hier-rfc2", in: inSites, old: "cmp dword ptr [rax]; jae; add dword", new: "3 1 2", name: "counts before it compares"},
		{target: "hier-task", in: inSites, old: "cmp dword ptr [rax]; jae; inc", new: "3 1 2", name: "counts before it compares"},
		{target: "7.2", in: inDirect, old: "cmp qword ptr [rax]; jae; jmp; add qword", new: "4 1 2 3", name: "counts before it compares"},
		{target: "6.12", in: inDirect, old: "jmp; add qword", new: "2 1", name: "an empty slot costs budget"},
		{target: "6.12", in: inIndirect, old: "mov rcx; test rcx; je; add qword", new: "4 1 2 3", name: "an empty slot costs budget, found at run time"},
		{target: "6.1", in: inIndirect, old: "add eax; mov dword ptr; mov rcx; test rcx; je", new: "3 4 5 1 2", name: "an empty slot costs no budget, found at run time"},
		{target: "6.1", in: inDirect, old: "add eax; mov dword ptr; jmp", new: "3 1 2", name: "an empty slot costs no budget"},
		{target: "6.12", in: inDirect, old: "cmp qword ptr [rax]; jae; jmp", new: "3 1 2", name: "looks for the slot before the limit"},

		{target: "6.12", in: inSites, old: "add qword ptr [rax]", new: "", name: "does not count"},
		{target: "7.2", in: inSites, old: "add qword ptr [rax]", new: "", name: "does not count"},
		{target: "6.12", in: inDirect, old: "add qword ptr [rax]", new: "", name: "direct tail calls do not count"},
		{target: "6.12", in: inIndirect, old: "add qword ptr [rax]", new: "", name: "indirect tail calls do not count"},
		{target: "6.12", in: inSites, old: "add qword ptr [rax]", new: "<1", name: "counts in 4 bytes, not 8",
			survives: "the counter never leaves its lower half"},
		{target: "6.12", in: inSites, old: "add qword ptr [rax]; pop rbx; pop rax", new: "2 3 1", name: "counts after the pops, one of which is of rax"},
		{target: "6.1", in: inSites, old: "add eax", new: "", name: "does not count"},
		{target: "6.1", in: inSites, old: "mov dword ptr", new: "", name: "does not store the count"},
		{target: "6.1", in: inSites, old: "mov dword ptr", new: "48:1", name: "stores the count in 8 bytes, not 4"},
		{target: "6.1", in: inSites, old: "add eax; mov dword ptr", new: "2 1", name: "stores the count before it counts"},
		{target: "hier-rfc2", in: inSites, old: "add dword ptr [rax]", new: "", name: "does not count"},
		{target: "hier-task", in: inSites, old: "inc dword ptr [rax]", new: "", name: "does not count"},
		{target: "hier-percpu", in: inSites, old: "cmp eax; jae", new: "", name: "no test of the limit"},
		{target: "hier-runctx", in: inSites, old: "add dword ptr [rax]", new: "", name: "does not count"},
		{target: "fp53", in: inSites, old: "add eax", new: "", name: "does not count"},
		{target: "direct-poke", in: inSites, old: "mov dword ptr", new: "", name: "does not store the count"},
	}
}

// prologueVariants are edits of the prologue. The landing stays where it was, unless shift moves it.
func prologueVariants() []variantMutation {
	landing := func(end string) *variantMutation {
		return &variantMutation{in: inIndirect, old: "add rcx", new: "1$" + end}
	}
	return []variantMutation{
		{target: "6.12", in: inPrologue, old: "xor rax, rax", new: "", name: "does not clear rax at the entry"},
		{target: "6.12", in: inPrologue, old: "xor rax, rax", new: "31c0", name: "clears rax by a shorter instruction, landing as it was"},
		{target: "6.12", in: inPrologue, old: "nop dword ptr [rax+rax*1]", new: "", name: "no room for a trampoline, landing as it was"},
		{target: "6.12", in: inPrologue, old: "nop dword ptr [rax+rax*1]", new: "", name: "no room for a trampoline",
			also: landing("0b"), shift: -5},
		{target: "6.1", in: inPrologue, old: "nop dword ptr [rax+rax*1]", new: "", name: "no room for a trampoline",
			also: landing("06"), shift: -5},
		{target: "6.12", in: inPrologue, old: "endbr64", new: "", name: "no endbr64 where tail calls land"},
		{target: "7.2", in: inPrologue, old: "endbr64", new: "", name: "no endbr64 where tail calls land"},
		{target: "6.12", in: inPrologue, old: "push rbp; mov rbp, rsp", new: "1", name: "rbp is not set"},
		{target: "6.12", in: inPrologue, old: "push rbp; mov rbp, rsp", new: "2 1", name: "rbp set before it is pushed"},
		{target: "6.1", in: inPrologue, old: "push rbp; mov rbp, rsp", new: "2 1", name: "rbp set before it is pushed"},
		{target: "6.12", in: inPrologue, old: "push rax; push rax", new: "1", sub: true, name: "pointer pushed once in a subprogram"},
		{target: "6.12", in: inPrologue, old: "jmp", new: "", name: "a word too much in the root frame"},
		{target: "6.12", in: inPrologue, old: "push rax; mov rax, rsp; jmp", new: "2 1 3", name: "pointer to the word above the counter"},
		{target: "6.12", in: inPrologue, old: "cmp rax; ja", new: "2 1", name: "jumps before it compares value or pointer"},
		{target: "6.12", in: inPrologue, old: "cmp rax; ja", new: "", name: "takes everything for a value"},
		{target: "6.12", in: inPrologue, old: "sub rsp; cmp rax", new: "2", name: "no room for the program's stack"},
		{target: "6.12", in: inPrologue, old: "sub rsp", new: "1-7", name: "stack depth unrounded in the prologue alone"},
		{target: "5.10", in: inPrologue, old: "push rax", new: "", name: "counter not pushed"},
		{target: "6.1", in: inPrologue, old: "push rax", new: "", sub: true, name: "counter not pushed in a subprogram"},
		{target: "5.10", in: inPrologue, old: "push rax; push rbx", new: "2 1", name: "rbx pushed before the counter"},
		{target: "7.2", in: inPrologue, old: "push rbx", new: "", name: "rbx not pushed"},
		{target: "6.1", in: inPrologue, old: "push rbx; push r13", new: "2 1", name: "rbx and r13 pushed in the wrong order"},
		{target: "6.1", in: inPrologue, old: "push rbx; push r13", new: "2 1", name: "rbx and r13 saved in the other order",
			also:     &variantMutation{in: append(inEpilogue, inSites...), old: "pop r13; pop rbx", new: "2 1"},
			survives: "pushes and pops agree, and nothing else looks"},
		{target: "6.12", in: inPrologue, old: "push r12", new: "", name: "r12 not pushed by a program that throws"},
		{target: "7.2", in: inPrologue, old: "pop rbx; pop r12", new: "1", name: "r12 not restored by an exception callback"},
		{target: "6.12", in: inPrologue, old: "pop r15; pop r14", new: "2 1", name: "exception callback restores r14 before r15"},
		{target: "6.18", in: inPrologue, old: "mov rsp, rsi", new: "", name: "exception callback pops from its own stack"},
		{target: "7.2", in: inPrologue, old: "mov rsp, rbp", new: "", name: "exception callback keeps the stack where the pops end",
			survives: "leave takes it down anyway; what lies above is not used any more"},
		{target: "hier-rfc2", in: inPrologue, old: "pop rcx", new: "", name: "counter not popped at the end"},
		{target: "hier-rfc2", in: inPrologue, old: "pop rcx", new: "", name: "counter not popped at the end, landing corrected in main programs",
			also: landing("15"), shift: -1},
		{target: "hier-rfc2", in: inPrologue, old: "call", new: "0f1f440000", name: "falls into pop and ret"},
		{target: "hier-rfc2", in: inPrologue, old: "push rax; mov rax, rsp", new: "2 1", name: "pointer to the return address"},
		{target: "hier-percpu", in: inPrologue, old: "call", new: "0f1f440000", name: "counter not reset at the entry"},
		{target: "hier-task", in: inPrologue, old: "call", new: "0f1f440000", name: "counter not reset at the entry"},
		{target: "hier-runctx", in: inPrologue, old: "mov rax; mov rdi", new: "2 1", name: "context unwrapped before the counter is read"},
		{target: "fp53", in: inPrologue, old: "push 0x0", new: "", name: "counter not pushed"},
		{target: "direct-poke", in: inPrologue, old: "push r15; push 0x0", new: "2 1", name: "counter pushed before r15"},
	}
}

// unwindVariants are edits of how a frame is taken down, by a tail call or at the end.
func unwindVariants() []variantMutation {
	return []variantMutation{
		{target: "6.12", in: inSites, old: "pop rbx", new: "", name: "pop of rbx missing"},
		{target: "7.2", in: inSites, old: "pop r13", new: "", name: "pop of r13 missing"},
		{target: "6.12", in: inSites, old: "pop rax; pop rax", new: "1", name: "a pop of the counter missing"},
		{target: "6.12", in: inSites, old: "add rsp", new: "", name: "stack left in place"},
		{target: "6.12", in: inSites, old: "pop rax; pop rax; add rsp", new: "3 1 2", name: "stack removed before the pops"},
		{target: "6.12", in: inSites, old: "pop rax; pop rax", new: "4883c410", name: "counter dropped, not popped"},
		{target: "6.1", in: inSites, old: "pop rbx", new: "", name: "pop of rbx missing"},
		{target: "6.1", in: inSites, old: "pop rax", new: "", name: "pop of the counter missing"},
		{target: "6.1", in: inSites, old: "pop rax", new: "4883c408", name: "counter dropped, not popped"},
		{target: "5.10", in: inSites, old: "pop rbx; pop rax", new: "2 1", name: "counter popped before rbx"},
		{target: "5.10", in: inSites, old: "pop rax; add rsp", new: "2 1", name: "stack removed before the pop"},
		{target: "7.2", in: inSites, old: "pop r13; pop rbx", new: "2 1", name: "rbx popped before r13"},
		{target: "7.2", in: inSites, old: "pop rbx; pop r12", new: "1", name: "r12 not popped by a program that throws"},
		{target: "hier-rfc2", in: inSites, old: "pop rax", new: "", name: "pop of the pointer missing"},
		{target: "hier-percpu", in: inSites, old: "pop rbx", new: "", name: "pop of rbx missing"},
		{target: "hier-percpu", in: inSites, old: "add rsp", new: "", name: "stack left in place"},
		{target: "hier-runctx", in: inSites, old: "pop rax", new: "", name: "pop of the pointer missing"},

		{target: "6.12", in: inEpilogue, old: "pop rbx", new: "", name: "rbx not restored"},
		{target: "6.12", in: inEpilogue, old: "leave", new: "", name: "leave missing"},
		{target: "6.12", in: inEpilogue, old: "pop rbx; leave", new: "2 1", name: "leave before the pop"},
		{target: "6.12", in: inEpilogue, old: "leave", new: "4883c408 5d", name: "add rsp of another size, and pop rbp, for leave"},
		{target: "7.2", in: inEpilogue, old: "leave", new: "5d", name: "pop rbp for leave"},
		{target: "5.10", in: inEpilogue, old: "pop r13; pop rbx", new: "2 1", name: "registers restored in the wrong order"},
		{target: "fp53", in: inEpilogue, old: "pop rbx; pop r15", new: "2", name: "counter not dropped"},
		{target: "direct-poke", in: inEpilogue, old: "leave", new: "", name: "leave missing"},
	}
}

// jumpVariants are edits of bounds, empty slots, and where the jump goes.
func jumpVariants() []variantMutation {
	return []variantMutation{
		{target: "6.12", in: inIndirect, old: "cmp dword ptr [rsi; jbe", new: "", name: "no bounds"},
		{target: "7.2", in: inIndirect, old: "jbe", new: "", name: "no jump at the bounds"},
		{target: "6.12", in: inIndirect, old: "mov edx, edx", new: "", name: "index not cut to 4 bytes"},
		{target: "6.1", in: inIndirect, old: "mov edx, edx", new: "", name: "index not cut to 4 bytes"},
		{target: "6.12", in: inIndirect, old: "cmp dword ptr [rsi", new: "1$28", name: "compares with map_flags, not max_entries"},
		{target: "6.1", in: inIndirect, old: "cmp dword ptr [rsi", new: "1$1c", name: "compares with key_size, not max_entries"},
		{target: "6.12", in: inIndirect, old: "mov rcx, qword ptr [rsi", new: "1+8", name: "takes the next slot"},
		{target: "hier-percpu", in: inIndirect, old: "mov rcx, qword ptr [rsi", new: "1-8", name: "takes the slot before"},
		{target: "6.12", in: inIndirect, old: "test rcx; je", new: "", name: "no test for the empty slot"},
		{target: "5.10", in: inIndirect, old: "test rcx; je", new: "", name: "no test for the empty slot"},
		{target: "6.12", in: inIndirect, old: "mov rcx, qword ptr [rsi; test rcx", new: "2 1", name: "tests before it loads the program"},
		{target: "6.12", in: inIndirect, old: "mov rcx, qword ptr [rcx; add rcx", new: "2 1", name: "adds the landing before it loads the entry"},
		{target: "6.12", in: inIndirect, old: "add rcx", new: "", name: "lands at the entry"},
		{target: "fp53", in: inIndirect, old: "add rax", new: "", name: "lands at the entry"},
		{target: "6.12", in: inIndirect, old: "add rcx", new: "1$0d", name: "lands an instruction early"},
		{target: "6.12", in: inIndirect, old: "add rcx", new: "1$14", name: "lands an instruction late"},
		{target: "6.12", in: inIndirect, old: "add rcx", new: "1$14", name: "lands past endbr64, direct tail calls too", shift: 4},
		{target: "6.1", in: inIndirect, old: "add rcx", new: "1$08", name: "lands an instruction early"},
		{target: "6.1", in: inIndirect, old: "add rcx", new: "1$0c", name: "lands after the push of the counter, if there is no stack"},
		{target: "6.12", in: inSites, old: "jae", new: "7202 c9 c3", name: "returns at the limit, by an epilogue without pops"},
		{target: "6.1", in: inIndirect, old: "je", new: "7502 c9 c3", name: "returns at an empty slot"},
		{target: "6.12", in: inDirect, old: "nop dword ptr [rax+rax*1]", new: "", name: "no room for the jump"},
		{target: "6.12", in: inDirect, old: "jmp", new: "", name: "no bypass"},
	}
}

// callVariants are edits of what comes before a call.
func callVariants() []variantMutation {
	return []variantMutation{
		{target: "6.12", in: inReload, old: "mov rax", new: "", name: "no reload before a call"},
		{target: "7.2", in: inReload, old: "mov rax", new: "", name: "no reload before a call"},
		{target: "6.1", in: inReload, old: "mov rax", new: "", name: "no reload before a call"},
		{target: "5.10", in: inReload, old: "mov rax", new: "", name: "no reload before a call"},
		{target: "hier-rfc2", in: inReload, old: "mov rax", new: "", name: "no reload before a call"},
		{target: "hier-runctx", in: inReload, old: "mov rax", new: "", name: "no reload before a call"},
		{target: "6.12", in: inReload, old: "mov rax", new: "<1", name: "reload of 4 bytes, not 8"},
		{target: "6.12", in: inReload, old: "mov rax", new: "1+8", name: "reload of the other word"},
		{target: "6.1", in: inReload, old: "mov rax", new: "31c0", name: "counter starts anew in every call"},
		{target: "6.1", in: inReload, old: "mov rax", new: "1+1", name: "depth of the reload unrounded by one"},
	}
}

// frameVariants are edits of what a frame holds, the same in all of a function's code.
func frameVariants() []variantMutation {
	unrounded := func(d int32) int32 { return d }
	coarse := func(d int32) int32 { return (d + 15) &^ 15 }
	larger := func(d int32) int32 { return (d+7)&^7 + 8 }
	down := func(d int32) int32 { return d &^ 7 }
	return []variantMutation{
		{target: "6.12", depth: down, name: "stack depth rounded down"},
		{target: "5.10", depth: down, name: "stack depth rounded down"},
		{target: "6.12", depth: unrounded, name: "stack depth unrounded everywhere"},
		{target: "6.12", depth: coarse, name: "stack depth rounded to 16",
			survives: "room that nothing uses"},
		{target: "6.1", depth: larger, name: "8 bytes of stack too much",
			survives: "room that nothing uses"},
		{target: "fp53", depth: larger, name: "8 bytes of stack too much"},
		{target: "6.12", saved: fewer, name: "the last register is not saved"},
		{target: "7.2", saved: fewer, name: "the last register is not saved"},
		{target: "5.10", saved: fewer, name: "the last register is not saved"},
		{target: "hier-percpu", saved: fewer, name: "the last register is not saved"},
	}
}

// fewer leaves out the last register.
func fewer(used [4]bool) [4]bool {
	for i := 3; i >= 0; i-- {
		if used[i] {
			used[i] = false
			break
		}
	}
	return used
}
