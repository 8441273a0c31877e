// SPDX-License-Identifier: GPL-2.0-only

package runner

import (
	"fmt"

	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/emu/interp"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/emit"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/scenarios"
)

// traceKey is a function that is traced.
type traceKey struct{ prog, fn int }

// attachments are what the attach events of a scenario do, on one target. A function that a second
// program comes to trace gets a new trampoline, and its call goes there from then on
// (bpf_trampoline_update, kernel/bpf/trampoline.c).
type attachments struct {
	images []*image.Image                    // the trampolines
	sites  map[*scenarios.Action]image.Patch // what an attach action changes
}

// attachAll compiles the trampolines of all attach events, in their order.
func (c *compiler) attachAll() error {
	c.attached.sites = map[*scenarios.Action]image.Patch{}
	traced := map[traceKey]*emit.Traced{}
	now := map[traceKey]image.Patch{}
	for i := range c.Built.Actions {
		a := &c.Built.Actions[i]
		if a.Kind != scenarios.ActAttach {
			continue
		}
		k := traceKey{a.Program, a.Func}
		f, old := traced[k], now[k]
		if f == nil {
			var err error
			if f, err = c.traced(a); err != nil {
				return err
			}
			traced[k] = f
		} else {
			f.Name += "'"
		}
		by := &c.Images[a.By].Funcs[0]
		f.Attach(a.Trace, emit.TracingProg{Func: by.Addr + image.Addr(by.Entry), Prog: c.plan.Prog(a.By)})
		f.Image = c.plan.TrampImage(len(c.attached.images))
		t, err := jit.CompileTrampoline(f, c.Target, c.env)
		if err != nil {
			return err
		}
		if old.Addr != 0 {
			t.Site.Old = old.New
		}
		now[k] = t.Site
		c.attached.sites[a] = t.Site
		c.attached.images = append(c.attached.images, t.Image(&c.Target.Config))
	}
	return nil
}

// traced describes the function that an attach event traces.
func (c *compiler) traced(a *scenarios.Action) (*emit.Traced, error) {
	v := c.verified[a.Program]
	name := c.Built.Programs[a.Program].Funcs[a.Func].Name
	for i := range c.Images[a.Program].Funcs {
		f := &c.Images[a.Program].Funcs[i]
		if f.Name == name {
			return &emit.Traced{
				Name: name, Func: f.Addr + image.Addr(f.Entry), Args: jit.FuncArgs(v.Program, i),
				TailCalls: emit.TailCallsTraced(v),
			}, nil
		}
	}
	return nil, fmt.Errorf("function %s of program %s cannot be traced: only dead code calls it", name, c.Built.Programs[a.Program].Name)
}

// voidRAX is what kernel functions without a result leave in rax.
func voidRAX(b *scenarios.Built) uint64 {
	if b.Scenario.VoidRAX == scenarios.VoidPointer {
		return uint64(guest.TaskAddr)
	}
	return 0
}

// attach performs an attach event: the patched instruction of the traced function comes to lead to
// the trampoline.
func (h *holdings) attach(a *scenarios.Action) error {
	p := h.c.attached.sites[a]
	return h.poke(&p)
}

// attach does the same in the reference interpreter.
func (r *reference) attach(a *scenarios.Action) error {
	p := &r.built.Programs[a.Program]
	kind := map[emit.TraceKind]interp.TraceKind{emit.Fentry: interp.Fentry, emit.Fexit: interp.Fexit}[a.Trace]
	return r.m.Attach(interp.Trace{Kind: kind, By: a.By, Prog: a.Program, Func: a.Func, Args: len(jit.FuncArgs(p, a.Func))})
}

// Attaches reports whether the scenario has attach events.
func (c *Compiled) Attaches() bool {
	for i := range c.Built.Actions {
		if c.Built.Actions[i].Kind == scenarios.ActAttach {
			return true
		}
	}
	return false
}

// betweenHooks reports whether a return is not one that BPF knows: into a trampoline, or from one into the
// prologue of the function that it traces.
func betweenHooks(e *trace.Event) bool {
	return e.Target.Trampoline || e.Fn.Trampoline && image.CodeOff(e.TargetAddr-e.Target.Addr) < e.Target.Frame.Body
}
