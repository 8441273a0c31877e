// SPDX-License-Identifier: GPL-2.0-only

package live

import (
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/verify/form"
)

// flow is the control flow of a function. Instructions are counted from its start.
type flow struct {
	nodes []node  // successors before predecessors where there is no loop (compute_postorder)
	at    []int32 // the node of each instruction, -1 if nothing leads there
	// before are the nodes that each may come after: of node i those from first[i] to first[i+1].
	before, first []int32
}

// node is an instruction that something leads to.
type node struct {
	insn int32
	next [2]int32 // instructions that may come after it, -1 for none
}

// newFlow follows the instructions of a function.
func newFlow(insns []bpf.Insn) *flow {
	const unseen, waits, done = 0, 1, 2
	f := &flow{at: make([]int32, len(insns)), nodes: make([]node, 0, len(insns))}
	for i := range f.at {
		f.at[i] = -1
	}
	seen := make([]uint8, len(insns))
	work := make([]int32, 1, 64)
	seen[0] = waits
	for len(work) > 0 {
		i := work[len(work)-1]
		n := node{i, follow(insns, i)}
		if seen[i] == done {
			work = work[:len(work)-1]
			f.at[i] = int32(len(f.nodes))
			f.nodes = append(f.nodes, n)
			continue
		}
		for _, to := range n.next {
			if to >= 0 && seen[to] == unseen {
				seen[to] = waits
				work = append(work, to)
			}
		}
		seen[i] = done
	}
	f.reverse()
	return f
}

// follow are the instructions that may come after i. Nothing falls off the end but a call that does not return.
func follow(insns []bpf.Insn, i int32) [2]int32 {
	next := [2]int32{-1, -1}
	fall, to, jumps := form.Flow(insns, bpf.InsnIndex(i))
	if n := int(i) + int(insns[i].Width()); fall && n < len(insns) {
		next[0] = int32(n)
	}
	if jumps && to >= 0 && int(to) < len(insns) {
		next[1] = int32(to)
	}
	return next
}

// reverse finds what each node may come after.
func (f *flow) reverse() {
	f.first = make([]int32, len(f.nodes)+2)
	for i := range f.nodes {
		for _, to := range f.nodes[i].next {
			if to >= 0 {
				f.first[f.at[to]+2]++
			}
		}
	}
	for i := 2; i < len(f.first); i++ {
		f.first[i] += f.first[i-1]
	}
	f.before = make([]int32, f.first[len(f.first)-1])
	for i := range f.nodes {
		for _, to := range f.nodes[i].next {
			if to >= 0 {
				at := &f.first[f.at[to]+1]
				f.before[*at] = int32(i)
				*at++
			}
		}
	}
}
