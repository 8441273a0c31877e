// SPDX-License-Identifier: GPL-2.0-only

package timing

var iceLake = Core{
	Name:  "icl",
	Title: "Ice Lake (Sunny Cove)",
	Front: FrontEnd{
		DecodeWidth:      4,  // U
		DecodeBytes:      16, // U
		CacheWidth:       6,  // U
		CacheLineBytes:   64, // U
		CacheLines:       6,  // U
		QueueEntries:     70, // U
		WideImmediates:   3,  // M: movabs; U: two of the six entries of a line each
		BranchesPerCycle: 2,  // M: test_jcc_nt
		PredictedBlocks:  32, // S
	},
	Rename: Rename{
		Width:     5,    // U
		ROB:       352,  // U
		Retire:    8,    // U
		MoveSlots: 0,    // U: removed by microcode
		StackSync: true, // U
	},
	Back: BackEnd{
		Schedulers: []Scheduler{{Ports: "0123456789", Entries: 160}}, // U
		PortSpread: 2,                                                // U
		ToDispatch: 5,                                                // U
		Taken:      "6",                                              // T
		NotTaken:   "06",                                             // T
	},
	Memory: Memory{
		LoadPorts: "23", StoreAddressPorts: "78", StoreDataPorts: "49", // T
		LoadLatency: 5,                    // U
		LoadBuffer:  128, StoreBuffer: 72, // N
		CommitsPerCycle: 2,     // N: to the same line
		RenameLoads:     true,  // T: mov and pop
		RenameRMW:       false, // T
		RenameMiss:      25,    // S: in the proportion of the branch penalties
		Forward:         5,     // N
		ForwardAddress:  8,     // S: as Golden Cove
		ForwardRMW:      5,     // T: at most 6 with the add
		ForwardFail:     11,    // N: 14 with the commit
		StoreRetire:     2,     // S: as Golden Cove
		StoreCommit:     1,     // S
	},
	Branch: Branches{
		ReturnStack:      16,                            // N
		Mispredict:       16,                            // N: 17 from execution to execution
		ReturnLatency:    1,                             // S
		MispredictReturn: 16,                            // N
		Restart:          11,                            // S: in the proportion of Golden Cove
		Override:         2,                             // S: as Golden Cove
		IndirectJump:     1,                             // S: as Golden Cove
		AfterLate:        1,                             // S: fitted to jmp_reg_mono, call_chain16
		ReturnToBranch:   1,                             // S: fitted to call_chain16
		ReturnToReturn:   2,                             // S: fitted to nest_14
		PauseShadow:      3,                             // S: as Golden Cove
		ReturnMoved:      1,                             // S: as Golden Cove
		History:          []int{3, 8, 20, 50, 120, 250}, // S: as Golden Cove
		DecodeRedirect:   6,                             // S: as measured on jmp_next, 7.5 per jump with more jumps in a line than are held
		TargetsPerWindow: 13,                            // S: more than the 13 of call_chain16_k1, fewer than the 16 in half a window of jmp_next
	},
	Special: []Special{
		{ID: "ret", Slots: 1, Ports: "06 23", Source: "T: row of ADL-P, the row of this core counts the measuring loop"},
		{ID: "lfence", Block: 1, Source: "T: 5.2 back to back"},
		{ID: "pause", Block: 138, Source: "T"},
	},
	forms: formsICL,
}
