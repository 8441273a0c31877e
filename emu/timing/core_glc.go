// SPDX-License-Identifier: GPL-2.0-only

package timing

var goldenCove = Core{
	Name:  "glc",
	Title: "Golden Cove (Alder Lake P, Sapphire Rapids)",
	Front: FrontEnd{
		DecodeWidth:      6,   // A
		DecodeBytes:      32,  // A
		CacheWidth:       8,   // A
		CacheLineBytes:   64,  // S: as Ice Lake (U)
		CacheLines:       6,   // S: as Ice Lake (U); M: nop1, 64 nops in one window run from the decoders
		QueueEntries:     144, // A
		WideImmediates:   3,   // M: movabs; U: two of the six entries of a line each
		BranchesPerCycle: 2,   // M: test_jcc_nt
		PredictedBlocks:  32,  // S
	},
	Rename: Rename{
		Width:               6,   // L, M: sub_imm32enc_dep
		ROB:                 512, // L
		Retire:              8,   // O
		MoveSlots:           -1,  // M: mov64_dep
		AddImmMin:           -1024,
		AddImmMax:           1023,  // M: sub_imm32enc_dep
		AddImmOverflowSlots: 4,     // S: fitted to sub_imm32enc_dep; M: a chain of add rax,512 runs at two a cycle (cores.json)
		OffsetShiftLatency:  3,     // M: shlx_count_lea
		ElidedShiftUops:     1,     // S: fitted to shl_cl_saved
		RMWTenths:           36,    // S: between tcc_mem_check and tcc_ptr_check (34) and the chains of tail calls (40)
		StackSync:           false, // M: push_sub_add
		LeaveAfterPop:       4,     // S: fitted to the isolated frames
	},
	Back: BackEnd{
		Schedulers: []Scheduler{ // L
			{Ports: "0156B", Entries: 112},
			{Ports: "49", Entries: 48},
			{Ports: "2378A", Entries: 72},
		},
		PortSpread: 3, // S: fitted to alu_mix and jhash_mix
		ToDispatch: 5, // S: as in uiCA for older cores
		Taken:      "6",
		NotTaken:   "06", // T
	},
	Memory: Memory{
		LoadPorts: "23A", StoreAddressPorts: "78", StoreDataPorts: "49", // T
		LoadLatency: 5,                     // M: load_chain
		LoadBuffer:  192, StoreBuffer: 114, // A
		CommitsPerCycle: 2,                     // M: store_indep
		RenameLoads:     true, RenameRMW: true, // M: stfwd_rsp, rmw_rbp_imm
		RenameMiss:     39, // S: fitted to tc33self_v2019_direct
		Forward:        5,  // M: frame_sub_leave
		ForwardAddress: 8,  // S: fitted to retpoline_mono and tc33_v2017_retpoline
		ForwardRMW:     6,  // M: rmw_reg
		ForwardFail:    14, // M: stfwd_fail, stfwd_partial_indep
		StoreRetire:    2,  // S: fitted to stfwd_fail against stfwd_partial_indep
		StoreCommit:    2,  // S
	},
	Branch: Branches{
		ReturnStack:      17,                            // M: nest_17 returns without penalty; 16 is published (N)
		Mispredict:       22,                            // M: jcc_random, jcc_random_fast
		MispredictReturn: 20,                            // M: nest_40
		ReturnLatency:    2,                             // S: fitted to frame_v2020_k0_sd0_iso
		Restart:          16,                            // S: fitted to retpoline_work and tc33_v2020_retpoline
		Override:         2,                             // M: inner_loop8, jcc_alt
		JumpPair:         true,                          // M: jmp_rel32_3nop, jmp_chain64_k1
		IndirectJump:     1,                             // M: jmp_reg_mono
		AfterLate:        1,                             // S: fitted to jmp_reg_mono, call_chain16
		ReturnToBranch:   1,                             // S: fitted to call_chain16
		ReturnToReturn:   2,                             // S: fitted to nest_14
		PauseShadow:      3,                             // S: fitted to retpoline_mono and tc33_v2017_retpoline
		ReturnMoved:      1,                             // M: callret_leaf
		History:          []int{3, 8, 20, 50, 120, 250}, // S: some 200 taken branches are published
		DecodeRedirect:   6,                             // S: as measured on jmp_next, 7.5 per jump with more jumps in a line than are held
		TargetsPerWindow: 13,                            // S: more than the 13 of call_chain16_k1, fewer than the 16 in half a window of jmp_next
	},
	Special: []Special{
		{ID: "div_r32", Latency: 11, Source: "M: div32_dep, 12 with the add"},
		{ID: "idiv_r32", Latency: 11, Source: "M: as div_r32"},
		{ID: "shlx_r32", Latency: 1, TP: 0.5, Source: "M: shlx_count_imm"},
		{ID: "shrx_r32", Latency: 1, TP: 0.5, Source: "M: shlx_count_imm"},
		{ID: "sarx_r32", Latency: 1, TP: 0.5, Source: "M: shlx_count_imm"},
		{ID: "shlx_r64", Latency: 1, TP: 0.5, Source: "M: shlx_count_imm"},
		{ID: "shrx_r64", Latency: 1, TP: 0.5, Source: "M: shlx_count_imm"},
		{ID: "sarx_r64", Latency: 1, TP: 0.5, Source: "M: shlx_count_imm"},
		{ID: "lfence", Block: 7, Source: "M: lfence, 13.3 back to back"},
		{ID: "pause", Block: 41, Source: "M: pause"},
	},
	forms: formsGLC,
}
