// SPDX-License-Identifier: GPL-2.0-only

package interp

// junk is what registers hold that a program may not read: R1 to R5 after calls, and everything
// but R1 and R10 at the start.
const junk = 0xdead_4ead_0000_0000

// exec runs until the frame at depth base has returned.
func (m *Machine) exec(base int) error {
	r := &m.regs
	for {
		if m.res.Insns >= m.cfg.MaxInsns {
			return errBudget
		}
		m.res.Insns++
		if m.cfg.Stepper != nil {
			m.step()
		}
		o := &m.cur.code[m.pc]
		m.pc++
		v := o.imm
		if o.reg {
			v = r[o.src&15]
		}
		d := &r[o.dst&15]
		var err error
		switch o.kind {
		case kindALU64:
			*d = alu64(o.code, *d, v)
		case kindALU32:
			*d = uint64(alu32(o.code, uint32(*d), uint32(v)))
		case kindJump:
			if holds(o.code, *d, v) {
				m.pc = int(o.off)
			}
		case kindJump32:
			if holds(o.code, uint64(int32(*d)), uint64(int32(v))) {
				m.pc = int(o.off)
			}
		case kindGoto:
			m.pc = int(o.off)
		case kindLoad:
			err = m.load(o)
		case kindLoadSext:
			err = m.load(o)
			*d = sext(*d, o.size*8)
		case kindStore:
			err = m.storeTo(*d+uint64(int64(o.off)), o.size, v)
		case kindImm64:
			*d = o.imm
			m.pc++
		case kindSwap:
			*d = swap(o.code, o.size, *d)
		case kindSext:
			*d = sext(v, o.size)
			if o.code != 0 {
				*d = uint64(uint32(*d))
			}
		case kindCast:
			*d = m.mem.arena + uint64(uint32(v))
		case kindAtomic:
			err = m.atomic(o)
		case kindPacket:
			err = m.packetLoad(o, v)
		case kindMayGoto:
			m.mayGoto(o)
		case kindCall:
			err = m.call(o)
		case kindHelper:
			err = m.helper(o)
		case kindKfunc:
			err = m.kfunc(o)
		case kindTail:
			err = m.tailCall()
		case kindExit:
			err = m.exit()
		default:
			panic("BUG: reached a slot that is no instruction")
		}
		if err == nil && m.mem.depth >= base {
			continue
		}
		return err
	}
}

// push makes a frame for function fn of m.cur and goes to its first instruction.
func (m *Machine) push(fn int) bool {
	if m.mem.depth+1 >= m.mem.maxDepth {
		return false
	}
	m.mem.depth++
	if m.mem.depth == len(m.mem.frames) {
		m.mem.frames = append(m.mem.frames, new(frame))
	}
	f := m.mem.top()
	f.traced, f.calling = false, false
	m.res.Frames = max(m.res.Frames, m.mem.depth+1)
	m.enter(fn)
	return true
}

// enter begins function fn of m.cur in the top frame.
func (m *Machine) enter(fn int) {
	f := m.mem.top()
	clear(f.stack[:])
	clear(f.written[:])
	f.fn, f.prog, f.loops = fn, m.cur, m.cfg.Rules.MayGoto
	m.regs[10] = m.mem.fp()
	m.pc = m.cur.funcs[fn].start
}

// suspend keeps in the top frame what the function that runs in it needs after a call.
func (m *Machine) suspend() {
	f := m.mem.top()
	f.pc = m.pc
	f.saved = [4]uint64(m.regs[6:10])
	f.count = m.count
}

// resume goes on with the top frame.
func (m *Machine) resume() {
	f := m.mem.top()
	m.cur, m.pc = f.prog, f.pc
	copy(m.regs[6:10], f.saved[:])
	m.regs[10] = m.mem.fp()
	if m.cfg.Rules.PerFrame {
		m.count = f.count
	}
}

// call enters a subprogram.
func (m *Machine) call(o *op) error {
	if err := m.point(false); err != nil {
		return err
	}
	m.res.Calls++
	m.suspend()
	m.mem.top().calling = true
	cur, fn := m.cur, int(o.imm)
	if by := cur.funcs[fn].by; by != nil {
		m.cur, fn = by, 0
	}
	if !m.push(fn) {
		m.cur = cur
		return m.fault("more than %d frames", m.mem.maxDepth)
	}
	return m.traceEntry()
}

// exit leaves a function.
func (m *Machine) exit() error {
	if m.pending != nil && m.mem.depth == 0 {
		if err := m.point(true); err != nil {
			return err
		}
	}
	if m.mem.top().traced {
		if err := m.traceExit(); err != nil {
			return err
		}
	}
	m.pop()
	return nil
}

// pop leaves the top frame. The caller goes on, if there is one that waits for a call.
func (m *Machine) pop() {
	m.mem.depth--
	if m.mem.depth < 0 {
		m.res.Return = m.regs[0]
		return
	}
	m.resume()
	m.trash(1)
	if f := m.mem.top(); f.calling {
		f.calling = false
		m.returned(CallSubprogram)
	}
}

// trash puts junk into the registers from first up to R5.
func (m *Machine) trash(first int) {
	for i := first; i <= 5; i++ {
		m.regs[i] = junk + uint64(i)
	}
}

// mayGoto jumps when the frame has used up its passes.
func (m *Machine) mayGoto(o *op) {
	f := m.mem.top()
	if f.loops == 0 {
		m.pc = int(o.off)
		return
	}
	f.loops--
}

// load executes a load, zero-extended.
func (m *Machine) load(o *op) error {
	addr := m.regs[o.src&15] + uint64(int64(o.off))
	v, ok := m.mem.load(addr, o.size)
	if !ok {
		if v, ok = m.ctx.load(addr-m.cfg.Layout.Ctx, o.size, &m.cfg.Layout); !ok {
			if !m.cur.def.ProbeMem {
				return m.badAccess("load", addr, o.size)
			}
			v = 0
		}
	}
	m.regs[o.dst&15] = v
	return nil
}

// storeTo executes a store.
func (m *Machine) storeTo(addr uint64, n uint8, v uint64) error {
	if !m.mem.store(addr, n, v) && !m.ctx.store(addr-m.cfg.Layout.Ctx, n, v) {
		return m.badAccess("store", addr, n)
	}
	return nil
}

func (m *Machine) badAccess(what string, addr uint64, n uint8) error {
	return m.fault("%s of %d bytes at %#x (%s) is outside the program's memory", what, n, addr, m.Locate(addr))
}

// IsJunk reports whether a register that holds v may never have been given a value.
func IsJunk(v uint64) bool { return v-junk < 16 }
