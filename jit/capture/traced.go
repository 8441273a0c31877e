// SPDX-License-Identifier: GPL-2.0-only

package capture

import (
	"encoding/binary"
	"fmt"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/emit"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/verify"
)

// Traced returns what traces the function that trampoline n of a scenario is of. v are the programs
// as the verifier left them, nil for those that are not known. It fails if the capture lacks
// something.
func (s *Scenario) Traced(n int, v []*verify.Verified, sym *SymbolTable) (*emit.Traced, error) {
	t := &s.Trampolines[n]
	f := &emit.Traced{Image: t.ref("tramp_image")}
	if t.Kernel != "" {
		f.Name = t.Kernel
		args, ok := jit.KernelFuncArgs(t.Kernel)
		if !ok {
			return nil, fmt.Errorf("kernel function %s: nothing is known of its arguments", t.Kernel)
		}
		f.Args = args
		if f.Func, ok = sym.Addr(t.Kernel); !ok {
			f.Func = t.SiteAddr() - image.Addr(t.Site.Off)
		}
	} else {
		if v[t.Prog] == nil {
			return nil, fmt.Errorf("the traced program %s was not loaded", s.Progs[t.Prog].Name)
		}
		fn := &s.Progs[t.Prog].Funcs[t.Func]
		f.Name, f.Func = fn.Name, fn.Addr
		f.Args = jit.FuncArgs(v[t.Prog].Program, t.Func)
		f.TailCalls = emit.TailCallsTraced(v[t.Prog])
	}
	for _, i := range s.tracers(t) {
		p := &s.Progs[i]
		if p.LoadError != "" || len(p.Funcs) == 0 {
			return nil, fmt.Errorf("the tracing program %s was not loaded", p.Name)
		}
		kind, ok := emit.TraceKindByName(p.Attach.Kind)
		if !ok {
			return nil, fmt.Errorf("program %s: unknown kind of tracing %q", p.Name, p.Attach.Kind)
		}
		f.Attach(kind, emit.TracingProg{Func: p.Funcs[0].Addr, Prog: t.ref(fmt.Sprintf("bpf_prog:%d", i))})
	}
	return f, nil
}

// tracers lists the programs that a trampoline runs, in the order in which they were attached.
func (s *Scenario) tracers(t *Trampoline) []int {
	if t.Attached != nil {
		return t.Attached
	}
	var out []int
	for i := range s.Progs {
		if p := &s.Progs[i]; p.LoadError == "" && p.Attach.traces(t) {
			out = append(out, i)
		}
	}
	return out
}

// traces reports whether a program is attached to the function of a trampoline.
func (a *Attach) traces(t *Trampoline) bool {
	if a == nil || a.Kernel != t.Kernel {
		return false
	}
	return a.Kernel != "" || a.Prog == t.Prog && a.Func == t.Func
}

// ref returns what the operand is that is named sym, 0 if there is none.
func (t *Trampoline) ref(sym string) image.Addr {
	for _, r := range t.Refs {
		if r.Sym == sym {
			return r.Target
		}
	}
	return 0
}

// SiteAddr is where the patched instruction is, from where it leads.
func (t *Trampoline) SiteAddr() image.Addr {
	rel := int32(binary.LittleEndian.Uint32(t.Site.After[1:]))
	return t.Addr - image.Addr(int64(rel)) - image.PokeSize
}

// trampEnv puts a trampoline where the kernel had it.
type trampEnv struct {
	*Env
	at image.Addr
}

func (e trampEnv) Place(int, int, image.CodeOff) (image.Addr, error) { return e.at, nil }

// Compile makes trampoline n of a scenario for a target, at the address that it had.
func (s *Scenario) Compile(n int, v []*verify.Verified, t *jit.Target, h *Header, sym *SymbolTable) (*emit.Trampoline, error) {
	f, err := s.Traced(n, v, sym)
	if err != nil {
		return nil, err
	}
	return jit.CompileTrampoline(f, t, trampEnv{s.Env(s.Trampolines[n].Prog, h, sym), s.Trampolines[n].Addr})
}
