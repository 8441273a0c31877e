// SPDX-License-Identifier: GPL-2.0-only

package timing

var skylakeX = Core{
	Name:  "skx",
	Title: "Skylake-X",
	Front: FrontEnd{
		DecodeWidth:      4,  // U
		DecodeBytes:      16, // U
		CacheWidth:       6,  // U
		CacheLineBytes:   32, // U
		CacheLines:       3,  // U
		QueueEntries:     64, // U
		WideImmediates:   3,  // M: movabs; U: two of the six entries of a line each
		BranchesPerCycle: 2,  // M: test_jcc_nt
		PredictedBlocks:  32, // S
	},
	Rename: Rename{
		Width:     4,    // U
		ROB:       224,  // U
		Retire:    4,    // U
		MoveSlots: 4,    // U
		StackSync: true, // U
	},
	Back: BackEnd{
		Schedulers: []Scheduler{{Ports: "01234567", Entries: 97}}, // U
		PortSpread: 2,                                             // U
		ToDispatch: 5,                                             // U
		Taken:      "6",                                           // T
		NotTaken:   "06",                                          // T
	},
	Memory: Memory{
		LoadPorts: "23", StoreAddressPorts: "237", StoreDataPorts: "4", // T
		LoadLatency: 5,                   // U
		LoadBuffer:  72, StoreBuffer: 56, // N
		CommitsPerCycle: 1,  // N
		Forward:         4,  // N: 4 to 5
		ForwardAddress:  7,  // S: as Golden Cove
		ForwardRMW:      4,  // N
		ForwardFail:     10, // N: 11 to 15 with the commit
		StoreRetire:     2,  // S: as Golden Cove
		StoreCommit:     1,  // S
	},
	Branch: Branches{
		ReturnStack:      16,                            // N
		Mispredict:       15,                            // N: 16 from execution to execution
		ReturnLatency:    1,                             // S
		MispredictReturn: 15,                            // N
		Restart:          10,                            // S: in the proportion of Golden Cove
		Override:         2,                             // S: as Golden Cove
		IndirectJump:     1,                             // S: as Golden Cove
		AfterLate:        1,                             // S: fitted to jmp_reg_mono, call_chain16
		ReturnToBranch:   1,                             // S: fitted to call_chain16
		ReturnToReturn:   2,                             // S: fitted to nest_14
		PauseShadow:      3,                             // S: as Golden Cove
		ReturnMoved:      1,                             // S: as Golden Cove
		History:          []int{3, 8, 20, 50, 120, 250}, // S: as Golden Cove
		DecodeRedirect:   6,                             // S: as measured on jmp_next, 7.5 per jump with more jumps in a line than are held
		TargetsPerWindow: 7,                             // S: more than the 13 of call_chain16_k1, fewer than the 16 in half a window of jmp_next
	},
	Special: []Special{
		{ID: "ret", Slots: 1, Ports: "06 23", Source: "T: row of ADL-P, the row of this core counts the measuring loop"},
		{ID: "div_r64", Latency: 42, Source: "N: with the upper half zero; T has 6 to 89"},
		{ID: "lfence", Block: 1, Source: "T: 4 back to back"},
		{ID: "pause", Block: 140, Source: "T"},
	},
	forms: formsSKX,
}
