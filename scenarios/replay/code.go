// SPDX-License-Identifier: GPL-2.0-only

package replay

import (
	"fmt"
	"maps"
	"slices"

	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/recognise"
)

// decoder has the programs of a scenario as machine code with its frames and sites: each is decoded once in
// each state.
type decoder struct {
	sc     *capture.Scenario
	images map[decodedKey]decodedProg
}

type decodedKey struct {
	prog  int
	state capture.State
}

type decodedProg struct {
	img *image.Image
	err error
}

// program returns program p as it was in a state.
func (d *decoder) program(p int, state capture.State) (*image.Image, error) {
	k := decodedKey{p, state}
	out, ok := d.images[k]
	if !ok {
		if d.images == nil {
			d.images = map[decodedKey]decodedProg{}
		}
		out.img, out.err = recogniseProg(&d.sc.Progs[p], state)
		d.images[k] = out
	}
	return out.img, out.err
}

// undecoded says which program has code that does not decode in one of some states, "" if all have other.
func (d *decoder) undecoded(states ...capture.State) string {
	for p := range d.sc.Progs {
		for _, state := range states {
			if _, err := d.program(p, state); err != nil {
				return fmt.Sprintf("line %d: program %d (%s): the code does not decode: %v", d.sc.Line, p, d.sc.Progs[p].Name, err)
			}
		}
	}
	return ""
}

func recogniseProg(p *capture.Prog, state capture.State) (*image.Image, error) {
	var funcs []image.FuncImage
	for i := range p.Funcs {
		f := &p.Funcs[i]
		funcs = append(funcs, image.FuncImage{Name: f.Name, Addr: f.Addr, Code: f.Code(state), FirstInsn: max(f.Start, 0)})
	}
	return recognise.RecogniseImage(funcs)
}

// image makes the image of a program to run, from its bytes in a state.
func (c *Facts) image(p int, state capture.State) (*image.Image, error) {
	prog := &c.Scenario.Progs[p]
	img, err := c.decoded.program(p, state)
	if err != nil {
		return nil, err
	}
	for i := range img.Funcs {
		img.Funcs[i].InsnOff = insnOffsets(prog, i, img.Funcs[i].Frame.Body)
	}
	recognise.Locate(img)
	if err := c.guardedLoads(img, p); err != nil {
		return nil, err
	}
	nameMaps(img, prog)
	img.Program = c.Scenario.Submitted(p)
	img.Limit = c.Target.Limit
	return img, nil
}

// nameMaps says which prog array a tail call uses, for traces: the one whose address was loaded last
// before it.
func nameMaps(img *image.Image, p *capture.Prog) {
	for f := range img.Funcs {
		sites := img.Funcs[f].TailCalls
		for i := range sites {
			at := image.CodeOff(-1)
			for _, m := range p.MapsAt {
				if m.Func == f && m.Value < 0 && m.Off > at && m.Off < sites[i].Start {
					at, sites[i].Map = m.Off, m.Map
				}
			}
		}
	}
}

// insnOffsets makes the table of a function from a capture's list of positions. Instructions that
// are not in it have no code of their own.
func insnOffsets(p *capture.Prog, fn int, body image.CodeOff) []image.CodeOff {
	start := p.Funcs[fn].Start
	if start < 0 || len(p.InsnMap) == 0 {
		return nil
	}
	end := bpf.InsnIndex(len(p.Insns))
	for i := range p.Funcs {
		if s := p.Funcs[i].Start; s > start && s < end {
			end = s
		}
	}
	for _, r := range p.Removed {
		if r.Start > start && r.Start < end {
			end = r.Start
		}
	}
	code := image.CodeOff(p.Funcs[fn].Len)
	off := make([]image.CodeOff, end-start+1)
	for i := range off {
		off[i] = -1
	}
	off[end-start] = code
	for _, m := range p.InsnMap {
		if m.Func == fn && m.Insn >= start && m.Insn < end {
			off[m.Insn-start] = max(m.Off, body)
		}
	}
	for i := len(off) - 2; i >= 0; i-- {
		if off[i] < 0 {
			off[i] = off[i+1]
		}
	}
	if off[0] > body {
		off[0] = body
	}
	return off
}

// setup places maps and symbols at their recorded addresses; world are the variables of the outside world that
// the code reads.
func (c *Facts) setup() (s guest.Setup, world []string, err error) {
	s.Offsets, s.Tramp = c.Target.Offsets, c.Target.Emit.Tramp
	for _, m := range c.Scenario.Maps {
		s.Maps = append(s.Maps, guest.MapSpec{Map: m.Map, Addr: m.Addr, ValueAddr: m.ValueAddr})
	}
	if err := c.arenas(s.Maps); err != nil {
		return s, nil, err
	}
	s.Symbols = maps.Clone(c.symbols.Addr)
	at, err := c.jiffies()
	if err != nil {
		return s, nil, err
	}
	if at != 0 {
		s.Symbols["jiffies"] = at
		world = []string{"jiffies"}
	}
	for i := range c.Scenario.Progs {
		for _, r := range c.Scenario.Progs[i].Refs[capture.Empty] {
			if r.Kind == "gs" && r.Sym == "" {
				s.Symbols["this_cpu_off"] = r.Target // 6.18 does not name it
			}
		}
	}
	return s, world, nil
}

// helperJiffies64 is bpf_jiffies64, which the verifier replaces by a load of the variable
// (do_misc_fixups).
const helperJiffies64 = 118

// jiffies returns the address of the variable that an inlined bpf_jiffies64 reads, 0 if there is
// none. It is no symbol of the capture: it stands as a constant in the program.
func (c *Facts) jiffies() (image.Addr, error) {
	for i := range c.Scenario.Progs {
		p := &c.Scenario.Progs[i]
		for _, m := range p.InsnMap {
			in := p.Insns[m.Insn]
			if in.Op != bpf.OpCall || in.Src != 0 || in.Imm != helperJiffies64 {
				continue
			}
			x := p.Xlated[m.Xlated:]
			if len(x) < 2 || x[0].Op != bpf.OpLdImm64 {
				return 0, fmt.Errorf("program %s: instruction %d: bpf_jiffies64 is not inlined", p.Name, m.Insn)
			}
			return image.Addr(uint64(uint32(x[0].Imm)) | uint64(uint32(x[1].Imm))<<32), nil
		}
		if len(p.InsnMap) == 0 {
			if at := unmappedJiffies(p); at != 0 {
				return at, nil
			}
		}
	}
	return 0, nil
}

// unmappedJiffies is the address in a program when it is unknown what its instructions became: the one
// of a number that r0 loads and reads through, if the program calls bpf_jiffies64.
func unmappedJiffies(p *capture.Prog) image.Addr {
	calls := slices.ContainsFunc(p.Insns, func(in bpf.Insn) bool {
		return in.Op == bpf.OpCall && in.Src == 0 && in.Imm == helperJiffies64
	})
	for i := 0; calls && i+2 < len(p.Xlated); i++ {
		a, b := p.Xlated[i], p.Xlated[i+1]
		if a == (bpf.Insn{Op: bpf.OpLdImm64, Imm: a.Imm}) && p.Xlated[i+2] == (bpf.Insn{Op: bpf.ClassLDX | bpf.ModeMem | bpf.SizeDW}) && b.Imm < 0 {
			return image.Addr(uint64(uint32(a.Imm)) | uint64(uint32(b.Imm))<<32)
		}
	}
	return 0
}
