// SPDX-License-Identifier: GPL-2.0-only

package render

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// ListingFunc is one function in JSON.
type ListingFunc struct {
	Name  string        `json:"name"`
	Addr  string        `json:"addr"`
	Size  int           `json:"size"`
	Lines []ListingLine `json:"lines"`
}

// ListingLine is one instruction.
type ListingLine struct {
	Off   int    `json:"off"`
	Bytes string `json:"bytes"`
	X86   string `json:"x86"`
	Insn  int    `json:"insn"` // -1: none
	BPF   string `json:"bpf,omitempty"`
	Note  string `json:"note,omitempty"`
}

// Listing lists every function of images.
func Listing(images []*image.Image) []ListingFunc {
	var out []ListingFunc
	for _, img := range images {
		for i := range img.Funcs {
			f := &img.Funcs[i]
			l := ListingFunc{Name: f.Name, Addr: fmt.Sprintf("%#x", uint64(f.Addr)), Size: len(f.Code)}
			for _, x := range image.Listing(f, img.Program) {
				l.Lines = append(l.Lines, ListingLine{int(x.Off), hex.EncodeToString(x.Bytes), x.Text, int(x.Insn), x.BPF, x.Note})
			}
			out = append(out, l)
		}
	}
	return out
}

// DiffFunc compares one function in JSON.
type DiffFunc struct {
	Name   string   `json:"name"`
	Same   bool     `json:"same"`
	Bytes  [2]int   `json:"bytes"`
	Insns  [2]int   `json:"instructions"`
	Differ []string `json:"differ_in,omitempty"` // BPF instructions whose code differs
	// Groups are the code of these.
	Groups []DiffGroup `json:"groups,omitempty"`
}

// Differences compares two compilations.
func Differences(cs []*runner.Compiled) []DiffFunc {
	var out []DiffFunc
	for _, d := range Diffs(cs) {
		_, name, _ := strings.Cut(d.NameA, " ")
		if name == "-" {
			_, name, _ = strings.Cut(d.NameB, " ")
		}
		row := DiffFunc{Name: name, Same: d.Same, Bytes: [2]int{d.BytesA, d.BytesB}, Insns: [2]int{d.InsnsA, d.InsnsB}}
		for _, g := range d.Groups {
			if g.Same {
				continue
			}
			row.Differ = append(row.Differ, g.Where())
			row.Groups = append(row.Groups, diffGroup(&g))
		}
		out = append(out, row)
	}
	return out
}

// Diffs compares each function of both compilations; nothing stands in for one that a target's
// verifier removed.
func Diffs(cs []*runner.Compiled) []image.FuncDiff {
	var out []image.FuncDiff
	for i, img := range cs[0].Images {
		other := cs[1].Images[i]
		find := func(m *image.Image, name string) *image.FuncImage {
			for k := range m.Funcs {
				if m.Funcs[k].Name == name {
					return &m.Funcs[k]
				}
			}
			return &image.FuncImage{Name: "-"}
		}
		var names []string
		for k := range img.Funcs {
			names = append(names, img.Funcs[k].Name)
		}
		for k := range other.Funcs {
			if n := other.Funcs[k].Name; !slices.Contains(names, n) {
				names = append(names, n)
			}
		}
		for _, n := range names {
			a, b := find(img, n), find(other, n)
			d := image.DiffPrograms(a, b, img.Program, other.Program)
			d.NameA, d.NameB = cs[0].Target.Name+" "+a.Name, cs[1].Target.Name+" "+b.Name
			out = append(out, d)
		}
	}
	return out
}
