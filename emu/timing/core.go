// SPDX-License-Identifier: GPL-2.0-only

package timing

import "fmt"

// Cycle is a point in time or a duration in core clock cycles.
type Cycle int64

// Core holds the parameters of one core, as a core file has them (ReadCore; cores/*.yaml are the
// built-in ones), where each value stands with its source. The tag of a field is its name in the
// file; what is optional is off where a file does not name it.
type Core struct {
	Name  string // short: "glc"
	Title string // "Golden Cove (Alder Lake P, Sapphire Rapids)"

	Front   FrontEnd  `core:"front"`
	Rename  Rename    `core:"rename"`
	Back    BackEnd   `core:"back"`
	Memory  Memory    `core:"memory"`
	Branch  Branches  `core:"branch"`
	Special []Special `core:"special"`

	forms   []form
	byID    map[string]*form  // into forms
	sources map[string]string // by path of the parameter
}

// FrontEnd is how instructions reach the queue in front of the renamer.
type FrontEnd struct {
	DecodeWidth    int `core:"decode_width"`     // instructions a cycle from the legacy decoders
	DecodeBytes    int `core:"decode_bytes"`     // bytes a cycle from the legacy decoders
	CacheWidth     int `core:"cache_width"`      // micro-operations a cycle from the micro-operation cache
	CacheLineBytes int `core:"cache_line_bytes"` // code window that one cache set of lines covers, in bytes
	CacheLines     int `core:"cache_lines"`      // lines of CacheWidth micro-operations that a window may take
	QueueEntries   int `core:"queue_entries"`    // micro-operations between fetch and rename
	// WideImmediates are the 64-bit immediates that a cycle's micro-operations may carry.
	WideImmediates int `core:"wide_immediates"`
	// LoopOps is the longest loop, in micro-operations, that runs from the queue. All other code comes
	// from the cache of micro-operations, where a taken branch to another window ends the group of a
	// cycle; 0: groups go on at the target.
	LoopOps int `core:"loop_ops,optional"`
	// EntryOps is how many micro-operations an entry of their cache holds, all of one window. A cycle
	// reads two entries, of one window or of two with a taken branch between them; 0: entries play no
	// part. The entries of a half of a window with more than DenseOps micro-operations are read one a
	// cycle.
	EntryOps         int `core:"entry_ops,optional"`
	DenseOps         int `core:"dense_ops,optional"`
	BranchesPerCycle int `core:"branches_per_cycle"`       // that the predictor names; a taken one is the last
	TakenPerCycle    int `core:"taken_per_cycle,optional"` // taken branches that it names without a bubble; 0: one
	PredictedBlocks  int `core:"predicted_blocks"`         // that the predictor may be ahead of fetch
}

// Rename is allocation: what it passes on a cycle, and what it finishes by itself.
type Rename struct {
	Width     int `core:"width"`             // fused micro-operations a cycle
	ROB       int `core:"rob"`               // reorder buffer entries
	Retire    int `core:"retire"`            // fused micro-operations retired a cycle
	MoveSlots int `core:"move_slots,min=-1"` // eliminated moves alive at once; -1 unlimited
	// AddImmMin and AddImmMax bound the pending offset of an eliminated 64-bit add of an immediate;
	// both 0: not eliminated. AddImmOverflowSlots is how many slots of one cycle an add takes that
	// leaves the range.
	AddImmMin           int64 `core:"add_imm_min,optional,min=-65536"`
	AddImmMax           int64 `core:"add_imm_max,optional"`
	AddImmOverflowSlots int   `core:"add_imm_overflow_slots,optional"`
	// OffsetShiftLatency is the latency of shlx, shrx and sarx whose count has a pending offset.
	OffsetShiftLatency Cycle `core:"offset_shift_latency,optional"`
	// ElidedShiftUops is how many more micro-operations a shift by cl takes if rcx is the result of
	// an eliminated move.
	ElidedShiftUops int `core:"elided_shift_uops,optional"`
	// RMWTenths are the issue slots that a read-modify-write takes at least, in tenths, on average; 0:
	// as its row says.
	RMWTenths int  `core:"rmw_tenths,optional"`
	StackSync bool `core:"stack_sync"` // reading rsp explicitly after a push or pop inserts a micro-operation
	// StackSyncLatency is how long rsp is late then.
	StackSyncLatency Cycle `core:"stack_sync_latency,optional"`
	// SameMoves: moves of a register to itself, which clear its upper half, are eliminated too.
	SameMoves bool `core:"same_moves"`
}

// BackEnd is the schedulers and ports.
type BackEnd struct {
	Schedulers []Scheduler `core:"schedulers"`
	PortSpread int         `core:"port_spread"` // least loaded ports among which allocation spreads the slots of a cycle
	// BankPorts are ports that are divided into two banks, every other one in each: what may execute on
	// all of them is bound to the banks in turn.
	BankPorts   string `core:"bank_ports,optional"`
	LateBinding bool   `core:"late_binding"` // the schedulers choose the port when a micro-operation executes, not allocation
	ToDispatch  Cycle  `core:"to_dispatch"`  // from issue to the earliest execution
	// DivBits is how many bits of a quotient the divider finds a cycle, beyond the latency of the row,
	// which is that of a small one; 0: division takes the same time for all.
	DivBits int `core:"div_bits,optional"`
	// Taken are the ports of taken branches, NotTaken those of the others.
	Taken    string `core:"taken"`
	NotTaken string `core:"not_taken"`
}

// Scheduler is a set of reservation stations.
type Scheduler struct {
	Ports   string `core:"ports"`
	Entries int    `core:"entries"`
}

// Memory is loads, stores and what passes between them. All latencies count from the moment the
// store's data is ready, or from the load's address where the load waits for nothing else.
type Memory struct {
	LoadPorts         string `core:"load_ports"`
	StoreAddressPorts string `core:"store_address_ports"`
	StoreDataPorts    string `core:"store_data_ports"`
	LoadLatency       Cycle  `core:"load_latency"`
	LoadBuffer        int    `core:"load_buffer"`
	StoreBuffer       int    `core:"store_buffer"`
	CommitsPerCycle   int    `core:"commits_per_cycle"` // stores that leave the store buffer
	// CommitAlone says that the first store that commits after a pause has its cycle for itself.
	CommitAlone bool `core:"commit_alone,optional"`
	// RenameLoads: a load that starts at the same byte as the youngest store that covers it takes
	// the store's data at rename. RenameRMW: so does a read-modify-write with an immediate.
	RenameLoads bool `core:"rename_loads,optional"`
	RenameRMW   bool `core:"rename_rmw,optional"`
	// RenamePlain leaves out what has an index register, and what stores 2 bytes.
	RenamePlain bool `core:"rename_plain,optional"`
	// RenameRMWReg, RenameLeave and RenameReturns: so do read-modify-writes with a register, leave and
	// returns.
	RenameRMWReg  bool `core:"rename_rmw_reg"`
	RenameLeave   bool `core:"rename_leave"`
	RenameReturns bool `core:"rename_returns"`
	// RenameAgain is how often a load must have found a register in a store that begins where it does, after it found
	// something else in one, such as an immediate, before it is renamed again; 0: immediates are taken at rename, too,
	// and a load is renamed as it was the last time.
	RenameAgain int `core:"rename_again,optional"`
	// RenameVerify is how long after its value, and after it executed like any other load but for the data, a load is
	// complete that was renamed; what uses the value does not wait for that.
	RenameVerify Cycle `core:"rename_verify,optional"`
	// RenameLearned is how many loads the core knows the store of that base register and offset do not
	// lead to: it went through another register, or the slot that they lead to on the stack was written
	// since through another one or in part. Other loads through another register are forwarded, and
	// other loads of such slots renamed wrongly. A power of two; 0: every load is learned by itself.
	RenameLearned int `core:"rename_learned,optional"`
	// RenameStores is how many stores back a load finds the one that it takes its value from at rename; 0: any.
	RenameStores int `core:"rename_stores,optional"`
	// FenceStores is how much later than other instructions after an lfence a store may execute.
	FenceStores Cycle `core:"fence_stores,optional"`
	// LoadsPassLocks: loads do not wait for older locked instructions.
	LoadsPassLocks bool `core:"loads_pass_locks"`
	// RenameMiss is the time from the end of a load that was renamed to the wrong store, because it
	// was right to do so the last time, to the first execution after it.
	RenameMiss Cycle `core:"rename_miss,optional"`
	// RenameStale is the same for a load of a stack slot that another store has overwritten whole.
	RenameStale Cycle `core:"rename_stale,optional"`
	Forward     Cycle `core:"forward,optional"` // covered, but not renamed
	// A load executes ForwardKnown cycles after the store's address at least, or it finds the address unknown and is
	// complete ForwardBlocked cycles after it executed and ForwardAddress after the store's address did, at the earliest.
	ForwardKnown   Cycle `core:"forward_known,optional"`
	ForwardBlocked Cycle `core:"forward_blocked,optional"`
	ForwardAddress Cycle `core:"forward_address,optional"`
	// ForwardMore is the same, in tenths, for what is more than a load: read-modify-writes, sign extensions, loads
	// of a sum whose addition was pending, and loads that RenameAgain keeps from being renamed.
	ForwardMore int `core:"forward_more_tenths,optional"`
	// ForwardFail is the latency of a load that no single store covers, from the commit of the
	// youngest store that it overlaps.
	ForwardFail Cycle `core:"forward_fail,optional"`
	// ForwardFailLate is what is added for a load that executes before the data of that store are there.
	ForwardFailLate Cycle `core:"forward_fail_late,optional"`
	// ForwardLonger is the latency, from the store's data, of a load that begins with all that the youngest store wrote:
	// it does not wait for the commit of that store, but for those of the others that it needs, as a load that fails
	// does; 0: it fails as others do.
	ForwardLonger Cycle `core:"forward_longer,optional"`
	StoreRetire   Cycle `core:"store_retire,optional"` // from the execution of a store's data to its retirement
	StoreCommit   Cycle `core:"store_commit,optional"` // from the retirement of a store to its commit, if nothing is before it
}

// Branches is prediction and what a wrong one costs.
type Branches struct {
	ReturnStack int `core:"return_stack"`
	// ReturnLatency is the time from the arrival of a return address to the end of the return.
	ReturnLatency Cycle `core:"return_latency,optional"`
	// Mispredict is the time from the end of a branch's execution to the first execution on the
	// right path; MispredictReturn the same for a return.
	Mispredict       Cycle `core:"mispredict,optional"`
	MispredictReturn Cycle `core:"mispredict_return,optional"`
	Restart          Cycle `core:"restart,optional"`  // from the retirement of a wrongly predicted branch to the first issue after it
	Override         Cycle `core:"override,optional"` // bubble when history overrules the simple predictor
	// JumpPair: a direct jump and a taken conditional one in the line that it goes to are predicted
	// in one cycle.
	JumpPair bool `core:"jump_pair,optional"`
	// DenseTargets is how many taken branches of a line the predictor finds at once: in a line with more
	// of them, a jump that goes on in the line after another one that did is named a cycle later, but not in
	// a loop of few branches; 0: no limit.
	DenseTargets  int   `core:"dense_targets,optional"`
	IndirectJump  Cycle `core:"indirect_jump,optional"`  // bubble after an indirect jump
	IndirectMoved Cycle `core:"indirect_moved,optional"` // more when it goes elsewhere than last time
	Call          Cycle `core:"call,optional"`           // bubble after a call
	Return        Cycle `core:"return,optional"`         // bubble after a return
	// AfterLate is the bubble of the first branch after a branch whose target came late: an
	// indirect jump or a return that goes elsewhere than last time.
	AfterLate Cycle `core:"after_late,optional,min=0"`
	// ReturnToBranch is the bubble of a call or jump that is the first instruction after a return;
	// ReturnToReturn that of a return, which grows with the number of them in a row up to this.
	ReturnToBranch Cycle `core:"return_to_branch,optional"`
	ReturnToReturn Cycle `core:"return_to_return,optional"`
	// ReturnUnpredicted is what a return costs more that finds the return stack empty.
	ReturnUnpredicted Cycle `core:"return_unpredicted,optional"`
	ReturnMoved       Cycle `core:"return_moved,optional"` // bubble when a return goes elsewhere than last time
	History           []int `core:"history"`               // branches that the history tables look back, ascending
	// DecodeRedirect is the time from the fetch of a taken direct branch whose target is not held to
	// the fetch of its target, less one; TargetsPerWindow how many a window of the micro-operation
	// cache holds.
	DecodeRedirect   Cycle `core:"decode_redirect,optional"`
	TargetsPerWindow int   `core:"targets_per_window"`
}

// Special corrects or completes the row of a form, with the reason as Source.
type Special struct {
	ID      string  `core:"id"`
	Slots   int     `core:"slots,optional"`   // 0: as in the row
	Ports   string  `core:"ports,optional"`   // "": as in the row
	Latency Cycle   `core:"latency,optional"` // 0: as in the row
	TP      float64 `core:"tp,optional"`      // 0: as in the row
	// Block is how long issue stops after the instruction (lfence, pause).
	Block  Cycle  `core:"block,optional"`
	Source string `core:"source"`
}

// portSet is a set of ports; bit n is port n, A is 11 and B is 10 as in Intel's numbering.
type portSet uint16

const numPorts = 12

// portsOf reads a set of ports.
func portsOf(s string) (portSet, error) {
	var p portSet
	for _, c := range s {
		switch {
		case c >= '0' && c <= '9':
			p |= 1 << (c - '0')
		case c == 'A':
			p |= 1 << 11
		case c == 'B':
			p |= 1 << 10
		default:
			return 0, fmt.Errorf("port %q in %q: expected 0 to 9, A or B", c, s)
		}
	}
	return p, nil
}

// parsePorts is portsOf for what a core file was checked for.
func parsePorts(s string) portSet {
	p, err := portsOf(s)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return p
}
