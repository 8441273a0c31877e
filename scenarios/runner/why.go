// SPDX-License-Identifier: GPL-2.0-only

package runner

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/scenarios"
)

// Reason is something in which two targets differ and which changes the code of a scenario.
type Reason struct {
	Name string `json:"name"`
	// Text says what it is and since when, Only on which of the two targets it is.
	Text string `json:"text"`
	Only string `json:"only"`
	// When is what Text says of releases: "since 6.12"; "" for what is no matter of the release.
	When string `json:"when,omitempty"`
	// Code is what it changes. That is empty for what cannot be turned round.
	Code []Piece `json:"code,omitempty"`
}

// Piece is the code of a BPF instruction of a function.
type Piece struct {
	Func string `json:"function"`
	// Insn is the instruction's number in the program of target On, -1 for the prologue.
	Insn bpf.InsnIndex `json:"instruction"`
	On   string        `json:"on"`
}

// Changes reports whether a reason changes a group of the comparison of function fn on the two targets.
func (r *Reason) Changes(fn, from, to string, g *image.DiffGroup) bool {
	return slices.ContainsFunc(r.Code, func(p Piece) bool {
		return p.Func == fn && (p.On == from && p.Insn == g.Insn || p.On == to && p.Insn == g.InsnB)
	})
}

// Why finds out what makes the code of a scenario differ between two targets: each fact of the kernels' registry, and
// each feature, by which they differ is turned round alone, and counts if that changes the code. What only matters
// together with something else is not found.
func Why(b *scenarios.Built, from, to *jit.Target) []Reason {
	if len(from.Features) == 0 && len(to.Features) == 0 && from.Version == (kernels.Version{}) && to.Version == (kernels.Version{}) {
		return []Reason{designReason(from, to)}
	}
	var out []Reason
	if from.Design != to.Design {
		out = append(out, designOf(b, from, to))
	}
	out = append(out, featureReasons(b, from, to)...)
	out = append(out, buildReasons(b, from, to)...)
	out = append(out, offsetReasons(b, from, to)...)
	if from.Version != (kernels.Version{}) && to.Version != (kernels.Version{}) {
		out = append(out, factReasons(b, from, to)...)
	}
	return out
}

// designReason says which designs tail calls are of.
func designReason(from, to *jit.Target) Reason {
	return Reason{Name: to.Design.String(), Only: to.Name, Text: fmt.Sprintf("tail calls as %s, %s; on %s as %s, %s", to.Design,
		to.Design.Traits().Source, from.Name, from.Design, from.Design.Traits().Source)}
}

// designOf is designReason of kernels, with what the design changes: the facts of designs by which the releases
// differ are turned round together. What is no release gets the other design in place of its own.
func designOf(b *scenarios.Built, from, to *jit.Target) Reason {
	r := designReason(from, to)
	var names []string
	for i := range kernels.Facts {
		f := &kernels.Facts[i]
		if f.Kind != kernels.FactDesign || f.Holds(to.Version, patchOf(to)) == f.Holds(from.Version, patchOf(from)) {
			continue
		}
		if names = append(names, f.Name); f.Holds(to.Version, patchOf(to)) {
			r.When = factWhen(f)
		}
	}
	if from.Version == (kernels.Version{}) || to.Version == (kernels.Version{}) || len(names) == 0 {
		turned := *to
		turned.Design = from.Design
		r.Code, _ = pieces(b, &turned, to, "", to.Name)
		return r
	}
	if was := jit.TargetOfRelease(kernels.Mainline(to.Version, names...)); was != nil && was.Design == from.Design {
		r.Code, _ = pieces(b, was, jit.TargetOfRelease(kernels.Mainline(to.Version)), "", to.Name)
	}
	return r
}

// featureReasons turns round the features by which targets differ.
func featureReasons(b *scenarios.Built, from, to *jit.Target) []Reason {
	var out []Reason
	for _, side := range [][2]*jit.Target{{to, from}, {from, to}} {
		has, lacks := side[0], side[1]
		for _, word := range has.Features {
			if slices.Contains(lacks.Features, word) {
				continue
			}
			less := slices.DeleteFunc(slices.Clone(has.Features), func(w string) bool { return w == word })
			without, err := jit.TargetByName(strings.Join(append([]string{has.Base}, less...), "-"))
			r := Reason{Name: word, Text: jit.FeatureDoc(word), Only: has.Name}
			if err == nil {
				var same bool
				if r.Code, same = pieces(b, without, has, lacks.Name, has.Name); same {
					continue
				}
			}
			out = append(out, r)
		}
	}
	return out
}

// buildReasons are options of the builds that the names of the targets do not say.
func buildReasons(b *scenarios.Built, from, to *jit.Target) []Reason {
	var out []Reason
	for _, o := range []struct {
		word     string
		from, to bool
		turn     func(*kernels.Emission)
	}{
		{"endbr", from.Emit.ENDBR, to.Emit.ENDBR, func(e *kernels.Emission) { e.ENDBR = !e.ENDBR }},
		{"sls", from.Emit.SLS, to.Emit.SLS, func(e *kernels.Emission) { e.SLS = !e.SLS }},
	} {
		if o.from == o.to || slices.Contains(from.Features, o.word) || slices.Contains(to.Features, o.word) {
			continue
		}
		only := from.Name
		if o.to {
			only = to.Name
		}
		r := Reason{Name: o.word, Text: jit.FeatureDoc(o.word) + ": the configuration of that build asks for it", Only: only}
		turned := *to
		o.turn(&turned.Emit)
		r.Code, _ = pieces(b, &turned, to, "", to.Name)
		out = append(out, r)
	}
	return out
}

// offsetReasons gives one target the other's offsets in the kernel's structures.
func offsetReasons(b *scenarios.Built, from, to *jit.Target) []Reason {
	if from.Offsets == to.Offsets {
		return nil
	}
	turned := *to
	turned.Offsets = from.Offsets
	code, same := pieces(b, &turned, to, "", to.Name)
	if same {
		return nil
	}
	return []Reason{{
		Name: "offsets", Text: "where fields lie in the kernel's structures, such as the values of an array: release and configuration decide it",
		Only: to.Name, Code: code,
	}}
}

// factReasons turns round the facts by which the releases differ.
func factReasons(b *scenarios.Built, from, to *jit.Target) []Reason {
	plain := jit.TargetOfRelease(kernels.Mainline(to.Version))
	var out []Reason
	for i := range kernels.Facts {
		f := &kernels.Facts[i]
		in, was := f.Holds(to.Version, patchOf(to)), f.Holds(from.Version, patchOf(from))
		if in == was || f.Kind == kernels.FactDesign || f.Kind == kernels.FactPolicy {
			continue
		}
		code, same := pieces(b, jit.TargetOfRelease(kernels.Mainline(to.Version, f.Name)), plain, from.Name, to.Name)
		if same {
			continue
		}
		only := from.Name
		if in {
			only = to.Name
		}
		out = append(out, Reason{Name: f.Name, Text: factText(f), Only: only, When: factWhen(f), Code: code})
	}
	return out
}

// patchOf is the patch level of a target's release, as far as the registry knows it.
func patchOf(t *jit.Target) int {
	if r, ok := kernels.Find(t.Version); ok {
		return r.Patch
	}
	return 0
}

// factText says what a fact is and when it holds.
func factText(f *kernels.Fact) string {
	var when []string
	if w := factWhen(f); w != "" {
		when = append(when, w)
	}
	for _, s := range f.Stable {
		when = append(when, fmt.Sprintf("otherwise in %s.%d", s.Base, s.Patch))
	}
	if f.Commit != "" {
		when = append(when, "commit "+f.Commit)
	}
	return fmt.Sprintf("%s (%s)", f.Doc, strings.Join(when, ", "))
}

// factWhen says in which releases a fact holds.
func factWhen(f *kernels.Fact) string {
	var when []string
	if f.Since != (kernels.Version{}) {
		when = append(when, "since "+f.Since.String())
	}
	if f.Until != (kernels.Version{}) {
		when = append(when, "until "+f.Until.String())
	}
	return strings.Join(when, ", ")
}

// pieces compares the bytes of a scenario, addresses of the plan included, on target was and on target now, which has the
// instructions of target on. What only target was has an instruction for is numbered as on target before, and left
// out if that is "".
func pieces(b *scenarios.Built, was, now *jit.Target, before, on string) (out []Piece, same bool) {
	x, errX := Compile(b, was)
	y, errY := Compile(b, now)
	if errX != nil || errY != nil {
		return nil, errX != nil && errY != nil
	}
	same = true
	for i := range x.Images {
		p, q := x.Images[i], y.Images[i]
		for k := range q.Funcs {
			n := slices.IndexFunc(p.Funcs, func(f image.FuncImage) bool { return f.Name == q.Funcs[k].Name })
			if n >= 0 && slices.Equal(p.Funcs[n].Code, q.Funcs[k].Code) {
				continue
			}
			if same = false; n >= 0 {
				out = append(out, changed(&p.Funcs[n], &q.Funcs[k], p.Program, q.Program, before, on)...)
			}
		}
		same = same && len(p.Funcs) == len(q.Funcs)
	}
	return out, same
}

// changed lists the pieces of one function that differ.
func changed(was, now *image.FuncImage, p, q *bpf.Program, before, on string) (out []Piece) {
	d := image.DiffPrograms(was, now, p, q)
	for i := range d.Groups {
		switch g := &d.Groups[i]; {
		case g.Same:
		case g.InsnB != image.NoInsn:
			out = append(out, Piece{now.Name, g.InsnB, on})
		case before != "":
			out = append(out, Piece{now.Name, g.Insn, before})
		}
	}
	return out
}
