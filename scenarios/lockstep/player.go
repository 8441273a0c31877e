// SPDX-License-Identifier: GPL-2.0-only

package lockstep

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/emu/interp"
	"github.com/tcsim/tcsim/emu/kernel"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/verify"
	"github.com/tcsim/tcsim/scenarios/progen"
	"github.com/tcsim/tcsim/scenarios/reach"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// Kind says how a program ended.
type Kind string

// The kinds. All but OK and Unsupported say that something is wrong.
const (
	OK          Kind = "ok"
	Unsupported Kind = "unsupported" // the target has no code for it, or its verifier would take too long
	Refused     Kind = "refused"     // the verifier does not take it, or the compiler fails
	Registers   Kind = "registers"   // a register differs
	Stack       Kind = "stack"       // a byte of the stack differs
	Path        Kind = "path"        // another instruction comes next
	Result      Kind = "result"      // the return value or a map differs
	Balance     Kind = "balance"     // a register that belongs to the caller differs at the end
	Fault       Kind = "fault"       // the machine cannot go on
	Budget      Kind = "budget"      // too many instructions
	Unsound     Kind = "unsound"     // the interpreter cannot go on: the program breaks a rule of BPF
)

// Verdict is what came out of a program on a target.
type Verdict struct {
	Kind Kind
	Why  string
}

// Failed reports whether something is wrong.
func (v *Verdict) Failed() bool { return v.Kind != OK && v.Kind != Unsupported }

// Budgets of a run.
const (
	maxRetired = 200_000
	maxSteps   = 50_000
	// maxProbes is how many instructions of a run are compared.
	maxProbes = 4096
)

// userPage is memory of user space that is there, around the highest offset of a load from address 0. A load that may
// fault must not read it on kernels that check for that.
const userPage image.Addr = 0x7000

// Player plays programs in one machine. It is not safe for concurrent use and must be closed.
type Player struct {
	// Reach collects what is reached; nil if it is not asked for. Reached is called with the number of each program that
	// ran, when Reach has what that one reached.
	Reach   *reach.Set
	Reached func(index int)

	m    *emu.Machine
	film film
	// For tests: changes of what the verifier leaves and of machine code.
	rewritten func(*bpf.Program)
	compiled  func(*image.Image)
}

// New returns a player without a machine: that is made when there is something to play.
func New() *Player { return &Player{} }

// Close releases the machine.
func (p *Player) Close() error {
	if p.m == nil {
		return nil
	}
	err := p.m.Close()
	p.m = nil
	return err
}

// Play plays programs on a target; the verdicts are in their order. The error is one of ours, or the context's.
func (p *Player) Play(ctx context.Context, programs []*progen.Program, t *jit.Target) ([]Verdict, error) {
	out := make([]Verdict, len(programs))
	for _, kind := range []bpf.ProgType{bpf.SchedCLS, bpf.XDP, bpf.Kprobe, bpf.SocketFilter} {
		if err := p.playType(ctx, programs, t, kind, out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// playType plays the programs of one type, which have a context in common.
func (p *Player) playType(ctx context.Context, programs []*progen.Program, t *jit.Target, kind bpf.ProgType, out []Verdict) error {
	l := &load{p: p, t: t, plan: kernel.NewPlan(t.Offsets, progen.Maps)}
	for i, prog := range programs {
		if prog.BPF.Type != kind {
			continue
		}
		l.plan.AddKfuncs(prog.BPF.Kfuncs)
		if err := l.add(i, prog); err != nil {
			out[i] = refusal(err)
		}
	}
	if len(l.progs) == 0 {
		return nil
	}
	if err := p.open(l, kind); err != nil {
		return err
	}
	for n := range l.progs {
		if err := ctx.Err(); err != nil {
			return err
		}
		c := &l.progs[n]
		v, err := p.run(ctx, l, c, n)
		if err != nil {
			return err
		}
		if p.Reach != nil {
			p.Reach.Verified(c.verified)
			for _, w := range c.ways {
				p.Reach.Way(w)
			}
			p.Reached(c.index)
		}
		out[c.index] = v
	}
	return nil
}

// refusal is the verdict on a program that does not come to be machine code.
func refusal(err error) Verdict {
	if errors.Is(err, kernels.ErrUnsupported) || errors.Is(err, verify.ErrComplex) {
		return Verdict{Unsupported, err.Error()}
	}
	return Verdict{Refused, err.Error()}
}

// open puts all programs of a load into the machine, with the context that they run on.
func (p *Player) open(l *load, kind bpf.ProgType) error {
	if p.m == nil {
		m, err := emu.New(emu.Config{})
		if err != nil {
			return err
		}
		p.m = m
	}
	s := guest.Setup{
		Maps: l.plan.Maps(), Symbols: l.plan.Symbols(), Routines: l.plan.Routines(), Offsets: l.t.Offsets, Tramp: l.t.Emit.Tramp,
		Data: runner.ContextSpace(), Packet: make([]byte, progen.PacketSize),
	}
	if l.t.Emit.Probe != kernels.ProbeNone {
		s.Data = append(s.Data, guest.Region{Addr: userPage, Bytes: bytes.Repeat([]byte{0x5a}, 2*guest.PageSize), ReadOnly: true})
	}
	for i := range l.progs {
		s.Images = append(s.Images, l.progs[i].img)
		s.Marks = append(s.Marks, l.progs[i].marks...)
	}
	if err := p.m.Load(s); err != nil {
		return err
	}
	if err := p.prepare(l); err != nil {
		return err
	}
	at, err := runner.PlaceContext(&runner.Machine{Machine: p.m}, l.t, kind, progen.Packet, nil)
	if err != nil {
		return err
	}
	l.ctx = at
	if l.wraps() {
		if l.wrapped, err = p.m.WrapContext(at); err != nil {
			return err
		}
	}
	return p.m.Checkpoint()
}

// prepare fills memory of the kernel that programs come by: the current task with addresses at which nothing is, in turn
// with 0, and the surroundings of the word in which calls are accounted with what must stay.
func (p *Player) prepare(l *load) error {
	task := make([]byte, guest.TaskSize)
	for i := 0; i < len(task); i += 16 {
		binary.LittleEndian.PutUint64(task[i:], uint64(nowhere))
	}
	if err := p.m.WriteMemory(guest.TaskAddr, task); err != nil {
		return err
	}
	at, ok := l.accounting()
	if !ok {
		return nil
	}
	return p.m.WriteMemory(at, around)
}

// nowhere is an address of the kernel at which nothing is.
const nowhere image.Addr = 0xffff_8870_0000_0000

// around is what follows the word in which calls are accounted.
var around = bytes.Repeat([]byte{0x5a}, 40)

// accounting returns where that is; ok is false if the target does not account for calls.
func (l *load) accounting() (a image.Addr, ok bool) {
	name, offset, _ := strings.Cut(l.t.Emit.CallDepth, "+")
	a, known := l.plan.Symbols()[name]
	if !known {
		return 0, false // no program calls anything
	}
	n, _ := strconv.ParseUint(offset, 0, 32)
	return guest.GSBase + a + image.Addr(n) + 8, true
}

// run runs one program in the machine and then in the interpreter.
func (p *Player) run(ctx context.Context, l *load, c *compiled, n int) (Verdict, error) {
	if err := p.m.Reset(); err != nil {
		return Verdict{}, err
	}
	if err := p.m.UpdateElem(progen.MapIn, make([]byte, 4), c.prog.In[:], guest.UpdateAny); err != nil {
		return Verdict{}, err
	}
	arg := l.ctx
	if c.img.Funcs[0].Frame.RunCtx {
		arg = l.wrapped
	}
	p.film.reset()
	res, err := p.m.Run(ctx, emu.Run{
		Image: n, Args: []uint64{uint64(arg)}, Level: emu.LevelRetired, Observer: &p.film, MaxInsns: maxRetired,
	})
	var fault *emu.Fault
	switch {
	case errors.As(err, &fault) && (fault.Kind == emu.FaultHelper || fault.Kind == emu.FaultEngine):
		return Verdict{Unsupported, fault.Error()}, nil
	case err != nil && fault == nil:
		return Verdict{}, err
	}
	w, err := newWitness(p, l, c)
	if err != nil {
		return Verdict{Unsound, err.Error()}, nil
	}
	want, err := w.m.Run(0, interp.ForType(c.prog.BPF.Type, progen.Packet))
	switch {
	case err != nil:
		return Verdict{Unsound, err.Error()}, nil
	case want.Verdict != interp.Done:
		return Verdict{Unsound, "the interpreter needs too many instructions"}, nil
	case want.Uninit != 0:
		return Verdict{Unsound, "the program reads bytes of its stack that it has not written"}, nil
	case w.found.Kind != "":
		return w.found, nil
	case fault != nil:
		return Verdict{Fault, fault.Error()}, nil
	case res.Stop != emu.StopReturn:
		return Verdict{Budget, res.Stop.String()}, nil
	case len(p.film.sites) > w.at && !w.enough:
		return Verdict{Path, fmt.Sprintf("%d more instructions are executed than BPF does, first at %s", len(p.film.sites)-w.at, c.where(&p.film.sites[w.at]))}, nil
	}
	return p.end(l, c, w, &want, &res)
}

// load are programs that are loaded together.
type load struct {
	p     *Player
	t     *jit.Target
	plan  *kernel.Plan
	progs []compiled
	// What programs get: the context, or that in the struct that a design passes in its place.
	ctx, wrapped image.Addr
}

// wraps reports whether some program gets the struct.
func (l *load) wraps() bool {
	return slices.ContainsFunc(l.progs, func(c compiled) bool { return c.img.Funcs[0].Frame.RunCtx })
}
