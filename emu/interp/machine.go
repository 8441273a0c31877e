// SPDX-License-Identifier: GPL-2.0-only

package interp

import (
	"errors"
	"fmt"

	"github.com/tcsim/tcsim/jit/bpf"
)

// Defaults of Rules and Config.
const (
	// DefaultLimit is the number of tail calls that an invocation may take
	// (include/linux/bpf.h, MAX_TAIL_CALL_CNT).
	DefaultLimit = bpf.TailCallLimit
	// DefaultMayGoto is how often a frame may pass a may_goto (include/linux/bpf.h, BPF_MAX_LOOPS).
	DefaultMayGoto = 8 << 20
	// DefaultMaxInsns ends a run after about two seconds.
	DefaultMaxInsns = 1 << 28
	// DefaultMaxFrames is the number of frames that may be live at a time.
	DefaultMaxFrames = 1024
	// DefaultMaxTaken bounds the length of Result.Taken, not the run.
	DefaultMaxTaken = 1 << 16
)

// Rules are the semantics of tail calls and loops that differ between kernels. The zero value is
// that of 6.12 and later.
type Rules struct {
	// Limit is the number of tail calls one invocation may take; 0 means DefaultLimit.
	Limit uint32
	// BurnEmpty makes a tail call to an empty slot use up budget, as kernels up to 6.11 do: they
	// write the incremented counter before they test the slot.
	BurnEmpty bool
	// PerFrame gives each frame its own copy of the counter: a subprogram starts with the value of
	// its caller, whose own copy does not see what the subprogram did. That is what kernels up to
	// 6.11 really do; it is not what the limit means.
	PerFrame bool
	// TraceDropsCounter makes a traced function start with a counter of 0, as kernels do whose
	// trampolines do not keep rax (5.10). What rax really holds there is junk.
	TraceDropsCounter bool
	// MayGoto is how often one frame may pass its may_goto instructions; 0 means DefaultMayGoto.
	// Kernels that stop such loops by time are approximated by a count.
	MayGoto uint64
}

// Program is a bpf.Program in submitted form with what the kernel learns from its type information.
type Program struct {
	*bpf.Program
	// Kfuncs are the kernel functions that calls with PseudoKfunc name by index.
	Kfuncs []string
	// ExceptionCallback is the index in Funcs of the function that bpf_throw ends in; 0 stands
	// for the kernel's default, which returns the thrown value.
	ExceptionCallback int
	// ProbeMem makes loads outside all memory read zero instead of ending the run, as loads through
	// pointers to kernel objects do (BPF_PROBE_MEM). The kernel decides that per load.
	ProbeMem bool
}

// Slot is one entry of a prog array. Map and Prog are indexes into Config.Maps and Programs.
type Slot struct {
	Map  int
	Key  uint32
	Prog int
}

// Inner is one entry of a map of maps. Map and Inner are indexes into Config.Maps.
type Inner struct {
	Map   int
	Key   []byte
	Inner int
}

// Config describes a Machine. It is not modified, and its slices must not change afterwards.
type Config struct {
	Programs []Program
	// Maps are the maps that ld_imm64 names by index; nil means Programs[0].Maps.
	Maps []bpf.Map
	// ProgArrays are the contents of prog arrays after New and Reset.
	ProgArrays []Slot
	// Inner are the contents of maps of maps.
	Inner []Inner
	// Traces are the attached tracing programs, in the order in which they were attached.
	Traces []Trace
	Rules  Rules
	Layout Layout
	// Outside answers helpers that ask about the outside world; nil means Fixed{}.
	Outside Outside
	// CPU is the processor that runs programs, CPUs their number; CPUs 0 means CPU+1.
	CPU, CPUs uint32
	// Observer is told of tail calls and returns; nil costs nothing.
	Observer Observer
	// Stepper is told of each instruction; nil costs next to nothing.
	Stepper Stepper
	// MaxInsns is the number of instructions after which a run ends as Exhausted, MaxFrames the
	// number of live frames that is a Fault. MaxTaken bounds Result.Taken. 0 means the default.
	MaxInsns  uint64
	MaxFrames int
	MaxTaken  int
}

// Machine holds programs and maps and runs programs. It is not safe for concurrent use.
type Machine struct {
	cfg   Config
	progs []*program
	maps  []*mapState
	mem   memory
	calls map[int32]uint64 // helper -> calls answered by Outside since Reset

	// The run.
	regs  [16]uint64
	cur   *program
	pc    int // of the next instruction
	count uint32
	res   Result
	ctx   Ctx
	now   Step // what Config.Stepper is told

	pending *Interrupt // still to come; nil if none
	inner   bool       // in an interrupt
	points  uint64     // calls and tail calls so far, counted while pending is set
}

// New checks and decodes the programs. Its error joins all mistakes of all programs, each with
// program and instruction.
func New(cfg Config) (*Machine, error) {
	cfg = withDefaults(cfg)
	m := &Machine{cfg: cfg, calls: map[int32]uint64{}}
	var errs []error
	for i, def := range cfg.Maps {
		s, err := newMapState(def, &cfg, i)
		if err != nil {
			errs = append(errs, fmt.Errorf("map %d %q: %w", i, def.Name, err))
			continue
		}
		m.maps = append(m.maps, s)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	m.mem.init(&cfg)
	for _, s := range m.maps {
		m.mem.add(region{base: s.base, data: s.data, pages: s.pages, gaps: s.gaps})
	}
	m.fillInner()
	if err := m.mem.overlap(); err != nil {
		return nil, err
	}
	for i := range cfg.Programs {
		p, err := m.decode(i, &cfg.Programs[i])
		if err != nil {
			errs = append(errs, err)
			continue
		}
		m.progs = append(m.progs, p)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	for _, s := range cfg.ProgArrays {
		if err := m.SetProg(s.Map, s.Key, s.Prog); err != nil {
			errs = append(errs, err)
		}
	}
	for _, tr := range cfg.Traces {
		if err := m.attach(tr); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return m, nil
}

func withDefaults(cfg Config) Config {
	if cfg.Maps == nil && len(cfg.Programs) > 0 && cfg.Programs[0].Program != nil {
		cfg.Maps = cfg.Programs[0].Maps
	}
	if cfg.Rules.Limit == 0 {
		cfg.Rules.Limit = DefaultLimit
	}
	if cfg.Rules.MayGoto == 0 {
		cfg.Rules.MayGoto = DefaultMayGoto
	}
	if cfg.MaxInsns == 0 {
		cfg.MaxInsns = DefaultMaxInsns
	}
	if cfg.MaxFrames == 0 {
		cfg.MaxFrames = DefaultMaxFrames
	}
	if cfg.MaxTaken == 0 {
		cfg.MaxTaken = DefaultMaxTaken
	}
	if cfg.Outside == nil {
		cfg.Outside = Fixed{}
	}
	if cfg.CPUs <= cfg.CPU {
		cfg.CPUs = cfg.CPU + 1
	}
	cfg.Layout = cfg.Layout.withDefaults(len(cfg.Maps))
	return cfg
}

// Reset brings maps, prog arrays and the sequence of Outside values back to what they were after
// New.
func (m *Machine) Reset() {
	for _, s := range m.maps {
		s.reset()
	}
	m.fillInner()
	clear(m.calls)
	for _, p := range m.progs {
		for i := range p.funcs {
			p.funcs[i].by = nil
		}
	}
	for _, s := range m.cfg.ProgArrays {
		if err := m.SetProg(s.Map, s.Key, s.Prog); err != nil {
			panic("BUG: prog array entry that New accepted: " + err.Error())
		}
	}
}

// Run executes one invocation of program prog. A program that breaks a rule, such as an access
// outside its memory, ends with a *Fault as error; one that does not end within the instruction
// budget with Result.Verdict Exhausted. ctx is copied; Ctx tells what the program left in it.
func (m *Machine) Run(prog int, ctx Ctx) (Result, error) {
	if prog < 0 || prog >= len(m.progs) {
		return Result{}, fmt.Errorf("run program %d: there are %d programs", prog, len(m.progs))
	}
	if err := ctx.check(m.progs[prog].def); err != nil {
		return Result{}, fmt.Errorf("run %s: %w", m.progs[prog].def.Name, err)
	}
	err := m.begin(prog, ctx)
	if err == nil {
		err = m.exec(0)
	}
	m.res.Uninit = m.mem.uninit
	switch {
	case errors.Is(err, errBudget):
		m.res.Verdict = Exhausted
		m.res.Return = 0
	case err != nil:
		return Result{}, err
	}
	return m.res, nil
}

// begin sets up registers, context and the first frame, and runs what traces the entry.
func (m *Machine) begin(prog int, ctx Ctx) error {
	m.ctx = ctx.clone()
	m.ctx.makeRoom()
	m.mem.setCtx(&m.ctx, m.cfg.Layout)
	m.res = Result{}
	m.count = 0
	m.cur = m.progs[prog]
	for i := range m.regs {
		m.regs[i] = junk + uint64(i)
	}
	m.regs[1] = m.cfg.Layout.Ctx
	if m.ctx.Kind == Raw {
		m.regs[2] = uint64(len(m.ctx.Data))
		if len(m.ctx.Data) == 0 {
			m.regs[1] = 0
		}
	}
	m.mem.depth = -1
	if !m.push(0) {
		panic("BUG: no room for the first frame")
	}
	return m.traceEntry()
}

// Ctx returns the context and packet as the last run left them; it is the machine's own copy,
// valid until the next run.
func (m *Machine) Ctx() Ctx { return m.ctx }
