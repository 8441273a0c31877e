// SPDX-License-Identifier: GPL-2.0-only

package verify

import (
	"errors"
	"fmt"
	"strings"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/verify/holds"
	"github.com/tcsim/tcsim/jit/verify/protos"
	"github.com/tcsim/tcsim/jit/verify/ranges"
	"github.com/tcsim/tcsim/jit/verify/rights"
)

// kfunc returns how a kernel function takes its arguments and what it returns, as BTF has it
// (check_kfunc_call). Of one that BTF says nothing of, a stack address may be used.
func (x *explorer) kfunc(name string) (args []protos.Arg, ret holds.Value) {
	sig, known := x.signature(name)
	if !known {
		return anyArgs, holds.AnyNumber()
	}
	for _, p := range sig.Params {
		a := protos.Arg{Kind: '.'}
		if p.Kind == bpf.ParamMemory {
			a = protos.Arg{Kind: 'w', Size: int(p.Size)}
		}
		args = append(args, a)
	}
	switch {
	case sig.Void:
	case sig.Pointer:
		ret = holds.To(holds.Pointer)
		ret.OrNull, ret.Link, ret.Typed = true, x.newLink(), holds.Unsure
	default:
		ret = holds.AnyNumber()
	}
	return args, ret
}

// signature is what BTF says of a kernel function, and what is known of bpf_throw without it: it takes the cookie.
func (x *explorer) signature(name string) (bpf.Signature, bool) {
	sig, known := x.p.Signatures[name]
	if !known && name == bpf.ThrowKfunc {
		return bpf.Signature{Params: []bpf.Param{{Kind: bpf.ParamNumber, Name: "cookie"}}, Void: true}, true
	}
	return sig, known
}

// kfuncCall is a call of a kernel function that BTF knows.
type kfuncCall struct {
	call
	name     string
	spec     protos.Kfunc
	listed   bool // spec is known
	does     protos.Does
	sig      bpf.Signature
	iterates protos.Iterator
	iterKind string
	iterSize int32
	iterArg  int
	valueOf  int32       // one more than the index of the map in whose value a part is that only helpers touch
	constant int64       // of the argument that has to be one
	dynptr   holds.Value // the dynptr that is used
	made     int         // register that points to where a dynptr is to be made
	// root is the head of a list or the root of a tree that is handed over, own the structure of an object of the program's.
	root *bpf.SpecialField
	own  int32
}

// callKfunc judges a call of a kernel function and does what it does to the path (check_kfunc_call).
func (x *explorer) callKfunc(s *state, name string) (ret holds.Value, it object, err error) {
	k := kfuncCall{name: name, does: protos.Doing[name]}
	k.sig, _ = x.signature(name)
	k.spec, k.listed = protos.Kfuncs[name]
	k.iterates, k.iterKind = protos.IteratorOf(name)
	if err := x.mayCallKfunc(s, &k); err != nil {
		return ret, it, err
	}
	if k.does == protos.TakeLock || k.does == protos.TakeQuietLock {
		x.lockFails(s)
	}
	for i := range k.sig.Params {
		if err := x.kfuncArg(s, &k, i); err != nil {
			return ret, it, err
		}
	}
	if err := x.orders(s, &k); err != nil {
		return ret, it, err
	}
	if err := x.section(s, &k); err != nil {
		return ret, it, err
	}
	if err := x.kfuncEffects(s, &k); err != nil {
		return ret, it, err
	}
	ret, err = x.kfuncReturns(s, &k)
	return ret, k.iter, err
}

// kfuncEffects gives back what the function takes back, and makes the dynptr that it makes.
func (x *explorer) kfuncEffects(s *state, k *kfuncCall) error {
	switch {
	case k.name == bpf.ThrowKfunc:
		return x.throws(s)
	case k.does == protos.Trap:
		return errors.New("unexpected __bpf_trap() due to uninitialized variable?")
	case k.does == protos.MovesPacket:
		s.loosePackets()
	case k.release > 0:
		if err := s.release(s.top().regs[k.release].Ref); err != nil {
			return err
		}
	case k.listed && k.spec.Releases() && !k.loose(s):
		return fmt.Errorf("release kernel function %s expects refcounted PTR_TO_BTF_ID", k.name)
	case k.does == protos.GraphInsert || k.does == protos.TreeInsert:
		s.giveAway(s.top().regs[2].Ref)
	}
	if k.made == 0 {
		return nil
	}
	from := k.dynptr
	switch k.does {
	case protos.DynptrOfSKB:
		from = holds.Value{Traits: holds.OfPacket | holds.OfSKB}
	case protos.DynptrOfXDP:
		from = holds.Value{Traits: holds.OfPacket}
	case protos.DynptrOfFile:
		from = holds.Value{Traits: holds.OfFile, Ref: x.acquire(s)}
	}
	return x.madeDynptr(s, s.top().regs[k.made], holds.Value{Traits: from.Traits & (holds.OfPacket | holds.OfSKB | holds.OfFile), Ref: from.Ref})
}

// loose reports whether an argument may hold a reference that nothing is known of.
func (k *kfuncCall) loose(s *state) bool {
	for i := range k.sig.Params {
		if v := s.top().regs[i+1]; v.Kind == holds.Pointer && v.Typed == holds.Unsure || v.Kind == holds.Stack {
			return true
		}
	}
	return len(k.sig.Params) == 0
}

func (x *explorer) mayCallKfunc(s *state, k *kfuncCall) error {
	graph := k.does == protos.GraphInsert || k.does == protos.TreeInsert || k.does == protos.GraphLook || k.does == protos.GraphTake
	sleepable := x.maySleep(s)
	iterates := x.p.Type == bpf.Tracing && x.p.AttachType == protos.AttachIter
	switch {
	case k.listed && !k.spec.For(x.p.Type, x.rules), k.does == protos.SocketDestroy && !iterates:
		return fmt.Errorf("calling kernel function %s is not allowed", k.name)
	case graph && !s.held.Locked():
		return fmt.Errorf("bpf_spin_lock must be held for %s", k.name)
	case s.held.Locked() && !protos.WhileLocked(k.name, x.rules):
		return errors.New("function calls are not allowed while holding a lock")
	case k.does == protos.CSSTaskIterator && !sleepable && x.p.Type != bpf.LSM && !iterates:
		return errors.New("css_task_iter is only allowed in bpf_lsm, bpf_iter and sleepable progs")
	case k.spec.Sleeps(x.rules) && !sleepable:
		return fmt.Errorf("program must be sleepable to call sleepable kfunc %s", k.name)
	case k.spec.Sleeps(x.rules) && s.held.Atomic():
		return fmt.Errorf("kernel func %s is sleepable within rcu_read_lock or non-preemptible region", k.name)
	}
	return nil
}

// throws ends the program by an exception: its cookie is the result if no function catches it.
func (x *explorer) throws(s *state) error {
	if err := x.mayEnd(s, true); err != nil {
		return err
	}
	for _, f := range x.p.Funcs {
		if f.ExceptionCB {
			return nil
		}
	}
	return x.mayReturn(s, 1)
}

// kfuncArg judges parameter i (check_kfunc_args).
func (x *explorer) kfuncArg(s *state, k *kfuncCall, i int) error {
	p, letter, reg := &k.sig.Params[i], k.spec.Arg(i), uint8(i+1)
	v := s.top().regs[reg]
	if letter == 'i' || hasEnding(p, "__ign") || hasEnding(p, "__prog") {
		return nil
	}
	if v.Kind == holds.None {
		return fmt.Errorf("argument r%d of %s is not initialised", reg, k.name)
	}
	if p.Kind == bpf.ParamNumber {
		return x.kfuncNumber(s, k, p, letter, reg)
	}
	if letter == 'A' || hasEnding(p, "__arena") || hasEnding(p, "__arena__nullable") {
		switch {
		case !x.arena:
			return fmt.Errorf("%s takes addresses in an arena, and the program has none", k.name)
		case v.Kind != holds.Number && v.Typed != holds.InArena:
			return fmt.Errorf("r%d is not a pointer to arena or scalar", reg)
		}
		return nil
	}
	nullable := letter == 'n' || letter == 'o' || hasEnding(p, "__nullable") || hasEnding(p, "__opt")
	if k.listed && k.spec.Trusted(x.rules) && (v.Null() || v.OrNull) && !nullable {
		return fmt.Errorf("possibly NULL pointer passed to trusted arg%d", i)
	}
	if v.Ref != 0 && v.Kind != holds.Stack {
		if k.ref = v.Ref; k.spec.Releases() {
			if k.release = int(reg); v.Off != 0 && (v.Kind == holds.Pointer || v.Kind == holds.Own) {
				return fmt.Errorf("r%d must have zero offset when passed to release func or trusted arg to kfunc", reg)
			}
		}
	}
	switch {
	case v.Kind == holds.Func:
		if k.does == protos.SetCallback {
			x.async[bpf.InsnIndex(v.Map)], x.slow[bpf.InsnIndex(v.Map)] = true, true
		}
		return nil
	case nullable && v.Null(), v.Loose() && v.Kind == holds.Number:
		return nil
	case letter == 'm', hasEnding(p, "__map"):
		switch {
		case v.Kind == holds.Pointer && v.Size > 0:
			return x.kfuncObject(k, v, reg, "bpf_map")
		case v.Kind != holds.Map && !v.Loose():
			return fmt.Errorf("pointer in r%d isn't map pointer", reg)
		case v.Kind == holds.Map && k.valueOf > 0 && k.valueOf != v.Map+1:
			return fmt.Errorf("pointer in r1 doesn't match map pointer in r%d", reg)
		}
		return nil
	case letter == 'q', hasEnding(p, "__str"):
		if v.Kind != holds.MapValue && !v.Loose() {
			return fmt.Errorf("arg#%d doesn't point to a const string", i)
		}
		return nil
	case k.iterates != protos.NoIterator && i == 0, letter == 't', hasEnding(p, "__iter"):
		k.iterSize, k.iterArg = p.Size, i
		if i > 0 {
			k.iterKind = strings.TrimPrefix(p.Type, "bpf_iter_")
		}
		return x.iterArgument(s, k, v)
	case hasEnding(p, "__irq_flag"):
		return x.interrupts(s, v, i, k.does)
	case lockKinds[k.does] != 0 && i == 0:
		return x.lock(s, reg, lockKinds[k.does], k.does == protos.TakeLock || k.does == protos.TakeQuietLock)
	case p.Type == "bpf_list_head", p.Type == "bpf_rb_root":
		return x.kfuncRoot(s, k, p, v, reg)
	case p.Type == "bpf_list_node", p.Type == "bpf_rb_node":
		return x.kfuncNode(s, k, p, v, reg)
	case letter == 'a', letter == 'r':
		return x.kfuncAllocated(k, letter, v, reg)
	case protos.Special[p.Type] != 0:
		return x.kfuncSpecial(k, p, v, i)
	case p.Type == "bpf_dynptr" || p.Type == "bpf_dynptr_kern":
		return x.kfuncDynptr(s, k, p, letter, i)
	case p.Kind == bpf.ParamContext || p.Type != "" && p.Type == protos.ContextStructs[x.p.Type]:
		if v.Kind != holds.Context {
			return fmt.Errorf("arg#%d expected pointer to ctx, but got %s", i, v.Word())
		}
		return holds.Unmoved(reg, v)
	case v.Kind == holds.Own:
		return x.kfuncOwn(s, k, p, v, i)
	case v.Kind == holds.Pointer || v.Sock():
		return x.kfuncObject(k, v, reg, p.Type)
	}
	return x.kfuncMemory(s, k, p, i)
}

// lockKinds are what functions of locks that may fail take and give back.
var lockKinds = map[protos.Does]rights.Kind{
	protos.TakeLock: rights.ResLock, protos.GiveLock: rights.ResLock, protos.TakeQuietLock: rights.ResLockIRQ, protos.GiveQuietLock: rights.ResLockIRQ,
}

func hasEnding(p *bpf.Param, suffix string) bool { return strings.HasSuffix(p.Name, suffix) }

// kfuncNumber is a parameter that is a number.
func (x *explorer) kfuncNumber(s *state, k *kfuncCall, p *bpf.Param, letter, reg uint8) error {
	v := s.top().regs[reg]
	constant := letter == 'k' || letter == 'z' || letter == 'R' || letter == 'B' || hasEnding(p, "__k") || hasEnding(p, "__szk")
	switch {
	case v.Kind != holds.Number && !v.Loose():
		return fmt.Errorf("r%d is not a scalar", reg)
	case !constant || v.Kind != holds.Number:
		return nil
	case !v.Num.IsConst():
		return fmt.Errorf("r%d must be a known constant", reg)
	}
	x.needs(s, reg)
	k.constant = int64(v.Num.Umin)
	if letter == 'R' || letter == 'B' {
		k.size = int32(min(v.Num.Umin, 1<<30))
	}
	return nil
}

// kfuncObject is a kernel object (process_kf_arg_ptr_to_btf_id). What is not known of it is taken for good.
func (x *explorer) kfuncObject(k *kfuncCall, v *holds.Value, reg uint8, want string) error {
	if v.OrNull {
		return fmt.Errorf("arg#%d is %s, null-check it first", reg-1, v.Word())
	}
	switch {
	case !k.listed || !k.spec.Trusted(x.rules) || v.Ref != 0 || v.Sock():
	case v.Typed == holds.Untrusted || v.Traits&holds.Unguarded != 0, v.Traits&holds.Protected != 0 && !k.spec.RCU():
		if k.spec.RCU() {
			return fmt.Errorf("r%d must be a rcu pointer", reg)
		}
		return fmt.Errorf("r%d must be referenced or trusted", reg)
	}
	if v.Kind == holds.Pointer && v.Size > 0 && k.listed && v.Num.IsConst() && !x.is(x.structs[v.Size-1], v.Off+int64(v.Num.Umin), want) {
		return fmt.Errorf("kernel function %s args#%d expected pointer to STRUCT %s but r%d has a pointer to STRUCT %s", k.name, reg-1, want, reg, x.structs[v.Size-1])
	}
	return nil
}

// kfuncMemory is memory, with its size in the next parameter if that says so (check_kfunc_mem_size_reg).
func (x *explorer) kfuncMemory(s *state, k *kfuncCall, p *bpf.Param, i int) error {
	reg := uint8(i + 1)
	v := *s.top().regs[reg]
	if i+1 < len(k.sig.Params) {
		n, letter := &k.sig.Params[i+1], k.spec.Arg(i+1)
		if letter == 's' || letter == 'z' || hasEnding(n, "__sz") || hasEnding(n, "__szk") {
			return x.kfuncSized(s, k, i, &v)
		}
	}
	switch {
	case v.Null():
		return nil
	case v.Kind == holds.Number || p.Kind == bpf.ParamMemory && p.Opaque && holds.IsMemory(v.Kind):
		return fmt.Errorf("arg#%d pointer type STRUCT %s must point to scalar, or struct with scalar (r%d is %s)", i, p.Type, reg, v.Word())
	case p.Kind != bpf.ParamMemory:
		return nil
	case v.Traits&holds.AnyAddress != 0:
		return fmt.Errorf("r%d is rdonly_untrusted_mem, which cannot be written", reg)
	}
	return x.argument(s, protos.Arg{Kind: 'w', Size: int(p.Size)}, i)
}

func (x *explorer) kfuncSized(s *state, k *kfuncCall, i int, v *holds.Value) error {
	n := s.top().regs[i+2]
	if v.Null() && (k.spec.Arg(i) == 'o' || hasEnding(&k.sig.Params[i], "__opt")) {
		return nil
	}
	context := v.Kind == holds.Context && (x.contextIsMemory() || !x.rules.MovableContext && protos.PlainContext(x.p.Type))
	if (!holds.IsMemory(v.Kind) || v.Traits&holds.AnyAddress != 0) && !context && (x.p.Type != bpf.Syscall || x.rules.MovableContext) && !v.Loose() && !(v.Null() && n.Null()) {
		return fmt.Errorf("arg#%d arg#%d memory, len pair leads to invalid memory access: r%d is %s", i, i+1, i+1, v.Word())
	}
	return x.argument(s, protos.Arg{Kind: 'M'}, i)
}

// kfuncSpecial is a part of a map's value, or of an object, that only such functions touch.
func (x *explorer) kfuncSpecial(k *kfuncCall, p *bpf.Param, v *holds.Value, i int) error {
	if v.Kind != holds.MapValue {
		if v.Loose() {
			return nil
		}
		return fmt.Errorf("arg#%d doesn't point to a map value", i)
	}
	sp := x.p.Maps[v.Map].Special
	if k.valueOf = v.Map + 1; sp == nil {
		return nil
	}
	if f := sp.At(v.Off+int64(v.Num.Umin), 1); f == nil || f.Kind != protos.Special[p.Type] || f.Off != v.Off+int64(v.Num.Umin) || !v.Num.IsConst() {
		return fmt.Errorf("arg#%d: %s not found at offset=%d", i, p.Type, v.Off+int64(v.Num.Umin))
	}
	return nil
}

// kfuncDynptr is a dynptr.
func (x *explorer) kfuncDynptr(s *state, k *kfuncCall, p *bpf.Param, letter uint8, i int) error {
	v := s.top().regs[i+1]
	if v.Kind != holds.Stack && v.Kind != holds.Dynptr {
		return fmt.Errorf("arg#%d expected pointer to stack or const struct bpf_dynptr", i)
	}
	if letter == 'u' || hasEnding(p, "__uninit") || hasEnding(p, "__init") {
		k.made = i + 1
		return x.makesDynptr(s, v, i)
	}
	k.drops = k.does == protos.DropFile
	if err := x.useDynptr(s, &k.call, v, i); err != nil {
		return err
	}
	k.dynptr = *k.dyn
	return nil
}

// iterArgument is the iterator of a kernel function, where BTF says how large it is.
func (x *explorer) iterArgument(s *state, k *kfuncCall, v *holds.Value) error {
	if k.iterSize <= 0 {
		return nil
	}
	return x.iterArg(s, &k.call, v, k)
}

// kfuncReturns is what a kernel function returns.
func (x *explorer) kfuncReturns(s *state, k *kfuncCall) (holds.Value, error) {
	switch {
	case k.sig.Void:
		return holds.Value{}, nil
	case k.does == protos.TakeLock, k.does == protos.TakeQuietLock:
		return holds.Of(ranges.ConstScalar(0)), nil
	case !k.sig.Pointer:
		return holds.AnyNumber(), nil
	}
	r, owns, err := x.ownReturned(k)
	if err != nil {
		return r, err
	}
	if !owns {
		r = holds.To(holds.Pointer)
	}
	if k.listed && k.spec.Acquires() && !owns && k.does != protos.GraphTake {
		r.Size = x.structure(k.sig.Type)
	}
	if !k.listed {
		r.Typed = holds.Unsure
	}
	switch {
	case owns:
	case k.does == protos.DynptrSlice || k.does == protos.DynptrSliceRW:
		r.Kind, r.Typed, r.Size, r.Dyn = holds.Memory, holds.NoObject, int32(min(k.constant, 1<<30)), k.dynptr.Dyn
		if r.Traits = k.dynptr.Traits & holds.OfPacket; k.does == protos.DynptrSlice {
			r.Traits |= holds.ReadOnly
		} else if !protos.WritesPacket(x.p.Type) {
			return r, errors.New("the prog does not allow writes to packet data")
		}
	case k.does == protos.SessionCookie:
		r.Kind, r.Typed, r.Size = holds.Memory, holds.NoObject, 8
	case k.sig.Size > 0:
		r.Kind, r.Typed, r.Size, r.Ref = holds.Memory, holds.NoObject, k.sig.Size, k.ref
		if k.size > 0 {
			r.Size = k.size
		}
		if !(k.spec.Arg(1) == 'B' || k.spec.Arg(0) == 'B') {
			r.Traits = holds.ReadOnly
		}
	case k.does == protos.CastRead && k.constant == 0 && x.rules.RawCast:
		r = holds.AnyMemory()
	case k.does == protos.CastRead:
		r.Typed = holds.Untrusted
	case k.listed && k.sig.Untyped && k.does == protos.Plain: // it counts as a number
		return holds.AnyNumber(), nil
	case k.iterates == protos.IterNext && k.iter.f != nil && k.iter.at(0).Spill.Traits&(holds.Protected|holds.Unguarded) != 0:
		r.Traits = k.iter.at(0).Spill.Traits & (holds.Protected | holds.Unguarded)
	case k.does == protos.GraphLook:
		r.Traits = holds.Borrowed
	}
	if r.OrNull = !k.listed || k.spec.Null() && !(k.does == protos.Share && k.ref != 0); r.OrNull {
		r.Link = x.newLink()
	}
	if k.spec.Acquires() {
		id := x.acquire(s)
		if r.Ref = id; r.OrNull {
			r.Link = id
		}
	}
	return r, nil
}
