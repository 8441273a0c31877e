// SPDX-License-Identifier: GPL-2.0-only

package verify

import (
	"testing"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/verify/holds"
	"github.com/tcsim/tcsim/jit/verify/ranges"
)

// TestCheckpointsOnce: giving up a checkpoint and then ending at an older one leaves no checkpoint in the list of its
// instruction twice, where its misses would be counted twice.
func TestCheckpointsOnce(t *testing.T) {
	insns := []bpf.Insn{{Op: 0xbf, Src: 1}, {Op: 0x95}} // r0 = r1; exit
	x := newExplorer(&bpf.Program{Insns: insns, Funcs: []bpf.Func{{}}}, &kernels.Kernel{}, []FuncInfo{{End: 2}})
	x.strict = true
	with := func(n uint64) *state {
		s := &state{frames: []frameState{x.mem.frame(0)}}
		s.top().ret = -1
		s.top().set(1, holds.Of(ranges.ConstScalar(n)))
		s.top().set(10, holds.Value{Kind: holds.Stack, Num: ranges.ConstScalar(0)})
		return s
	}
	list := x.explored(with(0))
	for n := range uint64(3) {
		c := x.checkpoint(with(n))
		c.branches = 0
		c.top().precise.Regs = 1 << 1
		list.list = append(list.list, kept{state: c, pc: c.pc})
	}
	list.list[1].misses = 100 // the next comparison in vain is the last
	x.jumps, x.steps = x.jumps+checkJumps, x.steps+checkInsns
	if done, err := x.prune(with(0)); !done || err != nil {
		t.Fatalf("%v, %v: the oldest checkpoint covers this state", done, err)
	}
	seen := map[*state]bool{}
	for _, c := range list.list {
		if seen[c.state] {
			t.Error("a checkpoint is in the list twice")
		}
		seen[c.state] = true
	}
	if len(seen) != 2 || x.stats.Alive != 2 {
		t.Errorf("%d checkpoints, %d counted", len(seen), x.stats.Alive)
	}
}
