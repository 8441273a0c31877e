// SPDX-License-Identifier: GPL-2.0-only

package capture

import (
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
)

type outProg struct {
	Name      string              `json:"name"`
	LoadError string              `json:"load_error,omitempty"`
	Tag       string              `json:"tag,omitempty"`
	Insns     hexText             `json:"insns,omitempty"`
	Xlated    hexText             `json:"xlated,omitempty"`
	Funcs     []outFunc           `json:"funcs,omitempty"`
	Removed   []outRemoved        `json:"removed_funcs,omitempty"`
	InsnMap   [][4]int            `json:"insn_map,omitempty"`
	TailCalls []outTailCall       `json:"tail_calls,omitempty"`
	MapsAt    []outMapAt          `json:"maps_at,omitempty"`
	Refs      map[string][]outRef `json:"refs,omitempty"`
	Undecoded [][2]int            `json:"undecoded,omitempty"`
	Attach    *outAttach          `json:"attach,omitempty"`
	Kfuncs    []string            `json:"kfuncs,omitempty"`
	Type      bpf.ProgType        `json:"prog_type,omitempty"`

	AttachType uint32 `json:"expected_attach_type,omitempty"`
	AttachTo   string `json:"attach_to,omitempty"`
	Sleepable  uint8  `json:"sleepable,omitempty"` // 1 if so, as Frags
	Frags      uint8  `json:"frags,omitempty"`
}

type outFunc struct {
	Name  string             `json:"name"`
	Start bpf.InsnIndex      `json:"start"`
	Addr  hexAddr            `json:"addr"`
	Len   int                `json:"len"`
	Image map[string]hexText `json:"image,omitempty"`
}

type outRemoved struct {
	Name  string        `json:"name"`
	Start bpf.InsnIndex `json:"start"`
}

type outTailCall struct {
	Func int           `json:"func"`
	Off  image.CodeOff `json:"off"`
	Kind string        `json:"kind"`
}

type outMapAt struct {
	Func  int           `json:"func"`
	Off   image.CodeOff `json:"off"`
	Map   int           `json:"map"`
	Value int64         `json:"value"`
}

type outRef struct {
	Func   *int          `json:"func,omitempty"`
	Off    image.CodeOff `json:"off"`
	Kind   string        `json:"kind"`
	Target hexAddr       `json:"target"`
	Sym    string        `json:"sym"`
	Imm    image.CodeOff `json:"imm"`
}

type outAttach struct {
	Kind   string `json:"kind"`
	Prog   int    `json:"prog"`
	Func   int    `json:"func"`
	Kernel string `json:"kernel,omitempty"`
}

type outTramp struct {
	Prog   int      `json:"prog"`
	Func   int      `json:"func"`
	Kernel string   `json:"kernel,omitempty"`
	On     []int    `json:"attached,omitempty"`
	Site   outSite  `json:"site"`
	Addr   hexAddr  `json:"addr"`
	Len    int      `json:"len"`
	Image  hexText  `json:"image,omitempty"`
	Refs   []outRef `json:"refs,omitempty"`
	Error  string   `json:"error,omitempty"`
}

type outSite struct {
	Off    image.CodeOff `json:"off"`
	Before hexText       `json:"before,omitempty"`
	After  hexText       `json:"after,omitempty"`
}

// flag is 1 for true.
func flag(is bool) uint8 {
	if is {
		return 1
	}
	return 0
}

func progLine(p *Prog) outProg {
	out := outProg{
		Name: p.Name, LoadError: p.LoadError, Tag: p.Tag, Insns: insnBytes(p.Insns), Xlated: insnBytes(p.Xlated),
		Kfuncs: p.Kfuncs, Type: p.Type, AttachType: p.AttachType, AttachTo: p.AttachTo, Sleepable: flag(p.Sleepable), Frags: flag(p.Frags),
	}
	for i := range p.Funcs {
		f := &p.Funcs[i]
		image := map[string]hexText{}
		for s, code := range f.image {
			if code != nil {
				image[State(s).String()] = code
			}
		}
		out.Funcs = append(out.Funcs, outFunc{f.Name, f.Start, hexAddr(f.Addr), f.Len, image})
	}
	for _, f := range p.Removed {
		out.Removed = append(out.Removed, outRemoved(f))
	}
	for _, m := range p.InsnMap {
		out.InsnMap = append(out.InsnMap, [4]int{int(m.Insn), int(m.Xlated), m.Func, int(m.Off)})
	}
	for _, t := range p.TailCalls {
		kind := "indirect"
		if t.Direct {
			kind = "direct"
		}
		out.TailCalls = append(out.TailCalls, outTailCall{t.Func, t.Off, kind})
	}
	for _, m := range p.MapsAt {
		out.MapsAt = append(out.MapsAt, outMapAt(m))
	}
	for s, refs := range p.Refs {
		if len(refs) == 0 {
			continue
		}
		if out.Refs == nil {
			out.Refs = map[string][]outRef{}
		}
		out.Refs[State(s).String()] = refLines(refs, true)
	}
	for _, u := range p.Undecoded {
		out.Undecoded = append(out.Undecoded, [2]int{u.Func, int(u.Off)})
	}
	if p.Attach != nil {
		a := outAttach(*p.Attach)
		out.Attach = &a
	}
	return out
}

func insnBytes(insns []bpf.Insn) hexText {
	var out hexText
	for _, in := range insns {
		b := in.Bytes()
		out = append(out, b[:]...)
	}
	return out
}

func refLines(refs []Ref, withFunc bool) []outRef {
	var out []outRef
	for _, r := range refs {
		o := outRef{Off: r.Off, Kind: r.Kind, Target: hexAddr(r.Target), Sym: r.Sym, Imm: r.Imm}
		if withFunc {
			o.Func = &r.Func
		}
		out = append(out, o)
	}
	return out
}

func trampLine(t *Trampoline) outTramp {
	return outTramp{
		Prog: t.Prog, Func: t.Func, Kernel: t.Kernel, On: t.Attached, Site: outSite{t.Site.Off, t.Site.Before, t.Site.After},
		Addr: hexAddr(t.Addr), Len: t.Len, Image: t.Image, Refs: refLines(t.Refs, false), Error: t.Error,
	}
}
