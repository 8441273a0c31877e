// SPDX-License-Identifier: GPL-2.0-only

package helper

import (
	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/jit/image"
)

// What struct bpf_timer holds in place of the kernel's pointer: a timer can be set up, and is never due (kernel/bpf/helpers.c).
const (
	timerMade = 1 << iota
	timerCallback
	timerActive
)

// Clocks that timers take.
const (
	clockRealtime, clockMonotonic, clockBoottime = 0, 1, 7

	maxClocks = 16
)

func timerInit(c *call) (uint64, error) {
	switch flags := c.arg(3); {
	case flags >= maxClocks, flags != clockRealtime && flags != clockMonotonic && flags != clockBoottime:
		return guest.EINVAL.Result(), nil
	}
	return c.timer(func(state uint64) (uint64, guest.Errno) {
		if state != 0 {
			return state, guest.EBUSY
		}
		return timerMade, 0
	})
}

func timerSetCallback(c *call) (uint64, error) {
	return c.timer(func(state uint64) (uint64, guest.Errno) {
		if state == 0 {
			return state, guest.EINVAL
		}
		return state | timerCallback, 0
	})
}

func timerStart(c *call) (uint64, error) {
	const flags = 3 // BPF_F_TIMER_ABS, BPF_F_TIMER_CPU_PIN
	return c.timer(func(state uint64) (uint64, guest.Errno) {
		if c.arg(3)&^flags != 0 || state&timerCallback == 0 {
			return state, guest.EINVAL
		}
		return state | timerActive, 0
	})
}

// timerCancel returns 1 if the timer was to be due.
func timerCancel(c *call) (uint64, error) {
	active := uint64(0)
	v, err := c.timer(func(state uint64) (uint64, guest.Errno) {
		if state == 0 {
			return state, guest.EINVAL
		}
		active = state & timerActive / timerActive
		return timerMade, 0
	})
	if v == 0 {
		v = active
	}
	return v, err
}

// timer changes the state of the timer that argument 1 points to.
func (c *call) timer(change func(state uint64) (uint64, guest.Errno)) (uint64, error) {
	state, err := c.e.Mem.ReadWord(c.addr(1))
	if err != nil {
		return 0, err
	}
	next, e := change(state)
	if e != 0 {
		return e.Result(), nil
	}
	return 0, c.e.Mem.WriteWord(c.addr(1), next)
}

// getStack finds one frame, that of the kernel function that calls programs: buffer 2 of 3 bytes, flags 4. What remains of the
// buffer is zeroed (bpf_get_stack, kernel/bpf/stackmap.c).
func getStack(c *call) (uint64, error) {
	const skip, user, buildID = 0xff, 1 << 8, 1 << 11
	size, flags := uint64(uint32(c.arg(3))), c.arg(4)
	if size > 1<<20 {
		return guest.E2BIG.Result(), nil
	}
	b := make([]byte, size)
	switch {
	case flags&^uint64(skip|user|buildID) != 0, flags&buildID != 0 && flags&user == 0, size%8 != 0:
		return guest.EINVAL.Result(), c.e.Mem.Write(c.addr(2), b)
	case flags&user != 0: // no user space is there
		return guest.EFAULT.Result(), c.e.Mem.Write(c.addr(2), b)
	case flags&skip != 0 || size == 0:
		return 0, c.e.Mem.Write(c.addr(2), b)
	}
	if err := c.e.Mem.Write(c.addr(2), b); err != nil {
		return 0, err
	}
	return 8, c.e.Mem.WriteWord(image.Addr(c.arg(2)), uint64(guest.OutsideReturn))
}
