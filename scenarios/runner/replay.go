// SPDX-License-Identifier: GPL-2.0-only

package runner

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/emu/stack"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/recognise"
)

// Captured is one scenario of a capture, ready to run: the bytes that the kernel emitted at the
// addresses that they had.
type Captured struct {
	Scenario *capture.Scenario
	Target   *jit.Target // of the capture's header: for struct offsets, not for code
	Images   []*image.Image
	Design   string // as recognised from the bytes
	// Traced says that all tracing programs are attached, see WithTracing.
	Traced bool

	compiled *Compiled // of scenarios with a source, nil for others

	header *capture.Header
	names  map[string]image.Addr
	// symbols are those of the capture, names among them.
	symbols *capture.Symbols
	world   []string // variables of the outside world that the code reads

	tracing tracing
	sites   []string // what is wrong with the code of tail calls, before anything runs
	broken  string   // why the code cannot run, "" if it can
}

// Replay is what the bytes of a captured scenario did.
type Replay struct {
	Run
	Scenario string
	Design   string
	// Result is that of playing the scenario's own source; nil for scenarios without one, of which Run
	// is the one run.
	Result    *Result
	KernelRan bool // the kernel itself ran it, and the results were compared
	Traced    bool // with all tracing programs attached
	// Wrong lists where the result differs from what the kernel itself returned.
	Wrong []string
	// Skipped says why the scenario was not run: the kernel did not run it either.
	Skipped string
}

// Capture prepares scenario i of a capture. Frames and sites come from decoding the code.
func Capture(src *capture.Source, t *jit.Target, i int) (*Captured, error) {
	sc, err := src.Scenario(i)
	if err != nil {
		return nil, err
	}
	c := &Captured{Scenario: sc, Target: t, header: &src.Header, names: src.Symbols.Addr, symbols: &src.Symbols}
	if c.missing() != "" {
		return c, nil
	}
	if sc.HasSource() {
		if c.broken = undecoded(sc); c.broken != "" {
			return c, nil
		}
		if err := c.sourced(src); err != nil {
			return nil, fmt.Errorf("%s:%d: %s: %w", src.Name, sc.Line, sc.Name, err)
		}
		return c, nil
	}
	for p := range sc.Progs {
		img, err := c.image(p, capture.Populated)
		if err != nil {
			c.broken = fmt.Sprintf("line %d: program %d (%s): the code does not decode: %v", sc.Line, p, sc.Progs[p].Name, err)
			return c, nil
		}
		c.Images = append(c.Images, img)
		if err := c.recognise(p, img); err != nil {
			return nil, err
		}
	}
	if err := c.inspect(c.Images); err != nil {
		return nil, err
	}
	if err := c.readTracing(); err != nil {
		return nil, fmt.Errorf("%s:%d: %s: %w", src.Name, sc.Line, sc.Name, err)
	}
	return c, nil
}

// design notes the design that an image shows.
func (c *Captured) design(img *image.Image) {
	if d, err := recognise.RecogniseDesign(img); err == nil && d.Name != "" {
		c.Design = d.Name
	}
}

// missing says why there is nothing to run, "" if there is.
func (c *Captured) missing() string {
	sc := c.Scenario
	switch {
	case sc.Error != "":
		return "the kernel could not set it up: " + sc.Error
	case sc.Run == nil && !sc.HasSource():
		return "the kernel did not run it"
	}
	for i := range sc.Progs {
		p := &sc.Progs[i]
		if p.LoadError != "" {
			return fmt.Sprintf("the kernel refused program %s", p.Name)
		}
	}
	for i := range sc.Trampolines {
		if why := sc.Trampolines[i].Error; why != "" && sc.HasSource() {
			return "the capture has no image of a trampoline: " + why
		}
	}
	return ""
}

// skip says why the scenario is not compared with the kernel, "" if it is.
func (c *Captured) skip() string {
	if r := c.Scenario.Run; r != nil && c.Scenario.Error == "" {
		switch {
		case r.Skipped != "":
			return "the kernel did not run it: " + r.Skipped
		case r.Error != "":
			return "the kernel's run failed: " + r.Error
		}
	}
	return c.missing()
}

// image makes the image of a program from its bytes in a state.
func (c *Captured) image(p int, state capture.State) (*image.Image, error) {
	prog := &c.Scenario.Progs[p]
	funcs := make([]image.FuncImage, len(prog.Funcs))
	for i := range prog.Funcs {
		f := &prog.Funcs[i]
		funcs[i] = image.FuncImage{Name: f.Name, Addr: f.Addr, Code: f.Code(state), FirstInsn: max(f.Start, 0)}
	}
	img, err := recognise.RecogniseImage(funcs)
	if err != nil {
		return nil, err
	}
	for i := range funcs {
		funcs[i].InsnOff = insnOffsets(prog, i, img.Funcs[i].Frame.Body)
	}
	if img, err = recognise.RecogniseImage(funcs); err != nil {
		return nil, err
	}
	if err := c.guardedLoads(img, p); err != nil {
		return nil, err
	}
	nameMaps(img, prog)
	img.Program = c.Scenario.Submitted(p)
	img.Limit = c.Target.Limit
	return img, nil
}

// nameMaps says which prog array a tail call uses, for traces: the one whose address was loaded last
// before it.
func nameMaps(img *image.Image, p *capture.Prog) {
	for f := range img.Funcs {
		sites := img.Funcs[f].TailCalls
		for i := range sites {
			at := image.CodeOff(-1)
			for _, m := range p.MapsAt {
				if m.Func == f && m.Value < 0 && m.Off > at && m.Off < sites[i].Start {
					at, sites[i].Map = m.Off, m.Map
				}
			}
		}
	}
}

// insnOffsets makes the table of a function from a capture's list of positions. Instructions that
// are not in it have no code of their own.
func insnOffsets(p *capture.Prog, fn int, body image.CodeOff) []image.CodeOff {
	start := p.Funcs[fn].Start
	if start < 0 || len(p.InsnMap) == 0 {
		return nil
	}
	end := bpf.InsnIndex(len(p.Insns))
	for i := range p.Funcs {
		if s := p.Funcs[i].Start; s > start && s < end {
			end = s
		}
	}
	for _, r := range p.Removed {
		if r.Start > start && r.Start < end {
			end = r.Start
		}
	}
	code := image.CodeOff(p.Funcs[fn].Len)
	off := make([]image.CodeOff, end-start+1)
	for i := range off {
		off[i] = -1
	}
	off[end-start] = code
	for _, m := range p.InsnMap {
		if m.Func == fn && m.Insn >= start && m.Insn < end {
			off[m.Insn-start] = max(m.Off, body)
		}
	}
	for i := len(off) - 2; i >= 0; i-- {
		if off[i] < 0 {
			off[i] = off[i+1]
		}
	}
	if off[0] > body {
		off[0] = body
	}
	return off
}

// setup places everything at its recorded address.
func (c *Captured) setup() (guest.Setup, error) {
	s := guest.Setup{Images: slices.Concat(c.Images, c.tracing.images), Offsets: c.Target.Offsets}
	for _, m := range c.Scenario.Maps {
		s.Maps = append(s.Maps, guest.MapSpec{Map: m.Map, Addr: m.Addr, ValueAddr: m.ValueAddr})
	}
	if err := c.arenas(s.Maps); err != nil {
		return s, err
	}
	for _, sl := range c.Scenario.ProgArrays {
		s.Slots = append(s.Slots, guest.Slot{Map: sl.Map, Key: sl.Key, Prog: sl.Prog})
	}
	s.Data = contextSpace()
	s.Packet = slices.Clone(c.header.RunData)
	s.Symbols = maps.Clone(c.names)
	for n := range c.tracing.kernel {
		delete(s.Symbols, n) // an image of its own
	}
	at, err := c.jiffies()
	if err != nil {
		return s, err
	}
	c.world = nil
	if at != 0 {
		s.Symbols["jiffies"] = at
		c.world = []string{"jiffies"}
	}
	for i := range c.Scenario.Progs {
		for _, r := range c.Scenario.Progs[i].Refs[capture.Empty] {
			if r.Kind == "gs" && r.Sym == "" {
				s.Symbols["this_cpu_off"] = r.Target // 6.18 does not name it
			}
		}
	}
	return s, nil
}

// helperJiffies64 is bpf_jiffies64, which the verifier replaces by a load of the variable
// (do_misc_fixups).
const helperJiffies64 = 118

// jiffies returns the address of the variable that an inlined bpf_jiffies64 reads, 0 if there is
// none. It is no symbol of the capture: it stands as a constant in the program.
func (c *Captured) jiffies() (image.Addr, error) {
	for i := range c.Scenario.Progs {
		p := &c.Scenario.Progs[i]
		for _, m := range p.InsnMap {
			in := p.Insns[m.Insn]
			if in.Op != bpf.OpCall || in.Src != 0 || in.Imm != helperJiffies64 {
				continue
			}
			x := p.Xlated[m.Xlated:]
			if len(x) < 2 || x[0].Op != bpf.OpLdImm64 {
				return 0, fmt.Errorf("program %s: instruction %d: bpf_jiffies64 is not inlined", p.Name, m.Insn)
			}
			return image.Addr(uint64(uint32(x[0].Imm)) | uint64(uint32(x[1].Imm))<<32), nil
		}
	}
	return 0, nil
}

// Replayer runs captured scenarios one after the other in one machine. It must be closed.
type Replayer struct {
	opt Options
	m   *emu.Machine
}

// NewReplayer makes a machine.
func NewReplayer(opt Options) (*Replayer, error) {
	opt = opt.withDefaults()
	m, err := emu.New(emu.Config{Memory: opt.Memory, StackSize: opt.StackSize})
	if err != nil {
		return nil, err
	}
	return &Replayer{opt, m}, nil
}

// Close releases the machine.
func (r *Replayer) Close() error { return r.m.Close() }

// load puts a captured scenario into the machine.
func (r *Replayer) load(c *Captured) (*machine, error) {
	if c.broken != "" {
		return nil, errors.New(c.broken)
	}
	s, err := c.setup()
	if err != nil {
		return nil, err
	}
	m, err := load(r.m, s, r.opt, c.limit(r.opt), insnText)
	if err != nil {
		return nil, err
	}
	if err := c.attach(m); err != nil {
		return nil, err
	}
	return m, c.inputs(m)
}

// inputs gives the io map its first contents (fixtures/kernels/README.md, "Scenario lines").
func (c *Captured) inputs(m *machine) error {
	const inputSlot = 32
	if len(c.Scenario.Maps) == 0 {
		return nil
	}
	v := make([]byte, c.Scenario.Maps[0].ValueSize)
	put := func(n int, x uint64) {
		if at := 8 * (inputSlot + n); n >= 0 && at+8 <= len(v) {
			binary.LittleEndian.PutUint64(v[at:], x)
		}
	}
	for n, x := range c.header.DefaultInputs {
		put(n, x)
	}
	for _, in := range c.Scenario.Inputs {
		put(in.N, in.Value)
	}
	return m.UpdateElem(0, make([]byte, 4), v, guest.UpdateAny)
}

func (c *Captured) enter(m *machine) (emu.Run, error) {
	ctx, err := placeContext(m, c.Target, c.Scenario.ProgType, c.header.RunData, nil)
	return emu.Run{Image: c.testRun().Prog, Args: [5]uint64{uint64(ctx)}}, err
}

// Run executes the kernel's bytes and compares return value and output slots with what the kernel
// got. The error is a failure of ours.
func (r *Replayer) Run(ctx context.Context, c *Captured) (*Replay, error) {
	out := &Replay{Scenario: c.Scenario.Name, Design: c.Design, Traced: c.Traced, Skipped: c.skip()}
	if out.Skipped != "" {
		return out, nil
	}
	if c.broken != "" {
		out.Wrong = []string{c.broken}
		return out, nil
	}
	if c.compiled != nil {
		return r.play(ctx, c)
	}
	m, err := r.load(c)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Scenario.Name, err)
	}
	out.KernelRan = true
	err = c.run(ctx, m, out)
	if errors.Is(err, kernels.ErrUnsupported) {
		return nil, err // what is missing, not where: the same for many scenarios
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Scenario.Name, err)
	}
	out.Program = c.Scenario.Progs[c.testRun().Prog].Name
	out.World = append(out.World, c.world...)
	slices.Sort(out.World)
	out.Wrong = append(out.Wrong, c.sites...)
	out.Wrong = append(out.Wrong, c.compare(m, out)...)
	return out, nil
}

// run does the kernel's test run.
func (c *Captured) run(ctx context.Context, m *machine, out *Replay) error {
	if c.Scenario.ProgType == bpf.Tracing {
		return c.runTracing(ctx, m, out)
	}
	run, err := c.enter(m)
	if err != nil {
		return err
	}
	res, err := m.run(ctx, run)
	if err == nil {
		out.Run = *m.describe(&res)
	}
	return err
}

// compare says what differs from the kernel's own run.
func (c *Captured) compare(m *machine, r *Replay) []string {
	if r.Violation != nil || r.Killed != "" {
		return []string{r.ending()}
	}
	var wrong []string
	if k := c.testRun(); uint32(r.Return) != k.Retval {
		wrong = append(wrong, fmt.Sprintf("returned %d, the kernel %d", uint32(r.Return), k.Retval))
	}
	if len(c.Scenario.Maps) == 0 {
		return wrong
	}
	io, err := m.LookupElem(0, make([]byte, 4))
	if err != nil {
		return append(wrong, err.Error())
	}
	const outputs = 32
	for n := 0; n < outputs && 8*n+8 <= len(io); n++ {
		want := uint64(0)
		if n < len(c.testRun().Out) {
			want = c.testRun().Out[n]
		}
		if got := binary.LittleEndian.Uint64(io[8*n:]); got != want {
			wrong = append(wrong, fmt.Sprintf("output slot %d is %#x, the kernel's %#x", n, got, want))
		}
	}
	return wrong
}

// Stack draws the stack of a captured scenario's run at the moments that at selects.
func (r *Replayer) Stack(ctx context.Context, c *Captured, at stack.At) ([]Drawing, error) {
	if why := c.skip(); why != "" {
		return nil, errors.New(why)
	}
	if c.Scenario.ProgType == bpf.Tracing {
		return nil, fmt.Errorf("stack of a test run of a tracing program, which is several runs: %w", kernels.ErrUnsupported)
	}
	m, err := r.load(c)
	if err != nil {
		return nil, err
	}
	return m.runAndDraw(ctx, at, func() (emu.Run, error) { return c.enter(m) })
}

// Select returns the numbers of the scenarios of a capture whose name is pattern, or begins with it
// if it ends in a star; all for "".
func Select(src *capture.Source, pattern string) ([]int, error) {
	var out []int
	prefix, star := strings.CutSuffix(pattern, "*")
	for i := range src.Len() {
		sc, err := src.Scenario(i)
		if err != nil {
			return nil, err
		}
		if pattern == "" || sc.Name == pattern || star && strings.HasPrefix(sc.Name, prefix) {
			out = append(out, i)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s: no scenario %q", src.Name, pattern)
	}
	return out, nil
}
