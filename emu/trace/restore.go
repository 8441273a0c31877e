// SPDX-License-Identifier: GPL-2.0-only

package trace

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
)

// Outline is what the text of events needs of a Code: names and places, without machine code.
type Outline struct {
	Maps      [][]string        `json:"maps"` // their names; programs that share a list share it here
	Programs  []OutlineProgram  `json:"programs"`
	Functions []OutlineFunction `json:"functions"` // by address
}

// OutlineProgram is a program in an Outline.
type OutlineProgram struct {
	Name  string   `json:"name"`
	Maps  int      `json:"maps"`            // index into Outline.Maps, -1 if it has none
	Insns []string `json:"insns,omitempty"` // their text by slot, "" for second halves and what has none
}

// OutlineFunction is a function in an Outline.
type OutlineFunction struct {
	Name    string        `json:"name"`    // as Fn.String returns it
	Program int           `json:"program"` // index into Programs, -1 if it is of none
	Addr    Hex           `json:"addr"`
	Size    int           `json:"size"` // of its code, in bytes
	Tails   []OutlineTail `json:"tail_calls,omitempty"`
}

// OutlineTail is a tail call site in an Outline.
type OutlineTail struct {
	Direct bool `json:"direct,omitempty"`
	Map    int  `json:"map"` // index into the program's maps, -1 if unknown
}

// maxFunction bounds the code of one function that an outline may speak of, in bytes.
const maxFunction = 1 << 24

// Outline returns what the text of events of this code needs.
func (c *Code) Outline() Outline {
	var out Outline
	index, lists := map[*bpf.Program]int{}, map[*bpf.Map]int{}
	for _, f := range c.fns {
		g := OutlineFunction{Name: f.name, Program: -1, Addr: Hex(f.Addr), Size: len(f.Code)}
		if p := f.Image.Program; p != nil {
			n, ok := index[p]
			if !ok {
				n = len(out.Programs)
				index[p] = n
				out.Programs = append(out.Programs, out.program(c, f, lists))
			}
			g.Program = n
		}
		for i := range f.TailCalls {
			g.Tails = append(g.Tails, OutlineTail{f.TailCalls[i].Direct, f.TailCalls[i].Map})
		}
		out.Functions = append(out.Functions, g)
	}
	return out
}

// program adds the maps of the program of f, unless lists has them, and returns it.
func (o *Outline) program(c *Code, f *Fn, lists map[*bpf.Map]int) OutlineProgram {
	p := f.Image.Program
	out := OutlineProgram{Name: p.Name, Maps: -1}
	if len(p.Maps) > 0 {
		n, ok := lists[&p.Maps[0]]
		if !ok {
			var names []string
			for i := range p.Maps {
				names = append(names, p.Maps[i].Name)
			}
			n = len(o.Maps)
			lists[&p.Maps[0]] = n
			o.Maps = append(o.Maps, names)
		}
		out.Maps = n
	}
	for i := range p.Insns {
		out.Insns = append(out.Insns, c.InsnText(f, bpf.InsnIndex(i)))
	}
	return out
}

// Restore makes of an outline a Code that events can be shown with, and nothing be traced. It fails on functions that
// overlap or are not in order, and on numbers of programs and maps that there are not.
func (o *Outline) Restore() (*Code, error) {
	c := &Code{}
	texts := map[*bpf.Program][]string{}
	maps := make([][]bpf.Map, len(o.Maps))
	for i, names := range o.Maps {
		for _, n := range names {
			maps[i] = append(maps[i], bpf.Map{Name: n})
		}
	}
	images := make([]*image.Image, len(o.Programs))
	for i := range o.Programs {
		p := &bpf.Program{Name: o.Programs[i].Name}
		switch n := o.Programs[i].Maps; {
		case n < -1 || n >= len(maps):
			return nil, fmt.Errorf("program %d has list %d of maps, and there are %d", i, n, len(maps))
		case n >= 0:
			p.Maps = maps[n]
		}
		texts[p] = o.Programs[i].Insns
		images[i] = &image.Image{Program: p}
	}
	longest := 0
	for i := range o.Functions {
		f := &o.Functions[i]
		if f.Size < 0 || f.Size > maxFunction {
			return nil, fmt.Errorf("function %d has %d bytes of code, expected 0 to %d", i, f.Size, maxFunction)
		}
		longest = max(longest, f.Size)
	}
	code := make([]byte, longest) // nothing looks into it
	for i := range o.Functions {
		f := &o.Functions[i]
		img := &image.Image{}
		if f.Program < -1 || f.Program >= len(images) {
			return nil, fmt.Errorf("function %d is of program %d, and there are %d", i, f.Program, len(images))
		}
		if f.Program >= 0 {
			img = images[f.Program]
		}
		fi := &image.FuncImage{Name: f.Name, Addr: image.Addr(f.Addr), Code: code[:f.Size:f.Size]}
		if fi.End() < fi.Addr || i > 0 && c.fns[i-1].End() > fi.Addr {
			return nil, fmt.Errorf("function %d at %#x is not after the one before", i, uint64(fi.Addr))
		}
		for k, t := range f.Tails {
			if t.Map < -1 || img.Program == nil && t.Map >= 0 || img.Program != nil && t.Map >= len(img.Program.Maps) {
				return nil, fmt.Errorf("tail call %d of function %d is through map %d, which there is not", k, i, t.Map)
			}
			fi.TailCalls = append(fi.TailCalls, image.TailCallSite{Direct: t.Direct, Map: t.Map})
		}
		fn := &Fn{Image: img, FuncImage: fi, name: f.Name, id: i}
		if img.Program != nil {
			fn.Prog = img.Program.Name
		}
		c.fns = append(c.fns, fn)
	}
	if !slices.IsSortedFunc(c.fns, func(a, b *Fn) int { return cmp.Compare(a.Addr, b.Addr) }) {
		return nil, fmt.Errorf("functions are not in the order of their addresses")
	}
	c.opts.InsnText = func(p *bpf.Program, i bpf.InsnIndex) string {
		if t := texts[p]; i >= 0 && int(i) < len(t) {
			return t[i]
		}
		return ""
	}
	return c, nil
}

// Same reports whether o is of the same functions at the same addresses.
func (o *Outline) Same(p Outline) bool {
	return slices.EqualFunc(o.Functions, p.Functions, func(f, g OutlineFunction) bool {
		return f.Name == g.Name && f.Addr == g.Addr && f.Size == g.Size && slices.Equal(f.Tails, g.Tails)
	})
}
