// SPDX-License-Identifier: GPL-2.0-only

package protos

import (
	"slices"
	"strings"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/kernels"
)

// Kfunc is a kernel function that programs may call.
type Kfunc struct {
	// Args has one letter per parameter, as the ending of its name in the kernel's source says what is special about it:
	// n may be null (__nullable), o is memory that may be missing (__opt), s is the size of the memory before it (__sz) and
	// z one that is a constant (__szk), k a constant (__k), R and B the size of the memory that is returned, to be read
	// only or not, i is not looked at (__ign, __prog), m a map (__map), u made by the call (__uninit), t an iterator
	// (__iter), A an address in an arena or a number, a an object that the program allocated (__alloc), r one that counts its references, q constant text (__str).
	Args  string
	flags kfuncFlags
	on    string // the names of the program types that may call it
}

type kfuncFlags uint16

const (
	acquire      kfuncFlags = 1 << iota // what it returns is to be given back (KF_ACQUIRE)
	release                             // it takes back its argument
	retNull                             // it may return null
	trusted                             // it takes objects that are trusted only
	rcu                                 // and those that RCU protects
	rcuProtected                        // it is called between bpf_rcu_read_lock and its unlock
	mayWait                             // it may sleep
	waited                              // it did until 7.0
	iterNew
	iterNext
	iterDestroy
)

// Acquires reports whether what the function returns is to be given back.
func (k Kfunc) Acquires() bool { return k.flags&acquire != 0 }

// Releases reports whether the function takes back its argument.
func (k Kfunc) Releases() bool { return k.flags&release != 0 }

// Null reports whether the function may return null.
func (k Kfunc) Null() bool { return k.flags&retNull != 0 }

// Sleeps reports whether the function may sleep.
func (k Kfunc) Sleeps(v *kernels.Verifier) bool {
	return k.flags&mayWait != 0 || k.flags&waited != 0 && !v.ExchangeLocked
}

// RCUProtected reports whether the function is called between bpf_rcu_read_lock and its unlock.
func (k Kfunc) RCUProtected() bool { return k.flags&rcuProtected != 0 }

// RCU reports whether the function takes objects that RCU protects.
func (k Kfunc) RCU() bool { return k.flags&rcu != 0 }

// Trusted reports whether the function takes objects only that are trusted, or that RCU protects where RCU says so. Since
// Linux 7.0 all do.
func (k Kfunc) Trusted(v *kernels.Verifier) bool {
	return k.flags&(trusted|release|rcu) != 0 || v.TrustedArgs
}

// For reports whether programs of a type may call the function.
func (k Kfunc) For(t bpf.ProgType, v *kernels.Verifier) bool {
	switch {
	case t == bpf.Extension: // as what it replaces may
		return true
	case t == bpf.RawTracepoint && v.RawKfuncs:
		t = bpf.Tracepoint
	case t == bpf.SockOps && v.RawKfuncs:
		t = bpf.CGroupSock
	}
	return k.on == all || within(k.on, t)
}

// Arg returns the letter of a parameter, '.' if there is nothing special about it.
func (k Kfunc) Arg(i int) byte {
	if i < len(k.Args) {
		return k.Args[i]
	}
	return '.'
}

// Does is what a kernel function does to what the verifier keeps of a path, besides what its flags say.
type Does uint8

// What functions do.
const (
	Plain Does = iota
	RCULock
	RCUUnlock
	PreemptOff
	PreemptOn
	SaveInterrupts // turns them off
	RestoreInterrupts
	TakeLock // may fail
	GiveLock
	TakeQuietLock // with interrupts off
	GiveQuietLock
	DynptrOfSKB // makes a dynptr of a packet
	DynptrOfXDP
	DynptrOfFile
	DynptrClone
	DropFile    // gives back a dynptr of a file
	DynptrSlice // hands out memory of a dynptr, to be read
	DynptrSliceRW
	GraphInsert // gives an object to a list, which owns it then
	TreeInsert  // likewise to a tree, whose order a function of the program says
	GraphLook   // returns an object that a list or a tree owns
	GraphTake
	Allocate
	AllocatePerCPU
	DropPerCPU
	Share      // one more reference to an object that the program allocated
	CastRead   // makes an object of any address, which is not trusted
	CastKernel // makes the kernel's object of the context
	SetCallback
	MovesPacket
	Trap // marks code that is not to be reached
	SessionCookie
	CSSTaskIterator
	SocketDestroy
)

// Doing are the functions that do so (special_kfunc_list).
var Doing = map[string]Does{
	"bpf_rcu_read_lock": RCULock, "bpf_rcu_read_unlock": RCUUnlock, "bpf_preempt_disable": PreemptOff, "bpf_preempt_enable": PreemptOn,
	"bpf_local_irq_save": SaveInterrupts, "bpf_local_irq_restore": RestoreInterrupts, "bpf_res_spin_lock": TakeLock, "bpf_res_spin_unlock": GiveLock,
	"bpf_res_spin_lock_irqsave": TakeQuietLock, "bpf_res_spin_unlock_irqrestore": GiveQuietLock,
	"bpf_dynptr_from_skb": DynptrOfSKB, "bpf_dynptr_from_skb_meta": DynptrOfSKB, "bpf_dynptr_from_xdp": DynptrOfXDP, "bpf_dynptr_clone": DynptrClone,
	"bpf_dynptr_from_file": DynptrOfFile, "bpf_dynptr_file_discard": DropFile,
	"bpf_dynptr_slice": DynptrSlice, "bpf_dynptr_slice_rdwr": DynptrSliceRW,
	"bpf_list_push_front_impl": GraphInsert, "bpf_list_push_back_impl": GraphInsert, "bpf_rbtree_add_impl": TreeInsert,
	"bpf_list_push_front": GraphInsert, "bpf_list_push_back": GraphInsert, "bpf_rbtree_add": TreeInsert,
	"bpf_rbtree_first": GraphLook, "bpf_rbtree_root": GraphLook, "bpf_rbtree_left": GraphLook, "bpf_rbtree_right": GraphLook,
	"bpf_list_front": GraphLook, "bpf_list_back": GraphLook,
	"bpf_list_add": GraphInsert, "bpf_list_del": GraphTake, "bpf_list_is_first": GraphLook, "bpf_list_is_last": GraphLook, "bpf_list_empty": GraphLook,
	"bpf_rbtree_remove": GraphTake, "bpf_list_pop_front": GraphTake, "bpf_list_pop_back": GraphTake,
	"bpf_refcount_acquire_impl": Share, "bpf_refcount_acquire": Share, "bpf_obj_new_impl": Allocate, "bpf_obj_new": Allocate,
	"bpf_percpu_obj_new_impl": AllocatePerCPU, "bpf_percpu_obj_new": AllocatePerCPU,
	"bpf_percpu_obj_drop_impl": DropPerCPU, "bpf_percpu_obj_drop": DropPerCPU,
	"bpf_task_work_schedule_signal": SetCallback, "bpf_task_work_schedule_resume": SetCallback,
	"bpf_task_work_schedule_signal_impl": SetCallback, "bpf_task_work_schedule_resume_impl": SetCallback,
	"bpf_xdp_pull_data": MovesPacket, "__bpf_trap": Trap,
	"bpf_wq_set_callback_impl": SetCallback, "bpf_wq_set_callback": SetCallback,
	"bpf_sock_destroy": SocketDestroy, "bpf_session_cookie": SessionCookie, "bpf_iter_css_task_new": CSSTaskIterator,
	"bpf_rdonly_cast": CastRead, "bpf_cast_to_kern_ctx": CastKernel,
}

// WhileLocked reports whether programs call a function while they hold a lock (kfunc_spin_allowed).
func WhileLocked(name string, v *kernels.Verifier) bool {
	switch Doing[name] {
	case GraphInsert, TreeInsert, GraphLook, GraphTake, Share, TakeLock, GiveLock, TakeQuietLock, GiveQuietLock:
		return true
	}
	_, kind := IteratorOf(name)
	return kind == "num" && v.IterateLocked || v.ExchangeLocked && slices.Contains(whileLocked, name)
}

var whileLocked = []string{
	"bpf_arena_alloc_pages", "bpf_arena_free_pages", "bpf_arena_reserve_pages", "bpf_stream_vprintk", "bpf_stream_print_stack",
	"bpf_testmod_test_mod_kfunc",
}

// KeepsRegisters reports whether a kernel function is inlined so that it changes its result and its arguments only
// (KF_FASTCALL).
func KeepsRegisters(name string) bool {
	return name == "bpf_cast_to_kern_ctx" || name == "bpf_rdonly_cast"
}

// Iterator is what a function does with an iterator.
type Iterator uint8

// The kinds.
const (
	NoIterator Iterator = iota
	IterNew
	IterNext
	IterDestroy
)

// IteratorOf says what a kernel function does with the iterator that is its first argument, and which kind of iterator
// that is: kernels know them by this pattern of names, too (btf_check_iter_kfuncs).
func IteratorOf(name string) (does Iterator, kind string) {
	rest, ok := strings.CutPrefix(name, "bpf_iter_")
	if !ok {
		return NoIterator, ""
	}
	for _, e := range []struct {
		ending string
		does   Iterator
	}{{"_new", IterNew}, {"_next", IterNext}, {"_destroy", IterDestroy}} {
		if kind, ok := strings.CutSuffix(rest, e.ending); ok {
			return e.does, kind
		}
	}
	return NoIterator, ""
}
