// SPDX-License-Identifier: GPL-2.0-only

package verify

import (
	"errors"
	"fmt"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/verify/holds"
	"github.com/tcsim/tcsim/jit/verify/protos"
	"github.com/tcsim/tcsim/jit/verify/rights"
)

// What helpers take (check_func_arg, check_reg_type, check_func_arg_reg_off). A register that holds a number of which it
// is not known whether it is an address of a kernel object, and such an object itself, pass for everything.

// call is what the arguments of a call have told so far (struct bpf_call_arg_meta).
type call struct {
	helper  int32 // its number, 0 of a kernel function
	m       *holds.Value
	ref     uint32            // reference that an argument belongs to
	release int               // the register that is given back
	size    int32             // of what is allocated
	dyn     *holds.Value      // the dynptr that is used
	drops   bool              // a kernel function that gives back the dynptr
	field   *bpf.SpecialField // the pointer that is exchanged
	iter    object            // that is moved on
	packet  bool              // takes addresses in the packet
}

// fits refuses a value that an argument does not take.
func (x *explorer) fits(c *call, a protos.Arg, reg uint8, v *holds.Value) error {
	if a.Kind == '*' && reg == 1 && !protos.Traced(x.p.Type) && !(v.Sock() && !v.OrNull) {
		a.Kind = 'c'
	}
	if a.Kind == '*' && v.Kind == holds.Pointer && v.Size > 0 && !v.OrNull {
		a.Kind = 'i'
	}
	if a.Kind == '.' || a.Kind == '*' {
		return nil
	}
	if m := c.m; a.Is("vu") && m != nil && x.holdsSockets(m) && v.Sock() && !v.OrNull {
		return nil // resolve_map_arg_type
	}
	if (v.Kind == holds.Packet || v.Kind == holds.PacketMeta || v.Kind == holds.PacketEnd) && !(c.packet && protos.ReadsPacket(x.p.Type)) {
		return errors.New("helper access to the packet is not allowed")
	}
	if v.Kind == holds.Pointer && v.Size > 0 && !v.OrNull {
		return holds.FitsObject(a, reg, v)
	}
	if v.Kind == holds.Own && !v.OrNull {
		return x.fitsOwn(c, a, reg, v)
	}
	if v.Kind == holds.Context && x.contextIsMemory() && a.Is("kvVumnMWNrwx") {
		return nil
	}
	if a.Nullable() && v.Null() || v.Kind == holds.Number && v.Typed != holds.NoObject || v.Kind == holds.Pointer && !v.OrNull {
		return nil
	}
	ok, expected := holds.Takes(a, v)
	if !ok || v.OrNull && !(a.Nullable() && a.Kind != 'I') {
		if v.OrNull && a.Kind == 'I' {
			return fmt.Errorf("possibly NULL pointer passed to helper arg%d", reg)
		}
		return fmt.Errorf("r%d type=%s expected=%s", reg, v.Word(), expected)
	}
	return x.atStart(c, reg, v)
}

// atStart refuses an address that was moved where only the original will do (check_func_arg_reg_off).
func (x *explorer) atStart(c *call, reg uint8, v *holds.Value) error {
	if protos.Releasing[c.helper] && v.Ref != 0 && v.Kind != holds.Stack && v.Off != 0 {
		return fmt.Errorf("r%d must have zero offset when passed to release func or trusted arg to kfunc", reg)
	}
	if holds.IsMemory(v.Kind) || v.Kind == holds.Number || v.Kind == holds.Pointer {
		return nil
	}
	return holds.Unmoved(reg, v)
}

// noteArg notes what an argument tells of the call, and judges what is no memory.
func (x *explorer) noteArg(s *state, c *call, a protos.Arg, reg uint8) error {
	v := s.top().regs[reg]
	if protos.Releasing[c.helper] && a.Is("bgI") {
		if v.Ref == 0 && !v.Null() && !v.Loose() {
			return fmt.Errorf("r%d must be referenced when passed to release function", reg)
		}
		c.release = int(reg)
	}
	if v.Ref != 0 && v.Kind != holds.Stack && a.Kind != 'X' && a.Kind != '.' {
		c.ref = v.Ref
	}
	switch a.Kind {
	case 'p':
		if v.Kind == holds.Map {
			c.m = v
			return x.compatible(v, c.helper)
		}
	case 's', 'z':
		if a.Kind == 's' && v.Kind == holds.Number && v.Num.Umin == 0 && v.Num.Smin >= 0 {
			return fmt.Errorf("r%d invalid zero-sized read: u64=[%d,%d]", reg, v.Num.Umin, v.Num.Umax)
		}
	case 'a':
		if v.Kind == holds.Number && !v.Num.IsConst() {
			return fmt.Errorf("r%d is not a known constant", reg)
		}
		x.needs(s, reg)
		c.size = int32(min(v.Num.Umin, 1<<30))
	case 'f':
		if c.helper == protos.HelperTimerCallback && v.Kind == holds.Func {
			x.async[bpf.InsnIndex(v.Map)] = true
		}
	case 'S':
		return x.lock(s, reg, rights.Lock, c.helper == helperSpinLock)
	case 'X':
		if v.Kind == holds.MapValue || v.Kind == holds.Own {
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
	case n == helperLocalStorage && !s.top().regs[2].Null():
		return errors.New("get_local_storage() doesn't support non-zero flags")
	case n == helperDynptrFromMem && holds.IsMemory(s.top().regs[1].Kind) && s.top().regs[1].Kind != holds.MapValue:
		return fmt.Errorf("unsupported reg type %s for bpf_dynptr_from_mem data", s.top().regs[1].Word())
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
func (x *explorer) returned(s *state, c *call, h *protos.Helper) holds.Value {
	r := holds.Value{Kind: returnKinds[h.Ret]}
	if r.Kind == holds.None {
		if h.Ret == protos.Number {
			return holds.AnyNumber()
		}
		return holds.Value{}
	}
	r = holds.To(r.Kind)
	if r.OrNull = h.Null(); r.OrNull {
		r.Link = x.newLink()
	}
	m := *s.top().regs[1]
	switch {
	case h.Ret == protos.MapValue && m.Kind == holds.Map:
		if x.looked(&r, c.helper, &m); c.helper == helperLookup && x.found(s, &m) {
			if r.OrNull = false; !r.Locked {
				r.Link = 0
			}
		}
	case h.Ret == protos.MapValue:
		r.Kind = holds.Pointer
	case h.Ret == protos.RingBufMem:
		r.Traits, r.Size = holds.RingBuf, c.size
	case h.Ret == protos.DynptrMem && c.dyn != nil:
		r.Size, r.Dyn, r.Ref = c.size, c.dyn.Dyn, c.dyn.Ref
		if c.dyn.Traits&holds.OfPacket != 0 {
			r.Traits = holds.OfPacket
		}
	case h.Ret == protos.DynptrMem:
		r.Kind = holds.Pointer
	case h.Ret == protos.PerCPUMem && m.Kind == holds.Own:
		null, link := r.OrNull, r.Link
		r = holds.OwnCopy(&m)
		r.OrNull, r.Link = null, link
	case c.field != nil && c.field.Own != 0:
		null, link := r.OrNull, r.Link
		r = holds.ToOwn(c.field.Own)
		if r.OrNull, r.Link = null, link; c.field.PerCPU {
			r.Typed = holds.PerCPU
		}
	case c.helper == helperCurrentTask && x.judges():
		r = x.object("task_struct", holds.Trusted)
	}
	return r
}

// returnKinds are the kinds of addresses that helpers return.
var returnKinds = map[protos.Return]holds.Kind{
	protos.MapValue: holds.MapValue, protos.Socket: holds.Socket, protos.SockCommon: holds.SockCommon, protos.TCPSock: holds.TCPSock,
	protos.RingBufMem: holds.Memory, protos.DynptrMem: holds.Memory, protos.PerCPUMem: holds.Pointer, protos.Object: holds.Pointer,
}

// looked is what a lookup in map m gives.
func (x *explorer) looked(r *holds.Value, helper int32, m *holds.Value) {
	r.Map = m.Map
	if sp := x.p.Maps[m.Map].Special; sp != nil {
		_, spin := sp.Find(bpf.SpecialLock)
		_, res := sp.Find(bpf.SpecialResLock)
		r.Locked = spin || res
	}
	if helper != 1 {
		return
	}
	switch in := &x.p.Maps[m.Map]; {
	case in.Inner > 0:
		r.Kind, r.Map = holds.Map, int32(in.Inner-1)
	case in.Type == bpf.XSKMap:
		r.Kind = holds.XDPSock
	case in.Type == bpf.SockMap || in.Type == bpf.SockHash:
		r.Kind = holds.Socket
	}
}

// found reports whether a lookup in an array finds an element, because its key is a constant (get_constant_map_key).
func (x *explorer) found(s *state, m *holds.Value) bool {
	in, key := &x.p.Maps[m.Map], s.top().regs[2]
	if !x.rules.ConstantKeys || in.Varies && x.rules.InnerKeys || !x.judges() || in.Type != bpf.ArrayMap && in.Type != bpf.PerCPUArrayMap || key.Kind != holds.Stack || !key.Num.IsConst() {
		return false
	}
	off, f := key.Off+int64(key.Num.Umin), &s.frames[key.Frame]
	sl := f.slotOf(off)
	switch {
	case sl == nil:
		return false
	case holds.ByteOf(off)+4 <= 8 && f.allZero(off, off+4):
		return in.MaxEntries > 0
	case holds.ByteOf(off) != 0 || sl.Spilled() != 4 || !sl.Spill.IsConst():
		return false
	}
	x.mask.Reset()
	x.mask.AddSlots(int(key.Frame), 1<<((-off-1)/8))
	x.walkBack(s, &x.mask)
	return sl.Spill.Num.Umin < uint64(in.MaxEntries)
}

// settle does what a helper does with references, after its arguments were taken (check_helper_call).
func (x *explorer) settle(s *state, c *call, ret *holds.Value) error {
	if c.release > 0 {
		if v := *s.top().regs[c.release]; v.Ref != 0 {
			if err := s.release(v.Ref); err != nil {
				return err
			}
		}
	}
	switch n := c.helper; {
	case protos.Casting[n]:
		ret.Ref = c.ref
	case protos.Acquiring[n] || n == 1 && c.m != nil && x.holdsSockets(c.m):
		id := x.acquire(s)
		ret.Link, ret.Ref = id, id
	}
	return nil
}

func (x *explorer) holdsSockets(m *holds.Value) bool {
	t := x.p.Maps[m.Map].Type
	return t == bpf.SockMap || t == bpf.SockHash
}

// compatible refuses a helper for a map of another type (check_map_func_compatibility).
func (x *explorer) compatible(m *holds.Value, helper int32) error {
	if helper == 0 || protos.Together(helper, x.p.Maps[m.Map].Type, x.p.Type, x.p.AttachType, x.rules) {
		return nil
	}
	return fmt.Errorf("cannot pass map_type %d (map %s) into func bpf_%s#%d", x.p.Maps[m.Map].Type, x.p.Maps[m.Map].Name, protos.Helpers[helper].Name, helper)
}
