// SPDX-License-Identifier: GPL-2.0-only

package emu

/*
#include "engine.h"
#include <stdlib.h>
*/
import "C"

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	uc "github.com/unicorn-engine/unicorn/bindings/go/unicorn"

	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/emu/helper"
	"github.com/tcsim/tcsim/emu/record"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// Level says what a run records.
type Level uint8

// The recording levels.
const (
	LevelNone    Level = iota // nothing: the bare engine
	LevelSites                // marked instructions
	LevelRetired              // every instruction, and the marked ones
)

// Observer receives what a run records. Sites is called whenever something has gathered, if only
// instructions, and Retired before it if they are recorded: when Sites is called, every instruction up to the last site's
// has been handed over, if the level records them. The slices are valid only during the call.
// Returning true stops the run.
type Observer interface {
	Retired(batch []record.Retired) (stop bool)
	Sites(batch []record.Site) (stop bool)
}

// FrameSize is how many bytes a FrameObserver is given with each site.
const FrameSize = C.TCS_FRAME

// FrameObserver is an Observer that wants to see the BPF stacks: Frames is called before each Sites
// with as many pieces of memory, the bytes below rbp as they are at the site, whatever is there.
type FrameObserver interface {
	Observer
	Frames(batch [][FrameSize]byte)
}

// Run says what to execute and when to stop. The zero value runs program 0 with a zero context
// argument and records nothing.
type Run struct {
	Image int // index into guest.Setup.Images
	// Entry replaces the entry point of the image, if not 0.
	Entry image.Addr
	// Args are R1 to R5 as far as the caller defines them, for kernel functions also a sixth; the others
	// hold junk. The context is usually at guest.ContextAddr.
	Args  []uint64
	Level Level
	// Observer may be nil.
	Observer Observer

	// MaxInsns and MaxEvents end the run after so many instructions and sites, counted from the
	// start of the run; 0 means no limit. At sites level instructions are counted exactly, but the
	// run ends at a branch. LevelNone knows neither.
	MaxInsns, MaxEvents uint64
	// StopSeq, if not 0, stops directly before instruction number StopSeq (record.Site.Seq), and
	// StopAddr before the StopHits'th (0 means first) execution of an instruction. Both need
	// LevelRetired. Memory can then be read and patched, and the run continued.
	StopSeq  uint64
	StopAddr image.Addr
	StopHits uint64
	// StopAddrs stop, with StopAddr, directly before the next execution of any of these, at most MaxStopAddrs.
	StopAddrs []image.Addr
}

// MaxStopAddrs is how many addresses Run.StopAddrs may have.
const MaxStopAddrs = C.TCS_STOPS

// Stop says why a run ended.
type Stop uint8

// The reasons.
const (
	StopReturn   Stop = iota + 1 // the program returned to its caller
	StopInsns                    // Run.MaxInsns
	StopEvents                   // Run.MaxEvents
	StopSeq                      // Run.StopSeq
	StopAddr                     // Run.StopAddr
	StopObserver                 // the observer wanted no more
	StopCanceled                 // the context ended
)

var stopNames = [...]string{
	StopReturn: "returned", StopInsns: "instruction budget used up", StopEvents: "event budget used up",
	StopSeq: "stopped at an instruction number", StopAddr: "stopped at an address",
	StopObserver: "stopped by the observer", StopCanceled: "canceled",
}

// String returns the reason in words.
func (s Stop) String() string { return stopNames[s] }

// Result is the state at the end of a run, or where it was stopped.
type Result struct {
	Stop Stop
	RIP  image.Addr // of the next instruction; after StopReturn guest.OutsideReturn
	Regs Regs
	// Retired and Sites count from the start of the run. Retired is 0 at LevelNone.
	Retired, Sites uint64
	// Helpers are those called, in order of address.
	Helpers []helper.Calls
	// Printk are the lines of bpf_trace_printk.
	Printk []string
	// Interrupts are what the programs returned that interrupted the run, in order of their ends.
	Interrupts []uint64
}

// Return is what the program returned: rax.
func (r *Result) Return() uint64 { return r.Regs[x86.RAX] }

// errNotLoaded is returned by runs of an empty machine.
var errNotLoaded = errors.New("nothing is loaded")

// Run executes a program from its entry. Memory is as earlier runs left it; Reset restores it. A
// run that cannot go on returns a *Fault, one whose context ended the context's error; the result
// is valid in both cases.
func (m *Machine) Run(ctx context.Context, r Run) (Result, error) {
	entry, err := m.begin(r)
	if err != nil {
		return Result{}, fmt.Errorf("run: %w", err)
	}
	m.World = helper.NewWorld(m.cfg.Seed)
	clear(m.calls)
	m.interrupts, m.interruptReturns = m.interrupts[:0], nil
	c := m.c
	c.base, c.events, c.seq, c.prev = 0, 0, 0, 0
	c.n, c.nsites, c.nrecent, c.blk = 0, 0, 0, nil
	return m.execute(ctx, r, entry)
}

// Continue goes on where the last run was stopped. Limits in r count from the start of that run;
// Image, Entry and Args mean nothing.
func (m *Machine) Continue(ctx context.Context, r Run) (Result, error) {
	if !m.stopped {
		return Result{}, fmt.Errorf("continue: no run was stopped")
	}
	if C.int(r.Level) != m.c.level {
		return Result{}, fmt.Errorf("continue: the run was stopped at another recording level")
	}
	if err := m.prepare(r); err != nil {
		return Result{}, fmt.Errorf("continue: %w", err)
	}
	rip, err := m.uc.RegRead(uc.X86_REG_RIP)
	if err != nil {
		return Result{}, fmt.Errorf("continue: %w", err)
	}
	return m.execute(ctx, r, image.Addr(rip))
}

// begin sets registers and stack as the outside caller leaves them. Registers that the program
// must not rely on hold junk.
func (m *Machine) begin(r Run) (image.Addr, error) {
	if !m.loaded {
		return 0, errNotLoaded
	}
	entry := r.Entry
	if entry == 0 {
		if r.Image < 0 || r.Image >= len(m.Setup.Images) {
			return 0, fmt.Errorf("no image %d", r.Image)
		}
		f := &m.Setup.Images[r.Image].Funcs[0]
		entry = f.Addr + image.Addr(f.Entry)
	}
	if err := m.renew(); err != nil {
		return 0, err
	}
	if err := m.prepare(r); err != nil {
		return 0, err
	}
	if err := m.uc.ContextRestore(m.clean); err != nil {
		return 0, err
	}
	if len(r.Args) > len(helper.ArgRegs) {
		return 0, fmt.Errorf("%d arguments", len(r.Args))
	}
	junk, flags := guest.EntryJunk(m.cfg.Seed)
	g := Regs(junk)
	for i, a := range r.Args {
		g[helper.ArgRegs[i]] = a
	}
	g[x86.RAX] = uint64(entry)
	g[x86.RSP], g[x86.RBP] = uint64(guest.EntryRSP), uint64(guest.OutsideRBP)
	m.setRegs(&g)
	if err := m.uc.RegWrite(uc.X86_REG_EFLAGS, flags); err != nil {
		return 0, err
	}
	return entry, m.Mem.WriteWord(guest.EntryRSP, uint64(guest.OutsideReturn))
}

// prepare sets the level and the limits.
func (m *Machine) prepare(r Run) error {
	if r.Level > LevelRetired {
		return fmt.Errorf("no recording level %d", r.Level)
	}
	if r.Level != LevelRetired && (r.StopSeq != 0 || r.StopAddr != 0 || len(r.StopAddrs) != 0) {
		return errors.New("stopping at an instruction needs the retired level")
	}
	if len(r.StopAddrs) > MaxStopAddrs {
		return fmt.Errorf("%d addresses to stop at, at most %d", len(r.StopAddrs), MaxStopAddrs)
	}
	if err := m.setLevel(r.Level); err != nil {
		return err
	}
	limit := func(n uint64) C.uint64_t {
		if n == 0 {
			return math.MaxUint64
		}
		return C.uint64_t(n)
	}
	c := m.c
	c.max_insns, c.max_events, c.stop_seq = limit(r.MaxInsns), limit(r.MaxEvents), limit(r.StopSeq)
	if old := c.stop_addr; old != 0 {
		C.tcs_insn_at(c, old).flags &^= C.TCS_READY
	}
	c.stop_addr, c.stop_hits = C.uint64_t(r.StopAddr), 0
	if r.StopAddr != 0 {
		c.stop_hits = C.uint64_t(max(r.StopHits, 1))
		C.tcs_insn_at(c, c.stop_addr).flags &^= C.TCS_READY
	}
	m.stopAt(r.StopAddrs)
	c.cancel, c.cr2, c.bad_addr = 0, 0, 0
	m.observer, m.helperErr = r.Observer, nil
	m.frames, _ = r.Observer.(FrameObserver)
	return m.wantFrames(m.frames != nil)
}

// stopAt makes these addresses the ones of Run.StopAddrs.
func (m *Machine) stopAt(addrs []image.Addr) {
	c := m.c
	for _, a := range c.stops[:c.nstops] {
		C.tcs_insn_at(c, a).flags &^= C.TCS_READY
	}
	c.nstops = C.uint32_t(len(addrs))
	for i, a := range addrs {
		c.stops[i] = C.uint64_t(a)
		C.tcs_insn_at(c, c.stops[i]).flags &^= C.TCS_READY
	}
}

// wantFrames has frames copied with each site, or not.
func (m *Machine) wantFrames(yes bool) error {
	if yes && m.frameBuf == nil {
		if m.frameBuf = C.malloc(C.TCS_SITE_CAP * C.TCS_FRAME); m.frameBuf == nil {
			return errors.New("no memory for frames")
		}
	}
	if m.c.frames = nil; yes {
		m.c.frames = (*C.uint8_t)(m.frameBuf)
	}
	return nil
}

// execute runs the engine, through the ends of interrupts, and says how it ended.
func (m *Machine) execute(ctx context.Context, r Run, rip image.Addr) (Result, error) {
	for {
		res, err := m.executeOnce(ctx, r, rip)
		if err != nil || res.Stop != StopReturn || len(m.interrupts) == 0 {
			res.Interrupts = m.interruptReturns
			return res, err
		}
		if rip, err = m.resumeInterrupted(res.Return()); err != nil {
			return res, err
		}
	}
}

// executeOnce runs the engine and says how it ended.
func (m *Machine) executeOnce(ctx context.Context, r Run, rip image.Addr) (Result, error) {
	if err := ctx.Err(); err != nil {
		return Result{}, err
	}
	stopWatching := m.watch(ctx)
	code, at, err := m.engage(rip)
	stopWatching()
	if err != nil {
		return Result{}, fmt.Errorf("run: %w", err)
	}
	if err := m.keepPaging(); err != nil {
		return Result{}, fmt.Errorf("run: %w", err)
	}
	end := image.Addr(at)
	if a := m.c.stop_rip; a != 0 && code == 0 && m.c.reason != C.TCS_STOP_EXIT {
		end = image.Addr(a)
		if err := m.uc.RegWrite(uc.X86_REG_RIP, uint64(a)); err != nil {
			return Result{}, fmt.Errorf("run: %w", err)
		}
	}
	if m.c.reason == C.TCS_STOP_TRAP && m.c.intno == 3 {
		end-- // the engine points after int3
	}
	if m.c.keep != 0 {
		C.tcs_settle(m.c, C.uint64_t(end))
	}
	C.tcs_finish(m.c, C.uint64_t(end))
	stop, fault := m.ended(code, end)
	m.flush(stop)
	res := m.result(r)
	res.Stop, res.RIP = stop, end
	if stop == StopReturn && fault == nil {
		fault = m.flagsFault(image.Addr(m.c.prev))
	}
	if fault != nil {
		m.stopped = false
		fault.Seq = res.Retired
		return res, fault
	}
	m.stopped = stop != StopReturn
	if stop == StopReturn {
		res.RIP = guest.OutsideReturn
	}
	if stop == StopCanceled {
		return res, context.Cause(ctx)
	}
	return res, nil
}

// watch stops the engine when the context ends. The request is repeated, as one that comes before
// the engine has begun is lost.
func (m *Machine) watch(ctx context.Context) (stop func()) {
	if ctx.Done() == nil {
		return func() {}
	}
	done, gone := make(chan struct{}), make(chan struct{})
	cancel := context.AfterFunc(ctx, func() {
		defer close(gone)
		for {
			C.tcs_halt(m.c)
			select {
			case <-done:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	})
	return func() {
		if !cancel() {
			close(done)
			<-gone
		}
	}
}

// ended finds out why the engine came back.
func (m *Machine) ended(code C.int, rip image.Addr) (Stop, *Fault) {
	if code != 0 {
		return 0, m.engineFault(uc.UcError(code), rip)
	}
	switch m.c.reason {
	case C.TCS_STOP_EXIT:
		return StopReturn, nil
	case C.TCS_STOP_SEQ:
		return StopSeq, nil
	case C.TCS_STOP_ADDR:
		return StopAddr, nil
	case C.TCS_STOP_INSNS:
		return StopInsns, nil
	case C.TCS_STOP_EVENTS:
		return StopEvents, nil
	case C.TCS_STOP_OBSERVER:
		return StopObserver, nil
	case C.TCS_STOP_CANCEL:
		return StopCanceled, nil
	case C.TCS_STOP_TRAP:
		return 0, m.trapFault(int(m.c.intno), rip)
	case C.TCS_STOP_DECODE:
		return 0, m.refused(image.Addr(m.c.bad_addr))
	case C.TCS_STOP_HELPER:
		return 0, m.helperErr
	}
	if rip == guest.OutsideReturn+1 { // after the hlt
		return StopReturn, nil
	}
	if m.c.cancel != 0 {
		return StopCanceled, nil
	}
	return 0, m.newFault(FaultException, rip)
}

// flush hands the rest of the records to the observer. An observer that has stopped the run gets
// no more.
func (m *Machine) flush(stop Stop) {
	if m.c.n+m.c.nsites != 0 && stop != StopObserver {
		m.deliver()
	}
	if m.c.n != 0 {
		m.c.prev = m.ring()[m.c.n-1].rip
	}
	m.c.base += C.uint64_t(m.c.n)
	m.c.events += C.uint64_t(m.c.nsites)
	m.c.n, m.c.nsites = 0, 0
}

func (m *Machine) result(r Run) Result {
	res := Result{Retired: uint64(C.tcs_seq(m.c)), Sites: uint64(m.c.events), Printk: m.Printk}
	m.regs(&res.Regs)
	for i, n := range m.calls {
		if n == 0 {
			continue
		}
		s := &m.Stubs[i]
		res.Helpers = append(res.Helpers, s.Helper.Count(s.Name, n))
	}
	return res
}
