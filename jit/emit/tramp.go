// SPDX-License-Identifier: GPL-2.0-only

package emit

import (
	"fmt"

	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/verify"
)

// TraceKind is the way in which a tracing program is attached (enum bpf_tramp_prog_type).
type TraceKind uint8

// The trace kinds.
const (
	Fentry   TraceKind = iota // before the function
	FmodRet                   // before the function; a result other than 0 replaces the call
	Fexit                     // after the function, with its return value
	traceEnd                  // their number
)

var traceKindNames = [traceEnd]string{Fentry: "fentry", FmodRet: "fmod_ret", Fexit: "fexit"}

// String returns the kernel's name of the kind, such as "fentry".
func (k TraceKind) String() string { return traceKindNames[k] }

// TraceKindByName is the reverse of String; ok is false for any other name.
func TraceKindByName(name string) (k TraceKind, ok bool) {
	for k := Fentry; k < traceEnd; k++ {
		if traceKindNames[k] == name {
			return k, true
		}
	}
	return 0, false
}

// TracingProg is a program that a trampoline calls.
type TracingProg struct {
	Func image.Addr // its entry (bpf_func)
	Prog image.Addr // its struct bpf_prog
}

// Traced is a function with the programs that trace it.
type Traced struct {
	Name string     // for the trampoline's name
	Func image.Addr // where it is called: bpf_func, or the kernel function
	// Args are the sizes of its arguments in bytes: 1, 2, 4 or 8, at most six.
	Args []uint8
	// TailCalls says that the program it belongs to can reach a tail call
	// (BPF_TRAMP_F_TAIL_CALL_CTX): see TailCallsTraced.
	TailCalls bool
	// Image is the trampoline's struct bpf_tramp_image.
	Image image.Addr

	progs [traceEnd][]TracingProg // in the order in which they run
}

// Attach adds a tracing program. What is attached last runs first (hlist_add_head in
// __bpf_trampoline_link_prog, kernel/bpf/trampoline.c).
func (f *Traced) Attach(k TraceKind, p TracingProg) {
	f.progs[k] = append([]TracingProg{p}, f.progs[k]...)
}

// Programs are those of one kind, in the order in which they run.
func (f *Traced) Programs(k TraceKind) []TracingProg { return f.progs[k] }

// Calls reports whether the trampoline calls the function itself (BPF_TRAMP_F_CALL_ORIG), which it
// does if anything is to run after it.
func (f *Traced) Calls() bool { return len(f.progs[Fexit])+len(f.progs[FmodRet]) > 0 }

// TailCallsTraced is what Traced.TailCalls is for the functions of a program: aux->tail_call_reachable,
// which bpf_check sets from what it knows of the entry.
func TailCallsTraced(v *verify.Verified) bool {
	return len(v.Funcs) > 0 && v.Funcs[0].TailCallReachable
}

// Trampoline is the code that a traced function calls or jumps to instead of going on.
type Trampoline struct {
	Func image.FuncImage
	// Site is what changes in the traced function: a nop becomes a call or a jump.
	Site image.Patch
	// Module is what else came with the code, nil if nothing.
	Module *image.Module
}

// Image returns the trampoline as an image of its own, for tracing and emulation.
func (t *Trampoline) Image(c *Config) *image.Image {
	return &image.Image{Limit: c.Limit, Funcs: []image.FuncImage{t.Func}, Module: t.Module}
}

// CompileTrampoline compiles the trampoline of a traced function for a design. It fails with ErrUnsupported on kernels
// without trampolines.
func CompileTrampoline(f *Traced, t *Config, d Design, env image.Env) (*Trampoline, error) {
	switch form := &t.Emit.Tramp; {
	case !form.Exists:
		return nil, fmt.Errorf("trampolines: %w", kernels.ErrUnsupported)
	case len(f.progs[FmodRet]) > 0 && !form.Modify:
		return nil, fmt.Errorf("fmod_ret programs: %w", kernels.ErrUnsupported)
	}
	if err := f.check(); err != nil {
		return nil, err
	}
	g := &Func{c: &compiler{t: t, env: env, design: d, regs: bpfRegs(t)}, Config: t}
	e := &trampEmitter{form: t.Emit.Tramp, f: f}
	e.Writer = *newWriter(g, nil)
	e.place()
	if err := e.all(); err != nil {
		return nil, err
	}
	var err error
	if g.addr, err = env.Place(0, e.Len(), 0); err != nil {
		return nil, fmt.Errorf("place: %w", err)
	}
	if g.addr%trampAlign != 0 {
		return nil, fmt.Errorf("place: %#x is not a multiple of %d", uint64(g.addr), trampAlign)
	}
	g.img = &image.FuncImage{Name: "tramp_" + f.Name, Addr: g.addr, Trampoline: true}
	e.Reset()
	if err := e.all(); err != nil {
		return nil, err
	}
	g.img.Frame = e.frame()
	g.img.Code = e.Bytes()
	site, err := e.site()
	return &Trampoline{Func: *g.img, Site: site}, err
}

// trampAlign is the least alignment of trampolines; where the call of the traced function is skipped
// lands on such a place.
const trampAlign = 16

func (f *Traced) check() error {
	const most = 6 // in registers
	if len(f.Args) > most {
		return fmt.Errorf("%d arguments, at most %d fit into registers: %w", len(f.Args), most, kernels.ErrUnsupported)
	}
	for i, n := range f.Args {
		if n != 1 && n != 2 && n != 4 && n != 8 {
			return fmt.Errorf("argument %d has %d bytes, expected 1, 2, 4 or 8", i, n)
		}
	}
	for _, p := range f.progs {
		if len(p) > 0 {
			return nil
		}
	}
	return fmt.Errorf("no tracing program")
}

// site is the patched instruction: it stands where programs begin after endbr64, and functions of
// the kernel (bpf_trampoline_update, bpf_arch_text_poke).
func (e *trampEmitter) site() (image.Patch, error) {
	p := image.Patch{Kind: image.PatchText, Part: image.PartJump, Addr: e.body() - image.PokeSize, Old: image.Nop5}
	insn, err := image.PokeInsn(p.Addr, e.Writer.Func.addr)
	if !e.jumps() {
		insn[0] = 0xe8
	}
	p.New = insn
	return p, err
}

// body is where the traced function goes on after the patched instruction.
func (e *trampEmitter) body() image.Addr {
	at := e.f.Func + image.PokeSize
	if e.Writer.Func.Config.Emit.ENDBR {
		at += ENDBRSize
	}
	return at
}

// jumps reports whether the traced function jumps to the trampoline.
func (e *trampEmitter) jumps() bool { return e.form.Jump && e.f.Calls() }
