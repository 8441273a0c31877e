// SPDX-License-Identifier: GPL-2.0-only

package runner

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/scenarios"
)

// Reason is something in which two targets differ and which changes the code of a scenario.
type Reason struct {
	Name string `json:"name"`
	// Text says what it is and since when, Only on which of the two targets it is.
	Text string `json:"text"`
	Only string `json:"only"`
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
		out = append(out, designReason(from, to))
	}
	out = append(out, featureReasons(b, from, to)...)
	out = append(out, buildReasons(from, to)...)
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
			if err == nil && sameCode(b, has, without) {
				continue
			}
			out = append(out, Reason{word, jit.FeatureDoc(word), has.Name})
		}
	}
	return out
}

// buildReasons are options of the builds that the names of the targets do not say.
func buildReasons(from, to *jit.Target) []Reason {
	var out []Reason
	for _, o := range []struct {
		word     string
		from, to bool
	}{
		{"endbr", from.Emit.ENDBR, to.Emit.ENDBR}, {"sls", from.Emit.SLS, to.Emit.SLS},
	} {
		if o.from == o.to || slices.Contains(from.Features, o.word) || slices.Contains(to.Features, o.word) {
			continue
		}
		only := from.Name
		if o.to {
			only = to.Name
		}
		out = append(out, Reason{o.word, jit.FeatureDoc(o.word) + ": the configuration of that build asks for it", only})
	}
	return out
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
		if sameCode(b, plain, jit.TargetOfRelease(kernels.Mainline(to.Version, f.Name))) {
			continue
		}
		only := from.Name
		if in {
			only = to.Name
		}
		out = append(out, Reason{f.Name, factText(f), only})
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
	if f.Since != (kernels.Version{}) {
		when = append(when, "since "+f.Since.String())
	}
	if f.Until != (kernels.Version{}) {
		when = append(when, "until "+f.Until.String())
	}
	for _, s := range f.Stable {
		when = append(when, fmt.Sprintf("otherwise in %s.%d", s.Base, s.Patch))
	}
	if f.Commit != "" {
		when = append(when, "commit "+f.Commit)
	}
	return fmt.Sprintf("%s (%s)", f.Doc, strings.Join(when, ", "))
}

// sameCode reports whether two targets make the same bytes of a scenario, addresses of the plan included.
func sameCode(b *scenarios.Built, s, t *jit.Target) bool {
	x, errX := Compile(b, s)
	y, errY := Compile(b, t)
	if errX != nil || errY != nil {
		return errX != nil && errY != nil
	}
	for i := range x.Images {
		if len(x.Images[i].Funcs) != len(y.Images[i].Funcs) {
			return false
		}
		for k := range x.Images[i].Funcs {
			if !slices.Equal(x.Images[i].Funcs[k].Code, y.Images[i].Funcs[k].Code) {
				return false
			}
		}
	}
	return true
}
