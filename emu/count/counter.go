// SPDX-License-Identifier: GPL-2.0-only

package count

import (
	"context"
	"errors"
	"fmt"

	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// ErrUndecided is wrapped by the error of a count that had to give up: a bound was reached, or
// something happened that the method cannot follow.
var ErrUndecided = errors.New("not decided")

// Config describes a run.
type Config struct {
	Images []*image.Image
	// StackLow and StackHigh bound the kernel stack: [low, high).
	StackLow, StackHigh image.Addr
	// Return is the return address of the outside caller: code that gets there has ended, however
	// it found the way.
	Return image.Addr
	// Helper describes the function outside the images that was just called; ok is false if there
	// is none at that address.
	Helper func(r *Regs) (h Helper, ok bool)
	// MaxSummaries, MaxBytes (of summaries) and MaxSteps bound the work; 0 means the defaults.
	MaxSummaries, MaxBytes int
	MaxSteps               uint64
	// WatchAfter is how many tail calls one call may take before its rounds are looked at for a
	// proof that it never ends; 0 means the default. No design takes that many when its limit works:
	// a smaller number would only cost time.
	WatchAfter uint64
	// NoReuse executes every call: the counts of plain emulation.
	NoReuse bool
	// Find, if not nil, ends the count where the run gets to a moment first.
	Find *Moment
	// DropPin makes results wrong, for tests that must notice it: a precondition on a location
	// for which it returns true is forgotten.
	DropPin func(location string) bool
}

// Moment is when control is at an address while certain calls are active.
type Moment struct {
	// Path are the return addresses of the active calls of functions of the images, the outermost first and without
	// that to the outside caller.
	Path []image.Addr
	At   image.Addr
	// Accept, if not nil, says whether registers and memory are those that are looked for.
	Accept func(r *Regs, load func(a image.Addr, width uint8) uint64) bool
	// Skip is how many such moments are passed over.
	Skip int
}

// The default bounds of a count.
const (
	DefaultMaxSummaries = 200_000
	DefaultMaxBytes     = 40 << 20
	DefaultMaxSteps     = 10_000_000
	DefaultWatchAfter   = 512
)

func (c Config) withDefaults() Config {
	if c.MaxSummaries == 0 {
		c.MaxSummaries = DefaultMaxSummaries
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = DefaultMaxBytes
	}
	if c.WatchAfter == 0 {
		c.WatchAfter = DefaultWatchAfter
	}
	if c.MaxSteps == 0 {
		c.MaxSteps = DefaultMaxSteps
	}
	return c
}

// counter is one count in progress.
type counter struct {
	cfg  Config
	ctx  context.Context
	cpu  CPU
	code *code
	mem  memory
	r    Regs

	frames []*frame
	top    *frame
	// jumping is the site of a tail call from its jump to the landing: calls and returns in
	// between belong to a thunk.
	jumping *image.TailCallSite
	events  []string // of the current round, nil if there is none

	steps, hits      uint64
	summaries, bytes int
	peak             uint64
	endless          *Endless
	fault            error
	passed           int    // moments of Config.Find
	opaque           string // the last helper whose calls cannot be summarised, "" if there was none
}

// Count runs the machine, which stands at the entry of a program just called from outside, until
// the program returns. The machine is left in the final state. If the run never ends, or ends in a
// fault, the result says so and the machine is left where that was seen. An error wraps
// ErrUndecided where no answer could be found, or is what the machine reported.
func Count(ctx context.Context, cpu CPU, cfg Config) (*Result, error) {
	c := &counter{cfg: cfg.withDefaults(), ctx: ctx, cpu: cpu, code: newCode(cpu, cfg.Images)}
	c.mem = memory{cpu: cpu, lo: uint64(cfg.StackLow), hi: uint64(cfg.StackHigh)}
	var err error
	if c.r, err = cpu.Regs(); err != nil {
		return nil, err
	}
	f := c.code.entries[c.r.RIP]
	if f == nil {
		return nil, fmt.Errorf("count: %#x is no function's entry", uint64(c.r.RIP))
	}
	c.push(c.newFrame(f))
	c.top.onPath = 1
	c.top.t.starts[f.index].inc(1)
	first, before := c.top, heap()
	found := c.found()
	for c.top != nil && c.endless == nil && c.fault == nil && c.r.RIP != cfg.Return && !found {
		err := c.step()
		var fault *Fault
		switch {
		case errors.As(err, &fault):
			c.fault = fault
		case err != nil:
			return nil, fmt.Errorf("count: after %d steps in %s: %w", c.steps, c.top.fn.name, err)
		}
		found = c.top != nil && c.found()
	}
	res := c.result(first)
	res.Found = found
	if peak := max(c.peak, heap()); peak > before {
		res.PeakBytes = peak - before
	}
	return res, nil
}

// found reports whether the moment that is looked for is now.
func (c *counter) found() bool {
	m := c.cfg.Find
	if m == nil || c.r.RIP != m.At || c.top.onPath != len(m.Path)+1 {
		return false
	}
	if m.Accept != nil && !m.Accept(&c.r, func(a image.Addr, width uint8) uint64 { return c.mem.peek(uint64(a), width) }) {
		return false
	}
	c.passed++
	return c.passed > m.Skip
}

// next reports whether the call that has just been made is the next of the moment's path.
func (c *counter) next() bool {
	m, n := c.cfg.Find, c.top.onPath
	return m != nil && n > 0 && n <= len(m.Path) && image.Addr(c.mem.peek(c.r.R[x86.RSP], 8)) == m.Path[n-1]
}

func (c *counter) push(fr *frame) {
	c.frames = append(c.frames, fr)
	c.top = fr
}

func (c *counter) pop() *frame {
	fr := c.top
	c.frames = c.frames[:len(c.frames)-1]
	c.top = nil
	if n := len(c.frames); n > 0 {
		c.top = c.frames[n-1]
	}
	return fr
}

// undecided makes an error that wraps ErrUndecided.
func undecided(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrUndecided, fmt.Errorf(format, args...))
}

// step executes one instruction, or a whole call if a summary fits.
func (c *counter) step() error {
	if c.steps++; c.steps > c.cfg.MaxSteps {
		why := ""
		if c.opaque != "" {
			why = ", as each call in which " + c.opaque + " is called is executed"
		}
		return undecided("more than %d steps%s", c.cfg.MaxSteps, why)
	}
	if c.steps%4096 == 0 {
		c.peak = max(c.peak, heap())
		if c.ctx.Err() != nil {
			return context.Cause(c.ctx)
		}
	}
	in, err := c.code.at(c.r.RIP)
	if err != nil {
		return err
	}
	if in.in == nil {
		if h, ok := c.cfg.Helper(&c.r); ok {
			return c.outside(h)
		}
	}
	switch in.Branch {
	case x86.BranchCall, x86.BranchCallIndirect:
		err = c.call(in)
	case x86.BranchRet:
		err = c.ret()
	default:
		err = c.plain(in)
	}
	if err == nil && c.mem.err != nil {
		err = c.mem.err
	}
	return err
}

// advance lets the machine execute the instruction at RIP.
func (c *counter) advance() error {
	r, err := c.cpu.Step()
	if err != nil {
		return err
	}
	c.r = r
	c.top.t.insns.inc(1)
	c.top.low = min(c.top.low, r.R[x86.RSP])
	if c.jumping == nil {
		return nil
	}
	if f := c.code.landings[r.RIP]; f != nil {
		return c.landed(f)
	}
	return nil
}

func (c *counter) plain(in *insn) error {
	if err := c.follow(in); err != nil {
		return err
	}
	if in.tail != nil {
		c.jumping = in.tail
	}
	if err := c.advance(); err != nil {
		return err
	}
	if c.r.RIP == in.end {
		c.top.t.refused[in.why].inc(1)
		c.note("tail call refused")
	}
	return nil
}

// call executes a call instruction: of a function of the images, of something outside, or one
// that belongs to a thunk.
func (c *counter) call(in *insn) error {
	if in.Branch == x86.BranchCallIndirect {
		if err := c.pinAll(in, in.Reads&^x86.RegSetOf(x86.RSP)); err != nil {
			return err
		}
	}
	c.pushWord(constant(uint64(in.Next())))
	if in.tail != nil {
		c.jumping = in.tail
	}
	if err := c.advance(); err != nil || c.jumping != nil || in.in == nil {
		return err
	}
	if f := c.code.entries[c.r.RIP]; f != nil {
		if !f.img.Trampoline { // which is no call of a program's
			c.top.t.calls.inc(1)
		}
		c.top.t.starts[f.index].inc(1)
		c.note("call of " + f.name)
		return c.enter(f)
	}
	if in.in.img.Trampoline && c.code.inside(c.r.RIP) != nil {
		c.top.t.calls.inc(1) // of the traced function, after its entry
	}
	return nil // of a helper, or of a thunk, which is followed like code of the function
}

// outside lets a helper run to its return.
func (c *counter) outside(h Helper) error {
	fr := c.top
	for _, r := range h.Regs {
		fr.pin(operand{fr.regs[r], c.r.R[r]})
	}
	at := func(x HelperMem) (uint64, uint8) {
		a, w := c.r.R[x.Reg], uint8(x.Size)
		fr.reach(fr.address(operand{fr.regs[x.Reg], a}), a+x.Off, w)
		return a + x.Off, w
	}
	for _, x := range h.Mem {
		a, w := at(x)
		v := c.mem.peek(a, w)
		fr.pin(operand{fr.load(a, w, v), v})
	}
	for _, x := range h.Writes {
		a, w := at(x)
		fr.store(a, w, operand{})
	}
	if h.Opaque {
		c.opaque = h.Name
		for _, f := range c.frames {
			f.opaque = true
		}
	}
	r, n, err := c.cpu.Leave()
	if err != nil {
		return err
	}
	c.r = r
	fr.t.insns.inc(n)
	fr.t.helpers.inc(1)
	fr.regs[x86.RSP] = fr.regs[x86.RSP].plus(8, 8)
	for _, x := range []x86.Reg{x86.RAX, x86.RCX, x86.RDX, x86.RSI, x86.RDI, x86.R8, x86.R9, x86.R10, x86.R11} {
		fr.regs[x] = form{}
	}
	fr.noFlags = true
	c.note("helper " + h.Name)
	return nil
}

// enter begins a call of f, or applies what is known of it.
func (c *counter) enter(f *fn) error {
	next := c.next()
	if !c.cfg.NoReuse && !next {
		if s := f.book.find(&c.r, &c.mem); s != nil {
			return c.apply(s)
		}
	}
	fr := c.newFrame(f)
	if next {
		fr.onPath = c.top.onPath + 1
	}
	c.push(fr)
	return nil
}

// apply does what a summarised call does.
func (c *counter) apply(s *summary) error {
	c.hits++
	s.hits++
	effects := s.from(&c.r, &c.mem)
	e := c.r.R[x86.RSP]
	c.top.compose(s, effects, e)
	r := c.r
	r.RIP = image.Addr(c.mem.peek(e, 8)) // where the call left it: only a return by it is summarised
	for i := range effects {
		x := &effects[i]
		if x.l.kind == locReg {
			r.R[x.l.reg] = x.v
		} else if err := c.cpu.Store(x.l.addr(e), x.l.w, x.v); err != nil {
			return err
		}
	}
	c.r = r
	return c.cpu.SetRegs(r)
}

// ret executes a return: of the call that the current frame follows, or one that a thunk uses as
// a jump.
func (c *counter) ret() error {
	for c.jumping == nil && (c.top.landing != 0 || c.passes()) { // a round ends with the call it is in
		if c.top.landing != 0 {
			c.closeRound()
			continue
		}
		in := c.pop()
		part := in.summarise()
		c.top.compose(part, part.effects, in.rsp)
	}
	fr := c.top
	o := c.popWord()
	own := fr.regs[x86.RSP] == form{kind: formRSP, c: 8} && o.f == input(loc{kind: locStack, w: 8})
	if !own || c.jumping != nil {
		fr.pin(o)
		return c.advance()
	}
	if err := c.advance(); err != nil {
		return err
	}
	return c.close()
}

// passes reports whether a return leaves the call that the one in the current frame was made by, as a
// trampoline returns to the caller of the function that it was called in.
func (c *counter) passes() bool {
	n := len(c.frames)
	return n > 1 && c.r.R[x86.RSP] != c.top.rsp && c.r.R[x86.RSP] == c.frames[n-2].rsp
}

// close summarises the call that just returned and carries it over to its caller.
func (c *counter) close() error {
	fr := c.pop()
	if c.top == nil {
		return nil
	}
	s := fr.summarise()
	if !fr.opaque && !c.cfg.NoReuse {
		c.summaries++
		c.bytes += s.bytes()
		if c.summaries > c.cfg.MaxSummaries || c.bytes > c.cfg.MaxBytes {
			return undecided("%d summaries of %d bytes are more than the bound", c.summaries, c.bytes)
		}
		fr.fn.book.add(s)
	}
	c.top.compose(s, s.effects, fr.rsp)
	return nil
}
