// SPDX-License-Identifier: GPL-2.0-only

package scenarios

import (
	"github.com/tcsim/tcsim/jit/bpf"
)

// lookedUp reports whether using v takes a call of bpf_map_lookup_elem.
func (e *emitter) lookedUp(v *Value) bool {
	if v.Kind != ValueMap {
		return false
	}
	if e.lookedUp(v.Key) {
		return true
	}
	m := e.b.sc.Maps.Find(v.Map)
	if m == nil || m.Value.Type == ProgArray {
		return false
	}
	return !m.Value.direct() || v.Key.Kind != ValueInt
}

// location checks a stack or map location and returns its width in bytes.
func (e *emitter) location(v *Value) (size int, ok bool) {
	if v.Kind == ValueStack {
		size = v.Size
		if size == 0 {
			for size = 8; size > int(-v.Off); size /= 2 {
			}
		}
		if int(-v.Off) > e.fn.Stack || size > int(-v.Off) {
			e.failf(v.Pos, "%s: %d bytes there do not lie in the %d bytes of stack that %s declares", v.Text, size, e.fn.Stack, e.name)
			return 0, false
		}
		return size, true
	}
	m, _ := e.b.mapEntry(v)
	if m == nil {
		return 0, false
	}
	if m.Value.Type == ProgArray {
		e.failf(v.Pos, "%s is a prog_array: programs cannot read or write it", v.Map)
		return 0, false
	}
	if v.Key.Kind == ValueInt && !e.b.keyFits(m, v.Key.Int, v.Pos) {
		return 0, false
	}
	return e.b.width(v, m)
}

// read puts the value of v into dst, which is r0, r2, r3 or callee-saved.
func (e *emitter) read(v *Value, dst uint8) {
	switch v.Kind {
	case ValueInt:
		e.moveImm(dst, v.Int)
	case ValueReg:
		e.move(dst, uint8(v.Reg))
	case ValueResult:
		if !e.result {
			e.failf(v.Pos, "no result here: no call comes directly before, or a later step lost it")
		}
		e.move(dst, 0)
	case ValueCtx:
		e.readCtx(v, dst)
	case ValueStack:
		if size, ok := e.location(v); ok {
			e.load(size, dst, 10, int16(v.Off))
		}
	case ValueArg:
		e.readArg(dst)
	case ValueMap:
		e.readMap(v, dst)
	}
	if v.Times > 1 {
		e.op(bpf.Insn{Op: bpf.ClassALU64 | bpf.ALUMul, Dst: dst, Imm: int32(v.Times)})
	}
	if dst == 0 {
		e.result = false
	}
}

func (e *emitter) readCtx(v *Value, dst uint8) {
	if e.b.inTracing {
		e.failf(v.Pos, "no field %q to read: the context of a tracing program is the arguments of what it traces", v.Field)
		return
	}
	f, ok := e.b.sc.Type.ctxField(v.Field)
	if !ok {
		e.failf(v.Pos, "no field %q to read: expected %s", v.Field, expected(v.Field, e.b.sc.Type.ctxFieldNames(false)))
		return
	}
	base := uint8(1)
	switch {
	case e.inR1:
	case e.ctx != 0:
		base = e.ctx
	default:
		e.ctxInR1()
	}
	if f.off >= 0 {
		e.load(4, dst, base, f.off)
		return
	}
	const xdpData, xdpDataEnd = 0, 4
	e.load(4, dst, base, xdpDataEnd)
	e.load(4, 4, base, xdpData)
	e.op(bpf.Insn{Op: bpf.ClassALU64 | bpf.ALUSub | bpf.SrcReg, Dst: dst, Src: 4}) // dst -= r4
}

func (e *emitter) readMap(v *Value, dst uint8) {
	size, ok := e.location(v)
	if !ok {
		return
	}
	if !e.lookedUp(v) {
		e.mapAddr(dst, v.Map, bpf.PseudoMapValue, v.Off)
		e.load(size, dst, dst, 0)
		return
	}
	e.lookup(v)
	if dst != 0 {
		e.moveImm(dst, 0)
	}
	missing := e.jumpTo(bpf.Insn{Op: bpf.ClassJmp | bpf.JmpEq, Dst: 0}) // if r0 == 0 goto after
	e.load(size, dst, 0, int16(v.Off))
	e.land([]int{missing})
}

// lookup calls bpf_map_lookup_elem for the key of v: r0 is the value's address or 0 after it.
func (e *emitter) lookup(v *Value) {
	m := e.b.sc.Maps.Find(v.Map)
	slot := e.temp()
	e.read(v.Key, 2)
	e.store(int(m.Value.keySize()), 10, slot, 2)
	e.move(2, 10)
	e.addImm(2, int32(slot))
	e.mapAddr(1, v.Map, bpf.PseudoMap, 0)
	const mapLookupElem = 1
	e.helper(mapLookupElem)
	e.result = false
}

// readBoth puts x into r2 and y into r3.
func (e *emitter) readBoth(x, y *Value) {
	if !e.lookedUp(y) {
		e.read(x, 2)
		e.read(y, 3)
		return
	}
	if y.Kind == ValueResult || x.Kind == ValueResult {
		e.failf(x.Pos, "the lookup of %s loses the result: set a register to it first", y.Text)
		return
	}
	e.read(x, 2)
	keep := e.alloc(8)
	e.store(8, 10, keep, 2)
	e.read(y, 3)
	e.load(8, 2, 10, keep)
}

// write stores r2 in the place v.
func (e *emitter) write(v *Value) {
	switch v.Kind {
	case ValueReg:
		e.move(uint8(v.Reg), 2)
	case ValueStack:
		if size, ok := e.location(v); ok {
			e.store(size, 10, int16(v.Off), 2)
		}
	case ValueArg:
		e.writeArg()
	case ValueMap:
		size, ok := e.location(v)
		if !ok {
			return
		}
		if !e.lookedUp(v) {
			e.mapAddr(3, v.Map, bpf.PseudoMapValue, v.Off)
			e.store(size, 3, 0, 2)
			return
		}
		keep := e.alloc(8)
		e.store(8, 10, keep, 2)
		e.lookup(v)
		missing := e.jumpTo(bpf.Insn{Op: bpf.ClassJmp | bpf.JmpEq, Dst: 0})
		e.load(8, 2, 10, keep)
		e.store(size, 0, int16(v.Off), 2)
		e.land([]int{missing})
	default:
		e.failf(v.Pos, "expected a place to assign to (r6 to r9, fp-8, arg, map[key]), found %q", v.Text)
	}
}
