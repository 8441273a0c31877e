// SPDX-License-Identifier: GPL-2.0-only

package verify

import (
	"errors"
	"fmt"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/verify/protos"
	"github.com/tcsim/tcsim/jit/verify/rights"
)

// What helpers take (check_func_arg, check_reg_type, check_func_arg_reg_off). A register that holds a number of which it
// is not known whether it is an address of a kernel object, and such an object itself, pass for everything.

// call is what the arguments of a call have told so far (struct bpf_call_arg_meta).
type call struct {
	helper  int32 // its number, 0 of a kernel function
	m       *value
	ref     uint32            // reference that an argument belongs to
	release int               // the register that is given back
	size    int32             // of what is allocated
	dyn     *value            // the dynptr that is used
	drops   bool              // a kernel function that gives back the dynptr
	field   *bpf.SpecialField // the pointer that is exchanged
	iter    object            // that is moved on
	packet  bool              // takes addresses in the packet
}

// memory are the kinds of addresses that helpers read and write through.
func memory(k valueKind) bool {
	switch k {
	case kindStack, kindMapValue, kindPacket, kindPacketMeta, kindMemory, kindBuffer:
		return true
	}
	return false
}

func (v *value) sock() bool {
	return v.kind >= kindSocket && v.kind <= kindXDPSock
}

// loose reports whether nothing is known of what kind of address a register holds, if it holds one.
func (v *value) loose() bool { return v.typed != noObject || v.kind == kindPointer && !v.orNull }

func (v *value) null() bool { return v.isConst() && v.num.Umin == 0 }

// takes reports whether a value is of a kind that an argument takes, and what that is called.
func takes(a protos.Arg, v *value) (ok bool, expected string) {
	switch a.Kind {
	case 'c', 'C':
		return v.kind == kindContext, "ctx"
	case 'p':
		return v.kind == kindMap, "map_ptr"
	case 'k', 'v', 'V', 'u', 'm', 'n', 'M', 'W', 'N', 'r', 'w', 'x':
		return memory(v.kind) && v.traits&probed == 0, "fp, pkt, pkt_meta, map_key, map_value, mem, ringbuf_mem, buf, trusted_ptr_"
	case 's', 'z', 'a':
		return v.kind == kindNumber, "scalar"
	case 'S', 't', 'q', 'X':
		return v.kind == kindMapValue, "map_value"
	case 'f':
		return v.kind == kindFunc, "func"
	case 'T':
		return v.kind == kindStack, "fp"
	case 'o', 'b', 'B':
		return v.sock(), "sock_common, sock, tcp_sock, xdp_sock"
	case 'E':
		return v.kind == kindSocket, "sock"
	case 'g':
		return v.kind == kindMemory && v.traits&ringBuf != 0, "ringbuf_mem"
	case 'd':
		return v.kind == kindStack || v.kind == kindDynptr, "fp, dynptr_ptr"
	case 'D':
		return v.kind == kindStack || v.kind == kindDynptr, "fp, dynptr_ptr"
	case 'i', 'I', 'P':
		return v.kind == kindPointer || v.sock(), "ptr_, trusted_ptr_, rcu_ptr_"
	}
	return true, ""
}

// fits refuses a value that an argument does not take.
func (x *explorer) fits(c *call, a protos.Arg, reg uint8, v *value) error {
	if a.Kind == '*' && reg == 1 && !protos.Traced(x.p.Type) && !(v.sock() && !v.orNull) {
		a.Kind = 'c'
	}
	if a.Kind == '*' && v.kind == kindPointer && v.size > 0 && !v.orNull {
		a.Kind = 'i'
	}
	if a.Kind == '.' || a.Kind == '*' {
		return nil
	}
	if m := c.m; a.Is("vu") && m != nil && x.holdsSockets(m) && v.sock() && !v.orNull {
		return nil // resolve_map_arg_type
	}
	if (v.kind == kindPacket || v.kind == kindPacketMeta || v.kind == kindPacketEnd) && !(c.packet && protos.ReadsPacket(x.p.Type)) {
		return errors.New("helper access to the packet is not allowed")
	}
	if v.kind == kindPointer && v.size > 0 && !v.orNull {
		return fitsObject(a, reg, v)
	}
	if v.kind == kindOwn && !v.orNull {
		return x.fitsOwn(c, a, reg, v)
	}
	if v.kind == kindContext && x.contextIsMemory() && a.Is("kvVumnMWNrwx") {
		return nil
	}
	if a.Nullable() && v.null() || v.kind == kindNumber && v.typed != noObject || v.kind == kindPointer && !v.orNull {
		return nil
	}
	ok, expected := takes(a, v)
	if !ok || v.orNull && !(a.Nullable() && a.Kind != 'I') {
		if v.orNull && a.Kind == 'I' {
			return fmt.Errorf("possibly NULL pointer passed to helper arg%d", reg)
		}
		return fmt.Errorf("r%d type=%s expected=%s", reg, v.word(), expected)
	}
	return x.atStart(c, reg, v)
}

// atStart refuses an address that was moved where only the original will do (check_func_arg_reg_off).
func (x *explorer) atStart(c *call, reg uint8, v *value) error {
	if protos.Releasing[c.helper] && v.ref != 0 && v.kind != kindStack && v.off != 0 {
		return fmt.Errorf("r%d must have zero offset when passed to release func or trusted arg to kfunc", reg)
	}
	if memory(v.kind) || v.kind == kindNumber || v.kind == kindPointer {
		return nil
	}
	return unmoved(reg, v)
}

// unmoved refuses an address that something was added to (__check_ptr_off_reg).
func unmoved(reg uint8, v *value) error {
	switch {
	case v.off < 0:
		return fmt.Errorf("negative offset %s ptr r%d off=%d disallowed", v.word(), reg, v.off)
	case v.off != 0:
		return fmt.Errorf("dereference of modified %s ptr r%d off=%d disallowed", v.word(), reg, v.off)
	case !v.num.IsConst() || v.num.Umin != 0:
		return fmt.Errorf("variable %s access through r%d disallowed", v.word(), reg)
	}
	return nil
}

// noteArg notes what an argument tells of the call, and judges what is no memory.
func (x *explorer) noteArg(s *state, c *call, a protos.Arg, reg uint8) error {
	v := s.top().regs[reg]
	if protos.Releasing[c.helper] && a.Is("bgI") {
		if v.ref == 0 && !v.null() && !v.loose() {
			return fmt.Errorf("r%d must be referenced when passed to release function", reg)
		}
		c.release = int(reg)
	}
	if v.ref != 0 && v.kind != kindStack && a.Kind != 'X' && a.Kind != '.' {
		c.ref = v.ref
	}
	switch a.Kind {
	case 'p':
		if v.kind == kindMap {
			c.m = v
			return x.compatible(v, c.helper)
		}
	case 's', 'z':
		if a.Kind == 's' && v.kind == kindNumber && v.num.Umin == 0 && v.num.Smin >= 0 {
			return fmt.Errorf("r%d invalid zero-sized read: u64=[%d,%d]", reg, v.num.Umin, v.num.Umax)
		}
	case 'a':
		if v.kind == kindNumber && !v.num.IsConst() {
			return fmt.Errorf("r%d is not a known constant", reg)
		}
		x.needs(s, reg)
		c.size = int32(min(v.num.Umin, 1<<30))
	case 'f':
		if c.helper == protos.HelperTimerCallback && v.kind == kindFunc {
			x.async[bpf.InsnIndex(v.mapIdx)] = true
		}
	case 'S':
		return x.lock(s, reg, rights.Lock, c.helper == helperSpinLock)
	case 'X':
		if v.kind == kindMapValue || v.kind == kindOwn {
			f, err := x.kptrField(v, reg)
			c.field = f
			return err
		}
	case 'I':
		if c.field != nil {
			return x.storesKptr(c.field, v, reg)
		}
	case 'd':
		return x.useDynptr(s, c, v, int(reg)-1)
	case 'D':
		return x.makesDynptr(s, v, int(reg)-1)
	}
	return nil
}

// Helpers by number that the verifier knows.
const (
	helperLookup                                        = 1
	helperSpinLock, helperSpinUnlock                    = 93, 94
	helperLocalStorage, helperPath                      = 81, 147
	helperCurrentTask, helperSetResult                  = 158, 187
	helperDynptrFromMem, helperReserveDynptr            = 197, 198
	helperSubmitDynptr, helperDiscardDynptr, helperData = 199, 200, 203
	helperKptrXchg, helperDynptrWrite                   = 194, 202
	helperSkRelease, helperRingReserve                  = 86, 131
	helperStack, helperTaskStack                        = 67, 141
)

// mayCallHelper refuses a helper that the program may not call, or not here (check_helper_call).
func (x *explorer) mayCallHelper(s *state, n int32, h *protos.Helper) error {
	if most := x.rules.Helpers; most > 0 && n >= most {
		return fmt.Errorf("the kernel has no helper %d (%s; invalid func unknown): %w", n, protos.HelperName(n), kernels.ErrUnsupported)
	}
	if !x.checkedCalls[s.pc] && !h.For(x.p.Type, x.rules) {
		return fmt.Errorf("program of this type cannot use helper bpf_%s#%d", h.Name, n)
	}
	x.checkedCalls[s.pc] = true
	switch {
	case x.p.NotGPL && h.GPL():
		return fmt.Errorf("cannot call GPL-restricted function bpf_%s from non-GPL compatible program (char LICENSE[] SEC(\"license\") = \"GPL\")", h.Name)
	case n == helperPath && x.p.Type == bpf.Tracing && x.p.AttachType != protos.AttachIter && x.p.AttachTo != "" && !protos.GivesPath(x.p.AttachTo):
		return errors.New("helper call is not allowed in probe")
	case h.Sleeps() && !x.maySleep(s):
		return errors.New("helper call might sleep in a non-sleepable prog")
	case (h.Sleeps() || x.rules.SleepingStacks && x.p.Sleepable && (n == helperStack || n == helperTaskStack)) && s.held.Atomic():
		return fmt.Errorf("sleepable helper bpf_%s#%d in an rcu_read_lock or non-preemptible region", h.Name, n)
	case s.held.Locked() && n != helperSpinUnlock && !(n == helperKptrXchg && x.rules.ExchangeLocked):
		return errors.New("function calls are not allowed while holding a lock")
	case n == helperLocalStorage && !s.top().regs[2].null():
		return errors.New("get_local_storage() doesn't support non-zero flags")
	case n == helperDynptrFromMem && memory(s.top().regs[1].kind) && s.top().regs[1].kind != kindMapValue:
		return fmt.Errorf("unsupported reg type %s for bpf_dynptr_from_mem data", s.top().regs[1].word())
	case n == bpf.HelperTailCall:
		if err := s.held.Busy("tail_call"); err != nil {
			return err
		}
		if err := x.leaks(s, false); err != nil {
			return fmt.Errorf("tail_call would lead to reference leak: %w", err)
		}
	}
	return nil
}

// returned is what a helper returns after its arguments were taken.
func (x *explorer) returned(s *state, c *call, h *protos.Helper) value {
	r := value{kind: returnKinds[h.Ret]}
	if r.kind == kindNone {
		if h.Ret == protos.Number {
			return unknownNumber()
		}
		return value{}
	}
	r = pointer(r.kind)
	if r.orNull = h.Null(); r.orNull {
		r.link = x.newLink()
	}
	m := *s.top().regs[1]
	switch {
	case h.Ret == protos.MapValue && m.kind == kindMap:
		if x.looked(&r, c.helper, &m); c.helper == helperLookup && x.found(s, &m) {
			if r.orNull = false; !r.locked {
				r.link = 0
			}
		}
	case h.Ret == protos.MapValue:
		r.kind = kindPointer
	case h.Ret == protos.RingBufMem:
		r.traits, r.size = ringBuf, c.size
	case h.Ret == protos.DynptrMem && c.dyn != nil:
		r.size, r.dyn, r.ref = c.size, c.dyn.dyn, c.dyn.ref
		if c.dyn.traits&ofPacket != 0 {
			r.traits = ofPacket
		}
	case h.Ret == protos.DynptrMem:
		r.kind = kindPointer
	case h.Ret == protos.PerCPUMem && m.kind == kindOwn:
		null, link := r.orNull, r.link
		r = ownCopy(&m)
		r.orNull, r.link = null, link
	case c.field != nil && c.field.Own != 0:
		null, link := r.orNull, r.link
		r = own(c.field.Own)
		if r.orNull, r.link = null, link; c.field.PerCPU {
			r.typed = perCPU
		}
	case c.helper == helperCurrentTask && x.judges():
		r = x.object("task_struct", trusted)
	}
	return r
}

// returnKinds are the kinds of addresses that helpers return.
var returnKinds = map[protos.Return]valueKind{
	protos.MapValue: kindMapValue, protos.Socket: kindSocket, protos.SockCommon: kindSockCommon, protos.TCPSock: kindTCPSock,
	protos.RingBufMem: kindMemory, protos.DynptrMem: kindMemory, protos.PerCPUMem: kindPointer, protos.Object: kindPointer,
}

// looked is what a lookup in map m gives.
func (x *explorer) looked(r *value, helper int32, m *value) {
	r.mapIdx = m.mapIdx
	if sp := x.p.Maps[m.mapIdx].Special; sp != nil {
		_, spin := sp.Find(bpf.SpecialLock)
		_, res := sp.Find(bpf.SpecialResLock)
		r.locked = spin || res
	}
	if helper != 1 {
		return
	}
	switch in := &x.p.Maps[m.mapIdx]; {
	case in.Inner > 0:
		r.kind, r.mapIdx = kindMap, int32(in.Inner-1)
	case in.Type == bpf.XSKMap:
		r.kind = kindXDPSock
	case in.Type == bpf.SockMap || in.Type == bpf.SockHash:
		r.kind = kindSocket
	}
}

// found reports whether a lookup in an array finds an element, because its key is a constant (get_constant_map_key).
func (x *explorer) found(s *state, m *value) bool {
	in, key := &x.p.Maps[m.mapIdx], s.top().regs[2]
	if !x.rules.ConstantKeys || in.Varies && x.rules.InnerKeys || !x.judges() || in.Type != bpf.ArrayMap && in.Type != bpf.PerCPUArrayMap || key.kind != kindStack || !key.num.IsConst() {
		return false
	}
	off, f := key.off+int64(key.num.Umin), &s.frames[key.frame]
	sl := f.slotOf(off)
	switch {
	case sl == nil:
		return false
	case byteOf(off)+4 <= 8 && f.allZero(off, off+4):
		return in.MaxEntries > 0
	case byteOf(off) != 0 || sl.spilled() != 4 || !sl.spill.isConst():
		return false
	}
	x.mask.Reset()
	x.mask.AddSlots(int(key.frame), 1<<((-off-1)/8))
	x.walkBack(s, &x.mask)
	return sl.spill.num.Umin < uint64(in.MaxEntries)
}

// settle does what a helper does with references, after its arguments were taken (check_helper_call).
func (x *explorer) settle(s *state, c *call, ret *value) error {
	if c.release > 0 {
		if v := *s.top().regs[c.release]; v.ref != 0 {
			if err := s.release(v.ref); err != nil {
				return err
			}
		}
	}
	switch n := c.helper; {
	case protos.Casting[n]:
		ret.ref = c.ref
	case protos.Acquiring[n] || n == 1 && c.m != nil && x.holdsSockets(c.m):
		id := x.acquire(s)
		ret.link, ret.ref = id, id
	}
	return nil
}

func (x *explorer) holdsSockets(m *value) bool {
	t := x.p.Maps[m.mapIdx].Type
	return t == bpf.SockMap || t == bpf.SockHash
}

// compatible refuses a helper for a map of another type (check_map_func_compatibility).
func (x *explorer) compatible(m *value, helper int32) error {
	if helper == 0 || protos.Together(helper, x.p.Maps[m.mapIdx].Type, x.p.Type, x.p.AttachType, x.rules) {
		return nil
	}
	return fmt.Errorf("cannot pass map_type %d (map %s) into func bpf_%s#%d", x.p.Maps[m.mapIdx].Type, x.p.Maps[m.mapIdx].Name, protos.Helpers[helper].Name, helper)
}
