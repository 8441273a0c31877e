// SPDX-License-Identifier: GPL-2.0-only

package count

import (
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// fn is one function of the images.
type fn struct {
	img   *image.FuncImage
	name  string // program or program:function
	index int
	book  book
}

// insn is a decoded instruction.
type insn struct {
	x86.Inst
	in *fn // the function that it belongs to; nil if it lies outside the images
	// tail is the site whose tail call it takes, if it is not a nop.
	tail *image.TailCallSite
	// end is the address after the site that it belongs to: going there refuses the tail call for
	// the reason why. 0 if it belongs to none.
	end image.Addr
	why reason
}

// code finds functions and instructions by address.
type code struct {
	cpu      CPU
	entries  map[image.Addr]*fn // bpf_func
	landings map[image.Addr]*fn
	fns      []*fn // in order of the images
	insns    map[image.Addr]*insn
}

func newCode(cpu CPU, images []*image.Image) *code {
	c := &code{cpu: cpu, entries: map[image.Addr]*fn{}, landings: map[image.Addr]*fn{}, insns: map[image.Addr]*insn{}}
	enters := enterings(images)
	for _, img := range images {
		for i := range img.Funcs {
			fi := &img.Funcs[i]
			f := &fn{img: fi, name: fi.Name, index: len(c.fns)}
			if i > 0 {
				f.name = img.Funcs[0].Name + ":" + fi.Name
			}
			c.fns = append(c.fns, f)
			c.entries[fi.Addr+image.Addr(fi.Entry)] = f
			if fi.Frame.Landing >= 0 {
				c.landings[fi.Addr+image.Addr(fi.Frame.Landing)] = f
				for off := range enters {
					c.landings[fi.Addr+image.Addr(fi.Frame.Landing+off)] = f
				}
			}
		}
	}
	return c
}

// enterings are the distances from landings at which direct tail calls enter, where they do not enter there.
func enterings(images []*image.Image) map[image.CodeOff]bool {
	out := map[image.CodeOff]bool{}
	for _, img := range images {
		for i := range img.Funcs {
			for j := range img.Funcs[i].TailCalls {
				if off := img.Funcs[i].TailCalls[j].Enter; off != 0 {
					out[off] = true
				}
			}
		}
	}
	return out
}

// at decodes the instruction at an address.
func (c *code) at(a image.Addr) (*insn, error) {
	if i := c.insns[a]; i != nil {
		return i, nil
	}
	x, err := c.cpu.Inst(a)
	if err != nil {
		return nil, err
	}
	i := &insn{Inst: *x, in: c.inside(a)}
	if i.in != nil {
		i.role(image.CodeOff(a - i.in.img.Addr))
	}
	c.insns[a] = i
	return i, nil
}

// role finds out what the instruction at an offset is for a tail call.
func (i *insn) role(off image.CodeOff) {
	for k := range i.in.img.TailCalls {
		t := &i.in.img.TailCalls[k]
		if off < t.Start || off >= t.End {
			continue
		}
		i.end, i.why = i.in.img.Addr+image.Addr(t.End), byEmpty
		switch off {
		case t.Jump:
			if !i.IsNop {
				i.tail = t
			}
		case t.Limit:
			i.why = byLimit
		case t.Bounds:
			i.why = byBounds
		}
	}
}

// inside returns the function whose code contains a, nil if there is none.
func (c *code) inside(a image.Addr) *fn {
	for _, f := range c.fns {
		if a >= f.img.Addr && a < f.img.End() {
			return f
		}
	}
	return nil
}

// book holds the summaries of a function. Those that look at the same locations are found by the
// values there.
type book struct {
	groups []*group
	all    []*summary
}

type group struct {
	pins   []pinned // their values are those of the first summary
	pinRSP bool
	sums   map[uint64][]*summary
}

// find returns a summary that a call entered with the registers r satisfies, nil if there is none.
func (b *book) find(r *Regs, m *memory) *summary {
	for _, g := range b.groups {
		h := hash(0, 0)
		if g.pinRSP {
			h = hash(h, r.R[x86.RSP])
		}
		for _, p := range g.pins {
			v, _ := m.value(p.l, r)
			if p.p.rel {
				v -= r.R[x86.RSP]
			}
			h = hash(h, v)
		}
		for _, s := range g.sums[h] {
			if s.matches(r, m) {
				return s
			}
		}
	}
	return nil
}

func (b *book) add(s *summary) {
	b.all = append(b.all, s)
	h := hash(0, 0)
	if s.pinRSP {
		h = hash(h, s.rsp)
	}
	for _, p := range s.pins {
		h = hash(h, p.p.v)
	}
	for _, g := range b.groups {
		if g.holds(s) {
			g.sums[h] = append(g.sums[h], s)
			return
		}
	}
	b.groups = append(b.groups, &group{s.pins, s.pinRSP, map[uint64][]*summary{h: {s}}})
}

// holds reports whether the summary looks at the locations of the group.
func (g *group) holds(s *summary) bool {
	if len(g.pins) != len(s.pins) || g.pinRSP != s.pinRSP {
		return false
	}
	for i := range g.pins {
		if g.pins[i].l != s.pins[i].l || g.pins[i].p.rel != s.pins[i].p.rel {
			return false
		}
	}
	return true
}

// hash mixes a word into a hash.
func hash(h, v uint64) uint64 {
	h = (h ^ v) * 0x9e3779b97f4a7c15
	return h ^ h>>29
}
