// SPDX-License-Identifier: GPL-2.0-only

package verify_test

import (
	"strings"
	"testing"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/verify"
	"github.com/tcsim/tcsim/jit/verify/rewrite"
)

// verdict is what one target says of a program, by a part of its words; "" is accepted.
type verdict map[string]string

// judged compares verdicts of a program with what is wanted of each target.
func judged(t *testing.T, name string, p *bpf.Program, want verdict) {
	t.Helper()
	for target, words := range want {
		_, err := verify.Check(p, &named(t, target).Kernel)
		if (words == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), words) {
			t.Errorf("%s, %s: %v, expected %q", name, target, err, words)
		}
	}
}

// TestSections: interrupts, locks that may fail and RCU sections end in the order in which they began.
func TestSections(t *testing.T) {
	const save, restore, lock, unlock, lockQuiet, unlockQuiet, rcuLock, rcuUnlock, off, on, fromPid, release, parent, scale = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13
	names := []string{
		"bpf_local_irq_save", "bpf_local_irq_restore", "bpf_res_spin_lock", "bpf_res_spin_unlock", "bpf_res_spin_lock_irqsave", "bpf_res_spin_unlock_irqrestore",
		"bpf_rcu_read_lock", "bpf_rcu_read_unlock", "bpf_preempt_disable", "bpf_preempt_enable", "bpf_task_from_pid", "bpf_task_release", "bpf_task_acquire", "bpf_iter_num_new",
	}
	flags := bpf.Param{Kind: bpf.ParamMemory, Size: 8, Name: "flags__irq_flag"}
	aLock := bpf.Param{Kind: bpf.ParamMemory, Size: 8, Type: "bpf_res_spin_lock", Opaque: true}
	sigs := map[string]bpf.Signature{
		names[save]: {Params: []bpf.Param{flags}, Void: true}, names[restore]: {Params: []bpf.Param{flags}, Void: true},
		names[lock]: {Params: []bpf.Param{aLock}}, names[unlock]: {Params: []bpf.Param{aLock}, Void: true},
		names[lockQuiet]: {Params: []bpf.Param{aLock, flags}}, names[unlockQuiet]: {Params: []bpf.Param{aLock, flags}, Void: true},
		names[rcuLock]: {Void: true}, names[rcuUnlock]: {Void: true}, names[off]: {Void: true}, names[on]: {Void: true},
		names[fromPid]: signatures["bpf_task_from_pid"], names[release]: signatures["bpf_task_release"], names[parent]: signatures["bpf_task_acquire"],
		names[scale]: signatures["bpf_iter_num_new"],
	}
	field := func(k bpf.SpecialKind) *bpf.Special {
		return &bpf.Special{Fields: []bpf.SpecialField{{Kind: k, Size: 8}}}
	}
	maps := []bpf.Map{
		{Name: "a", Type: bpf.ArrayMap, KeySize: 4, ValueSize: 16, MaxEntries: 2, Special: field(bpf.SpecialResLock)},
		{Name: "b", Type: bpf.ArrayMap, KeySize: 4, ValueSize: 16, MaxEntries: 2, Special: field(bpf.SpecialResLock)},
		{Name: "spin", Type: bpf.ArrayMap, KeySize: 4, ValueSize: 16, MaxEntries: 2, Special: field(bpf.SpecialLock)},
	}
	flag := func(slot int32, f int32) []bpf.Insn { return code(onStack(1, slot), kfn(f)) }
	value := func(m, r int32) []bpf.Insn { // the value of the first entry of a map
		return code(bpf.Insn{Op: bpf.ClassST | bpf.ModeMem | bpf.SizeW, Dst: 10, Off: -4}, ldMap(1, m), onStack(2, -4), call(1), jump(bpf.JmpNe, 0, 0, 2), end(), mov(uint8(r), 0))
	}
	with := func(r uint8, f int32) []bpf.Insn { return code(mov(1, r), kfn(f)) }
	quiet := func(r uint8, slot, f int32) []bpf.Insn { return code(mov(1, r), onStack(2, slot), kfn(f)) }
	had := code(jump(bpf.JmpEq, 0, 0, 2), end())
	two := code(value(0, 6), value(1, 7))
	for _, c := range []struct {
		name  string
		insns []bpf.Insn
		want  string
	}{
		{"interrupts on again", code(flag(-8, save), flag(-8, restore), end()), ""},
		{"interrupts stay off", code(flag(-8, save), end()), "bpf_local_irq_restore is missing"},
		{"interrupts on that are on", code(flag(-8, restore), end()), "expected an initialized irq flag"},
		{"the same flags twice", code(flag(-8, save), flag(-8, save), end()), "expected uninitialized irq flag"},
		{"in order", code(flag(-8, save), flag(-16, save), flag(-16, restore), flag(-8, restore), end()), ""},
		{"out of order", code(flag(-8, save), flag(-16, save), flag(-8, restore), flag(-16, restore), end()), "out of order"},
		{"flags that are overwritten", code(flag(-8, save), storeB(10, -8, 0), flag(-8, restore), end()), "expected an initialized irq flag"},
		{"flags that are read", code(flag(-8, save), load(3, 10, -8), flag(-8, restore), end()), "invalid read from stack"},
		{"flags in a map", code(value(0, 6), with(6, save), end()), "doesn't point to an irq flag on stack"},
		{"asleep with interrupts off", code(flag(-24, save), onStack(1, -8), movImm(2, 8), movImm(3, 0), call(148), flag(-24, restore), end()), "non-preemptible region"},
		{"a tail call with interrupts off", code(mov(6, 1), flag(-8, save), mov(1, 6), ldMap(2, 0), movImm(3, 0), call(12), end()), ""},

		{"a lock", code(value(0, 6), with(6, lock), had, with(6, unlock), end()), ""},
		{"a lock that is kept", code(value(0, 6), with(6, lock), had, end()), "bpf_spin_unlock is missing"},
		{"a lock that is not asked for", code(value(0, 6), with(6, lock), with(6, unlock), end()), "without taking a lock"},
		{"a lock twice", code(value(0, 6), with(6, lock), had, with(6, lock), end()), "AA deadlock"},
		{"two locks in order", code(two, with(6, lock), had, with(7, lock), jump(bpf.JmpEq, 0, 0, 4), with(6, unlock), end(), with(7, unlock), with(6, unlock), end()), ""},
		{"two locks out of order", code(two, with(6, lock), had, with(7, lock), jump(bpf.JmpEq, 0, 0, 4), with(6, unlock), end(), with(6, unlock), with(7, unlock), end()), "out of order"},
		{"another lock", code(two, with(6, lock), had, with(7, unlock), end()), "of different lock"},
		{"no lock of that kind", code(value(2, 6), with(6, lock), had, end()), "has no valid bpf_res_spin_lock"},
		{"not at its place", code(value(0, 6), addImm(6, 8), with(6, lock), had, end()), "doesn't point to 'struct bpf_res_spin_lock'"},
		{"a helper with a lock", code(value(0, 6), with(6, lock), had, call(7), with(6, unlock), end()), "while holding a lock"},
		{"the lock is read", code(value(0, 6), load(1, 6, 0), end()), "bpf_res_spin_lock cannot be accessed directly"},
		{"a lock with interrupts off", code(value(0, 6), quiet(6, -16, lockQuiet), had, quiet(6, -16, unlockQuiet), end()), ""},
		{"its lock given back as one with interrupts on", code(value(0, 6), quiet(6, -16, lockQuiet), had, with(6, unlock), flag(-16, restore), end()), "of different lock"},
		{"its flags given back alone", code(value(0, 6), quiet(6, -16, lockQuiet), had, flag(-16, restore), end()), "while holding a lock"},
		{"flags of interrupts given back with it", code(value(0, 6), flag(-24, save), quiet(6, -16, lockQuiet), had, quiet(6, -24, unlockQuiet), end()), "cannot be mixed"},

		{"RCU sections that nest", code(kfn(rcuLock), kfn(rcuLock), kfn(rcuUnlock), kfn(rcuUnlock), end()), ""},
		{"one end is missing", code(kfn(rcuLock), kfn(rcuLock), kfn(rcuUnlock), end()), "bpf_rcu_read_unlock is missing"},
	} {
		p := testProgram(c.insns)
		p.Type, p.Maps, p.Kfuncs, p.Signatures = bpf.SchedCLS, maps, names, sigs
		if c.name == "a tail call with interrupts off" {
			p.Maps, c.want = rightsMaps, "with interrupts off"
			p.Insns[5].Imm = 2
		}
		if strings.HasPrefix(c.name, "asleep") {
			p.Type, p.Sleepable = bpf.Kprobe, true
		}
		judged(t, c.name, p, verdict{"7.3": c.want})
	}
}

// TestFunctions: a program has at most 256 functions, its main one among them; those that nothing leads to count.
func TestFunctions(t *testing.T) {
	for subs, want := range map[int]string{255: "", 256: "too many subprograms", 300: "too many subprograms"} {
		var insns []bpf.Insn
		starts := make([]bpf.InsnIndex, subs)
		for i := range subs {
			insns = append(insns, callFn(int32(subs+1+i))) // each function is two slots
			starts[i] = bpf.InsnIndex(subs + 2 + 2*i)
		}
		insns = append(insns, movImm(0, 0), leave())
		for range subs {
			insns = append(insns, movImm(0, 0), leave())
		}
		dead := append(code(movImm(0, 0), jeq(0, 0, int16(subs))), insns...) // calls are relative
		deadStarts := make([]bpf.InsnIndex, subs)
		for i, s := range starts {
			deadStarts[i] = s + 2
		}
		for _, p := range []*bpf.Program{testProgram(insns, starts...), testProgram(dead, deadStarts...)} {
			judged(t, "functions", p, verdict{"5.10": want, "6.1": want, "6.12": want, "6.18": want, "7.3": want})
		}
	}
}

// TestMessages: programs of sockets' messages write to them, which belong to the socket already; those of sockets' packets make
// these their own first, and drop them if there is no memory (sk_msg_verifier_ops and sk_skb_verifier_ops of net/core/filter.c).
func TestMessages(t *testing.T) {
	writes := func(first ...bpf.Insn) []bpf.Insn {
		return append(first, code(mov(3, 1), addImm(3, 12), bpf.Insn{Op: bpf.ClassJmp | bpf.JmpGt | bpf.SrcReg, Dst: 3, Src: 2, Off: 1}, storeB(1, 3, 7), end())...)
	}
	for _, c := range []struct {
		typ   bpf.ProgType
		insns []bpf.Insn
		size  int // of what comes before
		drop  int32
	}{
		{bpf.SkMsg, writes(load(2, 1, 8), load(1, 1, 0)), 0, 0},
		{bpf.SkSKB, writes(load32(2, 1, 80), load32(1, 1, 76)), 10, 0},
		{bpf.SchedCLS, writes(load32(2, 1, 80), load32(1, 1, 76)), 10, 2},
	} {
		p := testProgram(c.insns)
		p.Type = c.typ
		for _, target := range []string{"6.1", "6.12", "7.3"} {
			q, err := rewrite.Program(p, &named(t, target).Kernel)
			if err != nil {
				t.Errorf("%v, %s: %v", c.typ, target, err)
				continue
			}
			if n := len(q.Insns) - len(p.Insns); n != c.size || n != 0 && q.Insns[7].Imm != c.drop {
				t.Errorf("%v, %s: %d instructions before the program, expected %d: %v", c.typ, target, n, c.size, q.Insns)
			}
		}
	}
}
