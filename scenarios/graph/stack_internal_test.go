// SPDX-License-Identifier: GPL-2.0-only

package graph

import "testing"

// TestStacksFit has the stacks of callers rounded up as kernels before 6.8 do, which refuse a tail call
// below 256 bytes: graph 2272 of a campaign had one below less.
func TestStacksFit(t *testing.T) {
	for stack, fits := range map[int]bool{200: true, 208: false} {
		p := Program{Funcs: []Func{
			{Stack: stack, Ops: []Op{{Kind: OpCall, Func: 1}}},
			{Ops: []Op{{Kind: OpTailCall}}},
		}}
		if got := p.stacksFit(); got != fits {
			t.Errorf("%d bytes of buffer above a tail call: fits %v, want %v", stack, got, fits)
		}
	}
}
