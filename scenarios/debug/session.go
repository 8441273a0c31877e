// SPDX-License-Identifier: GPL-2.0-only

package debug

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/check"
	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/emu/record"
	"github.com/tcsim/tcsim/emu/stack"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// Session is a place in a run. It implements gdb.Machine.
type Session struct {
	w    *runner.Walk
	m    *runner.Machine
	code *trace.Code
	rec  *trace.Recorder // has seen the run up to here
	fed  uint64          // instructions that rec has seen

	at    uint64 // instructions retired
	regs  emu.Regs
	rip   image.Addr
	flags uint64
	live  bool   // the machine can go on from here
	end   string // why it cannot, "" if it can
	fault *emu.Fault
	going *stack.Moment // where the next continue goes, nil for on

	ops map[image.Addr]access
}

// New returns a session at the beginning of a run.
func New(w *runner.Walk) (*Session, error) {
	m := w.Machine()
	s := &Session{w: w, m: m, code: m.Code, ops: map[image.Addr]access{}}
	s.rec = trace.NewRecorder(m.Code, trace.Config{MaxEvents: math.MaxUint64})
	return s, s.begin()
}

// At returns how many instructions have retired.
func (s *Session) At() uint64 { return s.at }

// RIP returns the address of the next instruction.
func (s *Session) RIP() image.Addr { return s.rip }

// begin goes to the beginning, which takes too little time to be interrupted.
func (s *Session) begin() error {
	s.rec.Reset()
	s.fed = 0
	return s.moved(s.w.Begin(context.Background(), s.rec))
}

// errInterrupted ends a movement whose context is done, wherever the machine then is.
var errInterrupted = errors.New("interrupted")

// moved notes where the machine is.
func (s *Session) moved(res emu.Result, err error) error {
	var f *emu.Fault
	s.live, s.end, s.fault = err == nil, "", nil
	switch {
	case errors.As(err, &f):
		s.end, s.fault = f.Error(), f
	case res.Stop == emu.StopCanceled:
		s.live = true
	case err != nil:
		return err
	case res.Stop == emu.StopReturn:
		s.rec.Finish()
		s.live, s.end = false, fmt.Sprintf("the program has returned %d", res.Return())
	case res.Stop == emu.StopInsns:
		s.live, s.end = false, res.Stop.String()
	}
	s.at, s.regs, s.rip = res.Retired, res.Regs, res.RIP
	flags, ferr := s.m.Flags()
	if ferr != nil {
		return ferr
	}
	if s.flags = flags; res.Stop == emu.StopCanceled {
		return errInterrupted
	}
	return nil
}

// follow is the observer of the run: the recorder follows it, and a scan looks for something.
type follow struct {
	s       *Session
	scan    *scan // nil for none
	retired []record.Retired
}

// Retired implements emu.Observer.
func (f *follow) Retired(b []record.Retired) bool {
	f.retired = b
	return false
}

// Sites implements emu.Observer.
func (f *follow) Sites(sites []record.Site) bool {
	first, b := f.s.fed, f.retired
	f.s.fed += uint64(len(b))
	f.retired = nil
	f.s.rec.Consume(trace.Batch{First: first, Retired: b, Sites: sites})
	return f.scan != nil && f.scan.look(f.s, first, b)
}

// goOn continues to where r says; sc may be nil.
func (s *Session) goOn(ctx context.Context, r emu.Run, sc *scan) error {
	r.Observer = &follow{s: s, scan: sc}
	res, err := s.w.Continue(ctx, r)
	if res.Stop == 0 && ctx.Err() != nil && errors.Is(err, ctx.Err()) { // it was over before it began: the place is unknown
		at := s.at
		if err := s.begin(); err != nil {
			return err
		}
		return errors.Join(errInterrupted, s.goTo(context.Background(), at))
	}
	return s.moved(res, err)
}

// goTo goes to a place, or to the end if that comes before.
func (s *Session) goTo(ctx context.Context, at uint64) error {
	if at < s.at || !s.live && at == s.at {
		if err := s.begin(); err != nil {
			return err
		}
	}
	if at == s.at || !s.live {
		return nil
	}
	return s.goOn(ctx, emu.Run{StopSeq: at}, nil)
}

// violation returns what broke first in the run, and where; nil if nothing did.
func (s *Session) violation() (*check.Violation, uint64) {
	v := s.w.Judged.Violation
	if v == nil {
		return nil, 0
	}
	return v, v.Seq
}

// acts are the activations as they are here.
func (s *Session) acts() []trace.Activation {
	return s.rec.StackAt(s.rip, image.Addr(s.regs[x86.RSP]))
}

// layout dumps the stack as it is here.
func (s *Session) layout() (*stack.Layout, error) {
	return stack.Dump(stack.Input{
		Code: s.code, Mem: s.m.Bytes, RIP: s.rip, RSP: image.Addr(s.regs[x86.RSP]), RBP: image.Addr(s.regs[x86.RBP]),
		Fill: guest.StackFill, Acts: s.acts(),
	})
}
