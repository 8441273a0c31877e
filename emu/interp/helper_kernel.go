// SPDX-License-Identifier: GPL-2.0-only

package interp

import (
	"encoding/binary"
	"syscall"

	"github.com/tcsim/tcsim/emu/interp/kernlib"
)

// kernelHelpers are those of kernel/bpf/helpers.c that work on text, timers and dynptrs.
var kernelHelpers = map[int32]helperFunc{
	105: (*Machine).strtol,
	106: (*Machine).strtoul,
	169: (*Machine).timerInit,
	170: (*Machine).timerSetCallback,
	171: (*Machine).timerStart,
	172: (*Machine).timerCancel,
	197: (*Machine).dynptrFromMem,
	198: (*Machine).ringbufReserveDynptr,
	199: (*Machine).ringbufCommitDynptr,
	200: (*Machine).ringbufCommitDynptr,
	201: (*Machine).dynptrRead,
	202: (*Machine).dynptrWrite,
	203: (*Machine).dynptrData,
}

// integer reads what bpf_strtol and bpf_strtoul do: R1 text, R2 its length, R3 the base.
func (m *Machine) integer() (n uint64, negative bool, took int, e syscall.Errno, err error) {
	text, err := m.buffer(1, m.regs[2], false)
	if err != nil {
		return 0, false, 0, 0, err
	}
	n, negative, took, e = kernlib.Integer(string(text), m.regs[3])
	return n, negative, took, e, nil
}

// number stores what was read where R4 points to, 0 after a failure.
func (m *Machine) number(n uint64, took int, e syscall.Errno) (uint64, error) {
	if e != 0 {
		n = 0
	}
	if !m.mem.store(m.regs[4], 8, n) {
		return 0, m.fault("r4 = %#x (%s) is outside the program's memory", m.regs[4], m.Locate(m.regs[4]))
	}
	if e != 0 {
		return errno(e), nil
	}
	return uint64(took), nil
}

func (m *Machine) strtol() (uint64, error) {
	n, negative, took, e, err := m.integer()
	if err != nil {
		return 0, err
	}
	const least = 1 << 63
	if e == 0 && (n > least || n == least && !negative) {
		e = syscall.ERANGE
	}
	if negative {
		n = -n
	}
	return m.number(n, took, e)
}

func (m *Machine) strtoul() (uint64, error) {
	n, negative, took, e, err := m.integer()
	if err != nil {
		return 0, err
	}
	if e == 0 && negative {
		e = syscall.EINVAL
	}
	return m.number(n, took, e)
}

// A timer holds in its first byte whether it was made, has a callback, and runs: it is never due.
const timerMade, timerReady, timerRuns = 1, 2, 4

// timerArg returns the byte of the timer that R1 points to.
func (m *Machine) timerArg() ([]byte, error) { return m.buffer(1, 1, true) }

func (m *Machine) timerInit() (uint64, error) {
	t, err := m.timerArg()
	switch clock := m.regs[3]; {
	case err != nil:
		return 0, err
	case clock != 0 && clock != 1 && clock != 7: // CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME
		return errno(syscall.EINVAL), nil
	case t[0] != 0:
		return errno(syscall.EBUSY), nil
	}
	t[0] = timerMade
	return 0, nil
}

func (m *Machine) timerSetCallback() (uint64, error) {
	t, err := m.timerArg()
	if err != nil {
		return 0, err
	}
	if t[0] == 0 {
		return errno(syscall.EINVAL), nil
	}
	t[0] |= timerReady
	return 0, nil
}

func (m *Machine) timerStart() (uint64, error) {
	t, err := m.timerArg()
	if err != nil {
		return 0, err
	}
	if m.regs[3] > 3 || t[0]&timerReady == 0 {
		return errno(syscall.EINVAL), nil
	}
	t[0] |= timerRuns
	return 0, nil
}

func (m *Machine) timerCancel() (uint64, error) {
	t, err := m.timerArg()
	if err != nil {
		return 0, err
	}
	if t[0] == 0 {
		return errno(syscall.EINVAL), nil
	}
	ran := t[0]&timerRuns != 0
	if t[0] = timerMade; ran {
		return 1, nil
	}
	return 0, nil
}

// What a dynptr is of: nothing, memory of the program, a record of a ring buffer.
const (
	dynptrLocal, dynptrRing = 1 << 28, 2 << 28
	dynptrMax               = 1<<24 - 1
)

// dynptrArg reads the dynptr that register reg points to: an address, 0 if it is of nothing, and a size.
func (m *Machine) dynptrArg(reg int) (data uint64, size uint32, err error) {
	b, err := m.buffer(reg, 16, false)
	if err != nil {
		return 0, 0, err
	}
	return binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint32(b[8:]) & dynptrMax, nil
}

// setDynptr writes it; what a failure leaves is of nothing.
func (m *Machine) setDynptr(reg int, data uint64, kind, size uint32, e syscall.Errno) (uint64, error) {
	b, err := m.buffer(reg, 16, true)
	if err != nil {
		return 0, err
	}
	clear(b)
	if data != 0 && e == 0 {
		binary.LittleEndian.PutUint64(b, data)
		binary.LittleEndian.PutUint32(b[8:], kind|size)
	}
	return errno(e), nil
}

func (m *Machine) dynptrFromMem() (uint64, error) {
	size, e := uint32(m.regs[2]), syscall.Errno(0)
	switch {
	case size > dynptrMax:
		e = syscall.E2BIG
	case m.regs[3] != 0:
		e = syscall.EINVAL
	}
	return m.setDynptr(4, m.regs[1], dynptrLocal, size, e)
}

func (m *Machine) ringbufReserveDynptr() (uint64, error) {
	s, err := m.ringbuf()
	if err != nil {
		return 0, err
	}
	size := uint32(m.regs[2])
	switch {
	case m.regs[3] != 0:
		return m.setDynptr(4, 0, 0, 0, syscall.EINVAL)
	case size > dynptrMax:
		return m.setDynptr(4, 0, 0, 0, syscall.E2BIG)
	}
	at, data := s.record(uint64(size))
	if data == nil {
		return m.setDynptr(4, 0, 0, 0, syscall.EINVAL)
	}
	return m.setDynptr(4, s.base+at, dynptrRing, size, 0)
}

// ringbufCommitDynptr has no result that a program may look at.
func (m *Machine) ringbufCommitDynptr() (uint64, error) { return m.setDynptr(1, 0, 0, 0, 0) }

// part returns n bytes at off of the dynptr in register reg; an errno where they are not in it.
func (m *Machine) part(reg int, off, n uint32, write bool) ([]byte, syscall.Errno, error) {
	data, size, err := m.dynptrArg(reg)
	switch {
	case err != nil:
		return nil, 0, err
	case data == 0:
		return nil, syscall.EINVAL, nil
	case uint64(off)+uint64(n) > uint64(size):
		return nil, syscall.E2BIG, nil
	case n == 0:
		return nil, 0, nil
	}
	b := m.mem.span(data+uint64(off), int(n), write)
	if b == nil {
		return nil, 0, m.fault("the memory of a dynptr, %d bytes at %#x (%s), is not there", n, data, m.Locate(data))
	}
	return b, 0, nil
}

func (m *Machine) dynptrRead() (uint64, error) {
	n := uint32(m.regs[2])
	if m.regs[5] != 0 {
		return errno(syscall.EINVAL), nil
	}
	from, e, err := m.part(3, uint32(m.regs[4]), n, false)
	if err != nil || e != 0 || n == 0 {
		return errno(e), err
	}
	to, err := m.buffer(1, uint64(n), true)
	copy(to, from)
	return 0, err
}

func (m *Machine) dynptrWrite() (uint64, error) {
	n := uint32(m.regs[4])
	to, e, err := m.part(1, uint32(m.regs[2]), n, true)
	if e == 0 && m.regs[5] != 0 {
		e = syscall.EINVAL
	}
	if err != nil || e != 0 || n == 0 {
		return errno(e), err
	}
	from, err := m.buffer(3, uint64(n), false)
	copy(to, from)
	return 0, err
}

func (m *Machine) dynptrData() (uint64, error) {
	data, size, err := m.dynptrArg(1)
	if off := m.regs[2] & 0xffff_ffff; err == nil && data != 0 && off+m.regs[3]&0xffff_ffff <= uint64(size) {
		return data + off, nil
	}
	return 0, err
}
