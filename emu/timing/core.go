// SPDX-License-Identifier: GPL-2.0-only

package timing

import (
	"fmt"
	"strings"
)

//go:generate go run gen_forms.go ../../fixtures/uarch/instructions.json ../../fixtures/uarch/instructions_glc.json

// Cycle is a point in time or a duration in core clock cycles.
type Cycle int64

// Core holds the parameters of one core. Every table (core_*.go) gives the source of each value:
// U uiCA's microArchConfigs, L LLVM scheduling models, O OSACA, T uops.info, M measured natively
// (measured.json names the sequence), A Intel Architecture Day 2021, N commonly published,
// S assumed or fitted; S is always followed by what it was fitted to.
type Core struct {
	Name  string // short: "glc"
	Title string // "Golden Cove (Alder Lake P, Sapphire Rapids)"

	Front   FrontEnd
	Rename  Rename
	Back    BackEnd
	Memory  Memory
	Branch  Branches
	Special []Special

	forms []form
}

// FrontEnd is how instructions reach the queue in front of the renamer.
type FrontEnd struct {
	DecodeWidth    int // instructions a cycle from the legacy decoders
	DecodeBytes    int // bytes a cycle from the legacy decoders
	CacheWidth     int // micro-operations a cycle from the micro-operation cache
	CacheLineBytes int // code window that one cache set of lines covers, in bytes
	CacheLines     int // lines of CacheWidth micro-operations that a window may take
	QueueEntries   int // micro-operations between fetch and rename
	// WideImmediates are the 64-bit immediates that a cycle's micro-operations may carry.
	WideImmediates   int
	BranchesPerCycle int // that the predictor names; a taken one is the last
	PredictedBlocks  int // that the predictor may be ahead of fetch
}

// Rename is allocation: what it passes on a cycle, and what it finishes by itself.
type Rename struct {
	Width     int // fused micro-operations a cycle
	ROB       int // reorder buffer entries
	Retire    int // fused micro-operations retired a cycle
	MoveSlots int // eliminated moves alive at once; -1 unlimited
	// AddImmMin and AddImmMax bound the pending offset of an eliminated 64-bit add of an immediate;
	// both 0: not eliminated. AddImmOverflowSlots is how many slots of one cycle an add takes that
	// leaves the range.
	AddImmMin, AddImmMax int64
	AddImmOverflowSlots  int
	// OffsetShiftLatency is the latency of shlx, shrx and sarx whose count has a pending offset.
	OffsetShiftLatency Cycle
	// ElidedShiftUops is how many more micro-operations a shift by cl takes if rcx is the result of
	// an eliminated move.
	ElidedShiftUops int
	// RMWTenths are the issue slots that a read-modify-write takes at least, in tenths, on average; 0:
	// as its row says.
	RMWTenths int
	// LeaveAfterPop delays the first execution of a leave since the core was last empty (behind a
	// fence or a wrong prediction) if a register was popped since the last push.
	LeaveAfterPop Cycle
	StackSync     bool // reading rsp explicitly after a push or pop inserts a micro-operation
}

// BackEnd is the schedulers and ports.
type BackEnd struct {
	Schedulers []Scheduler
	PortSpread int   // least loaded ports among which allocation spreads the slots of a cycle
	ToDispatch Cycle // from issue to the earliest execution
	// Taken are the ports of taken branches, NotTaken those of the others.
	Taken, NotTaken string
}

// Scheduler is a set of reservation stations.
type Scheduler struct {
	Ports   string
	Entries int
}

// Memory is loads, stores and what passes between them. All latencies count from the moment the
// store's data is ready, or from the load's address where the load waits for nothing else.
type Memory struct {
	LoadPorts, StoreAddressPorts, StoreDataPorts string
	LoadLatency                                  Cycle
	LoadBuffer, StoreBuffer                      int
	CommitsPerCycle                              int // stores that leave the store buffer
	// RenameLoads: a load that starts at the same byte as the youngest store that covers it takes
	// the store's data at rename. RenameRMW: so does a read-modify-write with an immediate.
	RenameLoads, RenameRMW bool
	// RenameMiss is the time from the end of a load that was renamed to the wrong store, because it
	// was right to do so the last time, to the first execution behind it.
	RenameMiss     Cycle
	Forward        Cycle // covered, but not renamed
	ForwardAddress Cycle // the same, from the execution of the store's address
	ForwardRMW     Cycle // the same for add [m],reg
	// ForwardFail is the latency of a load that no single store covers, from the commit of the
	// youngest store that it overlaps.
	ForwardFail Cycle
	StoreRetire Cycle // from the execution of a store's data to its retirement
	StoreCommit Cycle // from the retirement of a store to its commit, if nothing is before it
}

// Branches is prediction and what a wrong one costs.
type Branches struct {
	ReturnStack int
	// ReturnLatency is the time from the arrival of a return address to the end of the return.
	ReturnLatency Cycle
	// Mispredict is the time from the end of a branch's execution to the first execution on the
	// right path; MispredictReturn the same for a return.
	Mispredict, MispredictReturn Cycle
	Restart                      Cycle // from the retirement of a wrongly predicted branch to the first issue behind it
	Override                     Cycle // bubble when history overrules the simple predictor
	// JumpPair: a direct jump and a taken conditional one in the line that it goes to are predicted
	// in one cycle.
	JumpPair     bool
	IndirectJump Cycle // bubble behind an indirect jump
	// AfterLate is the bubble of the first branch behind a branch whose target came late: an
	// indirect jump, or a return that goes elsewhere than last time.
	AfterLate Cycle
	// ReturnToBranch is the bubble of a call or jump that is the first instruction behind a return;
	// ReturnToReturn that of a return, which grows with the number of them in a row up to this.
	ReturnToBranch, ReturnToReturn Cycle
	ReturnMoved                    Cycle // bubble when a return goes elsewhere than last time
	PauseShadow                    Cycle // more when the wrong path begins with a pause
	History                        []int // branches that the history tables look back, ascending
	// DecodeRedirect is the time from the fetch of a taken direct branch whose target is not held to
	// the fetch of its target, less one; TargetsPerWindow how many a window of the micro-operation
	// cache holds.
	DecodeRedirect   Cycle
	TargetsPerWindow int
}

// Special corrects or completes the row of a form, with the reason as Source.
type Special struct {
	ID      string
	Slots   int     // 0: as in the row
	Ports   string  // "": as in the row
	Latency Cycle   // 0: as in the row
	TP      float64 // 0: as in the row
	// Block is how long issue stops behind the instruction (lfence, pause).
	Block  Cycle
	Source string
}

// Cores returns the cores in the order in which they are listed to users; the first is the default.
func Cores() []*Core { return []*Core{&goldenCove, &iceLake, &skylakeX} }

// CoreNamed finds a core by its short name; "" is the default. The error lists the names.
func CoreNamed(name string) (*Core, error) {
	var names []string
	for _, c := range Cores() {
		if name == "" || name == c.Name {
			return c, nil
		}
		names = append(names, c.Name)
	}
	return nil, fmt.Errorf("core %q: not known; there are %s", name, strings.Join(names, ", "))
}

// portSet is a set of ports; bit n is port n, A is 11 and B is 10 as in Intel's numbering.
type portSet uint16

const numPorts = 12

func parsePorts(s string) portSet {
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
			panic("BUG: port " + string(c) + " in " + s)
		}
	}
	return p
}
