// SPDX-License-Identifier: GPL-2.0-only

package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/emit"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/recognise"
	"github.com/tcsim/tcsim/jit/source/ktree"
	"github.com/tcsim/tcsim/jit/verify"
	"github.com/tcsim/tcsim/jit/verify/protos"
)

// Options of New.
type Options struct {
	// Processor makes a processor; several may be made and used at the same time.
	Processor func() (Processor, error)
	// Version is that of the kernel, where the tree does not say it.
	Version ktree.Version
	// Extra are C files to compile with the JIT.
	Extra []Extra
	// Cache is the folder in which compiled objects are kept; "" keeps none.
	Cache string
	// Config are further configuration options, such as "CONFIG_X": "1".
	Config map[string]string

	say  func(string)
	told *told // what the tree told when the target was adapted to it, nil if it was not
}

// JIT is the JIT of a kernel's source, compiled for one target: a jit.Emitter. It is safe for concurrent use.
type JIT struct {
	facts      *Facts
	object     *object
	target     *jit.Target // that it was compiled for
	features   map[string]int
	base       int // MAX_TAIL_CALL_CNT of the tree
	landing    image.CodeOff
	tailCallOp uint8
	processor  func() (Processor, error)
	again      func(t *jit.Target) (*JIT, error) // compiles for another target; nil if that cannot be done
	// useJump says that traced functions jump to trampolines that call them, tailCallCtx that trampolines
	// can keep rax.
	useJump, tailCallCtx bool
	releases             []string // of which the C file is, nil if it is edited
	twin                 *twin    // nil if there is nothing to compare with
	original             *jit.Original
	say                  func(string) // nil to drop messages

	mu   sync.Mutex
	idle []*guest
	all  []*guest
}

// New compiles the JIT of a tree for a target. Everything but the code that the JIT itself emits is the target's:
// offsets in structures, mitigations, what the verifier does. The target is not changed.
func New(ctx context.Context, tree ktree.Tree, t *jit.Target, opts Options) (*JIT, error) {
	p, err := prepare(tree, t, opts)
	if err != nil {
		return nil, err
	}
	return p.build(ctx)
}

// prepared is a JIT before it is compiled.
type prepared struct {
	unit   *unit
	target *jit.Target
	opts   Options
}

// prepare reads the tree. What its headers say takes the place of what the target says.
func prepare(tree ktree.Tree, t *jit.Target, opts Options) (*prepared, error) {
	text, err := tree.ReadFile(ktree.JITFile)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", tree.Shown(ktree.JITFile), err)
	}
	v := opts.Version
	if v == (ktree.Version{}) {
		if v, err = ktree.TreeVersion(tree); err != nil {
			return nil, err
		}
	}
	is := opts.told
	if is == nil {
		is = &told{}
	}
	facts, err := readFacts(tree, text, v, t, is)
	if err != nil {
		return nil, err
	}
	for n, value := range opts.Config {
		facts.add(n, value, "the command line")
	}
	hook := slices.ContainsFunc(opts.Extra, func(e Extra) bool { return bytes.Contains(e.Text, []byte("tcsim_before_jit(")) })
	facts.add("TCSIM_HAVE_HOOK", pick(hook, "1", "0"), "the extra files")
	own := *t
	u := &unit{shown: tree.Shown(ktree.JITFile), text: text, extra: opts.Extra, facts: facts, headers: ktree.NewHeaders(tree), local: localHeaders(tree, text)}
	return &prepared{u, &own, opts}, nil
}

// build compiles.
func (p *prepared) build(ctx context.Context) (*JIT, error) {
	o, err := p.unit.object(ctx, p.opts.Cache)
	if err != nil {
		return nil, err
	}
	for _, n := range p.unit.notes() {
		if p.opts.say != nil {
			p.opts.say(n)
		}
	}
	for _, f := range p.unit.found {
		p.unit.facts.Taken = append(p.unit.facts.Taken, ktree.Fact{
			Name: strings.TrimPrefix(f.Into+"."+f.Name, "."), Value: f.Text, From: f.From,
		})
	}
	text := string(p.unit.text)
	j := &JIT{
		facts: p.unit.facts, object: o, target: p.target, features: p.unit.features(), processor: p.opts.Processor,
		tailCallOp: bpf.OpTailCall, useJump: strings.Contains(text, "bpf_trampoline_use_jmp("),
		tailCallCtx: strings.Contains(text, "BPF_TRAMP_F_TAIL_CALL_CTX"), say: p.opts.say, releases: releasesOf(p.unit.text),
	}
	if j.base, err = strconv.Atoi(j.facts.Get("TCSIM_MAX_TAIL_CALL_CNT")); err != nil {
		return nil, fmt.Errorf("MAX_TAIL_CALL_CNT: %w", err)
	}
	if !strings.Contains(text, "BPF_TAIL_CALL") {
		j.tailCallOp = 0x8d // BPF_CALL | BPF_X, until 4.10
	}
	return j, j.start()
}

// start asks the JIT what does not depend on a program.
func (j *JIT) start() error {
	err := j.with(func(g *guest) error {
		n, err := g.call("tcsim_landing", 0)
		j.landing = image.CodeOff(int64(n))
		return err
	})
	if err != nil || j.landing >= 0 && j.landing <= 1<<10 {
		return err
	}
	if j.landing = j.shownLanding(); j.landing <= 0 {
		return fmt.Errorf("%w: where tail calls land is neither X86_TAIL_CALL_OFFSET nor PROLOGUE_SIZE, and the code does not show it", kernels.ErrUnsupported)
	}
	return nil
}

// shownLanding is what the code of an indirect tail call adds to bpf_func; 0 if it cannot be read.
func (j *JIT) shownLanding() image.CodeOff {
	img, err := j.Compile(probe(j.target), j.target, &probeEnv{j.target.Symbols()})
	if err != nil {
		return 0
	}
	d, err := recognise.RecogniseDesign(img)
	if err != nil || d.Landing < 0 || d.Landing > 1<<10 {
		return 0
	}
	return d.Landing
}

// Facts returns what the C file was told.
func (j *JIT) Facts() *Facts { return j.facts }

// Releases are those whose C file this is, byte by byte; none if it is edited or unknown.
func (j *JIT) Releases() []string { return j.releases }

// tell passes something on that does not stop the JIT.
func (j *JIT) tell(what string) {
	if j.say != nil {
		j.say(what)
	}
}

// tellMessages passes on what the JIT printed, other than warnings, and returns those.
func (j *JIT) tellMessages(all []Message) (warnings []Message) {
	for _, m := range all {
		if m.Kind == "WARN" {
			warnings = append(warnings, m)
		} else {
			j.tell(m.String())
		}
	}
	return warnings
}

// Close releases the processors. Nothing may be compiled afterwards.
func (j *JIT) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	var errs []error
	for _, g := range j.all {
		errs = append(errs, g.cpu.Close())
	}
	j.all, j.idle = nil, nil
	return errors.Join(errs...)
}

// with lends a guest.
func (j *JIT) with(use func(*guest) error) error {
	g, err := j.take()
	if err != nil {
		return err
	}
	err = use(g)
	var crash *CrashError
	if errors.As(err, &crash) {
		// The C code may have been stopped anywhere: start anew.
		err = errors.Join(err, g.renew())
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.idle = append(j.idle, g)
	return err
}

func (j *JIT) take() (*guest, error) {
	j.mu.Lock()
	if n := len(j.idle); n > 0 {
		g := j.idle[n-1]
		j.idle = j.idle[:n-1]
		j.mu.Unlock()
		return g, g.tidy()
	}
	j.mu.Unlock()
	cpu, err := j.processor()
	if err != nil {
		return nil, err
	}
	g, err := newGuest(j.object, cpu)
	if err != nil {
		return nil, errors.Join(err, cpu.Close())
	}
	if err := j.configure(g); err != nil {
		return nil, errors.Join(err, cpu.Close())
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.all = append(j.all, g)
	return g, nil
}

// configure sets what the target says and no address is part of.
func (j *JIT) configure(g *guest) error {
	e := &j.target.Emit
	mode := map[kernels.CFIKind]uint64{kernels.CFINone: 1, kernels.CFIKernel: 2}
	m, ok := mode[e.CFI]
	if !ok {
		m = 3
	}
	g.configure = func() error {
		errs := []error{
			g.set("cfi_mode", 4, 0, m), g.set("cfi_bhi", 1, 0, flag(e.CFI == kernels.CFIFineEAXBHI)),
			g.set("cfi_bpf_hash", 4, 0, uint64(e.CFIHashes.Main)), g.set("cfi_bpf_subprog_hash", 4, 0, uint64(e.CFIHashes.Subprog)),
			g.set("tcsim_features", 1, rethunkFeature, flag(e.ReturnThunk != "")),
		}
		depth := e.Branch == kernels.BranchDepth
		for n, on := range map[string]bool{
			"X86_FEATURE_BMI2":               e.BMI2,
			"X86_FEATURE_XMM2":               true,
			"X86_FEATURE_RETPOLINE":          e.Branch == kernels.BranchThunk || e.Branch == kernels.BranchLFENCE || depth,
			"X86_FEATURE_RETPOLINE_LFENCE":   e.Branch == kernels.BranchLFENCE,
			"X86_FEATURE_RETPOLINE_AMD":      e.Branch == kernels.BranchLFENCE,
			"X86_FEATURE_CALL_DEPTH":         depth || e.CallDepth != "",
			"X86_FEATURE_INDIRECT_THUNK_ITS": e.Branch == kernels.BranchITS,
			"X86_FEATURE_RETHUNK":            e.ReturnThunk != "",
		} {
			if i, mentioned := j.features[n]; mentioned {
				errs = append(errs, g.set("tcsim_features", 1, i, flag(on)))
			}
		}
		return errors.Join(errs...)
	}
	return g.configure()
}

func flag(on bool) uint64 {
	if on {
		return 1
	}
	return 0
}

// bind gives a guest the addresses of kernel functions and variables.
func (j *JIT) bind(g *guest, t *jit.Target, env image.Env, tramp bool) error {
	e := &t.Emit
	err := g.bind(func(name string) (image.Addr, bool) { return j.symbol(name, e, env, tramp) })
	var ret, depth image.Addr
	if e.ReturnThunk != "" {
		a, serr := env.Symbol(e.ReturnThunk)
		ret, err = a, errors.Join(err, serr)
	}
	if e.CallDepth != "" {
		a, serr := offsetSymbol(e.CallDepth, env)
		depth, err = a, errors.Join(err, serr)
	}
	for i, n := range e.CallThunks {
		a, serr := env.Symbol(n) // a place without the function has no thunk of it
		if serr != nil {
			a = 0
		}
		err = errors.Join(err, g.set("tcsim_thunks", 8, i, uint64(a)))
	}
	// Without a macro for it, this is what the code has.
	if j.landing >= 0 {
		err = errors.Join(err, g.set("tcsim_shown_landing", 8, 0, uint64(j.landing)))
	}
	// The constant of the tree, 32 or 33, comes to the usual limit: another limit moves it.
	return errors.Join(err, g.set("x86_return_thunk", 8, 0, uint64(ret)), g.set("tcsim_call_depth", 8, 0, uint64(depth)),
		g.set("tcsim_limit", 4, 0, uint64(uint32(j.base+int(t.Limit)-bpf.TailCallLimit))))
}

// symbol finds an open name of the object.
func (j *JIT) symbol(name string, e *kernels.Emission, env image.Env, tramp bool) (image.Addr, bool) {
	ask, back := name, image.Addr(0)
	switch {
	case name == "__bpf_call_base":
		return callBase, true
	case name == "__x86_indirect_thunk_array" || name == "__x86_indirect_jump_thunk_array":
		if (e.Branch == kernels.BranchDepth) != (name == "__x86_indirect_jump_thunk_array") || e.Branch != kernels.BranchThunk && e.Branch != kernels.BranchDepth {
			return 0, false
		}
		ask, back = strings.TrimSuffix(name, "array")+"rcx", 32 // number 1 of 32 bytes each
	case name == "__x86_indirect_its_thunk_rcx" && e.Branch != kernels.BranchITS:
		return 0, false
	case name == "__bhi_args" && e.CFI != kernels.CFIFineEAXBHI:
		return 0, false
	case strings.HasPrefix(name, "__bpf_tramp_") || strings.HasPrefix(name, "__bpf_prog_"):
		if !tramp {
			return 0, false
		}
	case strings.HasPrefix(name, "bpf_jit_") || strings.HasPrefix(name, "unwind_") || strings.HasPrefix(name, "cfi_"):
		return 0, false
	}
	a, err := env.Symbol(ask)
	if n, isHelper := protos.HelperByName(name); err != nil && isHelper {
		a, err = env.Helper(n)
	}
	return a - back, err == nil
}

// offsetSymbol is env.Symbol for a name with an offset after "+".
func offsetSymbol(name string, env image.Env) (image.Addr, error) {
	base, off, _ := strings.Cut(name, "+")
	a, err := env.Symbol(base)
	if err != nil || off == "" {
		return a, err
	}
	n, err := strconv.ParseUint(off, 0, 32)
	return a + image.Addr(n), err
}

// Compile implements jit.Emitter.
func (j *JIT) Compile(v *verify.Verified, t *jit.Target, env image.Env) (*image.Image, error) {
	var img *image.Image
	err := j.with(func(g *guest) (err error) {
		err = g.watched(t.Ways, func() error {
			img, err = j.load(g, v, t, env)
			return err
		})
		if err == nil {
			j.tellMessages(g.messages)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	j.compare(v, t, env, img)
	return img, nil
}

func (j *JIT) load(g *guest, v *verify.Verified, t *jit.Target, env image.Env) (*image.Image, error) {
	if err := j.bind(g, t, env, false); err != nil {
		return nil, err
	}
	job, err := newJob(v, t, env, j.tailCallOp)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(g.cpu.Map(inputBase, uint64(len(job.buf))), g.cpu.Write(inputBase, job.buf)); err != nil {
		return nil, err
	}
	entry := image.CodeOff(0)
	if t.Emit.CFI != kernels.CFINone {
		entry = 16
	}
	private := map[int]privateStack{}
	g.insns = len(v.Insns)
	defer func() { g.insns, g.percpu = 0, nil }()
	g.place = func(fn, size int) (image.Addr, error) {
		return env.Place(fn, size-int(exceptionSize(&v.Funcs[fn], v)), entry)
	}
	g.percpu = func(fn int, size uint64) (image.Addr, error) {
		p, ok := env.(image.PrivateStackEnv)
		if !ok {
			return 0, fmt.Errorf("per-CPU memory has no address here: %w", kernels.ErrUnsupported)
		}
		if fn >= len(v.Funcs) || !v.Funcs[fn].PrivateStack {
			end, err := p.PrivateStack(fn, int32(size))
			g.allocated = append(g.allocated, image.Piece{Addr: end - image.Addr(size), Bytes: make([]byte, size)})
			return end - image.Addr(size), err
		}
		s := privateStack{depth: roundedDepth(&v.Funcs[fn])}
		s.size = max(int32(min(size, math.MaxInt32))-2*stackGuard, stackGuard)
		end, err := p.PrivateStack(fn, s.size)
		s.end = end
		private[fn] = s
		return end - image.Addr(s.size) - stackGuard, err
	}
	failed, err := g.call("tcsim_load", inputBase)
	if err == nil {
		err = judge(failed, g.messages, v)
	}
	if err != nil {
		return nil, err
	}
	if err := g.cpu.Read(inputBase, job.buf); err != nil {
		return nil, err
	}
	img, err := job.image(g)
	if err != nil {
		return nil, err
	}
	return img, job.describe(img, g, j.landing, private)
}

// privateStack is what programs may use of the memory that the JIT allocated for a private stack: size bytes up to end, without
// its first and last word, which the kernel writes and looks at (priv_stack_init_guard, priv_stack_check_guard).
type privateStack struct {
	end         image.Addr
	size, depth int32
}

const stackGuard = 8

// of returns where r10 points in a function, which its code says, and how much memory is below it. If the stack then does
// not fit into what was allocated, it is as the kernel's own JIT has it.
func (s privateStack) of(code image.Addr) (fp image.Addr, size int32) {
	if code <= s.end && code >= s.end-image.Addr(s.size-s.depth) {
		return code, s.depth
	}
	return s.end, s.size
}

// roundedDepth is the size of a function's BPF stack as the JIT rounds it.
func roundedDepth(f *verify.FuncInfo) int32 { return (f.StackDepth + 7) &^ 7 }

// exceptionSize is what the exception table takes of the memory for a function.
func exceptionSize(f *verify.FuncInfo, v *verify.Verified) uint64 {
	const entry = 12
	return exceptionEntries(v.Insns[f.Start:f.End]) * entry
}

// judge makes an error of a program that the JIT did not translate, and of a warning of the kernel.
func judge(failed uint64, messages []Message, v *verify.Verified) error {
	if failed != 0 {
		name := "?"
		if n := int(failed) - 1; n < len(v.Funcs) {
			name = v.Funcs[n].Name
		}
		return &FailedError{withMessages(fmt.Sprintf("the JIT makes no code for function %d (%s)", failed-1, name), messages)}
	}
	for _, m := range messages {
		if m.Kind == "WARN" {
			return &CrashError{"the JIT warns", messages, false}
		}
	}
	return nil
}

// FailedError says that the JIT gave up on a program, so that a kernel does not run its machine code either.
type FailedError struct{ Text string }

// Error returns what the JIT said.
func (e *FailedError) Error() string { return e.Text }

// Unwrap makes it emit.ErrNotJITed and jit.ErrEmitter.
func (e *FailedError) Unwrap() []error { return []error{emit.ErrNotJITed, jit.ErrEmitter} }
