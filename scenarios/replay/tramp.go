// SPDX-License-Identifier: GPL-2.0-only

package replay

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/kernel"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/emit"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/recognise"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// tracing is what a captured scenario has besides its programs: the kernel's trampolines, and
// functions of the kernel that are traced.
type tracing struct {
	images []*image.Image
	sites  []image.Patch
	kernel map[string]int // index of traced kernel functions among all images
	// loses says that a trampoline does not keep what its function needs in rax.
	loses bool
}

// WithTracing returns the same scenario as it is while all tracing programs are attached; ok is false
// if it has none.
func WithTracing(c Captured) (traced *Bare, ok bool) {
	b, ok := c.(*Bare)
	if !ok || b.Scenario.RunTraced == nil {
		return nil, false
	}
	t := *b
	t.Traced = true
	return &t, true
}

// testRun is the kernel's own run that is to be repeated.
func (c *Bare) testRun() *capture.Run {
	if c.Traced {
		return c.Scenario.RunTraced
	}
	return c.Scenario.Run
}

// readTracing makes images of trampolines and traced kernel functions.
func (c *Bare) readTracing() error {
	c.tracing.kernel = map[string]int{}
	for n := range c.Scenario.Trampolines {
		t := &c.Scenario.Trampolines[n]
		if t.Error != "" {
			return fmt.Errorf("trampoline %d: the capture has no image: %s", n, t.Error)
		}
		name := t.Kernel
		if name == "" {
			name = c.Scenario.Progs[t.Prog].Funcs[t.Func].Name
		}
		f, site, err := trampolineOf(t, "tramp_"+name)
		if err != nil {
			return err
		}
		img := &image.Image{Limit: c.Target.Limit, Funcs: []image.FuncImage{*f}}
		if t.Kernel != "" {
			fn, ok := kernel.TracedFunc(t.Kernel, site.Addr-image.Addr(t.Site.Off), c.Target)
			if !ok {
				return fmt.Errorf("kernel function %s: %w", t.Kernel, kernels.ErrUnsupported)
			}
			if code := fn.Funcs[0].Code; int(t.Site.Off) >= len(code) || !bytes.HasPrefix(code[t.Site.Off:], t.Site.Before) {
				return fmt.Errorf("kernel function %s: what is patched is not at +%#x", t.Kernel, int(t.Site.Off))
			}
			c.tracing.kernel[t.Kernel] = len(c.Images) + len(c.tracing.images)
			c.tracing.images = append(c.tracing.images, fn)
		} else if counts := c.Images[t.Prog].Funcs[t.Func].Frame.Counter.Form != image.CounterNone; counts && t.Func > 0 && !keepsRAX(f) {
			c.tracing.loses = true
		}
		c.tracing.images = append(c.tracing.images, img)
		c.tracing.sites = append(c.tracing.sites, site)
	}
	return nil
}

// trampolineOf returns a captured trampoline and what leads to it.
func trampolineOf(t *capture.Trampoline, name string) (*image.FuncImage, image.Patch, error) {
	site := image.Patch{Kind: image.PatchText, Part: image.PartJump, Old: [image.PokeSize]byte(t.Site.Before), New: [image.PokeSize]byte(t.Site.After)}
	rel := int32(binary.LittleEndian.Uint32(t.Site.After[1:]))
	site.Addr = t.Addr - image.Addr(int64(rel)) - image.PokeSize
	f, err := recognise.RecogniseTrampoline(name, t.Addr, t.Image)
	return f, site, err
}

// keepsRAX reports whether a trampoline keeps what rax holds when it is entered.
func keepsRAX(f *image.FuncImage) bool {
	for _, s := range f.Frame.Slots {
		if s.Kind == image.SlotTailCallCntOrPtr {
			return true
		}
	}
	return false
}

// attach patches the traced functions.
func (c *Bare) attach(m *runner.Machine) error {
	if !c.Traced {
		return nil
	}
	for i := range c.tracing.sites {
		p := &c.tracing.sites[i]
		code := make([]byte, image.PokeSize)
		if err := m.ReadMemory(p.Addr, code); err != nil {
			return err
		}
		if r := p.Apply(code); r != image.PokeChanged {
			return fmt.Errorf("trampoline %d: patch at %#x: %v: found % x", i, uint64(p.Addr), r, code)
		}
		if err := m.WriteText(p.Addr, code); err != nil {
			return err
		}
	}
	return nil
}

// limit is what the checks hold a run to: none where the kernel's own trampolines lose the count.
func (c *Bare) limit(opt runner.Options) uint32 {
	if c.Traced && c.tracing.loses && opt.Limit == 0 {
		return math.MaxInt32
	}
	return opt.Limit
}

// runTracing is a test run of a tracing program: the kernel calls functions of its own. Those that
// nothing traces in this scenario are left out.
func (c *Bare) runTracing(ctx context.Context, m *runner.Machine, out *Replay) error {
	kind, ok := emit.TraceKindByName(c.Scenario.Progs[c.testRun().Prog].Attach.Kind)
	if !ok {
		return fmt.Errorf("attached as %q: %w", c.Scenario.Progs[c.testRun().Prog].Attach.Kind, kernels.ErrUnsupported)
	}
	if err := m.PrepareKernelCalls(); err != nil {
		return err
	}
	var rets []uint32
	for _, k := range kernel.TestCalls(kind) {
		img, ok := c.tracing.kernel[k.Name]
		if !ok {
			rets = append(rets, k.Ret)
			continue
		}
		run, err := m.Perform(ctx, emu.Run{Image: img, Args: k.Args[:]})
		if err != nil {
			return err
		}
		out.Run = *run
		if out.Violation != nil || out.Killed != "" {
			return nil
		}
		ret := uint32(run.Return)
		if kind != emit.FmodRet && ret != k.Ret {
			out.Wrong = append(out.Wrong, fmt.Sprintf("%s returned %d, it is made to return %d", k.Name, ret, k.Ret))
		}
		rets = append(rets, ret)
	}
	ret, err := m.KernelResult(kind, rets)
	out.Return = uint64(ret)
	return err
}
