// SPDX-License-Identifier: GPL-2.0-only

package verify_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/verify"
)

// kfn calls a kernel function by its index.
func kfn(i int32) bpf.Insn { return bpf.Insn{Op: bpf.OpCall, Src: bpf.PseudoKfunc, Imm: i} }

// onStack is the address of the stack at off in a register.
func onStack(r uint8, off int32) []bpf.Insn { return code(mov(r, 10), addImm(r, off)) }

// Kernel functions of the tests below.
const (
	kAcquire, kRelease, kIterNew, kIterNext, kIterDestroy = 0, 1, 2, 3, 4
	kOff, kOn, kRCULock, kRCUUnlock, kFromPid, kSizeOf    = 5, 6, 7, 8, 9, 10
)

var (
	kfuncNames = []string{
		"bpf_task_acquire", "bpf_task_release", "bpf_iter_num_new", "bpf_iter_num_next", "bpf_iter_num_destroy",
		"bpf_preempt_disable", "bpf_preempt_enable", "bpf_rcu_read_lock", "bpf_rcu_read_unlock", "bpf_task_from_pid", "bpf_dynptr_size",
	}
	task       = bpf.Param{Kind: bpf.ParamMemory, Size: 9000, Type: "task_struct", Opaque: true}
	iter       = bpf.Param{Kind: bpf.ParamMemory, Size: 8, Type: "bpf_iter_num"}
	dynptr     = bpf.Param{Kind: bpf.ParamMemory, Size: 16, Type: "bpf_dynptr"}
	signatures = map[string]bpf.Signature{
		"bpf_task_acquire": {Params: []bpf.Param{task}, Pointer: true}, "bpf_task_release": {Params: []bpf.Param{task}, Void: true},
		"bpf_iter_num_new": {Params: []bpf.Param{iter, {}, {}}}, "bpf_iter_num_next": {Params: []bpf.Param{iter}, Pointer: true, Size: 4},
		"bpf_iter_num_destroy": {Params: []bpf.Param{iter}, Void: true}, "bpf_preempt_disable": {Void: true}, "bpf_preempt_enable": {Void: true},
		"bpf_rcu_read_lock": {Void: true}, "bpf_rcu_read_unlock": {Void: true}, "bpf_task_from_pid": {Params: []bpf.Param{{}}, Pointer: true},
		"bpf_dynptr_size": {Params: []bpf.Param{dynptr}},
	}
	rightsMaps = []bpf.Map{
		{Name: "ring", Type: bpf.RingBuf, MaxEntries: 4096},
		{Name: "hash", Type: bpf.HashMap, KeySize: 4, ValueSize: 16, MaxEntries: 4, Special: &bpf.Special{Fields: []bpf.SpecialField{{Kind: bpf.SpecialLock, Off: 8, Size: 4}}}},
		{Name: "progs", Type: bpf.ProgArray, KeySize: 4, ValueSize: 4, MaxEntries: 1},
	}
)

// structures are those of a kernel.
type structures map[string]bpf.ObjectField

// Field implements bpf.Objects: names are STRUCTURE+OFFSET.
func (s structures) Field(structure string, off, size int64) (f bpf.ObjectField, known bool, err error) {
	f, known = s[fmt.Sprintf("%s+%d", structure, off)]
	if known && size != 8 {
		err = fmt.Errorf("access beyond the end of member %s in struct %s", f.Name, structure)
	}
	return f, known, err
}

// Holds implements bpf.Objects.
func (s structures) Holds(structure string, off int64, inner string) (holds, known bool) {
	if off == 0 && structure == inner {
		return true, true
	}
	_, known = s["in "+structure]
	f := s[fmt.Sprintf("in %s+%d", structure, off)]
	return f.Type == inner, known
}

// Kernel implements bpf.Objects.
func (s structures) Kernel(structure string) bool { return true }

// TestObjects: what is loaded from objects of the kernel is trusted as the fields say.
func TestObjects(t *testing.T) {
	kernel := structures{
		"task_struct+0": {Name: "real_parent", Type: "task_struct", RCU: true}, "task_struct+8": {Name: "last_wakee", Type: "task_struct"},
		"task_struct+16": {Name: "pid"},
	}
	hook := &bpf.Signature{Params: []bpf.Param{{Kind: bpf.ParamPointer, Type: "task_struct"}}}
	acquire := code(kfn(kAcquire), jeq(0, 0, 2), mov(1, 0), kfn(kRelease), end())
	for _, c := range []struct {
		name   string
		attach uint32
		insns  []bpf.Insn
		want   string
	}{
		{"an argument of a tracepoint", 23, code(load(1, 1, 0), acquire), ""},
		{"an argument of a function", 24, code(load(1, 1, 0), acquire), "must be a rcu pointer"},
		{"a field that RCU protects, without a question for null", 23, code(load(1, 1, 0), load(1, 1, 0), acquire), ""},
		{"a field of which nothing is known", 23, code(load(1, 1, 0), load(1, 1, 8), acquire), "must be a rcu pointer"},
		{"a number", 23, code(load(1, 1, 0), load(1, 1, 16), acquire), "must point to scalar"},
		{"half of a field", 23, code(load(1, 1, 0), load32(1, 1, 16), end()), "access beyond the end of member pid"},
		{"a store", 23, code(load(1, 1, 0), storeB(1, 16, 0), end()), "only read is supported"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := testProgram(c.insns)
			p.Type, p.AttachType, p.Kfuncs, p.Signatures, p.Hook, p.Objects = bpf.Tracing, c.attach, kfuncNames, signatures, hook, kernel
			_, err := verify.Check(p, &named(t, "6.12").Kernel)
			if (c.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// end is the end of a program that returns 0.
func end() []bpf.Insn { return code(movImm(0, 0), leave()) }

// lookup leaves a value of the map with a lock in r0, which is not null.
func lookup() []bpf.Insn {
	return code(storeB(10, -4, 0), ldMap(1, 1), onStack(2, -4), call(1), bpf.Insn{Op: bpf.ClassJmp | bpf.JmpNe, Dst: 0, Off: 2}, end())
}

// reserve leaves a record of 8 bytes in r0, which is not null.
func reserve() []bpf.Insn {
	return code(ldMap(1, 0), movImm(2, 8), movImm(3, 0), call(131), bpf.Insn{Op: bpf.ClassJmp | bpf.JmpNe, Dst: 0, Off: 2}, end())
}

// TestRights are programs that kernels refuse, each with its like that they take: what is acquired is released, what is
// made is not overwritten, what is asked for is allowed. The words are the verifier's.
func TestRights(t *testing.T) {
	newIter := code(onStack(1, -8), movImm(2, 0), movImm(3, 3), kfn(kIterNew))
	dropIter := code(onStack(1, -8), kfn(kIterDestroy))
	reserveDynptr := code(ldMap(1, 0), movImm(2, 8), movImm(3, 0), onStack(4, -16), call(198))
	discardDynptr := code(onStack(1, -16), movImm(2, 0), call(200))
	fromPid := code(movImm(1, 1), kfn(kFromPid))
	for _, c := range []struct {
		name   string
		typ    bpf.ProgType
		attach uint32
		insns  []bpf.Insn
		want   string // "" is accepted
	}{
		{"a record is given back", bpf.SchedCLS, 0, code(reserve(), mov(1, 0), movImm(2, 0), call(132), end()), ""},
		{"a record is kept", bpf.SchedCLS, 0, code(reserve(), end()), "Unreleased reference"},
		{"a record is used after it was given back", bpf.SchedCLS, 0, code(reserve(), mov(6, 0), mov(1, 0), movImm(2, 0), call(132), load(0, 6, 0), leave()), "r6 invalid mem access 'scalar'"},
		{"beyond a record", bpf.SchedCLS, 0, code(reserve(), load(1, 0, 8), end()), "mem_size=8 off=8 size=8"},
		{"a moved record is given back", bpf.SchedCLS, 0, code(reserve(), mov(1, 0), addImm(1, 4), movImm(2, 0), call(132), end()), "must have zero offset"},
		{"a tail call with a record", bpf.SchedCLS, 0, code(mov(6, 1), reserve(), mov(1, 6), ldMap(2, 2), movImm(3, 0), call(12), end()), "reference leak"},

		{"a dynptr is given back", bpf.SchedCLS, 0, code(reserveDynptr, discardDynptr, end()), ""},
		{"a dynptr is kept", bpf.SchedCLS, 0, code(reserveDynptr, end()), "Unreleased reference"},
		{"a dynptr is given back twice", bpf.SchedCLS, 0, code(reserveDynptr, discardDynptr, discardDynptr, end()), "arg 1 is an unacquired reference"},
		{"a dynptr is overwritten", bpf.SchedCLS, 0, code(reserveDynptr, storeB(10, -9, 0), discardDynptr, end()), "cannot overwrite referenced dynptr"},
		{"a dynptr is read", bpf.SchedCLS, 0, code(reserveDynptr, load(1, 10, -16), discardDynptr, end()), "invalid read from stack"},
		{"its size is asked for", bpf.SchedCLS, 0, code(reserveDynptr, onStack(1, -16), kfn(kSizeOf), discardDynptr, end()), ""},
		{"the size of its second half", bpf.SchedCLS, 0, code(reserveDynptr, onStack(1, -8), kfn(kSizeOf), discardDynptr, end()), "cannot pass in dynptr at an offset"},
		{"the size of what is none", bpf.SchedCLS, 0, code(onStack(1, -16), kfn(kSizeOf), end()), "expected an initialized dynptr"},

		{"an iterator is destroyed", bpf.SchedCLS, 0, code(newIter, dropIter, end()), ""},
		{"an iterator is kept", bpf.SchedCLS, 0, code(newIter, end()), "Unreleased reference"},
		{"an iterator is made twice", bpf.SchedCLS, 0, code(newIter, newIter, dropIter, end()), "expected uninitialized iter_num"},
		{"a step of none", bpf.SchedCLS, 0, code(onStack(1, -8), kfn(kIterNext), end()), "expected an initialized iter_num"},
		{"a step after a store", bpf.SchedCLS, 0, code(newIter, storeB(10, -8, 0), onStack(1, -8), kfn(kIterNext), end()), "expected an initialized iter_num"},
		{"its number is written", bpf.SchedCLS, 0, code(newIter, onStack(1, -8), kfn(kIterNext), jeq(0, 0, 1), bpf.Insn{Op: bpf.ClassST | bpf.ModeMem | bpf.SizeW, Dst: 0}, dropIter, end()), "cannot write into rdonly_mem"},

		{"a task is given back", bpf.SchedCLS, 0, code(fromPid, jeq(0, 0, 2), mov(1, 0), kfn(kRelease), end()), ""},
		{"a task that may be null", bpf.SchedCLS, 0, code(fromPid, mov(1, 0), kfn(kRelease), end()), "possibly NULL pointer passed to trusted arg0"},
		{"a task that is a number", bpf.SchedCLS, 0, code(movImm(1, 4), kfn(kRelease), end()), "must point to scalar"},
		{"a kernel function for others", bpf.RawTracepoint, 0, code(fromPid, end()), "calling kernel function bpf_task_from_pid is not allowed"},

		{"preemption is on again", bpf.SchedCLS, 0, code(kfn(kOff), kfn(kOn), end()), ""},
		{"preemption stays off", bpf.SchedCLS, 0, code(kfn(kOff), end()), "1 bpf_preempt_enable missing"},
		{"preemption was on", bpf.SchedCLS, 0, code(kfn(kOn), end()), "unmatched attempt to enable preemption"},
		{"RCU stays locked", bpf.SchedCLS, 0, code(kfn(kRCULock), end()), "bpf_rcu_read_unlock is missing"},
		{"RCU is locked twice", bpf.SchedCLS, 0, code(kfn(kRCULock), kfn(kRCULock), end()), "nested rcu read lock"},

		{"a lock is released", bpf.SchedCLS, 0, code(lookup(), mov(6, 0), mov(1, 6), addImm(1, 8), call(93), mov(1, 6), addImm(1, 8), call(94), end()), ""},
		{"a lock is kept", bpf.SchedCLS, 0, code(lookup(), mov(1, 0), addImm(1, 8), call(93), end()), "bpf_spin_unlock is missing"},
		{"no lock there", bpf.SchedCLS, 0, code(lookup(), mov(1, 0), call(93), end()), "doesn't point to 'struct bpf_spin_lock' that is at 8"},
		{"a helper while it is held", bpf.SchedCLS, 0, code(lookup(), mov(1, 0), addImm(1, 8), call(93), call(5), end()), "function calls are not allowed while holding a lock"},
		{"the lock is read", bpf.SchedCLS, 0, code(lookup(), load32(1, 0, 8), end()), "bpf_spin_lock cannot be accessed directly"},

		{"a part of a spilled address", bpf.SchedCLS, 0, code(store(10, -8, 1), load32(0, 10, -4), leave()), "invalid size of register fill"},
		{"a part of a spilled zero", bpf.SchedCLS, 0, code(bpf.Insn{Op: bpf.ClassST | bpf.ModeMem | bpf.SizeDW, Dst: 10, Off: -16}, lookup(), load32(1, 10, -12), addReg(0, 1), load32(1, 0, 0), end()), ""},
		{"a helper for others", bpf.Kprobe, 0, code(call(160), end()), "program of this type cannot use helper bpf_ktime_get_coarse_ns#160"},
		{"a helper that sleeps", bpf.Kprobe, 0, code(onStack(1, -8), movImm(2, 8), movImm(3, 0), call(148), end()), "might sleep"},
		{"a size of zero", bpf.SchedCLS, 0, code(movImm(2, 0), onStack(3, -8), movImm(4, 0), call(26), end()), "invalid zero-sized read"},
		{"a moved context", bpf.SchedCLS, 0, code(addImm(1, 4), load32(0, 1, 0), leave()), "dereference of modified ctx ptr r1 off=4"},
		{"a number for the context", bpf.SchedCLS, 0, code(movImm(1, 0), movImm(2, 0), onStack(3, -8), movImm(4, 4), call(26), end()), "r1 type=scalar expected=ctx"},
		{"half of a pointer in the context", bpf.SchedCLS, 0, code(load32(0, 1, 168), leave()), "invalid bpf_context access off=168 size=4"},
		{"a socket before it is asked for null", bpf.SchedCLS, 0, code(load(1, 1, 168), load32(0, 1, 4), leave()), "r1 invalid mem access 'sock_common_or_null'"},
		{"a family", bpf.SchedCLS, 0, code(load(1, 1, 168), jeq(1, 0, 1), load32(1, 1, 4), end()), ""},
		{"a mark of a socket that may be small", bpf.SchedCLS, 0, code(load(1, 1, 168), jeq(1, 0, 1), load32(1, 1, 16), end()), "invalid sock_common access off=16 size=4"},
		{"a lookup in a prog array", bpf.SchedCLS, 0, code(ldMap(1, 2), storeB(10, -4, 0), onStack(2, -4), call(1), end()), "cannot pass map_type 3"},
		{"the packet is written", bpf.CGroupSKB, 0, code(load32(2, 1, 76), load32(3, 1, 80), mov(4, 2), addImm(4, 1), bpf.Insn{Op: bpf.ClassJmp | bpf.JmpGt | bpf.SrcReg, Dst: 4, Src: 3, Off: 1}, storeB(2, 0, 0), end()), "cannot write into packet"},
		{"bind returns 3", bpf.CGroupSockAddr, 8, code(movImm(0, 3), leave()), ""},
		{"bind returns 4", bpf.CGroupSockAddr, 8, code(movImm(0, 4), leave()), "should have been in [0, 3]"},
		{"recvmsg returns 0", bpf.CGroupSockAddr, 19, code(movImm(0, 0), leave()), "should have been in [1, 1]"},
		{"a netfilter hook returns 2", bpf.Netfilter, 0, code(movImm(0, 2), leave()), "should have been in [0, 1]"},
		{"from r10", bpf.SchedCLS, 0, code(mov(1, 10), bpf.Insn{Op: bpf.ClassALU64 | bpf.ALUSub, Dst: 1, Imm: 8}, end()), "subtraction from stack pointer"},
		{"half of an address", bpf.SchedCLS, 0, code(bpf.Insn{Op: bpf.ClassSTX | bpf.ModeMem | bpf.SizeW, Dst: 10, Src: 1, Off: -4}, end()), "invalid size of register spill"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := testProgram(c.insns)
			p.Type, p.AttachType, p.Maps, p.Kfuncs, p.Signatures = c.typ, c.attach, rightsMaps, kfuncNames, signatures
			_, err := verify.Check(p, &named(t, "6.12").Kernel)
			switch {
			case c.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
