// SPDX-License-Identifier: GPL-2.0-only

package timing_test

import (
	"testing"

	"github.com/tcsim/tcsim/emu/timing"
	"github.com/tcsim/tcsim/emu/timing/timingtest"
)

// mechanisms names for each mechanism a measured sequence that shows it, and a change of the core
// that takes the mechanism away: with it the model must meet the measurement (within tolerance
// percent, 0: inside p10 to p90), without it it must miss by more than the tolerance and 3 %.
type mechanism struct {
	name, sequence string
	tolerance      float64
	without        func(c *timing.Core)
}

var mechanisms = map[string][]mechanism{"glc": {
	{"issue width", "nop5", 0, func(c *timing.Core) { c.Rename.Width = 5 }},
	{"macro-fusion and branches per cycle", "test_jcc_nt", 0, func(c *timing.Core) { c.Front.BranchesPerCycle = 1 }},
	{"move elimination", "mov64_dep", 0, func(c *timing.Core) { c.Rename.MoveSlots = 0 }},
	{"add-immediate elimination", "sub_imm32enc_dep", 4, func(c *timing.Core) { c.Rename.AddImmMin, c.Rename.AddImmMax = 0, 0 }},
	{"pending offset reaches its bound", "sub_imm32enc_dep", 4, func(c *timing.Core) { c.Rename.AddImmOverflowSlots = 0 }},
	{"shlx by a pending sum", "shlx_count_lea", 0, func(c *timing.Core) { c.Rename.OffsetShiftLatency = 1 }},
	{"shift by an eliminated move", "shl_cl_saved", 5, func(c *timing.Core) { c.Rename.ElidedShiftUops = 0 }},
	{"64-bit immediates", "movabs", 0, func(c *timing.Core) { c.Front.WideImmediates = 8 }},
	{"legacy decoders", "nop1", 0, func(c *timing.Core) { c.Front.CacheLines = 9 }},
	{"port choice", "alu_mix", 3, func(c *timing.Core) { c.Back.PortSpread = 1 }},
	{"load ports", "load_indep", 0, func(c *timing.Core) { c.Memory.LoadLatency = 5; c.Back.Schedulers = narrow(c, 12) }},
	{"load latency", "load_chain", 0, func(c *timing.Core) { c.Memory.LoadLatency = 6 }},
	{"memory renaming", "stfwd_rsp", 0, func(c *timing.Core) { c.Memory.RenameLoads = false }},
	{"memory renaming of add [m],imm", "rmw_rbp_imm", 0, func(c *timing.Core) { c.Memory.RenameRMW = false }},
	{"store forwarding to leave", "frame_sub_leave", 0, func(c *timing.Core) { c.Memory.Forward = 8 }},
	{"store-forward failure", "stfwd_fail", 0, func(c *timing.Core) { c.Memory.ForwardFail = 0 }},
	{"store-forward failure in a tail call", "tc33_v2020_direct", 5, func(c *timing.Core) { c.Memory.ForwardFail = 0 }},
	{"store commit", "store_indep", 0, func(c *timing.Core) { c.Memory.CommitsPerCycle, c.Memory.StoreBuffer = 1, 20 }},
	{"loads that find what is in no register", "tc33self_v2019_direct", 5, func(c *timing.Core) { c.Memory.RenameAgain = 0 }},
	{"return stack", "nest_40", 0, func(c *timing.Core) { c.Branch.ReturnStack = 40 }},
	{"consecutive returns", "nest_14", 6, func(c *timing.Core) { c.Branch.ReturnToReturn = 0 }},
	{"a return that moves", "callret_leaf", 0, func(c *timing.Core) { c.Branch.ReturnMoved, c.Branch.AfterLate = 0, 0 }},
	{"mispredict", "jcc_random_fast", 1, func(c *timing.Core) { c.Branch.Mispredict = 10 }},
	{"mispredicted indirect jump", "jmp_reg_random4", 5, func(c *timing.Core) { c.Branch.Mispredict = 10 }},
	{"overruled simple predictor", "inner_loop8", 1, func(c *timing.Core) { c.Branch.Override = 0 }},
	{"history", "jcc_alt", 1, func(c *timing.Core) { c.Branch.History = nil }},
	{"targets that a line holds", "jmp_next", 2, func(c *timing.Core) { c.Branch.TargetsPerWindow = 64 }},
	{"indirect jump", "jmp_reg_mono", 6, // a line with seven of them takes a cycle more than the model
		func(c *timing.Core) { c.Branch.IndirectJump = 0 }},
	{"retpoline", "retpoline_mono", 0, func(c *timing.Core) { c.Branch.MispredictReturn = 10 }},
	{"allocation after a wrong prediction", "tc33_v2020_retpoline", 2, func(c *timing.Core) { c.Branch.Restart = 0 }},
	{"a load that comes with the address of its store", "tc1_v2020_jmp_iso", 0, func(c *timing.Core) { c.Memory.ForwardKnown = 0 }},
	{"a direct jump and a conditional one in a cycle", "jmp_rel32_3nop", 0, func(c *timing.Core) { c.Branch.JumpPair = false }},
	{"latency of a return", "nest_40", 0, func(c *timing.Core) { c.Branch.ReturnLatency = 1 }},
	{"verification of renamed loads", "frame_v2023_k2_sd32_iso", 0, func(c *timing.Core) { c.Memory.RenameVerify = 0 }},
	{"slots of add [m],imm", "tc33_v2023_jmp", 0, func(c *timing.Core) { c.Rename.RMWTenths = 0 }},
	{"reorder buffer", "lock_add_work", 2, func(c *timing.Core) { c.Rename.ROB = 16 }},
	{"schedulers", "add_rr_indep", 5, func(c *timing.Core) { c.Back.Schedulers = narrow(c, 4) }},
}, "zen5": {
	{"issue width", "mov64_dep", 0, func(c *timing.Core) { c.Rename.Width = 6 }},
	{"moves of a register to itself", "mov32_same", 0, func(c *timing.Core) { c.Rename.SameMoves = false }},
	{"op cache: two entries a cycle, of one window", "nop5", 0, func(c *timing.Core) { c.Front.EntryOps = 3 }},
	{"op cache: dense code", "xor_zero", 0, func(c *timing.Core) { c.Front.DenseOps = 64 }},
	{"op cache: dense pushes and pops", "push_movrsp", 1, func(c *timing.Core) { c.Front.DenseOps = 64 }},
	{"two taken branches a cycle", "jmp_rel32_3nop", 1, func(c *timing.Core) { c.Front.TakenPerCycle = 1 }},
	{"a branch with the return before it", "callret_leaf", 1, func(c *timing.Core) { c.Front.TakenPerCycle = 1 }},
	{"call and return", "call_chain16_k5", 1, func(c *timing.Core) { c.Branch.Call, c.Branch.Return = 0, 0 }},
	{"return stack", "nest_40", 2, func(c *timing.Core) { c.Branch.ReturnStack = 52 }},
	{"a return without prediction", "nest_40", 2, func(c *timing.Core) { c.Branch.ReturnUnpredicted = 0 }},
	{"retpoline", "retpoline_mono", 4, func(c *timing.Core) { c.Branch.MispredictReturn = 10 }},
	{"allocation after a wrong prediction", "retpoline_work", 3, func(c *timing.Core) { c.Branch.Restart = 0 }},
	{"mispredict", "jcc_random", 4, func(c *timing.Core) { c.Branch.Mispredict = 12 }},
	{"a moving indirect jump", "jmp_reg_poly2", 1, func(c *timing.Core) { c.Branch.IndirectMoved = 0 }},
	{"two banks of ports", "alu_mix", 4, func(c *timing.Core) { c.Back.BankPorts = "" }},
	{"port chosen at execution", "jhash_mix", 4, func(c *timing.Core) { c.Back.LateBinding = false }},
	{"ports of branches", "test_jcc_nt", 0, func(c *timing.Core) { c.Back.NotTaken = "012345" }},
	{"rsp after push", "push_sub_add", 1, func(c *timing.Core) { c.Rename.StackSyncLatency = 0 }},
	{"memory renaming", "stfwd_rsp", 0, func(c *timing.Core) { c.Memory.RenameLoads = false }},
	{"memory renaming of add [m],imm", "rmw_rbp_imm", 0, func(c *timing.Core) { c.Memory.RenameRMW = false }},
	{"memory renaming of add [m],reg", "rmw_reg", 0, func(c *timing.Core) { c.Memory.RenameRMWReg = false }},
	{"memory renaming of leave", "frame_sub_leave", 0, func(c *timing.Core) { c.Memory.RenameLeave = false }},
	{"verification of renamed loads", "spill_heavy_iso", 0, func(c *timing.Core) { c.Memory.RenameVerify = 0 }},
	{"stores after a fence", "tc1_v2020_direct_iso", 0, func(c *timing.Core) { c.Memory.FenceStores = 0 }},
	{"stores that a load is renamed to", "hier_v2024_limit", 1, func(c *timing.Core) { c.Memory.RenameStores = 0 }},
	{"division by the length of the quotient", "div64_dep", 0, func(c *timing.Core) { c.Back.DivBits = 0 }},
	{"a loop of short instructions from the decoders", "nop1", 7, func(c *timing.Core) { c.Front.CacheLines = 64 }},
	{"restart after a stale slot", "tc33_v2024_direct", 8, func(c *timing.Core) { c.Memory.RenameStale = 0 }},
	{"store-forward failure", "stfwd_fail", 0, func(c *timing.Core) { c.Memory.ForwardFail = 0 }},
	{"renamed to the store of last time", "tc33self_v2019_direct", 7, func(c *timing.Core) { c.Memory.RenameMiss, c.Branch.Restart = 0, 0 }},
	{"wrong renaming, learned for few loads", "tc33_v2024_direct", 8, func(c *timing.Core) { c.Memory.RenameLearned = 256 }},
	{"wrong renaming and failure", "tc33_v2020_direct", 2, func(c *timing.Core) { c.Memory.RenameLearned = 256 }},
}}

// narrow returns the schedulers of a core with few entries each.
func narrow(c *timing.Core, entries int) []timing.Scheduler {
	var s []timing.Scheduler
	for _, x := range c.Back.Schedulers {
		s = append(s, timing.Scheduler{Ports: x.Ports, Entries: entries})
	}
	return s
}

func TestMechanisms(t *testing.T) {
	for _, name := range []string{"glc", "zen5"} {
		c := timingtest.LoadFor(t, name)
		for _, m := range mechanisms[name] {
			t.Run(name+"/"+m.name, func(t *testing.T) {
				with := c.Predict(t, timingtest.Core(t, name), m.sequence)
				if abs(with.Error) > m.tolerance {
					t.Errorf("%s: predicted %.2f, measured %.2f to %.2f", m.sequence, with.Predicted, with.P10, with.P90)
				}
				changed := timingtest.Core(t, name)
				m.without(changed)
				if r := c.Predict(t, changed, m.sequence); abs(r.Error) <= m.tolerance || abs(r.Predicted-with.Predicted) < 0.02*with.Predicted {
					t.Errorf("%s: without the mechanism %.2f, with it %.2f, measured %.2f", m.sequence, r.Predicted, with.Predicted, r.Median)
				}
			})
		}
	}
}

func abs(v float64) float64 { return max(v, -v) }

// TestStraightForms meets the measurement of sequences that show the cost of a form, not a mechanism.
func TestStraightForms(t *testing.T) {
	c := timingtest.Load(t)
	for _, name := range []string{
		"add_rr_dep", "add_imm8_32_dep", "neg_dep", "bswap64_dep", "rol16_dep", "lea3_dep", "xor_zero",
		"mov32_same", "mov_imm32", "movsxd_dep", "shl_imm_dep", "shlx_count_imm", "imul_dep", "imul_imm_dep",
		"div32_dep", "div64_dep", "div_jit", "div_mod", "load_op", "lock_add", "lock_or", "lfence",
	} {
		if r := c.Predict(t, timingtest.Core(t, "glc"), name); r.Error != 0 {
			t.Errorf("%s: predicted %.2f, measured %.2f to %.2f", name, r.Predicted, r.P10, r.P90)
		}
	}
}
