// SPDX-License-Identifier: GPL-2.0-only

package runnertest

import (
	"bytes"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/emit"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/verify"
)

// Emitter is the JIT of an edited source: what a target makes, which is then changed.
type Emitter struct {
	Makes *jit.Target
	// Edit changes function fn of a program, or a trampoline, for which fn is -1; nil changes nothing.
	Edit func(f *image.FuncImage, fn int)
	Is   *jit.Original
	// Update changes what an update of a slot does; nil changes nothing.
	Update func([]image.Patch) []image.Patch
}

// Edited is a target whose code is changed.
func Edited(t *jit.Target, edit func(f *image.FuncImage, fn int)) *jit.Target {
	out := *t
	out.Emitter = &Emitter{Makes: t, Edit: edit}
	return &out
}

// Replaced puts code in place of other code of the same size, wherever it is.
func Replaced(old, now string) func(*image.FuncImage, int) {
	return func(f *image.FuncImage, _ int) {
		f.Code = bytes.ReplaceAll(f.Code, []byte(old), []byte(now))
	}
}

// Compile implements jit.Emitter.
func (e *Emitter) Compile(v *verify.Verified, t *jit.Target, env image.Env) (*image.Image, error) {
	img, err := jit.Compile(v, e.as(t), env)
	for i := 0; err == nil && e.Edit != nil && i < len(img.Funcs); i++ {
		e.Edit(&img.Funcs[i], i)
	}
	return img, err
}

// as is the target that makes the code, with the limit that is asked for.
func (e *Emitter) as(t *jit.Target) *jit.Target {
	own := *e.Makes
	own.Limit = t.Limit
	return &own
}

// CompileTrampoline implements jit.Emitter.
func (e *Emitter) CompileTrampoline(f *emit.Traced, t *jit.Target, env image.Env) (*emit.Trampoline, error) {
	tr, err := jit.CompileTrampoline(f, e.as(t), env)
	if err == nil && e.Edit != nil {
		e.Edit(&tr.Func, -1)
	}
	return tr, err
}

// LoadPlan implements jit.Emitter.
func (e *Emitter) LoadPlan(t *jit.Target, s []image.PokeSite, to []image.Addr) ([]image.Patch, error) {
	return e.as(t).LoadPlan(s, to)
}

// UpdatePlan implements jit.Emitter.
func (e *Emitter) UpdatePlan(t *jit.Target, s []image.PokeSite, old, to image.Addr) ([]image.Patch, error) {
	plan, err := e.as(t).UpdatePlan(s, old, to)
	if err == nil && e.Update != nil {
		plan = e.Update(plan)
	}
	return plan, err
}

// For implements jit.Emitter.
func (e *Emitter) For(*jit.Target) (jit.Emitter, error) { return e, nil }

// Original implements jit.Comparable.
func (e *Emitter) Original() *jit.Original { return e.Is }
