// SPDX-License-Identifier: GPL-2.0-only

package graph

import (
	"fmt"

	"github.com/tcsim/tcsim/scenarios"
)

// atomicOp is what OpAtomic does, by Op.Value: simple ones first, which all kernels have.
type atomicOp struct {
	name   string
	size   int // of the operand in bytes
	is, to int64
}

// The word is 0 at first, so that cmpxchg succeeds once with 0; what it leaves is what the next one compares with.
var atomicOps = []atomicOp{
	{name: "add", size: 4, to: 1},
	{name: "add", size: 8, to: 3},
	{name: "cmpxchg", size: 4, is: 0, to: 7},
	{name: "cmpxchg", size: 4, is: 7, to: 0},
	{name: "fetch_add", size: 4, to: -1},
	{name: "xchg", size: 8, to: 7},
	{name: "cmpxchg", size: 8, is: 7, to: 0},
	{name: "fetch_xor", size: 8, to: 0x55},
	{name: "or", size: 8, to: 8},
	{name: "fetch_and", size: 4, to: 7},
}

func (o *atomicOp) compares() bool { return o.name == "cmpxchg" }

// fetches reports whether the operation gives what was there before.
func (o *atomicOp) fetches() bool { return o.name != "add" && o.name != "or" }

// atomsMap has two words: what atomic operations work on, and what the last one fetched.
const atomsMap = "atoms"

// atomic writes an atomic operation. What it fetches is stored with all its 64 bits.
func (w *writer) atomic(op Op) []scenarios.Step {
	o := &atomicOps[op.Value]
	place := func(off, size int) *scenarios.Value {
		v := &scenarios.Value{Text: fmt.Sprintf("u%d %s", 8*size, atomsMap), Kind: scenarios.ValueMap, Map: atomsMap, Key: &scenarios.Value{Text: "0"}, Size: size}
		if off > 0 {
			v.Off, v.Text = int32(off), fmt.Sprintf("%s+%d", v.Text, off)
		}
		return v
	}
	s := scenarios.Step{Atomic: &scenarios.Name{Text: o.name}, On: place(0, o.size), To: number(o.to)}
	if o.compares() {
		s.Is = number(o.is)
	}
	steps := []scenarios.Step{step("atomic", s)}
	if o.fetches() {
		result := &scenarios.Value{Text: "result", Kind: scenarios.ValueResult}
		steps = append(steps, step("set", scenarios.Step{Set: place(8, 8), To: result}))
	}
	return steps
}

// atomic writes it in C.
func (w *cWriter) atomic(in string, op Op) {
	o := &atomicOps[op.Value]
	place := fmt.Sprintf("(__u%d *)&%s[0]", 8*o.size, atomsMap)
	call := fmt.Sprintf("__sync_fetch_and_%s(%s, %d);", map[string]string{"add": "add", "or": "or", "fetch_add": "add", "fetch_xor": "xor", "fetch_and": "and"}[o.name], place, o.to)
	switch o.name {
	case "cmpxchg":
		call = fmt.Sprintf("__sync_val_compare_and_swap(%s, %d, %d);", place, o.is, o.to)
	case "xchg":
		call = fmt.Sprintf("__sync_lock_test_and_set(%s, %d);", place, o.to)
	}
	if o.fetches() {
		call = fmt.Sprintf("%s[1] = %s", atomsMap, call)
	}
	w.line("%s%s", in, call)
}
