// SPDX-License-Identifier: GPL-2.0-only

package capture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/verify"
)

// Traced returns what traces the function that trampoline n of a scenario is of. v are the programs
// as the verifier left them, nil for those that are not known. It fails if the capture lacks
// something.
func (s *Scenario) Traced(n int, v []*verify.Verified, sym *SymbolTable) (*jit.Traced, error) {
	t := &s.Trampolines[n]
	f := &jit.Traced{Image: t.ref("tramp_image")}
	if t.Kernel != "" {
		f.Name = t.Kernel
		args, ok := jit.KernelFuncArgs(t.Kernel)
		if !ok {
			return nil, fmt.Errorf("kernel function %s: nothing is known of its arguments", t.Kernel)
		}
		f.Args = args
		if f.Func, ok = sym.Addr(t.Kernel); !ok {
			f.Func = t.siteAddr() - image.Addr(t.Site.Off)
		}
	} else {
		if v[t.Prog] == nil {
			return nil, fmt.Errorf("the traced program %s was not loaded", s.Progs[t.Prog].Name)
		}
		fn := &s.Progs[t.Prog].Funcs[t.Func]
		f.Name, f.Func = fn.Name, fn.Addr
		f.Args = jit.FuncArgs(v[t.Prog].Program, t.Func)
		f.TailCalls = jit.TailCallsTraced(v[t.Prog])
	}
	for _, i := range s.tracers(t) {
		p := &s.Progs[i]
		if p.LoadError != "" || len(p.Funcs) == 0 {
			return nil, fmt.Errorf("the tracing program %s was not loaded", p.Name)
		}
		kind, ok := jit.TraceKindByName(p.Attach.Kind)
		if !ok {
			return nil, fmt.Errorf("program %s: unknown kind of tracing %q", p.Name, p.Attach.Kind)
		}
		f.Attach(kind, jit.TracingProg{Func: p.Funcs[0].Addr, Prog: t.ref(fmt.Sprintf("bpf_prog:%d", i))})
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

// siteAddr is where the patched instruction is, from where it leads.
func (t *Trampoline) siteAddr() image.Addr {
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
func (s *Scenario) Compile(n int, v []*verify.Verified, t *jit.Target, h *Header, sym *SymbolTable) (*jit.Trampoline, error) {
	f, err := s.Traced(n, v, sym)
	if err != nil {
		return nil, err
	}
	return jit.CompileTrampoline(f, t, trampEnv{s.Env(s.Trampolines[n].Prog, h, sym), s.Trampolines[n].Addr})
}

// traced compares the trampolines and, with all tracing programs attached, the functions.
func (j *job) traced() {
	var sites []image.Patch
	now := map[image.Addr][image.PokeSize]byte{} // what stands at patched instructions
	for n := range j.s.Trampolines {
		t := &j.s.Trampolines[n]
		if t.Error != "" {
			continue
		}
		got, err := j.s.Compile(n, j.verified, j.target, &j.src.Header, j.symbols)
		if err == nil {
			if old, again := now[got.Site.Addr]; again {
				got.Site.Old = old
			}
			now[got.Site.Addr] = got.Site.New
			err = differs(got, t)
		}
		j.res.trampolines.add(err == nil)
		if err != nil {
			j.mismatch(Mismatch{Prog: t.Prog, Func: t.Func, State: Traced, Reason: err.Error(), Listing: trampListing(got, t)})
		}
		if got != nil && t.Kernel == "" {
			sites = append(sites, got.Site)
		}
	}
	if len(j.s.Trampolines) == 0 {
		return
	}
	j.patch(sites)
	j.compare(Traced)
	j.patch(undo(sites))
}

// undo returns the patches that take back others.
func undo(sites []image.Patch) []image.Patch {
	var out []image.Patch
	for _, p := range slices.Backward(sites) {
		p.Old, p.New = p.New, p.Old
		out = append(out, p)
	}
	return out
}

// replaced compares the functions while the programs are attached that replace some.
func (j *job) replaced() {
	var sites []image.Patch
	for i := range j.s.Progs {
		a := j.s.Progs[i].Attach
		if a == nil || a.Kind != KindReplace || j.images[i] == nil || j.images[a.Prog] == nil {
			continue
		}
		by := &j.images[i].Funcs[0]
		p, err := jit.ReplacePatch(&j.images[a.Prog].Funcs[a.Func], j.target.Emit.ENDBR, by.Addr+image.Addr(by.Entry))
		if err != nil {
			j.mismatch(Mismatch{Prog: i, Func: -1, State: Replaced, Reason: err.Error()})
			continue
		}
		sites = append(sites, p)
	}
	if len(sites) > 0 {
		j.patch(sites)
		j.compare(Replaced)
		j.patch(undo(sites))
	}
}

func (j *job) patch(sites []image.Patch) {
	var images []*image.Image
	for _, img := range j.images {
		if img != nil {
			images = append(images, img)
		}
	}
	if err := image.ApplyPatches(sites, images...); err != nil {
		j.mismatch(Mismatch{Prog: -1, Func: -1, State: Traced, Reason: err.Error()})
	}
}

// differs says what of a trampoline and of the patched instruction is not as the kernel has it.
func differs(got *jit.Trampoline, t *Trampoline) error {
	var errs []error
	if code := trampCode(got, t); !bytes.Equal(code, t.Image) {
		errs = append(errs, errors.New("trampoline "+firstDifference(t.Image, code)))
	}
	if got.Site.Addr != t.siteAddr() {
		errs = append(errs, fmt.Errorf("the patched instruction is at %#x, the kernel's at %#x", uint64(got.Site.Addr), uint64(t.siteAddr())))
	}
	if !bytes.Equal(got.Site.Old[:], t.Site.Before) || !bytes.Equal(got.Site.New[:], t.Site.After) {
		errs = append(errs, fmt.Errorf("patch % x to % x, the kernel's is % x to % x", got.Site.Old, got.Site.New, t.Site.Before, t.Site.After))
	}
	return errors.Join(errs...)
}

// trampCode is a trampoline as captures have it: without the int3 after its return.
func trampCode(got *jit.Trampoline, t *Trampoline) []byte {
	code := got.Func.Code
	if n := len(code) - 1; n == t.Len && code[n] == 0xcc {
		code = code[:n]
	}
	return code
}

// trampListing shows both codes, "" if there is only one.
func trampListing(got *jit.Trampoline, t *Trampoline) string {
	if got == nil {
		return ""
	}
	f := got.Func
	f.Code = trampCode(got, t)
	return listing(&f, nil, t.Image)
}
