// SPDX-License-Identifier: GPL-2.0-only

package bare

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/emu/record"
	"github.com/tcsim/tcsim/emu/timing/measured"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// ErrNeedsKernel is wrapped by the errors of runs that cannot do without a kernel, or not in a loop; the error
// says why.
var ErrNeedsKernel = errors.New("not without a kernel")

func needs(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrNeedsKernel, fmt.Errorf(format, args...))
}

// Where sequences have code, data and stack. Data and stack are where a pointer needs 64 bits, as in a
// kernel: instructions and their immediates keep their lengths.
const (
	codeBase             = measured.CodeBase
	dataBase  image.Addr = 0x6a0000000000
	gap       image.Addr = 1 << 24          // more than data or stack may have
	stackPage            = dataBase + 2*gap // the page in which rsp is when a program is entered
)

// maxRun bounds the instructions of a run: a repetition should end before the processor is interrupted.
// tripInsns are about what a repetition executes, minTrips how many runs it has at least.
const (
	maxRun    = 20_000
	tripInsns = 24_000
	minTrips  = 8
)

// run is a run of a scenario that is being moved.
type run struct {
	m      *runner.Machine
	entry  image.Addr
	regs   emu.Regs // at the entry
	stream []record.Retired
	insns  map[image.Addr]*x86.Inst // those that were executed
	// code, data and stack are what is moved, all of it in that order.
	code, data, stack, all extents
	codeEnd                image.Addr
	span                   int        // bytes of data and of stack
	stackEnd               image.Addr // where those of stack end
	memory                 map[image.Addr][]byte
}

// Sequence makes a sequence of run number n, from 1, of a scenario: a loop that calls its program. m is a
// machine to try it in, another than the session's. The error wraps ErrNeedsKernel if that run cannot be
// moved. Cycles are not known: they are 1.
func Sequence(ctx context.Context, s *runner.Session, n int, m *emu.Machine) (*measured.Sequence, error) {
	r, err := observe(ctx, s, n)
	if err != nil {
		return nil, err
	}
	if err := r.layOut(); err != nil {
		return nil, err
	}
	q, err := r.sequence()
	if err != nil {
		return nil, err
	}
	return q, r.verify(ctx, m, q)
}

// observe executes the run and keeps what it retires and the memory that it begins with.
func observe(ctx context.Context, s *runner.Session, n int) (*run, error) {
	at, err := s.Compiled().RunAt(n)
	if err != nil {
		return nil, err
	}
	if s.Compiled().Built.Actions[at].Interrupt != nil {
		return nil, needs("another program interrupts it")
	}
	begin, err := s.Before(ctx, n)
	var stopped *runner.NotReached
	if errors.As(err, &stopped) {
		return nil, needs("it is not reached: %v", &stopped.Stopped)
	}
	if err != nil {
		return nil, err
	}
	r := &run{m: s.Machine(), insns: map[image.Addr]*x86.Inst{}, memory: map[image.Addr][]byte{}}
	r.entry = r.m.Measured().Entry(begin)
	begin.Level, begin.StopAddr = emu.LevelRetired, r.entry
	if _, err := r.m.Run(ctx, begin); err != nil {
		return nil, err
	}
	if r.regs, _, err = r.m.State(); err != nil {
		return nil, err
	}
	// What it touches is known only afterwards, and what was there only before: it is executed twice.
	if r.stream, err = record1(ctx, r.m.Machine); err != nil {
		return nil, err
	}
	touched, err := r.touched()
	if err != nil {
		return nil, err
	}
	if _, err := s.Before(ctx, n); err != nil {
		return nil, err
	}
	for a := range touched {
		b := make([]byte, guest.PageSize)
		if err := r.m.ReadMemory(a, b); err != nil {
			return nil, needs("it uses memory that is not there: %w", err)
		}
		r.memory[a] = b
	}
	return r, nil
}

// recorder keeps retired instructions.
type recorder struct{ stream []record.Retired }

// Retired implements emu.Observer.
func (r *recorder) Retired(b []record.Retired) bool {
	r.stream = append(r.stream, b...)
	return len(r.stream) > maxRun
}

// Sites implements emu.Observer.
func (r *recorder) Sites([]record.Site) bool { return false }

// record1 executes the rest of a run that must return.
func record1(ctx context.Context, m *emu.Machine) ([]record.Retired, error) {
	rec := &recorder{}
	res, err := m.Continue(ctx, emu.Run{Level: emu.LevelRetired, Observer: rec, MaxInsns: maxRun})
	var f *emu.Fault
	switch {
	case errors.As(err, &f):
		return nil, needs("it does not return: %w", f)
	case err != nil:
		return nil, err
	case res.Stop != emu.StopReturn:
		return nil, needs("it has more than %d instructions", maxRun)
	}
	return rec.stream, nil
}

// touched decodes what was executed and returns the pages that are used, as code or otherwise.
func (r *run) touched() (pages, error) {
	code, data, stack := pages{}, pages{}, pages{}
	low := guest.StackTop - image.Addr(r.m.Measured().Stack)
	for _, in := range r.stream {
		i, err := r.inst(in.RIP)
		if err != nil {
			return nil, err
		}
		code.add(in.RIP, uint16(i.Len))
		switch {
		case !accesses(i):
		case in.EA >= low && in.EA < guest.StackTop:
			stack.add(in.EA, size(i))
		default:
			data.add(in.EA, size(i))
		}
	}
	stack.add(image.Addr(r.regs[x86.RSP]), 8)
	for a := range code {
		delete(data, a) // constants among the code
	}
	r.code, r.codeEnd = code.place(codeBase)
	var end, top image.Addr
	r.data, end = data.place(dataBase)
	r.stack, top = stack.place(0)
	rsp, _ := r.stack.at(image.Addr(r.regs[x86.RSP]) &^ (guest.PageSize - 1))
	for i := range r.stack {
		r.stack[i].to += stackPage - rsp
	}
	r.stackEnd = top + guest.PageSize + stackPage - rsp
	r.span = int(max(end-dataBase, top)) + guest.PageSize
	all := pages{}
	for _, p := range []pages{code, data, stack} {
		for a := range p {
			all[a] = true
		}
	}
	return all, nil
}

// inst decodes an instruction that was executed, and refuses what only a kernel has.
func (r *run) inst(a image.Addr) (*x86.Inst, error) {
	if i := r.insns[a]; i != nil {
		return i, nil
	}
	if name, ok := r.m.HelperAt(a); ok {
		return nil, needs("it calls %s", name)
	}
	b := make([]byte, x86.MaxInstLen)
	for r.m.ReadMemory(a, b) != nil && len(b) > 1 {
		b = b[:len(b)-1]
	}
	i, err := x86.Decode(b, a)
	switch {
	case err != nil:
		return nil, err
	case i.HasMem && i.Mem.Seg != x86.SegNone:
		return nil, needs("it uses per-CPU data: %s", i.String())
	case i.Trap || i.Rep:
		return nil, needs("it executes %s", i.String())
	}
	r.insns[a] = &i
	return &i, nil
}

// accesses reports whether an instruction reads or writes memory.
func accesses(i *x86.Inst) bool {
	return i.HasMem && (i.Load || i.Store) || i.Stack.Load || i.Stack.Store
}

// size is how many bytes it accesses, at its effective address.
func size(i *x86.Inst) uint16 {
	if i.HasMem {
		return i.Mem.Size
	}
	return 8
}

// layOut checks that what is moved has room.
func (r *run) layOut() error {
	if r.span > int(gap)/2 {
		return needs("it uses %d KiB of memory", r.span>>10)
	}
	r.all = slices.Concat(r.code, r.data, r.stack)
	return nil
}

// words moves the pointers in memory and returns what is not zero in data and stack.
func (r *run) words() []measured.MemWord {
	var out []measured.MemWord
	for _, e := range slices.Concat(r.data, r.stack) {
		for a := e.from; a < e.end; a += 8 {
			page := a &^ (guest.PageSize - 1)
			v := binary.LittleEndian.Uint64(r.memory[page][a-page:])
			if v != 0 && v != guest.StackFill {
				out = append(out, measured.MemWord{Addr: e.to + (a - e.from), Value: r.all.moved(v)})
			}
		}
	}
	return out
}
