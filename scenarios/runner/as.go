// SPDX-License-Identifier: GPL-2.0-only

package runner

import (
	"errors"

	"github.com/tcsim/tcsim/emu/kernel"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/image"
)

// Emission is what a JIT makes of a program.
type Emission struct {
	Image *image.Image
	Err   error // why there is none
}

// samePlaces is an address plan in which code lies where other code lies.
type samePlaces struct {
	*kernel.Plan
	at []image.Addr // of what is placed next
}

// Place implements image.Env.
func (p *samePlaces) Place(int, int, image.CodeOff) (image.Addr, error) {
	if len(p.at) == 0 {
		return 0, errors.New("there is no place for it")
	}
	a := p.at[0]
	p.at = p.at[1:]
	return a, nil
}

// As returns what another target's JIT makes of the programs and trampolines of a scenario, each where c has it, so that
// both can be compared byte by byte. It errors for what a kernel has compiled.
func (c *Compiled) As(t *jit.Target) (programs []Emission, trampolines []*image.Image, err error) {
	if len(c.verified) != len(c.Images) {
		return nil, nil, errors.New("these programs were not compiled here")
	}
	p := &samePlaces{Plan: kernel.NewPlan(t.Offsets, c.Built.Maps)}
	for i, img := range c.Images {
		p.AddKfuncs(c.Built.Programs[i].Kfuncs)
		p.at = nil
		for k := range img.Funcs {
			p.at = append(p.at, img.Funcs[k].Addr)
		}
		var e Emission
		e.Image, e.Err = jit.Compile(c.verified[i], t, p)
		programs = append(programs, e)
	}
	p.at = nil
	for _, img := range c.attached.images {
		p.at = append(p.at, img.Funcs[0].Addr)
	}
	again := compiler{Compiled: &Compiled{Built: c.Built, Target: t, Images: c.Images, verified: c.verified}, plan: p.Plan, env: p}
	err = again.attachAll()
	return programs, again.attached.images, err
}

// Trampolines are those of the attach events, in their order.
func (c *Compiled) Trampolines() []*image.Image { return c.attached.images }
