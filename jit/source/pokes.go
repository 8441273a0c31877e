// SPDX-License-Identifier: GPL-2.0-only

package source

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
)

// LoadPlan implements jit.Emitter: bpf_tail_call_direct_fixup.
func (j *JIT) LoadPlan(_ *jit.Target, sites []image.PokeSite, targets []image.Addr) ([]image.Patch, error) {
	return j.plan(sites, nil, func(g *guest, i int) error {
		if targets[i] == 0 {
			return nil
		}
		return j.poke(g, "tcsim_fixup", sites[i], 0, targets[i])
	})
}

// UpdatePlan implements jit.Emitter: the exchange of the pointer, and what the JIT does for each site.
func (j *JIT) UpdatePlan(_ *jit.Target, sites []image.PokeSite, old, new image.Addr) ([]image.Patch, error) {
	return j.plan(sites, []image.Patch{{Kind: image.PatchPointer}}, func(g *guest, i int) error {
		return j.poke(g, "tcsim_update", sites[i], old, new)
	})
}

// plan collects what one calls per site asks for.
func (j *JIT) plan(sites []image.PokeSite, steps []image.Patch, one func(*guest, int) error) ([]image.Patch, error) {
	if len(sites) == 0 {
		return steps, nil
	}
	err := j.with(func(g *guest) error {
		for i := range sites {
			g.pokes, g.messages = nil, nil
			if err := one(g, i); err != nil {
				return err
			}
			var err error
			if steps, err = patches(steps, g.pokes, i, sites[i]); err != nil {
				return err
			}
		}
		return nil
	})
	return steps, err
}

// poke calls a function of driver.c with a struct tcsim_site.
func (j *JIT) poke(g *guest, name string, s image.PokeSite, old, new image.Addr) error {
	var buf []byte
	for _, a := range []image.Addr{s.Jump, s.Bypass, s.Out, old, new, image.Addr(int64(max(j.landing, 0) + s.Enter))} {
		buf = binary.LittleEndian.AppendUint64(buf, uint64(a))
	}
	err := errors.Join(g.cpu.Map(inputBase, uint64(len(buf))), g.cpu.Write(inputBase, buf))
	for _, a := range []image.Addr{s.Jump, s.Bypass} {
		if a != 0 {
			err = errors.Join(err, g.mapText(a-16, 32))
		}
	}
	if err != nil {
		return err
	}
	_, err = g.call(name, inputBase)
	if err != nil {
		return err
	}
	if w := j.tellMessages(g.messages); len(w) > 0 {
		return &CrashError{"the JIT warns about a text poke", w, false}
	}
	return nil
}

// patches turns comparisons and writes into steps: each write is of the place that was compared last, and one of
// a place that was not compared is unchecked. A comparison without a write is a step that changes nothing.
func patches(steps []image.Patch, pokes []poke, site int, s image.PokeSite) ([]image.Patch, error) {
	now := map[image.Addr][image.PokeSize]byte{}
	compared := map[image.Addr]int{} // steps that may turn out to change something
	last := -1
	for _, p := range pokes {
		if p.kind == askWait {
			steps = append(steps, image.Patch{Kind: image.PatchWait, Site: site, After: last})
			continue
		}
		i, again := compared[p.at]
		whole := p.code
		if again && len(whole) < image.PokeSize { // what follows stays
			whole = append(slices.Clone(whole), steps[i].New[len(whole):]...)
		}
		if len(whole) != image.PokeSize {
			return nil, fmt.Errorf("%w: the JIT pokes %d bytes at %#x, expected %d", kernels.ErrUnsupported, len(p.code), uint64(p.at), image.PokeSize)
		}
		code := [image.PokeSize]byte(whole)
		if p.seen || !again {
			i = len(steps)
			steps = append(steps, image.Patch{Kind: image.PatchText, Site: site, Part: part(p.at, s), Addr: p.at, Old: code, New: code, Unchecked: !p.seen})
		}
		if old, known := now[p.at]; known && !again {
			steps[i].Old = old
		}
		if p.seen {
			compared[p.at] = i
		} else {
			steps[i].New = code
			delete(compared, p.at)
		}
		now[p.at] = code
		last = i
	}
	return steps, nil
}

func part(a image.Addr, s image.PokeSite) image.PokePart {
	if a == s.Bypass {
		return image.PartBypass
	}
	return image.PartJump
}
