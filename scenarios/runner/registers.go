// SPDX-License-Identifier: GPL-2.0-only

package runner

import (
	"context"
	"errors"
	"fmt"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/stack"
	"github.com/tcsim/tcsim/emu/trace"
)

// AddRegisters performs run number n, from 1, once more, and gives each event all registers as they are directly
// before its instruction. Events must be of this run, as PlayTo returned them, in their order; text pokes are none of
// the run's instructions and get none.
func (s *Session) AddRegisters(ctx context.Context, n int, events []trace.Event) error {
	e, err := s.before(ctx, n)
	if err != nil {
		return err
	}
	m := s.m
	fresh, at := true, emu.Result{}
	last := uint64(0)
	for i := range events {
		ev := &events[i]
		if ev.Kind == trace.KindPoke {
			continue
		}
		if fresh || ev.Seq != last {
			var err error
			var fault *emu.Fault
			if _, at, err = m.goTo(ctx, e, stack.Moment{Seq: ev.Seq}, fresh); err != nil && !errors.As(err, &fault) {
				return err
			}
		}
		if at.RIP != ev.RIP {
			return fmt.Errorf("BUG: event %d is at %#x, run again at %#x", ev.No, uint64(ev.RIP), uint64(at.RIP))
		}
		regs := [16]uint64(at.Regs)
		ev.Regs, fresh, last = &regs, false, ev.Seq
	}
	return nil
}
