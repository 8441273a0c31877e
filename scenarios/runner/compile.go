// SPDX-License-Identifier: GPL-2.0-only

package runner

import (
	"errors"
	"fmt"

	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/emu/kernel"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/verify"
	"github.com/tcsim/tcsim/scenarios"
)

// Compiled is a scenario as one target's kernel holds it after loading: its images placed, prog
// arrays still empty. It is immutable and may be shared by sessions.
type Compiled struct {
	Built  *scenarios.Built
	Target *jit.Target
	Images []*image.Image // in order of Built.Programs
	Plan   *kernel.Plan   // nil for captured images
	placed *guest.Setup   // of captured images: where the kernel had everything
	// frozen says that the direct tail calls stay as they are: updates do not patch them.
	frozen bool

	verified []*verify.Verified // in order of Built.Programs
	attached attachments
}

// Compile brings every program of a scenario through the verifier's rewrites, its analysis and the
// JIT of a target. The scenario's limit, if it sets one, replaces the target's. It reports the
// mistakes of all programs; they wrap jit.ErrUnsupported where the target lacks something.
func Compile(b *scenarios.Built, t *jit.Target) (*Compiled, error) {
	b = b.For(t)
	if l := b.Scenario.Limit; l != 0 && l != t.Limit {
		limited := *t
		limited.Limit = l
		t = &limited
	}
	c := &Compiled{Built: b, Target: t, Plan: kernel.NewPlan(t.Offsets, b.Maps)}
	var errs []error
	for i := range b.Programs {
		img, v, err := compileVerified(&b.Programs[i], c.Target, c.Plan)
		if err != nil {
			errs = append(errs, fmt.Errorf("scenario %s: program %s: %w", b.Scenario.Name, b.Programs[i].Name, err))
			continue
		}
		c.Images = append(c.Images, img)
		c.verified = append(c.verified, v)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if err := c.attachAll(); err != nil {
		return nil, fmt.Errorf("scenario %s: %w", b.Scenario.Name, err)
	}
	return c, c.replaceable()
}

// replaceable reports functions that the scenario replaces and the target cannot.
func (c *Compiled) replaceable() error {
	for i := range c.Built.Actions {
		a := &c.Built.Actions[i]
		if a.Kind != scenarios.ActReplace {
			continue
		}
		f := &c.Images[a.Replaced].Funcs[a.Func]
		if _, err := jit.ReplacePatch(f, c.Target.Emit.ENDBR, f.Addr); err != nil {
			return fmt.Errorf("scenario %s: program %s: %w", c.Built.Scenario.Name, c.Built.Programs[a.Replaced].Name, err)
		}
	}
	return nil
}

// Landing is where tail calls enter a program, by index; 0 for none, which -1 also stands for.
func (c *Compiled) Landing(prog int) image.Addr {
	if prog < 0 {
		return 0
	}
	a, _ := c.Images[prog].Landing()
	return a
}

// SlotName is a slot as scenarios write it.
func (c *Compiled) SlotName(s Slot) string {
	return fmt.Sprintf("%s[%d]", c.Built.Maps[s.Map].Name, s.Key)
}

// ProgName is the name of a program by index, "empty" for -1.
func (c *Compiled) ProgName(p int) string {
	if p < 0 {
		return "empty"
	}
	return c.Built.Programs[p].Name
}

// packetRoom is the size of the largest packet of any run.
func (c *Compiled) packetRoom() int {
	n := 0
	for i := range c.Built.Actions {
		n = max(n, len(c.Built.Actions[i].Packet))
	}
	return n
}

// compile brings one program through rewrites, analysis and JIT.
func compile(p *bpf.Program, t *jit.Target, env image.Env) (*image.Image, error) {
	img, _, err := compileVerified(p, t, env)
	return img, err
}

// compileVerified also returns what the analysis found.
func compileVerified(p *bpf.Program, t *jit.Target, env image.Env) (*image.Image, *verify.Verified, error) {
	rewritten, err := verify.Rewrite(p, &t.Kernel)
	if err != nil {
		return nil, nil, err
	}
	v, err := verify.Analyse(rewritten, &t.Kernel)
	if err != nil {
		return nil, nil, err
	}
	img, err := jit.Compile(v, t, env)
	return img, v, err
}
