// SPDX-License-Identifier: GPL-2.0-only

package debug

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/check"
	"github.com/tcsim/tcsim/emu/gdb"
	"github.com/tcsim/tcsim/jit/image"
)

// Resume implements gdb.Machine.
func (s *Session) Resume(ctx context.Context, r gdb.Resume) (gdb.Stop, error) {
	from := s.at
	var stop gdb.Stop
	var err error
	switch {
	case r.Step && r.Back:
		stop, err = s.stepBack()
	case r.Step && r.End != 0:
		stop, err = s.stepWithin(ctx, r)
	case r.Step:
		stop, err = s.step()
	case s.going != nil:
		stop, err = s.arrive(ctx)
	case r.Back:
		stop, err = s.back(ctx, r)
	default:
		stop, err = s.on(ctx, r)
	}
	if errors.Is(err, errInterrupted) {
		err = nil
		if r.Back { // halfway through the run once more: that is no place that anybody asked for
			err = s.goTo(context.Background(), from)
		}
		return gdb.Stop{Reason: gdb.Interrupted}, err
	}
	return stop, err
}

// step does one instruction. It is not worth being interrupted.
func (s *Session) step() (gdb.Stop, error) {
	if !s.live {
		return s.ended(), nil
	}
	if err := s.goTo(context.Background(), s.at+1); err != nil {
		return gdb.Stop{}, err
	}
	if v, at := s.violation(); v != nil && at == s.at {
		return broken(v), nil
	}
	return gdb.Stop{Reason: gdb.Stepped}, nil
}

// stepWithin does instructions while the next one is in a range, and one at least. Watchpoints are for others to look at: with
// some it is one instruction.
func (s *Session) stepWithin(ctx context.Context, r gdb.Resume) (gdb.Stop, error) {
	for {
		stop, err := s.step()
		rip := uint64(s.rip)
		switch {
		case err != nil || stop.Reason != gdb.Stepped || len(r.Watches) > 0 || rip < r.From || rip >= r.End:
			return stop, err
		case slices.Contains(r.Breaks, rip):
			return gdb.Stop{Reason: gdb.AtBreak}, nil
		case ctx.Err() != nil:
			return gdb.Stop{Reason: gdb.Interrupted}, nil
		}
	}
}

// stepBack goes back by one instruction.
func (s *Session) stepBack() (gdb.Stop, error) {
	if s.at == 0 {
		return gdb.Stop{Reason: gdb.Began}, nil
	}
	return gdb.Stop{Reason: gdb.Stepped}, s.goTo(context.Background(), s.at-1)
}

// arrive goes to where the monitor's event command said.
func (s *Session) arrive(ctx context.Context) (gdb.Stop, error) {
	mo := s.going
	s.going = nil
	if err := s.goTo(ctx, mo.Seq); err != nil {
		return gdb.Stop{}, err
	}
	if s.live && mo.Until != 0 && s.rip != mo.Until {
		if err := s.goOn(ctx, emu.Run{StopAddr: mo.Until}, nil); err != nil {
			return gdb.Stop{}, err
		}
	}
	return gdb.Stop{Reason: gdb.Arrived, Text: "tcsim: " + mo.Name}, nil
}

// on goes on until something stops it.
func (s *Session) on(ctx context.Context, r gdb.Resume) (gdb.Stop, error) {
	if !s.live {
		return s.ended(), nil
	}
	sc, stops := s.scanFor(r, false)
	v, broke := s.violation()
	until := uint64(0)
	if v != nil && s.at < broke {
		until = broke
	}
	for {
		if err := s.leap(ctx, until, stops, sc); err != nil {
			return gdb.Stop{}, err
		}
		switch {
		case sc.found:
			return s.found(ctx, sc)
		case sc.helped(s):
			return gdb.Stop{Reason: gdb.AtWatch, Watch: sc.watch}, nil
		case until != 0 && (s.at == until || !s.live):
			return broken(v), nil
		case !s.live:
			return s.ended(), nil
		case sc.breaks[s.rip]:
			return gdb.Stop{Reason: gdb.AtBreak}, nil
		}
	}
}

// leap goes on to one of stops, but not to one that the machine is at, or to a place, if that is not 0.
func (s *Session) leap(ctx context.Context, until uint64, stops []image.Addr, sc *scan) error {
	if err := s.goOn(ctx, emu.Run{StopSeq: s.at + 1}, sc); err != nil {
		return err
	}
	if !s.live || s.at == until || sc.found && !sc.back {
		return nil
	}
	return s.goOn(ctx, emu.Run{StopSeq: until, StopAddrs: stops}, sc)
}

// found goes to what a scan has found, which the machine has gone past.
func (s *Session) found(ctx context.Context, sc *scan) (gdb.Stop, error) {
	if err := s.goTo(ctx, sc.at); err != nil {
		return gdb.Stop{}, err
	}
	if sc.atWatch {
		return gdb.Stop{Reason: gdb.AtWatch, Watch: sc.watch}, nil
	}
	return gdb.Stop{Reason: gdb.AtBreak}, nil
}

// back goes back until something stops it: it looks for that from the beginning of the run.
func (s *Session) back(ctx context.Context, r gdb.Resume) (gdb.Stop, error) {
	sc, stops := s.scanFor(r, true)
	until := s.at
	if err := s.begin(); err != nil {
		return gdb.Stop{}, err
	}
	sc.helped(s)
	for s.live && s.at < until {
		if err := s.leap(ctx, until, stops, sc); err != nil {
			return gdb.Stop{}, err
		}
		sc.helped(s)
	}
	if !sc.found {
		return gdb.Stop{Reason: gdb.Began}, s.goTo(ctx, 0)
	}
	return s.found(ctx, sc)
}

// ended is the stop where the run can go no further.
func (s *Session) ended() gdb.Stop { return gdb.Stop{Reason: gdb.Ended, Text: "tcsim: " + s.end} }

// broken is the stop where an invariant broke.
func broken(v *check.Violation) gdb.Stop {
	signal := gdb.SIGABRT
	if v.Invariant == check.FaultFree || v.Invariant == check.StackBudget {
		signal = gdb.SIGSEGV
	}
	return gdb.Stop{Reason: gdb.Signaled, Signal: signal, Text: "tcsim: " + strings.TrimSpace(v.String())}
}

// text reports whether an address is of code, so that execution may come to it.
func (s *Session) text(a uint64) bool { return s.m.Mem.IsText(image.Addr(a)) }
