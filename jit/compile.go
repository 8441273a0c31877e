// SPDX-License-Identifier: GPL-2.0-only

package jit

import (
	"fmt"

	"github.com/tcsim/tcsim/jit/emit"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/verify"
)

// Compile translates a verified program for a target. It does what bpf_int_jit_compile and do_jit
// (arch/x86/net/bpf_jit_comp.c) and jit_subprogs (kernel/bpf/verifier.c) do, byte for byte: all
// functions are brought to their final size first, then placed, then emitted with the addresses
// of each other. The code is in the state directly after loading with empty prog arrays.
//
// The result does not share memory with its arguments except for the pointers to the program and
// the target. An error names the target, the instruction index and the instruction, and wraps
// ErrUnsupported or ErrNotJITed where these apply. Compile is safe for concurrent use if env is.
func Compile(v *verify.Verified, t *Target, env image.Env) (*image.Image, error) {
	img, err := t.compile(v, env)
	if err != nil {
		return nil, fmt.Errorf("compile %s for %s: %w", v.Name(), t.Name, err)
	}
	return img, nil
}

func (t *Target) compile(v *verify.Verified, env image.Env) (*image.Image, error) {
	if t.Emitter != nil {
		return t.Emitter.Compile(v, t, env)
	}
	d, err := t.emission()
	if err != nil {
		return nil, err
	}
	return emit.Compile(v, &t.Config, d, env)
}

// CompileTrampoline makes the trampoline of a traced function: arch_prepare_bpf_trampoline of
// arch/x86/net/bpf_jit_comp.c, byte for byte, up to the return and the int3 that SLS puts after it.
// Of env, it uses Place, once, and Symbol. It fails with ErrUnsupported on targets without
// TrampStyle. A function of a program that is traced must be of the same target.
func CompileTrampoline(f *emit.Traced, t *Target, env image.Env) (*emit.Trampoline, error) {
	tr, err := t.compileTrampoline(f, env)
	if err != nil {
		return nil, fmt.Errorf("compile trampoline of %s for %s: %w", f.Name, t.Name, err)
	}
	return tr, nil
}

func (t *Target) compileTrampoline(f *emit.Traced, env image.Env) (*emit.Trampoline, error) {
	if t.Emitter != nil {
		return t.Emitter.CompileTrampoline(f, t, env)
	}
	d, err := t.emission()
	if err != nil {
		return nil, err
	}
	return emit.CompileTrampoline(f, &t.Config, d, env)
}

// emission returns the target's design. It errors if the target has none.
func (t *Target) emission() (emit.Design, error) {
	d, ok := t.Design.Emission()
	if !ok {
		return d, fmt.Errorf("target %q has no tail-call design", t.Name)
	}
	return d, nil
}

// Landing returns how far after bpf_func a tail call enters a program of this target, in bytes.
// It errors if the target has no design.
func (t *Target) Landing() (image.CodeOff, error) {
	d, err := t.emission()
	if err != nil {
		return 0, err
	}
	return d.Landing(&t.Config), nil
}
